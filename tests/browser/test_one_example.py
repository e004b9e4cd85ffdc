"""What hands do to the live component, in Chromium: every number on screen against PyTorch's own."""

import re
from collections.abc import Sequence

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Browser, Locator, Page, expect

from harness.browser import DESKTOP, IDLE_MS, Journal, drag_fast, editor, go_to, open_page, wait_idle
from harness.hostile_names import NAMES
from xent_ui.text import number

PHONE = (390, 844)
HOSTILE = [NAMES[0], NAMES[1], NAMES[-1]]


def open_live(page: Page, url: str, preset: str = "worked-row-0") -> None:
    open_page(page, f"{url}/one-example?preset={preset}")
    expect(quantity(page, "loss")).to_be_visible(timeout=IDLE_MS)
    wait_idle(page)


def live(page: Page) -> Locator:
    return page.locator(".st-key-live")


def quantity(page: Page, name: str, label: int | None = None) -> Locator:
    of_class = "" if label is None else f"[data-class='{label}']"
    return live(page).locator(f"[data-quantity={name}]{of_class}")


def slider(page: Page, name: str) -> Locator:
    return live(page).get_by_role("slider", name=f"logit {name}", exact=True)


def place(track: Locator, value: float) -> tuple[float, float]:
    """Where on a slider from −bound to bound a value lies, in pixels of the page."""
    track.scroll_into_view_if_needed()
    box = track.bounding_box()
    assert box is not None
    bound = float(track.get_attribute("aria-valuemax") or "nan")
    return box["x"] + box["width"] * (value + bound) / (2 * bound), box["y"] + box["height"] / 2


def logits_on_screen(page: Page) -> list[float]:
    sliders = live(page).get_by_role("slider", name=re.compile("^logit "))
    return [float(one.get_attribute("aria-valuenow") or "nan") for one in sliders.all()]


def expect_numbers(page: Page, logits: Sequence[float], target: int | Sequence[float], smoothing: float = 0.0) -> None:
    """Wait until every number on screen is that of these logits and this target, as PyTorch has them."""
    z = torch.tensor([list(logits)], dtype=torch.float32, requires_grad=True)
    y = torch.tensor([target])
    loss = F.cross_entropy(z, y, label_smoothing=smoothing)
    loss.backward()
    assert z.grad is not None
    hard = F.one_hot(y, len(logits)).float() if y.dtype == torch.int64 else y
    expected = {
        "logit": z.detach()[0],
        "prob": z.detach().softmax(1)[0],
        "target": ((1 - smoothing) * hard + smoothing / len(logits))[0],
        "grad": z.grad[0],
    }
    expect(quantity(page, "loss")).to_have_text(number(loss.item()), timeout=IDLE_MS)
    for name, values in expected.items():
        texts = [number(value, sign=name == "grad") for value in values.tolist()]
        expect(quantity(page, name)).to_have_text(texts, timeout=IDLE_MS)


def test_a_dragged_logit_takes_every_number_along(page: Page, app_url: str, journal: Journal) -> None:
    open_live(page, app_url)
    expect_numbers(page, [1, 2, 3], 0)
    track = slider(page, "class 0")

    page.mouse.move(*place(track, 1.0))
    page.mouse.down()
    page.mouse.move(*place(track, 4.0), steps=12)
    page.mouse.up()
    expect(track).to_have_attribute("aria-valuenow", re.compile(r"^(3\.9|4\.0?|4$)"), timeout=IDLE_MS)

    expect_numbers(page, logits_on_screen(page), 0)
    journal.assert_quiet()


@pytest.mark.long
def test_fast_drags_leave_the_last_value_on_screen(page: Page, app_url: str) -> None:
    open_live(page, app_url)
    track = slider(page, "class 1")

    page.mouse.move(*place(track, 2.0))
    page.mouse.down()
    for step in range(100):
        page.mouse.move(*place(track, 8.0 if step % 2 else -8.0 + step / 20))
    page.mouse.move(*place(track, -5.0))
    page.mouse.up()
    expect(track).to_have_attribute("aria-valuenow", re.compile(r"^-(4\.9|5\.0?|5$)"), timeout=IDLE_MS)

    expect_numbers(page, logits_on_screen(page), 0)


@pytest.mark.long
def test_200_events_leave_no_backlog_in_the_browser_and_none_on_the_server(page: Page, app_url: str) -> None:
    """One request in flight: what is still to come when the hand lets go is its answer, and that to the last place."""
    sent: list[object] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(frame)))
    open_live(page, app_url)
    sent.clear()

    told = drag_fast(page, events=200, seconds=2.0)

    assert told.shown == 8.0
    assert told.late_pictures <= 2
    assert 5 < told.pictures < 100
    # a message may have no picture: two places of the same loss, and that the hand rests
    assert len(sent) <= told.pictures + 5
    expect_numbers(page, [8, 2, 3], 0)


def test_keys_move_a_logit(page: Page, app_url: str) -> None:
    open_live(page, app_url)
    track = slider(page, "class 2")
    track.focus()

    for key in ("ArrowRight", "ArrowRight", "ArrowUp", "ArrowLeft", "ArrowDown", "ArrowRight"):
        page.keyboard.press(key)
    expect_numbers(page, [1, 2, 3.2], 0)
    page.keyboard.press("Shift+ArrowLeft")
    expect_numbers(page, [1, 2, 2.2], 0)
    page.keyboard.press("PageUp")
    expect_numbers(page, [1, 2, 3.2], 0)
    page.keyboard.press("Home")
    expect_numbers(page, [1, 2, -10], 0)
    page.keyboard.press("End")
    expect_numbers(page, [1, 2, 10], 0)
    expect(track).to_be_focused()
    expect(track).to_have_attribute("aria-valuenow", "10")


def test_a_class_that_is_clicked_becomes_the_label(page: Page, app_url: str) -> None:
    open_live(page, app_url)

    live(page).get_by_text("class 2", exact=True).click()

    expect_numbers(page, [1, 2, 3], 2)
    expect(live(page).get_by_role("radio").nth(2)).to_be_checked()


@pytest.mark.long
def test_the_label_moves_by_keyboard(page: Page, app_url: str) -> None:
    open_live(page, app_url)
    live(page).get_by_role("radio").first.focus()

    page.keyboard.press("ArrowDown")

    expect_numbers(page, [1, 2, 3], 1)


def test_a_logit_can_be_typed_and_what_is_none_is_refused(page: Page, app_url: str) -> None:
    open_live(page, app_url)
    field = live(page).get_by_role("textbox", name="type the logit class 1")

    field.fill("-0.25")
    field.press("Enter")
    expect_numbers(page, [1, -0.25, 3], 0)
    field.fill("7,5")
    field.press("Enter")
    expect(live(page).get_by_role("alert")).to_contain_text("7.5", timeout=IDLE_MS)

    expect(field).to_have_value("7,5")
    expect(field).to_have_attribute("aria-invalid", "true")
    expect_numbers(page, [1, -0.25, 3], 0)


@pytest.mark.long
@pytest.mark.parametrize(
    ("typed", "logit", "loss"), [("-inf", "−inf", "2.1269"), ("nan", "NaN", "NaN"), ("inf", "inf", "NaN")]
)
def test_infinities_and_nan_can_be_typed_and_left_by_key(
    page: Page, app_url: str, typed: str, logit: str, loss: str
) -> None:
    """Beside −inf two classes are left: −ln(e/(e + e³)) = ln(1 + e²) = 2.1269."""
    open_live(page, app_url)
    field = live(page).get_by_role("textbox", name="type the logit class 1")

    field.fill(typed)
    field.press("Enter")
    expect(quantity(page, "logit", 1)).to_have_text(logit, timeout=IDLE_MS)
    expect(quantity(page, "loss")).to_have_text(loss, timeout=IDLE_MS)
    slider(page, "class 1").press("End")

    expect_numbers(page, [1, 10, 3], 0)


@pytest.mark.long
def test_a_soft_label_is_dragged_and_smoothed(page: Page, app_url: str) -> None:
    open_live(page, app_url)
    live(page).get_by_role("checkbox", name="soft label").check()
    share = live(page).get_by_role("slider", name="target probability class 0")
    expect(share).to_have_attribute("aria-valuenow", "1", timeout=IDLE_MS)

    share.press("PageDown")
    share.press("PageDown")
    expect_numbers(page, [1, 2, 3], [0.8, 0.1, 0.1])
    live(page).get_by_role("slider", name="target probability class 1").press("PageUp")
    expect_numbers(page, [1, 2, 3], [0.711111, 0.2, 0.088889])
    live(page).get_by_text("class 2", exact=True).click()
    expect_numbers(page, [1, 2, 3], [0.0, 0.0, 1.0])
    smoothing = live(page).get_by_role("slider", name="label_smoothing")
    for _ in range(3):
        smoothing.press("ArrowRight")

    expect_numbers(page, [1, 2, 3], [0.0, 0.0, 1.0], smoothing=0.03)


@pytest.mark.long
def test_a_soft_label_is_typed_and_the_other_shares_stay(page: Page, app_url: str) -> None:
    """Half of 2.4076, then half of 2.4076 + 1.4076."""
    open_live(page, app_url)
    live(page).get_by_role("checkbox", name="soft label").check()
    first = live(page).get_by_role("textbox", name="type the target probability class 0")
    second = live(page).get_by_role("textbox", name="type the target probability class 1")
    expect(first).to_have_value("1", timeout=IDLE_MS)

    first.fill("0.5")
    first.press("Enter")
    expect(quantity(page, "loss")).to_have_text("1.2038", timeout=IDLE_MS)
    expect(live(page).get_by_role("alert")).to_contain_text("sum to 0.5", timeout=IDLE_MS)
    second.fill("0.5")
    second.press("Enter")

    expect(quantity(page, "loss")).to_have_text("1.9076", timeout=IDLE_MS)
    expect(first).to_have_value("0.5")
    expect(live(page).get_by_role("alert")).to_be_empty(timeout=IDLE_MS)


@pytest.mark.long
def test_a_word_says_what_it_is_to_who_points_at_it_or_gives_it_the_focus(page: Page, app_url: str) -> None:
    open_live(page, app_url)
    word = live(page).locator(".head .term").get_by_text("probability p")
    said = "node => getComputedStyle(node, '::after').content"

    assert word.evaluate(said) == "none"
    word.focus()

    assert "What the model thinks of a class" in word.evaluate(said)
    expect(word).to_have_attribute("aria-description", re.compile("What the model thinks of a class"))


@pytest.mark.long
def test_a_finger_drags_a_logit(browser: Browser, app_url: str, journal: Journal) -> None:
    width, height = PHONE
    context = browser.new_context(viewport={"width": width, "height": height}, has_touch=True, is_mobile=True)
    page = context.new_page()
    journal.watch(page)
    page.goto(f"{app_url}/one-example?preset=worked-row-0")
    expect(quantity(page, "loss")).to_have_text("2.4076", timeout=IDLE_MS)
    wait_idle(page)
    track = slider(page, "class 0")
    touch = context.new_cdp_session(page)

    x, y = place(track, 1.0)
    touch.send("Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]})
    for step in range(1, 11):
        x, y = place(track, 1.0 + step / 2)
        touch.send("Input.dispatchTouchEvent", {"type": "touchMove", "touchPoints": [{"x": x, "y": y}]})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    expect(track).to_have_attribute("aria-valuenow", re.compile(r"^(5\.[89]|6)"), timeout=IDLE_MS)

    expect_numbers(page, logits_on_screen(page), 0)
    live(page).get_by_text("class 1", exact=True).tap()
    expect_numbers(page, logits_on_screen(page), 1)
    journal.assert_quiet()
    context.close()


@pytest.mark.long
def test_a_place_of_the_drag_is_asked_for_once(page: Page, app_url: str) -> None:
    sent: list[bytes] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda payload: sent.append(bytes(payload))))
    open_live(page, app_url)
    track = slider(page, "class 1")
    page.mouse.move(*place(track, 2))
    page.mouse.down()

    for value in (4, 6, 8):
        sent.clear()
        page.mouse.move(*place(track, value))
        expect_numbers(page, [1, value, 3], 0)

        # every message holds what all widgets hold; the one that the hand rests may have left meanwhile
        assert len([one for one in sent if b'"sequence"' in one and b'"rested"' not in one]) == 1


@pytest.mark.long
def test_the_pictures_follow_when_the_hand_rests(page: Page, app_url: str) -> None:
    open_live(page, app_url)

    slider(page, "class 1").press("End")

    expect_numbers(page, [1, 10, 3], 0)
    expect(page.locator(".st-key-live_table table")).to_contain_text("10.0000", timeout=IDLE_MS)
    expect(page.get_by_role("combobox", name="along the logit of")).to_have_value("class 1", timeout=IDLE_MS)
    expect_numbers(page, [1, 10, 3], 0)


@pytest.mark.long
def test_the_row_goes_into_the_batch(page: Page, app_url: str) -> None:
    open_live(page, app_url, "worked-batch")
    slider(page, "class 0").press("End")
    expect_numbers(page, [10, 2, 3], 2)

    page.get_by_role("button", name="Use this row in the batch").click()
    wait_idle(page)
    go_to(page, "Batch")

    expect(editor(page, "logits").locator("#glide-cell-1-0")).to_have_text("10", timeout=IDLE_MS)
    expected = F.cross_entropy(torch.tensor([[10.0, 2, 3], [1, 2, 3], [1, 2, 3]]), torch.tensor([2, 1, 0]))
    expect(page.locator(".st-key-loss").get_by_test_id("stMetricValue")).to_have_text(number(expected.item()))


@pytest.mark.long
def test_the_row_is_still_there_after_a_look_at_another_page(page: Page, app_url: str) -> None:
    open_live(page, app_url)
    slider(page, "class 0").press("End")
    expect_numbers(page, [10, 2, 3], 0)

    go_to(page, "Step by step")
    go_to(page, "One example")
    expect_numbers(page, [10, 2, 3], 0)
    slider(page, "class 1").press("Home")

    expect_numbers(page, [10, -10, 3], 0)


@pytest.mark.long
def test_names_run_nothing_and_fetch_nothing(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, f"{app_url}/?preset=worked-row-0")
    page.get_by_role("button", name="Rows and classes").click()
    area = page.get_by_label("Class names, one per line")
    area.fill("\n".join(HOSTILE))
    area.press("ControlOrMeta+Enter")
    expect(page.locator(".st-key-why").filter(has_text="![z1](http:")).to_be_visible(timeout=IDLE_MS)
    page.keyboard.press("Escape")

    go_to(page, "One example")
    for name in HOSTILE:
        expect(live(page).get_by_text(name, exact=True)).to_be_visible(timeout=IDLE_MS)
        expect(slider(page, name)).to_be_visible()

    slider(page, HOSTILE[1]).press("End")
    expect_numbers(page, [1, 10, 3], 0)
    journal.assert_quiet()


@pytest.mark.long
@pytest.mark.parametrize("size", [DESKTOP, PHONE])
@pytest.mark.parametrize("preset", ["worked-row-0", "digits"])
def test_the_page_fits(page: Page, app_url: str, size: tuple[int, int], preset: str) -> None:
    page.set_viewport_size({"width": size[0], "height": size[1]})
    page.goto(f"{app_url}/one-example?preset={preset}")
    expect(quantity(page, "loss")).to_be_visible(timeout=IDLE_MS)
    wait_idle(page)

    for selector in ("[data-testid=stMain]", ".xent-live"):
        assert page.locator(selector).evaluate("node => node.scrollWidth <= node.clientWidth"), selector
    box = slider(page, "class 0" if preset == "worked-row-0" else "digit 0").bounding_box()
    assert box is not None
    assert box["width"] > 100
