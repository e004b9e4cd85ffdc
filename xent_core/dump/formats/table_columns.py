"""The columns of a table as arrays: lists of numbers, or single columns side by side."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xent_core.column_rule import decide
from xent_core.columns import SHOWN, Column, Reading
from xent_core.dump.formats.arrays import Array, OpenFile, RawFile
from xent_core.dump.formats.checks import MAX_CLASSES, InvalidDump, asked, too_short
from xent_core.language import _, ngettext
from xent_core.tensor_headers import first_line

KEY_MARK = "key:"  # before the name of a column that is in `Reading.keys`


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

    def distinct(self, column: str) -> set[str]:
        """The different texts in a column. Raises: InvalidDump for more than there may be classes."""
        found: set[str] = set()
        _first, batches = self._open_at(0, [column])
        for batch in batches:
            found.update(str(_text(text)) for text in batch.column(column).unique().to_pylist() if text is not None)
            check_distinct(self._name, column, len(found))
        self.rest()
        return found

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

    def anew(self) -> Table:
        """The same table, of which no column has been asked for; a file has one reader, so this one rests."""
        self.rest()
        return Table(self.rows, self._open_at, self._name)


class TableArray(Array):
    """One list column, or several columns side by side, of a table."""

    is_sequential = True

    def __init__(
        self,
        table: Table,
        columns: list[str],
        name: str,
        shape: tuple[int, ...],
        dtype: str,
        *,
        are_files: bool = False,
    ) -> None:
        super().__init__(name, shape, dtype)
        self._table, self._columns, self._are_files = table, columns, are_files

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1."""
        window = self._table.window(start, stop, self._columns)
        if self.dtype == "text":
            return _texts(window.column(0), are_files=self._are_files)
        window = window.combine_chunks()
        columns = [self._flat(window.column(i), start) for i in range(window.num_columns)]
        if len(self.shape) == 1:
            return columns[0].astype(self.dtype, copy=True)
        rows = stop - start
        if len(columns) == 1 and is_list(window.schema.field(0).type):
            width = self.shape[1]
            lengths_agree = columns[0].size == rows * width
            if not lengths_agree:
                row, length = _odd_length(window.column(0), width)
                raise InvalidDump(
                    "list-lengths",
                    _("{name} has a list of {length} in row {row}").format(
                        name=self.name, length=length, row=start + row
                    ),
                    _("{width} numbers in every row, as in the first").format(width=width),
                    _("Write one logit for each class in every row."),
                )
            return columns[0].reshape(rows, width).astype(self.dtype, copy=True)
        return np.column_stack(columns).astype(self.dtype, copy=False)

    def at(self, rows: Sequence[int]) -> np.ndarray:
        """Single rows, in ascending order, in a pass over these columns alone."""
        again = TableArray(
            self._table.anew(), self._columns, self.name, self.shape, self.dtype, are_files=self._are_files
        )
        return Array.at(again, rows)

    def _flat(self, column: Any, start: int) -> np.ndarray:
        import pyarrow as pa
        import pyarrow.compute as pc

        if not self.is_floating and column.null_count:
            raise InvalidDump(
                "label-missing",
                ngettext(
                    "{name} has {count} empty cell, in row {row}",
                    "{name} has {count} empty cells, the first in row {row}",
                    column.null_count,
                ).format(
                    name=self.name,
                    count=column.null_count,
                    row=start + pc.index(pc.is_null(column), value=True).as_py(),
                ),
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
        if pa.types.is_decimal(array.type):
            array = pc.cast(array, pa.float64())
        return np.asarray(array.to_numpy(zero_copy_only=False))

    def as_rows(self, axes: int) -> Array:
        """A table has rows already."""
        return self


def _odd_length(lists: Any, width: int) -> tuple[int, int]:
    """The first row whose list has another length, and that length."""
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_pylist()
    return next((row, length) for row, length in enumerate(lengths) if length != width)


def _text(value: Any) -> Any:
    """Bytes as the text that they are in UTF-8; those that are none, such as pictures, as they are."""
    try:
        return value.decode("utf-8") if isinstance(value, bytes) else value
    except UnicodeDecodeError:
        return value


def _texts(column: Any, *, are_files: bool = False) -> np.ndarray:
    """The texts of a column; one that is packed once for many rows stays one object for all of them.

    Args: are_files: bytes are the contents of files, and no texts.
    """
    import pyarrow as pa

    found = np.empty(len(column), dtype=object)
    start = 0
    for chunk in column.chunks:
        if pa.types.is_dictionary(chunk.type) and len(chunk) < len(chunk.dictionary):
            texts = chunk.dictionary_decode().to_pylist()  # a few of many
        elif pa.types.is_dictionary(chunk.type):
            once = [*chunk.dictionary.to_pylist(), None]
            codes = chunk.indices.fill_null(len(once) - 1).to_numpy(zero_copy_only=False)
            texts = [once[code] for code in codes.tolist()]
        else:
            texts = chunk.to_pylist()
        found[start : start + len(texts)] = (
            texts if are_files or "binary" not in str(chunk.type) else list(map(_text, texts))
        )
        start += len(texts)
    return found


def columns_of(schema: Any) -> list[Column]:
    """The columns of a schema of Arrow, as `column_rule.decide` takes them."""
    return [Column(field.name, _kind(field.type)) for field in schema]


def _kind(kind: Any) -> str:
    from xent_core.dump.formats.parquet_process import is_text  # imports pyarrow

    if is_text(kind):
        return "text"
    if is_list(kind):
        return "list" if _arrow_dtype(kind.value_type) not in ("", "bool") else "other"
    dtype = _arrow_dtype(kind)
    if dtype == "bool":
        return "bool"
    return "other" if not dtype else "number" if dtype.startswith("float") else "integer"


def open_columns(
    raw: RawFile,
    table: Table,
    schema: Any,
    check: Callable[[Iterable[str]], None],
    labels_of: Callable[[str], Collection[str]],
    *,
    close: Callable[[], None],
    rest: Callable[[], None],
) -> OpenFile:
    """A table whose schema is known: each column by its name, or for logits the parts that the columns are.

    Args: check: is told which columns will be read, before they are.
    """
    columns = columns_of(schema)
    if raw.role != "logits":
        check([column.name for column in columns if column.kind != "other"])
        return open_singles(raw.name, table, schema, close=close, rest=rest)
    with asked():
        reading = decide(columns, raw.choices, labels_of, rows_seen=table.rows, file=raw.name)
    check([column.name for column in columns if column.name in reading.keys or column.name not in reading.unused])
    if not reading.class_names and len(reading.target) == 1:
        reading = replace(reading, class_names=_names_of_datasets(schema, reading.target[0]))
    return open_reading(raw.name, table, schema, reading, close=close, rest=rest)


def _names_of_datasets(schema: Any, column: str) -> tuple[str, ...]:
    """The names of the classes that the library datasets writes beside a column of labels; none where it did not."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return tuple(map(str, features[column]["names"]))[:MAX_CLASSES]
    except (KeyError, TypeError, ValueError, RecursionError):
        return ()


def open_reading(
    name: str,
    table: Table,
    schema: Any,
    reading: Reading,
    *,
    close: Callable[[], None],
    rest: Callable[[], None] = lambda: None,
) -> OpenFile:
    """The parts of a table of logits under the names of their roles: lists, or columns side by side."""
    arrays: dict[str, Array] = {}
    named = {"target": reading.target, "ids": reading.ids, "text": reading.text, "image": reading.image}
    named |= {f"{SHOWN}{column}": column for column in reading.shown}
    named |= {"sample_weight": reading.sample_weight, "features": reading.features, "logits": reading.classes}
    named |= {KEY_MARK + column: column for column in reading.keys}
    for role, column in named.items():
        columns = [column] if isinstance(column, str) else list(column or ())
        label = name if role.startswith(KEY_MARK) else f"{name}: {role}"
        if columns and (array := _array(label, table, schema, columns, role)) is not None:
            arrays[role] = array
    return OpenFile(name, arrays, close=close, rest=rest, reading=reading)


def open_singles(
    name: str,
    table: Table,
    schema: Any,
    *,
    close: Callable[[], None],
    rest: Callable[[], None] = lambda: None,
    notes: tuple[str, ...] = (),
) -> OpenFile:
    """Each column of a table that was not given for its logits, by its name."""
    arrays = {
        field.name: array
        for field in schema
        if _kind(field.type) != "other"
        and (array := _array(f"{name}: {field.name}", table, schema, [field.name], "")) is not None
    }
    return OpenFile(name, arrays, close=close, rest=rest, notes=notes)


def _array(label: str, table: Table, schema: Any, columns: list[str], role: str) -> Array | None:
    """Some columns as one array; None for lists of which there is not one."""
    types = [schema.field(column).type for column in columns]
    if is_list(types[0]):
        first = table.first_row(columns).column(0)[0].as_py() if table.rows else None
        dtype = _arrow_dtype(types[0].value_type)
        return TableArray(table, columns, label, (table.rows, len(first)), dtype) if first else None
    if len(columns) == 1 and role != "logits":
        dtype = _arrow_dtype(types[0]) or "text"
        shown = "uint8" if dtype == "bool" and role not in ("", "target") else dtype  # 0 and 1
        return TableArray(table, columns, label, (table.rows,), shown, are_files=role == "image")
    kinds = {_arrow_dtype(kind) for kind in types}
    dtype = kinds.pop() if len(kinds) == 1 else "float64"
    return TableArray(table, columns, label, (table.rows, len(columns)), dtype if "float" in dtype else "float64")


def check_distinct(name: str, column: str, count: int) -> None:
    """Raises: InvalidDump for more different labels than there may be classes."""
    if count > MAX_CLASSES:
        raise InvalidDump(
            "labels-differ",
            _("column {column} of {name} holds more than {count} different labels").format(
                column=column, name=name, count=MAX_CLASSES
            ),
            _("the names of classes"),
            _("Say which column holds the labels: --target."),
        )


def is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _arrow_dtype(kind: Any) -> str:
    """PyTorch's name of a column's type; "" for what is no number."""
    import pyarrow as pa

    names = {pa.float64(): "float64", pa.float32(): "float32", pa.float16(): "float16", pa.bool_(): "bool"}
    if pa.types.is_decimal(kind):
        return "float64"
    return names.get(kind) or (str(kind) if pa.types.is_integer(kind) else "")
