"""What others hold numbers in: the types that are taken in place of a tensor, and how each becomes one."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

MAX_AXES = 64  # of a tensor
Reduction = Literal["none", "mean", "sum"]
StrPath = str | os.PathLike[str]


class HasArray(Protocol):
    """An array of NumPy, JAX or TensorFlow, a DataFrame or a Series."""

    def __array__(self) -> np.ndarray[Any, Any]: ...


class HasDlpack(Protocol):
    """An array on any device that DLPack hands on, such as CuPy's."""

    def __dlpack__(self) -> object: ...

    def __dlpack_device__(self) -> tuple[Any, Any]: ...


ArrayLike = HasArray | HasDlpack | float | Sequence["ArrayLike"]
"""A tensor, an array of any library, a number, or nested lists of numbers or of arrays."""
DumpLike = ArrayLike | StrPath | Sequence[StrPath] | IO[bytes] | Sequence[IO[bytes]]
"""The same, or where it lies: a path, a pattern, an address, an open file, or a list of them."""


def is_numbers(data: object) -> bool:
    """Whether these are numbers without a dtype: one, or lists of them."""
    for _axis in range(MAX_AXES):  # a list may hold itself
        if not isinstance(data, list | tuple) or not data:
            break
        data = data[0]
    return isinstance(data, list | tuple | int | float) and not isinstance(data, np.generic)


def to_tensor(data: Any) -> Tensor:
    """A copy on the CPU of what is not made of Python's numbers. Raises: TypeError, ValueError, or what `data` does."""
    if isinstance(data, Tensor):
        if data.is_nested:
            raise TypeError("a nested tensor has no single shape")
        return data.detach().to("cpu", copy=True)
    if isinstance(data, list | tuple):
        return torch.stack([to_tensor(part) for part in data])
    try:
        array = np.array(data, order="C")
    except TypeError:  # CuPy refuses to go to the CPU by itself
        if not hasattr(data, "__dlpack__"):
            raise
        return from_dlpack(data).to("cpu", copy=True)
    if array.dtype.kind == "O" and hasattr(data, "__dlpack__") and not isinstance(data, np.ndarray):
        return from_dlpack(data).to("cpu", copy=True)
    return of_numpy(array)


def of_numpy(array: np.ndarray[Any, Any]) -> Tensor:
    """A tensor of the same numbers; bfloat16 of ml_dtypes, other byte orders and objects that are numbers included."""
    if array.dtype.kind == "O":
        array = _of_objects(array)
    if array.dtype.name == "bfloat16":
        return torch.from_numpy(array.view(np.int16).copy()).view(torch.bfloat16)
    return torch.tensor(array.astype(array.dtype.newbyteorder("="), copy=False), device="cpu")


def _of_objects(array: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Columns of different dtypes come out of a DataFrame as objects."""
    kinds = {type(value) for value in array.reshape(-1)}
    if kinds and all(issubclass(kind, int | np.integer) and kind is not bool for kind in kinds):
        return array.astype(np.int64)
    if kinds and all(issubclass(kind, int | float | np.number) and kind is not bool for kind in kinds):
        return array.astype(np.float64)
    raise TypeError("can't convert an array of objects that are not numbers")


def library_of(data: object) -> str:
    """Who made it: "torch", "numpy", "pandas", "jax", "tensorflow", "list", or "other"."""
    if isinstance(data, Tensor):
        return "torch"
    if isinstance(data, list | tuple | int | float):
        return "list"
    name = type(data).__module__.split(".")[0]
    return {"numpy": "numpy", "pandas": "pandas", "jaxlib": "jax", "jax": "jax", "tensorflow": "tensorflow"}.get(
        name, "other"
    )
