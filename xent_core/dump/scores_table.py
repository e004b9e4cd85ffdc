"""The table of scores on disk: streamed while the dump is read, the rank filled in at the end, in bounded memory."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from xent_core.dump.formats import InvalidDump, need_pyarrow
from xent_core.dump.ranking import SMALLEST_FIRST, SUSPECT_FIELDS, probability_wrong
from xent_core.dump.scores import Scores
from xent_core.dump.wrong_labels import WrongLabels
from xent_core.language import _
from xent_core.outputs import InvalidOutput, checked_output, file_beside, naming, partial_name, written_whole
from xent_core.spreadsheets import harmless

TEXTS = ("id", "text", "image")
COLUMNS = SUSPECT_FIELDS
SUFFIXES = (".parquet", ".csv")
ROWS_TO_SORT = 2**19
ROWS_PER_GROUP = 2**15


def columns_of(scores: Scores) -> dict[str, np.ndarray]:
    """The columns of a batch, integers as int64 and numbers as float64; the optional ones where there are any."""
    tensors = {name: getattr(scores, name) for name in COLUMNS}
    columns = {name: x.cpu().numpy() for name, x in tensors.items() if x is not None}
    columns |= {name: x.cpu().numpy() for name, x in (scores.epochs or {}).items()}
    columns = {name: x.astype(np.int64 if x.dtype.kind == "i" else np.float64) for name, x in columns.items()}
    if scores.layer_norm is not None:
        columns["last_layer_norm"] = scores.layer_norm.cpu().numpy().astype(np.float64)
    if scores.target_prob is not None:
        columns["target_prob"] = scores.target_prob.cpu().numpy()
    texts = {"id": scores.ids, "text": scores.text, "image": scores.image}
    return columns | {name: np.array(given, dtype=object) for name, given in texts.items() if given is not None}


class UnwrittenScores(OSError):
    """The table of scores could not be written, as on a full disk; the analysis itself is finished.

    Attributes:
      summary: the DumpSummary.
    """

    def __init__(self, number: int | None, reason: str, path: str, summary: Any = None) -> None:
        super().__init__(number, reason, path)
        self.summary = summary


def scores_path(path: Any, inputs: Sequence[os.stat_result], *, overwrite: bool) -> Path:
    """Where the table goes. Raises: InvalidDump if it may not be written there, or there is no pyarrow to write it."""
    try:
        place = checked_output(path, "--scores", SUFFIXES, inputs=inputs, force=overwrite)
    except InvalidOutput as error:
        raise InvalidDump(error.code, error.came, error.expected, error.fix) from error
    need_pyarrow(place.name)
    return place


class ScoresFile:
    """Writes the table of scores to a Parquet or CSV file.

    While it runs, the rows so far lie beside it in a hidden file, in Parquet without ranks.
    `finish` ranks them: 1 is the first suspect; equals follow the order of the dump.
    The file appears at once and whole, so that whoever opens it never sees half of it;
    if somebody stopped the pass, it is called `NAME.partial.parquet`.
    A full disk ends the table, not the pass: `failure` says what happened.

    Args:
      path: as `scores_path` checked it.
      rank_by: which of RANKINGS ranks the rows.

    Raises: InvalidDump for a folder that cannot be written.
    """

    def __init__(self, path: Path, rank_by: str) -> None:
        self.path, self._rank_by = path, rank_by
        self.failure: OSError | None = None
        try:
            self._partial = file_beside(self.path)
            self._stream = self._partial.open("wb")
        except OSError as error:
            raise InvalidDump(
                "scores-path",
                _("{path} cannot be written ({reason})").format(path=self.path, reason=error.strerror),
                _("a folder that this program may write to"),
                _("Choose another path."),
            ) from error
        self._keys = tempfile.TemporaryFile(dir=self.path.parent)  # noqa: SIM115  # closed by close()
        self._writer: Any = None
        self._held: list[dict[str, np.ndarray]] = []
        self._held_rows = 0
        self.rows = 0

    def write(self, columns: dict[str, np.ndarray]) -> None:
        """Adds rows."""
        if self.failure is None:
            with self._noting_failure():
                self._write(columns)

    def finish(self, wrong: WrongLabels | None, *, complete: bool) -> Path | None:
        """Ranks the rows, says how likely each label is wrong, and puts the finished file in its place, which it gives.

        None if the table could not be written.
        """
        path = self.path if complete else partial_name(self.path)
        if self.failure is None:
            with self._noting_failure():
                self._finish(wrong, path)
        return path if self.failure is None else None

    @contextlib.contextmanager
    def _noting_failure(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self.failure = naming(error, self.path)

    def _write(self, columns: dict[str, np.ndarray]) -> None:
        self._held.append(columns)
        self._held_rows += len(columns["row"])
        self.rows += len(columns["row"])
        values = columns[self._rank_by]
        keys = values if self._rank_by in SMALLEST_FIRST else -values
        if self._rank_by == "suspicion":
            keys = np.nan_to_num(keys, nan=np.inf, posinf=np.inf, neginf=-np.inf)
        self._keys.write(keys.tobytes())
        if self._held_rows >= ROWS_PER_GROUP:
            self._flush()

    def _finish(self, wrong: WrongLabels | None, path: Path) -> None:
        if self._held or self._writer is None:  # a whole group may have just been written; then nothing is left
            self._flush()
        self._writer.close()
        self._stream.close()
        write = _write_csv if path.suffix.lower() == ".csv" else _write_parquet
        with ranks_of(self._keys, self.rows) as ranks, written_whole(path) as file:
            write(self._ranked(ranks, wrong), file)

    def close(self) -> None:
        """Removes what is only needed on the way."""
        if self._writer is not None:
            with contextlib.suppress(OSError):  # a full disk, which whoever wrote has heard of
                self._writer.close()  # before its file; else it complains when it is thrown away
        with contextlib.suppress(OSError):
            self._stream.close()
        self._keys.close()
        self._partial.unlink(missing_ok=True)

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        names = self._held[0] if self._held else dict.fromkeys(COLUMNS, np.empty(0))
        columns = {name: np.concatenate([part[name] for part in self._held] or [names[name]]) for name in names}
        table = pa.table({name: _arrow(name, values) for name, values in columns.items()})
        if self._writer is None:
            self._writer = pq.ParquetWriter(self._stream, table.schema)
        self._writer.write_table(table)
        self._held, self._held_rows = [], 0

    def _ranked(self, ranks: Ranks, wrong: WrongLabels | None) -> Iterator[Any]:
        """The rows that were streamed, as pyarrow tables with their ranks and probabilities."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        start = 0
        with pq.ParquetFile(self._partial) as partial:
            for batch in partial.iter_batches(batch_size=ROWS_PER_GROUP, use_threads=False):
                table = pa.Table.from_batches([batch])
                rank = pa.array(ranks.read(start, start + table.num_rows))
                yield _ranked(table, rank, wrong)
                start += table.num_rows
            if not start:
                yield _ranked(partial.schema_arrow.empty_table(), pa.array([], pa.int64()), wrong)


class Ranks:
    """The rank of every row, in a file; a context manager."""

    def __init__(self, file: Any) -> None:
        self._file = file

    def read(self, start: int, stop: int) -> np.ndarray:
        """The ranks of rows start … stop − 1, int64, from 1."""
        self._file.seek(8 * start)
        return np.frombuffer(self._file.read(8 * (stop - start)), np.int64)

    def __enter__(self) -> Ranks:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def ranks_of(values: Any, rows: int, *, at_a_time: int = ROWS_TO_SORT) -> Ranks:
    """Ranks float64 values in an open file: the smallest first, NaN before all, equals in their order.

    Parts that fit memory are sorted each for itself; a row's rank is the number of rows before it in every part.
    """
    sorted_parts = tempfile.TemporaryFile()  # noqa: SIM115  # closed below
    parts = [(start, min(start + at_a_time, rows)) for start in range(0, rows, at_a_time)]
    for part in parts:
        sorted_parts.write(np.sort(_keys(values, *part)).tobytes())
    ranks = tempfile.TemporaryFile()  # noqa: SIM115  # closed by Ranks
    for i, part in enumerate(parts):
        keys = _keys(values, *part)
        order = np.argsort(keys, kind="stable")
        rank = np.empty(len(keys), np.int64)
        rank[order] = np.arange(1, len(keys) + 1)
        for j, (start, stop) in enumerate(parts):
            if i != j:
                sorted_parts.seek(8 * start)
                others = np.frombuffer(sorted_parts.read(8 * (stop - start)))
                # of equals, those in earlier parts come first
                rank[order] += np.searchsorted(others, keys[order], side="right" if j < i else "left")
        ranks.write(rank.tobytes())
    sorted_parts.close()
    return Ranks(ranks)


def _keys(values: Any, start: int, stop: int) -> np.ndarray:
    values.seek(8 * start)
    keys = np.frombuffer(values.read(8 * (stop - start)))
    return np.nan_to_num(keys, nan=-np.inf, posinf=np.inf, neginf=-np.finfo(np.float64).max)


def _ranked(table: Any, rank: Any, wrong: WrongLabels | None) -> Any:
    """The table with ranks after the suggested classes, and probabilities after the suspicion, if it is there."""
    import pyarrow as pa

    if "suspicion" in table.column_names:
        p_wrong = pa.array(probability_wrong(table["suspicion"].to_numpy(), wrong))
        table = table.add_column(table.column_names.index("suspicion") + 1, "p_wrong", p_wrong)
    return table.add_column(table.column_names.index("suggested") + 1, "rank", rank)


def _arrow(name: str, values: np.ndarray) -> Any:
    import pyarrow as pa

    if name in TEXTS:
        return pa.array(values.tolist(), pa.string())
    return pa.array(values, pa.int64() if name in ("row", "target", "prediction", "suggested") else pa.float64())


def _write_parquet(tables: Iterator[Any], path: Path) -> None:
    import pyarrow.parquet as pq

    first = next(tables)
    with pq.ParquetWriter(path, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(table)


def _write_csv(tables: Iterator[Any], path: Path) -> None:
    import pyarrow.csv as pc

    first = _without_formulas(next(tables))
    with pc.CSVWriter(path, first.schema) as writer:
        writer.write_table(first)
        for table in tables:
            writer.write_table(_without_formulas(table))


def _without_formulas(table: Any) -> Any:
    """The table with what is written about the examples made harmless for a spreadsheet."""
    import pyarrow as pa

    for name in TEXTS:
        if name in table.column_names:
            texts = pa.array([harmless(text) for text in table[name].to_pylist()], pa.string())
            table = table.set_column(table.column_names.index(name), name, texts)
    return table
