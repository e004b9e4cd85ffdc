"""What a class costs that comes all at once: visits that open and edit from the start, and two hundred who stay.

The aims are those of hosted.py. `app.py`, which is for one's own computer, must not let a visit's connection time out.

Each visitor asks for what a browser asks for: the answer to an edit, and the rest of the page when the hand has rested.
Milliseconds depend on the machine: they are aims, for two cores, on which the visitors run too.
"""

import asyncio
import contextlib
import random
import statistics
import time

from harness.browser import ROOT, serve
from harness.load import PAUSE_SECONDS, SLACK, waits_over_aim
from harness.ratios import Result
from harness.visitor import Visitor, visit

ARRIVING, A_SECOND, AIM_LAST_PAGE_SECONDS = 50, 5.0, 5.0
REST_SECONDS = 0.3  # after an edit, until a browser asks for the rest of the page
STAYING, REPLICAS, STAY_SECONDS = 200, 2, 30.0
WARM_UP_SECONDS = 3.0


def measure() -> list[Result]:
    """Fifty who come to each way of running the app, then two hundred on two replicas."""
    return [*arrivals("hosted.py"), *arrivals("app.py"), many_on_replicas()]


def arrivals(script: str) -> list[Result]:
    """Edits while visitors come, and the page of the last who came. Raises: WrongAnswer, or what ended a connection."""
    with serve(ROOT / script) as server:
        visit(_come([server.url], 2, A_SECOND, WARM_UP_SECONDS))  # what only the first visitors wait for
        opened, edits = visit(_come([server.url], ARRIVING, A_SECOND, ARRIVING / A_SECOND))
    results = [
        waits_over_aim(
            f"p95 of an edit while {ARRIVING} come to {script}, {A_SECOND:g} a second,",
            edits,
            f"median {1e3 * statistics.median(edits):.0f} ms, all {len(edits)} right",
        ),
        Result(
            f"the last one's page over {AIM_LAST_PAGE_SECONDS:g} s",
            opened[-1] / AIM_LAST_PAGE_SECONDS,
            limit=SLACK,
            aim=1,
            detail=f"{opened[-1]:.2f} s, the slowest {max(opened):.2f} s",
        ),
    ]
    return results if script == "hosted.py" else [result._replace(aim=None) for result in results]


def many_on_replicas() -> Result:
    """Edits once all are there, spread over replicas as nginx would. Raises: WrongAnswer."""
    with contextlib.ExitStack() as stack:
        urls = [stack.enter_context(serve(ROOT / "hosted.py")).url for _ in range(REPLICAS)]
        visit(_come(urls, 2 * REPLICAS, A_SECOND, WARM_UP_SECONDS))
        coming = STAYING / (2 * A_SECOND)
        _opened, edits = visit(_come(urls, STAYING, 2 * A_SECOND, coming + STAY_SECONDS, counted_from=coming))
    due = int(STAYING * STAY_SECONDS / PAUSE_SECONDS)
    return waits_over_aim(
        f"p95 of an edit with {STAYING} sessions on {REPLICAS} replicas",
        edits,
        f"median {1e3 * statistics.median(edits):.0f} ms, all {len(edits)} right of some {due} that were due",
    )


async def _come(
    urls: list[str], count: int, a_second: float, seconds: float, *, counted_from: float = 0.0
) -> tuple[list[float], list[float]]:
    """So many visitors, one after the other, who edit until so many seconds have passed.

    Returns: the seconds until each one's page had come, in the order of their coming; and those of each edit.
    """
    start = time.perf_counter()
    opened = [0.0] * count
    edits: list[float] = []

    async def one(number: int) -> None:
        numbers = random.Random(number)
        await asyncio.sleep(start + number / a_second - time.perf_counter())
        came = time.perf_counter()
        async with Visitor(urls[number % len(urls)]) as visitor:
            opened[number] = time.perf_counter() - came
            turn = time.perf_counter() + PAUSE_SECONDS * numbers.random()
            while (now := time.perf_counter()) - start < seconds:
                await asyncio.sleep(turn - now)
                begun = time.perf_counter() - start
                cell = numbers.randrange(3), numbers.randrange(3)
                took = await visitor.edit_as_a_browser(*cell, f"{numbers.uniform(-9, 9):.3f}")
                if begun >= counted_from:
                    edits.append(took)
                turn = max(turn + PAUSE_SECONDS * numbers.uniform(0.5, 1.5), time.perf_counter())
                await asyncio.sleep(REST_SECONDS)
                with contextlib.suppress(TimeoutError):  # the next edit goes first
                    await asyncio.wait_for(visitor.rest(), max(turn - time.perf_counter(), 0.01))

    await asyncio.gather(*(one(number) for number in range(count)))
    return opened, edits
