"""The loss and its gradient: forward and `backward()`, the closed form, and a check of one against the other."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Unpack, overload

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.arrays import ArrayLike
from xent_core.distance import distance, largest
from xent_core.language import _
from xent_core.loss_options import LossKeywords
from xent_core.problem import Problem
from xent_core.values import Value

# how far two routes in one dtype may lie apart, in units of eps and of the largest possible entry of the gradient
TOLERANCE_IN_EPS = 8.0


@dataclass(frozen=True, eq=False)
class Evaluation(Value):
    r"""Loss, probabilities and gradient of one Problem; made by `evaluate`.

    With v = w ⊙ y' the effective target, S_i = Σ_c v_ic and D the denominator:

    .. math:: \ell_i = -\sum_c v_{ic}\log p_{ic}, \quad L = \frac{1}{D}\sum_i \ell_i, \quad
              \frac{\partial L}{\partial z_i} = \frac{S_i p_i - v_i}{D\,T}

    Attributes:
      problem: what was evaluated.
      loss: shape (), or like row_loss for reduction "none"; in nats.
      log_probs: log_softmax of logits / T, shaped like logits.
      grad_logits: ∂L/∂logits from `backward()`, shaped like logits; for "none" the gradient of the sum.
    """

    problem: Problem
    loss: Tensor
    log_probs: Tensor
    grad_logits: Tensor

    @cached_property
    def row_loss(self) -> Tensor:
        """The unreduced losses, whatever the reduction: the shape of logits without the class axis."""
        if self.problem.reduction == "none":
            return self.loss
        with torch.no_grad():
            return nll_of_log_probs(self.log_probs, self.problem, reduction="none")

    @cached_property
    def probs(self) -> Tensor:
        """softmax of logits / T, shaped like logits; computed when it is asked for."""
        problem = self.problem
        logits = problem.own.logits
        with torch.no_grad():
            return F.softmax(logits if problem.temperature == 1 else logits / problem.temperature, problem.class_axis)

    @cached_property
    def effective_target(self) -> Tensor:
        """v = w ⊙ y', smoothed and weighted, 0 in ignored rows; shaped like logits."""
        problem = self.problem
        axis, smoothing = problem.class_axis, problem.smoothing
        if problem.has_probabilities:
            y = problem.own.target
        else:
            y = torch.zeros_like(problem.own.logits)
            kept = problem.kept().unsqueeze(axis)
            # an ignored row's class may lie outside 0…C−1, so it is scattered as class 0 and wiped again
            label = problem.own.target.long().unsqueeze(axis)
            if problem.num_classes > 0:
                y.scatter_(axis, label.where(kept, 0), 1.0)
        if smoothing > 0:
            y = y * (1 - smoothing) + smoothing / max(problem.num_classes, 1)
        if problem.own.weight is not None:
            weighted = y * problem.class_vector(problem.own.weight)
            # of a plain label PyTorch takes one weight only, so that an infinite weight elsewhere is harmless
            y = weighted if problem.has_probabilities or smoothing > 0 else weighted.where(y != 0, 0.0)
        return (
            y.to(torch.promote_types(y.dtype, problem.own.logits.dtype))
            if problem.has_probabilities
            else y.where(kept, 0.0)
        )

    @cached_property
    def row_mass(self) -> Tensor:
        """S_i = Σ_c v_ic, with the class axis kept as 1; 1 in every kept row of the plain loss."""
        return self.effective_target.sum(self.problem.class_axis, keepdim=True)

    @cached_property
    def denominator(self) -> Tensor:
        """D, shape (): 1 for "none" and "sum"; for "mean" N with probabilities, else Σ w of the kept rows."""
        problem = self.problem
        if problem.reduction != "mean":
            return problem.own.logits.new_ones(())
        if problem.has_probabilities:
            # a count needs more than the 11 bits of float16
            dtype = torch.promote_types(problem.own.logits.dtype, torch.float32)
            return problem.own.logits.new_tensor(problem.num_rows, dtype=dtype)
        kept = problem.kept()
        if problem.own.weight is None:
            return kept.sum().to(problem.own.logits.dtype)
        return problem.own.weight[problem.own.target[kept].long()].sum()

    @cached_property
    def closed_form_grad(self) -> Tensor:
        """(S·p − v)/(D·T), without autograd; ignored rows are 0·p whatever D is. Shaped like logits."""
        problem = self.problem
        raw = self.row_mass * self.probs - self.effective_target
        grad = (raw / self.denominator).div_(problem.temperature)  # D·T might overflow float16
        return grad.where(problem.kept().unsqueeze(problem.class_axis), 0 * self.probs).to(problem.own.logits.dtype)

    @cached_property
    def gradient_bound(self) -> float:
        """No |∂L/∂z| can exceed this, whatever the logits are: max_i max(Σ_c |v_ic|) / (|D|·T); NaN when D is 0."""
        mass = self.effective_target.double().abs().sum(self.problem.class_axis)
        largest = float(mass.max()) if mass.numel() else 0.0
        scale = abs(float(self.denominator)) * self.problem.temperature
        return largest / scale if scale else math.nan

    @cached_property
    def predictions(self) -> Tensor:
        """The class with the largest logit in each row, int64; −1 where a logit is NaN or there is no class."""
        logits, axis = self.problem.own.logits, self.problem.class_axis
        if self.problem.num_classes == 0:
            return torch.full_like(self.row_loss, -1, dtype=torch.int64)
        return logits.argmax(axis).where(~logits.isnan().any(axis), -1)

    @cached_property
    def correct(self) -> Tensor:
        """Where the prediction is the label (for probabilities: their largest class); False in ignored rows."""
        problem = self.problem
        if problem.num_classes == 0:
            return torch.zeros_like(self.row_loss, dtype=torch.bool)
        label = problem.own.target.argmax(problem.class_axis) if problem.has_probabilities else problem.own.target
        return (self.predictions == label.long()) & problem.kept()


@overload
def evaluate(problem: Problem, /) -> Evaluation: ...


@overload
def evaluate(logits: ArrayLike, target: ArrayLike, /, **options: Unpack[LossKeywords]) -> Evaluation: ...


def evaluate(
    problem: Problem | ArrayLike, target: ArrayLike | None = None, /, **options: Unpack[LossKeywords]
) -> Evaluation:
    """The loss and its gradient by one forward pass and one `backward()` of PyTorch; the rest when it is asked for.

    The loss equals `F.cross_entropy(problem.logits / problem.temperature, …)`, odd cases included.
    log_softmax is computed once and serves the loss, the row losses and the gradient.

    Args: a Problem; or what `Problem` takes: logits, target, and the options as keywords.
    Raises: InvalidProblem for logits and target that PyTorch would refuse.
    Example:
      >>> evaluate(Problem([[1, 2, 3]] * 3, [2, 1, 0])).loss
      tensor(1.4076)
      >>> evaluate([[1, 2, 3]] * 3, [2, 1, 0], reduction="sum").loss
      tensor(4.2228)
    """
    if not isinstance(problem, Problem):
        if target is None:
            raise TypeError(_("evaluate takes a Problem, or logits and target"))
        problem = Problem(problem, target, **options)
    elif target is not None or options:
        raise TypeError(_("a Problem has its target and options already; change them by dataclasses.replace"))
    if torch.is_grad_enabled() and not torch.is_inference_mode_enabled():
        return _forward_and_backward(problem)
    with torch.inference_mode(False), torch.enable_grad():
        return _forward_and_backward(problem)


def _forward_and_backward(problem: Problem) -> Evaluation:
    leaf = problem.own.logits.detach().requires_grad_()
    log_probs = torch.log_softmax(leaf if problem.temperature == 1 else leaf / problem.temperature, problem.class_axis)
    loss = nll_of_log_probs(log_probs, problem, reduction=problem.reduction)
    loss.backward(None if loss.dim() == 0 else torch.ones_like(loss))
    grad_logits = leaf.grad
    assert grad_logits is not None
    return Evaluation(problem, loss.detach(), log_probs.detach(), grad_logits)


def nll_of_log_probs(log_probs: Tensor, problem: Problem, *, reduction: str) -> Tensor:
    """`F.cross_entropy` from its log_softmax on, operation by operation as PyTorch does it.

    Args:
      log_probs: log_softmax of logits / T, shaped like the logits.
      problem: gives target, weight, ignore_index and label_smoothing.
      reduction: "none", "mean" or "sum"; need not be the Problem's own.
    Returns: shape (), or the row losses for "none".
    See also: aten/src/ATen/native/LossNLL.cpp of PyTorch, the functions cross_entropy_loss_*.
    """
    if problem.has_probabilities:
        return _loss_of_probabilities(log_probs, problem, reduction)
    _logits, target, weight = problem.own
    nll = F.nll_loss(log_probs, target, weight=weight, ignore_index=problem.ignore_index, reduction=reduction)
    if problem.smoothing == 0:
        return nll
    uniform = _loss_of_uniform_target(log_probs, problem, reduction)
    share = problem.smoothing / problem.num_classes if problem.num_classes else math.inf
    return share * uniform + (1 - problem.smoothing) * nll


def _loss_of_probabilities(log_probs: Tensor, problem: Problem, reduction: str) -> Tensor:
    target = problem.own.target
    if problem.smoothing > 0:
        target = target * (1 - problem.smoothing) + problem.smoothing / max(problem.num_classes, 1)
    terms = log_probs * target
    if problem.own.weight is not None:
        terms = terms * problem.class_vector(problem.own.weight)
    if reduction == "none":
        return -terms.sum(problem.class_axis)
    if reduction == "sum":
        return -terms.sum()
    return -terms.sum() / problem.num_rows if terms.numel() else -terms.sum() * math.nan


def _loss_of_uniform_target(log_probs: Tensor, problem: Problem, reduction: str) -> Tensor:
    terms = log_probs if problem.own.weight is None else log_probs * problem.class_vector(problem.own.weight)
    # without .long(), as PyTorch does it: to a uint8 target the ignore_index −100 is 156 here, though not in nll_loss
    kept = problem.own.target != problem.ignore_index
    row_loss = (-terms.sum(problem.class_axis)).masked_fill(~kept, 0.0)
    if reduction == "none":
        return row_loss
    if reduction == "sum":
        return row_loss.sum()
    if problem.own.weight is None:
        return row_loss.sum() / kept.sum()
    return row_loss.sum() / problem.own.weight.gather(0, problem.own.target.masked_select(kept)).sum()


@dataclass(frozen=True, eq=False)
class GradientCheck(Value):
    """The gradient by three routes, and how far they lie apart; made by `gradient_check`.

    Attributes:
      autograd: `Evaluation.grad_logits`.
      closed_form: `Evaluation.closed_form_grad`.
      finite_differences: central differences of `F.cross_entropy` in float64.
      uncheckable: bool, shaped like logits: cells of rows whose loss is not finite,
        and cells where the differences drown in the rounding of the loss.
      tolerance: the largest difference that counts as agreement, shaped like logits, float64.
      max_abs_difference: the largest difference of each pair of routes over the checkable cells, 0 if there are none;
        inf where one route gives NaN or infinity and the other does not.
      agrees: whether every checkable cell of every pair lies within its tolerance.
    """

    autograd: Tensor
    closed_form: Tensor
    finite_differences: Tensor
    uncheckable: Tensor
    tolerance: Tensor
    max_abs_difference: dict[tuple[str, str], float]
    agrees: bool

    @property
    def largest(self) -> float:
        """The largest difference of all pairs."""
        return max(self.max_abs_difference.values())


def gradient_check(problem: Problem, evaluation: Evaluation | None = None) -> GradientCheck:
    """Autograd against the closed form against central differences in float64.

    The step of the differences is ∛eps·T, their error about 1e-10 of the largest possible entry.
    The tolerance is 8 eps of the coarsest dtype among logits, probabilities and weight,
    times the largest entry the row can have
    (and times the size of the logits where these are divided by T, which rounds).
    Cells whose loss is not finite are reported as uncheckable, not as disagreement.

    Args: evaluation: of the same Problem, if it is at hand.
    """
    evaluation = evaluation or evaluate(problem)
    differences, rounding = _central_differences(problem, evaluation)
    tolerance = _tolerance(evaluation) + rounding
    axis = problem.class_axis
    divides = bool(evaluation.denominator.isfinite() & (evaluation.denominator != 0))
    # an ignored row loses 0 even where its logits are NaN
    row_is_finite = evaluation.row_loss.isfinite() & ~evaluation.probs.isnan().any(axis) & divides
    # a rounding error of more than a hundredth of the gradient's range proves nothing either way
    proves = rounding <= 0.01 * evaluation.gradient_bound
    uncheckable = ~(row_is_finite.unsqueeze(axis) & proves)
    routes = {
        "autograd": evaluation.grad_logits,
        "closed form": evaluation.closed_form_grad,
        "finite differences": differences,
    }
    names = list(routes)
    largest_of_pair: dict[tuple[str, str], float] = {}
    agrees = True
    for first, second in [(names[0], names[1]), (names[0], names[2]), (names[1], names[2])]:
        apart = distance(routes[first], routes[second]).masked_fill(uncheckable, 0.0)
        largest_of_pair[first, second] = largest(apart)
        agrees = agrees and bool((apart <= tolerance)[~uncheckable].all())
    return GradientCheck(
        evaluation.grad_logits,
        evaluation.closed_form_grad,
        differences,
        uncheckable,
        tolerance,
        largest_of_pair,
        agrees,
    )


def _central_differences(problem: Problem, evaluation: Evaluation) -> tuple[Tensor, Tensor]:
    """(L(z + h) − L(z − h)) / 2h for every logit, and a bound on what rounding the losses does to it; float64."""
    exact = problem.to(torch.float64)
    axis = problem.class_axis
    denominator = float(evaluation.denominator)
    step = torch.finfo(torch.float64).eps ** (1 / 3) * problem.temperature

    row_options = replace(exact.options, reduction="none")

    def row_losses(logits: Tensor) -> Tensor:
        return row_options.cross_entropy(logits, exact.target)

    slopes, rounding = torch.empty_like(exact.logits), torch.empty_like(exact.logits)
    # shifting a row changes no loss, and logits near 0 keep h exact
    peak = exact.logits.amax(axis, keepdim=True) if problem.num_classes else exact.logits
    logits = exact.logits - peak.where(peak.isfinite(), 0.0)
    # the loss is a sum of −v·log p, which may cancel; v = 0 counts for nothing even where log p is −inf
    v = evaluation.effective_target.double().abs()
    size = (v + 2 * (v * evaluation.log_probs.double().abs()).where(v != 0, 0.0)).sum(axis)
    for c in range(problem.num_classes):
        # the rows do not mix, so one class moves in all rows at once
        up, down = logits.clone(), logits.clone()
        up.select(axis, c).add_(step)
        down.select(axis, c).sub_(step)
        width = up.select(axis, c) - down.select(axis, c)
        # −inf stays −inf under any step, so its slope is 0/2h
        width = width.where(width > 0, 2 * step)
        above, below = row_losses(up), row_losses(down)
        slopes.select(axis, c).copy_((above - below) / width / denominator if denominator else math.nan * above)
        noise = 4 * torch.finfo(torch.float64).eps * size / width
        rounding.select(axis, c).copy_(noise / abs(denominator) if denominator else noise)
    return slopes, rounding


def _tolerance(evaluation: Evaluation) -> Tensor:
    problem = evaluation.problem
    dtypes = [problem.own.logits.dtype, evaluation.effective_target.dtype, problem.own.target.dtype]
    dtypes += [] if problem.own.weight is None else [problem.own.weight.dtype]
    infos = [torch.finfo(dtype) for dtype in dtypes if dtype.is_floating_point]
    coarsest = max(info.eps for info in infos)
    # the least number above 0; float16 loses small entries that the coarser bfloat16 would still hold
    smallest = max(info.smallest_normal * info.eps for info in infos)
    mass = evaluation.effective_target.double().abs().sum(problem.class_axis, keepdim=True)
    scale = abs(float(evaluation.denominator)) * problem.temperature
    row_scale = mass / scale if scale else mass * math.nan
    eps = torch.full_like(row_scale, coarsest)
    if problem.temperature != 1 and problem.num_classes:
        # z/T is rounded, and p depends on it as on any absolute error of the largest logits
        size = problem.own.logits.double().amax(problem.class_axis, keepdim=True).abs() / problem.temperature
        eps = eps * (1 + size.nan_to_num(posinf=0.0, neginf=0.0))
    finite_difference_error = 1e-9
    tolerance = (TOLERANCE_IN_EPS * eps + finite_difference_error) * row_scale + 4 * smallest
    return tolerance.expand_as(problem.own.logits)
