"""Typing into the editors at a hand's own pace: no key is lost, and an edit is answered by both matrices at once."""

import random

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Page, WebSocketRoute, expect

from harness.browser import (
    IDLE_MS,
    cell,
    edit_cell,
    editor,
    expect_heatmap,
    expect_kept,
    go_to,
    metric,
    open_page,
    paste,
    select_cell,
    type_into_cell,
    wait_idle,
)
from xent_core import Problem
from xent_core.codec import to_token
from xent_ui.text import number

# The numbers of both matrices and the loss, as they stand at each animation frame in which one of them has changed.
NOTE_FRAMES = """() => {
    window.frames_seen = [];
    const look = () => {
        const numbers = key => JSON.stringify(document.querySelector(`.st-key-${key} .heatmap`).values);
        const [probs, grad] = ['probs', 'grad'].map(numbers);
        const last = window.frames_seen.at(-1);
        if (!last || last[0] !== probs || last[1] !== grad) window.frames_seen.push([probs, grad]);
        requestAnimationFrame(look);
    };
    look();
}"""


def open_batch(page: Page, url: str, size: int = 3) -> torch.Tensor:
    """The page with so many rows and classes; its logits."""
    if size == 3:
        open_page(page, f"{url}/?preset=worked-batch")
        logits = torch.tensor([[1.0, 2, 3]] * 3)
    else:
        logits = torch.zeros(size, size)
        open_page(page, f"{url}/?p={to_token(Problem(logits, target_of(size)))}")
    page.locator(".st-key-grad .heatmap td, .st-key-grad .heatmap canvas").first.wait_for(timeout=IDLE_MS)
    expect(editor(page, "logits").get_by_test_id("data-grid-canvas")).to_be_visible()
    page.wait_for_load_state("networkidle")  # the code of an open cell is there
    return logits


def target_of(size: int) -> torch.Tensor:
    return torch.tensor([2, 1, 0]) if size == 3 else torch.arange(size)


def expect_answer(page: Page, logits: torch.Tensor, target: torch.Tensor) -> None:
    """Wait for the loss of these logits, and for their gradient."""
    leaf = logits.clone().requires_grad_()
    loss = F.cross_entropy(leaf, target)
    loss.backward()
    assert leaf.grad is not None
    expect(metric(page, "loss")).to_have_text(number(loss.item()), timeout=IDLE_MS)
    expect_heatmap(page, "grad", leaf.grad.tolist(), atol=1e-6)
    expect_heatmap(page, "probs", logits.softmax(1).tolist(), atol=1e-6)


@pytest.mark.parametrize(("size", "end"), [(3, "Enter"), (10, "Enter"), (10, "Tab"), (30, "Enter")])
def test_no_key_is_lost_at_40_ms_a_key_and_at_an_irregular_pace(page: Page, app_url: str, size: int, end: str) -> None:
    logits = open_batch(page, app_url, size)
    count, rhythm = min(size, 8), random.Random(size)
    for delay in (lambda: 40, lambda: rhythm.choice((5, 15, 40, 90, 160))):
        select_cell(page, editor(page, "logits"), 0, 1)
        for i in range(count):
            text = f"{rhythm.choice('-123')}{rhythm.randint(1, 9)}.{rhythm.randint(10, 99)}"
            for key in [*text, end]:
                page.keyboard.press(key)
                page.wait_for_timeout(delay())
            row, label = (i, 0) if end == "Enter" else (0, i)
            if (row, label) < logits.shape:
                logits[row, label] = float(text)

        expect_answer(page, logits, target_of(size))


def test_both_matrices_change_in_one_frame(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    page.evaluate(NOTE_FRAMES)
    for i, text in enumerate(["4", "-1", "0.5"]):
        edit_cell(page, editor(page, "logits"), i, 1, text)
    expect_answer(page, torch.tensor([[4.0, 2, 3], [-1, 2, 3], [0.5, 2, 3]]), target_of(3))
    seen = page.evaluate("window.frames_seen")

    assert len({probs for probs, _grad in seen}) == len({grad for _probs, grad in seen}) == len(seen) > 1


def test_paste_fill_delete_and_undo_are_answered(page: Page, app_url: str) -> None:
    logits = open_batch(page, app_url)
    paste(page, editor(page, "logits"), 1, 1, "4\t-.5\t1e-1\n0\t0\t0")
    logits[1:] = torch.tensor([[4, -0.5, 0.1], [0, 0, 0]])
    expect_answer(page, logits, target_of(3))
    select_cell(page, editor(page, "logits"), 0, 1)
    page.keyboard.press("Shift+ArrowDown")
    page.keyboard.press("ControlOrMeta+d")  # fills downwards
    filled = logits.clone()
    filled[1, 0] = 1
    expect_answer(page, filled, target_of(3))
    page.get_by_role("button", name="Undo").click()
    expect_answer(page, logits, target_of(3))


def test_an_edit_that_is_still_open_counts_when_undo_is_pressed(page: Page, app_url: str) -> None:
    logits = open_batch(page, app_url)
    select_cell(page, editor(page, "logits"), 0, 1)
    page.keyboard.type("7")
    page.get_by_role("button", name="Undo").click()

    expect_answer(page, logits, target_of(3))
    expect(cell(editor(page, "logits"), 0, 1)).to_have_text("1")


@pytest.mark.long
def test_the_rest_of_the_page_follows_when_the_hand_rests(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 1, "8.125")

    expect(page.locator(".st-key-why").filter(has_text="8.125")).to_be_visible(timeout=IDLE_MS)
    expect_kept(page, "8.125")


@pytest.mark.long
def test_a_reload_right_after_the_answer_keeps_the_edit(page: Page, app_url: str) -> None:
    logits = open_batch(page, app_url)
    for row in range(3):  # none of them has rested
        edit_cell(page, editor(page, "logits"), row, 1, f"{row + 4.5}")
        logits[row, 0] = row + 4.5
    expect_answer(page, logits, target_of(3))
    page.reload()

    expect_answer(page, logits, target_of(3))


@pytest.mark.long
@pytest.mark.parametrize("pause_ms", [0, 250, 300, 350])  # around the moment at which the rest is asked for
def test_who_changes_the_page_after_an_edit_stays_there(page: Page, app_url: str, pause_ms: int) -> None:
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 1, "4.5")
    expect(metric(page, "loss")).to_have_text("1.8605")
    page.wait_for_timeout(pause_ms)
    go_to(page, "Implementations")
    expect(page.locator(".st-key-implementations")).to_be_visible(timeout=IDLE_MS)
    page.wait_for_timeout(1_000)  # in which a late request could bring the former page back

    expect(page.locator(".st-key-implementations")).to_be_visible()
    expect(page.locator(".st-key-probs")).to_have_count(0)


@pytest.mark.long
def test_who_follows_a_link_while_a_number_is_being_typed_takes_it_along(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    select_cell(page, editor(page, "logits"), 0, 1)
    page.keyboard.type("4.5")
    link = page.get_by_test_id("stSidebarNav").get_by_role("link", name="Implementations")
    link.click(delay=60)  # a finger does not leave the button at once

    expect(metric(page, "implementations")).to_have_text("1.8605", timeout=IDLE_MS)


class SlowLine:
    """Keeps the messages of one side until they are sent on."""

    def __init__(self, page: Page, *, of_browser: bool) -> None:
        self.is_slow, self.of_browser = False, of_browser
        self.kept: list[str | bytes] = []
        page.route_web_socket("**/_stcore/stream*", self._open)

    def _open(self, browser: WebSocketRoute) -> None:
        server = browser.connect_to_server()
        slow, self.other = (browser, server) if self.of_browser else (server, browser)
        slow.on_message(lambda message: self.kept.append(message) if self.is_slow else self.other.send(message))
        if self.of_browser:
            return
        browser.on_message(server.send)

    def send(self) -> None:
        """Send on what was kept, and what comes from now on."""
        self.is_slow = False
        for message in self.kept:
            self.other.send(message)


@pytest.mark.long
def test_a_link_is_followed_however_slow_the_line_is(page: Page, app_url: str) -> None:
    line = SlowLine(page, of_browser=True)
    open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 0, 1, "4.5")
    expect(metric(page, "loss")).to_have_text("1.8605")
    line.is_slow = True
    page.get_by_test_id("stSidebarNav").get_by_role("link", name="Implementations").click()
    page.wait_for_timeout(800)  # the hand rests meanwhile, and nothing tells the browser that the page changes
    line.send()
    page.wait_for_timeout(500)
    wait_idle(page)

    expect(metric(page, "implementations")).to_have_text("1.8605", timeout=IDLE_MS)


LINKS: dict[str, dict[str, str]] = {
    "another page": {"href": "/implementations"},
    "a file": {"href": "/media/numbers.csv", "download": ""},
    "another tab": {"href": "/implementations", "target": "_blank"},
    "a letter": {"href": "mailto:somebody@example.org"},
    "this page": {"href": "?preset=worked-row-0"},
}


@pytest.mark.long
def test_only_a_link_to_another_page_keeps_the_rest_back(page: Page, app_url: str) -> None:
    open_batch(page, app_url)
    left = page.evaluate(
        """links => Object.entries(links).filter(([, attributes]) => {
            const link = document.createElement('a');
            for (const [name, value] of Object.entries(attributes)) link.setAttribute(name, value);
            link.addEventListener('click', event => event.preventDefault());
            document.body.append(link);
            window.crossEntropyLeaving.until = 0;
            link.click();
            return window.crossEntropyLeaving.until > 0;
        }).map(([name]) => name)""",
        LINKS,
    )

    assert left == ["another page"]


@pytest.mark.long
def test_a_timer_that_is_late_costs_no_text(page: Page, app_url: str) -> None:
    page.add_init_script(
        "const set = window.setTimeout; window.setTimeout = (call, after, ...more) => set(call, after || 60, ...more)"
    )
    logits = open_batch(page, app_url)
    select_cell(page, editor(page, "logits"), 0, 1)
    for digit, end in (("4", "Enter"), ("5", "Tab"), ("6", "Shift+Tab")):
        for key in (digit, "7", "Backspace", end):
            page.keyboard.press(key)
            page.wait_for_timeout(20)
    logits[0, 0], logits[1, 0], logits[1, 1] = 4, 5, 6

    expect_answer(page, logits, target_of(3))


def test_keys_that_come_before_the_cell_has_opened_delete_and_type(page: Page, app_url: str) -> None:
    logits = open_batch(page, app_url)
    select_cell(page, editor(page, "logits"), 0, 1)
    for key in ("4", "7", "Backspace", ".", "5", "Enter"):
        page.keyboard.press(key)
    logits[0, 0] = 4.5

    expect_answer(page, logits, target_of(3))


@pytest.mark.long
@pytest.mark.parametrize(
    ("keys", "number"),
    [
        (("4", "7", "ArrowLeft", "5"), 457.0),
        (("4", "7", "Home", "5"), 547.0),
        (("4", "7", "Home", "Delete"), 7.0),
        (("4", "7", "Home", "End", "5"), 475.0),
        (("4", "7", "Shift+ArrowLeft", "5"), 45.0),
    ],
)
def test_keys_that_come_before_the_cell_has_opened_move_its_caret(
    page: Page, app_url: str, keys: tuple[str, ...], number: float
) -> None:
    logits = open_batch(page, app_url)
    select_cell(page, editor(page, "logits"), 0, 1)
    for key in (*keys, "Enter"):
        page.keyboard.press(key)
    logits[0, 0] = number

    expect_answer(page, logits, target_of(3))


@pytest.mark.parametrize("pause_ms", [0, 300])
def test_the_arrow_down_ends_a_cell_that_was_opened_by_typing(page: Page, app_url: str, pause_ms: int) -> None:
    logits = open_batch(page, app_url)
    select_cell(page, editor(page, "logits"), 0, 1)
    for key in ("4", "ArrowDown", "5", "ArrowDown", "6", "ArrowDown"):
        page.keyboard.press(key)
        page.wait_for_timeout(pause_ms)
    logits[:, 0] = torch.tensor([4.0, 5, 6])

    expect_answer(page, logits, target_of(3))


@pytest.mark.long
def test_the_arrow_down_stays_in_a_cell_that_was_opened_by_enter(page: Page, app_url: str) -> None:
    logits = open_batch(page, app_url)
    type_into_cell(page, editor(page, "logits"), 0, 1, "4")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("5")
    page.keyboard.press("Enter")
    logits[0, 0] = 45

    expect_answer(page, logits, target_of(3))


@pytest.mark.long
def test_a_refused_cell_keeps_the_place_and_its_message_goes_once_it_is_mended(page: Page, app_url: str) -> None:
    logits = open_batch(page, app_url)
    edit_cell(page, editor(page, "logits"), 1, 2, "x")
    message = page.locator(".st-key-findings").get_by_text("'x' is not a number")
    expect(message).to_be_visible(timeout=IDLE_MS)
    below = cell(editor(page, "logits"), 2, 2)  # Enter went there
    expect(below).to_have_attribute("aria-selected", "true", timeout=IDLE_MS)
    expect(below).to_be_focused()

    page.keyboard.type("9")
    page.keyboard.press("Enter")
    logits[2, 1] = 9
    expect_answer(page, logits, target_of(3))
    expect(message).to_have_count(0, timeout=IDLE_MS)

    edit_cell(page, editor(page, "logits"), 1, 2, "x")
    expect(message).to_be_visible(timeout=IDLE_MS)
    expect(below).to_have_attribute("aria-selected", "true", timeout=IDLE_MS)
    edit_cell(page, editor(page, "logits"), 1, 2, "2")  # what the cell kept
    expect(message).to_have_count(0, timeout=IDLE_MS)


@pytest.mark.long
@pytest.mark.parametrize("gone", ["place", "class"])
def test_where_the_open_cell_cannot_be_found_the_editor_sends_its_edits_itself(
    page: Page, app_url: str, gone: str
) -> None:
    page.add_init_script(
        f"const gone = '{gone}';"
        """
        const query = Document.prototype.querySelector;
        Document.prototype.querySelector = function (selector) {
            return gone === 'place' && selector.includes('portal') ? null : query.call(this, selector);
        };
        const find = Element.prototype.querySelector;
        Element.prototype.querySelector = function (selector) {
            return gone === 'class' && selector.includes('gdg-clip-region') ? null : find.call(this, selector);
        };
        """
    )
    line = SlowLine(page, of_browser=False)
    logits = open_batch(page, app_url)
    grid = editor(page, "logits")
    line.is_slow = True  # both numbers are there before the server has said how the editor goes on
    for row, text in ((0, "6"), (1, "-2.5")):
        edit_cell(page, grid, row, 1, text)
        logits[row, 0] = float(text)
    page.wait_for_timeout(500)
    line.send()

    expect_answer(page, logits, target_of(3))


CHOOSE = """() => {
    const enter = { key: "Enter", code: "Enter", bubbles: true, cancelable: true };
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { ...enter, keyCode: 13, isComposing: true }));
    document.activeElement.dispatchEvent(new KeyboardEvent("keydown", { ...enter, keyCode: 229 }));
}"""


@pytest.mark.long
def test_an_input_method_types_into_a_cell(page: Page, app_url: str) -> None:
    """As with Chinese or Japanese: keys are a composition first, and Enter ends it before it ends the cell."""
    logits = open_batch(page, app_url)
    method = page.context.new_cdp_session(page)
    select_cell(page, editor(page, "logits"), 0, 1)
    for row, text in enumerate(["-2.5", "12", "0.75"]):
        page.keyboard.press("Enter")  # opens the cell, its old text selected
        expect(page.get_by_test_id("portal").locator("textarea, input")).to_be_focused()
        for end in range(1, len(text) + 1):
            method.send("Input.imeSetComposition", {"text": text[:end], "selectionStart": end, "selectionEnd": end})
        page.evaluate(CHOOSE)
        method.send("Input.insertText", {"text": text})
        page.keyboard.press("Enter")
        # the next composition belongs to the next cell: what closes would take it along
        expect(page.get_by_test_id("portal").locator(".gdg-clip-region")).to_have_count(0)
        logits[row, 0] = float(text)

    expect_answer(page, logits, target_of(3))
