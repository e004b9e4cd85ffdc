"""One call of a loss and its backward pass, beside the same of F.cross_entropy in float64."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.check_loss.cases import Case
from xent_core.check_loss.subject import Loss, NoTensor
from xent_core.distance import distance, largest
from xent_core.language import _
from xent_core.values import Value

# eps of the dtype times the size of what is summed; honest routes in other orders stay within 16 of these
ALLOWED_ROUNDING_IN_EPS = 32.0
# however coarse the dtype is, a gradient may not be off by more than this part of its largest entry
LARGEST_GRAD_ERROR = 0.1

RIGHT, TO_FLOAT32, REFUSED, CONVENTION, WRONG = (
    "right",
    "right to float32",
    "not supported",
    "convention differs",
    "wrong",
)
View = Callable[[Tensor], Tensor]


def _as_it_is(leaf: Tensor) -> Tensor:
    return leaf


@dataclass(frozen=True, eq=False)
class Result(Value):
    """How one case went.

    Attributes:
      name: of the case.
      loss_difference, grad_difference: the largest distance from F.cross_entropy in float64; 0 where both are NaN or
        the same infinity, inf where only one is, and where nothing came.
      loss_tolerance, grad_tolerance: the largest distances that pass.
      message: what is wrong other than a number: an exception, a shape, a gradient that is missing; or empty.
      loss_verdict, grad_verdict: "right", "right to float32" of a case in float64, "not supported" after an exception,
        "convention differs", or "wrong".
    """

    name: str
    loss_difference: float
    grad_difference: float
    loss_tolerance: float
    grad_tolerance: float
    message: str = ""
    loss_verdict: str = RIGHT
    grad_verdict: str = RIGHT

    @property
    def passed(self) -> bool:
        """Whether loss and gradient are right, at least to float32, or differ by a convention alone."""
        return {self.loss_verdict, self.grad_verdict} <= {RIGHT, TO_FLOAT32, CONVENTION}

    @property
    def is_wrong(self) -> bool:
        """Whether a number is wrong, or none came without the loss having refused the case."""
        return WRONG in (self.loss_verdict, self.grad_verdict)

    def __str__(self) -> str:
        if self.message:
            return f"{self.name}: {self.message}"
        if self.passed:
            return _("{name}: passed").format(name=self.name)
        return _("{name}: loss off by {loss:.3g} (allowed {loss_tolerance:.1g}), gradient off by {grad:.3g}").format(
            name=self.name, loss=self.loss_difference, loss_tolerance=self.loss_tolerance, grad=self.grad_difference
        ) + _(" (allowed {grad_tolerance:.1g})").format(grad_tolerance=self.grad_tolerance)


@dataclass(frozen=True, eq=False)
class Measured:
    """Loss and gradient in float64; the gradient None if none reaches the leaf."""

    loss: Tensor
    grad: Tensor | None


@dataclass(frozen=True, eq=False)
class Way:
    """How a case is run, besides its numbers.

    Attributes:
      view: from a leaf to the logits.
      upstream: what backward starts from: a number, or a tensor of the loss's shape.
      reference: what the loss should equal, taking what the loss takes.
      dtype: whose rounding is allowed, if not that of the logits.
    """

    view: View = _as_it_is
    upstream: float | Tensor = 1.0
    reference: Loss = F.cross_entropy
    dtype: torch.dtype | None = None


PLAIN = Way()


def measured(fn: Loss, case: Case, options: Mapping[str, Any], dtype: torch.dtype, way: Way = PLAIN) -> Measured:
    """Loss and gradient of copies, so that the case stays as it is whatever the function does."""
    target = case.target.to(dtype, copy=True) if case.target.is_floating_point() else case.target.clone()
    values = {
        name: value.to(dtype, copy=True) if isinstance(value, Tensor) else value for name, value in options.items()
    }
    with warnings.catch_warnings(), torch.inference_mode(False), torch.enable_grad():
        warnings.simplefilter("ignore")
        leaf = case.logits.detach().to(dtype, copy=True).requires_grad_()
        loss = fn(way.view(leaf), target, **values)
        if loss.requires_grad:
            upstream = torch.as_tensor(way.upstream, dtype=loss.dtype, device=loss.device)
            loss.backward(upstream.expand_as(loss))
    grad = leaf.grad
    return Measured(loss.detach().cpu().double(), None if grad is None else grad.cpu().double())


def compared(fn: Loss, case: Case, given: Mapping[str, Any] | None = None, way: Way = PLAIN) -> Result:
    """A case run by fn, with those of its options that it takes, against F.cross_entropy in float64.

    Where F.cross_entropy in the dtype of the case is itself further off, as in float16, its distance is allowed too.
    """
    given = case.options if given is None else given
    exact = measured(way.reference, case, case.options, torch.float64, way)
    own = measured(way.reference, case, case.options, case.logits.dtype, way)
    assert exact.grad is not None
    assert own.grad is not None
    dtype = way.dtype or case.logits.dtype
    loss_tolerance, grad_tolerance = _tolerances(case, exact, dtype)
    loss_tolerance += _finite_distance(own.loss, exact.loss)
    grad_tolerance += _finite_distance(own.grad, exact.grad)
    blank = Result(case.name, math.inf, math.inf, loss_tolerance, grad_tolerance)
    try:
        came = measured(fn, case, given, case.logits.dtype, way)
    except Exception as error:  # the function is somebody's own and may raise anything
        verdict = WRONG if isinstance(error, NoTensor) else REFUSED
        return replace(blank, message=raised(error), loss_verdict=verdict, grad_verdict=verdict)
    if came.loss.shape != exact.loss.shape:
        message = _("the loss has shape {came}, expected {expected}").format(
            came=tuple(came.loss.shape), expected=tuple(exact.loss.shape)
        )
        return replace(blank, message=message, loss_verdict=WRONG, grad_verdict=WRONG)
    loose = _tolerances(case, exact, torch.float32) if dtype == torch.float64 else (0.0, 0.0)
    loss_difference = largest(distance(came.loss, exact.loss))
    loss_verdict = _verdict(loss_difference, loss_tolerance, loose[0])
    found = replace(blank, loss_difference=loss_difference, loss_verdict=loss_verdict)
    if came.grad is None:
        return replace(found, message=_("no gradient reaches the logits"), grad_verdict=WRONG)
    grad_difference = largest(distance(came.grad, exact.grad))
    if _is_empty_mean(exact) and not came.loss.any() and not came.grad.any():
        message = _("0 where every row is ignored; PyTorch gives NaN")
        return replace(found, message=message, loss_verdict=CONVENTION, grad_verdict=CONVENTION)
    grad_verdict = _verdict(grad_difference, grad_tolerance, loose[1])
    return replace(found, grad_difference=grad_difference, grad_verdict=grad_verdict)


def raised(error: Exception) -> str:
    """An exception in a line."""
    lines = str(error).splitlines() or [""]
    return _("it raises {error}").format(error=f"{type(error).__name__}: {lines[0][:200]}")


def _is_empty_mean(exact: Measured) -> bool:
    return bool(exact.loss.isnan().all())


def _tolerances(case: Case, exact: Measured, dtype: torch.dtype) -> tuple[float, float]:
    """How far loss and gradient may be off by the rounding of a dtype."""
    assert exact.grad is not None
    eps = ALLOWED_ROUNDING_IN_EPS * torch.finfo(dtype).eps
    # a logit of 1000 is itself rounded by 1000·eps; entries of the gradient are at most 1, times the largest weight
    size = 1 + largest(case.logits[case.logits.isfinite()].double().abs())
    summed = max(1.0, largest(exact.loss[exact.loss.isfinite()].abs()))
    steepest = max(1.0, largest(exact.grad[exact.grad.isfinite()].abs()))
    return eps * max(size, summed), min(eps * size, LARGEST_GRAD_ERROR) * steepest


def _verdict(difference: float, tolerance: float, loose: float) -> str:
    if difference <= tolerance:
        return RIGHT
    return TO_FLOAT32 if difference <= loose else WRONG


def _finite_distance(one: Tensor, other: Tensor) -> float:
    """How far F.cross_entropy is off in the dtype; 0 where it overflows, which nobody else need do."""
    apart = largest(distance(one, other))
    return apart if math.isfinite(apart) else 0.0
