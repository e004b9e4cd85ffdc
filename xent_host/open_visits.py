"""The visits that are open: how many there may be, and which one ends when the place is full and somebody waits."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections import Counter
from dataclasses import dataclass, field
from time import monotonic

from starlette.status import WS_1013_TRY_AGAIN_LATER
from starlette.types import Message, Send

from xent_host.address_shares import MANY, GivingWay, site
from xent_ui.server.log import event

WAIT_SECONDS = 60.0  # for so long one who found no room counts as waiting
BUSY_SECONDS = 5.0  # for so long one who has sent something is busy
GIVE_WAY_SECONDS = 1.0  # between two visits that end for somebody else


@dataclass(eq=False)
class OpenVisit:
    """A websocket.

    Attributes:
      address: the group of addresses that it comes from.
      heard: when its browser last sent something.
      has_ended: whether it has given way.
    """

    address: str
    send: Send
    heard: float = field(default_factory=lambda: monotonic())
    has_ended: bool = False

    async def tell(self, message: Message) -> None:
        """Send to the browser. Raises: OSError, as a server does whose client is gone, once the visit has given way."""
        if self.has_ended:
            raise ConnectionAbortedError
        try:
            await self.send(message)
        except RuntimeError:  # it waited to be sent, and the end was sent before
            if self.has_ended:
                raise ConnectionAbortedError from None
            raise

    async def end(self) -> None:
        """Close the websocket: the app reads that its client has left, and the browser will try again."""
        self.has_ended = True
        with contextlib.suppress(OSError, RuntimeError):
            await self.send({"type": "websocket.close", "code": WS_1013_TRY_AGAIN_LATER})


class OpenVisits:
    """So many at most. Alone, one address may have all of them.

    When all are taken, whoever comes is refused first, and so goes to another replica if there is one. If it comes
    again, the address with the most visits gives way: the one of its visits ends that was silent for longest.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: dict[OpenVisit, None] = {}
        self._waits: dict[str, float] = {}  # the sites that found no room, and when; the latest stands last
        self._giving = GivingWay(GIVE_WAY_SECONDS)
        self._heard: dict[str, float] = {}  # the two sites that were heard last, the latest last
        self._ends: set[asyncio.Task[None]] = set()  # a task that nobody holds may vanish

    def __len__(self) -> int:
        return len(self._open)

    def has_room(self, address: str) -> bool:
        """Whether a visit from there would be let in now; if not, it is remembered that one waits."""
        return len(self) < self.most or self._which_gives_way(address) is not None

    def enter(self, visit: OpenVisit) -> bool:
        """Let it in, if there is room, or if room is made."""
        if len(self) >= self.most:
            if (ended := self._which_gives_way(visit.address)) is None:
                event("limit", what="visits", visits=len(self))
                return False
            self._giving.note(visit.address)
            self.leave(ended)
            end = asyncio.create_task(ended.end())  # it may take a while: one that reads nothing cannot be told
            self._ends.add(end)
            end.add_done_callback(self._ends.discard)
            event("limit", what="visit_gives_way", seconds=round(monotonic() - ended.heard, 1), visits=len(self))
        self._open[visit] = None
        return True

    def hear(self, visit: OpenVisit) -> None:
        """Its browser has sent something."""
        visit.heard = monotonic()
        self._heard.pop(site(visit.address), None)
        self._heard[site(visit.address)] = visit.heard
        if len(self._heard) > 2:
            del self._heard[next(iter(self._heard))]

    def are_others_busy(self, address: str) -> bool:
        """Whether a browser from elsewhere has just sent something."""
        last = max((when for where, when in self._heard.items() if where != site(address)), default=-math.inf)
        return last > monotonic() - BUSY_SECONDS

    def leave(self, visit: OpenVisit) -> None:
        """It is over."""
        self._open.pop(visit, None)

    def _which_gives_way(self, address: str) -> OpenVisit | None:
        who, now = site(address), monotonic()
        waits = self._waits.get(who, -math.inf) > now - WAIT_SECONDS
        self._waits.pop(who, None)
        self._waits[who] = now
        if len(self._waits) > MANY:
            del self._waits[next(iter(self._waits))]
        if not waits:
            return None
        largest = self._giving.whose(Counter(visit.address for visit in self._open), address)
        return min((visit for visit in self._open if visit.address == largest), key=lambda one: one.heard, default=None)
