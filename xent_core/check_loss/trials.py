"""One case of a property, and how it went: compared with F.cross_entropy, or with the same loss run plainly."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch

from xent_core.check_loss.cases import Case
from xent_core.check_loss.measure import CONVENTION, PLAIN, REFUSED, RIGHT, TO_FLOAT32, WRONG, Result, Way, compared
from xent_core.check_loss.subject import KEYWORDS, Subject
from xent_core.language import _

SEED = 0
ORDER = (WRONG, CONVENTION, REFUSED, TO_FLOAT32, RIGHT, "not tried")  # the worst first


@dataclass(frozen=True, eq=False)
class Trial:
    """One case of a property, and how it went.

    Attributes:
      case: what was computed.
      verdict: one of those of a Result.
      message: in words, empty where it is right.
      numbers: the differences, where numbers were compared.
    """

    case: Case
    verdict: str
    message: str = ""
    numbers: Result | None = None


def generator() -> torch.Generator:
    """Draws the same numbers every time."""
    return torch.Generator().manual_seed(SEED)


def drawn(name: str, rows: int, classes: int, *, dtype: torch.dtype = torch.float32, **options: Any) -> Case:
    """Random logits and labels, some of them ignored where ignore_index is given."""
    draw = generator()
    logits = (2 * torch.randn(rows, classes, generator=draw, dtype=torch.float64)).to(dtype)
    return Case(name, logits, torch.randint(classes, (rows,), generator=draw), options)


def given_options(subject: Subject, case: Case) -> dict[str, Any] | None:
    """The options of a case by which this loss is called; None if it does not take one of them, or such logits."""
    given = {name: value for name, value in case.options.items() if name in KEYWORDS}
    if given.get("reduction") == "mean" and "reduction" not in subject.options:
        del given["reduction"]
    return given if subject.takes(given) and subject.takes_logits(case.logits) else None


def tried(subject: Subject, case: Case, way: Way = PLAIN, call: Callable[..., Any] | None = None) -> Iterator[Trial]:
    """The case compared with F.cross_entropy, if the loss takes its options.

    Where a loss is wrong in the same case called plainly, it need only be what it is then.
    """
    given = given_options(subject, case)
    if given is None:
        return
    trial = trial_of(case, compared(call or subject, case, given, way))
    is_plain = way is PLAIN and call is None
    if trial.verdict == WRONG and not is_plain and compared(subject, case, given).is_wrong:
        yield from like_itself(subject, case, way, call or subject)
    else:
        yield trial


def like_itself(subject: Subject, case: Case, way: Way, call: Callable[..., Any]) -> Iterator[Trial]:
    """The case run in another way compared with the same loss run plainly, if that gives numbers."""
    given = given_options(subject, case)
    if given is None or compared(subject, case, given).message:
        return
    yield trial_of(case, compared(call, replace(case, options=given), given, replace(way, reference=subject)))


def trial_of(case: Case, result: Result) -> Trial:
    """A comparison of both loss and gradient as one trial."""
    verdict = worst((result.loss_verdict, result.grad_verdict))
    message = "" if verdict == RIGHT else result.message or difference_words(result)
    return Trial(case, verdict, message, result)


def difference_words(result: Result) -> str:
    """How far loss and gradient are off, where they are."""
    parts = []
    if result.loss_difference > result.loss_tolerance:
        parts.append(_("loss off by {found:.3g}").format(found=result.loss_difference))
    if result.grad_difference > result.grad_tolerance:
        parts.append(_("gradient off by {found:.3g}").format(found=result.grad_difference))
    return ", ".join(parts)


def worst(verdicts: tuple[str, ...] | list[str]) -> str:
    """The worst of some verdicts; "not tried" of none."""
    return min(verdicts, key=ORDER.index, default=ORDER[-1])
