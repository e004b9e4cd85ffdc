"""Whose turn it is: runs go one after the other, the short ones first, and whoever waits for something steps aside.

One interpreter runs one thread at a time. With twenty runs at once it spends as much on changing between them as on the
runs, and each of them ends only when nearly all do.
What follows an edit is short, a page that is opened is long: whoever opens pages without end holds up nobody who edits.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local
from time import monotonic

MOST_SECONDS = 2.0  # that a run waits, all pauses together; then it goes ahead, whoever still holds the turn
SHORT_SECONDS = 0.1  # a run that has taken longer is not short


class Turns:
    """One turn, which is taken, laid aside and given back."""

    def __init__(self, most_seconds: float = MOST_SECONDS, short_seconds: float = SHORT_SECONDS) -> None:
        self.most_seconds, self.short_seconds = most_seconds, short_seconds
        self._guard = Lock()
        self._is_taken = False
        # whoever waits, in the order in which they came: each is let in by the release of a lock of their own
        self._short: deque[Lock] = deque()
        self._long: deque[Lock] = deque()
        self._here = local()

    @contextmanager
    def take(self, *, is_short: bool = True) -> Iterator[None]:
        """Wait for the turn and hold it, until the block ends; long ones that wait let the short ones pass."""
        self._here.patience, self._here.is_short = self.most_seconds, is_short
        self._wait()
        try:
            yield
        finally:
            self._give_back()

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Let others go first while this thread waits for something; then wait for the turn again, if it held it."""
        held = getattr(self._here, "holds", False)
        self._give_back()
        try:
            yield
        finally:
            if held:
                self._here.patience = self.most_seconds
                self._wait()

    def let_short_ones_go_first(self) -> None:
        """Pause this run, unless it is short itself, while short ones wait."""
        here = self._here
        if not getattr(here, "holds", False) or not self._short:
            return
        if here.is_short and monotonic() - here.since < self.short_seconds:
            return
        here.is_short = False
        self._give_back()
        self._wait(is_back=True)

    def _wait(self, *, is_back: bool = False) -> None:
        here = self._here
        begun = monotonic()
        here.holds = self._enter(self._short if here.is_short else self._long, here.patience, is_back)
        here.since = monotonic()
        here.patience = max(here.patience - (here.since - begun), 0)

    def _enter(self, queue: deque[Lock], seconds: float, is_back: bool) -> bool:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return True
            door = Lock()
            door.acquire()
            (queue.appendleft if is_back else queue.append)(door)
        if door.acquire(timeout=seconds):
            return True
        with self._guard:
            if door in queue:
                queue.remove(door)
                return False
        return True  # let in at the last moment

    def _give_back(self) -> None:
        if not getattr(self._here, "holds", False):
            return
        self._here.holds = False
        with self._guard:
            if waiting := self._short or self._long:
                waiting.popleft().release()
            else:
                self._is_taken = False


TURNS = Turns()
