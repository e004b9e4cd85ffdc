"""Gradient descent in Chromium: what is played moves without the server, and one can go on from where it ends."""

import pytest
from playwright.sync_api import Page, expect

from harness.browser import IDLE_MS, expect_heatmap, metric, open_page, wait_drawn

pytestmark = pytest.mark.browser

START = [[0.0900, 0.2447, 0.6652]] * 3


def open_descent(page: Page, app_url: str) -> None:
    open_page(page, f"{app_url}/gradient-descent")
    expect(page.locator(".st-key-player .js-plotly-plot .slider-group")).to_be_visible(timeout=IDLE_MS)
    wait_drawn(page)
    expect_heatmap(page, "player", START)


def step_shown(page: Page) -> str:
    return page.locator(".st-key-player .slider-label").first.text_content() or ""


def test_play_moves_the_pictures_without_the_server(page: Page, app_url: str) -> None:
    open_descent(page, app_url)
    sent: list[object] = []
    page.on("websocket", lambda socket: sent.append(socket))
    page.locator(".st-key-player .js-plotly-plot").evaluate("plot => { plot.__mark = 1; }")

    page.locator(".st-key-player .updatemenu-button").filter(has_text="Play").click()

    page.wait_for_function(
        """() => {
            const plot = document.querySelector('.st-key-player .js-plotly-plot');
            return plot.__mark === 1 && plot.calcdata[0][0].z[2][0] > 0.5;
        }""",
        timeout=IDLE_MS,
    )
    assert step_shown(page) != "step 0"
    assert not sent


@pytest.mark.long
def test_what_is_played_does_not_flash(page: Page, app_url: str) -> None:
    open_descent(page, app_url)
    page.evaluate(
        """() => {
            window.drawn = [];
            const look = () => {
                window.drawn.push(document.querySelectorAll('.st-key-player .heatmaplayer image').length);
                requestAnimationFrame(look);
            };
            requestAnimationFrame(look);
        }"""
    )

    page.locator(".st-key-player .updatemenu-button").filter(has_text="Play").click()
    page.wait_for_function(
        "() => document.querySelector('.st-key-player .slider-label').textContent.includes('20')", timeout=IDLE_MS
    )

    drawn = page.evaluate("() => window.drawn")
    assert len(drawn) > 20
    assert set(drawn) == {3}  # logits, probabilities, gradient


@pytest.mark.long
def test_a_click_on_the_scrubber_shows_that_step(page: Page, app_url: str) -> None:
    open_descent(page, app_url)
    rail = page.locator(".st-key-player .slider-rail-touch-rect")
    box = rail.bounding_box()
    assert box is not None

    page.mouse.click(box["x"] + box["width"] - 2, box["y"] + box["height"] / 2)

    page.wait_for_function(
        "() => document.querySelector('.st-key-player .slider-label').textContent.includes('50')", timeout=IDLE_MS
    )
    page.wait_for_function(  # the picture follows its label
        "() => document.querySelector('.st-key-player .js-plotly-plot').calcdata[0][0].z[2][0] > 0.9", timeout=IDLE_MS
    )


def test_continue_leads_to_the_batch_page_with_the_logits_reached(page: Page, app_url: str) -> None:
    open_descent(page, app_url)
    reached = page.locator(".st-key-descent").get_by_test_id("stMetricValue").nth(1).inner_text()

    page.get_by_role("button", name="Continue from here").click()

    expect(page.locator(".st-key-logits")).to_be_visible(timeout=IDLE_MS)
    expect(metric(page, "loss")).to_have_text(reached, timeout=IDLE_MS)


@pytest.mark.long
def test_a_narrow_window_shows_all_of_it(page: Page, app_url: str) -> None:
    page.set_viewport_size({"width": 390, "height": 844})
    open_page(page, f"{app_url}/gradient-descent")
    expect(page.locator(".st-key-player .js-plotly-plot .slider-group")).to_be_visible(timeout=IDLE_MS)
    wait_drawn(page)

    expect_heatmap(page, "player", START)
    assert page.evaluate("() => document.documentElement.scrollWidth <= window.innerWidth")
