"""compare: every implementation on one Problem, beside F.cross_entropy with autograd, and why one differs."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xent_core.autograd import loss_and_perhaps_gradient
from xent_core.cross_entropy import TOLERANCE_IN_EPS
from xent_core.distance import distance, largest
from xent_core.implementations.reasons import LABELS, PROBABILITIES, Case, Reason, first_cell
from xent_core.implementations.registry import IMPLEMENTATIONS, Implementation
from xent_core.implementations.routes import as_labels, as_probabilities
from xent_core.problem import Problem
from xent_core.values import Value


@dataclass(frozen=True, eq=False)
class Entry(Value):
    """One route on one Problem; made by `compare`.

    Attributes:
      name, code: of the route; the code is the source of the functions that ran.
      loss, grad_logits: what it gave, as in Evaluation; None if it could not run.
      loss_difference, grad_difference: the largest distance from F.cross_entropy, 0 where both are NaN or the same
        infinity, inf where only one is.
      agrees: whether both lie within the rounding of the dtype.
      symptom: "", or how it fails: "cannot run", "NaN", "inf", "0", "NaN gradient" or "off".
      reasons: why it does not agree; empty if it does.
    """

    name: str
    code: str
    loss: Tensor | None
    grad_logits: Tensor | None
    loss_difference: float
    grad_difference: float
    agrees: bool
    symptom: str
    reasons: tuple[Reason, ...]

    @property
    def max_abs_difference(self) -> float:
        """The larger of the two distances; inf if the route could not run."""
        return max(self.loss_difference, self.grad_difference)

    @property
    def note(self) -> str:
        """The reasons in words; empty if the route agrees."""
        return " ".join(map(str, self.reasons))


def compare(problem: Problem) -> list[Entry]:
    """Every route of IMPLEMENTATIONS on this Problem, against F.cross_entropy on logits / T with autograd.

    A route gets the options that it knows. One that cannot run on this Problem says so, and nothing is raised.

    Example:
      >>> all(entry.agrees for entry in compare(Problem([[1, 2, 3]] * 3, [2, 1, 0])))
      True
    """
    case = Case(_with_rows(problem))
    return [_entry(implementation, problem, case) for implementation in IMPLEMENTATIONS]


def _with_rows(problem: Problem) -> Problem:
    """The same Problem with logits of shape (N, C); its rows in the same order."""
    if problem.logits.dim() == 2:
        return problem
    target = rows_of(problem.target, problem) if problem.has_probabilities else problem.target.reshape(-1)
    return replace(problem, logits=rows_of(problem.logits, problem), target=target)


def rows_of(values: Tensor, problem: Problem) -> Tensor:
    # (N, C, d1, …) -> (N·d1·…, C)
    return values.movedim(problem.class_axis, -1).reshape(-1, problem.num_classes)


def _entry(implementation: Implementation, problem: Problem, case: Case) -> Entry:
    try:
        loss, grad = _run(implementation, case.problem)
    except (RuntimeError, IndexError, ValueError, TypeError, ZeroDivisionError) as error:
        reasons = _reasons_of_target(implementation, case)
        return Entry(
            name=implementation.name,
            code=implementation.code,
            loss=None,
            grad_logits=None,
            loss_difference=math.inf,
            grad_difference=math.inf,
            agrees=False,
            symptom="cannot run",
            reasons=tuple(reasons or [Reason("cannot-run", {"error": str(error).split("\n")[0][:160].rstrip(".")})]),
        )
    loss_distance = distance(loss, case.reference.loss)
    grad_distance = distance(grad, case.reference.grad_logits)
    loss_tolerance, grad_tolerance = _tolerances(case)
    loss_is_off, grad_is_off = loss_distance > loss_tolerance, grad_distance > grad_tolerance
    agrees = not bool(loss_is_off.any() or grad_is_off.any())
    rows = problem.kept().shape
    axis = problem.class_axis
    return Entry(
        name=implementation.name,
        code=implementation.code,
        loss=loss.reshape(rows) if problem.reduction == "none" else loss,
        grad_logits=grad.reshape([*rows, problem.num_classes]).movedim(-1, axis),
        loss_difference=largest(loss_distance),
        grad_difference=largest(grad_distance),
        agrees=agrees,
        symptom="" if agrees else _symptom(loss[loss_is_off], grad[grad_is_off]),
        reasons=() if agrees else tuple(_reasons(implementation, case, loss, grad, bool(loss_is_off.any()))),
    )


def _run(implementation: Implementation, problem: Problem) -> tuple[Tensor, Tensor]:
    """Loss and gradient with respect to the logits, by this route."""
    known = replace(problem.options, label_smoothing=problem.smoothing).torch_keywords()
    options = {name: value for name, value in known.items() if name in implementation.options}
    own_gradient: list[Tensor] = []

    def loss_of(leaf: Tensor) -> Tensor:
        result = implementation.run(leaf / problem.temperature, problem.target, **options)
        if not isinstance(result, tuple):
            return result
        loss, gradient = result
        own_gradient.append(gradient.detach() / problem.temperature)
        return loss.detach()

    loss, gradient = loss_and_perhaps_gradient(problem.logits, loss_of)
    if own_gradient:
        return loss, own_gradient[0]
    assert gradient is not None
    return loss, gradient


def _tolerances(case: Case) -> tuple[Tensor, Tensor]:
    """How far rounding alone may take loss and gradient: TOLERANCE_IN_EPS eps of the coarsest dtype in use."""
    problem, reference = case.problem, case.reference
    tensors = [problem.logits, problem.target, *([] if problem.weight is None else [problem.weight])]
    eps = TOLERANCE_IN_EPS * max(torch.finfo(one.dtype).eps for one in tensors if one.is_floating_point())
    mass = reference.effective_target.double().abs().sum(1)
    denominator = abs(float(reference.denominator)) or 1.0
    # log p near 0 carries the rounding of p near 1
    size = mass + reference.row_loss.double().abs().nan_to_num(posinf=0.0)
    loss = eps * (size if problem.reduction == "none" else size.sum() / denominator)
    grad = eps * mass.unsqueeze(1) / (denominator * problem.temperature)
    smallest = torch.finfo(problem.logits.dtype).smallest_normal * eps
    return loss.nan_to_num(), (grad + smallest).nan_to_num().expand_as(problem.logits)


def _symptom(loss: Tensor, grad: Tensor) -> str:
    """How it fails, from the numbers that are off."""
    if bool(loss.isnan().any()):
        return "NaN"
    if bool(loss.isinf().any()):
        return "inf"
    if not loss.numel() and bool(grad.isnan().any()):
        return "NaN gradient"
    return "0" if loss.numel() and bool((loss == 0).all()) else "off"


def _reasons(implementation: Implementation, case: Case, loss: Tensor, grad: Tensor, loss_is_off: bool) -> list[Reason]:
    reasons = [*_reasons_of_options(implementation, case), *_reasons_of_target(implementation, case)]
    numeric = next((reason for pitfall in implementation.pitfalls if (reason := pitfall(case))), None)
    # rounding is too small to be the cause where there is another
    if numeric and not (reasons and numeric.code == "cancellation"):
        reasons.append(numeric)
    return reasons or [_difference(case, loss, grad, loss_is_off)]


def _reasons_of_options(implementation: Implementation, case: Case) -> list[Reason]:
    problem, reasons = case.problem, []
    if problem.smoothing and "label_smoothing" not in implementation.options:
        loss = case.loss_without(label_smoothing=0.0)
        reasons.append(Reason("no-label-smoothing", {"epsilon": problem.smoothing, "loss": loss}))
    if problem.weight is None:
        return reasons
    if "weight" not in implementation.options:
        return [*reasons, Reason("no-weight", {"loss": case.loss_without(weight=None)})]
    if problem.reduction == "mean" and implementation.reads not in ("", case.form):
        labels = as_labels(problem.target)[problem.kept()]
        values = {"weight": float(problem.weight[labels].sum()), "rows": problem.num_rows}
        if values["weight"] != values["rows"]:
            reasons.append(Reason("divides-by-weight" if implementation.reads == LABELS else "divides-by-rows", values))
    return reasons


def _reasons_of_target(implementation: Implementation, case: Case) -> list[Reason]:
    problem = case.problem
    if case.form == PROBABILITIES:
        return _argmax(case) if implementation.reads == LABELS else []
    ignored = ~problem.kept()
    if not bool(ignored.any()) or "ignore_index" in implementation.options:
        return []
    row = int(ignored.nonzero()[0])
    if 0 <= problem.ignore_index < problem.num_classes:
        return [Reason("no-ignore", {"row": row, "index": problem.ignore_index})]
    if implementation.reads == LABELS:
        return [Reason("label-is-no-class", {"row": row, "index": problem.ignore_index})]
    reasons = []
    if problem.reduction == "mean" and problem.weight is None:
        kept = problem.num_rows - int(ignored.sum())
        reasons.append(Reason("zero-rows-count", {"rows": problem.num_rows, "kept": kept}))
    if problem.smoothing and "label_smoothing" in implementation.options:
        share = problem.smoothing / problem.num_classes
        reasons.append(Reason("zero-rows-smoothed", {"row": row, "share": share}))
    return reasons


def _argmax(case: Case) -> list[Reason]:
    y = case.problem.target
    if not y.numel():
        return []
    labels = y.argmax(1)
    one_hot = as_probabilities(labels, y)
    place = first_cell(y != one_hot)
    if place is None:
        return []
    label = int(labels[place["row"]])
    share = float(y[place["row"], label])
    return [Reason("argmax", {"row": place["row"], "label": label, "share": share})]


def _difference(case: Case, loss: Tensor, grad: Tensor, loss_is_off: bool) -> Reason:
    """Where no cause is known: the numbers where they lie furthest apart, and who is nearer to float64."""
    reference, exact = case.reference, case.exact
    if loss_is_off:
        place = int(distance(loss, reference.loss).argmax())
        given, expected, true = (values.reshape(-1)[place] for values in (loss, reference.loss, exact.loss))
        return Reason("loss-differs", {"loss": float(given), "expected": float(expected), "exact": float(true)})
    row, label = divmod(int(distance(grad, reference.grad_logits).argmax()), case.problem.num_classes)
    given, expected, true = (values[row, label] for values in (grad, reference.grad_logits, exact.grad_logits))
    return Reason(
        "gradient-differs",
        {"row": row, "label": label, "grad": float(given), "expected": float(expected), "exact": float(true)},
    )
