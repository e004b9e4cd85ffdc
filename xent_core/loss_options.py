"""The options of one cross-entropy as one value: weight, ignore_index, reduction, label_smoothing and temperature."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any, TypedDict, get_args

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.arrays import ArrayLike, Reduction
from xent_core.values import same_bits

REDUCTIONS: tuple[Reduction, ...] = get_args(Reduction)


class LossKeywords(TypedDict, total=False):
    """The same options as keywords, under PyTorch's names, as a caller gives them."""

    weight: ArrayLike | None
    ignore_index: int
    reduction: Reduction
    label_smoothing: float
    temperature: float


@dataclass(frozen=True, eq=False)
class LossOptions:
    """The options of `torch.nn.functional.cross_entropy` and a temperature; what they may be is for `Problem` to say.

    Attributes:
      weight: one factor per class, shape (C,), or None.
      ignore_index, reduction, label_smoothing, temperature: as in Problem.

    `==` compares the weights bit by bit; NaN equals NaN.

    Example:
      >>> LossOptions(label_smoothing=0.1) == LossOptions(label_smoothing=0.1)
      True
    """

    weight: Tensor | None = None
    ignore_index: int = -100
    reduction: Reduction = "mean"
    label_smoothing: float = 0.0
    temperature: float = 1.0

    @property
    def smoothing(self) -> float:
        """label_smoothing as PyTorch applies it: a negative or NaN value counts as 0."""
        return self.label_smoothing if self.label_smoothing > 0 else 0.0

    def torch_keywords(self) -> dict[str, Any]:
        """What `F.cross_entropy` takes; that is, all but the temperature."""
        return {
            "weight": self.weight,
            "ignore_index": self.ignore_index,
            "reduction": self.reduction,
            "label_smoothing": self.label_smoothing,
        }

    def to(self, dtype: torch.dtype) -> LossOptions:
        """The same options with the weight in this dtype."""
        return self if self.weight is None else replace(self, weight=self.weight.to(dtype))

    def cross_entropy(self, logits: Tensor, target: Tensor) -> Tensor:
        """F.cross_entropy of logits / T under these options."""
        scaled = logits if self.temperature == 1 else logits / self.temperature
        return F.cross_entropy(scaled, target, **self.torch_keywords())

    def _scalars(self) -> tuple[Any, ...]:
        # NaN as a word, so that NaN equals NaN
        numbers = (self.label_smoothing, self.temperature)
        return (self.ignore_index, self.reduction, *("nan" if math.isnan(x) else x for x in numbers))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, LossOptions):
            return NotImplemented
        return self._scalars() == other._scalars() and same_bits(self.weight, other.weight)

    def __hash__(self) -> int:
        return hash(self._scalars())
