"""Context: what is known of a batch beside the arguments of F.cross_entropy."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from xent_core.array_types import ArrayLike, is_numbers, to_tensor


@dataclass(frozen=True, eq=False)
class Context:
    """What is known of a batch; made by `Context.of`.

    Attributes:
      trained: whether the model should know something by now.
      tokens: that went into the model, (B, T) int64.
      prompt_mask: which places of the labels belong to a prompt, (B, T) bool.
      separator: the token that ends a text in packed rows.
      micro_batch_counts: kept rows of each micro-batch of the same optimizer step.
    """

    trained: bool = False
    tokens: Tensor | None = None
    prompt_mask: Tensor | None = None
    separator: int | None = None
    micro_batch_counts: tuple[int, ...] = ()

    @classmethod
    def of(
        cls,
        target: Tensor,
        *,
        trained: bool,
        tokens: ArrayLike | None,
        prompt_mask: ArrayLike | None,
        separator: int | None,
        micro_batch_counts: Sequence[int] | None,
    ) -> Context:
        """Raises: ValueError for what does not fit the target."""
        read = None if tokens is None else _whole("tokens", tokens)
        if read is not None and (read.dim() != 2 or tuple(target.shape) not in (tuple(read.shape), (read.numel(),))):
            raise ValueError(
                f"tokens has shape {tuple(read.shape)} and target {tuple(target.shape)}, "
                "expected tokens (B, T) and target (B, T) or (B·T,)"
            )
        mask = None if prompt_mask is None else _whole("prompt_mask", prompt_mask) != 0
        if mask is not None and mask.numel() != target.numel():
            raise ValueError(
                f"prompt_mask has shape {tuple(mask.shape)} and target {tuple(target.shape)}, expected the same places"
            )
        if separator is not None and not isinstance(separator, int):
            raise ValueError(f"separator is {separator!r}, expected the number of a token")
        given = micro_batch_counts if micro_batch_counts is not None and len(micro_batch_counts) else None
        counts = () if given is None else tuple(_whole("micro_batch_counts", given).tolist())
        if any(count < 0 for count in counts):
            raise ValueError(f"micro_batch_counts holds {min(counts)}, expected how many rows each micro-batch keeps")
        if mask is not None and read is not None:
            mask = mask.view(read.shape)
        return cls(trained, read, mask, separator, counts)


def _whole(name: str, data: Any) -> Tensor:
    """Whole numbers or truth values, as int64."""
    try:
        tensor = torch.tensor(data) if is_numbers(data) else to_tensor(data)
    except Exception as error:  # reading a stranger's object may raise anything
        raise ValueError(f"{name} of type {type(data).__name__} cannot be read as a tensor ({error})") from error
    if tensor.is_floating_point() or tensor.is_complex():
        raise ValueError(f"{name} has dtype {tensor.dtype}, expected whole numbers")
    return tensor.long()
