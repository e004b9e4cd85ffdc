"""Problem: the logits, the labels and the options of one cross-entropy, checked once and trusted afterwards."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xent_core.errors import InvalidProblem
from xent_core.loss_options import REDUCTIONS, LossKeywords, LossOptions, same_bits
from xent_core.validation import DTYPES, as_logits, as_loss_options, as_target, class_axis_of, violations

__all__ = ["DTYPES", "REDUCTIONS", "InvalidProblem", "Problem"]


@dataclass(frozen=True, eq=False, init=False)
class Problem:
    r"""One cross-entropy: logits, target and the options of `torch.nn.functional.cross_entropy`, and a temperature.

    .. math:: L = \mathrm{cross\_entropy}(z / T,\ y;\ w, \text{ignore\_index}, \text{reduction}, \varepsilon)

    Args:
      logits: unnormalised log probabilities, floating, shape (C,), (N, C) or (N, C, d1, …).
        Lists are taken as float32, NumPy arrays of floats in their own dtype, of integers as float32.
      target: class indices, int64 (uint8 where PyTorch takes it), shape (), (N,) or (N, d1, …);
        or class probabilities, floating, shaped like logits.
      weight: one factor per class, shape (C,), in the dtype of logits when target holds class indices.
      ignore_index: rows with this target count neither in the loss nor in the mean.
      reduction: "none", "mean" or "sum".
      label_smoothing: ε of y' = (1 − ε)·y + ε/C; at most 1. PyTorch takes a negative or NaN ε as none, and so do we.
      temperature: T, finite and positive; the loss is of logits / T.

    Tensors are copied in, onto the CPU, and never written.
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
    reduction: str
    label_smoothing: float
    temperature: float

    def __init__(
        self,
        logits: Any,
        target: Any,
        *,
        weight: Any = None,
        ignore_index: int = -100,
        reduction: str = "mean",
        label_smoothing: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        tensor = as_logits(logits)
        values = {"logits": tensor, "target": as_target(target, tensor.dtype)}
        given = LossKeywords(
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
            temperature=temperature,
        )
        options = as_loss_options(given, tensor.dtype)
        for name, value in (values | vars(options)).items():
            object.__setattr__(self, name, value)
        for error in violations(self.logits, self.target, options):
            raise error
        if self.logits.dim() == 1 and self.target.shape == (1,) and not self.has_probabilities:
            object.__setattr__(self, "target", self.target.reshape(()))  # backward() takes only ()

    @classmethod
    def of(cls, logits: Any, target: Any, options: LossOptions) -> Problem:
        """A Problem under these options. Raises: InvalidProblem."""
        return cls(logits, target, **options.torch_keywords(), temperature=options.temperature)

    @property
    def options(self) -> LossOptions:
        """The options as one value."""
        return LossOptions(self.weight, self.ignore_index, self.reduction, self.label_smoothing, self.temperature)

    @property
    def class_axis(self) -> int:
        """The axis of the classes in logits: 0 for (C,), otherwise 1."""
        return class_axis_of(self.logits)

    @property
    def num_classes(self) -> int:
        """C."""
        return self.logits.shape[self.class_axis]

    @property
    def num_rows(self) -> int:
        """N·d1·…: how many distributions over the classes the logits hold."""
        shape = list(self.logits.shape)
        del shape[self.class_axis]
        return math.prod(shape)

    @property
    def has_probabilities(self) -> bool:
        """True if the target holds probabilities, False if it holds class indices."""
        return self.target.is_floating_point()

    @property
    def smoothing(self) -> float:
        """label_smoothing as PyTorch applies it: a negative or NaN value counts as 0."""
        return self.options.smoothing

    def kept(self) -> Tensor:
        """Which rows count: bool, shaped like the row losses; False where a class index equals ignore_index."""
        if not self.has_probabilities:
            return self.target.long() != self.ignore_index
        return self.target.new_ones(self._row_shape(), dtype=torch.bool)

    def class_vector(self, values: Tensor) -> Tensor:
        """Values per class, shape (C,), with axes added so that they broadcast against the logits."""
        return values.reshape([-1 if axis == self.class_axis else 1 for axis in range(self.logits.dim())])

    def to(self, dtype: torch.dtype) -> Problem:
        """The same Problem in another floating dtype: logits, weight, and a target of probabilities are cast."""
        target = self.target.to(dtype) if self.has_probabilities else self.target
        return Problem.of(self.logits.to(dtype), target, self.options.to(dtype))

    def _row_shape(self) -> torch.Size:
        shape = list(self.logits.shape)
        del shape[self.class_axis]
        return torch.Size(shape)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Problem):
            return NotImplemented
        return (
            self.options == other.options
            and same_bits(self.logits, other.logits)
            and same_bits(self.target, other.target)
        )

    def __hash__(self) -> int:
        return hash((self.logits.dtype, self.logits.shape, self.target.dtype, self.target.shape, self.options))
