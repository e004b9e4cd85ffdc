"""Speed and memory as ratios, both sides measured in turn in one run, so that a slow machine is slow for both."""

from typing import NamedTuple


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


def table(results: list[Result]) -> str:
    """The results as text, one line each."""
    rows = [("what", "ratio", "limit", "aim", "", "measured")]
    rows += [
        (
            result.name,
            f"{result.ratio:.3f}",
            f"{result.limit:g}",
            "" if result.aim is None else f"{result.aim:g}",
            "ok" if result.passed else "TOO HIGH",
            result.detail,
        )
        for result in results
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
