"""One row on its own: its loss under every label, along one logit, and over the simplex of its probabilities.

The loss here is the row's own, unreduced: D is 1.
In the batch's loss the row counts ℓ/D, so its gradient there is this one divided by the batch's denominator.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xent_core.cross_entropy import evaluate
from xent_core.problem import InvalidProblem, Problem

MILLION = 1_000_000


@dataclass(frozen=True, eq=False)
class IfLabelWere:
    """What each possible label would cost a row; made by `if_label_were`.

    Attributes:
      loss: shape (C,); entry k is the row's loss if the label were k.
      grad_logits: shape (C, C); row k is its gradient by the logits.
    """

    loss: Tensor
    grad_logits: Tensor


@dataclass(frozen=True, eq=False)
class LossCurve:
    """A row's loss as one of its logits moves; made by `loss_along`.

    Attributes:
      label: the class whose logit moves.
      values: where, shape (K,).
      loss: the row's loss there, shape (K,).
      slope: ∂ℓ/∂z_label there, shape (K,), from `backward()`.
      value_here, loss_here, slope_here: the same at the row as it is.
    """

    label: int
    values: Tensor
    loss: Tensor
    slope: Tensor
    value_here: Tensor
    loss_here: Tensor
    slope_here: Tensor

    @property
    def tangent(self) -> Tensor:
        """ℓ + (∂ℓ/∂z)·(values − z): the straight line through the row as it is, shape (K,)."""
        return self.loss_here + self.slope_here * (self.values - self.value_here)


@dataclass(frozen=True, eq=False)
class SimplexField:
    """Where descent moves the probabilities of a row, anywhere in the simplex; made by `simplex_field`.

    Attributes:
      probs: shape (K, C), each row adds up to 1.
      loss: the row's loss if these were its probabilities, shape (K,).
      velocity: dp/dη of a descent step z − η·∂ℓ/∂z at η = 0, shape (K, C); each row adds up to 0.
    """

    probs: Tensor
    loss: Tensor
    velocity: Tensor


def row_problem(problem: Problem, row: int) -> Problem:
    """One row of a batch as a Problem of its own: logits of shape (1, C), reduction "sum", the other options kept.

    Its loss is the batch's `row_loss[row]`, and its gradient D times the batch's `grad_logits[row]`.

    Args:
      problem: logits of shape (N, C).
      row: counted from 0.
    Raises: InvalidProblem if the logits have another shape; IndexError if there is no such row.
    """
    if problem.logits.dim() != 2:
        raise InvalidProblem(
            "logits-shape",
            f"logits have shape {tuple(problem.logits.shape)}",
            "a batch (N, C)",
            "Flatten it: logits.movedim(1, -1).reshape(-1, C).",
        )
    if not 0 <= row < problem.num_rows:
        raise IndexError(f"row is {row}, expected 0…{problem.num_rows - 1}, counted from 0.")
    return replace(problem, logits=problem.logits[row : row + 1], target=problem.target[row : row + 1], reduction="sum")


def every_label(problem: Problem, logits: Tensor) -> Problem:
    """The same logits, shape (C,), once for every label: row k has label k; reduction "sum", the other options kept."""
    num_classes = len(logits)
    return replace(
        problem,
        logits=logits.repeat(num_classes, 1),
        target=torch.arange(num_classes),
        # beside probabilities PyTorch takes a weight of any dtype, beside labels only that of the logits
        weight=None if problem.weight is None else problem.weight.to(logits.dtype),
        reduction="sum",
    )


def if_label_were(problem: Problem, row: int = 0) -> IfLabelWere:
    r"""The row's loss and gradient for each possible label, by one `backward()` for all of them.

    .. math:: G_{kc} = \frac{S_k\,p_c - v_{kc}}{T}; \quad \text{plain: } p_c - [c = k]

    Weight, label_smoothing and temperature are the Problem's own.
    Where k is ignore_index, loss and gradient are 0.

    Args: as in `row_problem`.
    Example:
      >>> if_label_were(Problem([[1, 2, 3]], [0])).loss
      tensor([2.4076, 1.4076, 0.4076])
    """
    alone = row_problem(problem, row)
    evaluation = evaluate(every_label(alone, alone.logits[0]))
    return IfLabelWere(evaluation.row_loss, evaluation.grad_logits)


def loss_along(problem: Problem, label: int, values: Tensor, row: int = 0) -> LossCurve:
    """The row's loss while the logit of one class takes these values and the others stay; the gradient is its slope.

    Args:
      label: the class whose logit moves.
      values: shape (K,), taken in the dtype of the logits.
      problem, row: as in `row_problem`.
    Raises: IndexError if there is no such class; as `row_problem`.
    Example:
      >>> curve = loss_along(Problem([[1, 2, 3]], [0]), 0, torch.tensor([0.0, 1.0]))
      >>> curve.loss, curve.slope
      (tensor([3.3490, 2.4076]), tensor([-0.9649, -0.9100]))
    """
    alone = row_problem(problem, row)
    if not 0 <= label < alone.num_classes:
        raise IndexError(f"label is {label}, expected 0…{alone.num_classes - 1}.")
    # the row as it is goes along as the last one, so that one backward() serves all
    moved = torch.cat([values.to(alone.logits.dtype), alone.logits[0, label : label + 1]])
    logits = alone.logits.repeat(len(moved), 1)
    logits[:, label] = moved
    evaluation = evaluate(_repeated(alone, logits))
    loss, slope = evaluation.row_loss, evaluation.grad_logits[:, label]
    return LossCurve(label, moved[:-1], loss[:-1], slope[:-1], moved[-1], loss[-1], slope[-1])


def simplex_grid(count: int, num_classes: int = 3) -> Tensor:
    """Probabilities that lie evenly inside the simplex, none of them 0; shape (K, C), float64.

    Args: count: points along each edge, at least one; three classes have count·(count + 1)/2 points in all.
    Example:
      >>> simplex_grid(1)
      tensor([[0.3333, 0.3333, 0.3333]], dtype=torch.float64)
    """
    steps = torch.arange(count)
    places = torch.cartesian_prod(*[steps] * num_classes).reshape(-1, num_classes)
    inside = places[places.sum(1) == count - 1].double()
    # a third of a step away from the edges for three classes
    return (inside + 1 / num_classes) / count


def simplex_field(problem: Problem, probs: Tensor, row: int = 0) -> SimplexField:
    r"""Loss and direction of descent where the row would have these probabilities.

    Any logits T·ln p + const have them. A descent step moves the logits by −η·g and with them the probabilities:

    .. math:: \frac{dp}{d\eta} = -\frac{1}{T}\left(\mathrm{diag}(p) - p\,p^\top\right) g, \quad
              g = \frac{\partial\ell}{\partial z}

    Args:
      probs: shape (K, C), each above 0, each row adding up to 1; computed in float64 whatever the dtype of the row.
      problem, row: as in `row_problem`.
    """
    alone = row_problem(problem, row).to(torch.float64)
    temperature = alone.temperature
    evaluation = evaluate(_repeated(alone, temperature * probs.double().log()))
    p, g = evaluation.probs, evaluation.grad_logits
    velocity = -(p * g - p * (p * g).sum(1, keepdim=True)) / temperature
    return SimplexField(p, evaluation.row_loss, velocity)


def with_share(probs: Tensor, label: int, share: float) -> Tensor:
    """Probabilities in which one class has this share and the others keep their proportions; shape (C,), float64.

    In whole millionths that add up to 1: those of the others that lose most by rounding down get one more.
    Where the others had nothing, or no numbers, they share alike.

    Example:
      >>> with_share(torch.tensor([0.5, 0.3, 0.2]), 0, 0.8)
      tensor([0.8000, 0.1200, 0.0800], dtype=torch.float64)
    """
    if len(probs) == 1:
        return torch.ones(1, dtype=torch.float64)
    others = probs.double().clone()
    others[label] = 0.0
    if not (others.sum() > 0 and bool((others >= 0).all()) and bool(others.isfinite().all())):
        others = torch.ones_like(others)
        others[label] = 0.0
    own = round(share * MILLION)
    wanted = others * ((MILLION - own) / others.sum())
    millionths = wanted.floor()
    lost = wanted - millionths
    lost[label] = -1.0
    left_over = MILLION - own - int(millionths.sum())
    millionths[lost.argsort(descending=True, stable=True)[:left_over]] += 1
    millionths[label] = own
    return millionths / MILLION


def _repeated(alone: Problem, logits: Tensor) -> Problem:
    """A Problem of one row with other logits, shape (K, C), and its target in each of them."""
    times = [len(logits)] + [1] * (alone.target.dim() - 1)
    return replace(alone, logits=logits, target=alone.target.repeat(times))
