"""Keeps the memory of the server below its limit: the visits that keep most end, so that the others stay.

What is large is let in only where there is room for it; whatever else grows is seen once a second.
"""

from __future__ import annotations

import asyncio
import gc
import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from xent_core.sandbox import release_memory
from xent_host.error_reports import places_words
from xent_host.idle_visits import FULL, PLACE, end_connection, send_away
from xent_host.left_visits import end_visit
from xent_host.visit_memory import visits_bytes
from xent_host.whose_work import visit_of
from xent_ui.server.log import event
from xent_ui.server.memory import ROOM, Room, memory_limit, resident_bytes

LOOK_SECONDS = 1.0
TRIM_SECONDS = 10.0  # between two times that memory is given back, while it stays above the limit and nobody ends
WORTH_ENDING = 2**20  # bytes that an address keeps; ending one of its visits would free nothing otherwise
LARGE_MESSAGE = 2**16  # bytes; the largest table is twice as much, what is typed in a form is less
BYTES_KEPT = 8  # of each byte of a message, with all that is made of it: 6 were measured, of pasted texts
SPARE = 32 * 2**20  # bytes that are free afterwards: to give memory back keeps everybody waiting for half a second
MOST_AT_ONCE = 10  # visits that end at once
WAIT_SECONDS = 10.0  # of a message for room
ASK_SECONDS = 0.2  # between two looks whether there is some
_MB = 2**20


def which_ends(held: Mapping[str, int], address_of: Callable[[str], str]) -> str | None:
    """The visit that keeps most, of the address whose visits keep most; None if no end would free anything."""
    addresses = {visit: address_of(visit) for visit in held}
    sums = Counter[str]()
    for visit, size in held.items():
        sums[addresses[visit]] += size
    largest = max(sums, key=sums.__getitem__, default=None)
    most = max((one for one in held if addresses[one] == largest), key=held.__getitem__, default=None)
    return most if largest is not None and sums[largest] >= WORTH_ENDING else None


class MemoryGuard:
    """Looks once a second; gives memory back first, then ends visits, the largest first, until there is room."""

    def __init__(
        self,
        limit: Callable[[], int] = memory_limit,
        resident: Callable[[], int] = resident_bytes,
        held: Callable[[], Awaitable[Mapping[str, int]]] = visits_bytes,
        address_of: Callable[[str], str] = lambda visit: visit_of(visit).address,
        room: Room = ROOM,
    ) -> None:
        self.limit, self.resident, self.held, self.address_of = limit, resident, held, address_of
        self.room = room
        self._one_at_a_time = asyncio.Lock()
        self._made_at = self._given_back_at = -math.inf
        self._helps = True

    async def admit(self, message_bytes: int) -> bool:
        """Whether there is room for what a message brings; where there is none, it is made, and waited for.

        Where no visit keeps anything, or to end some does not help, it is let in.
        """
        size = BYTES_KEPT * message_bytes
        if message_bytes < LARGE_MESSAGE:
            return True
        until = monotonic() + WAIT_SECONDS
        while not self.room.take(size):
            if monotonic() > until:
                event("limit", what="memory_message", bytes=message_bytes)
                return False
            if monotonic() - self._made_at >= LOOK_SECONDS and not self._one_at_a_time.locked():
                await self.make_room(size)
            if not self._helps:
                return True
            await asyncio.sleep(ASK_SECONDS)
        return True

    async def watch(self) -> None:
        """Never ends by itself, nor by an error."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                size = self.room.refused()
                is_short = self.resident() > self.limit() or size > 0
                if is_short and not await self.make_room(size):
                    await asyncio.sleep(TRIM_SECONDS)
            except Exception as error:
                event("error", type=type(error).__name__, where=places_words(error))

    async def make_room(self, size: int = 0) -> bool:
        """Give memory back; if that is not enough for so many bytes, end visits. Returns: whether that helps."""
        async with self._one_at_a_time:
            self._helps = await self._make_room(size)
            self._made_at = monotonic()
            return self._helps

    async def _make_room(self, size: int) -> bool:
        if monotonic() - self._given_back_at >= TRIM_SECONDS:
            await self._give_back()
        if self.room.has(size) or self.resident() + size <= self.limit():  # or will have, once what comes is there
            return True
        held = dict(await self.held())
        before, visits = self.resident(), len(held)
        missing = before + size + SPARE - self.limit()
        ending = dict[str, int]()
        while missing > 0 and len(ending) < MOST_AT_ONCE and (visit := which_ends(held, self.address_of)) is not None:
            ending[visit] = held.pop(visit)
            missing -= ending[visit]
        if not ending:
            event("limit", what="memory", mb=before // _MB, visits=visits)
            return False
        for kept in ending.values():
            event("limit", what="memory_visit_ends", kept_mb=kept // _MB, mb=before // _MB, visits=visits)
        await asyncio.gather(*map(send_away, ending))
        await self._give_back()
        return self.resident() < before  # else it is not visits that take the memory

    async def _give_back(self) -> None:
        await asyncio.to_thread(_give_back)
        self._given_back_at = monotonic()


class RoomForMessages:
    """ASGI middleware that reads a message only where there is room; its visit ends where none can be made.

    It stands behind the limits on messages: what they refuse takes no room.

    Args:
      admit: says of so many bytes whether there is room for what they bring; it may take its time.
    """

    def __init__(
        self, app: ASGIApp, admit: Callable[[int], Awaitable[bool]], end: Callable[[str], None] = end_visit
    ) -> None:
        self.app, self.admit, self.end = app, admit, end

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app answer."""

        async def receive_with_room() -> Message:
            message = await receive()
            if await self.admit(len(message.get("bytes") or b"")):
                return message
            return await end_connection(send, f"{PLACE}?{FULL}", self.end)

        await self.app(scope, receive_with_room if scope["type"] == "websocket" else receive, send)


def _give_back() -> None:
    gc.collect()
    release_memory()
