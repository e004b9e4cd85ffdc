"""What a person does on the step by step page, in Chromium."""

import re

import pytest
import torch
import torch.nn.functional as F
from playwright.sync_api import Locator, Page, expect

from harness.browser import IDLE_MS, Journal, go_to, open_page, wait_idle

STEPS = 11
LOGITS = [1.0, 2.0, 3.0]


def open_step_by_step(page: Page, url: str) -> None:
    open_page(page, f"{url}/step-by-step?preset=worked-batch")
    expect(lines(page)).to_have_count(2 * STEPS, timeout=30_000)
    wait_idle(page)


def lines(page: Page) -> Locator:
    """The rows of the chain's tables: the values, and the gradients."""
    return page.locator(".st-key-chain tbody tr")


def place(page: Page) -> Locator:
    return page.locator(".st-key-stepper").get_by_test_id("stProgress")


def expect_place(page: Page, index: int) -> None:
    expect(place(page)).to_contain_text(f"step {index} of {2 * STEPS} ·", timeout=IDLE_MS)


def made(page: Page) -> list[float]:
    """The numbers that the present step makes, as the table of the chain shows them."""
    texts = lines(page).locator("strong").all_inner_texts()
    return [float(text.replace("−", "-")) for text in texts]


def expect_made(page: Page, numbers: list[float]) -> None:
    """The table follows the place a moment later."""
    expected = pytest.approx(numbers, abs=5.1e-5)
    for _ in range(100):
        if made(page) == expected:
            return
        page.wait_for_timeout(100)

    assert made(page) == expected


def chain_of_row_0() -> list[torch.Tensor]:
    """The chain of [1, 2, 3] with label 2 in a batch of three, in PyTorch and by hand."""
    z = torch.tensor(LOGITS, requires_grad=True)
    a = z / 1.0
    m = a.max()
    s = a - m
    e = s.exp()
    total = e.sum()
    p = e / total
    log_p = p.log()
    t = log_p * F.one_hot(torch.tensor(2), 3)
    row_loss = -t.sum()
    chain = [z, a, m, s, e, total, p, log_p, t, row_loss, row_loss / 3]
    for step in chain:
        step.retain_grad()
    chain[-1].backward()
    return chain


@pytest.mark.long
def test_the_keyboard_walks_from_the_logits_to_the_loss_and_back(page: Page, app_url: str, journal: Journal) -> None:
    open_step_by_step(page, app_url)
    chain = chain_of_row_0()
    expected = [step.detach() for step in chain] + [step.grad for step in reversed(chain)]

    for index, tensor in enumerate(expected, start=1):
        expect_place(page, index)
        expect_made(page, tensor.reshape(-1).tolist())
        page.keyboard.press("ArrowRight")

    expect_place(page, 2 * STEPS)
    page.keyboard.press("ArrowLeft")
    expect_place(page, 2 * STEPS - 1)
    journal.assert_quiet()


def test_the_last_step_is_the_gradient_of_pytorch(page: Page, app_url: str) -> None:
    open_step_by_step(page, app_url)
    z = torch.tensor([LOGITS] * 3, requires_grad=True)
    F.cross_entropy(z, torch.tensor([2, 1, 0])).backward()
    assert z.grad is not None

    page.get_by_role("button", name="End").click()
    expect_place(page, 2 * STEPS)

    expect_made(page, z.grad[0].tolist())


@pytest.mark.long
def test_play_goes_on_by_itself_and_p_pauses_it(page: Page, app_url: str) -> None:
    open_step_by_step(page, app_url)

    page.keyboard.press("p")
    expect_place(page, 3)
    page.keyboard.press("p")
    expect(page.get_by_role("button", name=re.compile("Play"))).to_be_visible()
    held = place(page).inner_text()
    page.wait_for_timeout(2_500)

    assert place(page).inner_text() == held


@pytest.mark.long
def test_play_stops_at_the_end(page: Page, app_url: str) -> None:
    open_step_by_step(page, app_url)
    page.get_by_role("button", name="End").click()
    expect_place(page, 2 * STEPS)
    page.keyboard.press("ArrowLeft")
    expect_place(page, 2 * STEPS - 1)

    page.keyboard.press("p")

    expect_place(page, 2 * STEPS)
    expect(page.get_by_role("button", name=re.compile("Play"))).to_be_visible()


@pytest.mark.long
def test_arrows_typed_into_a_field_do_not_step(page: Page, app_url: str) -> None:
    open_step_by_step(page, app_url)

    page.get_by_role("combobox", name="class k in the formula").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(800)

    expect_place(page, 1)


@pytest.mark.long
def test_a_bar_that_is_clicked_puts_its_class_into_the_formula(page: Page, app_url: str) -> None:
    open_step_by_step(page, app_url)
    for index in range(2, 8):
        page.keyboard.press("ArrowRight")
        expect_place(page, index)
    expect(page.locator(".st-key-step annotation").first).to_contain_text("p_{2} =")

    page.locator(".st-key-step_bars .bars .point").nth(1).locator("path").click(force=True)

    expect(page.locator(".st-key-step annotation").first).to_contain_text(r"p_{1} = \frac{0.3679}{1.5032} = 0.2447")


@pytest.mark.long
def test_the_place_is_kept_while_another_page_is_looked_at(page: Page, app_url: str) -> None:
    open_step_by_step(page, app_url)
    page.keyboard.press("ArrowRight")
    expect_place(page, 2)

    go_to(page, "Batch")
    go_to(page, "Step by step")

    expect_place(page, 2)


# where the tables of the chain lie on the page, and how far what is in them reaches
PLACES = """() => [...document.querySelectorAll('.st-key-chain table')].map(table => {
    const { top, left, width } = table.getBoundingClientRect()
    return [top + document.querySelector('[data-testid=stMain]').scrollTop, left, width,
            table.parentElement.scrollWidth - table.parentElement.clientWidth]
})"""


@pytest.mark.long
@pytest.mark.parametrize("width", [390, 1440])
def test_the_tables_of_the_chain_stand_still_while_one_steps(page: Page, app_url: str, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    open_step_by_step(page, app_url)
    expect(page.locator(".st-key-step_bars .bars")).to_be_visible(timeout=IDLE_MS)  # it loads late
    first = page.evaluate(PLACES)
    place_of_button = page.get_by_role("button", name="Next").bounding_box()

    assert len(first) == 2
    assert [hidden for *_place, hidden in first] == [0, 0]
    for index in (3, 5, 8, 13, 2 * STEPS):  # of one number, of many words, of a long formula, backward, the last
        while int(place(page).inner_text().split()[1]) < index:
            before = place(page).inner_text()
            page.keyboard.press("ArrowRight")
            expect(place(page)).not_to_have_text(before, timeout=IDLE_MS)
        expect(page.locator(".st-key-chain th", has_text="▶")).to_have_count(1)
        wait_idle(page)
        for now, at_first in zip(page.evaluate(PLACES), first, strict=True):
            assert now == pytest.approx(at_first, abs=1), index
    assert page.get_by_role("button", name="Next").bounding_box() == place_of_button
