"""The doctor and the comparison in Chromium: a message pasted, every example walked through, a pin compared."""

import pytest
from playwright.sync_api import Page, expect

from harness.browser import IDLE_MS, Journal, go_to, open_page, wait_idle
from xent_core.doctor.findings import TITLES
from xent_core.doctor.pitfalls import PITFALLS
from xent_ui.compare_settings.examples import EXAMPLES


def test_a_pasted_error_message_leads_to_its_pitfall(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, f"{app_url}/doctor")
    page.get_by_text("Paste an error message").click()
    box = page.get_by_label("Error message, or the whole traceback")
    box.fill("IndexError: Target 3 is out of bounds.")
    box.press("ControlOrMeta+Enter")

    expect(page.locator(".st-key-source")).to_contain_text("A label is out of range", timeout=IDLE_MS)
    expect(page.locator(".st-key-pitfall_wrong")).to_contain_text("Target 3 is out of bounds", timeout=IDLE_MS)
    expect(page.locator(".st-key-pitfall_right .js-plotly-plot").last).to_be_visible(timeout=IDLE_MS)
    journal.assert_quiet()


def test_what_was_seen_is_typed_and_answered_above_everything_else(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/doctor")
    box = page.get_by_label("What do you see?")
    box.fill("loss stuck at 1.46")
    box.press("Enter")

    expect(page.locator(".st-key-symptom")).to_contain_text("Remove the softmax layer", timeout=IDLE_MS)
    expect(page.locator(".st-key-symptom")).to_contain_text("with 10 classes")
    expect(page.locator(".st-key-pitfall_wrong")).to_contain_text("F.softmax", timeout=IDLE_MS)


@pytest.mark.long
def test_a_pin_is_compared_with_what_came_after(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, app_url)
    page.get_by_role("button", name="Pin as A").click()
    wait_idle(page)
    page.get_by_role("combobox", name="reduction").first.click()
    page.get_by_role("option", name="sum", exact=True).click()
    expect(page.locator(".st-key-loss").get_by_test_id("stMetricValue")).to_have_text("4.2228", timeout=IDLE_MS)
    go_to(page, "Compare settings")

    expect(page.locator(".st-key-words")).to_contain_text("3 times that of A", timeout=IDLE_MS)
    expect(page.locator(".st-key-loss_a")).to_contain_text("1.4076")
    expect(page.locator(".st-key-loss_b")).to_contain_text("4.2228")
    page.reload()

    expect(page.locator(".st-key-words")).to_contain_text("3 times that of A", timeout=IDLE_MS)
    expect(page.locator(".st-key-loss_a")).to_contain_text("1.4076")
    journal.assert_quiet()


@pytest.mark.long
def test_every_example_of_the_comparison_is_drawn(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, f"{app_url}/compare-settings")
    said = {
        "encodings": "2 times that of A",
        "smoothing": "less on class 2",
        "reductions": "3 times that of A",
        "dtypes": "within the rounding of float16",
        "micro-batches": "mean of their means",
    }
    assert set(said) == set(EXAMPLES)

    for name, words in said.items():
        page.locator(f".st-key-example_{name} button").click()
        expect(page.locator(".st-key-words")).to_contain_text(words, timeout=IDLE_MS)
        expect(page.locator(".st-key-gradient_difference .js-plotly-plot").last).to_be_visible(timeout=IDLE_MS)
    journal.assert_quiet()


@pytest.mark.long
def test_every_pitfall_is_drawn(page: Page, app_url: str, journal: Journal) -> None:
    open_page(page, f"{app_url}/doctor")

    for code, pitfall in PITFALLS.items():
        box = page.locator(".st-key-pitfall").get_by_role("combobox").first
        box.click()
        box.fill(TITLES[code])
        page.get_by_role("option", name=f"{TITLES[code]} · {code}", exact=True).click()
        shown = page.locator(".st-key-pitfall_wrong").get_by_test_id("stCode")
        expect(shown.filter(has_text=pitfall.wrong.code.splitlines()[-1])).to_be_visible(timeout=IDLE_MS)
        expect(page.locator(".st-key-pitfall_right .js-plotly-plot").last).to_be_visible(timeout=IDLE_MS)
    journal.assert_quiet()
