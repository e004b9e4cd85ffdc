"""The analysis of a dump in a thread: how far it is, its summary, and what is read from the dump again after it."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

from xent_core.columns import LogitsAre
from xent_core.dump import (
    Choice,
    Dump,
    DumpSummary,
    Examples,
    LossOptions,
    PairDetail,
    Progress,
    Selection,
    ShownExample,
    analyse,
    open_dump,
    pair_detail,
    select,
)
from xent_core.dump.decisions import Decisions, Effect, FoundRows, effect, find_rows
from xent_core.dump.epochs import epochs_of
from xent_core.dump.ranking import RankBy
from xent_ui.server import job_pool
from xent_ui.server.job_pool import Job
from xent_ui.server.limits import limits
from xent_ui.server.uploads import dump_limits
from xent_ui.state.sheet import Sheet
from xent_ui.your_logits.single_rows import RowDetail, row_detail, sheet_of_rows

SECONDS_BETWEEN_SUMMARIES = 1.0
FIRST_EXAMPLES = 24  # that are seen as soon as it is done


@dataclass(frozen=True)
class AnalysisRequest:
    """Which dump, and which loss.

    Attributes:
      name: what the visitor calls the dump.
      identity: two requests with the same identity and options give the same summary.
      logits, target, logits_are: as in `open_dump`; target is None if the labels lie with the logits.
      options: of the loss.
      columns: what is said of the columns: names of arguments of `open_dump`, and their values.
      rank_by, epochs: as in `analyse`.
      newest: of several uploaded files, the name of the one that came last.
    """

    name: str
    identity: tuple[str, ...]
    logits: Any = field(compare=False)
    target: Any = field(compare=False)
    logits_are: LogitsAre | None
    options: LossOptions
    columns: tuple[tuple[str, Any], ...] = ()
    rank_by: RankBy | None = None
    epochs: bool | None = None
    newest: str = field(default="", compare=False)

    @property
    def looked_at(self) -> tuple[Any, Any]:
        """Logits and target of which single rows are read again: those of the last epoch, if there are several."""
        if not self.epochs:
            return self.logits, self.target
        last = epochs_of(self.logits, self.target)[-1]
        return last.logits, last.target


@dataclass(eq=False)
class DumpAnalysis:
    """An analysis in a thread, so that a page can show how far it is, and stop it; the scores lie in a file.

    Raises: QueueFull.

    Attributes:
      request: what is analysed.
      progress: the last that was told of it; None before the first batch.
      partial: the summary of the rows so far, a few seconds old at most; None before the first.
      pair_detail: the count of single classes inside one cell of the matrix, running or last; None before the first.
    """

    request: AnalysisRequest
    progress: Progress | None = None
    partial: DumpSummary | None = None
    pair_detail: PairDetailRun | None = None
    job: Job[DumpSummary] = field(init=False)
    _dump: Dump | None = None
    _folder: TemporaryDirectory[str] = field(init=False)
    _summed_at: float = field(default_factory=time.monotonic)
    _selection: tuple[tuple[Choice, str], Selection] | None = None
    _row_detail: tuple[int, RowDetail | None] | None = None
    _examples: Examples | None = None
    _effect: tuple[Decisions, Effect] | None = None
    _reading: Lock = field(default_factory=Lock)  # a run of the page that was superseded may still read

    def __post_init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="xent-scores-", ignore_cleanup_errors=True)
        try:
            self.job = job_pool.POOL.submit(self._analyse)
        except job_pool.QueueFull:
            self._folder.cleanup()
            raise

    @property
    def _scores(self) -> Path:
        return Path(self._folder.name) / "scores.parquet"

    @property
    def _written_scores(self) -> Path:
        """The table, or that of the first rows if the run was stopped."""
        return self.summary.scores or self._scores

    def _analyse(self, job: Job[DumpSummary]) -> DumpSummary:
        request = self.request
        summary = analyse(
            request.logits,
            request.target,
            logits_are=request.logits_are,
            limits=dump_limits(),
            sandboxed=limits().is_public,
            scores=self._scores,
            rank_by=request.rank_by,
            epochs=request.epochs,
            progress=partial(self._note, job),
            options=request.options,
            **dict(request.columns),
        )
        if summary.reading.shows_examples and not job.should_stop():
            self.show_page(summary.suspects.row.tolist(), slice(0, FIRST_EXAMPLES))
        return summary

    def _note(self, job: Job[DumpSummary], progress: Progress) -> bool:
        self.progress = progress
        if progress.stage == "rows" and time.monotonic() - self._summed_at > SECONDS_BETWEEN_SUMMARIES:
            # here, between two batches, nobody else changes the sums
            self.partial = progress.summary()
            self._summed_at = time.monotonic()
        return job.should_stop()

    @property
    def summary(self) -> DumpSummary:
        """What the dump says, or its first rows if it was stopped. Raises: what `Job.result` does."""
        return self.job.result()

    def selection(self, choice: Choice, rank_by: str) -> Selection:
        """What these of its rows say, the suspects in this order."""
        if self._selection is None or self._selection[0] != (choice, rank_by):
            found = select(self._written_scores, choice, self.summary.groups, rank_by=rank_by)
            self._selection = (choice, rank_by), found
        return self._selection[1]

    def first_rows(self, choice: Choice, rank_by: str, count: int) -> Selection:
        """The selection with so many suspects, for a file."""
        return select(self._written_scores, choice, self.summary.groups, first=count, rank_by=rank_by)

    @property
    def size_bytes(self) -> int:
        """Of the uploaded files, packed or not: what it may take to read a row again. 0 for files of this computer."""
        given = self.request.looked_at
        files = [file for part in given for file in (part if isinstance(part, list) else [part])]
        return sum(getattr(file, "size", 0) for file in files)

    def has_read(self, row: int) -> bool:
        """Whether `row_detail` of this row is known already."""
        return self._row_detail is not None and self._row_detail[0] == row

    def row_detail(self, row: int) -> RowDetail | None:
        """What one row says; None if it is ignored."""
        with self._reading:
            if self._row_detail is None or self._row_detail[0] != row:
                with self._looking() as dump:
                    self._row_detail = row, row_detail(dump, row, self.summary)
            return self._row_detail[1]

    def show(self, rows: Sequence[int]) -> list[ShownExample]:
        """These examples, with their pictures and texts. Raises: InvalidDump, OSError."""
        with self._reading, self._looking_at_examples() as examples:
            return examples.show(rows)

    def show_page(self, rows: Sequence[int], page: slice) -> list[ShownExample]:
        """Some examples of a list that is looked at page by page: what is read in one pass is read for all of it."""
        with self._reading, self._looking_at_examples() as examples:
            if not examples.holds(rows[page]):
                examples.read_ahead(rows[page.start :])
            return examples.show(rows[page])

    def has_shown(self, rows: Sequence[int]) -> bool:
        """Whether these examples are shown without reading the dump."""
        return self._examples is not None and self._examples.holds(rows)

    def find_rows(self, rows: Collection[int], ids: Collection[str] = ()) -> FoundRows:
        """Labels and names of these rows out of the table of scores."""
        return find_rows(self._written_scores, rows, ids)

    def effect(self, decisions: Decisions) -> Effect:
        """What the decisions change. Raises: InvalidDump, OSError."""
        with self._reading:
            if self._effect is None or self._effect[0] != decisions:
                with self._looking() as dump:
                    self._effect = decisions, effect(dump, self.summary, decisions)
            return self._effect[1]

    def sheet(self, rows: list[int]) -> tuple[Sheet, bool]:
        """Some rows as a table, as `sheet_of_rows` gives it."""
        with self._reading, self._looking() as dump:
            return sheet_of_rows(dump, rows, self.summary)

    def start_pair_detail(self, label: int, prediction: int) -> None:
        """Counts the single classes of these two groups, which reads the dump again. Raises: QueueFull."""
        if self.pair_detail is not None:
            self.pair_detail.job.stop()
            self.pair_detail = None
        members = self.summary.groups.members
        self.pair_detail = PairDetailRun(members(label), members(prediction), self.summary, self.open)

    @contextmanager
    def _looking(self) -> Iterator[Dump]:
        """The dump, opened once more to read single rows; afterwards no process reads it, whatever was met."""
        if self._dump is None:
            self._dump = self.open()
        try:
            yield self._dump
        finally:
            self._dump.rest()

    @contextmanager
    def _looking_at_examples(self) -> Iterator[Examples]:
        with self._looking() as dump:
            if self._examples is None:
                self._examples = Examples(dump)
            yield self._examples

    def open(self) -> Dump:
        """The dump, for whoever closes it."""
        return open_dump(
            *self.request.looked_at,
            ignore_index=self.request.options.ignore_index,
            logits_are=self.request.logits_are or "logits",  # the visitor has said by now
            **dict(self.request.columns),
            limits=dump_limits(),
            sandboxed=limits().is_public,
        )

    def end(self) -> None:
        """Stops it, closes the dump, and removes the file of scores."""
        self.job.stop()
        if self.pair_detail is not None:
            self.pair_detail.job.stop()
        with self._reading:
            if self._dump is not None:
                self._dump.close()
                self._dump = self._examples = None
        self.job.future.add_done_callback(lambda _future: self._folder.cleanup())


class PairDetailRun:
    """The single classes inside one cell of the matrix of groups, counted in a thread. Raises: QueueFull.

    Attributes:
      labels, logits: the classes of its rows and columns.
      rows, total_rows: how many of the dump have been read.
    """

    def __init__(self, labels: range, logits: range, summary: DumpSummary, opened: Callable[[], Dump]) -> None:
        self.labels, self.logits = labels, logits
        self.rows, self.total_rows = 0, summary.total_rows
        self.job = job_pool.POOL.submit(partial(self._read, summary.options, opened))

    def _read(self, options: LossOptions, opened: Callable[[], Dump], job: Job[PairDetail]) -> PairDetail:
        with opened() as dump:
            return pair_detail(dump, self.labels, self.logits, options, progress=partial(self._note, job))

    def _note(self, job: Job[PairDetail], rows: int) -> bool:
        self.rows = rows
        return job.should_stop()
