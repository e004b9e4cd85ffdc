"""The routes by which people compute cross-entropy, each beside F.cross_entropy on the same Problem.

IMPLEMENTATIONS is the list of routes, and `compare` runs them all.
A new route is one function and one entry of the list.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.cross_entropy import TOLERANCE_IN_EPS, Evaluation, evaluate
from xent_core.language import N_, _
from xent_core.problem import Problem

LABELS, PROBABILITIES = "labels", "probabilities"

# What a Reason says. `row` and `label` are positions; the other names in braces are numbers or PyTorch's own words.
REASONS = {
    "cannot-run": N_("It cannot run on this: {error}."),
    "no-label-smoothing": N_("It knows no label smoothing: without ε = {epsilon} F.cross_entropy gives {loss}."),
    "no-weight": N_("It knows no class weights: without them F.cross_entropy gives {loss}."),
    "no-ignore": N_("It ignores no rows: {row} counts too, although its label is ignore_index = {index}."),
    "label-is-no-class": N_("It ignores no rows, and the label {index} of {row} is no class: drop such rows first."),
    "zero-rows-count": N_("An ignored row is a row of zeros here: mean divides by N = {rows}, not by the {kept} kept."),
    "zero-rows-smoothed": N_(
        "An ignored row is a row of zeros here, which smoothing fills: {share} per class in {row}."
    ),
    "argmax": N_("argmax(y) keeps one class per row: {row} becomes all {label}, to which y gives {share}."),
    "divides-by-weight": N_("With class indices mean divides by Σw = {weight}, with probabilities by N = {rows}."),
    "divides-by-rows": N_("With probabilities mean divides by N = {rows}, with class indices by Σw = {weight}."),
    "entropy": N_("KLDivLoss is cross-entropy minus the entropy of y: {entropy} less, with no gradient of its own."),
    "exp-overflow": N_("e^z overflows {dtype} at {row}, {label}: z = {z} gives inf; inf/inf = NaN, 1/inf = 0."),
    "exp-underflow": N_("Every e^z of {row} is 0 in {dtype}, the largest logit being {z}: 0/0 = NaN."),
    "slope-of-division": N_(
        "backward() divides p = {prob} at {row}, {label} by Σe^z = {total}: too small for {dtype}."
    ),
    "log-of-zero": N_(
        "softmax is 0 in {dtype} at {row}, {label}: its log is −inf, where log_softmax gives {log_prob}."
    ),
    "zero-times-log-zero": N_("softmax is 0 in {dtype} at {row}, {label}, where y is 0: 0 · log 0 = NaN."),
    "slope-of-log-zero": N_("softmax is 0 in {dtype} at {row}, {label}: backward() computes 0 · 1/0 = NaN."),
    "few-digits": N_("softmax is {prob} at {row}, {label}: {dtype} has few digits left so close to 0."),
    "zero-times-not-finite": N_("log_softmax is {log_prob} at {row}, {label}, where y is 0: 0 times that is NaN."),
    "never-looks-there": N_(
        "F.cross_entropy multiplies y = 0 by {log_prob} at {row}, {label}: NaN. This route does not."
    ),
    "cancellation": N_("logsumexp(z) = {logsumexp} and z = {z} cancel in {row}: {dtype} has steps of {spacing} there."),
    "infinite-logsumexp": N_("logsumexp(z) is inf in {row}, where log_softmax is NaN."),
    "loss-differs": N_("Its loss is {loss}, that of F.cross_entropy {expected}; float64 gives {exact}."),
    "gradient-differs": N_("Its gradient at {row}, {label} is {grad}, not {expected}; float64 gives {exact}."),
}


def by_hand(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    exps = torch.exp(logits)
    probs = exps / exps.sum(dim=1, keepdim=True)
    row_loss = -torch.log(at_label(probs, target))
    return reduced(row_loss, reduction)


def sum_of_y_log_softmax(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    y = as_probabilities(target, logits)
    row_loss = -(y * torch.log(F.softmax(logits, dim=1))).sum(dim=1)
    return reduced(row_loss, reduction)


def log_of_softmax_at_label(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    log_probs = torch.log(F.softmax(logits, dim=1))
    return reduced(-at_label(log_probs, target), reduction)


def log_softmax_at_label(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    log_probs = F.log_softmax(logits, dim=1)
    return reduced(-at_label(log_probs, target), reduction)


def log_softmax_and_nll_loss(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
) -> Tensor:
    nll_loss = torch.nn.NLLLoss(weight, ignore_index=ignore_index, reduction=reduction)
    loss: Tensor = nll_loss(F.log_softmax(logits, dim=1), as_labels(target))
    return loss


def cross_entropy_on_labels(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    cross_entropy = torch.nn.CrossEntropyLoss(
        weight, ignore_index=ignore_index, reduction=reduction, label_smoothing=label_smoothing
    )
    loss: Tensor = cross_entropy(logits, as_labels(target))
    return loss


def cross_entropy_on_probabilities(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Tensor:
    cross_entropy = torch.nn.CrossEntropyLoss(weight, reduction=reduction, label_smoothing=label_smoothing)
    loss: Tensor = cross_entropy(logits, as_probabilities(target, logits))
    return loss


def logsumexp_minus_logit(
    logits: Tensor, target: Tensor, *, ignore_index: int = -100, reduction: str = "mean"
) -> Tensor:
    labels = as_labels(target)
    kept = labels != ignore_index
    row_loss = torch.logsumexp(logits, dim=1) - at_label(logits, labels.where(kept, 0))
    row_loss = row_loss.where(kept, 0)
    return row_loss.sum() / kept.sum() if reduction == "mean" else reduced(row_loss, reduction)


def kl_div_loss(logits: Tensor, target: Tensor, *, reduction: str = "mean") -> Tensor:
    y = as_probabilities(target, logits)
    row_loss = F.kl_div(F.log_softmax(logits, dim=1), y, reduction="none").sum(dim=1)
    return reduced(row_loss, reduction)


def closed_form(
    logits: Tensor,
    target: Tensor,
    *,
    weight: Tensor | None = None,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Tensor, Tensor]:
    p, log_p = F.softmax(logits, dim=1), F.log_softmax(logits, dim=1)
    soft = target.is_floating_point()
    kept = torch.ones(len(target), dtype=torch.bool) if soft else target != ignore_index
    y = as_probabilities(target, logits)
    v = y * (1 - label_smoothing) + label_smoothing / logits.shape[1]
    v = (v if weight is None else v * weight).where(kept.unsqueeze(1), 0)
    S = v.sum(dim=1, keepdim=True)
    N = len(target) if soft else kept.sum() if weight is None else weight[target[kept].long()].sum()
    D = N if reduction == "mean" else 1
    grad = S * p - v  # of a row that is kept; divided by D below, which is 0 when none is
    row_loss = -(v * log_p).where(v != 0, 0).sum(dim=1)
    loss = row_loss if reduction == "none" else row_loss.sum() / D
    return loss, torch.where(kept.unsqueeze(1), grad / D, grad)


def as_labels(target: Tensor) -> Tensor:
    if target.is_floating_point():
        return target.argmax(dim=1)
    return target.long()


def as_probabilities(target: Tensor, logits: Tensor) -> Tensor:
    if target.is_floating_point():
        return target
    classes = torch.arange(logits.shape[1])
    return (target.unsqueeze(1) == classes).to(logits.dtype)  # one-hot; what is no class becomes a row of zeros


def at_label(values: Tensor, target: Tensor) -> Tensor:
    return values.gather(1, as_labels(target).unsqueeze(1)).squeeze(1)


def reduced(row_loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return row_loss
    return row_loss.mean() if reduction == "mean" else row_loss.sum()


@dataclass(frozen=True)
class Reason:
    """Why a route does not agree: a sentence of REASONS, and the numbers in it."""

    code: str
    values: dict[str, Any]

    def __str__(self) -> str:
        return _(REASONS[self.code]).format(**{name: _words(name, value) for name, value in self.values.items()})


def _words(name: str, value: Any) -> str:
    if name in ("row", "label"):
        return (_("row {index}") if name == "row" else _("class {index}")).format(index=value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True)
class Entry:
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


@dataclass(frozen=True, eq=False)
class _Case:
    """A Problem with logits of shape (N, C), and what the reasons look at."""

    problem: Problem

    @cached_property
    def reference(self) -> Evaluation:
        return evaluate(self.problem)

    @cached_property
    def exact(self) -> Evaluation:
        return evaluate(self.problem.to(torch.float64))

    @property
    def dtype(self) -> str:
        return str(self.problem.logits.dtype).removeprefix("torch.")

    @cached_property
    def scaled(self) -> Tensor:
        return self.problem.logits / self.problem.temperature

    @cached_property
    def y(self) -> Tensor:
        return as_probabilities(self.problem.target, self.problem.logits)

    @property
    def form(self) -> str:
        return PROBABILITIES if self.problem.has_probabilities else LABELS

    def loss_without(self, **defaults: Any) -> float:
        """The loss, or the sum of the row losses, with some options back at their defaults."""
        return float(evaluate(replace(self.problem, **defaults)).loss.sum())


def _at(mask: Tensor) -> dict[str, int] | None:
    """Row and class of the first cell that is set."""
    if not bool(mask.any()):
        return None
    row, label = mask.nonzero()[0].tolist()
    return {"row": row, "label": label}


def _reason(code: str, place: dict[str, int] | None, **values: Any) -> Reason | None:
    return None if place is None else Reason(code, {**place, **values})


def _overflow(case: _Case) -> Reason | None:
    exps = case.scaled.exp()
    place = _at(case.scaled.isfinite() & exps.isinf())
    if place is not None:
        z = float(case.scaled[place["row"], place["label"]])
        return Reason("exp-overflow", {**place, "z": z, "dtype": case.dtype})
    place = _at((exps.sum(1, keepdim=True) == 0) & case.scaled.isfinite())
    if place is not None:
        z = float(case.scaled[place["row"]].max())
        return Reason("exp-underflow", {"row": place["row"], "z": z, "dtype": case.dtype})
    return None


def _log_of_zero(case: _Case) -> Reason | None:
    return _log_of_small(case, case.reference.probs)


def _log_of_zero_by_hand(case: _Case) -> Reason | None:
    exps = case.scaled.exp()
    total = exps.sum(1, keepdim=True)
    probs = exps / total
    reason = _log_of_small(case, probs)
    place = _at((case.y != 0) & (probs / total < _few_digits(probs)))
    if reason is not None or place is None:
        return reason
    prob, whole = float(probs[place["row"], place["label"]]), float(total[place["row"]])
    return Reason("slope-of-division", {**place, "prob": prob, "total": whole, "dtype": case.dtype})


def _log_of_small(case: _Case, probs: Tensor) -> Reason | None:
    place = _at((case.y != 0) & (probs == 0))
    if place is not None:
        log_prob = float(case.reference.log_probs[place["row"], place["label"]])
        return Reason("log-of-zero", {**place, "log_prob": log_prob, "dtype": case.dtype})
    place = _at((case.y != 0) & (probs < _few_digits(probs)))
    if place is not None:
        prob = float(probs[place["row"], place["label"]])
        return Reason("few-digits", {**place, "prob": prob, "dtype": case.dtype})
    return None


def _few_digits(probs: Tensor) -> float:
    """Below this a number has lost digits: it is subnormal."""
    return torch.finfo(probs.dtype).smallest_normal


def _zero_times_log_zero(case: _Case) -> Reason | None:
    return _reason("zero-times-log-zero", _at((case.y == 0) & (case.reference.probs == 0)), dtype=case.dtype)


def _slope_of_log_zero(case: _Case) -> Reason | None:
    return _reason("slope-of-log-zero", _at((case.y == 0) & (case.reference.probs == 0)), dtype=case.dtype)


def _zero_times_minus_inf(case: _Case) -> Reason | None:
    if case.form == PROBABILITIES:
        return None  # F.cross_entropy does the same
    return _zero_times(case, "zero-times-not-finite", case.y)


def _never_looks_there(case: _Case) -> Reason | None:
    if case.form == LABELS:
        return None
    return _zero_times(case, "never-looks-there", case.reference.effective_target)


def _zero_times(case: _Case, code: str, y: Tensor) -> Reason | None:
    log_probs = case.reference.log_probs
    place = _at((y == 0) & ~log_probs.isfinite())
    return (
        None if place is None else Reason(code, {**place, "log_prob": float(log_probs[place["row"], place["label"]])})
    )


def _cancellation(case: _Case) -> Reason | None:
    lse = case.scaled.logsumexp(1)
    if bool(lse.isposinf().any()):
        return Reason("infinite-logsumexp", {"row": int(lse.isposinf().nonzero()[0])})
    row_loss = case.reference.row_loss
    size = lse.abs().where(lse.isfinite() & row_loss.isfinite() & case.problem.kept(), 0)
    if not size.numel() or not bool((size > TOLERANCE_IN_EPS * (1 + row_loss.abs())).any()):
        return None
    row = int(size.argmax())
    z = float(case.scaled[row, as_labels(case.problem.target)[row]])
    spacing = 2.0 ** math.floor(math.log2(float(size[row]))) * torch.finfo(lse.dtype).eps
    return Reason(
        "cancellation", {"row": row, "logsumexp": float(lse[row]), "z": z, "spacing": spacing, "dtype": case.dtype}
    )


def _entropy(case: _Case) -> Reason | None:
    entropy = -float(case.y.double().xlogy(case.y.double()).sum())
    if case.problem.reduction == "mean":
        entropy /= max(case.problem.num_rows, 1)
    return Reason("entropy", {"entropy": entropy}) if entropy != 0 else None


@dataclass(frozen=True)
class Implementation:
    """A route to the loss.

    Attributes:
      name: what it is, in PyTorch's words; in English, to be shown through gettext.
      run: logits / T, target and the options that it knows → loss, or (loss, gradient) if it needs no autograd.
      reads: the form of the target that it works on, "labels" or "probabilities"; "" if it takes either as it is.
      pitfalls: what can go wrong in its numbers; of those that did, the first becomes a Reason.
    """

    name: str
    run: Callable[..., Tensor | tuple[Tensor, Tensor]]
    reads: str
    pitfalls: tuple[Callable[[_Case], Reason | None], ...] = ()

    @property
    def options(self) -> set[str]:
        """The options of F.cross_entropy that it knows."""
        return set(inspect.signature(self.run).parameters) - {"logits", "target"}

    @cached_property
    def code(self) -> str:
        """The source of what runs: the route, and below it the helpers that it calls."""
        functions: list[Any] = [self.run]
        for function in functions:  # grows while it is walked
            functions += [
                helper
                for name in function.__code__.co_names
                if (helper := _HELPERS.get(name)) and helper not in functions
            ]
        return "\n\n".join(inspect.getsource(function) for function in functions)


_HELPERS: dict[str, Callable[..., Tensor]] = {
    function.__name__: function for function in (as_labels, as_probabilities, at_label, reduced)
}

IMPLEMENTATIONS = (
    Implementation(N_("exp, sum, divide, log by hand"), by_hand, LABELS, (_overflow, _log_of_zero_by_hand)),
    Implementation(N_("−Σ y·log(softmax)"), sum_of_y_log_softmax, PROBABILITIES, (_zero_times_log_zero, _log_of_zero)),
    Implementation(
        N_("log(softmax) at the label"),
        log_of_softmax_at_label,
        LABELS,
        (_log_of_zero, _slope_of_log_zero, _never_looks_there),
    ),
    Implementation(N_("log_softmax at the label"), log_softmax_at_label, LABELS, (_never_looks_there,)),
    Implementation(N_("log_softmax + NLLLoss"), log_softmax_and_nll_loss, LABELS, (_never_looks_there,)),
    Implementation(N_("CrossEntropyLoss on class indices"), cross_entropy_on_labels, LABELS, (_never_looks_there,)),
    Implementation(
        N_("CrossEntropyLoss on probabilities"), cross_entropy_on_probabilities, PROBABILITIES, (_zero_times_minus_inf,)
    ),
    Implementation(N_("logsumexp − z"), logsumexp_minus_logit, LABELS, (_never_looks_there, _cancellation)),
    Implementation(N_("KLDivLoss on log_softmax"), kl_div_loss, PROBABILITIES, (_entropy, _zero_times_minus_inf)),
    Implementation(N_("closed form, no autograd"), closed_form, "", (_never_looks_there,)),
)


def compare(problem: Problem) -> list[Entry]:
    """Every route of IMPLEMENTATIONS on this Problem, against F.cross_entropy on logits / T with autograd.

    A route gets the options that it knows. One that cannot run on this Problem says so, and nothing is raised.

    Example: three rows [1, 2, 3], labels 2, 1, 0 → all agree on 1.4076.
    """
    case = _Case(_with_rows(problem))
    return [_entry(implementation, problem, case) for implementation in IMPLEMENTATIONS]


def _with_rows(problem: Problem) -> Problem:
    """The same Problem with logits of shape (N, C); its rows in the same order."""
    if problem.logits.dim() == 2:
        return problem
    target = _rows(problem.target, problem) if problem.has_probabilities else problem.target.reshape(-1)
    return replace(problem, logits=_rows(problem.logits, problem), target=target)


def _rows(values: Tensor, problem: Problem) -> Tensor:
    # (N, C, d1, …) -> (N·d1·…, C)
    return values.movedim(problem.class_axis, -1).reshape(-1, problem.num_classes)


def _entry(implementation: Implementation, problem: Problem, case: _Case) -> Entry:
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
    loss_distance = _distance(loss, case.reference.loss)
    grad_distance = _distance(grad, case.reference.grad_logits)
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
        loss_difference=_largest(loss_distance),
        grad_difference=_largest(grad_distance),
        agrees=agrees,
        symptom="" if agrees else _symptom(loss[loss_is_off], grad[grad_is_off]),
        reasons=() if agrees else tuple(_reasons(implementation, case, loss, grad, bool(loss_is_off.any()))),
    )


def _run(implementation: Implementation, problem: Problem) -> tuple[Tensor, Tensor]:
    """Loss and gradient with respect to the logits, by this route."""
    known = {
        "weight": problem.weight,
        "ignore_index": problem.ignore_index,
        "reduction": problem.reduction,
        "label_smoothing": problem.smoothing,
    }
    options = {name: value for name, value in known.items() if name in implementation.options}
    with torch.inference_mode(False), torch.enable_grad():
        leaf = problem.logits.detach().requires_grad_()
        result = implementation.run(leaf / problem.temperature, problem.target, **options)
        if isinstance(result, tuple):
            loss, grad = result
            return loss.detach(), grad.detach() / problem.temperature
        result.backward(torch.ones_like(result))
    assert leaf.grad is not None
    return result.detach(), leaf.grad


def _distance(values: Tensor, expected: Tensor) -> Tensor:
    """|values − expected| in float64: 0 where both are NaN or the same infinity, inf where only one is."""
    a, b = values.double(), expected.double()
    same = (a == b) | (a.isnan() & b.isnan())
    return (a - b).abs().nan_to_num(nan=math.inf, posinf=math.inf).masked_fill(same, 0.0)


def _largest(distance: Tensor) -> float:
    return float(distance.max()) if distance.numel() else 0.0


def _tolerances(case: _Case) -> tuple[Tensor, Tensor]:
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


def _reasons(
    implementation: Implementation, case: _Case, loss: Tensor, grad: Tensor, loss_is_off: bool
) -> list[Reason]:
    reasons = [*_reasons_of_options(implementation, case), *_reasons_of_target(implementation, case)]
    numeric = next((reason for pitfall in implementation.pitfalls if (reason := pitfall(case))), None)
    # rounding is too small to be the cause where there is another
    if numeric and not (reasons and numeric.code == "cancellation"):
        reasons.append(numeric)
    return reasons or [_difference(case, loss, grad, loss_is_off)]


def _reasons_of_options(implementation: Implementation, case: _Case) -> list[Reason]:
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


def _reasons_of_target(implementation: Implementation, case: _Case) -> list[Reason]:
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


def _argmax(case: _Case) -> list[Reason]:
    y = case.problem.target
    if not y.numel():
        return []
    labels = y.argmax(1)
    one_hot = as_probabilities(labels, y)
    place = _at(y != one_hot)
    if place is None:
        return []
    label = int(labels[place["row"]])
    share = float(y[place["row"], label])
    return [Reason("argmax", {"row": place["row"], "label": label, "share": share})]


def _difference(case: _Case, loss: Tensor, grad: Tensor, loss_is_off: bool) -> Reason:
    """Where no cause is known: the numbers where they lie furthest apart, and who is nearer to float64."""
    reference, exact = case.reference, case.exact
    if loss_is_off:
        place = int(_distance(loss, reference.loss).argmax())
        given, expected, true = (values.reshape(-1)[place] for values in (loss, reference.loss, exact.loss))
        return Reason("loss-differs", {"loss": float(given), "expected": float(expected), "exact": float(true)})
    row, label = divmod(int(_distance(grad, reference.grad_logits).argmax()), case.problem.num_classes)
    given, expected, true = (values[row, label] for values in (grad, reference.grad_logits, exact.grad_logits))
    return Reason(
        "gradient-differs",
        {"row": row, "label": label, "grad": float(given), "expected": float(expected), "exact": float(true)},
    )


@dataclass(frozen=True, eq=False)
class RowWorked:
    """One row worked by hand, each step beside PyTorch's own; made by `row_worked`.

    Attributes:
      logits: z / T of the row, shape (C,), like all that follows but the sum.
      exp, exp_sum: e^z and Σ e^z, shape (), as they come, nothing taken off first.
      softmax_by_hand, softmax: e^z / Σ e^z, and F.softmax.
      log_of_softmax, log_softmax: log(F.softmax), and F.log_softmax.
    """

    logits: Tensor
    exp: Tensor
    exp_sum: Tensor
    softmax_by_hand: Tensor
    softmax: Tensor
    log_of_softmax: Tensor
    log_softmax: Tensor

    @property
    def softmax_difference(self) -> Tensor:
        """|by hand − F.softmax|, float64; 0 where both are NaN."""
        return _distance(self.softmax_by_hand, self.softmax)

    @property
    def log_softmax_difference(self) -> Tensor:
        """|log(softmax) − log_softmax|, float64; 0 where both are NaN or −inf."""
        return _distance(self.log_of_softmax, self.log_softmax)

    @property
    def softmax_agrees(self) -> Tensor:
        """Where the two softmaxes are equal up to rounding, bool."""
        return self.softmax_difference <= TOLERANCE_IN_EPS * torch.finfo(self.logits.dtype).eps

    @property
    def log_softmax_agrees(self) -> Tensor:
        """Where the two logarithms are equal up to rounding, bool."""
        size = 1 + self.log_softmax.double().abs().nan_to_num(posinf=0.0)
        return self.log_softmax_difference <= TOLERANCE_IN_EPS * torch.finfo(self.logits.dtype).eps * size


def row_worked(problem: Problem, row: int) -> RowWorked:
    """exp, their sum, softmax by hand and log of softmax of one row, beside F.softmax and F.log_softmax.

    Args: row: for logits of shape (N, C, d1, …), a row of the N·d1·….

    Example: [1, 2, 3] → exp [2.7183, 7.3891, 20.0855], sum 30.1929, softmax [0.0900, 0.2447, 0.6652].
    """
    logits = _rows(problem.logits, problem)[row] / problem.temperature
    exp = logits.exp()
    softmax = F.softmax(logits, dim=0)
    return RowWorked(
        logits=logits,
        exp=exp,
        exp_sum=exp.sum(),
        softmax_by_hand=exp / exp.sum(),
        softmax=softmax,
        log_of_softmax=softmax.log(),
        log_softmax=F.log_softmax(logits, dim=0),
    )
