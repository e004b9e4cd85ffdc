"""One pass over the rows of a dump: what is counted batch by batch, in this process or for a part of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch

from xent_core.dump.epochs import Epochs
from xent_core.dump.label_model import LabelCounts, LabelModel, count_labels
from xent_core.dump.readers import Batch, Dump
from xent_core.dump.scores import kept_rows, score
from xent_core.dump.scores_table import columns_of
from xent_core.dump.sources import DumpSource
from xent_core.dump.statistics import Statistics
from xent_core.dump.temperature import Slope, slope_of
from xent_core.loss_options import LossOptions


class Stopped(Exception):  # not a mistake
    """Somebody asked for the pass to end here."""


@dataclass(frozen=True)
class Work:
    """What every worker needs to know.

    Attributes:
      source: which dump.
      options: of the loss.
      batch_rows: how many rows at a time.
      device: where they are computed.
      rank_by: which of RANKINGS says who the suspects are.
      labels: what a first pass has said of the classes, for the suspicion; None if that is not wanted.
      epochs: what earlier passes over several epochs have said of the rows; None if there is but one dump.
    """

    source: DumpSource
    options: LossOptions
    batch_rows: int
    device: str
    rank_by: str
    labels: LabelModel | None = None
    epochs: Epochs | None = None


Columns = dict[str, np.ndarray]
StatisticsCallback = Callable[[int, Callable[[], Statistics]], None]


class Runner(Protocol):
    """Where the rows are counted: in this process, or on a cluster."""

    def statistics(
        self, dump: Dump, work: Work, write: Callable[[Columns], None] | None, on_progress: StatisticsCallback
    ) -> Statistics:
        """One pass over all rows; `write` gets the columns of the scores in the order of the dump."""
        ...

    def label_counts(
        self, dump: Dump, work: Work, gaps: torch.Tensor, on_progress: Callable[[int], None]
    ) -> LabelCounts:
        """One pass over all rows for what is known of the classes."""
        ...

    def slope(self, dump: Dump, work: Work, beta: float, on_progress: Callable[[int], None]) -> Slope:
        """One pass over all rows for the temperature."""
        ...

    def close(self) -> None:
        """Ends what was begun for this run."""
        ...


class Local:
    """Counts in this process, batch by batch."""

    def statistics(
        self, dump: Dump, work: Work, write: Callable[[Columns], None] | None, on_progress: StatisticsCallback
    ) -> Statistics:
        """One pass over all rows, or as many as there were before somebody asked to stop."""
        return count(dump, work, 0, dump.rows, write, on_progress)

    def label_counts(
        self, dump: Dump, work: Work, gaps: torch.Tensor, on_progress: Callable[[int], None]
    ) -> LabelCounts:
        """One pass over all rows."""
        return labels_between(dump, work, 0, dump.rows, gaps, on_progress)

    def slope(self, dump: Dump, work: Work, beta: float, on_progress: Callable[[int], None]) -> Slope:
        """One pass over all rows."""
        return slope_between(dump, work, 0, dump.rows, beta, on_progress)

    def close(self) -> None:
        """Nothing was begun."""


def count(
    dump: Dump,
    work: Work,
    start: int,
    stop: int,
    write: Callable[[Columns], None] | None = None,
    on_progress: StatisticsCallback | None = None,
) -> Statistics:
    """The statistics of rows start … stop − 1; whole batches only, when `on_progress` asks to stop."""
    statistics = Statistics(dump.classes, work.device, work.rank_by)
    labels = None if work.labels is None else work.labels.to(work.device)
    scratch: dict[str, torch.Tensor] = {}
    try:
        for batch in dump.batches(work.batch_rows, start, stop, is_written=write is not None):
            scores = score(
                on_device(batch, work.device),
                work.options,
                labels,
                scratch=scratch,
                calibration=statistics.bins_by_class,
                keep_probabilities=statistics.keeps_probabilities,
            )
            if work.epochs is not None:
                scores = work.epochs.added_to(scores)
            statistics.update(len(batch.rows), scores)
            if write is not None:
                write(columns_of(scores))
            if on_progress is not None:
                on_progress(int(batch.rows[-1]) + 1, lambda: statistics)
    except Stopped:
        pass
    return statistics


def labels_between(
    dump: Dump,
    work: Work,
    start: int,
    stop: int,
    gaps: torch.Tensor,
    on_progress: Callable[[int], None] | None = None,
) -> LabelCounts:
    """What is counted of the classes over rows start … stop − 1."""
    gaps = gaps.to(work.device)
    total = LabelCounts.zero(dump.classes, work.device)
    for batch in dump.batches(work.batch_rows, start, stop, is_written=False):
        total += labels_of(on_device(batch, work.device), work.options, gaps)
        if on_progress is not None:
            on_progress(int(batch.rows[-1]) + 1)
    return total


def labels_of(batch: Batch, options: LossOptions, gaps: torch.Tensor) -> LabelCounts:
    """What is counted of the classes over one batch."""
    batch = kept_rows(batch, options.ignore_index)
    return count_labels(batch.logits, batch.target, options.temperature, gaps)


def slope_between(
    dump: Dump, work: Work, start: int, stop: int, beta: float, on_progress: Callable[[int], None] | None = None
) -> Slope:
    """The sums for the temperature over rows start … stop − 1."""
    total = Slope()
    for batch in dump.batches(work.batch_rows, start, stop, is_written=False):
        total += slope_of(on_device(batch, work.device), work.options, beta)
        if on_progress is not None:
            on_progress(int(batch.rows[-1]) + 1)
    return total


def on_device(batch: Batch, device: str) -> Batch:
    """The batch where it is computed; its rows' numbers and names stay behind."""
    return batch if device == "cpu" else batch.with_tensors(lambda part: part.to(device))
