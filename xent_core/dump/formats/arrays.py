"""Arrays of which a window of rows is read at a time: in memory, in an open file, or in several files."""

from __future__ import annotations

import math
import zipfile
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from xent_core.columns import ColumnChoices, Reading
from xent_core.dump.formats.checks import DumpLimits, InvalidDump, dtype_name, shards_differ
from xent_core.language import _


class Array:
    """Rows that are read a window at a time.

    Attributes:
      name: where it comes from, for messages.
      shape: the whole shape; the first axis counts the rows.
      dtype: PyTorch's name, such as "float32", "bfloat16" or "int64"; "text" for strings.
      is_sequential: whether a row that lies behind the last is read from a start again.
    """

    is_sequential = False

    def __init__(self, name: str, shape: tuple[int, ...], dtype: str) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def is_floating(self) -> bool:
        """Whether the numbers are fractions, not integers, truth values or text."""
        return self.dtype in ("float64", "float32", "float16", "bfloat16")

    @property
    def is_integer(self) -> bool:
        """Whether the numbers are integers."""
        return self.dtype.startswith(("int", "uint"))

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1, a copy; bfloat16 as its bits in int16."""
        raise NotImplementedError

    def at(self, rows: Sequence[int]) -> np.ndarray:
        """Single rows, in ascending order."""
        return np.concatenate([self.values(0, 0), *(self.values(row, row + 1) for row in rows)])

    def tensor(self, start: int, stop: int) -> Tensor:
        """Rows start … stop − 1 as a tensor of its own."""
        values = self.values(start, stop)
        if self.dtype == "bfloat16":
            return torch.from_numpy(values).view(torch.bfloat16)
        if self.dtype.startswith("uint") and self.dtype != "uint8":
            values = values.astype(np.int64)  # PyTorch computes little with wide unsigned integers
        return torch.from_numpy(values)

    def as_rows(self, axes: int) -> Array:
        """The same numbers with all axes but the last `axes` counted as rows: (B, T, V) → (B·T, V) for 1."""
        raise NotImplementedError


class MemoryArray(Array):
    """An array that is in memory already."""

    def __init__(self, name: str, values: np.ndarray, dtype: str | None = None) -> None:
        super().__init__(name, values.shape, dtype or dtype_name(values.dtype, name))
        self._values = values

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1, a copy."""
        return _decoded(np.array(self._values[start:stop], dtype=self._values.dtype.newbyteorder("="), order="C"))

    def as_rows(self, axes: int) -> Array:
        """The same numbers with all axes but the last `axes` counted as rows."""
        shape = _rows_shape(self.shape, axes)
        return self if shape == self.shape else MemoryArray(self.name, self._values.reshape(shape), self.dtype)


class RawArray(Array):
    """Numbers that lie one after another in an open file, from `offset` on; `transposed` if columns come first."""

    def __init__(
        self,
        name: str,
        file: IO[bytes],
        offset: int,
        shape: tuple[int, ...],
        stored: np.dtype[Any],
        dtype: str | None = None,
        *,
        transposed: bool = False,
        is_packed: bool = False,
    ) -> None:
        super().__init__(name, shape, dtype or dtype_name(stored, name))
        self.is_sequential = is_packed
        self._file, self._offset, self._stored, self._transposed = file, offset, stored, transposed

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1, read now: no page of the file stays in this process."""
        rows, width = stop - start, math.prod(self.shape[1:])
        if self._transposed:
            columns = np.empty((width, rows), self._stored)
            for column in range(width):
                self._read_into(columns[column], column * len(self) + start)
            values = np.ascontiguousarray(columns.T).reshape(rows, *self.shape[1:])
        else:
            values = np.empty((rows, *self.shape[1:]), self._stored)
            self._read_into(values, start * width)
        if self.dtype == "bool":
            return np.not_equal(values.view(np.uint8), 0)  # a file may hold other bytes than 0 and 1
        return _decoded(values.astype(self._stored.newbyteorder("="), copy=False))

    def _read_into(self, values: np.ndarray, first: int) -> None:
        buffer = values.reshape(-1).view(np.uint8).data
        try:
            self._file.seek(self._offset + first * self._stored.itemsize)
            while buffer:
                count = self._file.readinto(buffer)  # type: ignore[attr-defined]  # every binary file has it
                if not count:
                    raise EOFError
                buffer = buffer[count:]
        except (EOFError, OSError, ValueError, zipfile.BadZipFile) as error:
            raise InvalidDump(
                "file-truncated",
                _("{name} ends or breaks before its last number").format(name=self.name),
                _("the whole file"),
                _("Write or copy it again."),
            ) from error

    def as_rows(self, axes: int) -> Array:
        """The same numbers with all axes but the last `axes` counted as rows."""
        shape = _rows_shape(self.shape, axes)
        if shape == self.shape:
            return self
        return RawArray(
            self.name, self._file, self._offset, shape, self._stored, self.dtype, is_packed=self.is_sequential
        )


class Shards(Array):
    """Arrays of one width, one below the other."""

    def __init__(self, parts: list[Array]) -> None:
        first = parts[0]
        kinds = [(part.shape[1:], part.dtype) for part in parts]
        if len(set(kinds)) > 1:
            words = _("shape ({shape}) and dtype {dtype}")
            holding = [words.format(shape=", ".join(["…", *map(str, shape)]), dtype=dtype) for shape, dtype in kinds]
            raise shards_differ([part.name for part in parts], kinds, holding)
        self.starts = [0, *np.cumsum([len(part) for part in parts]).tolist()]
        super().__init__(first.name, (self.starts[-1], *first.shape[1:]), first.dtype)
        self._parts = parts
        self.is_sequential = any(part.is_sequential for part in parts)

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1, out of as many shards as they lie in."""
        pieces = [
            part.values(max(start - first, 0), min(stop - first, len(part)))
            for part, first in zip(self._parts, self.starts, strict=False)
            if first < stop and first + len(part) > start
        ]
        if not pieces:
            return self._parts[0].values(0, 0)
        return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)

    def at(self, rows: Sequence[int]) -> np.ndarray:
        """Single rows, in ascending order, of each shard those that lie in it."""
        pieces = [
            part.at([row - first for row in rows if first <= row < first + len(part)])
            for part, first in zip(self._parts, self.starts, strict=False)
        ]
        return np.concatenate(pieces)

    def as_rows(self, axes: int) -> Array:
        """Each shard with all axes but the last `axes` counted as rows."""
        return Shards([part.as_rows(axes) for part in self._parts])


class RawFile(NamedTuple):
    """An open file before its kind is known.

    Attributes:
      path: its path or address, if it has one.
      limits: where it is a stranger's, and this process may be ended by what it reads; else None.
      choices: what the user says of its columns.
      role: for what it was given, "logits", "target", …
    """

    name: str
    file: IO[bytes]
    size_bytes: int
    path: str | None
    limits: DumpLimits | None = None
    choices: ColumnChoices = ColumnChoices()
    role: str = "logits"


class OpenFile:
    """An opened file: its arrays by name, and how to close it.

    Attributes:
      name: for messages.
      arrays: by name; a .npy file's only array is named "".
      rest: lets go of what only reading needs, until the next reading.
      reading: what was made of the columns, where it is a table of logits; its arrays then have the names of roles.
      notes: what should be said of how another table was read.
      options: of the loss, as keywords, where the file says any: Export writes them beside the logits.
    """

    def __init__(
        self,
        name: str,
        arrays: dict[str, Array],
        *,
        close: Callable[[], None],
        rest: Callable[[], None] = lambda: None,
        reading: Reading | None = None,
        notes: tuple[str, ...] = (),
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.name, self.arrays, self.close, self.rest = name, arrays, close, rest
        self.reading, self.notes, self.options = reading, notes, options or {}


def _decoded(values: np.ndarray) -> np.ndarray:
    """Bytes as the texts that they are in UTF-8; all else as it is."""
    return np.char.decode(values, "utf-8", "replace") if values.dtype.kind == "S" else values


def _rows_shape(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    split = len(shape) - axes
    return (math.prod(shape[:split]), *shape[split:])
