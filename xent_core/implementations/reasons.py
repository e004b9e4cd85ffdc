"""Why a way of computing cross-entropy differs: the sentences, and what can go wrong in its numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from xent_core.cross_entropy import TOLERANCE_IN_EPS, Evaluation, evaluate
from xent_core.implementations.routes import as_labels, as_probabilities
from xent_core.language import N_, _
from xent_core.problem import Problem
from xent_core.values import Value

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
    "skips-zero-target": N_(
        "F.cross_entropy multiplies y = 0 by {log_prob} at {row}, {label}: NaN. This route does not."
    ),
    "cancellation": N_("logsumexp(z) = {logsumexp} and z = {z} cancel in {row}: {dtype} has steps of {spacing} there."),
    "infinite-logsumexp": N_("logsumexp(z) is inf in {row}, where log_softmax is NaN."),
    "loss-differs": N_("Its loss is {loss}, that of F.cross_entropy {expected}; float64 gives {exact}."),
    "gradient-differs": N_("Its gradient at {row}, {label} is {grad}, not {expected}; float64 gives {exact}."),
}


@dataclass(frozen=True, eq=False)
class Reason(Value):
    """Why a route does not agree: a sentence of REASONS, and the numbers in it."""

    code: str
    values: dict[str, Any]

    def __str__(self) -> str:
        return _(REASONS[self.code]).format(**{name: _words(name, value) for name, value in self.values.items()})


def _words(name: str, value: Any) -> str:
    if name in ("row", "label"):
        return (_("row {index}") if name == "row" else _("class {index}")).format(index=value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


@dataclass(frozen=True, eq=False)
class Case:
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


def first_cell(mask: Tensor) -> dict[str, int] | None:
    """Row and class of the first cell that is set."""
    if not bool(mask.any()):
        return None
    row, label = mask.nonzero()[0].tolist()
    return {"row": row, "label": label}


def _reason(code: str, place: dict[str, int] | None, **values: Any) -> Reason | None:
    return None if place is None else Reason(code, {**place, **values})


def overflow(case: Case) -> Reason | None:
    exps = case.scaled.exp()
    place = first_cell(case.scaled.isfinite() & exps.isinf())
    if place is not None:
        z = float(case.scaled[place["row"], place["label"]])
        return Reason("exp-overflow", {**place, "z": z, "dtype": case.dtype})
    place = first_cell((exps.sum(1, keepdim=True) == 0) & case.scaled.isfinite())
    if place is not None:
        z = float(case.scaled[place["row"]].max())
        return Reason("exp-underflow", {"row": place["row"], "z": z, "dtype": case.dtype})
    return None


def log_of_zero(case: Case) -> Reason | None:
    return _log_of_small(case, case.reference.probs)


def log_of_zero_by_hand(case: Case) -> Reason | None:
    exps = case.scaled.exp()
    total = exps.sum(1, keepdim=True)
    probs = exps / total
    reason = _log_of_small(case, probs)
    place = first_cell((case.y != 0) & (probs / total < _few_digits(probs)))
    if reason is not None or place is None:
        return reason
    prob, whole = float(probs[place["row"], place["label"]]), float(total[place["row"]])
    return Reason("slope-of-division", {**place, "prob": prob, "total": whole, "dtype": case.dtype})


def _log_of_small(case: Case, probs: Tensor) -> Reason | None:
    place = first_cell((case.y != 0) & (probs == 0))
    if place is not None:
        log_prob = float(case.reference.log_probs[place["row"], place["label"]])
        return Reason("log-of-zero", {**place, "log_prob": log_prob, "dtype": case.dtype})
    place = first_cell((case.y != 0) & (probs < _few_digits(probs)))
    if place is not None:
        prob = float(probs[place["row"], place["label"]])
        return Reason("few-digits", {**place, "prob": prob, "dtype": case.dtype})
    return None


def _few_digits(probs: Tensor) -> float:
    """Below this a number has lost digits: it is subnormal."""
    return torch.finfo(probs.dtype).smallest_normal


def zero_times_log_zero(case: Case) -> Reason | None:
    return _reason("zero-times-log-zero", first_cell((case.y == 0) & (case.reference.probs == 0)), dtype=case.dtype)


def slope_of_log_zero(case: Case) -> Reason | None:
    return _reason("slope-of-log-zero", first_cell((case.y == 0) & (case.reference.probs == 0)), dtype=case.dtype)


def zero_times_minus_inf(case: Case) -> Reason | None:
    if case.form == PROBABILITIES:
        return None  # F.cross_entropy does the same
    return _zero_times(case, "zero-times-not-finite", case.y)


def skips_zero_target(case: Case) -> Reason | None:
    if case.form == LABELS:
        return None
    return _zero_times(case, "skips-zero-target", case.reference.effective_target)


def _zero_times(case: Case, code: str, y: Tensor) -> Reason | None:
    log_probs = case.reference.log_probs
    place = first_cell((y == 0) & ~log_probs.isfinite())
    return (
        None if place is None else Reason(code, {**place, "log_prob": float(log_probs[place["row"], place["label"]])})
    )


def cancellation(case: Case) -> Reason | None:
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


def lacks_entropy(case: Case) -> Reason | None:
    entropy = -float(case.y.double().xlogy(case.y.double()).sum())
    if case.problem.reduction == "mean":
        entropy /= max(case.problem.num_rows, 1)
    return Reason("entropy", {"entropy": entropy}) if entropy != 0 else None
