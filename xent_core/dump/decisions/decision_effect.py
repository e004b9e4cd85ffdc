"""What decisions change of a dump: loss, accuracy and gradient shares, with the new labels and without dropped rows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from xent_core.dump.decisions.decision import Decision, Decisions
from xent_core.dump.readers import Batch, Dump
from xent_core.dump.scores import score
from xent_core.dump.summary import DumpSummary
from xent_core.loss_options import LossOptions


@dataclass(frozen=True, eq=False)
class Whole:
    """The numbers of a whole dump that its labels decide.

    Attributes:
      rows: that are kept.
      loss: in nats, as `F.cross_entropy` has it; of reduction "none" the sum.
      accuracy: share of these rows whose prediction is the label.
      class_share: each label's share of Σ‖g_i‖ over the rows whose gradient is finite, (C,).
    """

    rows: int
    loss: float
    accuracy: float
    class_share: np.ndarray


@dataclass(frozen=True, eq=False)
class Effect:
    """What decisions change; made by `effect`.

    Attributes:
      before, after: without and with them.
      relabelled, dropped: how many rows.
    """

    before: Whole
    after: Whole
    relabelled: int
    dropped: int


def effect(
    dump: Dump, summary: DumpSummary, decisions: Decisions, *, progress: Callable[[int], object] | None = None
) -> Effect:
    r"""What the decisions change of a dump that has been analysed; reads only the rows that are relabelled or dropped.

    .. math:: L' = \frac{\Sigma - \sum_{r}\ell_r(y_r) + \sum_{r\ \text{relabelled}}\ell_r(y'_r)}
                        {D - \sum_{r} m_r(y_r) + \sum_{r\ \text{relabelled}} m_r(y'_r)}

    with Σ = L·D, and for the plain loss ℓ_r(y) = logsumexp(z_r) − z_ry. Shares of the gradient go the same way.
    Where Σ is not finite nothing can be taken off it: then the whole dump is read once more, batch by batch.
    Decisions to keep, or unsure ones, change nothing; rows that the analysis did not reach are left out.

    Args: progress: is told the rows read so far; to stop there, it returns True. Then what is not known is NaN.
    Raises: InvalidDump if rows cannot be read.
    """
    changing = [one for one in decisions if one.decision in ("relabel", "drop") and one.row < summary.rows]
    before = Whole(summary.kept, summary.loss, summary.accuracy, summary.class_share)
    counts = {kind: sum(one.decision == kind for one in changing) for kind in ("relabel", "drop")}
    if not changing:
        after = before
    elif math.isfinite(summary.loss) and not summary.nonfinite:
        after = _by_difference(dump, summary, changing, progress)
    else:
        after = counted_again(dump, summary.options, decisions, rows=summary.rows, progress=progress)
    return Effect(before, after, counts["relabel"], counts["drop"])


def counted_again(
    dump: Dump,
    options: LossOptions,
    decisions: Decisions,
    *,
    rows: int | None = None,
    progress: Callable[[int], object] | None = None,
) -> Whole:
    """The numbers of the dump with the decisions applied, out of all of its rows, batch by batch.

    Args:
      rows: how many are read; None for all.
      progress: as in `effect`.
    """
    sums = _Sums(dump.classes)
    changing = {one.row: one for one in decisions if one.decision in ("relabel", "drop")}
    stop = dump.rows if rows is None else rows
    for batch in dump.batches(stop=stop):
        first, last = int(batch.rows[0]), int(batch.rows[-1])
        here = [one for row, one in changing.items() if first <= row <= last]
        sums.add(_with_labels(batch, here, options.ignore_index, first), options)
        if progress is not None and progress(last + 1) is True and last + 1 < stop:
            return Whole(0, math.nan, math.nan, np.full(dump.classes, np.nan))
    return sums.whole(options)


def _by_difference(
    dump: Dump, summary: DumpSummary, changing: Sequence[Decision], progress: Callable[[int], object] | None
) -> Whole:
    """The sums of the analysis, less the rows as they were, plus the rows as they are to be."""
    options = summary.options
    sums = _Sums(dump.classes)
    sums.kept, sums.loss, sums.mass = summary.kept, summary.loss * summary.denominator, summary.denominator
    sums.support += torch.from_numpy(summary.support)
    sums.correct = int(summary.correct.sum())
    total = float(summary.grad_norm_histogram.sums.sum())
    if total:
        sums.norm += torch.from_numpy(summary.class_share) * total
    step = dump.default_batch_rows()
    in_order = sorted(changing, key=lambda one: one.row)
    for start in range(0, len(in_order), step):
        some = in_order[start : start + step]
        batch = dump.read_rows([one.row for one in some])
        sums.add(batch, options, sign=-1)
        sums.add(_with_labels(batch, some, options.ignore_index), options)
        if progress is not None and progress(start + len(some)) is True:
            return Whole(0, math.nan, math.nan, np.full(dump.classes, np.nan))
    return sums.whole(options)


def _with_labels(batch: Batch, decisions: Sequence[Decision], ignore_index: int, first: int | None = None) -> Batch:
    """The batch with its new labels, and dropped rows ignored; its rows are in the order of the decisions, or begin."""
    target = batch.target.clone()
    for place, one in enumerate(decisions):
        at = place if first is None else one.row - first
        target[at] = one.new if one.new is not None else ignore_index
    return batch.relabelled(target)


class _Sums:
    """Σ over rows of what their labels decide: float64 sums and whole counts."""

    def __init__(self, classes: int) -> None:
        self.kept = self.correct = 0
        self.loss = self.mass = 0.0
        self.support = torch.zeros(classes, dtype=torch.int64)
        self.norm = torch.zeros(classes, dtype=torch.float64)

    def add(self, batch: Batch, options: LossOptions, *, sign: int = 1) -> None:
        """Adds rows, or takes them off."""
        scores = score(batch, options)
        self.kept += sign * len(scores.row)
        self.correct += sign * int((scores.prediction == scores.target).sum())
        self.loss += sign * float(scores.loss.sum())
        if options.reduction == "mean":
            self.mass += sign * float(scores.mass.sum())
        finite = scores.grad_norm.isfinite()
        label = scores.target[finite]
        self.support.index_add_(0, label, torch.full_like(label, sign))
        self.norm.index_add_(0, label, sign * scores.grad_norm[finite])

    def whole(self, options: LossOptions) -> Whole:
        """The numbers; NaN where nothing is left."""
        # a class without rows has no gradient, though a difference of sums may leave a last bit
        norm = self.norm.where(self.support > 0, 0.0).numpy()
        loss, mass = (self.loss, self.mass) if self.kept else (0.0, 0.0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return Whole(
                self.kept,
                float(np.float64(loss) / (mass if options.reduction == "mean" else 1.0)),
                float(np.float64(self.correct) / self.kept),
                norm / norm.sum(),
            )
