"""From a step of a drag to the new numbers on screen, 10 classes: our live component, beside Dash and Gradio.

Dash and Gradio cannot drag: there the same number is typed into a 10×10 table above two heatmaps.
The clock is the page's own: from the event that sends the edit to the animation frame that shows another loss.
The sides take turns, so that a slow machine is slow for all. Dash and Gradio are in requirements-bench.txt.
"""

import contextlib
import importlib.util
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, sync_playwright

from harness.browser import desktop_page, drag_fast, free_port, go_to, launch, open_page, serve, serve_module, wait_idle
from harness.ratios import Result, alternate

STEPS = 20
EVENTS, DRAG_SECONDS = 200, 2.0
AIM_MS = 60
TRIES = 5
SLIDER = ".st-key-live [role=slider]"

# The milliseconds from an event of this kind until the text is another one and painted.
TIME_NEXT = """([selector, kind]) => {
    const read = () => { const node = document.querySelector(selector); return node.value ?? node.textContent; };
    const before = read();
    window.answered = new Promise((done, fail) => addEventListener(kind, () => {
        const sent = performance.now();
        setTimeout(() => fail(new Error(`no new numbers in 3 s, still ${before}`)), 3_000);
        const look = () => read() === before ? requestAnimationFrame(look)
            : requestAnimationFrame(() => done(performance.now() - sent));
        requestAnimationFrame(look);
    }, {capture: true, once: true}));
}"""


def measure() -> list[Result]:
    """One step, ours over the aim and over the others; and what is left behind by a fast drag."""
    with contextlib.ExitStack() as stack:
        ours = stack.enter_context(serve())
        browser = launch(stack.enter_context(sync_playwright()))
        sides: dict[str, Callable[[int], float]] = {"ours": _live_steps(browser, ours.url)}
        for name, title, open_side in (("dash", "Dash", dash_steps), ("gradio", "Gradio", _gradio_steps)):
            if importlib.util.find_spec(name) is None:
                print(f"{title} is left out: not installed, see requirements-bench.txt", file=sys.stderr)
            else:
                port = free_port()
                other = stack.enter_context(serve_module([f"benchmarks.{name}_app", str(port)], port))
                sides[title] = open_side(browser, other.url)
        taken = alternate(STEPS, sides, lambda step, i: step(i), warm_up=3)
        median = {name: statistics.median(values) for name, values in taken.items()}
        results = [
            Result("drag step to new numbers, over 60 ms", median["ours"] / AIM_MS, 2, f"{median['ours']:.0f} ms", 1)
        ]
        for name, limit in (("Dash", 0.9), ("Gradio", 0.45)):
            if name in median:
                detail = f"{median['ours']:.0f} ms against {median[name]:.0f} ms"
                results.append(Result(f"drag step over {name}", median["ours"] / median[name], limit, detail))
        results += _fast_drag(browser, ours.url, ours.process.pid)
        browser.close()
    return results


def _page(browser: Browser, url: str) -> Page:
    page = desktop_page(browser)
    page.goto(url)
    return page


def _live_page(browser: Browser, url: str) -> Page:
    page = _page(browser, "about:blank")
    open_page(page, f"{url}/?preset=digits")
    go_to(page, "One example")
    page.locator(SLIDER).first.wait_for()
    wait_idle(page)
    return page


def _live_steps(browser: Browser, url: str) -> Callable[[int], float]:
    page = _live_page(browser, url)
    box = page.locator(SLIDER).nth(1).bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()  # held to the end: every step is one of a drag

    def step(i: int) -> float:
        page.evaluate(TIME_NEXT, [".st-key-live [data-quantity=loss]", "pointerrawupdate"])
        page.mouse.move(box["x"] + box["width"] * (0.3 + 0.02 * (i % 20)), y)
        milliseconds: float = page.evaluate("() => window.answered")
        return milliseconds

    return step


def dash_steps(browser: Browser, url: str) -> Callable[[int], float]:
    page = _page(browser, url)
    page.locator("#grad .heatmaplayer image").wait_for(timeout=60_000)

    def step(i: int) -> float:
        cell = page.locator(f"#logits td[data-dash-column='class {i % 10}']").nth(i % 9)
        return _typed(page, cell.click, 1 + i / 16, "#loss")

    return step


def _gradio_steps(browser: Browser, url: str) -> Callable[[int], float]:
    page = _page(browser, url)
    page.locator("#grad .heatmaplayer image").wait_for(timeout=60_000)

    def step(i: int) -> float:
        cell = page.get_by_test_id(f"cell-{i % 5}-{i % 10}")
        return _typed(page, cell.dblclick, 1 + i / 16, "#loss textarea, #loss input")

    return step


def _typed(page: Page, open_cell: Callable[[], None], value: float, loss: str) -> float:
    """Put a number into a cell, which is not timed, and send it, which is; once more if the table loses it."""
    for attempt in range(TRIES):
        text = f"{value + attempt / 1000}"
        open_cell()
        with contextlib.suppress(Error):
            page.wait_for_function("() => document.activeElement.matches('input, textarea')", timeout=2_000)
        page.keyboard.press("ControlOrMeta+a")
        page.keyboard.type(text)
        if not page.evaluate("text => document.activeElement.value === text", text):
            page.keyboard.press("Escape")  # the table was drawn anew under the hand
            continue
        page.evaluate(TIME_NEXT, [loss, "keydown"])
        page.keyboard.press("Enter")
        with contextlib.suppress(Error):
            milliseconds: float = page.evaluate("() => window.answered")
            return milliseconds
    raise RuntimeError(f"{TRIES} numbers were typed at {page.url}, and none was answered.")


def _fast_drag(browser: Browser, url: str, pid: int) -> list[Result]:
    """What is left to show when the hand lets go, in round trips of this very drag, which follow each other closely."""
    page = _live_page(browser, url)
    before, start = _cpu_seconds(pid), time.monotonic()
    told = drag_fast(page, EVENTS, DRAG_SECONDS)
    busy = (_cpu_seconds(pid) - before) / (time.monotonic() - start)
    if told.shown != 8.0:  # nine tenths of the way from −10 to 10
        raise RuntimeError(f"The last value of the drag is {told.shown}, expected 8.")
    round_trip = 1000 * DRAG_SECONDS / (told.pictures - told.late_pictures)
    detail = f"{told.backlog_ms:.0f} ms after the last of {EVENTS} events, a round trip is {round_trip:.0f} ms"
    return [
        Result("backlog over two round trips", told.backlog_ms / (2 * round_trip), 1, detail),
        Result("cores of the server in a fast drag", busy, 1, f"{busy:.2f} cores"),
    ]


def _cpu_seconds(pid: int) -> float:
    """User and system time that a process has taken, on Linux."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100  # ticks of 10 ms
