"""What a rerun costs one visitor, alone and with four others on the same server."""

import asyncio
import random
import statistics

from harness.browser import serve
from harness.ratios import Result
from harness.visitor import Visitor, visit

SESSIONS = 5
EDITS = 10
ROUNDS = 2
PAUSE_SECONDS = 1.0


async def _visit(url: str, seed: int) -> list[float]:
    numbers = random.Random(seed)
    seconds = []
    async with Visitor(url) as visitor:
        await asyncio.sleep(numbers.random() * PAUSE_SECONDS)  # visitors do not edit in step
        for _ in range(EDITS):
            seconds.append(await visitor.edit(0, 0, f"{numbers.uniform(-5, 5):.3f}"))
            await asyncio.sleep(PAUSE_SECONDS)
    return seconds


async def _visit_together(url: str, sessions: int) -> list[float]:
    visits = await asyncio.gather(*(_visit(url, seed) for seed in range(sessions)))
    return [seconds for visit in visits for seconds in visit]


def measure() -> list[Result]:
    """The median rerun with five sessions, over that with one."""
    alone: list[float] = []
    together: list[float] = []
    with serve() as server:
        visit(_visit_together(server.url, 1))  # the server's own first run is not what is compared
        for _ in range(ROUNDS):
            alone += visit(_visit_together(server.url, 1))
            together += visit(_visit_together(server.url, SESSIONS))
    one, five = 1e3 * statistics.median(alone), 1e3 * statistics.median(together)
    return [Result("rerun, 5 sessions over 1", five / one, limit=2, detail=f"{five:.0f} ms against {one:.0f} ms")]
