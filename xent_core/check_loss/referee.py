"""check_loss: tries the properties one by one, and says of each what was found."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from xent_core.check_loss.cases import Case, standard_cases
from xent_core.check_loss.measure import REFUSED, TO_FLOAT32, WRONG, Measured, compared, measured
from xent_core.check_loss.mistakes import MISTAKES, Mistake
from xent_core.check_loss.property_list import PROPERTIES, of_part, standard_trials
from xent_core.check_loss.shrinking import lines_of, smallest
from xent_core.check_loss.subject import Loss, Subject, subject_of
from xent_core.check_loss.trials import Trial, given_options, trial_of, worst
from xent_core.check_loss.verdicts import Report, Verdict
from xent_core.distance import distance, largest
from xent_core.language import _

COMPARED_CASES = 8  # with known mistakes
COMPARED_NUMBERS = 2**19
LEAST_AGREEMENT = 0.75
PLAIN_PROPERTIES = ("values", "gradients", "sizes", "ignore-index")  # whose cases are calls and nothing else


def check_loss(fn: Loss, *, cases: Iterable[Case] | None = None, properties: Sequence[str] | None = None) -> Report:
    """Try a cross-entropy: each property of F.cross_entropy on cases of its own, against float64.

    The gradient is that of `backward()`, for reduction "none" of the sum.
    Where F.cross_entropy in the dtype of the case is itself further off, as in float16, its distance is allowed too.
    A loss that refuses a case clearly, computes in float32, or gives 0 where every row is ignored is not wrong.

    Args:
      fn: takes logits and target, and as keywords those of weight, ignore_index, reduction and label_smoothing that it
        knows; which, is read from its signature. A module, a class of modules, a fused loss (hidden, matrix, target)
        whose arguments are called so, or what `classes_last` and `from_value_and_gradient` make of others.
      cases: only these, for values and gradients.
      properties: the names of those that are tried; all of `PROPERTIES` without it.
    Returns: a Report; `verdicts` by property.
    Raises: ValueError for the name of no property.
    Example:
      >>> import torch.nn.functional as F
      >>> check_loss(F.cross_entropy, properties=["values", "refusals"]).verdicts
      {'values': 'right', 'refusals': 'right'}
    """
    subject = subject_of(fn)
    if cases is not None:
        return _of_cases(subject, list(cases))
    wanted = tuple(one.name for one in PROPERTIES) if properties is None else tuple(properties)
    unknown = [name for name in wanted if name not in {one.name for one in PROPERTIES}]
    if unknown:
        raise ValueError(
            _("there is no property {name}, expected some of {names}").format(
                name=", ".join(unknown), names=", ".join(one.name for one in PROPERTIES)
            )
        )
    report = Report((), ())
    for one in PROPERTIES:
        if one.name in wanted:
            trials = _unless_all_refused(one.name, list(one.trials(subject)))
            if one.name in ("values", "gradients"):
                report = _with_results(report, trials, _skipped(subject, standard_cases()))
            report = replace(report, findings=(*report.findings, judged(subject, one.name, trials)))
    return report


def assert_cross_entropy(fn: Loss, *, cases: Iterable[Case] | None = None) -> None:
    """For pytest: AssertionError with the report unless `check_loss(fn)` passes.

    Example:
      >>> import torch.nn.functional as F
      >>> assert_cross_entropy(lambda logits, target: F.cross_entropy(logits, target))
    """
    report = check_loss(fn, cases=cases)
    if not report.passed:
        raise AssertionError(str(report))


def properties() -> tuple[str, ...]:
    """The names of all properties, for a test of each: `check_loss(fn, properties=[name]).passed`."""
    return tuple(one.name for one in PROPERTIES)


def _of_cases(subject: Subject, cases: Sequence[Case]) -> Report:
    report = Report((), ())
    for name in ("values", "gradients"):
        trials = list(standard_trials(subject, cases, of_gradient=name == "gradients"))
        trials = _unless_all_refused(name, trials)
        report = _with_results(report, trials, _skipped(subject, cases))
        report = replace(report, findings=(*report.findings, judged(subject, name, trials)))
    return report


def _skipped(subject: Subject, cases: Sequence[Case]) -> tuple[str, ...]:
    return tuple(case.name for case in cases if given_options(subject, case) is None)


def _with_results(report: Report, trials: Sequence[Trial], skipped: tuple[str, ...]) -> Report:
    """The report with the comparisons behind these trials."""
    results = tuple(trial.numbers for trial in trials if trial.numbers is not None)
    return replace(report, results=results, skipped=skipped)


def _unless_all_refused(name: str, trials: list[Trial]) -> list[Trial]:
    """A loss that refuses every case, the plain ones among them, supports nothing: that is wrong."""
    if name not in ("values", "gradients") or any(trial.verdict != REFUSED for trial in trials):
        return trials

    def wrong(trial: Trial) -> Trial:
        numbers = trial.numbers and replace(trial.numbers, loss_verdict=WRONG, grad_verdict=WRONG)
        return replace(trial, verdict=WRONG, numbers=numbers)

    return [wrong(trial) for trial in trials]


def judged(subject: Subject, name: str, trials: Sequence[Trial]) -> Verdict:
    """What the trials of a property say together: the worst of those that the loss did not refuse."""
    taken = [trial for trial in trials if trial.verdict != REFUSED]
    refused = [trial for trial in trials if trial.verdict == REFUSED]
    verdict = worst([trial.verdict for trial in taken or refused])
    worst_trials = [trial for trial in taken or refused if trial.verdict == verdict]
    wrong = worst_trials if verdict == WRONG else []
    found = Verdict(
        name,
        verdict,
        _reason(verdict, worst_trials),
        len(trials),
        len(wrong),
        tuple(f"{trial.case.name} ({trial.message})" for trial in refused) if taken else (),
    )
    if not wrong:
        return found
    shown = min(wrong, key=lambda trial: trial.case.logits.numel())
    if name in PLAIN_PROPERTIES:
        found = _with_mistake(found, subject, wrong)
        small = smallest(shown.case, lambda case: _is_wrong(subject, name, case))
        return replace(found, shape=tuple(small.logits.shape), example=lines_of(small, subject.name))
    return replace(found, shape=tuple(shown.case.logits.shape))


def _reason(verdict: str, trials: Sequence[Trial]) -> str:
    """Why, in the words of the first trial; in those of how many digits are right, to float32."""
    if not trials or not trials[0].message:
        return ""
    if verdict == TO_FLOAT32:
        differences = [max(one.numbers.loss_difference, one.numbers.grad_difference) for one in trials if one.numbers]
        digits = int(-math.log10(max(differences, default=1.0)))
        return _("{digits} digits of float64 logits").format(digits=digits)
    return f"{trials[0].case.name}: {trials[0].message}"


def _is_wrong(subject: Subject, name: str, case: Case) -> bool:
    """Whether a smaller case shows the same kind of fault."""
    given = given_options(subject, case)
    if given is None:
        return False
    result = compared(subject, case, given)
    trial = trial_of(case, result)
    if name in ("values", "gradients"):
        trial = of_part(case, result, of_gradient=name == "gradients")
    return trial.verdict == WRONG


def _with_mistake(verdict: Verdict, subject: Subject, wrong: Sequence[Trial]) -> Verdict:
    """The known mistake that gives what the loss gives, where it is wrong."""
    known = [one for one in (_outcome(subject, trial) for trial in wrong[:COMPARED_CASES]) if one is not None]
    if not known:
        return verdict
    counts = {mistake: _agreements(mistake, known) for mistake in MISTAKES}
    best = max(counts, key=lambda mistake: counts[mistake])  # the first of equals: the simplest stand first
    if not counts[best]:
        return verdict
    as_if = _("it behaves exactly as if {mistake} ({agree} of {count} cases)").format(
        mistake=best, agree=counts[best], count=len(known)
    )
    return replace(verdict, mistake=best.code, as_if=as_if)


def _agreements(mistake: Mistake, known: Sequence[tuple[Trial, Measured]]) -> int:
    """In how many of these cases a mistake gives the same; 0 if in too few."""
    others = 0
    for one in known:
        others += not _gives(mistake, *one)
        if others > (1 - LEAST_AGREEMENT) * len(known):
            return 0
    return len(known) - others


def _outcome(subject: Subject, trial: Trial) -> tuple[Trial, Measured] | None:
    """What the loss gave in a trial; None if that says nothing of how it came about."""
    case, given = trial.case, given_options(subject, trial.case)
    if trial.numbers is None or given is None or case.logits.numel() > COMPARED_NUMBERS:
        return None
    try:
        came = measured(subject, case, given, case.logits.dtype)
    except Exception:  # somebody's own, which may raise anything
        return None
    return (trial, came) if bool(came.loss.isfinite().all()) else None


def _gives(mistake: Mistake, trial: Trial, came: Measured) -> bool:
    """Whether a mistake gives the same loss and gradient in this case."""
    case, numbers = trial.case, trial.numbers
    assert numbers is not None
    try:
        theirs = measured(mistake, case, case.options, case.logits.dtype)
    except (RuntimeError, ValueError, IndexError):  # what a mistake cannot compute is no agreement
        return False
    if came.loss.shape != theirs.loss.shape or largest(distance(came.loss, theirs.loss)) > numbers.loss_tolerance:
        return False
    if came.grad is None or theirs.grad is None:
        return came.grad is None and theirs.grad is None
    return largest(distance(came.grad, theirs.grad)) <= numbers.grad_tolerance
