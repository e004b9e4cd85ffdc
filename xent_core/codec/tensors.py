"""The tensors of a Problem as data from outside: their dtypes by name, their sizes checked before they are built."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

# what logits, target and weight can be; beyond the floating dtypes only a weight beside probabilities uses them all
DTYPE_NAMES = {
    torch.float64: "float64",
    torch.float32: "float32",
    torch.bfloat16: "bfloat16",
    torch.float16: "float16",
    torch.int64: "int64",
    torch.int32: "int32",
    torch.int16: "int16",
    torch.int8: "int8",
    torch.uint64: "uint64",
    torch.uint32: "uint32",
    torch.uint16: "uint16",
    torch.uint8: "uint8",
    torch.bool: "bool",
}
DTYPES_BY_NAME = {name: dtype for dtype, name in DTYPE_NAMES.items()}

MAX_AXES = 64
MAX_NUMBERS = 1_000_000  # logits of one Problem


def is_shape(shape: Sequence[int], *, max_numbers: int = MAX_NUMBERS) -> bool:
    """Whether a tensor may have this shape; an axis of 0 does not excuse a huge one beside it."""
    return (
        len(shape) <= MAX_AXES
        and all(0 <= size <= max_numbers for size in shape)
        and math.prod(max(size, 1) for size in shape) <= max_numbers
    )


def range_of(dtype: torch.dtype) -> tuple[int, int]:
    """The least and the largest number of an integer dtype, or of bool."""
    if dtype == torch.bool:
        return 0, 1
    info = torch.iinfo(dtype)
    return info.min, info.max
