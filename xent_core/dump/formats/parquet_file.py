"""Opens a .parquet, .arrow or .feather file, which a process of its own reads."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable

from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.checks import (
    MAX_TABLE_HEADER_BYTES,
    InvalidDump,
    check_columns,
    check_ratio,
    need_pyarrow,
)
from xent_core.dump.formats.table_columns import Table, open_columns
from xent_core.language import _
from xent_core.tensor_headers import first_line


def open_parquet(raw: RawFile) -> OpenFile:
    """The columns of a table; an upload is copied into a file first, unless this process is a sandbox already."""
    name, file, size_bytes, path, limits, _choices, _role = raw
    need_pyarrow(name)
    import pyarrow as pa

    from xent_core.dump.formats.parquet_process import ParquetHere, ParquetReader, ParquetRows  # imports pyarrow

    file.seek(0)
    kind = "Parquet" if file.read(4) == b"PAR1" else "Arrow"
    file.seek(0)
    copy = None

    def broken(code: str, error: BaseException) -> InvalidDump:
        return InvalidDump(
            code,
            _("{name} is no readable file of {kind} ({reason})").format(name=name, kind=kind, reason=first_line(error)),
            _("a whole file written by pyarrow, pandas, polars, datasets or Spark"),
            _("Write or copy it again."),
        )

    def close() -> None:
        file.close()
        if reader is not None:
            reader.close()
        if copy is not None:
            copy.close()

    reader: ParquetRows | None = None
    try:
        if limits is not None:
            if kind == "Parquet":
                _check_footer(raw)
        elif path is None:
            copy = tempfile.NamedTemporaryFile(suffix=".parquet")  # noqa: SIM115  # closed by close()
            shutil.copyfileobj(file, copy)
            copy.flush()
            path = copy.name
        try:
            reader = ParquetHere(file) if limits is not None or path is None else ParquetReader(path)
        except MemoryError:  # pyarrow's is an ArrowException too
            raise
        except pa.ArrowException as error:
            raise broken("table-broken", error) from error
        except (OSError, ValueError) as error:
            raise broken("header-broken", error) from error
        if limits is not None:
            check_columns(name, len(reader.schema))
            limits.check(reader.rows)
        table = Table(reader.rows, reader.from_row, name)

        def check(columns: Iterable[str]) -> None:
            assert reader is not None
            check_ratio(name, 4 * sum(reader.numbers[column] for column in columns), size_bytes)
            if limits is not None:
                check_ratio(name, sum(reader.unpacked_bytes[column] for column in columns), size_bytes)

        def labels_of(column: str) -> set[str]:
            check([column])
            return table.distinct(column)

        def rest() -> None:
            table.rest()
            if reader is not None:
                reader.close()

        return open_columns(raw, table, reader.schema, check, labels_of, close=close, rest=rest)
    except BaseException:
        close()
        raise


def _check_footer(raw: RawFile) -> None:
    """Raises: InvalidDump for one so long that to read it would cost too much; pyarrow checks the rest."""
    raw.file.seek(max(raw.size_bytes - 8, 0))
    footer_bytes = int.from_bytes(raw.file.read(4), "little")
    raw.file.seek(0, os.SEEK_SET)
    if footer_bytes > MAX_TABLE_HEADER_BYTES:
        raise InvalidDump(
            "table-wide",
            _("{name} says of itself {count} bytes").format(name=raw.name, count=footer_bytes),
            _("at most {limit} for the columns and their parts").format(limit=MAX_TABLE_HEADER_BYTES),
            _("Save all logits of a row as one list, or as .npy or .safetensors."),
        )
