"""Files of arrays, opened without trust: .npy, .npz, .safetensors, .parquet and .csv, read a window of rows at a time.

Everything that a header says is checked against the file before a number is read.
"""

from __future__ import annotations

import csv
import importlib.util
import io
import json
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from xent_core.errors import InvalidInput
from xent_core.language import _

FORMATS = (".npy", ".npz", ".safetensors", ".parquet", ".csv")
MAX_CLASSES = 2_000_000
MAX_MEMBERS = 1_000
MAX_HEADER_BYTES = 16 * 2**20
# numbers of a real model compress two- or threefold; a hundredfold is zeros, or a trap
MAX_RATIO = 100
RATIO_FREE_BYTES = 64 * 2**20

_SAFETENSORS_DTYPES = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<i2",  # NumPy has no bfloat16: its bits, until PyTorch reads them
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "|i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "|u1",
}


class InvalidDump(InvalidInput):
    """A dump that cannot be read as logits and labels.

    Attributes:
      code: a short name of the mistake, such as "file-truncated"; those of InvalidProblem keep theirs.
    """

    def __init__(self, code: str, came: str, expected: str, fix: str) -> None:
        super().__init__(came, expected, fix)
        self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        return InvalidDump, (self.code, self.came, self.expected, self.fix)  # it travels between processes


def need_pyarrow(what: str) -> None:
    """Raises: InvalidDump if the package that knows tables is not installed; `what` needs it."""
    if importlib.util.find_spec("pyarrow") is None:
        raise InvalidDump(
            "no-pyarrow",
            _("{name} is a table").format(name=what),
            _("the package pyarrow, which knows them"),
            "pip install pyarrow",
        )


class Array:
    """Rows that are read a window at a time.

    Attributes:
      name: where it comes from, for messages.
      shape: the whole shape; the first axis counts the rows.
      dtype: PyTorch's name, such as "float32", "bfloat16" or "int64"; "text" for strings.
    """

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
        super().__init__(name, values.shape, dtype or _dtype_name(values.dtype, name))
        self._values = values

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1, a copy."""
        return np.array(self._values[start:stop], dtype=self._values.dtype.newbyteorder("="), order="C")

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
    ) -> None:
        super().__init__(name, shape, dtype or _dtype_name(stored, name))
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
        return values.astype(self._stored.newbyteorder("="), copy=False)

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
        return RawArray(self.name, self._file, self._offset, shape, self._stored, self.dtype)


class Shards(Array):
    """Arrays of one width, one below the other."""

    def __init__(self, parts: list[Array]) -> None:
        first = parts[0]
        for part in parts[1:]:
            if part.shape[1:] != first.shape[1:] or part.dtype != first.dtype:
                raise InvalidDump(
                    "shards-differ",
                    _("{name} has shape {shape} and dtype {dtype}").format(
                        name=part.name, shape=part.shape, dtype=part.dtype
                    ),
                    _("what the first shard has: (…, {width}) of {dtype}").format(
                        width=", ".join(map(str, first.shape[1:])), dtype=first.dtype
                    ),
                    _("Write all shards by the same code."),
                )
        self.starts = [0, *np.cumsum([len(part) for part in parts]).tolist()]
        super().__init__(first.name, (self.starts[-1], *first.shape[1:]), first.dtype)
        self._parts = parts

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

    def as_rows(self, axes: int) -> Array:
        """Each shard with all axes but the last `axes` counted as rows."""
        return Shards([part.as_rows(axes) for part in self._parts])


class OpenFile:
    """One opened source: its arrays by name, and how to close it.

    Attributes:
      name: for messages.
      arrays: by name; a .npy file's only array is named "".
      rest: lets go of what only reading needs, until the next reading.
      class_names: the header of the columns of logits, where a table has one.
    """

    def __init__(
        self,
        name: str,
        arrays: dict[str, Array],
        *,
        close: Callable[[], None],
        rest: Callable[[], None] = lambda: None,
        class_names: tuple[str, ...] = (),
    ) -> None:
        self.name, self.arrays, self.close, self.rest, self.class_names = name, arrays, close, rest, class_names


def open_file(source: Any) -> OpenFile:
    """Opens a path, an address such as s3://…, or an object with `read` and `seek` such as an upload.

    The kind of file is told by its first bytes, not by its name.

    Raises: InvalidDump for whatever is not a dump, naming the file.
    """
    name, file = _open(source)
    try:
        opened = _recognised(name, file, source)
    except BaseException:
        file.close()
        raise
    if not opened.arrays:
        file.close()
        raise InvalidDump(
            "file-empty",
            _("{name} holds no array").format(name=name),
            _("logits, labels, or both"),
            _('Save them by name: np.savez("dump.npz", logits=logits, target=target).'),
        )
    return opened


def _open(source: Any) -> tuple[str, IO[bytes]]:
    if not isinstance(source, str | os.PathLike):
        name = Path(str(getattr(source, "name", _("the upload")))).name
        # a view of its own: closing it leaves the upload open for the next run
        data = source.getbuffer() if hasattr(source, "getbuffer") else source.read()
        return name, io.BytesIO(data)
    address = os.fspath(source)
    try:
        if "://" in address:
            return address.rsplit("/", 1)[-1], _open_remote(address)
        path = Path(address)
        if path.exists() and not path.is_file():
            raise IsADirectoryError(_("it is not a file"))
        return path.name, path.open("rb")
    except InvalidDump:
        raise
    except Exception as error:  # every file system has errors of its own
        raise InvalidDump(
            "file-unreadable",
            _("{name} cannot be opened ({reason})").format(name=address, reason=_first_line(error)),
            _("a file that this program may read"),
            _("Check the path and its permissions."),
        ) from error


def _open_remote(address: str) -> IO[bytes]:
    try:
        import fsspec
    except ImportError as error:
        raise InvalidDump(
            "no-fsspec",
            _("{name} is a remote address").format(name=address),
            _("the package fsspec, which reads such addresses"),
            "pip install fsspec",
        ) from error
    file: IO[bytes] = fsspec.open(address, "rb").open()
    return file


def _recognised(name: str, file: IO[bytes], source: Any) -> OpenFile:
    start = file.read(16)
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    suffix = Path(name).suffix.lower()
    if start.startswith(b"\x93NUMPY"):
        return OpenFile(name, {"": npy_array(name, file, size_bytes)}, close=file.close)
    if start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _open_npz(name, file)
    if start.startswith(b"PAR1"):
        return _open_parquet(name, file, size_bytes, source)
    if start.startswith((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")) or suffix in (".pt", ".pth", ".pkl"):
        raise _is_pickle(name)
    if suffix == ".safetensors" or (start[8:9] == b"{" and suffix != ".csv"):
        return _open_safetensors(name, file, size_bytes)
    if suffix in (".csv", ".tsv", ".txt"):
        return _open_csv(name, file, size_bytes)
    raise InvalidDump(
        "file-unknown",
        _("{name} starts with {start} and has {size} bytes").format(name=name, start=start[:8], size=size_bytes),
        _("one of {formats}").format(formats=", ".join(FORMATS)),
        _('Save the arrays with NumPy: np.savez("dump.npz", logits=logits, target=target).'),
    )


def _is_pickle(name: str) -> InvalidDump:
    return InvalidDump(
        "file-pickle",
        _("{name} is a file of torch.save or pickle, which may run any code when it is loaded").format(name=name),
        _("numbers only, as in {formats}").format(formats=", ".join(FORMATS)),
        _("Convert it where you trust it:")
        + f'\ndump = torch.load("{name}", weights_only=True)'
        + '\nnp.savez("dump.npz", logits=dump["logits"].float().numpy(), target=dump["target"].numpy())',
    )


def npy_array(name: str, file: IO[bytes], size_bytes: int) -> RawArray:
    """The array of an open .npy file of this many bytes, after its header has been checked against them."""
    try:
        version = np.lib.format.read_magic(file)
        read_header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }[version]
        shape, transposed, stored = read_header(file)
    except Exception as error:  # a hostile header may break NumPy's parser anywhere
        raise InvalidDump(
            "header-broken",
            _("{name} has a header that NumPy cannot read ({reason})").format(name=name, reason=_first_line(error)),
            _("a file written by np.save"),
            _("Write it again: np.save(path, logits)."),
        ) from error
    _check_dtype(name, stored)
    _check_shape(name, shape)
    _check_bytes(name, shape, stored.itemsize, size_bytes - file.tell())
    transposed = transposed and len(shape) > 1
    if transposed and len(shape) > 2:
        raise InvalidDump(
            "fortran-order",
            _("{name} has {axes} axes in Fortran's order").format(name=name, axes=len(shape)),
            _("C order, rows one after another"),
            _("Save np.ascontiguousarray(logits)."),
        )
    return RawArray(name, file, file.tell(), shape, stored, transposed=transposed)


def _open_npz(name: str, file: IO[bytes]) -> OpenFile:
    try:
        archive = zipfile.ZipFile(file)
        members = archive.infolist()
    except Exception as error:  # zipfile raises many kinds for a broken directory
        raise InvalidDump(
            "file-truncated",
            _("{name} is a broken zip file ({reason})").format(name=name, reason=_first_line(error)),
            _("a file written by np.savez"),
            _("Write or copy it again."),
        ) from error
    if any(member.filename.endswith("data.pkl") for member in members):
        raise _is_pickle(name)
    if len(members) > MAX_MEMBERS:
        raise InvalidDump(
            "npz-members",
            _("{name} holds {count} files").format(name=name, count=len(members)),
            _("at most {limit}").format(limit=MAX_MEMBERS),
            _("Save only the arrays that belong to the dump."),
        )
    arrays: dict[str, Array] = {}
    for member in members:
        if not member.filename.endswith(".npy"):
            continue
        key = member.filename.removesuffix(".npy")
        _check_ratio(f"{name}: {key}", member.file_size, member.compress_size)
        try:
            stream = archive.open(member)
        except Exception as error:  # encrypted, or packed by a method that this Python lacks
            raise InvalidDump(
                "npz-member",
                _("{key} in {name} cannot be unpacked ({reason})").format(
                    key=key, name=name, reason=_first_line(error)
                ),
                _("a file written by np.savez or np.savez_compressed"),
                _("Write it again."),
            ) from error
        arrays[key] = npy_array(f"{name}: {key}", stream, member.file_size)
    return OpenFile(name, arrays, close=file.close)


def _open_safetensors(name: str, file: IO[bytes], size_bytes: int) -> OpenFile:
    try:
        header_bytes = int.from_bytes(file.read(8), "little")
        if not 2 <= header_bytes <= min(size_bytes - 8, MAX_HEADER_BYTES):
            raise ValueError(_("the header would have {count} bytes").format(count=header_bytes))
        header = json.loads(file.read(header_bytes))
        header.pop("__metadata__", None)
        entries = {
            str(key): (str(entry["dtype"]), tuple(entry["shape"]), tuple(entry["data_offsets"]))
            for key, entry in header.items()
        }
        if len(entries) > MAX_MEMBERS:
            raise ValueError(_("it names {count} tensors").format(count=len(entries)))
    except Exception as error:  # a hostile header may be anything
        raise InvalidDump(
            "header-broken",
            _("{name} has a header that is not safetensors ({reason})").format(name=name, reason=_first_line(error)),
            _("a file written by safetensors"),
            _('Write it again: safetensors.torch.save_file({"logits": logits, "target": target}, path).'),
        ) from error
    arrays: dict[str, Array] = {}
    data_start = 8 + header_bytes
    for key, (code, shape, offsets) in entries.items():
        if code not in _SAFETENSORS_DTYPES:
            continue  # booleans and eight-bit floats are neither logits nor labels
        stored = np.dtype(_SAFETENSORS_DTYPES[code])
        label = f"{name}: {key}"
        _check_shape(label, shape)
        if len(offsets) != 2 or not all(type(x) is int for x in offsets) or offsets[0] < 0 or offsets[1] < offsets[0]:
            offsets = (0, -1)
        _check_bytes(label, shape, stored.itemsize, offsets[1] - offsets[0])
        if data_start + offsets[1] > size_bytes:
            raise _too_short(label, data_start + offsets[1], size_bytes)
        arrays[key] = RawArray(
            label, file, data_start + offsets[0], shape, stored, "bfloat16" if code == "BF16" else None
        )
    return OpenFile(name, arrays, close=file.close)


class _Table:
    """A stream of record batches that is read forwards and, where a window lies behind, from a start again."""

    def __init__(self, rows: int, open_at: Callable[[int], tuple[int, Iterator[Any]]], name: str) -> None:
        self.rows, self._open_at, self._name = rows, open_at, name
        self._batches: Iterator[Any] | None = None
        self._first = 0
        self._held: Any = None  # the rows from _first on that have been read and may be asked for

    def rest(self) -> None:
        """The next window is read from a start again."""
        self._batches = self._held = None

    def window(self, start: int, stop: int) -> Any:
        """Rows start … stop − 1 as a pyarrow.Table."""
        import pyarrow as pa

        try:
            if self._batches is None or start < self._first or self._held is None:
                self._first, self._batches = self._open_at(start)
                self._held = pa.Table.from_batches([next(self._batches)])
            while self._first + self._held.num_rows < stop:
                behind = max(min(start - self._first, self._held.num_rows), 0)
                kept = self._held.slice(behind)
                self._first += behind
                self._held = pa.concat_tables([kept, pa.Table.from_batches([next(self._batches)])])
        except StopIteration as error:
            raise _too_short(self._name, stop, self._first) from error
        except pa.ArrowException as error:
            raise InvalidDump(
                "table-broken",
                _("{name} cannot be read ({reason})").format(name=self._name, reason=_first_line(error)),
                _("numbers in every column of logits, and integers as labels"),
                _("Look at the row that is named, or write the file again."),
            ) from error
        return self._held.slice(start - self._first, stop - start)


class TableArray(Array):
    """One list column, or several columns side by side, of a table."""

    def __init__(self, table: _Table, columns: list[str], name: str, shape: tuple[int, ...], dtype: str) -> None:
        super().__init__(name, shape, dtype)
        self._table, self._columns = table, columns

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1."""
        window = self._table.window(start, stop).select(self._columns).combine_chunks()
        if self.dtype == "text":
            return np.array(window.column(0).to_pylist(), dtype=object)
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
        if _is_list(array.type):
            lengths = set(pa.compute.list_value_length(array).to_pylist()) if len(array) else set()
            if lengths - {self.shape[1]}:
                return np.empty(0)  # told apart by the caller, who knows the rows
            array = array.flatten()
        return np.asarray(array.to_numpy(zero_copy_only=False))

    def as_rows(self, axes: int) -> Array:
        """A table has rows already."""
        return self


def _open_parquet(name: str, file: IO[bytes], size_bytes: int, source: Any) -> OpenFile:
    need_pyarrow(name)
    import pyarrow as pa
    import pyarrow.compute  # pa.compute, for the lengths of lists

    from xent_core.dump.parquet_process import ParquetReader

    copy = None
    if isinstance(source, str | os.PathLike):
        path = os.fspath(source)
    else:
        copy = tempfile.NamedTemporaryFile(suffix=".parquet")  # noqa: SIM115  # closed by close()
        shutil.copyfileobj(file, copy)
        copy.flush()
        path = copy.name

    def broken(code: str, error: BaseException) -> InvalidDump:
        return InvalidDump(
            code,
            _("{name} is no readable Parquet file ({reason})").format(name=name, reason=_first_line(error)),
            _("a whole file written by pyarrow, pandas, polars or Spark"),
            _("Write or copy it again."),
        )

    def close() -> None:
        file.close()
        if reader is not None:
            reader.close()
        if copy is not None:
            copy.close()

    reader = None
    try:
        try:
            reader = ParquetReader(path)
        except pa.ArrowException as error:
            raise broken("table-broken", error) from error
        except (OSError, ValueError) as error:
            raise broken("header-broken", error) from error
        _check_ratio(name, 4 * reader.numbers, size_bytes)
        table = _Table(reader.rows, reader.from_row, name)

        def rest() -> None:
            table.rest()
            reader.close()

        return _open_table(name, table, reader.schema, close=close, rest=rest)
    except BaseException:
        close()
        raise


def _open_csv(name: str, file: IO[bytes], size_bytes: int) -> OpenFile:
    need_pyarrow(name)
    import pyarrow as pa
    import pyarrow.csv as pc

    first = file.readline(MAX_HEADER_BYTES)
    if len(first) == MAX_HEADER_BYTES:
        raise InvalidDump(
            "csv-line",
            _("the first line of {name} has more than {limit} bytes").format(name=name, limit=MAX_HEADER_BYTES),
            _("one row of logits a line"),
            _("Save so many classes as .npy or .safetensors."),
        )
    try:
        text = first.decode("utf-8-sig").rstrip("\r\n")
        delimiter = max(",;\t", key=text.count)
        cells = next(csv.reader([text], delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDump(
            "csv-header",
            _("the first line of {name} is no text in UTF-8 ({reason})").format(name=name, reason=_first_line(error)),
            _("comma-separated numbers"),
            _("Save it as UTF-8."),
        ) from error
    has_header = not all(_is_number(cell) for cell in cells)
    names = [cell.strip() for cell in cells] if has_header else [f"logit_{i}" for i in range(len(cells))]
    if not has_header and len(names) == 1:
        names = ["target"]
    if len(set(names)) < len(names) or len(names) > MAX_CLASSES:
        raise InvalidDump(
            "csv-header",
            _("the first line of {name} has {count} names, some of them twice").format(name=name, count=len(names)),
            _("one name for each column"),
            _("Give each class its own name."),
        )
    types = {column: _csv_type(column) for column in names}
    schema = pa.schema(list(types.items()))

    def reader(columns: list[str] | None = None) -> Any:
        file.seek(0)
        return pc.open_csv(
            pa.PythonFile(_Unclosable(file), mode="r"),
            read_options=pc.ReadOptions(
                column_names=names,
                skip_rows=1 if has_header else 0,
                block_size=max(2**20, 8 * len(first)),
                use_threads=False,
            ),
            parse_options=pc.ParseOptions(delimiter=delimiter),
            convert_options=pc.ConvertOptions(column_types=types, include_columns=columns),
        )

    try:
        rows = sum(batch.num_rows for batch in reader(names[:1])) if size_bytes > len(first) or not has_header else 0
    except pa.ArrowException as error:
        raise InvalidDump(
            "table-broken",
            _("{name} cannot be read ({reason})").format(name=name, reason=_first_line(error)),
            _("the same number of columns in every line, and numbers in them"),
            _("Look at the line that is named, or write the file again."),
        ) from error
    return _open_table(name, _Table(rows, lambda row: (0, iter(reader())), name), schema, close=file.close)


class _Unclosable(io.RawIOBase):
    """The open file for pyarrow, which would close it at the end of each reading."""

    def __init__(self, file: IO[bytes]) -> None:
        super().__init__()
        self._file = file

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: Any) -> int:
        """As many bytes as there are, at most the buffer's."""
        piece = self._file.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


# the names under which the parts of a dump are looked for, the first of them ours
ROLES = {
    "logits": ("logits", "logit", "outputs", "output", "scores", "preds", "predictions"),
    "target": ("target", "targets", "label", "labels", "y", "y_true"),
    "features": ("features", "feature", "embeddings", "hidden", "h"),
    "sample_weight": ("sample_weight", "sample_weights"),
    "ids": ("id", "ids", "example_id", "example_ids", "name"),
    "class_names": ("class_names", "classes", "names"),
}


def _csv_type(column: str) -> Any:
    import pyarrow as pa

    name = column.lower()
    if name in ROLES["target"]:
        return pa.int64()
    return pa.string() if name in ROLES["ids"] else pa.float64()


def _open_table(
    name: str, table: _Table, schema: Any, *, close: Callable[[], None], rest: Callable[[], None] = lambda: None
) -> OpenFile:
    """The parts of a table: lists as they are named, and the other columns of numbers side by side as logits."""
    import pyarrow as pa

    arrays: dict[str, Array] = {}
    logit_columns: list[str] = []
    named = {alias: role for role, aliases in ROLES.items() for alias in aliases}
    for field in schema:
        column, label = field.name, f"{name}: {field.name}"
        if _is_list(field.type):
            first = table.window(0, 1).column(column)[0].as_py() if table.rows else []
            dtype = _arrow_dtype(field.type.value_type)
            if dtype and first:
                arrays[column] = TableArray(table, [column], label, (table.rows, len(first)), dtype)
        elif pa.types.is_string(field.type) or pa.types.is_large_string(field.type):
            arrays[column] = TableArray(table, [column], label, (table.rows,), "text")
        elif named.get(column.lower()) in ("target", "sample_weight", "ids"):
            dtype = _arrow_dtype(field.type)
            if dtype:
                arrays[column] = TableArray(table, [column], label, (table.rows,), dtype)
        elif _arrow_dtype(field.type) and not column.startswith("__"):
            logit_columns.append(column)
    class_names: tuple[str, ...] = ()
    if logit_columns and not any(named.get(key.lower()) == "logits" for key in arrays):
        dtypes = {_arrow_dtype(schema.field(column).type) for column in logit_columns}
        dtype = dtypes.pop() if len(dtypes) == 1 else "float64"
        dtype = dtype if dtype and dtype.startswith("float") else "float64"
        shape = (table.rows, len(logit_columns))
        arrays["logits"] = TableArray(table, logit_columns, f"{name}: logits", shape, dtype)
        if not all(column.removeprefix("logit_").isdigit() for column in logit_columns):
            class_names = tuple(logit_columns)
    return OpenFile(name, arrays, close=close, rest=rest, class_names=class_names)


def _is_list(kind: Any) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def _arrow_dtype(kind: Any) -> str | None:
    """PyTorch's name of a column's type; None for what is no number."""
    import pyarrow as pa

    names = {pa.float64(): "float64", pa.float32(): "float32", pa.float16(): "float16"}
    return names.get(kind) or (str(kind) if pa.types.is_integer(kind) else None)


def _dtype_name(stored: np.dtype[Any], name: str) -> str:
    _check_dtype(name, stored)
    return "text" if stored.kind in "US" else stored.newbyteorder("=").name


def _check_dtype(name: str, stored: np.dtype[Any]) -> None:
    if stored.kind not in "fiuUS" or stored.itemsize > (8 if stored.kind in "fiu" else 4096) or not stored.itemsize:
        raise InvalidDump(
            "dtype",
            _("{name} has dtype {dtype}").format(name=name, dtype=str(stored)[:80]),
            _("numbers: float64, float32, float16, or integers for labels"),
            _("Convert it before it is saved: logits.astype(np.float32), target.astype(np.int64)."),
        )


def _check_shape(name: str, shape: tuple[Any, ...]) -> None:
    if not 1 <= len(shape) <= 3 or not all(type(size) is int and size >= 0 for size in shape):
        raise InvalidDump(
            "shape",
            _("{name} has shape {shape}").format(name=name, shape=str(shape)[:80]),
            _("logits (N, C) or (B, T, V), labels (N,) or (B, T)"),
            _("Reshape it before it is saved: logits.reshape(-1, C)."),
        )


def _check_bytes(name: str, shape: tuple[int, ...], item_bytes: int, size_bytes: int) -> None:
    if math.prod(shape) * item_bytes != size_bytes:
        raise InvalidDump(
            "header-lies",
            _("{name} says that its shape is {shape}, which takes {needed} bytes, and has {size}").format(
                name=name, shape=shape, needed=math.prod(shape) * item_bytes, size=max(size_bytes, 0)
            ),
            _("as many bytes as the header says"),
            _("The file was cut off, or its header is wrong: write or copy it again."),
        )


def _check_ratio(name: str, unpacked_bytes: int, packed_bytes: int) -> None:
    if unpacked_bytes > max(MAX_RATIO * packed_bytes, RATIO_FREE_BYTES):
        raise InvalidDump(
            "bomb",
            _("{name} would grow from {packed} to {unpacked} bytes").format(
                name=name, packed=packed_bytes, unpacked=unpacked_bytes
            ),
            _("at most {ratio} times its size, as the logits of a model do").format(ratio=MAX_RATIO),
            _("If the numbers are real, save them unpacked: np.save or np.savez."),
        )


def _too_short(name: str, needed: int, came: int) -> InvalidDump:
    return InvalidDump(
        "header-lies",
        _("{name} ends at {came} where its header promises {needed}").format(name=name, came=came, needed=needed),
        _("as much as the header says"),
        _("The file was cut off, or its header is wrong: write or copy it again."),
    )


def _rows_shape(shape: tuple[int, ...], axes: int) -> tuple[int, ...]:
    split = len(shape) - axes
    return (math.prod(shape[:split]), *shape[split:])


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _first_line(error: BaseException) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0][:200]
