"""Whose turn it is: pages run one after the other, and whoever waits for something lets the others go first.

One interpreter runs one thread at a time. With twenty runs at once it spends as much on changing between them as on the
runs, and each of them ends only when nearly all do.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock, local

MOST_SECONDS = 2.0  # that a run waits; after that it goes ahead, whoever still holds the turn


class Turns:
    """One turn, which is taken, laid aside and given back."""

    def __init__(self, most_seconds: float = MOST_SECONDS) -> None:
        self.most_seconds = most_seconds
        self._turn = Lock()
        self._here = local()

    @contextmanager
    def take(self) -> Iterator[None]:
        """Wait for the turn and hold it, until the block ends."""
        self._here.holds = self._turn.acquire(timeout=self.most_seconds)
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
                self._here.holds = self._turn.acquire(timeout=self.most_seconds)

    def _give_back(self) -> None:
        if getattr(self._here, "holds", False):
            self._here.holds = False
            self._turn.release()


TURNS = Turns()
