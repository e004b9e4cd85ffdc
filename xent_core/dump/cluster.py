"""Counts a dump on a Dask cluster: ranges of rows mapped to its workers, and their statistics merged as a tree."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable
from dataclasses import replace
from functools import reduce
from typing import Any

import torch

from xent_core.dump.formats import InvalidDump
from xent_core.dump.label_model import LabelCounts
from xent_core.dump.passes import Columns, StatisticsCallback, Stopped, Work, count, labels_between, slope_between
from xent_core.dump.readers import Dump, open_dump
from xent_core.dump.sources import DumpSource
from xent_core.dump.statistics import Statistics
from xent_core.dump.temperature import Slope
from xent_core.language import _

ELEMENTS_IN_A_TASK = 2**26
MERGED_AT_ONCE = 4
SECONDS_TO_CONNECT = 10


class Cluster:
    """Counts on the workers of a Dask scheduler, which must see the files under the same paths or addresses.

    Every task reads a range of rows and gives sums; a task whose worker died is run again by another.

    Args: scheduler: an address such as tcp://10.0.0.1:8786, or a `distributed.Client`.
    Raises: InvalidDump if there is no `distributed`, or nobody answers at the address.
    """

    def __init__(self, scheduler: Any) -> None:
        try:
            import distributed
        except ImportError as error:
            raise InvalidDump(
                "no-distributed", _("a cluster was asked for"), _("the package distributed"), "pip install distributed"
            ) from error
        self._is_mine = not isinstance(scheduler, distributed.Client)
        try:
            self._client = distributed.Client(scheduler, timeout=SECONDS_TO_CONNECT) if self._is_mine else scheduler
        except (OSError, TimeoutError, ValueError) as error:
            raise InvalidDump(
                "cluster",
                _("nobody answers at {address}").format(address=scheduler),
                _("the address of a Dask scheduler"),
                _("Start one with “dask scheduler”, and on each machine “dask worker ADDRESS”."),
            ) from error

    def statistics(
        self, dump: Dump, work: Work, write: Callable[[Columns], None] | None, on_progress: StatisticsCallback
    ) -> Statistics:
        """One pass over all rows, or the ranges that were counted before somebody asked to stop."""
        ranges, work = _ranges(dump, work), _seen_from_anywhere(work)
        shared = self._client.scatter(work, broadcast=True)  # it may hold matrices of the classes
        tasks = [self._client.submit(_count, shared, *part, write is not None, pure=False) for part in ranges]
        sums = [self._client.submit(_first, task, pure=False) for task in tasks]
        whole = self._tree(_merge, sums)
        done: list[Any] = []
        try:
            for (_start, stop), task, part in zip(ranges, tasks, sums, strict=True):
                if write is None:
                    self._wait(part)
                else:
                    for columns in _result(self._client.submit(_second, task, pure=False)):
                        write(columns)
                done.append(part)
                on_progress(stop, lambda: _result(self._tree(_merge, done)))
        except Stopped:
            whole = self._tree(_merge, done)
        statistics: Statistics = _result(whole)
        return statistics

    def label_counts(
        self, dump: Dump, work: Work, gaps: torch.Tensor, on_progress: Callable[[int], None]
    ) -> LabelCounts:
        """One pass over all rows."""
        ranges, work = _ranges(dump, work), _seen_from_anywhere(work)
        shared = self._client.scatter(gaps, broadcast=True)
        tasks = [self._client.submit(_labels, work, *part, shared, pure=False) for part in ranges]
        total = LabelCounts.zero(dump.classes)
        for (_start, stop), task in zip(ranges, tasks, strict=True):
            total += _result(task)
            on_progress(stop)
        return total

    def slope(self, dump: Dump, work: Work, beta: float, on_progress: Callable[[int], None]) -> Slope:
        """One pass over all rows."""
        ranges, work = _ranges(dump, work), _seen_from_anywhere(work)
        tasks = [self._client.submit(_slope, work, *part, beta, pure=False) for part in ranges]
        total = Slope()
        for (_start, stop), task in zip(ranges, tasks, strict=True):
            total += _result(task)
            on_progress(stop)
        return total

    def close(self) -> None:
        """Lets go of the scheduler, if it was given as an address."""
        if self._is_mine:
            self._client.close()

    def _tree(self, merge: Callable[..., Any], parts: list[Any]) -> Any:
        while len(parts) > 1:
            parts = [
                self._client.submit(merge, *parts[i : i + MERGED_AT_ONCE], pure=False)
                for i in range(0, len(parts), MERGED_AT_ONCE)
            ]
        return parts[0]

    def _wait(self, task: Any) -> None:
        import distributed

        distributed.wait(task)
        if task.status == "error":
            _result(task)  # raises what the worker raised


def _result(task: Any) -> Any:
    """What a worker gives. Raises: InvalidDump, which says that it is a worker's."""
    try:
        return task.result()
    except InvalidDump as error:
        came = _("on a worker of the cluster {came}").format(came=error.came)
        raise InvalidDump(error.code, came, error.expected, error.fix, error.answers) from error
    except Exception as error:  # a worker may lack anything
        raise InvalidDump(
            "worker",
            _("a worker of the cluster failed ({reason})").format(
                reason=f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
            ),
            _("the same versions of Python and of this package on every worker, and memory enough"),
            _("Its log says more: that of “dask worker”."),
        ) from error


PATHS = ("logits", "target", "features", "sample_weight")  # these name files wherever they are no arrays
PERHAPS_PATHS = ("ids", "class_names", "classes", "target_column", "text", "image")


def _seen_from_anywhere(work: Work) -> Work:
    """The same work with absolute paths: a worker has another working directory."""
    source: DumpSource = work.source
    paths = {name: _absolute(getattr(source, name)) for name in PATHS}
    for name in PERHAPS_PATHS:
        value = getattr(source, name)
        is_file = isinstance(value, str | os.PathLike) and os.path.exists(value)
        paths[name] = _absolute(value) if is_file else value
    return replace(work, source=replace(source, **paths))


def _absolute(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_absolute(entry) for entry in value]
    if not isinstance(value, str | os.PathLike) or "://" in os.fspath(value):
        return value
    # a folder stays one, also where its name might be a column's
    return os.path.join(os.path.abspath(value), "") if os.path.isdir(value) else os.path.abspath(value)


def _ranges(dump: Dump, work: Work) -> list[tuple[int, int]]:
    """Every shard by itself, and large ones in parts; the same whatever the number of workers."""
    source = work.source
    for part in (source.logits, source.target, source.features, source.sample_weight, source.ids):
        named = part if isinstance(part, list | tuple) else [part]
        if not all(entry is None or isinstance(entry, str | os.PathLike) for entry in named):
            raise InvalidDump(
                "cluster-source",
                _("the dump of a cluster holds an array or an upload"),
                _("paths or addresses, which every worker opens itself"),
                _("Save the arrays where all workers can read them."),
            )
    step = max(ELEMENTS_IN_A_TASK // dump.classes, work.batch_rows)
    starts = dump.shard_starts
    return [
        (first, min(first + step, stop))
        for start, stop in itertools.pairwise(starts)
        for first in range(start, stop, step)
    ]


def _count(work: Work, start: int, stop: int, with_scores: bool) -> tuple[Statistics, list[Columns]]:
    columns: list[Columns] = []
    with _opened(work) as dump:
        statistics = count(dump, work, start, stop, columns.append if with_scores else None)
    return statistics, columns


def _labels(work: Work, start: int, stop: int, gaps: torch.Tensor) -> LabelCounts:
    with _opened(work) as dump:
        return labels_between(dump, work, start, stop, gaps)


def _slope(work: Work, start: int, stop: int, beta: float) -> Slope:
    with _opened(work) as dump:
        return slope_between(dump, work, start, stop, beta)


def _opened(work: Work) -> Dump:
    source = work.source
    return open_dump(
        source.logits,
        source.target,
        features=source.features,
        sample_weight=source.sample_weight,
        ids=source.ids,
        class_names=source.class_names,
        ignore_index=source.ignore_index,
        classes=source.classes,
        target_column=source.target_column,
        text=source.text,
        image=source.image,
        show=source.show,
        no_header=source.no_header,
        labels_are=source.labels_are,
        logits_are=source.logits_are or "logits",  # whoever asked for the run has been asked about this
    )


def _first(pair: tuple[Any, Any]) -> Any:
    return pair[0]


def _second(pair: tuple[Any, Any]) -> Any:
    return pair[1]


def _merge(first: Statistics, *others: Statistics) -> Statistics:
    # a fresh sum: the parts may be needed again if a worker dies
    return reduce(Statistics.merge, others, Statistics(first.groups.classes, rank_by=first.rank_by).merge(first))
