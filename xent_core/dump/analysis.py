"""analyse: a pass over the logits and labels of a model, and two or three more for the best temperature."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Unpack

import numpy as np
import torch

from xent_core.array_types import DumpLike, StrPath
from xent_core.columns import LabelsAre, LogitsAre
from xent_core.dump.cluster import Cluster
from xent_core.dump.epochs import Epoch, Epochs, ask_about_epochs, epochs_of, order_of, read_epochs
from xent_core.dump.examples import Examples
from xent_core.dump.file_options import checked_options, given_options, with_those_of_files
from xent_core.dump.formats import DumpLimits, InvalidDump
from xent_core.dump.input_files import input_files
from xent_core.dump.label_model import LabelCounts, LabelModel, usual_gaps
from xent_core.dump.passes import Local, Runner, Stopped, Work, labels_of, on_device
from xent_core.dump.ranking import RANKINGS, RankBy
from xent_core.dump.readers import Batch, Dump, open_dump, sampled_rows
from xent_core.dump.scores import Scores, kept_rows, score
from xent_core.dump.scores_table import ScoresFile, UnwrittenScores, scores_path
from xent_core.dump.statistics import Computed, Statistics
from xent_core.dump.summary import DumpSummary
from xent_core.dump.temperature import SAMPLE_ELEMENTS, BestTemperature, Slope, best_temperature
from xent_core.language import _
from xent_core.loss_options import LossKeywords, LossOptions
from xent_core.values import Value


@dataclass(frozen=True)
class Progress:
    """How far an analysis has come.

    Attributes:
      stage: "epochs" while several epochs are read, whose rows are added up; "labels" while a large dump is read for
        what is known of its classes; "rows" while it is counted; "temperature" while that is looked for, first in a
        sample and then in the whole.
      rows, total_rows: of this stage; the later passes of the temperature start anew.
      seconds: since the stage began.
      summary: gives the summary of the rows so far.
    """

    stage: str
    rows: int
    total_rows: int
    seconds: float
    summary: Callable[[], DumpSummary] = field(compare=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # elsewhere the rows go no further, so that the summary is the one of now
        known = partial(_itself, self.summary())
        return Progress, (self.stage, self.rows, self.total_rows, self.seconds, known)

    @property
    def rate(self) -> float:
        """Rows in a second."""
        return self.rows / self.seconds if self.seconds else math.nan

    @property
    def seconds_left(self) -> float:
        """At this rate."""
        return (self.total_rows - self.rows) / self.rate if self.rows else math.nan


def _itself(summary: DumpSummary) -> DumpSummary:
    return summary


ProgressCallback = Callable[[Progress], object]


def analyse(
    logits: DumpLike,
    target: DumpLike | None = None,
    *,
    options: LossOptions | None = None,
    features: DumpLike | None = None,
    sample_weight: DumpLike | None = None,
    ids: DumpLike | Sequence[str] | None = None,
    class_names: StrPath | Sequence[str] | None = None,
    logits_are: LogitsAre | None = None,
    classes: StrPath | Sequence[str] | None = None,
    target_column: StrPath | None = None,
    text: DumpLike | Sequence[str] | None = None,
    image: DumpLike | Sequence[str] | None = None,
    show: str | Sequence[str] | None = None,
    no_header: bool = False,
    labels_are: LabelsAre | None = None,
    scores: StrPath | None = None,
    overwrite: bool = False,
    rank_by: RankBy | None = None,
    epochs: bool | None = None,
    shown_suspects: int = 0,
    fit_temperature: bool = True,
    batch_rows: int | None = None,
    device: str | None = None,
    cluster: Any = None,
    limits: DumpLimits | None = None,
    sandboxed: bool = False,
    progress: ProgressCallback | None = None,
    **keywords: Unpack[LossKeywords],
) -> DumpSummary:
    """Which examples, classes and class pairs carry the gradient of a model, from its logits and labels on disk.

    Args:
      logits, target, features, sample_weight, ids, class_names, logits_are: as in `open_dump`.
      classes, target_column, text, image, show, no_header, labels_are: as in `open_dump`.
      options: of the loss; the loss of reduction "none" is the sum, whose gradient `backward()` gives.
        A sample's weight multiplies its row loss, and what the row adds to the denominator of "mean".
      scores: a .parquet or .csv file for the table of scores of the kept rows; if the pass is stopped, those of its
        first rows lie beside it, in `NAME.partial.parquet`. `scores` of the summary says where.
      overwrite: whether `scores` may replace a file that is no earlier table of scores; one that is read, never.
      rank_by: what the suspects and the ranks in the table go by: "suspicion", that is, how likely the label is wrong;
        "margin", or of several epochs "aum", the smallest first; "loss", "grad_norm", "el2n" or "entropy", the
        largest first.
        By default the suspicion, and for more than 2^22 (about 4 million) logits the margin, of several epochs "aum".
        So large a dump is read once more for the suspicion, and for the number of wrong labels: only if "suspicion" is
        asked for. Of several epochs the suspicion is its mean over them.
      epochs: True: the logits are several dumps of the same rows, one for each epoch: a list, a pattern, or a folder of
        files or folders. Files are taken in the order of the numbers in their names, which `reading` says; the rows
        are matched by their ids, if there are any, in whatever order, else by their number, and must have the same
        labels. `epochs` of the summary says what all of them say of each row; all else is of the last.
        False: several files are shards of one dump. None: shards, and refused where they may be epochs.
      shown_suspects: so many of the first suspects are read once more, for `shown` of the summary, if the dump has
        texts, pictures or other columns of them.
      fit_temperature: look for the temperature that minimises the loss, which reads the dump two or three times more.
      batch_rows: rows in a batch; by default as many as suit the device. The result does not depend on it.
      device: where to compute: "cpu", "cuda", …; by default an accelerator if there is one; on a cluster "cpu".
      cluster: the address of a Dask scheduler, or its Client, to count on several machines.
      limits: a dump beyond them is refused before it is read.
      sandboxed: read files in a process with limits, as in `open_dump`.
      progress: is told after every batch; to stop there, it returns True. What has been read by then is the result.
      keywords: weight, ignore_index, reduction, label_smoothing and temperature, as in Problem, in place of options.
        What is not given is as a file that Export wrote says, if it is one, which `reading` tells; else PyTorch's.

    Raises: InvalidDump for whatever cannot be read or used; UnwrittenScores, an OSError with the summary in it, where
      the table of scores does not fit the disk.
    It is called as in `analyse("logits.npy", "target.npy").accuracy`.
    """
    given = given_options(options, keywords)
    checked_options(given)
    if device is None:
        device = "cpu" if cluster is not None else default_device()
    check_device(device)
    if rank_by is not None and rank_by not in RANKINGS:
        raise InvalidDump(
            "rank-by",
            _("rank_by is {value}").format(value=repr(rank_by)[:80]),
            _("one of {names}").format(names=", ".join(RANKINGS)),
            _("Leave it out for the default ranking."),
        )
    if batch_rows is not None and (not isinstance(batch_rows, int) or batch_rows < 1):
        raise InvalidDump(
            "batch-rows",
            _("batch_rows is {value}").format(value=batch_rows),
            _("an integer above 0"),
            _("Leave it out."),
        )
    table = None
    if scores is not None:
        sources = (logits, target, features, sample_weight, ids, class_names, classes, target_column, text, image)
        table = scores_path(scores, input_files(sources), overwrite=overwrite)
    _check_epochs(epochs, rank_by, cluster)
    opened = partial(
        open_dump,
        ids=ids,
        class_names=class_names,
        ignore_index=given.get("ignore_index"),
        logits_are=logits_are,
        classes=classes,
        target_column=target_column,
        no_header=no_header,
        labels_are=labels_are,
        match_rows=bool(epochs),
        limits=limits,
        sandboxed=sandboxed,
    )
    series = epochs_of(logits, target) if epochs else [Epoch(logits, target, "")]
    with opened(
        series[-1].logits,
        series[-1].target,
        features=features,
        sample_weight=sample_weight,
        text=text,
        image=image,
        show=show,
    ) as dump:
        if epochs:
            dump.reading = replace(dump.reading, notes=(*dump.reading.notes, order_of(series)))
        elif epochs is None:
            ask_about_epochs(logits, dump)
        options = with_those_of_files(dump, given)
        rank_by = rank_by or (RANKINGS[0] if _fits_sample(dump) else "aum" if epochs else RANKINGS[1])
        work = Work(dump.source, options, batch_rows or dump.default_batch_rows(device), device, rank_by)
        runner: Runner = Local() if cluster is None else Cluster(cluster)
        analysis = _Analysis(dump, work, runner, progress)
        try:
            if epochs:
                analysis.read_epochs(series, lambda one: opened(one.logits, one.target))
            summary = analysis.run(table, fit_temperature)
        finally:
            runner.close()
        if shown_suspects and (dump.reading.shows_examples or dump.has_ids) and summary.stopped is None:
            rows = summary.suspects.row[:shown_suspects].tolist()
            summary = replace(summary, shown=tuple(Examples(dump).show(rows)))
        if analysis.unwritten is not None:
            failure = analysis.unwritten
            raise UnwrittenScores(failure.errno, failure.strerror or "", str(table), summary)
        return summary


def _check_epochs(epochs: bool | None, rank_by: str | None, cluster: Any) -> None:
    """Raises: InvalidDump for what several epochs are needed for, or what cannot be done with them."""
    if rank_by == "aum" and not epochs:
        raise InvalidDump(
            "rank-by",
            _("rank_by is {value} of a single dump").format(value="'aum'"),
            _("several epochs, over which the margin has a mean"),
            _("Give them with --epochs (in Python, epochs=True), or rank by the margin."),
        )
    if epochs and cluster is not None:
        raise InvalidDump(
            "epochs-cluster",
            _("several epochs came, and a cluster"),
            _("epochs on this computer"),
            _("Leave the cluster out."),
        )


def _sampled(dump: Dump) -> int:
    """How many rows are held in memory, at most."""
    return max(SAMPLE_ELEMENTS // dump.classes, 16)


def _fits_sample(dump: Dump) -> bool:
    return dump.rows <= _sampled(dump)


def _sample_of(dump: Dump, device: str) -> Batch:
    return on_device(sampled_rows(dump, _sampled(dump)), device)


class _Analysis:
    """One run of `analyse`: the pass for the classes, if any, that for the statistics, those for the temperature."""

    def __init__(self, dump: Dump, work: Work, runner: Runner, progress: ProgressCallback | None) -> None:
        self._dump, self._work, self._runner, self._progress = dump, work, runner, progress
        self._label_counts: LabelCounts | None = None
        self._scores: Path | None = None
        self.unwritten: OSError | None = None
        self._epochs: Epochs | None = None
        self._looks_for_wrong_labels = work.rank_by == "suspicion" or _fits_sample(dump)

    def read_epochs(self, epochs: Sequence[Epoch], opened: Callable[[Epoch], Dump]) -> None:
        """Reads what several epochs say of each row; nothing is known of them if somebody stopped it."""
        dump, work = self._dump, self._work
        started, total = time.perf_counter(), len(epochs) * dump.rows
        nothing = Statistics(dump.classes, work.device)

        def on_progress(rows: int) -> None:
            seconds = time.perf_counter() - started
            self._tell_progress("epochs", rows, seconds, lambda: self._summary(nothing, seconds), total)

        def label_model(one: Dump) -> LabelModel:
            counts = self._count_labels(one, started)
            self._label_counts = counts if self._label_counts is None else self._label_counts + counts
            return counts.model().to("cpu")

        try:
            self._epochs = read_epochs(
                epochs,
                dump,
                opened,
                temperature=work.options.temperature,
                label_model=label_model if self._looks_for_wrong_labels else None,
                on_progress=on_progress,
            )
        except Stopped:
            work = replace(work, rank_by="margin" if work.rank_by == "aum" else work.rank_by)
        self._work = replace(work, epochs=self._epochs)

    def run(self, scores: Path | None, fit_temperature: bool) -> DumpSummary:
        """The summary; the table of scores is finished before the temperature is looked for."""
        table = None if scores is None else ScoresFile(scores, self._work.rank_by)
        try:
            statistics, seconds = self._counted(table)
        finally:
            if table is not None:
                table.close()
        summary = self._summary(statistics, seconds)
        if not summary.complete:
            return replace(summary, stopped="rows")
        if not (fit_temperature and summary.kept):
            return summary
        try:
            best = self._best_temperature(summary)
        except Stopped:
            return replace(summary, stopped="temperature")
        return self._summary(statistics, summary.seconds, best)

    def _counted(self, table: ScoresFile | None) -> tuple[Statistics, float]:
        """The statistics of the rows, and how long they took; the table is finished."""
        started = time.perf_counter()
        work = self._work
        if self._looks_for_wrong_labels and self._epochs is None:
            work = replace(work, labels=self._label_model(started))

        def on_progress(rows: int, so_far: Callable[[], Statistics]) -> None:
            seconds = time.perf_counter() - started
            self._tell_progress("rows", rows, seconds, lambda: self._summary(so_far(), seconds))

        statistics = self._runner.statistics(self._dump, work, None if table is None else table.write, on_progress)
        if table is not None:
            complete = int(statistics.sums.rows) == self._dump.rows
            self._scores = table.finish(statistics.wrong_labels(), complete=complete)
            self.unwritten = table.failure
        return statistics, time.perf_counter() - started

    @cached_property
    def _sample(self) -> Batch:
        return _sample_of(self._dump, self._work.device)

    def _label_model(self, started: float) -> LabelModel:
        """What a first look says of the classes, or that nothing is known if somebody stopped it."""
        try:
            self._label_counts = self._count_labels(self._dump, started)
        except Stopped:
            return LabelModel.neutral(self._dump.classes)
        return self._label_counts.model()

    def _count_labels(self, dump: Dump, started: float) -> LabelCounts:
        """What is known of the classes; a dump that fits the sample is not read again."""
        work = self._work
        sample = self._sample if dump is self._dump else _sample_of(dump, work.device)
        gaps = usual_gaps(kept_rows(sample, work.options.ignore_index).logits)
        if _fits_sample(dump):
            return labels_of(sample, work.options, gaps)
        nothing = Statistics(dump.classes, work.device)

        def on_progress(rows: int) -> None:
            seconds = time.perf_counter() - started
            self._tell_progress("labels", rows, seconds, lambda: self._summary(nothing, seconds))

        return self._runner.label_counts(dump, work, gaps, on_progress)

    def _best_temperature(self, summary: DumpSummary) -> BestTemperature:
        dump, work = self._dump, self._work
        started = time.perf_counter()

        def on_progress(rows: int) -> None:
            self._tell_progress("temperature", rows, time.perf_counter() - started, lambda: summary)

        def everything(beta: float) -> Slope:
            nonlocal started
            started = time.perf_counter()
            return self._runner.slope(dump, work, beta, on_progress)

        return best_temperature(self._sample, work.options, None if _fits_sample(dump) else everything, on_progress)

    def _tell_progress(
        self, stage: str, rows: int, seconds: float, summary: Callable[[], DumpSummary], total: int | None = None
    ) -> None:
        if self._progress is None:
            return
        if self._progress(Progress(stage, rows, total or self._dump.rows, seconds, summary)) is True:
            raise Stopped

    def _summary(self, statistics: Statistics, seconds: float, best: BestTemperature | None = None) -> DumpSummary:
        dump, options = self._dump, self._work.options
        computed = statistics.compute(options)
        counts = self._label_counts
        matrix = None if counts is None else counts.noise_matrix
        return DumpSummary(
            **{field.name: getattr(computed, field.name) for field in fields(Computed)},
            rank_by=self._work.rank_by,
            looked_for_wrong_labels=self._looks_for_wrong_labels,
            complete=computed.rows == dump.rows,
            total_rows=dump.rows,
            classes=dump.classes,
            class_names=dump.class_names,
            reading=dump.reading,
            dtype=dump.dtype,
            options=options,
            seconds=seconds,
            scores=self._scores,
            best=best,
            noise_matrix=None if matrix is None else matrix.cpu().numpy(),
            cleanlab_noise_matrix=statistics.cleanlab_noise_matrix(),
            epochs=self._epochs,
        )


def default_device() -> str:
    """An accelerator that knows float64, in which everything is summed, or the processor."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    if accelerator is None:
        return "cpu"
    try:
        check_device(accelerator.type)
    except InvalidDump:
        return "cpu"
    return accelerator.type


def check_device(device: str) -> None:
    """Raises: InvalidDump if PyTorch cannot compute there in float64."""
    try:
        torch.empty(0, dtype=torch.float64, device=device)
    except Exception as error:  # a driver may raise anything
        raise InvalidDump(
            "device",
            _("device is {device}").format(device=device),
            _("one that this PyTorch can use, with float64"),
            _("Use cpu, or install PyTorch for that device."),
        ) from error


def scores_of_rows(dump: Dump, rows: list[int], options: LossOptions) -> Scores:
    """The scores of single rows, and their gradients, read from the dump again; ignored rows are left out."""
    return score(dump.read_rows(rows), options)


@dataclass(frozen=True, eq=False)
class PairDetail(Value):
    """One block of the matrices by single classes, read from the dump again; made by `pair_detail`.

    Attributes:
      labels, logits: the classes of its rows and of its columns.
      mean_gradient: mean over the rows of each label of the gradient on each logit.
      confusion: rows by label and prediction.
      support: finite rows of each label.
    """

    labels: range
    logits: range
    mean_gradient: np.ndarray
    confusion: np.ndarray
    support: np.ndarray


def pair_detail(
    dump: Dump, labels: range, logits: range, options: LossOptions, *, progress: Callable[[int], object] | None = None
) -> PairDetail:
    """The matrices for these labels and these logits, class by class; reads the dump once.

    Args:
      labels, logits: ranges of classes, such as `summary.groups.members(group)`.
      progress: is told the rows read so far after every batch; to stop there, it returns True.
    """
    gradient = torch.zeros((len(labels), len(logits)), dtype=torch.float64)
    confusion = torch.zeros((len(labels), len(logits)), dtype=torch.int64)
    support = torch.zeros(len(labels), dtype=torch.int64)
    for batch in dump.batches(is_written=False):
        wanted = ((batch.target >= labels.start) & (batch.target < labels.stop)).nonzero().squeeze(1)
        if len(wanted):
            scores = score(batch.at(wanted), options)
            finite = scores.grad_norm.isfinite()
            label = scores.target - labels.start
            support += torch.bincount(label[finite], minlength=len(labels))
            gradient.index_add_(0, label[finite], scores.grad[finite][:, logits.start : logits.stop])
            inside = (scores.prediction >= logits.start) & (scores.prediction < logits.stop)
            pair = label[inside] * len(logits) + scores.prediction[inside] - logits.start
            confusion += torch.bincount(pair, minlength=confusion.numel()).view_as(confusion)
        if progress is not None and progress(int(batch.rows[-1]) + 1) is True:
            break
    with np.errstate(divide="ignore", invalid="ignore"):
        mean = gradient.numpy() / support.numpy()[:, None]
    return PairDetail(labels, logits, mean, confusion.numpy(), support.numpy())
