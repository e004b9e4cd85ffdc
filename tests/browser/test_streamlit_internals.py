"""Where the browser lacks a name of Streamlit's that the app looks for, the page takes the slow way and works."""

import pytest
from playwright.sync_api import Page, expect

from harness.browser import IDLE_MS, open_page

NOT_FOUND = """const find = Document.prototype.querySelector
Document.prototype.querySelector = function (selector) {
  return selector.startsWith(%r) ? null : find.call(this, selector)
}"""


@pytest.mark.parametrize("name", [".st-key-live_frame", "script[type=module]"])
def test_one_example_answers_without_a_name_that_streamlit_may_change(page: Page, app_url: str, name: str) -> None:
    page.add_init_script(NOT_FOUND % name)
    open_page(page, f"{app_url}/?preset=worked-row-0&page=one-example")
    loss = page.locator(".st-key-live [data-quantity=loss]")
    expect(loss).to_have_text("2.4076", timeout=IDLE_MS)

    page.locator(".st-key-live").get_by_role("slider").first.press("ArrowRight")
    expect(loss).not_to_have_text("2.4076", timeout=IDLE_MS)
