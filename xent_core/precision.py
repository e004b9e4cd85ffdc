"""One Problem in float64, float32, bfloat16 and float16 side by side, and how far each lies from float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.autograd import loss_and_gradient
from xent_core.cross_entropy import Evaluation, evaluate, nll_of_log_probs
from xent_core.distance import distance, largest, signed_difference
from xent_core.language import N_
from xent_core.presets import Preset
from xent_core.problem import DTYPES, Problem
from xent_core.values import Value

LOG_SOFTMAX, LOG_OF_SOFTMAX = ROUTES = ("log_softmax", "log(softmax)")
MEAN, MEAN_IN_FLOAT32 = ("mean", N_("none, then .float().mean()"))
SCALES = tuple(10 ** (exponent / 6) for exponent in range(-6, 19))
ROW_COUNTS = tuple(round(2 ** (exponent / 2)) for exponent in range(33))


def _repeated(row: list[float], label: int, times: int = 1) -> Problem:
    logits = torch.tensor([row], dtype=torch.float64).repeat(times, 1)
    return Problem(logits, torch.full((times,), label))


PRECISION_PRESETS = {
    "mean-overflows": Preset(N_("float16: the mean overflows"), _repeated([0, 3.88], 0, times=17_000)),
    "gradient-is-zero": Preset(N_("bfloat16: a gradient of 0"), _repeated([8, 0, 0], 0)),
    "log-of-softmax": Preset(N_("log(softmax) gives inf"), _repeated([200, 0, 0], 1)),
}


def ulp(values: Tensor, dtype: torch.dtype) -> Tensor:
    r"""The distance of neighbouring numbers of a dtype at these values; float64.

    .. math:: \mathrm{ulp}(x) = 2^{\lfloor \log_2 |x| \rfloor} \varepsilon

    Below the smallest normal number it stays what it is there; above the largest number it is that of the largest.
    NaN where the value is not finite.

    Example:
      >>> ulp(torch.tensor([1.0, 1024.0, 0.0]), torch.float16)
      tensor([9.7656e-04, 1.0000e+00, 5.9605e-08], dtype=torch.float64)
    """
    info = torch.finfo(dtype)
    size = values.double().abs().clamp(info.smallest_normal, info.max)
    exponent = torch.frexp(size).exponent - 1
    spacing = torch.ldexp(torch.full_like(size, info.eps), exponent)
    return spacing.where(values.isfinite(), math.nan)


@dataclass(frozen=True, eq=False)
class Rounded(Value):
    """Numbers of one dtype beside the same numbers in float64.

    Attributes:
      values: as computed in the dtype.
      exact: as computed in float64, of the same shape.
    """

    values: Tensor
    exact: Tensor

    @cached_property
    def signed_error(self) -> Tensor:
        """values − exact in float64; 0 where both are NaN or the same infinity, ±inf or NaN where only one is."""
        return signed_difference(self.values, self.exact)

    @cached_property
    def error(self) -> Tensor:
        """|values − exact| in float64; inf where only one of them is a number."""
        return distance(self.values, self.exact)

    @cached_property
    def ulps(self) -> Tensor:
        """The error in units in the last place of the dtype at the exact value; 0 where there is no error."""
        ulps = self.error / ulp(self.exact, self.values.dtype)
        return ulps.where(self.error != 0, 0.0).nan_to_num(nan=math.inf, posinf=math.inf)

    @cached_property
    def became_zero(self) -> Tensor:
        """Where the dtype gives 0 and float64 does not; bool."""
        return (self.values == 0) & (self.exact != 0)

    @cached_property
    def became_infinite(self) -> Tensor:
        """Where the dtype gives NaN or infinity and float64 a number; bool."""
        return ~self.values.isfinite() & self.exact.isfinite()

    @property
    def largest_error(self) -> float:
        return largest(self.error)

    @property
    def largest_ulps(self) -> float:
        return largest(self.ulps)


@dataclass(frozen=True, eq=False)
class InDtype(Value):
    """A Problem in one dtype; made by `in_every_dtype`.

    Attributes:
      name: of the dtype.
      evaluation: by log_softmax, in this dtype.
      exact: the same in float64.
      naive_loss, naive_grad: by log of softmax, in this dtype.
    """

    name: str
    evaluation: Evaluation
    exact: Evaluation
    naive_loss: Tensor
    naive_grad: Tensor

    @property
    def dtype(self) -> torch.dtype:
        return self.evaluation.problem.logits.dtype

    @cached_property
    def loss(self) -> Rounded:
        """The loss; the row losses for reduction "none"."""
        return Rounded(self.evaluation.loss, self.exact.loss)

    @cached_property
    def probs(self) -> Rounded:
        return Rounded(self.evaluation.probs, self.exact.probs)

    @cached_property
    def grad_logits(self) -> Rounded:
        return Rounded(self.evaluation.grad_logits, self.exact.grad_logits)

    @cached_property
    def by_log_of_softmax(self) -> Rounded:
        """The loss by log of softmax, beside the exact loss."""
        return Rounded(self.naive_loss, self.exact.loss)

    @cached_property
    def grad_by_log_of_softmax(self) -> Rounded:
        """The gradient through log of softmax, beside the exact gradient."""
        return Rounded(self.naive_grad, self.exact.grad_logits)

    @cached_property
    def grad_row_sums(self) -> Tensor:
        """Σ_c of the gradient of each row, added in float64: 0 but for rounding."""
        return self.evaluation.grad_logits.double().sum(self.evaluation.problem.class_axis)


def in_every_dtype(problem: Problem) -> dict[str, InDtype]:
    """The Problem in every dtype of DTYPES, from float64 down to float16.

    Its numbers are rounded to each dtype first, so the errors contain that of the logits.

    Example:
      >>> in_every = in_every_dtype(Problem([[8, 0, 0]], [0]))
      >>> [round(float(in_every[name].evaluation.grad_logits[0, 0]), 6) for name in ("float32", "bfloat16")]
      [-0.00067, 0.0]
    """
    exact = evaluate(problem.to(torch.float64))
    result = {}
    for name, dtype in DTYPES.items():
        rounded = problem.to(torch.float64).to(dtype)
        evaluation = exact if dtype == torch.float64 else evaluate(rounded)
        result[name] = InDtype(name, evaluation, exact, *by_log_of_softmax(rounded))
    return result


def by_log_of_softmax(problem: Problem) -> tuple[Tensor, Tensor]:
    """Loss and gradient by the route that fails: softmax first, its logarithm after."""

    def loss_of(leaf: Tensor) -> Tensor:
        probs = F.softmax(leaf / problem.temperature, problem.class_axis)
        return nll_of_log_probs(torch.log(probs), problem, reduction=problem.reduction)

    return loss_and_gradient(problem.logits, loss_of)


@dataclass(frozen=True)
class ErrorLine:
    """How the errors of one dtype and route grow; made by `scale_sweep` and `row_sweep`.

    Attributes:
      dtype, route: by name.
      x: what was varied.
      loss_errors: the largest error at each x, inf where NaN or infinity came.
      grad_errors: the same of the gradient; empty from `row_sweep`.
    """

    dtype: str
    route: str
    x: tuple[float, ...]
    loss_errors: tuple[float, ...]
    grad_errors: tuple[float, ...] = ()


def scale_sweep(problem: Problem, scales: Sequence[float] = SCALES) -> list[ErrorLine]:
    """The errors when all logits are multiplied by a factor, for every dtype and route.

    The route log_softmax in float64 is what the others are measured by, and has no line.
    """
    base = problem.to(torch.float64)
    runs = [in_every_dtype(replace(base, logits=base.logits * scale)) for scale in scales]
    lines = []
    for name in DTYPES:
        for route in ROUTES:
            if (name, route) == ("float64", LOG_SOFTMAX):
                continue
            stable = route == LOG_SOFTMAX
            ran = [run[name] for run in runs]
            losses = [one.loss if stable else one.by_log_of_softmax for one in ran]
            grads = [one.grad_logits if stable else one.grad_by_log_of_softmax for one in ran]
            lines.append(
                ErrorLine(
                    name,
                    route,
                    tuple(scales),
                    tuple(one.largest_error for one in losses),
                    tuple(one.largest_error for one in grads),
                )
            )
    return lines


def row_sweep(problem: Problem, counts: Sequence[int] = ROW_COUNTS) -> list[ErrorLine]:
    """The error of the mean when the first row is repeated, for every dtype below float64.

    Two routes: reduction "mean", which adds in the dtype, and the mean of the row losses in float32.
    """
    row = replace(problem.to(torch.float64), logits=problem.logits[:1].double(), target=problem.target[:1])
    exact = float(evaluate(replace(row, reduction="none")).loss)
    lines = []
    for name, dtype in DTYPES.items():
        if dtype == torch.float64:
            continue
        log_probs = evaluate(row.to(dtype)).log_probs
        means, means_in_float32 = [], []
        for count in counts:
            many = replace(
                row.to(dtype),
                logits=row.logits.to(dtype).expand(count, -1),
                target=row.target.expand(count, *row.target.shape[1:]),
            )
            repeated = log_probs.expand(count, -1)
            means.append(float(nll_of_log_probs(repeated, many, reduction="mean")))
            means_in_float32.append(float(nll_of_log_probs(repeated, many, reduction="none").float().mean()))
        for route, values in ((MEAN, means), (MEAN_IN_FLOAT32, means_in_float32)):
            errors = Rounded(torch.tensor(values, dtype=torch.float64), torch.tensor(exact)).error
            lines.append(ErrorLine(name, route, tuple(map(float, counts)), tuple(errors.tolist())))
    return lines
