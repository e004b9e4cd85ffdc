"""Probabilities as targets: rows that are marked, negative or do not sum to 1."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from xent_core.doctor.findings import Finding, finding
from xent_core.doctor.fixes import keep_soft_rows
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.wording import number_text
from xent_core.language import _
from xent_core.probability_tolerances import NEGATIVE_TOLERANCE, SUM_TOLERANCE

# the usual marks of rows that are to be left out
MARKS = (-100, -1)


def soft_target(call: Call) -> Iterator[Finding]:
    """Rows that are marked, negative or do not sum to 1: what PyTorch never checks."""
    y = call.target
    info = torch.finfo(y.dtype)
    tolerance = SUM_TOLERANCE + info.eps
    sums, lowest, highest = (torch.empty(call.kept.shape, dtype=torch.float64) for _array in range(3))
    for piece in call.pieces():
        part = y[piece]
        sums[piece] = part.sum(1, dtype=torch.promote_types(y.dtype, torch.float32)).double()
        lowest[piece], highest[piece] = part.amin(1).double(), part.amax(1).double()
    constant = lowest == highest
    zero = constant & (lowest == 0)
    marked = torch.zeros_like(constant)
    for mark in {call.options.ignore_index, *MARKS}:
        marked |= constant & (lowest == mark)
    # without smoothing a row of zeros adds 0 to a sum, which is what was meant
    counts = zero if call.options.reduction == "mean" or call.options.smoothing > 0 else torch.zeros_like(zero)
    if bool((marked | counts).any()):
        yield _masked_soft_rows(call, marked, counts)
    plain = ~(marked | zero)
    negative = plain & (lowest < -(NEGATIVE_TOLERANCE + info.smallest_normal))
    if bool(negative.any()):
        place = negative.nonzero()[0]
        yield finding(
            "soft-target-negative",
            "warning",
            _("Rows of the target with a negative number: {count}; {row} goes down to {lowest}.").format(
                count=int(negative.sum()), row=call.place(negative), lowest=number_text(lowest[tuple(place)])
            )
            + " "
            + _("Such a loss has no lower bound: the logit of that class is pushed down for ever."),
            f"target = target.clamp(min=0)\ntarget = target / target.sum(dim={call.axis}, keepdim=True)",
        )
    off = plain & ~((sums - 1).abs() <= tolerance)
    if bool(off.any()):
        yield _not_normalised(call, sums, off, tolerance)


def _masked_soft_rows(call: Call, marked: Tensor, zero: Tensor) -> Finding:
    parts = []
    if bool(marked.any()):
        place = tuple(marked.nonzero()[0])
        value = call.target.movedim(1, -1)[place][0]
        parts.append(
            _("Rows of probabilities filled with {value}: {count}, the first is {row}.").format(
                count=int(marked.sum()), value=number_text(value), row=call.place(marked)
            )
        )
        parts.append(_("ignore_index has no effect on probabilities: the loss is −Σ y·log p with these numbers as y."))
    if bool(zero.any()):
        parts.append(
            _("Rows of probabilities that are all 0: {count}, the first is {row}.").format(
                count=int(zero.sum()), row=call.place(zero)
            )
        )
        if call.options.smoothing > 0:
            parts.append(
                _("label_smoothing fills them with ε/C = {share}, so that they pull on the logits.").format(
                    share=number_text(call.options.smoothing / call.num_classes)
                )
            )
        if call.options.reduction == "mean":
            parts.append(
                _("They add no loss, but the mean still divides by all {rows} rows.").format(rows=call.num_rows)
            )
    if call.one_row:
        return finding("soft-target-masked-rows", "warning", " ".join(parts), "print(target)  # leave this row out")
    fix = f"keep = (target > 0).any(dim=1)\n{keep_soft_rows(call.logits)}"
    return finding("soft-target-masked-rows", "warning", " ".join(parts), fix)


def _not_normalised(call: Call, sums: Tensor, off: Tensor, tolerance: float) -> Finding:
    total = sums[tuple(off.nonzero()[0])]
    words = [
        _("Rows of the target that do not sum to 1: {count} of {rows}; the sum of {row} is {total}.").format(
            count=int(off.sum()), rows=call.num_rows, row=call.place(off), total=number_text(total)
        )
    ]
    if not bool(sums[off].isfinite().all()):
        words.append(_("NaN or infinity among the probabilities makes the loss NaN or infinite."))
        fix = f"keep = target.isfinite().all(dim=1)\n{keep_soft_rows(call.logits)}"
        return finding(
            "soft-target-not-normalised", "warning", " ".join(words), "print(target)" if call.one_row else fix
        )
    words.append(_("The gradient of such a row is S·p − y, with S the sum: it vanishes nowhere near p = y."))
    fix = f"target = target / target.sum(dim={call.axis}, keepdim=True)"
    last = call.target.sum(-1, dtype=torch.float64) if call.target.dim() > 2 else sums
    if call.target.dim() > 2 and bool(((last - 1).abs() <= tolerance).all()):
        words.append(_("They do sum to 1 over the last axis: the classes belong on axis 1, in logits and target."))
        fix = "logits, target = logits.movedim(-1, 1), target.movedim(-1, 1)"
    return finding("soft-target-not-normalised", "warning", " ".join(words), fix)
