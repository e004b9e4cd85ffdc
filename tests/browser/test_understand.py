"""Implementations and precision in Chromium: what moves when the visitor moves something."""

import pytest
from playwright.sync_api import Page, expect

from harness.browser import IDLE_MS, Journal, go_to, metric, open_page, wait_idle

PHONE = {"width": 390, "height": 844}


def fits(page: Page) -> bool:
    """Whether nothing reaches beyond the right edge of the page."""
    result: bool = page.evaluate(
        "() => { const main = document.querySelector('[data-testid=stMain]');"
        " return main.scrollWidth <= main.clientWidth; }"
    )
    return result


@pytest.mark.long
def test_large_logits_break_three_routes(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, f"{app_url}/implementations")
    expect(metric(page, "implementations")).to_have_text("1.4076", timeout=IDLE_MS)
    expect(page.locator(".st-key-implementations")).to_contain_text("100.0000", timeout=IDLE_MS)
    table = page.locator(".st-key-routes table")
    at_first = table.bounding_box()

    expect(page.locator(".st-key-why_not")).to_contain_text("e^z overflows float32")
    expect(page.locator(".st-key-routes")).to_contain_text("inf in the loss")

    slider = page.locator(".st-key-logit_scales").get_by_role("slider")
    for _ in range(6):  # 50, 20, 10, 5, 2, 1
        slider.press("ArrowLeft")
    expect(page.locator(".st-key-implementations")).to_contain_text("10 of 10", timeout=IDLE_MS)
    assert table.bounding_box() == at_first  # though it says less, and what is beside it has gone
    journal.assert_quiet()


def test_the_float16_mean_overflows_and_the_batch_comes_back(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, f"{app_url}/precision")
    table = page.locator(".st-key-dtypes table")
    expect(table).to_contain_text("1.4062", timeout=IDLE_MS)

    page.get_by_text("float16: the mean overflows").click()
    expect(table).to_contain_text("3.9688", timeout=IDLE_MS)
    expect(page.locator(".st-key-precision_findings")).to_contain_text("float16 ends at 65504")

    page.get_by_text("Your batch").click()
    expect(table).to_contain_text("1.4062", timeout=IDLE_MS)
    journal.assert_quiet()


@pytest.mark.long
@pytest.mark.parametrize("place", ["implementations", "precision"])
def test_the_pages_fit_a_phone(page: Page, app_url: str, place: str) -> None:
    open_page(page, f"{app_url}/?preset=ignored-row")
    go_to(page, place.capitalize())
    expect(page.locator(f".st-key-{place}")).to_be_visible(timeout=IDLE_MS)

    page.set_viewport_size(PHONE)
    wait_idle(page)

    assert fits(page)


@pytest.mark.long
def test_what_a_phone_cuts_of_a_table_scrolls_beside_its_names(page: Page, app_url: str) -> None:
    page.set_viewport_size(PHONE)
    open_page(page, f"{app_url}/implementations")
    table = page.locator(".st-key-break_map table")
    expect(table).to_be_visible(timeout=IDLE_MS)
    name, last = table.locator("tbody th").first, table.locator("thead th").last
    before = name.bounding_box()

    table.evaluate("table => table.parentElement.scrollTo(1000, 0)")

    assert name.bounding_box() == before
    end, room = last.bounding_box(), table.locator("..").bounding_box()
    assert end is not None
    assert room is not None
    assert end["x"] + end["width"] <= room["x"] + room["width"] + 1
