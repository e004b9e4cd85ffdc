"""Fair shares between addresses: alone, one may use all there is; when another waits, the largest gives way.

Three ways to share: what is kept (visits, files) is taken from the largest, what is in use for a moment (uploads,
answers) is never quite used up by one address, and what comes again and again (requests) has a pace.
"""

from __future__ import annotations

import asyncio
import math
from collections import Counter, deque
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Address, ip_network
from time import monotonic

IPV6_SITE = 48  # bits: what a provider gives to one customer at most, 65 536 of what `address_group` counts as one
MANY = 10_000  # addresses that are remembered; who was quiet for longest is forgotten first


@lru_cache(MANY)
def site(address: str) -> str:
    """What one customer of a provider may own: an IPv4 address, an IPv6 /48; "" for what is no address."""
    try:
        network = ip_network(address)
    except ValueError:
        return ""
    if isinstance(network.network_address, IPv4Address):
        return str(network.network_address)
    return str(network.supernet(new_prefix=min(IPV6_SITE, network.prefixlen)))


def gives_way(held: Mapping[str, int], newcomer: str, amount: int = 1) -> str | None:
    """The address that gives way so that the newcomer gets this amount; None if its own share is too large for that.

    It is the largest, if afterwards it is no smaller than the newcomer: so no two push each other out in turns.
    Sites are compared first; within the newcomer's own site, the addresses.
    """
    sites: Counter[str] = Counter()
    for address, count in held.items():
        sites[site(address)] += count
    own = site(newcomer)
    largest = max((name for name in sites if name != own), key=sites.__getitem__, default=own)
    if largest != own and sites[largest] - amount >= sites[own] + amount:
        return max((one for one in held if site(one) == largest), key=held.__getitem__)
    who = max((one for one in held if site(one) == own and one != newcomer), key=held.__getitem__, default=newcomer)
    return who if who != newcomer and held[who] - amount >= held.get(newcomer, 0) + amount else None


class GivingWay:
    """Who gives way to whom, and how often.

    Whoever comes, takes, leaves and comes again would push out one after another. So what an address was made room for
    within the last `memory` seconds is no more than what it holds now, but for `spare` times: people reload a page, and
    whoever fills the place takes theirs in that moment. And all together, one makes room in `seconds`.
    """

    def __init__(self, seconds: float, memory: float = 600.0, spare: int = 10) -> None:
        self.seconds, self.memory, self.spare = seconds, memory, spare
        self._taken: deque[tuple[float, str, int]] = deque()

    def whose(self, held: Mapping[str, int], newcomer: str, amount: int = 1) -> str | None:
        """The address that gives way now, if one does."""
        now, own = monotonic(), site(newcomer)
        while self._taken and self._taken[0][0] < now - self.memory:
            self._taken.popleft()
        if self._taken and now - self._taken[-1][0] < self.seconds:
            return None
        taken = [much for _when, who, much in self._taken if who == own]
        if len(taken) >= self.spare and sum(taken) > sum(
            count for address, count in held.items() if site(address) == own
        ):
            return None
        return gives_way(held, newcomer, amount)

    def note(self, newcomer: str, amount: int = 1) -> None:
        """Room was made for the newcomer."""
        self._taken.append((monotonic(), site(newcomer), amount))


class NoTurn(RuntimeError):
    """Too many wait already, or the turn did not come in time."""


class FairTurns:
    """So many turns at once; a site has no more of them than are left over, so that another one finds a turn.

    Who finds none waits; the site with the fewest turns goes first. Places to wait are shared in the same way.
    """

    def __init__(self, turns: int, waiting: int, seconds: float) -> None:
        self.turns, self.places, self.seconds = turns, waiting, seconds
        self.used: Counter[str] = Counter()
        self.waiting: dict[str, deque[asyncio.Future[None]]] = {}

    def _has_turn(self, who: str) -> bool:
        return self.used[who] < self.turns - self.used.total()

    async def take(self, address: str) -> None:
        """Wait for a turn, which has to be given back. Raises: NoTurn."""
        who = site(address)
        if who not in self.waiting and self._has_turn(who):
            self.used[who] += 1
            return
        own = len(self.waiting.get(who, ()))
        if own >= self.places - sum(map(len, self.waiting.values())):
            raise NoTurn
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.setdefault(who, deque()).append(turn)
        try:
            async with asyncio.timeout(self.seconds):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():  # it came at the same moment
                self.give_back(address)
            self._leave_queue(who, turn)
            if isinstance(error, TimeoutError):
                raise NoTurn from None
            raise

    def give_back(self, address: str) -> None:
        """End a turn, and let those begin who wait for one."""
        who = site(address)
        self.used[who] -= 1
        if not self.used[who]:
            del self.used[who]
        while able := [other for other in self.waiting if self._has_turn(other)]:
            following = min(able, key=lambda other: self.used[other])
            turn = self.waiting[following][0]
            self._leave_queue(following, turn)
            if not turn.done():
                self.used[following] += 1
                turn.set_result(None)

    def _leave_queue(self, who: str, turn: asyncio.Future[None]) -> None:
        queue = self.waiting.get(who, deque())
        if turn in queue:
            queue.remove(turn)
        if not queue:
            self.waiting.pop(who, None)


class Pace:
    """So many a second for each site, after a burst, and fewer while others work; who is faster is told to wait."""

    def __init__(self, a_second: float, burst: int, most_seconds: float, crowded_a_second: float | None = None) -> None:
        self.interval, self.burst, self.most_seconds = 1 / a_second, burst, most_seconds
        self.crowded_interval = 1 / (crowded_a_second or a_second)
        self._due: dict[str, float] = {}  # who came last stands last

    def delay(self, address: str, *, is_crowded: bool = False, weight: float = 1.0) -> float:
        """The seconds to wait of what counts as so many. Raises: NoTurn if that is too long; then it does not count."""
        who, now = site(address), monotonic()
        interval = weight * (self.crowded_interval if is_crowded else self.interval)
        due = max(self._due.pop(who, -math.inf) + interval, now - self.burst * self.interval)
        if is_too_late := due - now > self.most_seconds:
            due -= interval
        self._due[who] = due
        if len(self._due) > MANY:
            del self._due[next(iter(self._due))]
        if is_too_late:
            raise NoTurn
        return max(due - now, 0.0)

    def count(self, address: str, more: float) -> None:
        """Count what came last from there as so many more."""
        if (who := site(address)) in self._due:
            self._due[who] += more * self.interval
