"""Ends the visits that keep most when the memory of the server nears its limit, so that the others stay."""

from __future__ import annotations

import asyncio
import gc
import os
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path

from xent_core.sandbox import release_memory
from xent_host.idle_visits import send_away
from xent_host.visit_memory import visits_bytes
from xent_host.whose_work import visit_of
from xent_ui.server.log import event

MEMORY_VARIABLE = "XENT_MEMORY_MB"
# Of the server itself: with 1152 for the processes that read files it stays below the 3000 of the watchdog.
DEFAULT_MB = 1800
LOOK_SECONDS = 1.0
TRIM_SECONDS = 10.0  # between two times that memory is given back, while it stays above the limit and nobody ends
WORTH_ENDING = 2**20  # bytes; ending a visit that keeps less would free nothing
_MB = 2**20


def memory_limit() -> int:
    """In bytes. Raises: ValueError where the option is no number of megabytes."""
    text = os.environ.get(MEMORY_VARIABLE, "") or str(DEFAULT_MB)
    if not (text.isascii() and text.isdigit() and int(text)):
        raise ValueError(f"This server does not start: {MEMORY_VARIABLE} is no number of megabytes. Take {DEFAULT_MB}.")
    return int(text) * _MB


def resident_bytes() -> int:
    """What this process takes now; 0 where the system does not tell."""
    try:
        return int(Path("/proc/self/statm").read_bytes().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def which_ends(held: Mapping[str, int], address_of: Callable[[str], str]) -> str | None:
    """The visit that keeps most, of the address whose visits keep most; None if no end would free anything."""
    addresses = {visit: address_of(visit) for visit in held}
    sums = Counter[str]()
    for visit, size in held.items():
        sums[addresses[visit]] += size
    largest = max(sums, key=sums.__getitem__, default=None)
    most = max((one for one in held if addresses[one] == largest), key=held.__getitem__, default=None)
    return most if most is not None and held[most] >= WORTH_ENDING else None


class MemoryGuard:
    """Looks once a second; gives memory back first, then ends one visit after another until there is room."""

    def __init__(
        self,
        limit: int,
        resident: Callable[[], int] = resident_bytes,
        held: Callable[[], Mapping[str, int]] = visits_bytes,
        address_of: Callable[[str], str] = lambda visit: visit_of(visit).address,
    ) -> None:
        self.limit, self.resident, self.held, self.address_of = limit, resident, held, address_of

    async def watch(self) -> None:
        """Never ends by itself."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            if self.resident() > self.limit and not await self.make_room():
                await asyncio.sleep(TRIM_SECONDS)

    async def make_room(self) -> bool:
        """Give memory back; if that is not enough, end one visit. Returns: whether it helped, or may yet."""
        await asyncio.to_thread(_give_back)
        if (before := self.resident()) <= self.limit:
            return True
        held = self.held()
        if (visit := which_ends(held, self.address_of)) is None:
            event("limit", what="memory", mb=before // _MB, visits=len(held))
            return False
        event("limit", what="memory_visit_ends", kept_mb=held[visit] // _MB, mb=before // _MB, visits=len(held))
        await send_away(visit)
        await asyncio.to_thread(_give_back)
        return True


def _give_back() -> None:
    gc.collect()
    release_memory()
