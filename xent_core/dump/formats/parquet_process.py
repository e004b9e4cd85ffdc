"""A Parquet or Arrow file read by a process of its own: some damage makes pyarrow abort the process that reads it.

Run as a script, this file is that process: it sends what the file says of itself, then the rows that were asked for
from a row group on as a stream of Arrow. In a sandbox, which is such a process already, the file is read directly.
"""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer
from typing import IO, Any

import pyarrow as pa

NUMBERS_AT_A_TIME = 2**19
SECONDS_TO_ANSWER = 60


class ParquetRows:
    """What a Parquet file says of itself, and its rows.

    Attributes:
      schema: of the columns.
      group_rows: how many rows each row group has.
      numbers: how many values each column holds.
      unpacked_bytes: how many bytes each column says it has when it is unpacked, a value that is repeated once.
    """

    schema: Any
    group_rows: list[int]
    numbers: dict[str, int]
    unpacked_bytes: dict[str, int]

    @property
    def rows(self) -> int:
        """Of the whole file."""
        return sum(self.group_rows)

    def from_row(self, row: int, columns: list[str]) -> tuple[int, Iterator[Any]]:
        """The record batches of these columns from the row group on with this row, and the first row of that group."""
        starts = list(itertools.accumulate(self.group_rows, initial=0))
        group = max(i for i, start in enumerate(starts[:-1] or [0]) if start <= row)
        return starts[group], self._from_group(group, columns)

    def close(self) -> None:
        """Ends what only reading needs."""

    def _from_group(self, group: int, columns: list[str]) -> Iterator[Any]:
        raise NotImplementedError

    def _told(self, told: dict[str, Any]) -> None:
        self.group_rows, self.numbers, self.unpacked_bytes = told["group_rows"], told["numbers"], told["unpacked_bytes"]


class ParquetHere(ParquetRows):
    """A Parquet file read by this process. Raises: OSError, ValueError or pyarrow.ArrowException for a broken one."""

    def __init__(self, source: Any) -> None:
        self._file = opened(source)
        self.schema = self._file.schema_arrow
        self._told(described(self._file))

    def _from_group(self, group: int, columns: list[str]) -> Iterator[Any]:
        return batches(self._file, group, columns)


class ParquetReader(ParquetRows):
    """A Parquet file read by a process of its own.

    Args: path: of a file, or an address such as s3://….

    Raises: ValueError if it is no Parquet file, pyarrow.ArrowInvalid if the process that reads it dies.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._unread: Iterator[Any] | None
        stream = self._stream(0, None)
        self.schema, self._unread = stream.schema, self._batches(stream)

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _from_group(self, group: int, columns: list[str]) -> Iterator[Any]:
        unread, self._unread = self._unread, None
        if unread is not None and not group and self._process is not None:
            return unread  # of all columns
        return self._batches(self._stream(group, columns))

    def _stream(self, group: int, columns: list[str] | None) -> Any:
        self.close()
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            with _in_time(process):
                with process.stdin:
                    process.stdin.write(json.dumps([self._path, group, columns]).encode())
                answer = json.loads(process.stdout.readline() or "null")
                if answer is None:
                    raise pa.ArrowInvalid("its reader died")
                if "error" in answer:
                    raise ValueError(answer["error"])
                self._told(answer)
                return pa.ipc.open_stream(process.stdout)
        except BrokenPipeError as error:
            self.close()
            raise pa.ArrowInvalid("its reader died") from error
        except BaseException:
            self.close()
            raise

    def _batches(self, stream: Any) -> Iterator[Any]:
        process = self._process
        assert process is not None
        while True:
            try:
                with _in_time(process):
                    batch = stream.read_next_batch()
            except StopIteration:
                if process.wait():
                    raise pa.ArrowInvalid("its reader died") from None
                return
            except OSError as error:  # the stream broke off
                raise pa.ArrowInvalid("its reader died") from error
            yield batch


@contextmanager
def _in_time(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """A process that does not answer is ended, which ends the wait for it."""
    timer = Timer(SECONDS_TO_ANSWER, process.kill)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def opened(source: Any) -> Any:
    """The file, once its parts agree on the columns.

    Text stays as it is packed, each value once and its number for each row: a long text that is in every row would
    take many thousand times the size of the file.

    Raises: ValueError, OSError, pyarrow.ArrowException.
    """
    import pyarrow.parquet as pq

    if not _is_parquet(source):
        return _ArrowFile(source)
    parquet = pq.ParquetFile(source)
    metadata = parquet.metadata
    if any(metadata.row_group(i).num_columns != metadata.num_columns for i in range(metadata.num_row_groups)):
        raise ValueError("its parts have different columns")  # asking for one that is missing would abort
    texts = [field.name for field in parquet.schema_arrow if is_text(field.type)]
    return pq.ParquetFile(source, metadata=metadata, read_dictionary=texts) if texts else parquet


def _is_parquet(source: Any) -> bool:
    if isinstance(source, str):
        with open(source, "rb") as file:
            return file.read(4) == b"PAR1"
    source.seek(0)
    start = source.read(4)
    source.seek(0)
    return bool(start == b"PAR1")


def _plain_text(kind: Any) -> Any:
    """The type of texts that lie one after another, for those of polars, which pyarrow computes nothing with."""
    return pa.large_string() if pa.types.is_string_view(kind) else kind


class _ArrowFile:
    """A file of Arrow: record batches one after another, with a directory at the end or, as a stream, without.

    Raises: OSError, ValueError, pyarrow.ArrowException.
    """

    def __init__(self, source: Any) -> None:
        self._source = pa.memory_map(source) if isinstance(source, str) else pa.PythonFile(source, mode="r")
        self._is_stream = self._source.read(6) != b"ARROW1"
        schema = self._reader().schema
        fields = [field.with_type(_plain_text(field.type)) for field in schema]
        self.schema_arrow = pa.schema(fields, schema.metadata)

    def _reader(self) -> Any:
        self._source.seek(0)
        options = pa.ipc.IpcReadOptions(use_threads=False)
        opened = pa.ipc.open_stream if self._is_stream else pa.ipc.open_file
        return opened(self._source, options=options)

    def batches(self) -> Iterator[Any]:
        """All record batches, each checked."""
        reader = self._reader()
        found = reader if self._is_stream else map(reader.get_batch, range(reader.num_record_batches))
        for batch in found:
            batch.validate(full=True)
            yield batch.cast(self.schema_arrow)

    def described(self) -> dict[str, Any]:
        """The facts of ParquetRows; a record batch counts as a row group."""
        names = self.schema_arrow.names
        group_rows = []
        numbers, unpacked_bytes = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
        for batch in self.batches():
            group_rows.append(batch.num_rows)
            for name, column in zip(names, batch.columns, strict=True):
                is_list = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
                numbers[name] += len(column.flatten()) if is_list else len(column)
                unpacked_bytes[name] += column.nbytes
        return {"group_rows": group_rows, "numbers": numbers, "unpacked_bytes": unpacked_bytes}


def described(parquet: Any) -> dict[str, Any]:
    """The facts of ParquetRows."""
    names = parquet.schema_arrow.names
    if len(set(names)) < len(names):
        raise ValueError("two of its columns have one name")
    if isinstance(parquet, _ArrowFile):
        return parquet.described()
    metadata = parquet.metadata
    group_rows = []
    numbers: dict[str, int] = dict.fromkeys(parquet.schema_arrow.names, 0)
    unpacked_bytes = dict(numbers)
    for i in range(metadata.num_row_groups):
        group = metadata.row_group(i)
        group_rows.append(group.num_rows)
        for j in range(group.num_columns):
            leaf = group.column(j)
            column = _column_of(leaf.path_in_schema, numbers)
            numbers[column] += leaf.num_values
            unpacked_bytes[column] += leaf.total_uncompressed_size
    return {"group_rows": group_rows, "numbers": numbers, "unpacked_bytes": unpacked_bytes}


def _column_of(path: str, columns: dict[str, int]) -> str:
    """The column to which a leaf belongs, such as "logits" of "logits.list.element"; names may hold full stops too."""
    parts = path.split(".")
    heads = (".".join(parts[:count]) for count in range(len(parts), 0, -1))
    found = next((head for head in heads if head in columns), None)
    if found is None:
        raise ValueError("its columns have other names than its schema")
    return found


def batches(parquet: Any, group: int, columns: list[str]) -> Iterator[Any]:
    """Record batches of these columns from this row group on, each checked, and of about NUMBERS_AT_A_TIME."""
    told = described(parquet)
    numbers, rows = told["numbers"], max(sum(told["group_rows"]), 1)
    in_a_row = max(sum(numbers[column] for column in columns) // rows, 1)
    if isinstance(parquet, _ArrowFile):
        at_a_time = max(NUMBERS_AT_A_TIME // in_a_row, 1)
        for whole in itertools.islice(parquet.batches(), group, None):
            chosen = whole.select(columns)
            for start in range(0, whole.num_rows, at_a_time):
                yield chosen.slice(start, at_a_time)
        return
    for batch in parquet.iter_batches(
        batch_size=max(NUMBERS_AT_A_TIME // in_a_row, 1),
        row_groups=range(group, parquet.metadata.num_row_groups),
        columns=columns,
        use_threads=False,
    ):
        batch.validate(full=True)
        yield batch


def is_text(kind: Any) -> bool:
    """Whether a column of this type holds text."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def send(path: str, group: int, columns: list[str] | None, sink: IO[bytes]) -> None:
    """Writes what the file says of itself, and the rows of these columns, or of all, from a row group on."""
    try:
        if "://" in path:
            import fsspec

            parquet = opened(fsspec.open(path, "rb").open())
        else:
            parquet = opened(path)
        answer = described(parquet)
    except Exception as error:  # to be told by whoever asked
        sink.write(json.dumps({"error": str(error)}).encode() + b"\n")
        return
    sink.write(json.dumps(answer).encode() + b"\n")
    sink.flush()
    schema = parquet.schema_arrow  # made anew each time
    columns = schema.names if columns is None else columns
    schema = pa.schema([schema.field(column) for column in columns], schema.metadata)
    with pa.ipc.new_stream(sink, schema) as stream:
        sink.flush()
        for batch in batches(parquet, group, columns):
            stream.write_batch(batch)
            sink.flush()


if __name__ == "__main__":
    path_asked, group_asked, columns_asked = json.loads(sys.stdin.buffer.read())
    send(path_asked, group_asked, columns_asked, sys.stdout.buffer)
