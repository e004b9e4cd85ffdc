"""A Parquet file read by a process of its own: some damage makes pyarrow abort the process that reads it.

Run as a script, this file is that process: it sends what the file says of itself as one line of JSON,
then its rows from a row group on as a stream of Arrow.
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


class ParquetReader:
    """What a Parquet file says of itself, and its rows, read forwards from any row group.

    Args: path: of a file, or an address such as s3://….
    Attributes:
      schema: of the columns.
      group_rows: how many rows each row group has.
      numbers: how many values there are in all columns.

    Raises: ValueError if it is no Parquet file, pyarrow.ArrowInvalid if the process that reads it dies.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._process: subprocess.Popen[bytes] | None = None
        self._unread: Iterator[Any] | None
        self.group_rows: list[int] = []
        self.numbers = 0
        stream = self._stream(0)
        self.schema, self._unread = stream.schema, self._batches(stream)

    @property
    def rows(self) -> int:
        """Of the whole file."""
        return sum(self.group_rows)

    def from_row(self, row: int) -> tuple[int, Iterator[Any]]:
        """The record batches from the row group on in which this row lies, and the first row of that group."""
        starts = list(itertools.accumulate(self.group_rows, initial=0))
        group = max(i for i, start in enumerate(starts[:-1] or [0]) if start <= row)
        batches, self._unread = self._unread, None
        if batches is None or group or self._process is None:
            batches = self._batches(self._stream(group))
        return starts[group], batches

    def close(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def _stream(self, group: int) -> Any:
        self.close()
        self._process = process = subprocess.Popen(
            [sys.executable, "-P", __file__, self._path, str(group)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        assert process.stdout is not None
        try:
            with _in_time(process):
                answer = json.loads(process.stdout.readline() or "null")
                if answer is None:
                    raise pa.ArrowInvalid("its reader died")
                if "error" in answer:
                    raise ValueError(answer["error"])
                self.group_rows, self.numbers = answer["group_rows"], answer["numbers"]
                return pa.ipc.open_stream(process.stdout)
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


def send(path: str, group: int, sink: IO[bytes]) -> None:
    """Writes what the file says of itself and its rows, each batch checked, so that nothing bad arrives."""
    import pyarrow.parquet as pq

    try:
        if "://" in path:
            import fsspec

            parquet = pq.ParquetFile(fsspec.open(path, "rb").open())
        else:
            parquet = pq.ParquetFile(path)
        metadata, schema = parquet.metadata, parquet.schema_arrow
        groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
        if any(one.num_columns != metadata.num_columns for one in groups):
            raise ValueError("its parts have different columns")  # asking for one that is missing would abort
        numbers = sum(one.column(i).num_values for one in groups for i in range(one.num_columns))
    except Exception as error:  # to be told by whoever asked
        sink.write(json.dumps({"error": str(error)}).encode() + b"\n")
        return
    answer = {"group_rows": [one.num_rows for one in groups], "numbers": numbers}
    sink.write(json.dumps(answer).encode() + b"\n")
    sink.flush()
    batch_size = max(NUMBERS_AT_A_TIME // max(numbers // max(metadata.num_rows, 1), 1), 1)
    with pa.ipc.new_stream(sink, schema) as stream:
        sink.flush()
        for batch in parquet.iter_batches(
            batch_size=batch_size, row_groups=range(group, len(groups)), use_threads=False
        ):
            batch.validate(full=True)
            stream.write_batch(batch)
            sink.flush()


if __name__ == "__main__":
    send(sys.argv[1], int(sys.argv[2]), sys.stdout.buffer)
