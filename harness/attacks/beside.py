"""What the others notice of an attack: how long four neighbours wait who edit, whether the server answers, its memory.

An edit that is never answered counts with the time that it was waited for, and an error does not end the measurement:
`harness.load.edit_until`, which checks a server that is well, stops at either.
"""

import asyncio
import contextlib
import random
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlparse

import numpy as np
import websockets

from harness.visitor import Visitor, WrongAnswer

NEIGHBOURS, PAUSE_SECONDS = 4, 0.5
HEALTH_SECONDS, HEALTH_PATIENCE = 0.5, 30.0  # between two questions; for an answer
MEMORY_SECONDS = 0.1  # between two looks
RETURN_SECONDS = 1.0  # after which a neighbour comes back whose visit broke
BACK = 1.1  # memory is back when it is no more than this much of what it was


@dataclass
class Waits:
    """What was waited for in one stretch of time, in seconds."""

    edits: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)  # other answers than the right one, and broken visits

    def quantile_ms(self, share: float) -> float:
        """So many of the edits took no longer; infinity where none came through."""
        return 1e3 * float(np.quantile(self.edits, share)) if self.edits else float("inf")

    @property
    def longest(self) -> float:
        """The longest single wait."""
        return max([*self.edits, *self.health], default=float("inf"))


class Watch:
    """Neighbours who edit, questions whether the server is well, and looks at its memory, until the block ends.

    Args:
      url: where the neighbours come in.
      processes: of the server, whose memory is counted together with that of their children.
    """

    def __init__(self, url: str, processes: Sequence[int]) -> None:
        self.url, self.processes = url, processes
        self.waits = Waits()
        self.peak_mb = 0.0
        self._is_over = False
        self._resting = asyncio.Event()

    @contextlib.asynccontextmanager
    async def stretch(self, *, probes: bool = True) -> AsyncIterator[Waits]:
        """What is waited for in this block; it ends when everything that was asked in it is answered."""
        waits = self.waits = Waits()
        self.peak_mb = 0.0
        self._is_over = False
        tasks = [asyncio.create_task(self._edit(seed, waits)) for seed in range(NEIGHBOURS)]
        tasks += [asyncio.create_task(self._ask(waits)), asyncio.create_task(self._look())] if probes else []
        try:
            yield waits
        finally:
            self._is_over = True
            await asyncio.gather(*tasks)

    async def _edit(self, seed: int, waits: Waits) -> None:
        numbers = random.Random(seed)
        while not self._is_over:
            begun = None
            try:
                async with Visitor(self.url, source="127.0.0.1") as visitor:
                    while not self._is_over:
                        await asyncio.sleep(PAUSE_SECONDS * numbers.uniform(0.5, 1.5))  # not to a beat
                        begun = time.perf_counter()
                        edit = numbers.randrange(3), numbers.randrange(3), f"{numbers.uniform(-9, 9):.3f}"
                        await visitor.edit(*edit)
                        waits.edits.append(time.perf_counter() - begun)
                        begun = None
            except (OSError, TimeoutError, WrongAnswer, websockets.WebSocketException) as error:
                if begun is not None:
                    waits.edits.append(time.perf_counter() - begun)
                waits.wrong.append(f"{type(error).__name__}: {str(error)[:80]}")
                await asyncio.sleep(RETURN_SECONDS)

    async def _ask(self, waits: Waits) -> None:
        while not self._is_over:
            begun = time.perf_counter()
            if not await _is_well(self.url):
                waits.wrong.append("/healthz did not answer")
            waits.health.append(time.perf_counter() - begun)
            await asyncio.sleep(HEALTH_SECONDS)

    async def _look(self) -> None:
        while not self._is_over:
            self.peak_mb = max(self.peak_mb, memory_mb(self.processes))
            await asyncio.sleep(MEMORY_SECONDS)


async def _is_well(url: str) -> bool:
    address = urlparse(url)
    try:
        async with asyncio.timeout(HEALTH_PATIENCE):
            reader, writer = await asyncio.open_connection(address.hostname, address.port)
            writer.write(f"GET /healthz HTTP/1.1\r\nHost: {address.netloc}\r\nConnection: close\r\n\r\n".encode())
            first = await reader.readline()
            writer.close()
    except (OSError, TimeoutError):
        return False
    return b" 200 " in first


async def memory_back(processes: Sequence[int], before_mb: float, seconds: float) -> float:
    """The memory when it is back at what it was before, or after so many seconds, in MB."""
    end = time.monotonic() + seconds
    while (now := memory_mb(processes)) > BACK * before_mb and time.monotonic() < end:
        await asyncio.sleep(0.5)
    return now


def memory_mb(processes: Sequence[int]) -> float:
    """What these processes and their children hold in memory now; what they share counts once, where that is known."""
    return sum(_own_mb(process) for process in _with_children(processes))


def _own_mb(process: int) -> float:
    """Each page divided by the number of processes that have it; where the system does not tell, all of them."""
    for file, entry in (("smaps_rollup", "\nPss:"), ("status", "\nVmRSS:")):
        with contextlib.suppress(OSError):  # it has ended, or belongs to another user
            _head, found, rest = Path(f"/proc/{process}/{file}").read_text().partition(entry)
            if found:
                return int(rest.split()[0]) / 1024
    return 0.0


def _with_children(processes: Sequence[int]) -> list[int]:
    found, waiting = [], list(processes)
    while waiting:
        process = waiting.pop()
        found.append(process)
        with contextlib.suppress(OSError):
            for thread in Path(f"/proc/{process}/task").iterdir():
                waiting += map(int, (thread / "children").read_text().split())
    return found
