"""The matrix that we draw: a table to read, to copy and to reach by keyboard, a canvas where numbers have no room."""

import math

import pytest
import torch
from playwright.sync_api import Page, expect

from harness.browser import IDLE_MS, Journal, expect_heatmap, heatmap_z, open_page
from xent_core import Problem, evaluate
from xent_core.codec import to_token
from xent_ui.figures.theme import GRADIENT, stops

CELLS = ".st-key-grad .heatmap tbody td"


def open_problem(page: Page, url: str, problem: Problem) -> None:
    open_page(page, f"{url}/?p={to_token(problem)}")
    page.locator(".st-key-grad .heatmap td, .st-key-grad .heatmap canvas").first.wait_for(timeout=IDLE_MS)


def test_nan_and_infinities_are_named_and_have_no_colour(page: Page, app_url: str) -> None:
    problem = Problem([[0.0, -math.inf], [math.nan, 1.0]], [0, 1])
    open_problem(page, app_url, problem)

    expect_heatmap(page, "grad", evaluate(problem).grad_logits.tolist())
    expect(page.locator(CELLS).nth(2)).to_have_text("NaN")
    expect(page.locator(CELLS).nth(2)).to_have_css("background-color", "rgba(0, 0, 0, 0)")


def test_the_colours_and_the_outlines_follow_the_numbers(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?preset=worked-batch")
    least = page.locator(CELLS).nth(6)  # −0.3033, close to the end of the scale at −1/3
    expect(least).to_have_text("−0.3033", timeout=IDLE_MS)
    red, green, blue = (int(part) for part in least.evaluate("n => getComputedStyle(n).backgroundColor.match(/\\d+/g)"))
    (_, darkest), (_, next_one) = stops(GRADIENT)[:2]

    assert all(
        min(a, b) <= shown <= max(a, b) for shown, a, b in zip((red, green, blue), darkest, next_one, strict=True)
    )
    assert [int("target" in (cell.get_attribute("class") or "")) for cell in page.locator(CELLS).all()] == [
        *(0, 0, 1),
        *(0, 1, 0),
        *(1, 0, 0),
    ]


def test_arrow_keys_and_enter_reach_every_cell(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?preset=worked-batch")
    page.locator(CELLS).first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    tip = page.locator(".st-key-grad .tip")

    expect(tip).to_contain_text("(0.2447 − 1)/3 = −0.2518")
    expect(page.locator(f"{CELLS}:focus")).to_have_text("−0.2518")
    page.keyboard.press("Enter")
    expect(page.locator(".st-key-why annotation").first).to_contain_text("0.2447 - 1", timeout=IDLE_MS)
    page.keyboard.press("Escape")
    expect(tip).to_be_hidden()


def test_the_numbers_can_be_copied_as_a_table(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/?preset=worked-batch")
    expect(page.locator(CELLS).first).to_be_visible(timeout=IDLE_MS)
    copied = page.evaluate("""() => {
        getSelection().selectAllChildren(document.querySelector('.st-key-probs .heatmap tbody'));
        return getSelection().toString();
    }""")

    assert copied.split() == [text for row in range(3) for text in (str(row), "0.0900", "0.2447", "0.6652")]


def test_names_of_classes_are_shown_and_are_no_markup(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, f"{app_url}/?preset=worked-batch&classes=%3Cimg%20src%3Dx%3E%0Ab%0Ac")
    expect(page.locator(CELLS).first).to_be_visible(timeout=IDLE_MS)

    assert page.locator(".heatmap img").count() == 0


@pytest.mark.parametrize("size", [21, 64])
def test_above_20_by_20_a_canvas_holds_the_same_numbers(page: Page, app_url: str, size: int) -> None:
    problem = Problem(torch.eye(size), torch.arange(size))
    open_problem(page, app_url, problem)
    expect_heatmap(page, "probs", evaluate(problem).probs.tolist(), atol=1e-7)
    canvas = page.locator(".st-key-probs canvas")
    box = canvas.bounding_box()
    assert box is not None
    canvas.scroll_into_view_if_needed()
    canvas.hover(position={"x": box["width"] * 1.5 / size, "y": box["height"] * 1.5 / size})

    expect(page.locator(".st-key-probs .tip")).to_contain_text(str(heatmap_z(page, "probs")[1][1])[:8])
    inks = canvas.evaluate(
        """(node, size) => {
        const read = (row, label) => [...node.getContext('2d').getImageData(
            node.width * (label + 0.7) / size, node.height * (row + 0.5) / size, 1, 1).data].join();
        return [read(0, 0), read(1, 1), read(0, 2), read(2, 0)];
    }""",
        size,
    )
    assert inks[0] == inks[1] != inks[2] == inks[3]
    canvas.click(position={"x": box["width"] * 2.5 / size, "y": 20})
    expect(page.locator(".st-key-why")).to_contain_text("class 2", timeout=IDLE_MS)
