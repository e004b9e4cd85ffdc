"""Opens a .parquet file, which a process of its own reads."""

from __future__ import annotations

import shutil
import tempfile

from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.checks import InvalidDump, check_ratio, need_pyarrow
from xent_core.dump.formats.table_columns import Table, open_table
from xent_core.language import _
from xent_core.tensor_headers import first_line


def open_parquet(raw: RawFile) -> OpenFile:
    """The columns of a table; an upload is copied into a file first."""
    name, file, size_bytes, path = raw
    need_pyarrow(name)
    import pyarrow as pa

    from xent_core.dump.formats.parquet_process import ParquetReader  # imports pyarrow

    copy = None
    if path is None:
        copy = tempfile.NamedTemporaryFile(suffix=".parquet")  # noqa: SIM115  # closed by close()
        shutil.copyfileobj(file, copy)
        copy.flush()
        path = copy.name

    def broken(code: str, error: BaseException) -> InvalidDump:
        return InvalidDump(
            code,
            _("{name} is no readable Parquet file ({reason})").format(name=name, reason=first_line(error)),
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
        check_ratio(name, 4 * reader.numbers, size_bytes)
        table = Table(reader.rows, reader.from_row, name)

        def rest() -> None:
            table.rest()
            reader.close()

        return open_table(name, table, reader.schema, close=close, rest=rest)
    except BaseException:
        close()
        raise
