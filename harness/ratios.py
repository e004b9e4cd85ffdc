"""Speed and memory as ratios, both sides measured in turn in one run, so that a slow machine is slow for both."""

import gc
import math
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, TypeVar

T = TypeVar("T")


class Result(NamedTuple):
    """One ratio, and what it may be."""

    name: str
    ratio: float
    limit: float
    detail: str  # the two sides, in absolute terms, for the curious
    aim: float | None = None

    @property
    def passed(self) -> bool:
        return self.ratio <= self.limit

    @property
    def verdict(self) -> str:
        """In a word; what only misses its aim fails nothing, and says so."""
        if not self.passed:
            return "TOO HIGH"
        return "ok" if self.aim is None or self.ratio <= self.aim else "above its aim"


def table(results: list[Result]) -> str:
    """The results as text, one line each."""
    rows = [("what", "ratio", "limit", "aim", "", "measured")]
    rows += [
        (
            result.name,
            f"{result.ratio:.3f}",
            f"{result.limit:g}",
            "" if result.aim is None else f"{result.aim:g}",
            result.verdict,
            result.detail,
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def in_turn(
    prepare: Callable[[], Callable[[], object]], theirs: Callable[[], object], *, runs: int, warm_up: int
) -> tuple[float, float]:
    """The median seconds of both sides, each in turn; the side that begins changes every time.

    Args: prepare: gives our side, anew for every turn and outside the clock.
    """
    our_seconds: list[float] = []
    their_seconds: list[float] = []
    gc.collect()
    for i in range(-warm_up, runs):
        pair = [(our_seconds, prepare()), (their_seconds, theirs)]
        for seconds, work in pair if i % 2 else reversed(pair):
            start = time.perf_counter()
            result = work()
            end = time.perf_counter()
            del result  # its memory goes back outside the clock
            if i >= 0:
                seconds.append(end - start)
    return statistics.median(our_seconds), statistics.median(their_seconds)


def alternate(
    times: int, sides: Mapping[str, T], measure_one: Callable[[T, int], float], *, warm_up: int = 0
) -> dict[str, list[float]]:
    """What is measured of each side in turn; the side that begins changes every time.

    Args:
      measure_one: gives the measure of a side; it is told how often each has had its turn.
      warm_up: turns before the first that counts.
    """
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for i in range(warm_up + times):
        for name in sorted(sides, reverse=i % 2 == 1):
            try:
                value = measure_one(sides[name], i)
            except Exception as error:
                error.add_note(f"while measuring {name}")
                raise
            if i >= warm_up:
                taken[name].append(value)
    return taken


def p95(values: Sequence[float]) -> float:
    """The least of the values that 19 of 20 do not exceed."""
    return sorted(values)[math.ceil(0.95 * len(values)) - 1]
