"""How much memory the server may take, and whether there is room for something large before it is made."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from time import monotonic

from xent_ui.server.limits import limits

MEMORY_VARIABLE = "XENT_MEMORY_MB"
# Of the server itself: with 1152 for the processes that read files it stays below the 3000 of the watchdog.
DEFAULT_MB = 1800
COMING_SECONDS = 3.0  # in which what was let in is there, and counts as what the process takes
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


class Room:
    """What may still be taken: up to a limit, less what the process takes and what was let in a moment ago."""

    def __init__(
        self,
        limit: Callable[[], int] = memory_limit,
        resident: Callable[[], int] = resident_bytes,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._limit, self._resident, self._clock = limit, resident, clock
        self._lock = Lock()
        self._coming: deque[tuple[float, int]] = deque()
        self._refused = -math.inf, 0

    def take(self, size: int) -> bool:
        """Whether there is room for so many bytes, which then count as taken; always, on one's own computer."""
        if not limits().is_public:
            return True
        with self._lock:
            if not self._has(size):
                self._refused = self._clock(), size
                return False
            self._coming.append((self._clock(), size))
            return True

    def refused(self) -> int:
        """What was refused last, in bytes, if that was a moment ago; else 0."""
        since, size = self._refused
        return size if self._clock() - since <= COMING_SECONDS else 0

    def has(self, size: int) -> bool:
        """Whether there is room for so many bytes now."""
        with self._lock:
            return self._has(size)

    def _has(self, size: int) -> bool:
        now = self._clock()
        while self._coming and now - self._coming[0][0] > COMING_SECONDS:
            self._coming.popleft()
        return self._resident() + sum(coming for _since, coming in self._coming) + size <= self._limit()


ROOM = Room()
