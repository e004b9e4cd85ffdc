"""Rows of a text kept in a nameless file of Arrow on the way: any window is found, and no text is read twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any

from xent_core.dump.formats.arrays import OpenFile, RawFile
from xent_core.dump.formats.table_columns import Table

FREE_SHARE = 4  # of the free space, one in so many parts may be taken
PACKED_GROWTH = 8  # how many times as large the numbers of a packed text may be


def has_room(size_bytes: int) -> bool:
    """Whether the temporary folder has room for the numbers of a text of this size, and much is left."""
    try:
        return shutil.disk_usage(tempfile.gettempdir()).free > FREE_SHARE * size_bytes
    except OSError:
        return False


def opened_forwards(
    raw: RawFile,
    schema: Any,
    batches: Callable[[list[str]], Iterator[Any]],
    of_table: Callable[[Table], OpenFile],
    *,
    is_packed: bool = False,
) -> OpenFile:
    """A file that is read from its beginning only, once all its rows have been counted; kept where there is room.

    A server for strangers keeps nothing, and reads it again from the beginning.
    """
    spool = None
    if raw.limits is None and has_room(raw.size_bytes * (PACKED_GROWTH if is_packed else 1)):
        spool = Spool(schema)
    try:
        rows = 0
        for batch in batches(schema.names if spool is not None else schema.names[:1]):
            rows += batch.num_rows
            if spool is not None:
                spool.write(batch)
        if spool is None:
            return of_table(Table(rows, lambda _row, columns: (0, batches(columns)), raw.name))
        spool.finish()
        opened = of_table(Table(rows, spool.from_row, raw.name))
    except BaseException:
        if spool is not None:
            spool.close()
        raise
    close_file = opened.close

    def close() -> None:
        close_file()
        spool.close()

    opened.close = close
    return opened


class Spool:
    """Record batches of one schema, written once and then read from any row on. Raises: OSError if the disk is full."""

    def __init__(self, schema: Any) -> None:
        import pyarrow as pa

        self._handle, self._path = tempfile.mkstemp(prefix="xent-rows-", suffix=".arrow")
        self._schema, self._source = schema, None
        self._starts = [0]
        try:
            self._sink = pa.OSFile(self._path, "wb")
            if os.path.exists(self._nameless):
                self._remove()  # at once: however this process ends, nothing stays
            self._writer = pa.ipc.new_file(self._sink, schema)
        except BaseException:
            self.close()
            raise

    @property
    def _nameless(self) -> str:
        """By which this process opens the file when its name is gone, where the system knows that."""
        return f"/dev/fd/{self._handle}"

    @property
    def rows(self) -> int:
        """How many there are."""
        return self._starts[-1]

    def write(self, batch: Any) -> None:
        """Adds rows."""
        if batch.num_rows:
            self._writer.write_batch(batch)
            self._starts.append(self._starts[-1] + batch.num_rows)

    def finish(self) -> None:
        """No more rows come; from here on they are read."""
        import pyarrow as pa

        self._writer.close()
        self._sink.close()
        self._source = pa.OSFile(self._nameless if os.path.exists(self._nameless) else self._path, "rb")
        self._remove()

    def from_row(self, row: int, columns: list[str]) -> tuple[int, Iterator[Any]]:
        """The record batches of these columns from the one with this row on, and the first row of that one."""
        first = max(min(bisect_right(self._starts, row) - 1, len(self._starts) - 2), 0)
        return self._starts[first], self._batches(first, columns)

    def _batches(self, first: int, columns: list[str]) -> Iterator[Any]:
        import pyarrow as pa

        fields = [self._schema.get_field_index(column) for column in columns]
        options = pa.ipc.IpcReadOptions(use_threads=False, included_fields=sorted(fields))
        reader = pa.ipc.open_file(self._source, options=options)
        for number in range(first, reader.num_record_batches):
            yield reader.get_batch(number).select(columns)
        if not reader.num_record_batches:
            yield pa.RecordBatch.from_pylist([], schema=pa.schema([self._schema.field(name) for name in columns]))

    def close(self) -> None:
        """Lets go of the file, which is gone then."""
        if self._source is not None:
            self._source.close()
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1
        self._remove()

    def _remove(self) -> None:
        with contextlib.suppress(OSError):  # Windows keeps it until it is closed
            os.unlink(self._path)
