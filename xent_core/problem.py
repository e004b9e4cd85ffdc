"""Problem: the logits, the labels and the options of one cross-entropy, checked once and trusted afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from xent_core.advice import in_words_of
from xent_core.arrays import ArrayLike, Reduction
from xent_core.errors import InvalidProblem
from xent_core.loss_options import REDUCTIONS, LossKeywords, LossOptions
from xent_core.validation import DTYPES, as_logits, as_loss_options, as_target, class_axis_of, violations
from xent_core.values import same_bits

__all__ = ["DTYPES", "REDUCTIONS", "InvalidProblem", "Problem"]


class OwnTensors(NamedTuple):
    """The tensors of a Problem themselves, for this package to read; nobody may write them or hand them on."""

    logits: Tensor
    target: Tensor
    weight: Tensor | None


class _Owner:
    own: OwnTensors


def _for_the_caller(error: InvalidProblem, **given: Any) -> InvalidProblem:
    """The same, with a fix that runs on the values as they came."""
    fix = error.fix
    for name, data in given.items():
        fix = in_words_of(data, name, fix)
    return InvalidProblem(error.code, error.came, error.expected, fix)


def copied_when_written(tensor: Tensor) -> Tensor:
    """The numbers of a tensor in one of its own, which copies them only when it is written.

    Where PyTorch cannot do that, as for memory that is shared between processes, it copies them at once.
    """
    if torch.is_inference_mode_enabled():
        # a tensor made there could not take part in backward()
        with torch.inference_mode(False):
            return copied_when_written(tensor)
    try:
        return torch._lazy_clone(tensor)
    except (AttributeError, RuntimeError):
        return tensor.clone()


@dataclass(frozen=True, eq=False, init=False)
class Problem(_Owner):
    r"""One cross-entropy: logits, target and the options of `torch.nn.functional.cross_entropy`, and a temperature.

    .. math:: L = \mathrm{cross\_entropy}(z / T,\ y;\ w, \text{ignore\_index}, \text{reduction}, \varepsilon)

    Args:
      logits: unnormalised log probabilities, floating, shape (C,), (N, C) or (N, C, d1, …).
        Lists are taken as float32, arrays of any library (NumPy, JAX, TensorFlow, pandas, `__dlpack__`) in their own
        dtype, bfloat16 of ml_dtypes too, and of integers as float32; a list of tensors is stacked.
      target: class indices, int64 (uint8 where PyTorch takes it; from other libraries any integers), shape (), (N,)
        or (N, d1, …); or class probabilities, floating, shaped like logits.
      weight: one factor per class, shape (C,), in the dtype of logits when target holds class indices.
      ignore_index: rows with this target count neither in the loss nor in the mean.
      reduction: "none", "mean" or "sum".
      label_smoothing: ε of y' = (1 − ε)·y + ε/C; at most 1. PyTorch takes a negative or NaN ε as none, and so do we.
      temperature: T, finite and positive; the loss is of logits / T.

    Tensors are copied in, onto the CPU, and never written: whoever writes into `problem.logits` writes into a copy,
    which PyTorch makes at that moment.
    `==` compares dtype, shape and bits; NaN equals NaN.

    Raises: InvalidProblem for whatever PyTorch would refuse.
    Example:
      >>> problem = Problem([[1, 2, 3]], [0])
      >>> problem.num_rows, problem.num_classes, problem.logits.dtype
      (1, 3, torch.float32)
    """

    logits: Tensor
    target: Tensor
    weight: Tensor | None
    ignore_index: int
    reduction: Reduction
    label_smoothing: float
    temperature: float

    def __init__(
        self,
        logits: ArrayLike,
        target: ArrayLike,
        *,
        weight: ArrayLike | None = None,
        ignore_index: int = -100,
        reduction: Reduction = "mean",
        label_smoothing: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        z = as_logits(logits)
        y = as_target(target, z.dtype)
        given = LossKeywords(
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            temperature=temperature,
        )
        options = as_loss_options(given, z.dtype)
        for error in violations(z, y, options):
            raise _for_the_caller(error, logits=logits, target=target, weight=weight)
        if z.dim() == 1 and y.shape == (1,) and not y.is_floating_point():
            y = y.reshape(())  # backward() takes only ()
        # the first such copy of a tensor changes how PyTorch holds it, which two threads must not do at once
        w = options.weight
        self.__dict__.update(
            own=OwnTensors(
                copied_when_written(z), copied_when_written(y), None if w is None else copied_when_written(w)
            ),
            ignore_index=options.ignore_index,
            reduction=options.reduction,
            label_smoothing=options.label_smoothing,
            temperature=options.temperature,
        )

    @classmethod
    def of(cls, logits: ArrayLike, target: ArrayLike, options: LossOptions) -> Problem:
        """A Problem under these options. Raises: InvalidProblem."""
        return cls(logits, target, **options.torch_keywords(), temperature=options.temperature)

    @property
    def options(self) -> LossOptions:
        """The options as one value."""
        return LossOptions(self.weight, self.ignore_index, self.reduction, self.label_smoothing, self.temperature)

    @property
    def class_axis(self) -> int:
        """The axis of the classes in logits: 0 for (C,), otherwise 1."""
        return class_axis_of(self.own.logits)

    @property
    def num_classes(self) -> int:
        """C."""
        return self.own.logits.shape[self.class_axis]

    @property
    def num_rows(self) -> int:
        """N·d1·…: how many distributions over the classes the logits hold."""
        return math.prod(self._row_shape())

    @property
    def has_probabilities(self) -> bool:
        """True if the target holds probabilities, False if it holds class indices."""
        return self.own.target.is_floating_point()

    @property
    def smoothing(self) -> float:
        """label_smoothing as PyTorch applies it: a negative or NaN value counts as 0."""
        return self.label_smoothing if self.label_smoothing > 0 else 0.0

    def kept(self) -> Tensor:
        """Which rows count: bool, shaped like the row losses; False where a class index equals ignore_index."""
        if not self.has_probabilities:
            return self.own.target.long() != self.ignore_index
        return self.own.target.new_ones(self._row_shape(), dtype=torch.bool)

    def class_vector(self, values: Tensor) -> Tensor:
        """Values per class, shape (C,), with axes added so that they broadcast against the logits."""
        return values.reshape([-1 if axis == self.class_axis else 1 for axis in range(self.own.logits.dim())])

    def to(self, dtype: torch.dtype) -> Problem:
        """The same Problem in another floating dtype: logits, weight, and a target of probabilities are cast."""
        target = self.own.target.to(dtype) if self.has_probabilities else self.own.target
        return Problem.of(self.own.logits.to(dtype), target, self.options.to(dtype))

    def _row_shape(self) -> torch.Size:
        shape = list(self.own.logits.shape)
        del shape[self.class_axis]
        return torch.Size(shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Problem):
            return NotImplemented
        return self.options == other.options and all(map(same_bits, self.own[:2], other.own[:2]))

    def __hash__(self) -> int:
        logits, target, _weight = self.own
        return hash((logits.dtype, logits.shape, target.dtype, target.shape, self.options))


def _handed_out(name: str) -> property:
    """A tensor of a Problem as others get it; see docs/decisions/0040-a-problem-is-copied-when-written.md."""

    def get(problem: Problem) -> Tensor | None:
        tensor = getattr(problem.own, name)
        return None if tensor is None else copied_when_written(tensor)

    return property(get, doc=f"The {name}; to write into it changes a copy.")


for _name in OwnTensors._fields:
    setattr(Problem, _name, _handed_out(_name))
