"""Gradient descent on the logits by torch.optim: the path, what each step should have gained, and where it ends."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.cross_entropy import evaluate
from xent_core.language import _
from xent_core.problem import InvalidProblem, Problem
from xent_core.reference_losses import reference_losses
from xent_core.values import Value

MOMENTUM = 0.9
OptimizerName = Literal["SGD", "momentum", "Adam"]
OPTIMIZERS: dict[str, Callable[..., torch.optim.Optimizer]] = {
    "SGD": torch.optim.SGD,
    "momentum": partial(torch.optim.SGD, momentum=MOMENTUM),
    "Adam": torch.optim.Adam,
}
MAX_PATH_BYTES = 2**31
# a rise of the loss counts from this many rounding errors on
RISE_IN_EPS = 8
STEPS_AT_ONCE = 64


@dataclass(frozen=True, eq=False)
class Descent(Value):
    r"""The path of a gradient descent on the logits, its start included; made by `descend`.

    K is the number of steps taken; point k is where step k starts, and point K where the last one ends.

    Attributes:
      problem: where the descent starts.
      optimizer, learning_rate: as given.
      logits, grad_logits: shape (K + 1, …), each point shaped like the logits of the problem.
      loss: shape (K + 1,), in nats; for reduction "none" the sum of the row losses, which is what is descended.
    """

    problem: Problem
    optimizer: str
    learning_rate: float
    logits: Tensor
    grad_logits: Tensor
    loss: Tensor

    @property
    def steps(self) -> int:
        """K, the number of steps taken."""
        return len(self.loss) - 1

    @cached_property
    def probs(self) -> Tensor:
        """softmax(logits / T) at every point, shaped like `logits`."""
        return self.probs_at(slice(None))

    def probs_at(self, points: slice | list[int]) -> Tensor:
        """softmax(logits / T) at some of the points."""
        logits, temperature = self.logits[points], self.problem.temperature
        return F.softmax(logits if temperature == 1 else logits / temperature, self.problem.class_axis + 1)

    @cached_property
    def grad_norm(self) -> Tensor:
        """‖∂L/∂z‖₂ over all logits at every point, shape (K + 1,); added in float64."""
        norm: Tensor = torch.linalg.vector_norm(self.grad_logits.flatten(1), dim=1, dtype=torch.float64)
        return norm.to(self.logits.dtype)

    @cached_property
    def predicted_change(self) -> Tensor:
        r"""What the gradient promises of each step, shape (K,), float64.

        .. math:: \langle g_k, z_{k+1} - z_k \rangle

        For plain SGD this is −η‖g‖². A logit that stays where it is, be it at −∞, changes by 0.
        """
        parts = [torch.zeros(0, dtype=torch.float64)]
        for first in range(0, self.steps, STEPS_AT_ONCE):
            last = min(first + STEPS_AT_ONCE, self.steps)
            before, after = self.logits[first:last].double(), self.logits[first + 1 : last + 1].double()
            change = (after - before).masked_fill(after == before, 0.0)
            parts.append((self.grad_logits[first:last].double() * change).flatten(1).sum(1))
        return torch.cat(parts)

    @cached_property
    def actual_change(self) -> Tensor:
        """How the loss changed with each step, shape (K,), float64."""
        return self.loss.double().diff()

    @cached_property
    def rose_unexpectedly(self) -> Tensor:
        """Steps in which the loss rose, by more than rounding, though the gradient promised a fall; bool, (K,)."""
        size = self.loss.double().abs()
        rounding = RISE_IN_EPS * torch.finfo(self.loss.dtype).eps * torch.maximum(size[:-1], size[1:])
        return (self.actual_change > rounding) & (self.predicted_change < 0)

    @cached_property
    def first_not_finite(self) -> int | None:
        """The first point at which the loss or a gradient is NaN or infinite, None if there is no such point."""
        broken = ~(self.loss.isfinite() & self.grad_norm.isfinite())
        return int(broken.int().argmax()) if bool(broken.any()) else None


@dataclass(frozen=True, eq=False)
class Limit:
    r"""Where gradient descent tends to; made by `limit_of`.

    Attributes:
      probs: p = v/S, shaped like the logits; what they are at the start in rows that do not count (v = 0).
      loss: the floor, Σ_i S_i·H(v_i/S_i) / D; 0 for hard labels.
      settles: whether finite logits have these probabilities.
        If not, some v/S is 0: its logit runs off to −∞ against the others, and the loss comes close but never there.
    """

    probs: Tensor
    loss: float
    settles: bool


def descend(
    problem: Problem,
    *,
    learning_rate: float,
    steps: int,
    optimizer: OptimizerName = "SGD",
    progress: Callable[[int], object] | None = None,
) -> Descent:
    r"""Gradient descent on the logits by torch.optim; every point of the path is kept.

    .. math:: z_{k+1} = z_k - \eta\, g_k \quad \text{(SGD)}

    Args:
      learning_rate: η, finite and not negative.
      steps: how many, at least 0.
      optimizer: "SGD", "momentum" (SGD with momentum 0.9) or "Adam"; all else as torch.optim has it.
      progress: called with the number of steps taken, about a hundred times.
        If it returns False, the descent ends there, and what has been reached is returned.
    Returns: the points 0 to `steps`, bit for bit what torch.optim gives.
    Raises: InvalidProblem if an argument is none of these, or if the path would not fit into memory.
    Example:
      >>> path = descend(Problem([0, 0], 0), learning_rate=1.0, steps=1)
      >>> path.logits[-1], path.loss
      (tensor([ 0.5000, -0.5000]), tensor([0.6931, 0.3133]))
    """
    _check(problem, learning_rate, steps, optimizer)
    shape, dtype, options = problem.logits.shape, problem.logits.dtype, problem.options
    with torch.inference_mode(False), torch.enable_grad():
        logits = torch.empty((steps + 1, *shape), dtype=dtype)
        grads = torch.empty_like(logits)
        leaf = problem.logits.clone().requires_grad_()
        stepper = OPTIMIZERS[optimizer]([leaf], lr=learning_rate)
        position = leaf.detach()
        losses: list[Tensor] = []
        reported = max(1, steps // 100)
        for k, (point, grad) in enumerate(zip(logits.unbind(), grads.unbind(), strict=True)):
            if k:
                stepper.step()
            leaf.grad = None
            loss = options.cross_entropy(leaf, problem.target)
            loss = loss.sum() if loss.dim() else loss  # of reduction "none"
            loss.backward()
            assert leaf.grad is not None
            point.copy_(position)
            grad.copy_(leaf.grad)
            losses.append(loss.detach())
            if progress is not None and k % reported == 0 and progress(k) is False:
                break
    reached = len(losses)
    if reached <= steps:  # a copy, so that the memory of the rest goes back
        logits, grads = logits[:reached].clone(), grads[:reached].clone()
    return Descent(problem, optimizer, float(learning_rate), logits, grads, torch.stack(losses))


def path_bytes(problem: Problem, steps: int) -> int:
    """What the logits and the gradients of a path of so many steps take, in bytes.

    Example:
      >>> path_bytes(Problem([0, 0], 0), 1)  # two points of two logits and two gradients
      32
    """
    return 2 * (steps + 1) * problem.logits.numel() * problem.logits.element_size()


def limit_of(problem: Problem) -> Limit | None:
    """Where gradient descent from here tends to, or None if there is no such place.

    None if the loss is not a number, if it has no lower bound (negative v or D),
    or if a class that the target wants has a logit from which no step leads away (±∞, NaN).

    Example:
      >>> limit_of(Problem([0, 0, 0], 0, label_smoothing=0.1)).probs
      tensor([0.9333, 0.0333, 0.0333], dtype=torch.float64)
    """
    evaluation = evaluate(problem)
    axis = problem.class_axis
    v = evaluation.effective_target.double()
    mass = v.sum(axis, keepdim=True)
    counts = (v != 0).any(axis, keepdim=True)
    floor = next((mark.value for mark in reference_losses(evaluation) if mark.name == "floor"), math.nan)
    can_move = problem.logits.isfinite() | ((problem.logits == -math.inf) & (v == 0)) | ~counts
    if not (math.isfinite(floor) and float(evaluation.denominator) > 0 and bool(can_move.all())):
        return None
    probs = (v / mass).where(counts, evaluation.probs.double())
    return Limit(probs, floor, settles=bool(((v > 0) | ~counts).all()))


def _check(problem: Problem, learning_rate: float, steps: int, optimizer: str) -> None:
    if not isinstance(optimizer, str) or optimizer not in OPTIMIZERS:
        names = ", ".join(repr(name) for name in OPTIMIZERS)
        raise InvalidProblem(
            "optimizer",
            _("optimizer is {optimizer}").format(optimizer=repr(optimizer)[:80]),
            _("one of {names}").format(names=names),
            _("Choose one of them."),
        )
    is_number = isinstance(learning_rate, int | float) and not isinstance(learning_rate, bool)
    if not (is_number and math.isfinite(learning_rate) and learning_rate >= 0):
        raise InvalidProblem(
            "learning-rate",
            _("learning_rate is {value}").format(value=repr(learning_rate)[:80]),
            _("a finite number, at least 0"),
            _("Usual values are 0.01 to 10."),
        )
    if not isinstance(steps, int) or isinstance(steps, bool) or steps < 0:
        raise InvalidProblem(
            "steps",
            _("steps is {value}").format(value=repr(steps)[:80]),
            _("a whole number, at least 0"),
            _("Usual values are 10 to 1000."),
        )
    size_bytes = path_bytes(problem, steps)
    if size_bytes > MAX_PATH_BYTES:
        raise InvalidProblem(
            "steps",
            _("steps is {steps}, whose path takes {size} MiB").format(steps=steps, size=size_bytes // 2**20),
            _("a path of at most {limit} MiB").format(limit=MAX_PATH_BYTES // 2**20),
            _("Take fewer steps, and go on from where they end."),
        )
