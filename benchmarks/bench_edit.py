"""From an edit to the new picture, and from a link to the first one: our app against a bare Streamlit app.

Both apps show 10×10 logits and two heatmaps; edits and visits alternate between them.
The clock is the page's own: from the Enter that sends the edit, or from the start of the navigation,
to the animation frame in which the heatmap of the probabilities holds the new numbers.
"""

import statistics

from playwright.sync_api import Browser, Page, sync_playwright

from harness.browser import ROOT, desktop_page, editor, launch, open_page, serve, type_into_cell, wait_idle
from harness.ratios import Result, alternate

EDITS = 20
VISITS = 5
ROWS = CLASSES = 10
WAIT_MS = 30_000

# The heatmap's numbers once it is drawn, else undefined.
DRAWN_Z = """
window.drawnZ = () => {
    const plot = document.querySelector('.st-key-probs .js-plotly-plot');
    const heat = plot?.calcdata?.map(([drawn]) => drawn).find(drawn => drawn.trace?.type === 'heatmap');
    return plot?.querySelector('.heatmaplayer image') ? heat?.z : undefined;
};
"""
NOTE_FIRST_PAINT = """
window.firstPaint = new Promise(done => {
    const look = () => window.drawnZ() ? done(performance.now()) : requestAnimationFrame(look);
    requestAnimationFrame(look);
});
"""
NOTE_NEXT_EDIT = """row => {
    const before = JSON.stringify(Array.from(window.drawnZ()[row]));
    window.edited = new Promise(done => addEventListener('keydown', () => {
        const sent = performance.now();
        const look = () => {
            const z = window.drawnZ();
            if (z && JSON.stringify(Array.from(z[row])) !== before) done(performance.now() - sent);
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, {capture: true, once: true}));
}"""


def measure() -> list[Result]:
    """The edit and the first paint, each ours over bare."""
    with (
        serve(ROOT / "benchmarks" / "bare_app.py", "--runner.postScriptGC=true") as bare,  # as Streamlit comes
        serve() as ours,
        sync_playwright() as playwright,
    ):
        urls = {"bare": f"{bare.url}/", "ours": f"{ours.url}/?preset=digits"}
        browser = launch(playwright)
        for url in urls.values():
            _first_paint(browser, url)  # the server's own first run, with its imports, is not what is compared
        paints = alternate(VISITS, urls, lambda url, _: _first_paint(browser, url))
        pages = {name: _open(browser, url) for name, url in urls.items()}
        edits = alternate(EDITS, pages, _edit)
        browser.close()
    return [
        _result("edit to new picture", edits, limit=0.85, aim=0.75),
        _result("first paint", paints, limit=1.15),
    ]


def _result(name: str, taken: dict[str, list[float]], *, limit: float, aim: float | None = None) -> Result:
    ours, bare = statistics.median(taken["ours"]), statistics.median(taken["bare"])
    return Result(name, ours / bare, limit, f"{ours:.0f} ms against {bare:.0f} ms", aim)


def _first_paint(browser: Browser, url: str) -> float:
    """Milliseconds from the start of the navigation, with nothing in the browser's cache."""
    page = desktop_page(browser)
    page.set_default_timeout(WAIT_MS)
    page.add_init_script(DRAWN_Z + NOTE_FIRST_PAINT)
    page.goto(url, wait_until="commit")
    milliseconds: float = page.evaluate("() => window.firstPaint")
    page.context.close()
    return milliseconds


def _open(browser: Browser, url: str) -> Page:
    page = desktop_page(browser)
    page.add_init_script(DRAWN_Z)
    open_page(page, url)
    page.wait_for_function("() => window.drawnZ()", timeout=WAIT_MS)
    _edit(page, -1)  # the first edit also loads the code of the editor
    return page


def _edit(page: Page, i: int) -> float:
    """Milliseconds from Enter to the new picture; a different cell and a different number every time."""
    row, class_ = i % ROWS, 3 * i % CLASSES
    type_into_cell(page, editor(page, "logits"), row, class_ + 1, f"{1 + i / 16}")  # column 0 is the row's name
    page.evaluate(NOTE_NEXT_EDIT, row)
    page.keyboard.press("Enter")
    milliseconds: float = page.evaluate("() => window.edited")
    wait_idle(page)
    return milliseconds
