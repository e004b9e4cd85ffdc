"""What makes the mean divide by 0, by nothing finite, or by another number than the rows: weights and ignored rows."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from xent_core.doctor.findings import Finding, finding
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.wording import integer_text, number_text
from xent_core.language import _

# Σw may differ from the number of rows by this much of it before the two means differ in four decimals
WEIGHT_TOLERANCE = 1e-4


def weight_values(call: Call) -> Iterator[Finding]:
    """Weights that are negative or not finite."""
    assert call.options.weight is not None
    odd = ~(call.options.weight.isfinite() & (call.options.weight >= 0))
    if bool(odd.any()):
        c = int(odd.nonzero()[0])
        yield finding(
            "weight-value",
            "warning",
            _("weight[{c}] is {value}. One such class makes the loss meaningless in every batch that has it.").format(
                c=c, value=number_text(call.options.weight[c])
            )
            + " "
            + _("A weight of 1/count is infinite for a class that was never counted."),
            "weight = weight.nan_to_num(nan=1.0, posinf=1.0).clamp(min=0)",
        )


def all_ignored(call: Call) -> Iterator[Finding]:
    """No row is kept."""
    rows = call.kept.numel()
    if rows and call.num_kept:
        came = _("The logits have no classes.")
    elif rows:
        came = _("Every row has the target {index}, which is ignore_index (rows: {rows}).").format(
            rows=rows, index=integer_text(call.options.ignore_index)
        )
    else:
        came = _("There is no row.")
    if call.options.reduction == "mean":
        yield finding(
            "all-ignored",
            "warning",
            came
            + " "
            + _("The mean divides 0 by 0, so the loss is NaN, though the gradient is 0; it spoils every running mean.")
            + " "
            + _('With reduction="sum" the loss is 0; divide it by the number of kept rows where there are any.'),
            'reduction = "sum"  # then divide by (target != ignore_index).sum().clamp(min=1)',
        )
    else:
        yield finding(
            "all-ignored",
            "note",
            came + " " + _("The loss is 0, and no logit gets a gradient."),
            "print((target == ignore_index).sum())",
        )


def weighted_mean(call: Call) -> Iterator[Finding]:
    """A mean that divides by Σw and not by the number of kept rows."""
    kept, total = call.num_kept, float(call.kept_weight.sum())
    if not math.isfinite(total):
        return  # weight-value says it
    if total == 0:
        yield finding(
            "zero-total-weight",
            "warning",
            _(
                "Every kept row has a label of weight 0 (rows: {kept}), so that the mean divides by 0: the loss is NaN."
            ).format(kept=kept)
            + " "
            + _("Sum, and divide by Σw where it is above 0."),
            'reduction = "sum"  # then divide by weight[target[target != ignore_index]].sum() where that is above 0',
        )
        return
    if abs(total / kept - 1) <= WEIGHT_TOLERANCE:
        return
    fix = 'reduction = "sum"  # then divide by (target != ignore_index).sum()'
    if kept == 1:
        yield finding(
            "weighted-mean-denominator",
            "warning" if call.options.smoothing == 0 else "note",
            _("One row is kept, and its weight is {weight}: the mean multiplies by it and divides by it.").format(
                weight=number_text(total)
            )
            + " "
            + _("So the weight changes neither the loss nor the gradient, as with every batch of one."),
            fix,
        )
        return
    cancels = call.kept_weight.min() == call.kept_weight.max()
    yield finding(
        "weighted-mean-denominator",
        "note",
        _("The mean divides by Σw = {total}, the weights of the {kept} kept rows, and not by their number.").format(
            total=number_text(total), kept=kept
        )
        + " "
        + (
            _("As all of them weigh the same, the weight cancels.")
            if cancels
            else _("The same labels as probabilities would be divided by N = {rows}.").format(rows=call.num_rows)
        ),
        fix,
    )


def micro_batches(call: Call, counts: Sequence[int]) -> Iterator[Finding]:
    """Means of micro-batches of different sizes, whose mean is not that of their rows."""
    filled = [count for count in counts if count]
    if call.options.reduction != "mean" or len(set(counts)) < 2 or not filled:
        return
    words = _("The micro-batches keep {least} to {most} rows.").format(least=min(counts), most=max(counts))
    if len(filled) < len(counts):
        words += " " + _("The mean of one without a row is NaN.")
    if min(filled) < max(filled):
        words += " " + _("In the mean of their means a row of the smallest counts {times} times as much.").format(
            times=number_text(max(filled) / min(filled))
        )
    yield finding(
        "micro-batch-denominators",
        "warning",
        words + " " + _("Add up the sums, and divide by all {total} rows.").format(total=sum(counts)),
        f'reduction = "sum"  # and loss / {sum(counts)} before backward()',
    )
