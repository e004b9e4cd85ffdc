"""Lets one page compute at a time: runs hold one lock; short runs jump the queue; blocking waits release it.

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

MAX_WAIT_SECONDS = 2.0  # of a run, all its waits together; then it goes ahead, whoever still holds the lock
SHORT_SECONDS = 0.1  # a run that has taken longer is not short


class RunLock:
    """A lock with two queues: of short runs, and of long ones, which wait until no short one does."""

    def __init__(self, max_wait_seconds: float = MAX_WAIT_SECONDS, short_seconds: float = SHORT_SECONDS) -> None:
        self.max_wait_seconds, self.short_seconds = max_wait_seconds, short_seconds
        self._mutex = Lock()  # of what follows
        self._is_held = False
        # one closed lock for each run that waits, first come first: opening it hands the run lock over
        self._short: deque[Lock] = deque()
        self._long: deque[Lock] = deque()
        self._thread = local()

    @contextmanager
    def acquire(self, *, is_short: bool = True) -> Iterator[None]:
        """Wait for the lock and hold it until the block ends."""
        self._thread.seconds_left, self._thread.is_short = self.max_wait_seconds, is_short
        self._wait()
        try:
            yield
        finally:
            self._release()

    @contextmanager
    def released(self) -> Iterator[None]:
        """Release the lock while this thread waits for something else; then wait for it again, if it was held."""
        held = getattr(self._thread, "holds", False)
        self._release()
        try:
            yield
        finally:
            if held:
                self._thread.seconds_left = self.max_wait_seconds
                self._wait()

    def yield_to_short_runs(self) -> None:
        """Release the lock, unless this run is short itself, until no short run waits."""
        thread = self._thread
        if not getattr(thread, "holds", False) or not self._short:
            return
        if thread.is_short and monotonic() - thread.since < self.short_seconds:
            return
        thread.is_short = False
        self._release()
        self._wait(goes_first=True)

    def _wait(self, *, goes_first: bool = False) -> None:
        thread = self._thread
        begun = monotonic()
        thread.holds = self._enter(self._short if thread.is_short else self._long, thread.seconds_left, goes_first)
        thread.since = monotonic()
        thread.seconds_left = max(thread.seconds_left - (thread.since - begun), 0)

    def _enter(self, queue: deque[Lock], seconds: float, goes_first: bool) -> bool:
        with self._mutex:
            if not self._is_held:
                self._is_held = True
                return True
            place = Lock()
            place.acquire()
            (queue.appendleft if goes_first else queue.append)(place)
        if place.acquire(timeout=seconds):
            return True
        with self._mutex:
            if place in queue:
                queue.remove(place)
                return False
        return True  # handed over at the last moment

    def _release(self) -> None:
        if not getattr(self._thread, "holds", False):
            return
        self._thread.holds = False
        with self._mutex:
            if waiting := self._short or self._long:
                waiting.popleft().release()
            else:
                self._is_held = False


RUN_LOCK = RunLock()
