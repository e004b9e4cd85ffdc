"""What many visitors cost: how long they wait, what they leave in memory, and what one with heavy work does to them.

Every answer is checked against a loss computed here. Limits in milliseconds and megabytes depend on the machine:
they are aims, for two cores; five times as much is a failure.
"""

import asyncio
import functools
import itertools
import random
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
from streamlit.proto.Common_pb2 import StringArray

from harness.browser import ROOT, Server, serve
from harness.ratios import Result, p95
from harness.visitor import Visitor, WrongAnswer, npy, visit
from xent_core import Problem
from xent_core.codec import to_token
from xent_ui.server.limits import PUBLIC
from xent_ui.state.sheet import MAX_CLASSES, MAX_ROWS

SESSIONS, SECONDS, PAUSE_SECONDS = 50, 60.0, 2.0
SETTLED_SECONDS = 20.0  # from then on, memory must not grow
PASSING, AT_ONCE = 500, 25
NEIGHBOURS, HEAVY_SECONDS = 10, 10.0
FORGOTTEN_SECONDS = 2  # of a session whose visitor has left
UPLOADED_CLASSES = 100
AIM_MS, AIM_MB = 250, 3
SLACK = 5.0


def measure(
    *, sessions: int = SESSIONS, seconds: float = SECONDS, passing: int = PASSING, heavy_seconds: float = HEAVY_SECONDS
) -> list[Result]:
    """All of it, one after the other, on one server."""
    with serve(ROOT / "hosted.py", f"--server.disconnectedSessionTTL={FORGOTTEN_SECONDS}") as server:
        visit(edit_for(server.url, 3.0, range(4)))  # what the first visitors bring into memory stays
        return [
            visit(_passing(server, passing)),
            *visit(_many(server, sessions, seconds)),
            *visit(_heavy(server, heavy_seconds)),
        ]


async def edit_for(url: str, seconds: float, seeds: range, pause: float = PAUSE_SECONDS) -> list[float]:
    """A visitor for each seed, each editing at that pace; the seconds of every answer. Raises: WrongAnswer."""
    end = time.perf_counter() + seconds
    return await edit_until(lambda: time.perf_counter() >= end, url, seeds, pause)


async def edit_until(is_over: Callable[[], bool], url: str, seeds: range, pause: float) -> list[float]:
    """As `edit_for`, until something else is over; each visitor edits once at least."""
    visits = await asyncio.gather(*(_edit_until(is_over, url, seed, pause) for seed in seeds))
    return list(itertools.chain.from_iterable(visits))


async def _edit_until(is_over: Callable[[], bool], url: str, seed: int, pause: float) -> list[float]:
    numbers = random.Random(seed)
    waits = []
    await asyncio.sleep(numbers.random() * pause)  # visitors do not edit in step, nor to a beat
    async with Visitor(url) as visitor:
        turn = time.perf_counter()
        while not (is_over() and waits):
            await asyncio.sleep(turn - time.perf_counter())
            row, label, logit = numbers.randrange(3), numbers.randrange(3), f"{numbers.uniform(-9, 9):.3f}"
            waits.append(await visitor.edit(row, label, logit))
            turn = max(turn + pause * numbers.uniform(0.5, 1.5), time.perf_counter())
    return waits


def p95_ms(seconds: list[float]) -> float:
    """The time that 19 of 20 answers keep, in milliseconds."""
    return 1e3 * p95(seconds)


def memory_mb(server: Server) -> float:
    """What the server holds in memory now."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def waits_over_aim(name: str, waits: list[float], detail: str) -> Result:
    """The p95 of waits, in seconds, over what a visitor does not notice."""
    ms = p95_ms(waits)
    return Result(f"{name} over {AIM_MS} ms", ms / AIM_MS, limit=SLACK, aim=1, detail=f"{ms:.0f} ms, {detail}")


async def _many(server: Server, sessions: int, seconds: float) -> list[Result]:
    before = memory_mb(server)
    editing = asyncio.create_task(edit_for(server.url, seconds, range(sessions)))
    await asyncio.wait([editing], timeout=seconds * SETTLED_SECONDS / SECONDS)
    settled = memory_mb(server)
    await asyncio.wait([editing], timeout=seconds - seconds * SETTLED_SECONDS / SECONDS - 1)
    after = memory_mb(server)  # with everybody still there
    waits = await editing
    each = (after - before) / sessions
    return [
        waits_over_aim(
            f"p95 of a rerun with {sessions} sessions",
            waits,
            f"median {1e3 * np.median(waits):.0f} ms, all {len(waits)} answers right, one each {PAUSE_SECONDS:g} s",
        ),
        Result(f"memory of a session over {AIM_MB} MB", each / AIM_MB, limit=SLACK, aim=1, detail=f"{each:.2f} MB"),
        Result(
            "memory at the end over that after a third",
            after / settled,
            limit=1.1,
            detail=f"{after:.0f} MB against {settled:.0f} MB, {before:.0f} MB before anybody came",
        ),
    ]


async def _passing(server: Server, count: int) -> Result:
    before = memory_mb(server)
    for start in range(0, count, AT_ONCE):
        await asyncio.gather(*(_look(server.url, seed) for seed in range(start, min(start + AT_ONCE, count))))
    await asyncio.sleep(2 * FORGOTTEN_SECONDS)
    await _look(server.url, 0)  # what is due is thrown away when somebody comes
    after = memory_mb(server)
    return Result(
        f"memory after {count} sessions came and went, over before",
        after / before,
        limit=1.1,
        aim=1.05,
        detail=f"{after:.0f} MB against {before:.0f} MB",
    )


async def _look(url: str, seed: int) -> None:
    async with Visitor(url) as visitor:
        await visitor.edit(0, 0, f"{random.Random(seed).uniform(-9, 9):.3f}")


async def _heavy(server: Server, seconds: float) -> list[Result]:
    """What the neighbours of a visitor wait, who does the heaviest there is on each page without a pause."""
    _largest_upload()  # made once, and not while somebody waits
    alone = await edit_for(server.url, seconds, range(NEIGHBOURS))
    results = []
    for name, work in {
        "the largest matrix": _matrix,
        "a large upload": _upload,
        "the longest descent": _descent,
    }.items():
        working = asyncio.create_task(_repeat(work, server.url, seconds))
        beside = await edit_for(server.url, seconds, range(NEIGHBOURS))
        times = await working
        results.append(
            waits_over_aim(
                f"p95 of {NEIGHBOURS} sessions beside {name}",
                beside,
                f"{p95_ms(alone):.0f} ms without; that work came {times} times",
            )
        )
    return results


async def _repeat(work: Callable[[str], Awaitable[None]], url: str, seconds: float) -> int:
    end = time.perf_counter() + seconds
    times = 0
    while time.perf_counter() < end:
        await work(url)
        times += 1
    return times


async def _matrix(url: str) -> None:
    query, logits, target = largest_table()
    async with Visitor(url, query=query, logits=logits, target=target) as visitor:
        for row in range(10):
            await visitor.edit(row, row, f"{row - 4.5}")


async def _upload(url: str) -> None:
    logits, target = _largest_upload()
    async with Visitor(url, page="your-logits") as visitor:
        await visitor.settle()
        await visitor.set("dump_source", string_array_value=StringArray(data=["Upload"]))
        await visitor.upload("dump_target_file", "target.npy", target)
        await visitor.upload("dump_logits_file", "logits.npy", logits)
        await visitor.settle()
        if visitor.problems or "lorenz" not in visitor.widgets:
            raise WrongAnswer(f"The upload was not analysed. {visitor.alerts} {visitor.problems}")


async def _descent(url: str) -> None:
    query, logits, _target = largest_table()
    async with Visitor(url, query=query, page="gradient-descent") as visitor:
        await visitor.settle()
        await visitor.set("descent_steps", int_value=PUBLIC.path_cells // (len(logits) * len(logits[0])))
        await visitor.settle()
        if visitor.problems or "descent_player" not in visitor.widgets:
            raise WrongAnswer(f"There is no descent. {visitor.alerts} {visitor.problems}")


@functools.cache
def _largest_upload() -> tuple[bytes, bytes]:
    """Logits as large as a public server takes them, and their target, as files of NumPy."""
    rows = (PUBLIC.upload_mb * 2**20 - 4096) // (4 * UPLOADED_CLASSES)
    logits = np.random.default_rng(0).normal(size=(rows, UPLOADED_CLASSES)).astype(np.float32)
    return npy(logits), npy(np.zeros(rows, dtype=np.int64))


@functools.cache
def largest_table() -> tuple[str, list[list[float]], list[int]]:
    """The query that opens it, its logits and its target."""
    numbers = np.random.default_rng(0)
    logits, target = numbers.integers(-9, 10, (MAX_ROWS, MAX_CLASSES)), numbers.integers(0, MAX_CLASSES, MAX_ROWS)
    return f"p={to_token(Problem(logits.astype(np.float32), target))}", logits.tolist(), target.tolist()
