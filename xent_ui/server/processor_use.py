"""Counts the processor time that each visit has used of late, and says who of those who wait comes first.

Whoever has used little goes before who has used much. Two visits that have used the same are told apart by their
addresses: of the addresses that wait at the same time, the one that has used most gives way. Alone, one may use all.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from threading import Lock
from time import monotonic
from typing import NamedTuple


class Visit(NamedTuple):
    """Whose work it is: a session, and the group of addresses that it came from."""

    address: str
    session: str


NOBODY = Visit("", "")  # outside a server for strangers


@dataclass(frozen=True)
class FairRules:
    """What counts how much, in seconds.

    Attributes:
      half_life: after which what was used counts half. Someone who edits twice a second is then known by what he
        does, and someone who opened a large page a minute ago is as good as new.
      light: a visit that has used no more than this stands back behind nobody: it is 9 % of a processor, and an edit
        every half a second takes 5 to 8. Otherwise everybody who edits would wait for each who has just come.
      address_seconds: how much a visit may be set back at most because of the others of its address. A class behind
        one address has used much together; none of its pupils stands back behind a visit that uses a quarter of the
        processor by itself.
      short_run, unknown_run: a visit stands back by as much as its runs take longer than a short one: by the longest of
        late, which counts half after run_half_life. What it takes to open a page is not known before. Otherwise whoever
        edits would wait until each of many large pages has had as much as his edit takes.
      remembered: visits and addresses of which is known what they used; of more, those that used least are forgotten.
    """

    half_life: float = 2.0
    light: float = 0.25
    address_seconds: float = 0.5
    short_run: float = 0.15
    unknown_run: float = 0.4
    run_half_life: float = 10.0
    remembered: int = 1_000


class Usage:
    """Who has used how much of late; a thread may ask while another one adds."""

    def __init__(self, rules: FairRules = FairRules(), clock: Callable[[], float] = monotonic) -> None:  # frozen
        self.rules, self.clock = rules, clock
        self._lock = Lock()
        self._used: dict[str | Visit, tuple[float, float]] = {}  # by visit and by address: seconds, and as of when
        self._runs: dict[Visit, tuple[float, float]] = {}  # by visit: the longest of late, and as of when

    def add(self, visit: Visit, seconds: float) -> None:
        """Note that a visit has used so much by now. More than all that there is counts as all."""
        most = self.rules.half_life / math.log(2)  # of one who uses a processor all the time
        with self._lock:
            now = self.clock()
            for who in (visit, visit.address):
                self._used[who] = min(self._of(who, now) + seconds, most), now
            if len(self._used) > self.rules.remembered:
                least = sorted(self._used, key=lambda who: self._of(who, now))
                for who in least[: len(self._used) // 2]:
                    del self._used[who]

    def end_run(self, visit: Visit, seconds: float) -> None:
        """Note that a run of a visit is over, and how much processor time it took in all."""
        with self._lock:
            now = self.clock()
            known = self._longest_run(visit, now) if visit in self._runs else 0.0
            self._runs.pop(visit, None)
            self._runs[visit] = max(known, seconds), now
            if len(self._runs) > self.rules.remembered:
                del self._runs[next(iter(self._runs))]

    def of(self, who: Visit | str) -> float:
        """The seconds that a visit, or an address, has used of late."""
        with self._lock:
            return self._of(who, self.clock())

    def standings(self, visits: Iterable[Visit]) -> dict[Visit, float]:
        """For each of those who wait at the same time, how far back it stands, in seconds: the least comes first."""
        with self._lock:
            now = self.clock()
            visits = set(visits)
            addresses = {visit.address: self._of(visit.address, now) for visit in visits}
            least = min(addresses.values(), default=0.0)
            return {
                visit: max(self._of(visit, now) - self.rules.light, 0.0)
                + max(self._longest_run(visit, now) - self.rules.short_run, 0.0)
                + min(addresses[visit.address] - least, self.rules.address_seconds)
                for visit in visits
            }

    def _longest_run(self, visit: Visit, now: float) -> float:
        seconds, since = self._runs.get(visit, (self.rules.unknown_run, now))
        return seconds * math.pow(0.5, (now - since) / self.rules.run_half_life)

    def _of(self, who: Visit | str, now: float) -> float:
        seconds, since = self._used.get(who, (0.0, now))
        return seconds * math.pow(0.5, (now - since) / self.rules.half_life)
