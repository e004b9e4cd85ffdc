"""How many numbers a fast hand loses that types them one below the other, while others keep the machine busy.

Beside the hand a process burns a core, and another visitor edits the same server. A number that is lost leaves its row
of the probabilities as it was.
"""

import contextlib
import multiprocessing
import random
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import torch
from playwright.sync_api import sync_playwright

from harness.aio import in_a_thread
from harness.browser import IDLE_MS, desktop_page, editor, heatmap_z, launch, open_page, select_cell, serve
from harness.firefox import NO_FIREFOX, find_firefox, firefox_page
from harness.load import edit_until
from harness.ratios import Result
from xent_core import Problem
from xent_core.codec import to_token

SIZES, RUNS, NUMBERS = (10, 30), 5, 8
PACES: dict[str, Callable[[random.Random], float]] = {
    "at 40 ms a key": lambda _: 40.0,
    "at an irregular pace": lambda rhythm: rhythm.choice((5.0, 15.0, 40.0, 90.0, 160.0)),
}
NEIGHBOURS_PAUSE = 1.0
REST_SECONDS = 1.0  # what has not come by then is lost


class Hand(NamedTuple):
    """One page in one browser."""

    press: Callable[
        [Sequence[str], Sequence[float]], None
    ]  # keys, beginning in the first cell; milliseconds after each
    probs: Callable[[], list[list[float]] | None]


def measure() -> list[Result]:
    """Numbers lost at each size and pace."""
    browsers = {"Chromium": _chromium}
    if find_firefox() is None:
        print(f"Firefox is left out. {NO_FIREFOX}", file=sys.stderr)
    else:
        browsers["Firefox"] = _firefox
    results = []
    with serve() as server, _busy_core(), _neighbour(server.url):
        for browser, opened in browsers.items():
            for size in SIZES[: 1 if browser == "Firefox" else None]:  # 30×30 in Firefox is a test
                token = to_token(Problem(torch.zeros(size, size), torch.arange(size)))
                with opened(f"{server.url}/?p={token}") as hand:
                    for pace, wait in PACES.items():
                        lost = sum(_lost(hand, size, wait, random.Random(run)) for run in range(RUNS))
                        name = f"numbers lost {pace}, {size}×{size}, {browser}"
                        results.append(Result(name, lost, limit=0, detail=f"{lost} of {RUNS * NUMBERS}"))
    return results


def _lost(hand: Hand, size: int, wait: Callable[[random.Random], float], rhythm: random.Random) -> int:
    """How many of the numbers typed into the first column never reach the probabilities."""
    texts = [f"{rhythm.choice(('', '-'))}{rhythm.randint(0, 3)}.{rhythm.randint(10, 99)}" for _ in range(NUMBERS)]
    keys = [key for text in texts for key in (*text, "Enter")]
    hand.press(keys, [wait(rhythm) for _ in keys])
    time.sleep(REST_SECONDS)  # a number that is lost never comes: there is nothing to wait for
    logits = torch.zeros(NUMBERS, size)
    logits[:, 0] = torch.tensor([float(text) for text in texts])
    shown = torch.tensor(hand.probs())[:NUMBERS]
    return int((~torch.isclose(shown, logits.softmax(1), atol=1e-6).all(1)).sum())


@contextlib.contextmanager
def _chromium(url: str) -> Iterator[Hand]:
    with sync_playwright() as playwright:
        browser = launch(playwright)
        page = desktop_page(browser)
        open_page(page, url)
        page.locator(".st-key-grad .heatmap td, .st-key-grad .heatmap canvas").first.wait_for(timeout=IDLE_MS)
        page.wait_for_load_state("networkidle")

        def press(keys: Sequence[str], waits_ms: Sequence[float]) -> None:
            select_cell(page, editor(page, "logits"), 0, 1)
            for key, wait in zip(keys, waits_ms, strict=True):
                page.keyboard.press(key)
                page.wait_for_timeout(wait)

        yield Hand(press, lambda: heatmap_z(page, "probs"))
        browser.close()


@contextlib.contextmanager
def _firefox(url: str) -> Iterator[Hand]:
    with firefox_page() as page:
        page.open(url)
        page.wait_for_editor()

        def press(keys: Sequence[str], waits_ms: Sequence[float]) -> None:
            page.select_first_cell()
            page.press(keys, waits_ms)

        yield Hand(press, lambda: page.evaluate("document.querySelector('.st-key-probs .heatmap').values"))


@contextlib.contextmanager
def _busy_core() -> Iterator[None]:
    process = multiprocessing.get_context("spawn").Process(target=_burn, daemon=True)
    process.start()
    try:
        yield
    finally:
        process.kill()
        process.join()


def _burn() -> None:
    while True:
        pass


@contextlib.contextmanager
def _neighbour(url: str) -> Iterator[None]:
    is_over = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        edits = threads.submit(in_a_thread, edit_until(is_over.is_set, url, range(1), NEIGHBOURS_PAUSE))
        try:
            yield
        finally:
            is_over.set()
        edits.result()  # raises if there was no neighbour after all
