"""The log of a public server: one line of JSON for each event, and nothing that visitors type, upload or are called.

It is bounded: of the same event, only so many lines a second, and what was left out is counted.
"""

from __future__ import annotations

import json
import math
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from threading import RLock, Timer
from time import monotonic

from xent_core import __version__
from xent_ui.server.limits import limits


@dataclass(frozen=True)
class LogLimits:
    """How much is written.

    Attributes:
      lines_a_second, burst: of one event; five visitors a second begin and end a visit.
      fact_characters: of one fact.
      tell_seconds: after which it is told how many lines were left out.
    """

    lines_a_second: float = 10.0
    burst: int = 300
    fact_characters: int = 1000
    tell_seconds: float = 60.0


class Log:
    """Writes lines, and counts those that it leaves out."""

    def __init__(self, most: LogLimits = LogLimits()) -> None:
        self.most = most
        self._lock = RLock()  # what is collected as garbage in here may log too
        self._due: dict[str, float] = {}  # when the next line of an event may come, were there no burst
        self._left_out: dict[str, int] = {}

    def write(self, name: str, facts: dict[str, str | int | float | None]) -> None:
        """A line, if there were not too many."""
        interval, now = 1 / self.most.lines_a_second, monotonic()
        with self._lock:
            due = max(self._due.get(name, -math.inf), now - self.most.burst * interval)
            if due > now:
                if not self._left_out:
                    teller = Timer(self.most.tell_seconds, self.tell)
                    teller.daemon = True
                    teller.start()
                self._left_out[name] = self._left_out.get(name, 0) + 1
                return
            self._due[name] = due + interval
        _write(name, {key: self._short(fact) for key, fact in facts.items()})

    def tell(self) -> None:
        """How many lines of which events were left out since it was told last."""
        with self._lock:
            left_out, self._left_out = self._left_out, {}
        for name, lines in left_out.items():
            _write("left-out", {"what": name, "lines": lines})

    def _short(self, fact: str | int | float | None) -> str | int | float | None:
        return fact[: self.most.fact_characters] if isinstance(fact, str) else fact


LOG = Log()


def event(name: str, **facts: str | int | float | None) -> None:
    """Write what happened, when, in which version, and the facts: counts, sizes, times, types; never a visitor's text.

    On your own computer nothing is written.
    """
    if limits().is_public:
        LOG.write(name, facts)


def _write(name: str, facts: dict[str, str | int | float | None]) -> None:
    when = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": when, "event": name, "version": __version__, **facts})
    sys.stdout.write(line + "\n")  # in one piece, so that the lines of two threads do not mix
    sys.stdout.flush()
