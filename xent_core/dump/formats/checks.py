"""InvalidDump, and the checks that files of several kinds share: dtype, shape, size against the header."""

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from collections.abc import Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from xent_core.columns import UnclearColumns
from xent_core.errors import InvalidInput
from xent_core.language import _

MAX_CLASSES = 2_000_000
MAX_MEMBERS = 1_000
MAX_HEADER_BYTES = 16 * 2**20
MAX_TABLE_COLUMNS = 4_096  # each costs pyarrow 12 kB or more, however little is in it
MAX_TABLE_HEADER_BYTES = 2**20  # the first line of a CSV file, the footer of a Parquet file, a safetensors header
# numbers of a real model compress two- or threefold; a hundredfold is zeros, or a trap
MAX_RATIO = 100
RATIO_FREE_BYTES = 64 * 2**20


class InvalidDump(InvalidInput):
    """A dump that cannot be read as logits and labels.

    Attributes:
      code: a short name of the mistake, such as "file-truncated"; those of InvalidProblem keep theirs.
      answers: what could be said where more than one reading is possible: options of `open_dump` and their values.
    """

    def __init__(self, code: str, came: str, expected: str, fix: str, answers: Sequence[dict[str, str]] = ()) -> None:
        super().__init__(came, expected, fix)
        self.code, self.answers = code, tuple(answers)


def shards_differ(names: Sequence[str], kinds: Sequence[Hashable], holding: Sequence[str]) -> InvalidDump:
    """The complaint about files that are no parts of one dump; of two kinds equally frequent the first is right.

    Args:
      kinds: equal for those that go together.
      holding: what each of them holds, in words.
    """
    usual = Counter(kinds).most_common(1)[0][0]
    first, odd = kinds.index(usual), next(place for place, kind in enumerate(kinds) if kind != usual)
    return InvalidDump(
        "shards-differ",
        _("{name} has {odd}").format(name=names[odd], odd=holding[odd]),
        _("the same as {first} has: {usual}").format(first=names[first], usual=holding[first]),
        _("Files given together are parts of one dump: leave out what is of another, or write all by the same code."),
    )


@contextmanager
def asked() -> Iterator[None]:
    """Columns that are unclear are a dump that cannot be read yet."""
    try:
        yield
    except UnclearColumns as error:
        raise InvalidDump("which-columns", error.came, error.expected, error.fix, error.answers) from error


@dataclass(frozen=True)
class DumpLimits:
    """How large a dump may be; None for any.

    Where there are limits, a table has at most MAX_TABLE_COLUMNS columns and MAX_TABLE_HEADER_BYTES of header.
    """

    rows: int | None = None
    logits: int | None = None
    classes: int | None = None

    def check(self, rows: int, classes: int = 1) -> None:
        """Raises: InvalidDump for one that is larger."""
        if self.classes is not None and classes > self.classes:
            expected = _("at most {limit} classes here").format(limit=self.classes)
        elif self.rows is not None and rows > self.rows:
            expected = _("at most {limit} rows here").format(limit=self.rows)
        elif self.logits is not None and rows * classes > self.logits:
            expected = _("at most {limit} logits here").format(limit=self.logits)
        else:
            return
        raise InvalidDump(
            "dump-large",
            _("{rows} rows of {classes} classes came").format(rows=rows, classes=classes),
            expected,
            _("The same program on your own computer has no limit: python -m xent_core analyse."),
        )


def check_columns(name: str, columns: int) -> None:
    """Raises: InvalidDump for a table with more columns than are read where there are limits."""
    if columns > MAX_TABLE_COLUMNS:
        raise InvalidDump(
            "table-wide",
            _("{name} has {count} columns").format(name=name, count=columns),
            _("at most {limit} in a table").format(limit=MAX_TABLE_COLUMNS),
            _("Save so many classes as .npy or .safetensors."),
        )


def need_pyarrow(what: str) -> None:
    """Raises: InvalidDump if the package that knows tables is not installed; `what` needs it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InvalidDump(
            "no-pyarrow",
            _("{name} is a table").format(name=what),
            _("the package pyarrow, which knows them"),
            "pip install pyarrow",
        )


def dtype_name(stored: np.dtype[Any], name: str) -> str:
    check_dtype(name, stored)
    return "text" if stored.kind in "US" else stored.newbyteorder("=").name


def check_dtype(name: str, stored: np.dtype[Any]) -> None:
    if stored.kind not in "bfiuUS" or stored.itemsize > (4096 if stored.kind in "US" else 8) or not stored.itemsize:
        raise InvalidDump(
            "dtype",
            _("{name} has dtype {dtype}").format(name=name, dtype=str(stored)[:80]),
            _("numbers: float64, float32, float16, or integers for labels"),
            _("Convert it before it is saved: logits.astype(np.float32), target.astype(np.int64)."),
        )


def check_shape(name: str, shape: tuple[Any, ...]) -> None:
    if not 1 <= len(shape) <= 4 or not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidDump(
            "shape",
            _("{name} has shape {shape}").format(name=name, shape=str(shape)[:80]),
            _("logits (N, C) or (B, T, V), labels (N,) or (B, T), pictures (N, H, W) or (N, H, W, 3)"),
            _(
                "Bring the classes to the last axis and flatten the rest before it is saved; where they are on axis 1, "
                "as PyTorch has them: np.moveaxis(logits, 1, -1).reshape(-1, logits.shape[1])."
            ),
        )


def check_bytes(name: str, shape: tuple[int, ...], item_bytes: int, size_bytes: int) -> None:
    if math.prod(shape) * item_bytes != size_bytes:
        raise InvalidDump(
            "header-lies",
            _("{name} says that its shape is {shape}, which takes {needed} bytes, and has {size}").format(
                name=name, shape=shape, needed=math.prod(shape) * item_bytes, size=max(size_bytes, 0)
            ),
            _("as many bytes as the header says"),
            _("The file was cut off, or its header is wrong: write or copy it again."),
        )


def check_ratio(name: str, unpacked_bytes: int, packed_bytes: int) -> None:
    if unpacked_bytes > max(MAX_RATIO * packed_bytes, RATIO_FREE_BYTES):
        raise InvalidDump(
            "bomb",
            _("{name} would grow from {packed} to {unpacked} bytes").format(
                name=name, packed=packed_bytes, unpacked=unpacked_bytes
            ),
            _("at most {ratio} times its size, as the logits of a model do").format(ratio=MAX_RATIO),
            _("If the numbers are real, save them unpacked: np.save or np.savez."),
        )


def too_short(name: str, needed: int, came: int) -> InvalidDump:
    return InvalidDump(
        "header-lies",
        _("{name} ends at {came} where its header promises {needed}").format(name=name, came=came, needed=needed),
        _("as much as the header says"),
        _("The file was cut off, or its header is wrong: write or copy it again."),
    )
