"""Single rows of a dump: what a row says, what a change of its label would do, and rows as a table of the app."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from xent_core.dump import Dump, DumpSummary, LossOptions, Scores, score
from xent_core.problem import Problem
from xent_ui.state.sheet import MAX_CLASSES, InvalidSheet, Sheet, sheet_of
from xent_ui.text import _

MAX_WIDE_ROWS = MAX_CLASSES // 2  # in a table that cannot hold every class: each row brings two classes of its own
HALF_PRECISION_BYTES = 2  # of float16 and bfloat16


@dataclass(frozen=True, eq=False)
class RowDetail:
    """One row, and what a change of it would do; made by `row_detail`.

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


def row_detail(dump: Dump, row: int, summary: DumpSummary) -> RowDetail | None:
    r"""What one row of the dump says; None if it is ignored.

    With Σ = L·D the sum behind the loss L, ℓ and m the row's loss and what it adds to the denominator D:
    without the row L is (Σ − ℓ)/(D − m), with another label (Σ − ℓ + ℓ')/(D − m + m').
    Reductions other than "mean" have D = 1, whatever the rows.
    """
    batch = dump.read_rows([row])
    scores = score(batch, summary.options)
    if not len(scores.row):
        return None
    other = score(batch.relabelled(scores.suggested.clone()), summary.options)
    is_mean = summary.options.reduction == "mean"
    loss, mass = float(scores.loss.double()), float(scores.mass) if is_mean else 0.0
    other_loss, other_mass = float(other.loss.double()), float(other.mass) if is_mean else 0.0
    total, denominator = summary.loss * summary.denominator, summary.denominator
    total_norm = float(summary.grad_norm_histogram.sums.sum())
    return RowDetail(
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
    logits = batch.logits.float() if batch.logits.element_size() == HALF_PRECISION_BYTES else batch.logits
    labels, weight = batch.target, options.weight
    names = [summary.name_of(c) for c in range(dump.classes)] if dump.classes <= MAX_CLASSES else []
    is_cut = not names
    if is_cut:
        if batch.target_probs is not None:
            raise InvalidSheet(
                _("{classes} classes with probabilities as labels came, expected at most {limit} on a table.").format(
                    classes=dump.classes, limit=MAX_CLASSES
                )
            )
        if len(rows) > MAX_WIDE_ROWS:
            raise InvalidSheet(
                _("{rows} rows of {classes} classes came, expected at most {limit}. Choose fewer.").format(
                    rows=len(rows), classes=dump.classes, limit=MAX_WIDE_ROWS
                )
            )
        classes = _classes_that_matter(logits, labels, options)
        names = [*(summary.name_of(c) for c in classes.tolist()), _("all others")]
        logits = _with_others_summed(logits, classes, options.temperature)
        column = torch.full((dump.classes,), -1)
        column[classes] = torch.arange(len(classes))
        labels = labels.where(labels == options.ignore_index, column[labels.clamp(0, dump.classes - 1)])
        weight = None if weight is None else torch.cat([weight[classes], weight.new_ones(1)])
    weight = None if weight is None else weight.to(logits.dtype)
    if batch.target_probs is not None:
        labels = batch.target_probs.to(logits.dtype)
    problem = Problem.of(logits, labels, replace(options, weight=weight))
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
