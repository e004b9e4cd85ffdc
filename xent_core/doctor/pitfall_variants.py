"""VARIANTS: more examples of a mistake that PyTorch meets with another message than the first example's."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from xent_core.doctor.pitfall_examples import Example


class _Sequence(Example):
    """Two steps of three classes: logits (N, C, T) and labels (N, T)."""

    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[[2.0, 0.5], [1.0, 2.5], [0.1, -1.0]]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1]])


class _SequenceOfBytes(_Sequence):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1]], dtype=torch.uint8)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.long())


class _BytesWithSmoothing(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 1, 2], dtype=torch.uint8)

    @staticmethod
    def weight() -> Tensor:
        return torch.tensor([1.0, 2.0, 5.0])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target, weight=weight, label_smoothing=0.1)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor, weight: Tensor) -> Any:
        return F.cross_entropy(logits, target.long(), weight=weight, label_smoothing=0.1)


class _SequenceWithAnAxisOfOne(_Sequence):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[[0, 1]]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.squeeze(1))


class _LabelsInOneRow(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[0, 1, 2]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.squeeze(0))


class _OneRowOfLogits(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([2.0, 1.0, 0.1])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 2])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target[0])  # one row has one label


class _OneLabelWithAnAxis(_OneRowOfLogits):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0])


class _Image(Example):
    """One image of 1 × 2 pixels: logits (N, H, W, C) and labels (N, H, W)."""

    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[[[2.0, 1.0, 0.1], [0.5, 2.5, -1.0]]]])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[[0, 1]]])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.movedim(-1, 1), target)


class _ImageWithChannel(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[[[2.0, 0.5]], [[1.0, 2.5]], [[0.1, -1.0]]]])  # (N, C, H, W)

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[[[0, 1]]]])  # (N, 1, H, W)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.squeeze(1))


class _ClassesFirst(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([[2.0, 0.5], [1.0, 2.5], [0.1, -1.0]])  # (C, N)

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, 1])

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.T, target)


class _OneHotOfOtherClasses(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]])  # a class more than the logits have

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target.argmax(dim=1))


class _OneNumberWithALabel(Example):
    @staticmethod
    def logits() -> Tensor:
        return torch.tensor([2.0, 1.0, 0.1])

    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.max(), target)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits.unsqueeze(0), target)


class _SmoothingAsText(Example):
    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing="0.1")

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, label_smoothing=float("0.1"))


class _IgnoreIndexTooLarge(Example):
    @staticmethod
    def target() -> Tensor:
        return torch.tensor([0, -1, 2])

    @staticmethod
    def wrong(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=2**64)

    @staticmethod
    def right(F: Any, logits: Tensor, target: Tensor) -> Any:
        return F.cross_entropy(logits, target, ignore_index=-1)


VARIANTS: dict[str, tuple[type[Example], ...]] = {
    "target-dtype": (_SequenceOfBytes, _BytesWithSmoothing),
    "target-shape": (
        _SequenceWithAnAxisOfOne,
        _LabelsInOneRow,
        _OneRowOfLogits,
        _OneLabelWithAnAxis,
        _ImageWithChannel,
    ),
    "class-axis": (_Image, _ClassesFirst),
    "int-one-hot": (_OneHotOfOtherClasses,),
    "logits-shape": (_OneNumberWithALabel,),
    "label-smoothing": (_SmoothingAsText,),
    "ignore-index": (_IgnoreIndexTooLarge,),
}
