"""The first visitor of a fresh server, who comes by a link to a page."""

import pytest
from playwright.sync_api import Page, expect

from harness.browser import IDLE_MS, Journal, metric, serve, wait_idle

pytestmark = pytest.mark.long


def test_a_link_to_a_page_opens_it_on_a_server_that_nobody_has_visited(page: Page, journal: Journal) -> None:
    documents: list[str] = []
    page.on("request", lambda request: documents.append(request.url) if request.resource_type == "document" else None)
    with serve() as server:
        link = f"{server.url}/step-by-step?preset=digits"
        page.goto(link)
        page.wait_for_function("() => performance.getEntriesByType('navigation')[0].type === 'reload'", timeout=IDLE_MS)
        # what Streamlit says of the first look, which nobody sees for long; the second must be quiet
        assert all("does not seem to exist" in error for error in journal.errors), journal.errors
        journal.errors.clear()
        expect(page.locator(".st-key-stepper")).to_be_visible(timeout=IDLE_MS)
        wait_idle(page)

        expect(page.get_by_text("Page not found")).to_have_count(0)
        assert page.url == link
        assert documents == [link, link]

        page.goto(f"{server.url}/implementations")
        expect(metric(page, "implementations")).to_be_visible(timeout=IDLE_MS)
        wait_idle(page)

        assert page.evaluate("performance.getEntriesByType('navigation')[0].type") == "navigate"
        journal.assert_quiet()
