"""What the referee says: a verdict for each property, the worst first, as text and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch

from xent_core.check_loss.measure import CONVENTION, RIGHT, TO_FLOAT32, WRONG, Result
from xent_core.check_loss.trials import ORDER
from xent_core.language import _
from xent_core.values import Value

SCHEMA = 1
MOST_LINES = 12  # of single failures


@dataclass(frozen=True, eq=False)
class Verdict(Value):
    """What was found of one property.

    Attributes:
      property: its name, such as "values".
      verdict: "right", "right to float32", "convention differs", "not supported", "wrong", or "not tried".
      reason: of the verdict, in words; empty where it is right.
      tried, wrong: how many cases, and how many of them are wrong.
      refused: the names of cases for which the loss raised.
      mistake: the code of a known mistake that gives the same wrong numbers, or empty.
      as_if: that mistake in words, with in how many of the wrong cases it does.
      shape: of the logits of the smallest input that shows it, or empty.
      example: that input as three lines to paste, or empty.
    """

    property: str
    verdict: str
    reason: str = ""
    tried: int = 0
    wrong: int = 0
    refused: tuple[str, ...] = ()
    mistake: str = ""
    as_if: str = ""
    shape: tuple[int, ...] = ()
    example: str = ""

    def __str__(self) -> str:
        words = f"{self.verdict:18} {self.property}"
        details = [self.reason] if self.reason else []
        if self.wrong:
            details[:0] = [_("{wrong} of {tried} cases").format(wrong=self.wrong, tried=self.tried)]
        if self.refused and self.verdict != ORDER[2]:
            details.append(_("not supported: {names}").format(names=", ".join(self.refused[:4])))
        if self.as_if:
            details.append(self.as_if)
        text = words + (": " + "; ".join(details) if details else "")
        return text + "".join(f"\n{'':21}{line}" for line in self.example.splitlines())

    def as_json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in vars(self).items()
            if name != "property"
        }

    @classmethod
    def from_json(cls, name: str, values: Mapping[str, Any]) -> Verdict:
        """A verdict out of its plain values."""
        plain: dict[str, Any] = {
            key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
        }
        return cls(name, **plain)


@dataclass(frozen=True, eq=False)
class Report(Value):
    """What `check_loss` found; as text, the failures of the standard cases, then a line for each property.

    Attributes:
      results: one for each standard case, or each case that was given, that ran.
      skipped: names of the cases whose options the function does not take.
      findings: what was found of each property.
    """

    results: tuple[Result, ...]
    skipped: tuple[str, ...]
    findings: tuple[Verdict, ...] = ()

    @cached_property
    def verdicts(self) -> Mapping[str, str]:
        """The verdict of each property by its name."""
        return {one.property: one.verdict for one in self.findings}

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong, and something ran."""
        verdicts = set(self.verdicts.values())
        return not self.failures and WRONG not in verdicts and bool(verdicts & {RIGHT, TO_FLOAT32, CONVENTION})

    @property
    def failures(self) -> tuple[Result, ...]:
        """The cases that are wrong, in the order of the table."""
        return tuple(result for result in self.results if result.is_wrong)

    def __str__(self) -> str:
        lines = [self._head(), *(f"  {line}" for line in _grouped(self.failures))] if self.results else []
        lines += [f"  {line}" for one in self.worst_first for line in str(one).splitlines()]
        return "\n".join(lines)

    def _head(self) -> str:
        passed = sum(result.passed for result in self.results)
        head = _("{passed} of {count} cases agree with F.cross_entropy").format(passed=passed, count=len(self.results))
        skipped = _("; {count} skipped, as the function does not take their options").format(count=len(self.skipped))
        return head + (skipped if self.skipped else "") + "."

    @property
    def worst_first(self) -> list[Verdict]:
        """The findings, what is wrong before all else."""
        return sorted(self.findings, key=lambda one: ORDER.index(one.verdict))

    def as_json(self) -> dict[str, Any]:
        """As plain values: schema, versions, and the verdicts by the names of the properties."""
        return {
            "schema": SCHEMA,
            "torch": torch.__version__,
            "passed": self.passed,
            "verdicts": {one.property: one.as_json() for one in self.findings},
        }


def _grouped(failures: Sequence[Result]) -> list[str]:
    """A line for each failure, and one for all that have the same message."""
    names: dict[str, list[str]] = {}
    for result in failures:
        names.setdefault(result.message or str(result), []).append(result.name)
    lines = []
    for text, cases in names.items():
        if len(cases) > 1:
            text = _("{count} cases, the first of them {name}: {reason}").format(
                count=len(cases), name=cases[0], reason=text
            )
        elif not text.startswith(f"{cases[0]}: "):
            text = f"{cases[0]}: {text}"
        lines.append(text)
    more = len(lines) - MOST_LINES
    return [*lines[:MOST_LINES], *([_("and {count} more").format(count=more)] if more > 0 else [])]
