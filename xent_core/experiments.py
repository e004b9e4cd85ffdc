"""One thing varied, the rest held: label smoothing, a mixed label, a flipped label, class weights, temperature."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from xent_core.cross_entropy import Evaluation, evaluate
from xent_core.language import _
from xent_core.problem import InvalidProblem, Problem
from xent_core.reference_losses import reference_losses

SHARES = tuple(i / 40 for i in range(41))
WEIGHTS = tuple(i / 4 for i in range(41))
TEMPERATURES = tuple(10 ** (i / 16) for i in range(-16, 33))


@dataclass(frozen=True, eq=False)
class Sweep:
    """One Problem at many values of one thing; K values, N rows, C classes.

    Attributes:
      values: what was varied, in order.
      evaluations: the Problem evaluated at each value.
    """

    values: tuple[float, ...]
    evaluations: tuple[Evaluation, ...]

    @cached_property
    def loss(self) -> Tensor:
        """The loss, in nats, shape (K,); for reduction "none" the sum of the row losses."""
        return torch.stack([evaluation.loss.sum() for evaluation in self.evaluations])

    @cached_property
    def row_loss(self) -> Tensor:
        """The unreduced losses, shape (K, N)."""
        return torch.stack([evaluation.row_loss for evaluation in self.evaluations])

    @cached_property
    def probs(self) -> Tensor:
        """The probabilities, shape (K, N, C)."""
        return torch.stack([evaluation.probs for evaluation in self.evaluations])

    @cached_property
    def grad_logits(self) -> Tensor:
        """∂L/∂z, shape (K, N, C)."""
        return torch.stack([evaluation.grad_logits for evaluation in self.evaluations])

    @cached_property
    def denominator(self) -> Tensor:
        """D, shape (K,), float64."""
        return torch.stack([evaluation.denominator.double() for evaluation in self.evaluations])

    @cached_property
    def floor(self) -> Tensor:
        """The loss that cannot be undercut, Σ_i S_i·H(v_i/S_i) / D, shape (K,), float64; NaN where there is none."""
        return torch.tensor([_floor(evaluation) for evaluation in self.evaluations], dtype=torch.float64)


@dataclass(frozen=True, eq=False)
class Flip:
    """A batch before and after one of its labels was replaced; made by `flip_label`."""

    row: int
    before: Evaluation
    after: Evaluation

    @cached_property
    def loss_change(self) -> float:
        """How the loss changes; the sum of the rows for reduction "none"."""
        return float(self.after.loss.double().sum() - self.before.loss.double().sum())

    @cached_property
    def row_change(self) -> Tensor:
        """How the share ℓ_i/D of each row in the loss changes, shape (N,), float64; these add up to `loss_change`."""
        return _shares(self.after) - _shares(self.before)

    @cached_property
    def grad_change(self) -> Tensor:
        """How ∂L/∂z changes, shape (N, C), float64."""
        return self.after.grad_logits.double() - self.before.grad_logits.double()


def sweep_label_smoothing(problem: Problem, values: Sequence[float] = SHARES) -> Sweep:
    r"""The Problem at each label_smoothing ε.

    .. math:: L(\varepsilon) = (1 - \varepsilon)\, L(0) + \varepsilon\, L(1)

    Loss and gradient are straight lines in ε, so that two ends say all; the floor is none, and bends.

    Args: values: each in 0…1.
    Raises: InvalidProblem unless logits are (N, C).
    """
    return _sweep(problem, values, lambda epsilon: replace(problem, label_smoothing=epsilon))


def sweep_temperature(problem: Problem, values: Sequence[float] = TEMPERATURES) -> Sweep:
    r"""The Problem at each temperature T.

    .. math:: g(T) = \frac{S\,\mathrm{softmax}(z/T) - v}{D\,T}

    T·g stays between bounds: so g falls as 1/T where T is large; see `hot_gradient` for what T·g tends to.

    Args: values: each finite and above 0.
    Raises: InvalidProblem unless logits are (N, C).
    """
    return _sweep(problem, values, lambda temperature: replace(problem, temperature=temperature))


def sweep_weight(problem: Problem, label: int, values: Sequence[float] = WEIGHTS) -> Sweep:
    """The Problem at each weight of one class; the other classes keep theirs, 1 if there were none.

    Args:
      label: the class whose weight varies.
    Raises: InvalidProblem unless logits are (N, C) and the class exists.
    """
    _check_batch(problem)
    _check_label(problem, label)
    weight = problem.logits.new_ones(problem.num_classes) if problem.weight is None else problem.weight

    def weighted(value: float) -> Problem:
        changed = weight.clone()
        changed[label] = value
        return replace(problem, weight=changed)

    return _sweep(problem, values, weighted)


def mix_labels(problem: Problem, row: int, first: int, second: int, values: Sequence[float] = SHARES) -> Sweep:
    r"""The Problem with the label of one row mixed of two classes, as in mixup.

    .. math:: y_i = \lambda\, e_a + (1 - \lambda)\, e_b, \quad L(\lambda) = \lambda L(1) + (1 - \lambda) L(0)

    Labels become probabilities, so "mean" divides by N, whatever the weights;
    ignored rows become rows of zeros, which add nothing but count in N.

    Args:
      row: whose label is mixed.
      first, second: a and b.
      values: λ, the share of `first`.
    Raises: InvalidProblem unless logits are (N, C) and the row and the classes exist.
    """
    _check_batch(problem)
    _check_row(problem, row)
    for label in (first, second):
        _check_label(problem, label)
    soft = _with_probabilities(problem)

    def mixed(share: float) -> Problem:
        target = soft.target.clone()
        target[row] = 0.0
        target[row, first] += share
        target[row, second] += 1 - share
        return replace(soft, target=target)

    return _sweep(soft, values, mixed)


def flip_label(problem: Problem, row: int, label: int) -> Flip:
    """The batch with another label in one row; a row of probabilities becomes one-hot.

    Without weights only that row's gradient moves.
    With weights and class indices "mean" divides by the weights of the labels: D changes, and every row moves with it.

    Raises: InvalidProblem unless logits are (N, C) and the row and the class exist.
    """
    _check_batch(problem)
    _check_row(problem, row)
    _check_label(problem, label)
    target = problem.target.clone()
    if problem.has_probabilities:
        target[row] = 0.0
        target[row, label] = 1.0
    else:
        target[row] = label
    return Flip(row, evaluate(problem), evaluate(replace(problem, target=target)))


def equilibrium_gap(num_classes: int, label_smoothing: float, temperature: float = 1.0) -> float:
    r"""How far the label's logit lies above each other logit where a smoothed label is at rest.

    The gradient is 0 where p = y': the label has p = 1 − ε + ε/C, each other class ε/C, and z/T = ln p + const. So

    .. math:: z_y - z_c = T \ln\frac{1 - \varepsilon + \varepsilon/C}{\varepsilon/C}
              = T \ln\left(1 + \frac{(1 - \varepsilon)\,C}{\varepsilon}\right)

    Infinite for ε = 0: hard labels never rest. Class weights shift it: then it is T·ln(v_y/v_c).

    Example:
      >>> round(equilibrium_gap(3, 0.1), 4)  # ln 28
      3.3322
    """
    if label_smoothing <= 0:
        return math.inf
    return temperature * math.log1p((1 - label_smoothing) * num_classes / label_smoothing)


def hot_gradient(evaluation: Evaluation) -> Tensor:
    r"""What T·∂L/∂z tends to as T grows, shaped like logits.

    .. math:: \lim_{T\to\infty} T\,g = \frac{S/C - v}{D}

    All p become 1/C. This is why distillation multiplies its loss by T², and why g falls as 1/T.
    """
    problem = evaluation.problem
    return (evaluation.row_mass / problem.num_classes - evaluation.effective_target) / evaluation.denominator


def _sweep(problem: Problem, values: Sequence[float], changed: Callable[[float], Problem]) -> Sweep:
    _check_batch(problem)
    return Sweep(tuple(values), tuple(evaluate(changed(value)) for value in values))


def _floor(evaluation: Evaluation) -> float:
    return next((mark.value for mark in reference_losses(evaluation) if mark.name == "floor"), math.nan)


def _shares(evaluation: Evaluation) -> Tensor:
    return evaluation.row_loss.double() / evaluation.denominator.double()


def _with_probabilities(problem: Problem) -> Problem:
    """The same labels as rows of probabilities, an ignored row as a row of zeros."""
    if problem.has_probabilities:
        return problem
    plain = evaluate(replace(problem, weight=None, label_smoothing=0.0))
    return replace(problem, target=plain.effective_target, ignore_index=-100)


def _check_batch(problem: Problem) -> None:
    if problem.logits.dim() != 2 or problem.logits.numel() == 0:
        raise InvalidProblem(
            "logits-shape",
            _("logits have shape {shape}").format(shape=tuple(problem.logits.shape)),
            _("a batch of shape (N, C) that is not empty"),
            _("Bring the classes to axis 1 and flatten the rest: logits.movedim(1, -1).reshape(-1, C)."),
        )


def _check_row(problem: Problem, row: int) -> None:
    if not 0 <= row < problem.num_rows:
        raise InvalidProblem(
            "row",
            _("the row is {row}").format(row=row),
            _("a row in 0…{last}").format(last=problem.num_rows - 1),
            _("Choose one of the rows."),
        )


def _check_label(problem: Problem, label: int) -> None:
    if not 0 <= label < problem.num_classes:
        raise InvalidProblem(
            "target-out-of-range",
            _("the class is {label}").format(label=label),
            _("a class in 0…{last}").format(last=problem.num_classes - 1),
            _("Choose one of the classes."),
        )
