"""The analysis of a dump in a thread of its own, and what follows for single rows of it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import Any

import torch
from torch import Tensor

from xent_core import Problem
from xent_core.dump import (
    Choice,
    Dump,
    DumpLimits,
    DumpSummary,
    LossOptions,
    PairDetail,
    Progress,
    Scores,
    Selection,
    analyse,
    open_dump,
    pair_detail,
    score,
    select,
)
from xent_ui.server import job_pool
from xent_ui.server.job_pool import Job
from xent_ui.server.limits import limits
from xent_ui.state.sheet import MAX_CLASSES, InvalidSheet, Sheet, sheet_of
from xent_ui.text import _

SECONDS_BETWEEN_SUMMARIES = 1.0
MAX_WIDE_ROWS = MAX_CLASSES // 2  # in a table that cannot hold every class: each row brings two classes of its own


@dataclass(frozen=True)
class Question:
    """Which dump, and which loss.

    Attributes:
      name: what the visitor calls the dump.
      identity: two questions with the same identity and options have the same answer.
      logits, target, logits_are: as in `open_dump`; target is None if the labels lie with the logits.
      options: of `analyse`, by name; weight as a tuple.
    """

    name: str
    identity: tuple[str, ...]
    logits: Any = field(compare=False)
    target: Any = field(compare=False)
    logits_are: str | None
    options: tuple[tuple[str, Any], ...]


@dataclass(eq=False)
class Run:
    """An analysis in a thread, so that a page can show how far it is, and stop it; the scores lie in a file.

    Raises: QueueFull.

    Attributes:
      asked: what is analysed.
      progress: the last that was told of it; None before the first batch.
      partial: the summary of the rows so far, a few seconds old at most; None before the first.
      inside: the block of the matrices that is being looked into, or was last.
    """

    asked: Question
    progress: Progress | None = None
    partial: DumpSummary | None = None
    inside: Look | None = None
    job: Job[DumpSummary] = field(init=False)
    _dump: Dump | None = None
    _folder: TemporaryDirectory[str] = field(init=False)
    _summed_at: float = field(default_factory=time.monotonic)
    _selection: tuple[Choice, Selection] | None = None
    _story: tuple[int, RowStory | None] | None = None
    _reading: Lock = field(default_factory=Lock)  # a script that was overtaken may still read

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

    def _analyse(self, job: Job[DumpSummary]) -> DumpSummary:
        asked, most = self.asked, limits()
        return analyse(
            asked.logits,
            asked.target,
            logits_are=asked.logits_are,
            limits=DumpLimits(most.dump_rows, most.dump_logits, most.dump_classes),
            scores=self._scores,
            progress=partial(self._note, job),
            **dict(asked.options),
        )

    def _note(self, job: Job[DumpSummary], progress: Progress) -> bool:
        self.progress = progress
        if progress.stage == "rows" and time.monotonic() - self._summed_at > SECONDS_BETWEEN_SUMMARIES:
            # here, between two batches, nobody else changes the sums
            self.partial = progress.summary()
            self._summed_at = time.monotonic()
        return job.should_stop()

    @property
    def summary(self) -> DumpSummary:
        """What the dump says, or its first rows if the run was stopped. Raises: what `Job.result` does."""
        return self.job.result()

    def selection(self, choice: Choice) -> Selection:
        """What these of its rows say."""
        if self._selection is None or self._selection[0] != choice:
            self._selection = choice, select(self._scores, choice, self.summary.groups)
        return self._selection[1]

    def first_rows(self, choice: Choice, count: int) -> Selection:
        """The same with more suspects, for a file."""
        return select(self._scores, choice, self.summary.groups, first=count)

    def story(self, row: int) -> RowStory | None:
        """What one row says; None if it is ignored."""
        with self._reading:
            if self._story is None or self._story[0] != row:
                self._story = row, story_of(self._opened, row, self.summary)
                self._opened.rest()
            return self._story[1]

    def sheet(self, rows: list[int]) -> tuple[Sheet, bool]:
        """Some rows as a table, as `sheet_of_rows` gives it."""
        with self._reading:
            sheet = sheet_of_rows(self._opened, rows, self.summary)
            self._opened.rest()
            return sheet

    def look(self, label: int, prediction: int) -> None:
        """Begins to look into the block of two groups of classes, which reads the dump again. Raises: QueueFull."""
        if self.inside is not None:
            self.inside.job.stop()
            self.inside = None
        members = self.summary.groups.members
        self.inside = Look(members(label), members(prediction), self.summary, self.open)

    @property
    def _opened(self) -> Dump:
        """The dump, opened once more to read single rows."""
        if self._dump is None:
            self._dump = self.open()
        return self._dump

    def open(self) -> Dump:
        """The dump, for whoever closes it."""
        return open_dump(
            self.asked.logits,
            self.asked.target,
            ignore_index=self.summary.options.ignore_index,
            logits_are=self.asked.logits_are or "logits",  # it has been asked already
        )

    def end(self) -> None:
        """Stops it, closes its files, and removes its own."""
        self.job.stop()
        if self.inside is not None:
            self.inside.job.stop()
        with self._reading:
            if self._dump is not None:
                self._dump.close()
                self._dump = None
        self.job.future.add_done_callback(lambda _future: self._folder.cleanup())


class Look:
    """The classes inside one block of the matrices, counted in a thread. Raises: QueueFull.

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


@dataclass(frozen=True, eq=False)
class RowStory:
    """One row, and what a change of it would do; made by `story_of`.

    Attributes:
      scores: of the row as it is, one entry in each field.
      share: the row's part of Σ‖g_i‖.
      loss_relabelled: its own loss with the suggested label.
      whole_relabelled, whole_dropped: the loss of the whole dump with the suggested label, and without the row.
    """

    scores: Scores
    share: float
    loss_relabelled: float
    whole_relabelled: float
    whole_dropped: float


def story_of(dump: Dump, row: int, summary: DumpSummary) -> RowStory | None:
    r"""What one row of the dump says; None if it is ignored.

    With Σ = L·D the sum behind the loss L, ℓ and m the row's loss and what it adds to the denominator D:
    without the row L is (Σ − ℓ)/(D − m), with another label (Σ − ℓ + ℓ')/(D − m + m').
    Reductions other than "mean" have D = 1, whatever the rows.
    """
    batch = dump.read_rows([row])
    scores = score(replace(batch, logits=batch.logits.clone()), summary.options)
    if not len(scores.row):
        return None
    other = score(replace(batch, target=scores.suggested.clone()), summary.options)
    is_mean = summary.options.reduction == "mean"
    loss, mass = float(scores.loss.double()), float(scores.mass) if is_mean else 0.0
    other_loss, other_mass = float(other.loss.double()), float(other.mass) if is_mean else 0.0
    total, denominator = summary.loss * summary.denominator, summary.denominator
    total_norm = float(summary.grad_norm_histogram.sums.sum())
    return RowStory(
        scores,
        _divided(float(scores.grad_norm), total_norm),
        other_loss,
        _divided(total - loss + other_loss, denominator - mass + other_mass),
        _divided(total - loss, denominator - mass),
    )


def _divided(value: float, by: float) -> float:
    return float(torch.tensor(value, dtype=torch.float64) / by)


def sheet_of_rows(dump: Dump, rows: list[int], summary: DumpSummary) -> tuple[Sheet, bool]:
    """Rows of the dump as a table, and whether some of its logits stand for several classes.

    More classes than a table holds are cut to those that matter most to these rows.
    The last logit then stands for all others: T·ln Σ e^{z/T}, which leaves every probability as it is.

    Raises: InvalidSheet if there are more rows than a table holds.
    """
    batch, options = dump.read_rows(rows), summary.options
    logits = batch.logits.float() if batch.logits.element_size() == 2 else batch.logits
    labels, weight = batch.target, options.weight
    names = [summary.name_of(c) for c in range(dump.classes)] if dump.classes <= MAX_CLASSES else []
    is_cut = not names
    if is_cut:
        if len(rows) > MAX_WIDE_ROWS:
            raise InvalidSheet(
                _("{rows} rows of {classes} classes came, expected at most {limit}. Choose fewer.").format(
                    rows=len(rows), classes=dump.classes, limit=MAX_WIDE_ROWS
                )
            )
        classes = _classes_that_matter(logits, labels, options)
        names = [*(summary.name_of(c) for c in classes.tolist()), _("all others")]
        logits = _with_others_summed(logits, classes, options.temperature)
        place = torch.full((dump.classes,), -1)
        place[classes] = torch.arange(len(classes))
        labels = labels.where(labels == options.ignore_index, place[labels.clamp(0, dump.classes - 1)])
        weight = None if weight is None else torch.cat([weight[classes], weight.new_ones(1)])
    problem = Problem(
        logits,
        labels,
        weight=None if weight is None else weight.to(logits.dtype),
        ignore_index=options.ignore_index,
        reduction=options.reduction,
        label_smoothing=options.label_smoothing,
        temperature=options.temperature,
    )
    row_names = tuple(batch.ids or (_("row {row}").format(row=row) for row in rows))
    try:
        return sheet_of(problem, tuple(names), row_names), is_cut
    except InvalidSheet:  # names that no table can show
        return sheet_of(problem), is_cut


def _classes_that_matter(logits: Tensor, labels: Tensor, options: LossOptions) -> Tensor:
    """The labels, and the most probable others, in the order of the dump; one fewer than a table holds."""
    best = logits.double().softmax(1).nan_to_num(0.0).amax(0)
    best[labels[labels != options.ignore_index]] = 2.0  # a label is never left out
    return best.topk(MAX_CLASSES - 1).indices.sort().values


def _with_others_summed(logits: Tensor, classes: Tensor, temperature: float) -> Tensor:
    others = torch.ones(logits.shape[1], dtype=torch.bool)
    others[classes] = False
    rest = temperature * (logits[:, others].double() / temperature).logsumexp(1, keepdim=True)
    return torch.cat([logits[:, classes], rest.to(logits.dtype)], 1)


def largest_entries(gradient: Tensor, count: int, always: int) -> list[int]:
    """The classes of the largest |g| of one row in the order of the dump, the one named among them."""
    size = gradient.abs().nan_to_num(torch.inf)
    size[always] = torch.inf
    return sorted(size.topk(min(count, len(size))).indices.tolist())
