"""From an edit to the new picture, and from a link to the first one: our app against a bare Streamlit app.

Both apps show logits of the same size and two heatmaps; edits and visits alternate between them.
The clock is the page's own: from the Enter that sends the edit, or from the start of the navigation, to the animation
frame in which both matrices hold new numbers and the loss is another.
"""

import contextlib
import statistics

import torch
from playwright.sync_api import Browser, Error, Page, sync_playwright

from harness.browser import ROOT, desktop_page, editor, launch, open_page, serve, type_into_cell, wait_idle
from harness.ratios import Result, alternate, p95
from xent_core import Problem
from xent_core.codec import to_token

EDITS = 16
VISITS = 5
AIMS = {3: 0.3, 10: 0.3, 30: 0.35, 64: 0.45}  # the median of an edit over the bare app's, by rows and classes
AIM_OF_SLOWEST = 0.8  # of the p95
AIM_OF_FIRST_PAINT = 0.75
WAIT_MS = 30_000
TRIES = 5

# What is drawn of both matrices and the loss as one text, "" while something is missing.
DRAWN = """
window.drawn = () => {
    const numbers = key => {
        const ours = document.querySelector(`.st-key-${key} .heatmap`);
        if (ours) return ours.values;
        const plot = document.querySelector(`.st-key-${key} .js-plotly-plot`);
        const heat = plot?.calcdata?.map(([drawn]) => drawn).find(drawn => drawn.trace?.type === 'heatmap');
        return plot?.querySelector('.heatmaplayer image') ? heat?.z.map(row => Array.from(row)) : undefined;
    };
    const parts = [numbers('probs'), numbers('grad'),
        document.querySelector('.st-key-loss [data-testid=stMetricValue]')?.textContent];
    return parts.every(Boolean) ? parts.map(part => JSON.stringify(part)) : null;
};
"""
NOTE_FIRST_PAINT = """
window.firstPaint = new Promise(done => {
    const look = () => window.drawn() ? done(performance.now()) : requestAnimationFrame(look);
    requestAnimationFrame(look);
});
"""
NOTE_NEXT_EDIT = """() => {
    const before = window.drawn();
    window.edited = new Promise((done, fail) => addEventListener('keydown', () => {
        const sent = performance.now();
        setTimeout(() => fail(new Error('no new picture in 5 s')), 5_000);
        const look = () => {
            const now = window.drawn();
            if (now?.every((part, i) => part !== before[i])) done(performance.now() - sent);
            else requestAnimationFrame(look);
        };
        requestAnimationFrame(look);
    }, {capture: true, once: true}));
}"""


def measure() -> list[Result]:
    """The edit at every size and the first paint, each ours over bare."""
    results = []
    with (
        serve(ROOT / "benchmarks" / "bare_app.py", "--runner.postScriptGC=true") as bare,  # as Streamlit comes
        serve() as ours,
        sync_playwright() as playwright,
    ):
        browser = launch(playwright)
        for size, aim in AIMS.items():
            urls = {"bare": f"{bare.url}/?size={size}", "ours": f"{ours.url}/?p={_token(size)}"}
            pages = {name: _open(browser, url) for name, url in urls.items()}
            edits = alternate(EDITS, pages, lambda page, i, size=size: _edit(page, i, size))
            name = f"edit to new picture, {size}×{size}"
            results += [
                _result(name, edits, statistics.median, limit=5 * aim, aim=aim),
                _result("  its p95", edits, p95, limit=5 * AIM_OF_SLOWEST, aim=AIM_OF_SLOWEST),
            ]
            for page in pages.values():
                page.context.close()
        urls = {"bare": f"{bare.url}/", "ours": f"{ours.url}/?preset=digits"}
        paints = alternate(VISITS, urls, lambda url, _: _first_paint(browser, url))
        browser.close()
    return [*results, _result("first paint", paints, statistics.median, limit=1.15, aim=AIM_OF_FIRST_PAINT)]


def _token(size: int) -> str:
    # few different numbers, so that 64×64 fit into a link
    logits = torch.randint(-2, 3, (size, size), generator=torch.Generator().manual_seed(0)).float()
    return to_token(Problem(logits, torch.arange(size)))


def _result(name: str, taken: dict[str, list[float]], measure_of, *, limit: float, aim: float) -> Result:
    ours, bare = measure_of(taken["ours"]), measure_of(taken["bare"])
    return Result(name, ours / bare, limit, f"{ours:.0f} ms against {bare:.0f} ms", aim)


def _first_paint(browser: Browser, url: str) -> float:
    """Milliseconds from the start of the navigation, with nothing in the browser's cache."""
    page = desktop_page(browser)
    page.set_default_timeout(WAIT_MS)
    page.add_init_script(DRAWN + NOTE_FIRST_PAINT)
    page.goto(url, wait_until="commit")
    milliseconds: float = page.evaluate("() => window.firstPaint")
    page.context.close()
    return milliseconds


def _open(browser: Browser, url: str) -> Page:
    page = desktop_page(browser)
    page.add_init_script(DRAWN)
    open_page(page, url)
    page.wait_for_function("() => window.drawn()", timeout=WAIT_MS)
    return page


def _edit(page: Page, i: int, size: int) -> float:
    """Milliseconds from Enter to the new picture; a different cell and a different number every time."""
    row, class_ = i % min(size, 10), 3 * i % min(size, 10)  # those that are on screen at every size
    for attempt in range(TRIES):  # a bare app loses edits
        text = f"{3 + i / 16 + attempt / 1000}"
        type_into_cell(page, editor(page, "logits"), row, class_ + 1, text)  # column 0 is the row's name
        page.evaluate(NOTE_NEXT_EDIT)
        page.keyboard.press("Enter")
        with contextlib.suppress(Error):
            milliseconds: float = page.evaluate("() => window.edited")
            wait_idle(page)
            return milliseconds
    raise RuntimeError(f"{TRIES} numbers were typed at {page.url}, and none was answered.")
