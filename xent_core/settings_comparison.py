"""Compares two settings of the options on the same numbers; gradient accumulation of micro-batches against the mean."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.autograd import loss_and_gradient
from xent_core.cross_entropy import TOLERANCE_IN_EPS, Evaluation, evaluate, nll_of_log_probs
from xent_core.errors import InvalidInput
from xent_core.presets import Preset
from xent_core.problem import DTYPES, Problem

COMPARED_OPTIONS = ("target", "weight", "ignore_index", "reduction", "label_smoothing", "temperature", "dtype")
# between two values of these lie others
CONTINUOUS_OPTIONS = ("weight", "label_smoothing", "temperature")
SWEEP_POINTS = 41

TOKENS = Preset(
    "Tokens, some of them padding",
    Problem([[2, 0, 0], [0, 2.5, 0.5], [0.5, 0, 1.5], [1, 1, 0], [0, 2, 1], [0, 0, 1]], [0, 1, 2, 1, -100, -100]),
    row_names=tuple(f"token {row}" for row in range(6)),
)

SUM_OVER_GLOBAL_COUNT = """\
kept = sum((target != -100).sum() for _, target in micro_batches)
for logits, target in micro_batches:
    loss = F.cross_entropy(logits, target, reduction="sum") / kept
    loss.backward()
"""


@dataclass(frozen=True, eq=False)
class GradientPair:
    """Two gradients of one shape and how they differ; every number in float64.

    Attributes:
      a, b: ∂L/∂logits, in the dtypes in which they were computed.
      class_axis: the axis of the classes, as in Problem.
    """

    a: Tensor
    b: Tensor
    class_axis: int

    @cached_property
    def difference(self) -> Tensor:
        """b − a; NaN where either is no number."""
        return self.b.double() - self.a.double()

    @cached_property
    def norms(self) -> tuple[float, float]:
        """‖a‖₂ and ‖b‖₂ over all cells."""
        return float(self.a.double().norm()), float(self.b.double().norm())

    @cached_property
    def row_pulls(self) -> tuple[Tensor, Tensor]:
        """Σ_c |g_ic| of a and b: how hard the loss pulls on each row; the shape of logits without the class axis."""
        return self._sums(self.class_axis)

    @cached_property
    def class_pulls(self) -> tuple[Tensor, Tensor]:
        """Σ_i |g_ic| of a and b: how hard the loss pulls on each class; shape (C,)."""
        rows = [axis for axis in range(self.a.dim()) if axis != self.class_axis]
        return self._sums(rows) if rows else (self.a.double().abs(), self.b.double().abs())

    @cached_property
    def degrees(self) -> float:
        """The angle between a and b; NaN where one of them is 0 or no number."""
        size_a, size_b = self.norms
        if not (size_a and size_b):
            return math.nan
        # the cosine of a small angle rounds to 1; the chord between the unit vectors does not
        chord = (self.b.double() / size_b - self.a.double() / size_a).norm()
        return float(torch.rad2deg(2 * torch.arcsin((chord / 2).clamp(max=1.0))))

    @cached_property
    def factor(self) -> float | None:
        """The k with b = k·a in every cell, within the rounding of the coarser dtype; None if there is none."""
        a, b = self.a.double(), self.b.double()
        square = float((a * a).sum())
        if not square or not math.isfinite(square):
            return None
        k = float((a * b).sum()) / square
        eps = max(torch.finfo(self.a.dtype).eps, torch.finfo(self.b.dtype).eps)
        largest = max(float(b.abs().max()), abs(k) * float(a.abs().max()))
        # NaN compares as False
        return k if float((b - k * a).abs().max()) <= TOLERANCE_IN_EPS * eps * largest else None

    def _sums(self, axes: int | list[int]) -> tuple[Tensor, Tensor]:
        return self.a.double().abs().sum(axes), self.b.double().abs().sum(axes)


@dataclass(frozen=True, eq=False)
class Comparison:
    """Two settings of the options on the same logits and labels; made by `compare_settings`.

    Attributes:
      a, b: the Evaluation of each.
      gradients: both gradients and how they differ.
      differing: which of COMPARED_OPTIONS differ, in that order.
    """

    a: Evaluation
    b: Evaluation
    gradients: GradientPair
    differing: tuple[str, ...]

    @property
    def losses(self) -> tuple[float, float]:
        """Both losses; for reduction "none" the sum of the row losses, whose gradient is shown."""
        return total_loss(self.a), total_loss(self.b)


def compare_settings(a: Problem, b: Problem) -> Comparison:
    """Evaluate two Problems that differ in their options, and compare loss and gradient.

    Args:
      a, b: Problems with logits of one shape; meant for the same logits and labels, with other options,
        another dtype, or the labels once as class indices and once as probabilities.
    Raises: InvalidInput if the shapes differ.
    Example:
      >>> mean, total = (Problem([[1, 2, 3]] * 3, [2, 1, 0], reduction=word) for word in ("mean", "sum"))
      >>> compared = compare_settings(mean, total)
      >>> compared.differing, round(compared.gradients.factor, 4)
      (('reduction',), 3.0)
    """
    if a.logits.shape != b.logits.shape:
        came = f"logits have shapes {tuple(a.logits.shape)} and {tuple(b.logits.shape)}"
        raise InvalidInput(came, "the same shape", "Compare two settings on the same logits.")
    first, second = evaluate(a), evaluate(b)
    gradients = GradientPair(first.grad_logits, second.grad_logits, a.class_axis)
    return Comparison(first, second, gradients, differing_options(a, b))


def total_loss(evaluation: Evaluation) -> float:
    """The loss as one number: for reduction "none" the sum of the row losses."""
    return float(evaluation.loss.double().sum())


def differing_options(a: Problem, b: Problem) -> tuple[str, ...]:
    """Which of COMPARED_OPTIONS differ; "target" stands for class indices here and probabilities there.

    With probabilities ignore_index is not used, so it differs only between two targets of class indices.
    """
    coarser = max(a.logits.dtype, b.logits.dtype, key=lambda dtype: torch.finfo(dtype).eps)
    differs = {
        "target": a.has_probabilities != b.has_probabilities,
        "weight": not _equal_but_for_rounding(a.weight, b.weight, coarser),
        "ignore_index": not (a.has_probabilities or b.has_probabilities) and a.ignore_index != b.ignore_index,
        "reduction": a.reduction != b.reduction,
        "label_smoothing": a.smoothing != b.smoothing,
        "temperature": a.temperature != b.temperature,
        "dtype": a.logits.dtype != b.logits.dtype,
    }
    return tuple(name for name in COMPARED_OPTIONS if differs[name])


def with_option_of(a: Problem, b: Problem, option: str) -> Problem:
    """A with one of COMPARED_OPTIONS taken from B."""
    if option == "target":
        return replace(a, target=_target_for(b, a), ignore_index=b.ignore_index)
    if option == "ignore_index":
        # an ignored row carries the ignore_index as its label, so both go together
        return replace(a, target=b.target, ignore_index=b.ignore_index)
    if option == "weight":
        return replace(a, weight=None if b.weight is None else b.weight.to(a.logits.dtype))
    if option == "dtype":
        # from B where it is the same but for rounding: a coarse A must not round what a fine B still has
        rounded = a.to(b.logits.dtype)
        return replace(
            rounded,
            logits=b.logits,
            target=b.target if a.has_probabilities and b.has_probabilities else rounded.target,
            weight=rounded.weight if "weight" in differing_options(a, b) else b.weight,
        )
    return replace(a, **{option: getattr(b, option)})


@dataclass(frozen=True)
class OptionSweep:
    """One option moved from A to B while the others stay as in A; made by `sweep_option`.

    Attributes:
      option: which of COMPARED_OPTIONS.
      values: what it was at each point; for the weight the share of B's weight, from 0 to 1;
        for "target" and "dtype" words.
      losses: the loss at each point, for reduction "none" the sum of the row losses.
      grad_norms: ‖∂L/∂logits‖₂ at each point.
    """

    option: str
    values: tuple[float | int | str, ...]
    losses: tuple[float, ...]
    grad_norms: tuple[float, ...]


def sweep_option(a: Problem, b: Problem, option: str, points: int = SWEEP_POINTS) -> OptionSweep:
    """Loss and gradient norm while one option goes from A's value to B's.

    label_smoothing and weight move in equal steps (no weight counts as ones), the temperature by equal factors,
    the dtype through those between the two; every other option has no between, and two points.

    Raises: InvalidInput if there are fewer than two points, or no such option.
    """
    if option not in COMPARED_OPTIONS:
        raise InvalidInput(f"option is {option!r}", f"one of {', '.join(COMPARED_OPTIONS)}", "Choose one of them.")
    if points < 2:
        raise InvalidInput(f"points is {points}", "at least 2", "The ends of the sweep are two.")
    end = with_option_of(a, b, option)
    shares = [step / (points - 1) for step in range(1, points - 1)]
    values: list[float | int | str]
    between: list[Problem]
    if option == "label_smoothing":
        inner = [(1 - t) * a.smoothing + t * b.smoothing for t in shares]
        values, between = [a.smoothing, *inner, b.smoothing], [replace(a, label_smoothing=value) for value in inner]
    elif option == "temperature":
        inner = [a.temperature ** (1 - t) * b.temperature**t for t in shares]
        values, between = [a.temperature, *inner, b.temperature], [replace(a, temperature=value) for value in inner]
    elif option == "weight":
        first, last = (one.weight if one.weight is not None else a.logits.new_ones(a.num_classes) for one in (a, end))
        values, between = [0.0, *shares, 1.0], [replace(a, weight=(1 - t) * first + t * last) for t in shares]
    elif option == "dtype":
        names = list(DTYPES)
        start, stop = (names.index(_dtype_word(one)) for one in (a, end))
        inside = names[start + 1 : stop] if start < stop else names[stop + 1 : start][::-1]
        finer = a if start <= stop else end
        values, between = [names[start], *inside, names[stop]], [finer.to(DTYPES[name]) for name in inside]
    elif option == "target":
        values, between = [_target_word(a), _target_word(end)], []
    else:
        values, between = [getattr(a, option), getattr(end, option)], []
    evaluations = [evaluate(problem) for problem in [a, *between, end]]
    return OptionSweep(
        option,
        tuple(values),
        tuple(map(total_loss, evaluations)),
        tuple(float(one.grad_logits.double().norm()) for one in evaluations),
    )


@dataclass(frozen=True, eq=False)
class Accumulation:
    """A batch in micro-batches whose gradients are added up, in two ways; made by `accumulate`.

    Attributes:
      whole: the mean over the whole batch, which both ways are meant to give.
      parts: each micro-batch with the mean of its own.
      mean_of_means: (1/K)·Σ_k mean_k, and `mean_of_means_grad` its gradient: what `(loss / K).backward()` adds up.
      summed: Σ_k sum_k / D with D of the whole batch, and `summed_grad` its gradient: the right way.
    """

    whole: Evaluation
    parts: tuple[Evaluation, ...]
    mean_of_means: Tensor
    mean_of_means_grad: Tensor
    summed: Tensor
    summed_grad: Tensor

    @cached_property
    def gradients(self) -> GradientPair:
        """The gradient of the whole batch, and that of the mean of means."""
        return GradientPair(self.whole.grad_logits, self.mean_of_means_grad, self.whole.problem.class_axis)


def accumulate(problem: Problem, num_parts: int) -> Accumulation:
    r"""Gradient accumulation over micro-batches: the mean of their means, and their sums over one global count.

    .. math:: \frac1K\sum_k \frac{s_k}{D_k} \quad\text{against}\quad \frac{\sum_k s_k}{\sum_k D_k}

    The two are equal where all D_k are: micro-batches of one size without ignored rows and weights.
    A micro-batch of ignored rows alone has the mean 0/0, which makes the mean of means NaN.

    Args:
      problem: its reduction is taken as "mean".
      num_parts: K, into which the rows are split in order, the first ones larger by one where they do not divide.
    Raises: InvalidInput if the logits have no axis of rows, or fewer rows than parts.
    (0.4076 + 1.9076)/2 = 1.1576 is not 4.2228/3 = 1.4076:

    Example:
      >>> parts = accumulate(Problem([[1, 2, 3]] * 4, [2, -100, 0, 1]), 2)
      >>> parts.mean_of_means, parts.summed
      (tensor(1.1576), tensor(1.4076))
    """
    rows = len(problem.logits) if problem.logits.dim() > 1 else 1
    if not 1 <= num_parts <= rows:
        raise InvalidInput(f"num_parts is {num_parts}", f"1 to {rows}, as there are rows", "Take fewer parts.")
    mean = replace(problem, reduction="mean")
    whole = evaluate(mean)
    parts = [replace(mean, logits=z, target=y) for z, y in _split(mean, num_parts)]
    means = [_divided(part, num_parts) for part in parts]
    sums = [_divided(replace(part, reduction="sum"), whole.denominator) for part in parts]
    return Accumulation(
        whole=whole,
        parts=tuple(map(evaluate, parts)),
        mean_of_means=torch.stack([loss for loss, _grad in means]).sum(),
        mean_of_means_grad=_rows_of([grad for _loss, grad in means]),
        summed=torch.stack([loss for loss, _grad in sums]).sum(),
        summed_grad=_rows_of([grad for _loss, grad in sums]),
    )


def _divided(part: Problem, divisor: Tensor | int) -> tuple[Tensor, Tensor]:
    """The loss of one micro-batch over a divisor, and its gradient, as `(loss / divisor).backward()` gives it."""

    def loss_of(leaf: Tensor) -> Tensor:
        log_probs = F.log_softmax(leaf / part.temperature, part.class_axis)
        return nll_of_log_probs(log_probs, part, reduction=part.reduction) / divisor

    return loss_and_gradient(part.logits, loss_of)


def _split(problem: Problem, num_parts: int) -> list[tuple[Tensor, Tensor]]:
    if problem.logits.dim() == 1:
        return [(problem.logits, problem.target)]
    parts = zip(problem.logits.tensor_split(num_parts), problem.target.tensor_split(num_parts), strict=True)
    return list(parts)


def _rows_of(gradients: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(gradients)) if len(gradients) > 1 else gradients[0]


def _equal_but_for_rounding(mine: Tensor | None, theirs: Tensor | None, dtype: torch.dtype) -> bool:
    if mine is None or theirs is None:
        return mine is theirs
    return torch.allclose(mine.to(dtype), theirs.to(dtype), rtol=0, atol=0, equal_nan=True)


def _target_for(source: Problem, problem: Problem) -> Tensor:
    return source.target.to(problem.logits.dtype) if source.has_probabilities else source.target


def _target_word(problem: Problem) -> str:
    return "probabilities" if problem.has_probabilities else "class indices"


def _dtype_word(problem: Problem) -> str:
    return next(name for name, dtype in DTYPES.items() if dtype == problem.logits.dtype)
