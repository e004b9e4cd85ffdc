"""From a step of the live example to its new numbers, for a hand that pauses between its steps.

People step and look. What follows from a row is drawn when the hand rests, and must not hold up the next step: the
median and the p95 at every pause are compared with those at the longest, at which all has been drawn long ago.
"""

import math
import statistics

from playwright.sync_api import Page, sync_playwright

from benchmarks.bench_drag import TIME_NEXT
from harness.browser import desktop_page, go_to, launch, open_page, serve, wait_idle
from harness.ratios import Result

PAUSES_MS = (20, 100, 200, 350, 600, 1000)
LONGEST_MS = 2500
STEPS, LONGEST_STEPS = 32, 16  # as many to the left as to the right
AIM, LIMIT = 1.2, 6.0
SLIDER = ".st-key-live [role=slider]"
LOSS = ".st-key-live [data-quantity=loss]"


def measure() -> list[Result]:
    """The steps of the arrow keys at every pause, over those at the longest."""
    with serve() as server, sync_playwright() as playwright:
        browser = launch(playwright)
        page = desktop_page(browser)
        open_page(page, f"{server.url}/?preset=worked-batch")
        go_to(page, "One example")
        page.locator(SLIDER).first.wait_for()
        wait_idle(page)
        _steps(page, LONGEST_MS, 3)
        rested = _steps(page, LONGEST_MS, LONGEST_STEPS)
        results = []
        for pause in PAUSES_MS:
            taken = _steps(page, pause, STEPS)
            for name, measure_of in (("median", statistics.median), ("p95", _p95)):
                ours, theirs = measure_of(taken), measure_of(rested)
                detail = f"{ours:.0f} ms against {theirs:.0f} ms"
                results.append(Result(f"step after {pause} ms, {name}", ours / theirs, LIMIT, detail, AIM))
        browser.close()
    return results


def _steps(page: Page, pause_ms: int, count: int) -> list[float]:
    """Milliseconds of so many steps of an arrow key, each so long after the answer to the last."""
    page.locator(SLIDER).first.focus()
    taken = []
    for i in range(count):
        page.evaluate(TIME_NEXT, [LOSS, "keydown"])
        page.keyboard.press("ArrowRight" if i // 8 % 2 else "ArrowLeft")
        taken.append(float(page.evaluate("() => window.answered")))
        page.wait_for_timeout(pause_ms)
    return taken


def _p95(values: list[float]) -> float:
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]
