"""Opens a .csv file: comma-, semicolon- or tab-separated numbers, with or without a header."""

from __future__ import annotations

import csv
import io
from typing import IO, Any

import numpy as np

from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.checks import (
    MAX_CLASSES,
    MAX_HEADER_BYTES,
    MAX_TABLE_HEADER_BYTES,
    DumpLimits,
    InvalidDump,
    check_columns,
    need_pyarrow,
)
from xent_core.dump.formats.table_columns import ROLES, Table, open_table
from xent_core.language import _
from xent_core.tensor_headers import first_line

_BLOCK_BYTES = 2**20
_BLANK = b" \t\r\n"


def open_csv(raw: RawFile) -> OpenFile:
    """The columns of a table; without a header they are logits, or labels if there is only one."""
    name, file, size_bytes, _path, limits = raw
    need_pyarrow(name)
    import pyarrow as pa
    import pyarrow.csv as pc

    start = _first_text(name, file)
    first = _first_line(name, file, start, MAX_HEADER_BYTES if limits is None else MAX_TABLE_HEADER_BYTES)
    try:
        text = first.decode("utf-8-sig").rstrip("\r\n")
        delimiter = max(",;\t", key=text.count)
        if limits is not None:
            check_columns(name, text.count(delimiter) + 1)
            _check_lines(name, file, start, limits)
        cells = next(csv.reader([text], delimiter=delimiter), [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise InvalidDump(
            "csv-header",
            _("the first line of {name} is no text in UTF-8 ({reason})").format(name=name, reason=first_line(error)),
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

    def reader(columns: list[str]) -> Any:
        file.seek(start)
        return pc.open_csv(
            pa.PythonFile(_Unclosable(file), mode="r"),
            read_options=pc.ReadOptions(
                column_names=names,
                skip_rows=1 if has_header else 0,
                block_size=max(_BLOCK_BYTES, 8 * len(first)),
                use_threads=False,
            ),
            parse_options=pc.ParseOptions(delimiter=delimiter),
            convert_options=pc.ConvertOptions(column_types=types, include_columns=columns),
        )

    try:
        is_only_header = has_header and size_bytes <= start + len(first)
        rows = 0 if is_only_header else sum(batch.num_rows for batch in reader(names[:1]))
    except MemoryError:  # pyarrow's is an ArrowException too
        raise
    except pa.ArrowException as error:
        raise InvalidDump(
            "table-broken",
            _("{name} cannot be read ({reason})").format(name=name, reason=first_line(error)),
            _("the same number of columns in every line, and numbers in them"),
            _("Look at the line that is named, or write the file again."),
        ) from error
    table = Table(rows, lambda row, columns: (0, iter(reader(columns))), name)
    return open_table(name, table, schema, close=file.close)


def _first_text(name: str, file: IO[bytes]) -> int:
    """Where the first line with something in it begins. Raises: InvalidDump if there is none."""
    start = 0
    file.seek(0)
    while block := file.read(_BLOCK_BYTES):
        if text := block.lstrip(_BLANK):
            place = start + len(block) - len(text)
            blank = block[: len(block) - len(text)]
            return place - len(blank) + max(blank.rfind(b"\n"), blank.rfind(b"\r")) + 1  # spaces before it are its own
        start += len(block)
    raise InvalidDump(
        "file-blank",
        _("{name} holds blank lines alone").format(name=name),
        _("comma-separated numbers, a row of logits a line"),
        _("Write it again."),
    )


def _first_line(name: str, file: IO[bytes], start: int, limit: int) -> bytes:
    file.seek(start)
    first = file.readline(limit)
    if len(first) == limit:
        raise InvalidDump(
            "csv-line",
            _("the first line of {name} has more than {limit} bytes").format(name=name, limit=limit),
            _("one row of logits a line"),
            _("Save so many classes as .npy or .safetensors."),
        )
    return first


def _check_lines(name: str, file: IO[bytes], start: int, limits: DumpLimits) -> None:
    """Raises: InvalidDump for more lines than rows may be, blank ones included, before anything is built of them."""
    file.seek(start)
    lines = 0
    while block := file.read(_BLOCK_BYTES):
        lines += int(np.count_nonzero(np.frombuffer(block, np.uint8) == ord("\n")))
    if limits.rows is not None and lines > 2 * limits.rows:  # every other one may be blank
        raise InvalidDump(
            "dump-large",
            _("{name} has {count} lines").format(name=name, count=lines),
            _("at most {limit} rows here").format(limit=limits.rows),
            _("The same program on your own computer has no limit: python -m xent_core analyse."),
        )


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


def _csv_type(column: str) -> Any:
    import pyarrow as pa

    name = column.lower()
    if name in ROLES["target"]:
        return pa.int64()
    return pa.string() if name in ROLES["ids"] else pa.float64()


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True
