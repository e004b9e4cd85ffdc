"""Call: the arguments of F.cross_entropy after PyTorch's own checks, with axes, kept rows and denominator named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from torch import Tensor

from xent_core.doctor.symptoms.wording import index_text
from xent_core.language import _
from xent_core.loss_options import LossOptions

# numbers in one piece: 16 MiB of float32, small beside the logits and large enough to keep every core busy
PIECE = 2**22


@dataclass(frozen=True, eq=False)
class Call:
    """A call that PyTorch takes, with logits of at least two axes, (N, C, …); made by `Call.of`."""

    logits: Tensor
    target: Tensor
    options: LossOptions  # with a label_smoothing that is not below 0
    one_row: bool  # the user's logits have shape (C,)

    @classmethod
    def of(cls, logits: Tensor, target: Tensor, options: LossOptions) -> Call:
        """The arguments of F.cross_entropy after `violations` found nothing."""
        one_row = logits.dim() == 1
        if one_row:
            logits, target = logits.unsqueeze(0), target.unsqueeze(0)
        if not target.is_floating_point():
            target = target.long()  # what is uint8 may not hold ignore_index
        return cls(logits, target, replace(options, label_smoothing=options.smoothing), one_row)

    @property
    def soft(self) -> bool:
        """Whether the target holds probabilities."""
        return self.target.is_floating_point()

    @property
    def axis(self) -> int:
        """The class axis of the user's logits."""
        return 0 if self.one_row else 1

    @property
    def num_classes(self) -> int:
        """C."""
        return self.logits.shape[1]

    @property
    def num_rows(self) -> int:
        """N·d1·…"""
        return self.logits.numel() // self.num_classes if self.num_classes else self.kept.numel()

    @cached_property
    def kept(self) -> Tensor:
        """Which rows count: bool, shaped like the row losses."""
        if self.soft:
            return torch.ones(self.logits.shape[:1] + self.logits.shape[2:], dtype=torch.bool)
        return self.target != self.options.ignore_index

    @cached_property
    def num_kept(self) -> int:
        """How many rows count."""
        return int(self.kept.sum())

    @cached_property
    def kept_weight(self) -> Tensor:
        """The weight of each kept row, float64, for class indices."""
        labels = self.target[self.kept]
        return (
            torch.ones(len(labels), dtype=torch.float64)
            if self.options.weight is None
            else self.options.weight.double()[labels]
        )

    @cached_property
    def denominator(self) -> float:
        """D, in float64."""
        if self.options.reduction != "mean":
            return 1.0
        return float(self.num_rows) if self.soft else float(self.kept_weight.sum())

    def pieces(self) -> Iterator[slice]:
        """Slices of the first axis, each of about PIECE numbers."""
        step = max(1, PIECE * len(self.logits) // max(self.logits.numel(), 1))
        yield from (slice(start, start + step) for start in range(0, len(self.logits), step))

    def row_losses(self, piece: slice, dtype: torch.dtype, logits: Tensor) -> Tensor:
        """The unreduced losses of a piece, weight and logits in this dtype."""
        return replace(self.options.to(dtype), reduction="none").cross_entropy(logits, self.target[piece])

    def place(self, mask: Tensor) -> str:
        """The first row of a mask that is set, as one would index the row losses."""
        where = mask.nonzero()[0].tolist()
        return _("the only row") if self.one_row else _("row {row}").format(row=index_text(where))

    def shape_text(self) -> str:
        """The shape of the user's logits, as PyTorch writes it."""
        return str(tuple(self.logits.shape[1:] if self.one_row else self.logits.shape))

    def weight_cast(self, to: str) -> str:
        """The line of a fix that casts the weight as the logits were; empty where there is nothing to cast."""
        return "" if self.options.weight is None or self.soft else f"\nweight = weight.{to}()"
