"""Opens a .csv file: comma-, semicolon- or tab-separated numbers, with or without a header."""

from __future__ import annotations

import csv
import io
from typing import IO, Any

from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.checks import MAX_CLASSES, MAX_HEADER_BYTES, InvalidDump, need_pyarrow
from xent_core.dump.formats.table_columns import ROLES, Table, open_table
from xent_core.language import _
from xent_core.tensor_headers import first_line


def open_csv(raw: RawFile) -> OpenFile:
    """The columns of a table; without a header they are logits, or labels if there is only one."""
    name, file, size_bytes, _path = raw
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
            _("{name} cannot be read ({reason})").format(name=name, reason=first_line(error)),
            _("the same number of columns in every line, and numbers in them"),
            _("Look at the line that is named, or write the file again."),
        ) from error
    return open_table(name, Table(rows, lambda row: (0, iter(reader())), name), schema, close=file.close)


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
