"""From a step of the live example to its new numbers, for a hand that pauses between its steps, beside Dash.

People step and look. What follows from a row is drawn when the hand rests, and must not hold up the next step: the
median and the slowest at every pause are compared with those at the longest, at which all has been drawn long ago, and
those of each way to step with that of a number typed into a table of Dash after the same pause
(requirements-bench.txt).
"""

import contextlib
import importlib.util
import itertools
import statistics
import sys
import time
from collections.abc import Callable

from playwright.sync_api import Browser, Page, sync_playwright

from benchmarks.bench_drag import TIME_NEXT, dash_steps
from harness.browser import desktop_page, free_port, go_to, launch, open_page, serve, serve_module, wait_idle
from harness.ratios import Result

ARROW_PAUSES_MS = (20, 100, 200, 350, 600, 1000)
PAUSES_MS = (200, 350)  # of the other ways to step: about the moment at which what follows is asked for
LONGEST_MS = 2500
STEPS, STEPS_AT_REST = 10, 7  # no call of a step begins where the last one ended
DASH_STEPS, DASH_PAUSE_MS = 8, 350  # Dash too is asked by a hand that pauses, before and after the others
AIM, LIMIT = 1.2, 6.0
AIM_DASH, LIMIT_DASH = 0.9, 4.5
SLIDER = ".st-key-live .logit[role=slider]"
LOSS = ".st-key-live [data-quantity=loss]"
LABEL = 1  # of the first digit: the loss follows its logit

Step = Callable[[int], None]


def measure() -> list[Result]:
    """The steps of every kind at every pause, over those at the longest, and over Dash."""
    results = []
    with contextlib.ExitStack() as stack:
        server = stack.enter_context(serve())
        browser = launch(stack.enter_context(sync_playwright()))
        dash_step = _dash(stack, browser)
        dash = _dash_times(dash_step)
        beside_dash: dict[str, float] = {}
        for name, prepare, event, pauses in (
            ("arrow key", _arrow_keys, "keydown", ARROW_PAUSES_MS),
            ("slow drag", _drag, "pointerrawupdate", PAUSES_MS),
            ("typed logit", _typing, "keydown", PAUSES_MS),
            ("smoothing", _smoothing, "keydown", PAUSES_MS),
            ("click on a label", _labels, "click", PAUSES_MS),
        ):
            page = desktop_page(browser)
            open_page(page, f"{server.url}/?preset=digits")  # ten classes, as Dash has
            go_to(page, "One example")
            page.locator(SLIDER).first.wait_for()
            wait_idle(page)
            step = prepare(page)
            _steps(page, step, event, 300, 4)
            rested = _steps(page, step, event, LONGEST_MS, STEPS_AT_REST)
            taken = {pause: _steps(page, step, event, pause, STEPS) for pause in pauses}
            page.context.close()
            results += [result for pause in pauses for result in _results(name, pause, taken[pause], rested)]
            beside_dash[name] = statistics.median(taken[DASH_PAUSE_MS])
        dash += _dash_times(dash_step)
        for name, ours in beside_dash.items() if dash else ():
            theirs = statistics.median(dash)
            detail = f"{ours:.0f} ms against {theirs:.0f} ms"
            results.append(
                Result(f"{name} over Dash, both after {DASH_PAUSE_MS} ms", ours / theirs, LIMIT_DASH, detail, AIM_DASH)
            )
        browser.close()
    return results


def _results(name: str, pause_ms: int, taken: list[float], rested: list[float]) -> list[Result]:
    results = []
    for measure_name, measure_of in (("median", statistics.median), ("slowest", max)):
        ours, theirs = measure_of(taken), measure_of(rested)
        detail = f"{ours:.0f} ms against {theirs:.0f} ms"
        results.append(Result(f"{name} after {pause_ms} ms, {measure_name}", ours / theirs, LIMIT, detail, AIM))
    return results


def _dash(stack: contextlib.ExitStack, browser: Browser) -> Callable[[int], float] | None:
    """What types a number into Dash and gives the milliseconds, or None without Dash."""
    if importlib.util.find_spec("dash") is None:
        print("Dash is left out: not installed, see requirements-bench.txt", file=sys.stderr)
        return None
    port = free_port()
    other = stack.enter_context(serve_module(["benchmarks.dash_app", str(port)], port))
    step = dash_steps(browser, other.url)
    for i in range(3):
        step(i)
    return step


def _dash_times(step: Callable[[int], float] | None) -> list[float]:
    taken = []
    for i in range(DASH_STEPS if step else 0):
        taken.append(step(i))
        time.sleep(DASH_PAUSE_MS / 1000)  # the hand's pause is what is measured
    return taken


def _steps(page: Page, step: Step, event: str, pause_ms: int, count: int) -> list[float]:
    """Milliseconds of so many steps, from their event to the new loss; each so long after the answer to the last."""
    taken = []
    for i in range(count):
        page.evaluate(TIME_NEXT, [LOSS, event])
        step(i)
        taken.append(float(page.evaluate("() => window.answered")))
        page.wait_for_timeout(pause_ms)
    return taken


# Each way to step: made ready on a page, it gives what makes step i; the loss is another one after each.


def _arrow_keys(page: Page) -> Step:
    page.locator(SLIDER).nth(LABEL).focus()
    return lambda i: page.keyboard.press(_to_and_fro(i))


def _drag(page: Page) -> Step:
    box = page.locator(SLIDER).nth(LABEL).bounding_box()
    assert box is not None
    y = box["y"] + box["height"] / 2
    page.mouse.move(box["x"] + box["width"] / 2, y)
    page.mouse.down()  # held to the end
    return lambda i: page.mouse.move(box["x"] + box["width"] * (0.3 + 0.02 * (i % 20)), y)


def _typing(page: Page) -> Step:
    box = page.locator(".st-key-live .typed").nth(LABEL)

    def step(i: int) -> None:
        box.fill(f"{1.5 + i % 7 / 8}")  # what is timed begins with Enter
        box.press("Enter")

    return step


def _smoothing(page: Page) -> Step:
    page.locator(".st-key-live .smoothing").focus()
    return lambda i: page.keyboard.press(_to_and_fro(i))


def _labels(page: Page) -> Step:
    labels, clicks = page.locator(".st-key-live .name"), itertools.count(2)  # 1 is its label
    return lambda _: labels.nth(next(clicks) % 3).click()


def _to_and_fro(i: int) -> str:
    return "ArrowLeft" if i // 2 % 2 else "ArrowRight"  # back where it was after four
