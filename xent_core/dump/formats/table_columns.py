"""The columns of a Parquet or CSV file as arrays: lists as they are named, other numbers side by side as logits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from xent_core.dump.formats.arrays import Array, OpenFile
from xent_core.dump.formats.checks import InvalidDump, too_short
from xent_core.language import _
from xent_core.tensor_headers import first_line

# the names under which the parts of a dump are looked for, the first of them ours
ROLES = {
    "logits": ("logits", "logit", "outputs", "output", "scores", "preds", "predictions"),
    "target": ("target", "targets", "label", "labels", "y", "y_true"),
    "features": ("features", "feature", "embeddings", "hidden", "h"),
    "sample_weight": ("sample_weight", "sample_weights"),
    "ids": ("id", "ids", "example_id", "example_ids", "name"),
    "class_names": ("class_names", "classes", "names"),
}


class Table:
    """Record batches read forwards, and from a start again for a window that lies behind."""

    def __init__(self, rows: int, open_at: Callable[[int, list[str]], tuple[int, Iterator[Any]]], name: str) -> None:
        self.rows, self._open_at, self._name = rows, open_at, name
        self._columns: list[str] = []  # that have been asked for; the others are not read
        self._batches: Iterator[Any] | None = None
        self._first = 0
        self._held: Any = None  # the rows from _first on that have been read and may be asked for

    def first_row(self, columns: list[str]) -> Any:
        """Of these columns, as a pyarrow.Table; whoever asks for other columns later reads these no more."""
        row = self.window(0, 1, columns)
        self._columns = []
        return row

    def rest(self) -> None:
        """The next window is read from a start again."""
        self._batches = self._held = None

    def window(self, start: int, stop: int, columns: list[str]) -> Any:
        """Rows start … stop − 1 of these columns as a pyarrow.Table."""
        import pyarrow as pa

        others = set(columns).difference(self._columns)
        if others:
            self._columns += [column for column in columns if column in others]
            self.rest()
        try:
            if self._batches is None or start < self._first or self._held is None:
                self._first, self._batches = self._open_at(start, self._columns)
                self._held = pa.Table.from_batches([next(self._batches)])
            while self._first + self._held.num_rows < stop:
                behind = max(min(start - self._first, self._held.num_rows), 0)
                kept = self._held.slice(behind)
                self._first += behind
                self._held = pa.concat_tables([kept, pa.Table.from_batches([next(self._batches)])])
        except MemoryError:  # pyarrow's is an ArrowException too
            raise
        except StopIteration as error:
            raise too_short(self._name, stop, self._first) from error
        except pa.ArrowException as error:
            raise InvalidDump(
                "table-broken",
                _("{name} cannot be read ({reason})").format(name=self._name, reason=first_line(error)),
                _("numbers in every column of logits, and integers as labels"),
                _("Look at the row that is named, or write the file again."),
            ) from error
        return self._held.slice(start - self._first, stop - start).select(columns)


class TableArray(Array):
    """One list column, or several columns side by side, of a table."""

    def __init__(self, table: Table, columns: list[str], name: str, shape: tuple[int, ...], dtype: str) -> None:
        super().__init__(name, shape, dtype)
        self._table, self._columns = table, columns

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1."""
        window = self._table.window(start, stop, self._columns)
        if self.dtype == "text":
            return _texts(window.column(0))
        window = window.combine_chunks()
        columns = [self._flat(window.column(i)) for i in range(window.num_columns)]
        if len(self.shape) == 1:
            return columns[0].astype(self.dtype, copy=True)
        rows = stop - start
        if len(columns) == 1:
            width = self.shape[1]
            lengths_agree = columns[0].size == rows * width
            if not lengths_agree:
                raise InvalidDump(
                    "list-lengths",
                    _("{name} has lists of other lengths in rows {start} to {stop}").format(
                        name=self.name, start=start, stop=stop - 1
                    ),
                    _("{width} numbers in every row, as in the first").format(width=width),
                    _("Write one logit for each class in every row."),
                )
            return columns[0].reshape(rows, width).astype(self.dtype, copy=True)
        return np.column_stack(columns).astype(self.dtype, copy=False)

    def _flat(self, column: Any) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.is_floating and column.null_count:
            raise InvalidDump(
                "label-missing",
                _("{name} has {count} empty cells").format(name=self.name, count=column.null_count),
                _("an integer in every row"),
                _("Write −100 (ignore_index) where a row has no label."),
            )
        array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(array, pa.ChunkedArray):
            array = pa.concat_arrays(array.chunks)
        if is_list(array.type):
            lengths = set(pc.list_value_length(array).to_pylist()) if len(array) else set()
            if lengths - {self.shape[1]}:
                return np.empty(0)  # told apart by the caller, who knows the rows
            array = array.flatten()
        return np.asarray(array.to_numpy(zero_copy_only=False))

    def as_rows(self, axes: int) -> Array:
        """A table has rows already."""
        return self


def _texts(column: Any) -> np.ndarray:
    """The texts of a column; one that is packed once for many rows stays one object for all of them."""
    import pyarrow as pa

    found = np.empty(len(column), dtype=object)
    start = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type):
            once = [*chunk.dictionary.to_pylist(), None]
            codes = chunk.indices.fill_null(len(once) - 1).to_numpy(zero_copy_only=False)
            texts = [once[code] for code in codes.tolist()]
        else:
            texts = chunk.to_pylist()
        found[start : start + len(texts)] = texts
        start += len(texts)
    return found


_NAMED = {alias: role for role, aliases in ROLES.items() for alias in aliases}


def used_columns(schema: Any) -> list[str]:
    """The columns that may be a part of a dump; no other is read."""
    return [field.name for field in schema if _use_of(field)]


def _use_of(field: Any) -> str:
    """What a column can be: "list", "text", "single" for a number of a role, "logit" for any other; else ""."""
    from xent_core.dump.formats.parquet_process import is_text  # imports pyarrow

    role = _NAMED.get(field.name.lower())
    if is_list(field.type):
        return "list" if _arrow_dtype(field.type.value_type) else ""
    if is_text(field.type):
        return "text"
    if not _arrow_dtype(field.type):
        return ""
    if role in ("target", "sample_weight", "ids"):
        return "single"
    return "" if field.name.startswith("__") else "logit"


def open_table(
    name: str, table: Table, schema: Any, *, close: Callable[[], None], rest: Callable[[], None] = lambda: None
) -> OpenFile:
    """The parts of a table: lists as they are named, and the other columns of numbers side by side as logits."""
    arrays: dict[str, Array] = {}
    dtypes: dict[str, str] = {}  # of the columns that are logits, one class each
    lists = [field.name for field in schema if _use_of(field) == "list"]
    first_row = table.first_row(lists) if lists and table.rows else None
    for field in schema:
        column, label = field.name, f"{name}: {field.name}"
        match _use_of(field):
            case "list" if first_row is not None:
                if first := first_row.column(column)[0].as_py():
                    dtype = _arrow_dtype(field.type.value_type)
                    arrays[column] = TableArray(table, [column], label, (table.rows, len(first)), dtype)
            case "text":
                arrays[column] = TableArray(table, [column], label, (table.rows,), "text")
            case "single":
                arrays[column] = TableArray(table, [column], label, (table.rows,), _arrow_dtype(field.type))
            case "logit":
                dtypes[column] = _arrow_dtype(field.type)
    class_names: tuple[str, ...] = ()
    if dtypes and not any(_NAMED.get(key.lower()) == "logits" for key in arrays):
        columns, kinds = list(dtypes), set(dtypes.values())
        dtype = kinds.pop() if len(kinds) == 1 else "float64"
        dtype = dtype if dtype.startswith("float") else "float64"
        arrays["logits"] = TableArray(table, columns, f"{name}: logits", (table.rows, len(columns)), dtype)
        if not all(column.removeprefix("logit_").isdigit() for column in columns):
            class_names = tuple(columns)
    return OpenFile(name, arrays, close=close, rest=rest, class_names=class_names)


def is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _arrow_dtype(kind: Any) -> str:
    """PyTorch's name of a column's type; "" for what is no number."""
    import pyarrow as pa

    names = {pa.float64(): "float64", pa.float32(): "float32", pa.float16(): "float16"}
    return names.get(kind) or (str(kind) if pa.types.is_integer(kind) else "")
