"""From a click in the menu to the last picture of the page, against a bare app whose page has as many pictures.

A picture is a matrix or a pair of axes with what is drawn in it: the path of a descent, its loss and its three other
curves are five, though Plotly draws them as one chart. Both sides come from pages with the same number of pictures,
another one than the page has. The clock is the page's own: from the click to the animation frame in which all
pictures stand, and the script has ended.
"""

import statistics

from playwright.sync_api import Browser, Page, sync_playwright

from harness.browser import IDLE_MS, ROOT, desktop_page, go_to, launch, open_page, serve, wait_drawn
from harness.ratios import Result, alternate

CHANGES = 7
AIM, LIMIT = 1.2, 6.0
PAGES = {
    "Batch": ("/", 2),
    "One example": ("/one-example", 5),
    "Compare settings": ("/compare-settings", 3),
    "Gradient descent": ("/gradient-descent", 5),
    "Step by step": ("/step-by-step", 5),
    "Implementations": ("/implementations", 2),
    "Precision": ("/precision", 5),
}

# The pictures that stand on the page: matrices of ours, and pairs of axes of Plotly (a triangle has none of them).
PICTURES = """
window.pictures = () => [...document.querySelectorAll('.heatmap, .js-plotly-plot')].filter(
    one => one.checkVisibility() && one.querySelector('table, canvas, .main-svg')
).reduce((count, one) => count + Math.max(1, one.querySelectorAll('.cartesianlayer .subplot').length), 0);
"""
NOTE_CHANGE = """([address, count]) => {
    const link = [...document.querySelectorAll('[data-testid=stSidebarNav] a')].find(
        one => new URL(one.href).pathname === address);
    const idle = '[data-test-connection-state=CONNECTED][data-test-script-state=notRunning]';
    return new Promise((done, fail) => {
        setTimeout(() => fail(new Error(`${window.pictures()} of ${count} pictures at ${address}`)), 20_000);
        const clicked = performance.now();
        link.click();
        const look = () => location.pathname === address && window.pictures() === count && document.querySelector(idle)
            ? done(performance.now() - clicked) : requestAnimationFrame(look);
        requestAnimationFrame(look);
    });
}"""


def measure() -> list[Result]:
    """The median change to each page that has pictures."""
    results = []
    with (
        serve(ROOT / "benchmarks" / "bare_pages.py") as bare,
        serve() as ours,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        pages = {"bare": _open(browser, bare.url), "ours": _open(browser, f"{ours.url}/?preset=worked-batch")}
        for title, (address, count) in PAGES.items():
            start, before = ("Doctor", 1) if count != 1 else ("Export", 2)
            sides = {
                "bare": (pages["bare"], f"{before} pictures", before, f"/pictures-{count}"),
                "ours": (pages["ours"], start, before, address),
            }
            taken = alternate(CHANGES, sides, lambda side, _, count=count: _change(*side, count), warm_up=1)
            median = {name: statistics.median(values) for name, values in taken.items()}
            detail = f"{median['ours']:.0f} ms against {median['bare']:.0f} ms, {count} pictures"
            results.append(Result(f"page change to {title}", median["ours"] / median["bare"], LIMIT, detail, AIM))
        browser.close()
    return results


def _open(browser: Browser, url: str) -> Page:
    page = desktop_page(browser)
    page.add_init_script(PICTURES)
    open_page(page, url)
    return page


def _change(page: Page, start: str, before: int, address: str, count: int) -> float:
    """Milliseconds from the click; the page from which it comes is not timed."""
    go_to(page, start)
    page.wait_for_function("before => window.pictures() === before", arg=before, timeout=IDLE_MS)
    wait_drawn(page)
    milliseconds: float = page.evaluate(NOTE_CHANGE, [address, count])
    wait_drawn(page)
    return milliseconds
