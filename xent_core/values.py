"""Value: the base of what this package gives, equal by what is in it; and `same`, which compares two things so."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor


class Value:
    """A dataclass (of eq=False) that equals another by its fields; tensors and arrays bit by bit, NaN equal to NaN.

    Example:
      >>> from xent_core import Problem, evaluate
      >>> evaluate(Problem([[1, 2]], [0])) == evaluate(Problem([[1, 2]], [0]))
      True
    """

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self is other or all(same(getattr(self, name), getattr(other, name)) for name in _compared(self))

    def __hash__(self) -> int:
        found = (getattr(self, name) for name in _compared(self))
        return hash((type(self).__qualname__, *(x for x in found if isinstance(x, str | int))))


def _compared(value: Any) -> list[str]:
    return [field.name for field in fields(value) if field.compare]


def same(mine: Any, theirs: Any) -> bool:
    """Whether two things of any kind are of one type and hold the same, NaN being equal to NaN."""
    if mine is theirs:
        return True
    if isinstance(mine, Tensor):
        return isinstance(theirs, Tensor) and same_bits(mine, theirs)
    if type(mine) is not type(theirs):
        return False
    if isinstance(mine, np.ndarray):
        return _same_array(mine, theirs)
    if isinstance(mine, float):
        return _same_float(mine, theirs)
    if isinstance(mine, Mapping):
        return mine.keys() == theirs.keys() and all(same(mine[key], theirs[key]) for key in mine)
    if isinstance(mine, list | tuple):
        return len(mine) == len(theirs) and all(map(same, mine, theirs))
    if is_dataclass(mine) and type(mine).__eq__ is object.__eq__:
        return all(same(getattr(mine, name), getattr(theirs, name)) for name in _compared(mine))
    return bool(mine == theirs)


def same_bits(mine: Tensor | None, theirs: Tensor | None) -> bool:
    """Whether dtype, shape and bits are the same, NaN being equal to NaN; None is the same as None."""
    if mine is None or theirs is None:
        return mine is theirs
    if mine.dtype != theirs.dtype or mine.shape != theirs.shape:
        return False
    if not mine.is_floating_point():
        return torch.equal(mine, theirs)
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[mine.element_size()]
    same = mine.contiguous().view(bits) == theirs.contiguous().view(bits)
    return bool((same | (mine.isnan() & theirs.isnan())).all())


def _same_float(mine: float, theirs: float) -> bool:
    if math.isnan(mine) or math.isnan(theirs):
        return math.isnan(mine) and math.isnan(theirs)
    return mine == theirs and math.copysign(1, mine) == math.copysign(1, theirs)


def _same_array(mine: np.ndarray, theirs: np.ndarray) -> bool:
    if mine.dtype != theirs.dtype or mine.shape != theirs.shape:
        return False
    if mine.dtype.kind == "f":
        same = (mine == theirs) & (np.signbit(mine) == np.signbit(theirs))
        return bool((same | (np.isnan(mine) & np.isnan(theirs))).all())
    return np.array_equal(mine, theirs)
