"""What was measured of an attack against what is promised, and the table."""

from dataclasses import dataclass

from harness.attacks.attack import Attack, Outcome
from harness.attacks.beside import BACK, Waits

LONGER = 1.5  # the neighbours' p95 beside what is refused, over their p95 alone
REFUSED_MS = 90.0  # that p95 in any case: 1.5 times the 60 of before edits took half of it
LEGAL_MS = 250.0  # their p95 beside what each visitor may do
LONGEST_SECONDS = 2.0  # of every single wait, and until /healthz answers
SHOWN = 3  # of the faults of one attack
SLACK = 5.0  # so many times as much fails, on any machine


@dataclass(frozen=True)
class Measured:
    """All that was measured of one attack.

    Attributes:
      place: "app", or "nginx".
      alone, beside: what the neighbours waited for, before and during.
      before_mb, peak_mb, after_mb: of memory; the last when it was back, or a minute later.
      log_faults: what must not stand in the log.
      died: the server ended.
    """

    attack: Attack
    place: str
    outcome: Outcome
    alone: Waits
    beside: Waits
    before_mb: float
    peak_mb: float
    after_mb: float
    log_faults: tuple[str, ...] = ()
    died: bool = False

    @property
    def longer(self) -> float:
        """How many times as long the neighbours wait: their p95 over that of before."""
        return self.beside.quantile_ms(0.95) / self.alone.quantile_ms(0.95)

    def limits(self) -> list[tuple[str, float, float, float]]:
        """What is promised in numbers: name, what came, what is promised, and from where on it fails."""
        # on a machine that is busy with other things, the neighbours wait longer even when they are alone
        legal_ms = max(LEGAL_MS, LONGER * self.alone.quantile_ms(0.95))
        p95 = ("p95 ms", self.beside.quantile_ms(0.95), legal_ms, SLACK * legal_ms)
        alone_ms = self.alone.quantile_ms(0.95)
        most = max(LONGER, REFUSED_MS / alone_ms)
        longer = ("times as long", self.longer, most, SLACK * most)
        return [
            p95 if self.attack.is_legal else longer,
            ("longest wait s", self.beside.longest, LONGEST_SECONDS, SLACK * LONGEST_SECONDS),
            ("MB more", self.peak_mb - self.before_mb, self.attack.more_mb, SLACK * self.attack.more_mb),
            ("MB after", self.after_mb / self.before_mb, BACK, 1 + SLACK * (BACK - 1)),
        ]

    def faults(self) -> list[str]:
        """What must not be at all."""
        found = [*self.outcome.faults, *self.log_faults, *self.beside.wrong[:2]]
        found += [f"before it: {wrong}" for wrong in self.alone.wrong[:1]]
        if self.died:
            found.append("the server ended")
        if self.attack.is_refused and not self.outcome.refusals:
            found.append("never refused")
        return found

    @property
    def over(self) -> list[str]:
        """The limits that are not kept."""
        return [f"{name} {came:.3g} > {limit:g}" for name, came, limit, _failing in self.limits() if came > limit]

    @property
    def passed(self) -> bool:
        """No fault, and no limit passed by more than SLACK times."""
        return not self.faults() and all(came <= failing for _name, came, _limit, failing in self.limits())

    @property
    def verdict(self) -> str:
        """In words."""
        faults = self.faults()
        more = [f"{len(faults) - SHOWN} more"] if len(faults) > SHOWN else []
        why = "; ".join([*faults[:SHOWN], *more, *self.over])
        return "ok" if not why else f"over: {why}" if self.passed else f"FAILS: {why}"


COLUMNS = (
    *("attack", "at", "came", "refused", "alone p50 p95 ms", "beside p50 p95 ms", "times", "longest s", "/healthz s"),
    *("MB before", "peak", "after", "verdict"),
)


def row(measured: Measured) -> tuple[str, ...]:
    """One line of the table."""
    alone, beside, outcome = measured.alone, measured.beside, measured.outcome
    return (
        measured.attack.name,
        measured.place,
        f"{outcome.came}",
        ", ".join(f"{how} × {count}" for how, count in outcome.refusals.most_common(3)) or "-",
        f"{alone.quantile_ms(0.5):.0f} {alone.quantile_ms(0.95):.0f}",
        f"{beside.quantile_ms(0.5):.0f} {beside.quantile_ms(0.95):.0f}",
        f"{measured.longer:.2f}",
        f"{beside.longest:.2f}",
        f"{max(beside.health, default=float('inf')):.2f}",
        f"{measured.before_mb:.0f}",
        f"{measured.peak_mb:.0f}",
        f"{measured.after_mb:.0f}",
        measured.verdict,
    )


def table(results: list[Measured]) -> str:
    """The results as text, one line each, and what the limits are."""
    rows = [COLUMNS, *map(row, results)]
    widths = [max(len(line[column]) for line in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip() for line in rows]
    promised = (
        f"promised: beside what is refused, p95 at most {LONGER:g} times as long, or {REFUSED_MS:g} ms; "
        f"beside what each may do, p95 at most {LEGAL_MS:g} ms; no wait over {LONGEST_SECONDS:g} s; "
        f"at most 300 MB more (quota: 1000), and back within {BACK - 1:.0%}.  "
        f"Fails: {SLACK:g} times that, or any fault."
    )
    return "\n".join([*lines, promised])
