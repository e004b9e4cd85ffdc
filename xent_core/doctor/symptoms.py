"""symptoms: what PyTorch takes in silence although it is hardly meant, and what is worth knowing.

One pass over the logits in pieces of a few megabytes finds what is suspicious; only then it is looked at closely.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.doctor.findings import Finding, finding
from xent_core.doctor.fixes import keep_rows, keep_soft_rows
from xent_core.language import _

# numbers in one piece: 16 MiB of float32, small beside the logits and large enough to keep every core busy
PIECE = 2**22
# a sum that should be 1 may be off by what four printed decimals lose; rounding in the dtype comes on top of it
SUM_TOLERANCE = 1e-3
# a probability below −1e-6 is more than rounding; its term in the loss is that times log p
NEGATIVE_TOLERANCE = 1e-6
# Σw may differ from the number of rows by this much of it before the two means differ in four decimals
WEIGHT_TOLERANCE = 1e-4
# a tenth of Σ|∂L/∂z|: rounding loses far less; right and confident rows beside wrong ones lose less too
VANISHED_SHARE = 0.1
# the usual marks of rows that are to be left out
MARKS = (-100, -1)
HALF = (torch.float16, torch.bfloat16)


@dataclass(frozen=True, eq=False)
class Call:
    """A call that PyTorch takes, with logits of at least two axes, (N, C, …); made by `Call.of`."""

    logits: Tensor
    target: Tensor
    weight: Tensor | None
    ignore_index: int
    reduction: str
    smoothing: float
    one_row: bool  # the user's logits have shape (C,)

    @classmethod
    def of(
        cls,
        logits: Tensor,
        target: Tensor,
        *,
        weight: Tensor | None,
        ignore_index: int,
        reduction: str,
        label_smoothing: float,
    ) -> Call:
        """The arguments of F.cross_entropy after `violations` found nothing."""
        one_row = logits.dim() == 1
        if one_row:
            logits, target = logits.unsqueeze(0), target.unsqueeze(0)
        if not target.is_floating_point():
            target = target.long()  # what is uint8 may not hold ignore_index
        smoothing = label_smoothing if label_smoothing > 0 else 0.0
        return cls(logits, target, weight, ignore_index, reduction, smoothing, one_row)

    @property
    def soft(self) -> bool:
        """Whether the target holds probabilities."""
        return self.target.is_floating_point()

    @property
    def axis(self) -> int:
        """The class axis of the user's logits."""
        return 0 if self.one_row else 1

    @property
    def num_classes(self) -> int:
        """C."""
        return self.logits.shape[1]

    @property
    def num_rows(self) -> int:
        """N·d1·…"""
        return self.logits.numel() // self.num_classes if self.num_classes else self.kept.numel()

    @cached_property
    def kept(self) -> Tensor:
        """Which rows count: bool, shaped like the row losses."""
        if self.soft:
            return torch.ones(self.logits.shape[:1] + self.logits.shape[2:], dtype=torch.bool)
        return self.target != self.ignore_index

    @cached_property
    def num_kept(self) -> int:
        """How many rows count."""
        return int(self.kept.sum())

    @cached_property
    def kept_weight(self) -> Tensor:
        """The weight of each kept row, float64, for class indices."""
        labels = self.target[self.kept]
        return torch.ones(len(labels), dtype=torch.float64) if self.weight is None else self.weight.double()[labels]

    @cached_property
    def denominator(self) -> float:
        """D, in float64."""
        if self.reduction != "mean":
            return 1.0
        return float(self.num_rows) if self.soft else float(self.kept_weight.sum())

    def pieces(self) -> Iterator[slice]:
        """Slices of the first axis, each of about PIECE numbers."""
        step = max(1, PIECE * len(self.logits) // max(self.logits.numel(), 1))
        yield from (slice(start, start + step) for start in range(0, len(self.logits), step))

    def row_losses(self, piece: slice, dtype: torch.dtype, logits: Tensor) -> Tensor:
        """The unreduced losses of a piece, weight and logits in this dtype."""
        losses: Tensor = F.cross_entropy(
            logits,
            self.target[piece],
            weight=None if self.weight is None else self.weight.to(dtype),
            ignore_index=self.ignore_index,
            reduction="none",
            label_smoothing=self.smoothing,
        )
        return losses

    def place(self, mask: Tensor) -> str:
        """The first row of a mask that is set, as one would index the row losses."""
        where = mask.nonzero()[0].tolist()
        return _("the only row") if self.one_row else _("row {row}").format(row=_index(where))


@dataclass
class Measures:
    """What one pass over the logits tells."""

    not_finite: bool = False  # some row of the softmax is NaN
    label_is_masked: bool = False  # a kept row's label has the logit −inf
    masked_rows: int = 0  # kept rows with a −inf among other numbers; counted where that matters
    first_masked: tuple[int, ...] = ()
    like_probs: bool = True
    like_log_probs: bool = True
    certain_rows: int = 0  # kept rows whose largest probability is exactly 1
    certain_and_right: int = 0
    share_of_ignored: float = 0.0  # Σ of the probabilities that kept rows give to the class ignore_index


@torch.no_grad()
def symptoms(call: Call) -> Iterator[Finding]:
    """Warnings and notes about a call that PyTorch takes, in no particular order."""
    if call.weight is not None:
        yield from _weight(call)
    if call.num_kept == 0 or call.logits.numel() == 0:
        yield from _all_ignored(call)
        return
    if call.num_classes == 1:
        yield from _single_class(call)
    yield from _ambiguous_axis(call)
    if call.soft:
        yield from _soft_target(call)
    elif call.weight is not None and call.reduction == "mean":
        yield from _weighted_mean(call)
    measures = _measure(call)
    yield from _not_finite(call, measures)
    yield from _masked_classes(call, measures)
    if call.num_classes > 1:
        yield from _already_normalised(call, measures)
        yield from _saturated(call, measures)
    if measures.share_of_ignored > 0:
        yield from _ignored_class(call, measures)
    if call.logits.dtype in HALF:
        yield from _half_precision(call, measures)


def _measure(call: Call) -> Measures:
    """One softmax of every piece into the same memory, and what its largest entries show."""
    measures = Measures()
    logits, kept, soft = call.logits, call.kept, call.soft
    num_classes = call.num_classes
    labels = None if soft else call.target.where(kept, 0).unsqueeze(1)
    all_kept = call.num_kept == kept.numel()
    ignored = call.ignore_index if not soft and 0 <= call.ignore_index < num_classes else None
    buffer = torch.empty(0, dtype=logits.dtype)
    for piece in call.pieces():
        z, keep = logits[piece], kept[piece]
        if buffer.shape != z.shape:
            buffer = torch.empty_like(z, memory_format=torch.contiguous_format)
        probs = torch.softmax(z, 1, out=buffer)
        largest = probs.amax(1)
        if not measures.not_finite and bool(largest.isnan().any()):
            measures.not_finite = True
        certain = largest == 1
        if not all_kept:
            certain &= keep
        count = int(certain.sum())
        measures.certain_rows += count
        if labels is not None:
            label = labels[piece]
            if count:
                measures.certain_and_right += int((certain & (probs.gather(1, label).squeeze(1) == 1)).sum())
            if not measures.label_is_masked:
                at_label = z.gather(1, label).squeeze(1)
                measures.label_is_masked = bool(((at_label == -math.inf) & keep).any())
        if ignored is not None:
            share = probs.select(1, ignored)[keep].double()
            measures.share_of_ignored += float(share[share.isfinite()].sum())
        # one number for the piece is cheaper than one for each row; NaN may hide a −inf
        if (soft or call.smoothing > 0) and not bool(z.min() > -math.inf):
            masked = (z.amin(1) == -math.inf) & keep & ~largest.isnan()
            rows = int(masked.sum())
            if rows and not measures.masked_rows:
                first = masked.nonzero()[0].tolist()
                measures.first_masked = (first[0] + piece.start, *first[1:])
            measures.masked_rows += rows
        if measures.like_probs:
            measures.like_probs = _look_like_probs(z, keep)
        if measures.like_log_probs:
            measures.like_log_probs = _look_like_log_probs(z, keep)
    return measures


def _look_like_probs(z: Tensor, keep: Tensor) -> bool:
    if not bool((z.amin(1) >= 0)[keep].all()):
        return False
    info = torch.finfo(z.dtype)
    # a small number is rounded by half the smallest step of the dtype, a large one by eps
    tolerance = SUM_TOLERANCE + info.eps + z.shape[1] * info.smallest_normal * info.eps
    return bool(((z.double().sum(1) - 1).abs() <= tolerance)[keep].all())


def _look_like_log_probs(z: Tensor, keep: Tensor) -> bool:
    if not bool((z.amax(1) <= 0)[keep].all()):
        return False
    tolerance = SUM_TOLERANCE + math.log(z.shape[1]) * torch.finfo(z.dtype).eps
    return bool((z.double().logsumexp(1).abs() <= tolerance)[keep].all())


def _weight(call: Call) -> Iterator[Finding]:
    assert call.weight is not None
    odd = ~(call.weight.isfinite() & (call.weight >= 0))
    if bool(odd.any()):
        c = int(odd.nonzero()[0])
        yield finding(
            "weight-value",
            "warning",
            _("weight[{c}] is {value}. One such class makes the loss meaningless in every batch that has it.").format(
                c=c, value=_number(call.weight[c])
            )
            + " "
            + _("A weight of 1/count is infinite for a class that was never counted."),
            "weight = weight.nan_to_num(nan=1.0, posinf=1.0).clamp(min=0)",
        )


def _all_ignored(call: Call) -> Iterator[Finding]:
    rows = call.kept.numel()
    if rows and call.num_kept:
        came = _("The logits have no classes.")
    elif rows:
        came = _("Every row has the target {index}, which is ignore_index (rows: {rows}).").format(
            rows=rows, index=_integer(call.ignore_index)
        )
    else:
        came = _("There is no row.")
    if call.reduction == "mean":
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


def _single_class(call: Call) -> Iterator[Finding]:
    target = "target" if call.soft else f"(target != 0).to(logits.dtype).unsqueeze({call.axis})"
    yield finding(
        "single-class",
        "warning",
        _("The logits have shape {shape}, so C = 1: softmax over one class is 1 whatever the logit is.").format(
            shape=_shape(call)
        )
        + " "
        + _("The loss and every gradient are 0 for ever. For yes or no from one logit use binary cross-entropy."),
        f"loss = F.binary_cross_entropy_with_logits(logits, {target})",
    )


def _ambiguous_axis(call: Call) -> Iterator[Finding]:
    shape = list(call.logits.shape)
    if call.soft or call.one_row or len(shape) < 3 or list(call.target.shape) != shape[:-1]:
        return
    losses = [
        float(F.cross_entropy(logits, call.target, ignore_index=call.ignore_index))
        for logits in (call.logits, call.logits.movedim(-1, 1))
    ]
    last = len(shape) - 1
    yield finding(
        "class-axis-ambiguous",
        "warning",
        _(
            "Logits of shape {shape} fit the target with the classes on axis 1, as PyTorch has it, and on axis {last}."
        ).format(shape=_shape(call), last=last)
        + " "
        + _("The plain mean loss is {first} in the one case and {second} in the other; PyTorch cannot tell.").format(
            first=_number(losses[0]), second=_number(losses[1])
        )
        + " "
        + _("Flattened to (rows, C) there is no doubt."),
        "classes = 1  # the axis of the classes; often it is -1\n"
        "logits, target = logits.movedim(classes, -1).flatten(0, -2), target.flatten()",
    )


def _weighted_mean(call: Call) -> Iterator[Finding]:
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
            "warning" if call.smoothing == 0 else "note",
            _("One row is kept, and its weight is {weight}: the mean multiplies by it and divides by it.").format(
                weight=_number(total)
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
            total=_number(total), kept=kept
        )
        + " "
        + (
            _("As all of them weigh the same, the weight cancels.")
            if cancels
            else _("The same labels as probabilities would be divided by N = {rows}.").format(rows=call.num_rows)
        ),
        fix,
    )


def _soft_target(call: Call) -> Iterator[Finding]:
    """Rows that are marked, negative or do not sum to 1: what PyTorch never checks."""
    y = call.target
    info = torch.finfo(y.dtype)
    tolerance = SUM_TOLERANCE + info.eps
    sums, lowest, highest = (torch.empty(call.kept.shape, dtype=torch.float64) for _number_of_three in range(3))
    for piece in call.pieces():
        part = y[piece]
        sums[piece] = part.sum(1, dtype=torch.promote_types(y.dtype, torch.float32)).double()
        lowest[piece], highest[piece] = part.amin(1).double(), part.amax(1).double()
    constant = lowest == highest
    zero = constant & (lowest == 0)
    marked = torch.zeros_like(constant)
    for mark in {call.ignore_index, *MARKS}:
        marked |= constant & (lowest == mark)
    # without smoothing a row of zeros adds 0 to a sum, which is what was meant
    counts = zero if call.reduction == "mean" or call.smoothing > 0 else torch.zeros_like(zero)
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
                count=int(negative.sum()), row=call.place(negative), lowest=_number(lowest[tuple(place)])
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
                count=int(marked.sum()), value=_number(value), row=call.place(marked)
            )
        )
        parts.append(_("ignore_index has no effect on probabilities: the loss is −Σ y·log p with these numbers as y."))
    if bool(zero.any()):
        parts.append(
            _("Rows of probabilities that are all 0: {count}, the first is {row}.").format(
                count=int(zero.sum()), row=call.place(zero)
            )
        )
        if call.smoothing > 0:
            parts.append(
                _("label_smoothing fills them with ε/C = {share}, so that they pull on the logits.").format(
                    share=_number(call.smoothing / call.num_classes)
                )
            )
        if call.reduction == "mean":
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
            count=int(off.sum()), rows=call.num_rows, row=call.place(off), total=_number(total)
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


def _not_finite(call: Call, measures: Measures) -> Iterator[Finding]:
    if not (measures.not_finite or measures.label_is_masked):
        return
    counts = {"NaN": 0, "+∞": 0}
    empty_rows = masked_labels = 0
    first: Tensor | None = None
    for piece in call.pieces():
        z = call.logits[piece]
        nan, inf = z.isnan(), z == math.inf
        empty = (z == -math.inf).all(1)
        masked = torch.zeros_like(empty)
        if not call.soft:
            label = call.target[piece].where(call.kept[piece], 0).unsqueeze(1)
            masked = (z.gather(1, label).squeeze(1) == -math.inf) & call.kept[piece] & ~empty
        counts["NaN"] += int(nan.sum())
        counts["+∞"] += int(inf.sum())
        empty_rows += int(empty.sum())
        masked_labels += int(masked.sum())
        bad = nan.any(1) | inf.any(1) | empty | masked
        if first is None and bool(bad.any()):
            first = torch.cat([torch.zeros((piece.start, *bad.shape[1:]), dtype=torch.bool), bad])
    assert first is not None
    words = [
        _("Logits that are {value}: {count}. They make every probability and gradient of their rows NaN.").format(
            count=count, value=value
        )
        for value, count in counts.items()
        if count
    ]
    if empty_rows:
        words.append(
            _("Rows that are −∞ throughout: {count}. No class is left, so softmax is NaN.").format(count=empty_rows)
        )
    if masked_labels:
        words.append(
            _("Rows with −∞ at their own label: {count}. Its probability is 0, so the loss is infinite.").format(
                count=masked_labels
            )
        )
    words.append(_("The first is {row}. −∞ at other classes is a mask, and fine.").format(row=call.place(first)))
    fix = "print(logits)  # find what made this row"
    if not call.one_row:
        fix = (
            'row_loss = F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")\n'
            "keep = row_loss.isfinite() & logits.logsumexp(dim=1).isfinite()  # first see where (~keep).nonzero() is\n"
        )
        fix += keep_soft_rows(call.logits) if call.soft else keep_rows(call.logits)
    if call.soft and not call.one_row:
        fix = "keep = logits.logsumexp(dim=1).isfinite()  # first see where (~keep).nonzero() is\n" + keep_soft_rows(
            call.logits
        )
    yield finding("non-finite-logits", "warning", " ".join(words), fix)


def _masked_classes(call: Call, measures: Measures) -> Iterator[Finding]:
    """−inf where the target is not exactly 0, or where PyTorch multiplies by its 0."""
    if not measures.masked_rows:
        return
    row = _("the only row") if call.one_row else _("row {row}").format(row=_index(list(measures.first_masked)))
    came = _("Rows with a logit of −∞: {count}, the first is {row}.").format(count=measures.masked_rows, row=row)
    if call.soft:
        yield finding(
            "neg-inf-with-soft-target",
            "warning",
            came
            + " "
            + _("With probabilities PyTorch adds y·log p of every class, also 0·(−∞), which is NaN.")
            + " "
            + _("With class indices it looks at the label alone. A large finite number masks as well."),
            "logits = logits.clamp(min=torch.finfo(logits.dtype).min / 2)"
            + ("\nlabel_smoothing = 0.0  # it would give the masked class a share" if call.smoothing else ""),
        )
        return
    yield finding(
        "neg-inf-with-smoothing",
        "warning",
        came
        + " "
        + _(
            "label_smoothing {epsilon} gives every class ε/C = {share}, the masked ones too: their loss is infinite."
        ).format(epsilon=_number(call.smoothing), share=_number(call.smoothing / call.num_classes)),
        "label_smoothing = 0.0",
    )


def _already_normalised(call: Call, measures: Measures) -> Iterator[Finding]:
    C = call.num_classes
    if measures.like_probs:
        yield finding(
            "softmax-applied-twice",
            "warning",
            _("Every row holds numbers from 0 to 1 that sum to 1, as softmax gives them (rows: {rows}).").format(
                rows=call.num_kept
            )
            + " "
            + _(
                "F.cross_entropy applies softmax itself: with these {C} classes, the plain loss of a row stays"
                " between {least} and {most}, and wrong rows hardly pull."
            ).format(C=C, least=_number(math.log(math.e + C - 1) - 1), most=_number(math.log(math.e + C - 1)))
            + " "
            + _("Pass what went into softmax; the logarithm brings it back up to a constant."),
            "logits = logits.clamp(min=torch.finfo(logits.dtype).tiny).log()",
        )
    elif measures.like_log_probs:
        plain = not call.soft and call.smoothing == 0
        yield finding(
            "log-probs-as-logits",
            "note",
            _("e^z of every row sums to 1, as after log_softmax (rows: {rows}).").format(rows=call.num_kept)
            + " "
            + _("Harmless: log_softmax of that is the same again, and so are loss and gradient. It only costs time."),
            "loss = F.nll_loss(logits, target, weight=weight, ignore_index=ignore_index, reduction=reduction)"
            if plain
            else "# leave log_softmax out before F.cross_entropy; the loss stays the same",
        )


def _saturated(call: Call, measures: Measures) -> Iterator[Finding]:
    if not measures.certain_rows:
        return
    words = [
        _("In {count} of {rows} rows the largest probability rounds to exactly 1 in {dtype}.").format(
            count=measures.certain_rows, rows=call.num_kept, dtype=_dtype(call.logits)
        )
    ]
    if not call.soft and not call.smoothing:
        wrong = measures.certain_rows - measures.certain_and_right
        words.append(
            _("Right: {right}; at their label the gradient p − 1 is exactly 0.").format(
                right=measures.certain_and_right
            )
        )
        words.append(_("Wrong: {wrong}; there the gradient has its full size.").format(wrong=wrong))
    yield finding(
        "saturated",
        "note",
        " ".join(words),
        "logits = logits.double()  # resolves smaller gaps from 1" + _cast_weight(call, "double"),
    )


def _ignored_class(call: Call, measures: Measures) -> Iterator[Finding]:
    index = call.ignore_index
    yield finding(
        "ignored-class-still-competes",
        "note",
        _(
            "ignore_index {index} is also a class. It drops the {dropped} rows with that label, but not the class:"
        ).format(index=index, dropped=call.kept.numel() - call.num_kept)
        + " "
        + _("the {kept} kept rows still give class {index} a probability of {share} on average.").format(
            kept=call.num_kept, index=index, share=_number(measures.share_of_ignored / call.num_kept)
        ),
        f"logits = logits.index_fill({call.axis}, torch.tensor([{index}]), -torch.inf)  # it competes no more",
    )


def _half_precision(call: Call, measures: Measures) -> Iterator[Finding]:
    """What the same call gives in float32: 16 bits may end at 65504, or lose p − y to rounding."""
    dtype = call.logits.dtype
    fix = "logits = logits.float()" + _cast_weight(call, "float")
    if dtype == torch.float16 and measures.not_finite:
        infinite = sum(int((call.logits[piece] == math.inf).sum()) for piece in call.pieces())
        if infinite:
            yield finding(
                "half-precision-overflow",
                "warning",
                _(
                    "Logits that are +∞: {count}. float16 ends at 65504, and what is larger overflows to infinity."
                ).format(count=infinite)
                + " "
                + _("Compute the last layer in float32 or bfloat16; the numbers themselves are lost here."),
                "logits = logits.float().clamp(max=65504)" + _cast_weight(call, "float"),
            )
            return
    total, lost, whole = _exact_against_half(call)
    if call.denominator == 0 or not math.isfinite(total):
        return
    exact = total / call.denominator
    loss = _whole_loss(call)
    if not math.isfinite(loss) or call.denominator > torch.finfo(dtype).max:
        yield finding(
            "half-precision-overflow",
            "warning",
            _("In {dtype} the loss is {loss}, in float32 it is {exact}.").format(
                dtype=_dtype(call.logits), loss=_number(loss), exact=_number(exact)
            )
            + " "
            + _(
                "Somewhere on the way a number exceeds {largest}: the row losses add up to {total} over {rows} rows."
            ).format(largest=_number(torch.finfo(dtype).max), total=_number(total), rows=call.num_kept)
            + (" " + _("label_smoothing first adds −log p of every class.") if call.smoothing else ""),
            fix,
        )
    if whole > 0 and lost / whole > VANISHED_SHARE:
        yield finding(
            "half-precision-vanishing-gradient",
            "warning",
            _(
                "{percent:.0f} % of the gradient (of Σ|∂L/∂z| = {whole}) is exactly 0 in {dtype}, and not in float32."
            ).format(percent=100 * lost / whole, whole=_number(whole), dtype=_dtype(call.logits))
            + " "
            + _("p rounds to 1 beside it, or the entry is smaller than {smallest}.").format(
                smallest=_number(torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps)
            ),
            fix,
        )


def _exact_against_half(call: Call) -> tuple[float, float, float]:
    """Σ of the row losses in float32; Σ|∂L/∂z| of the entries that are 0 in the dtype only; Σ|∂L/∂z| of all."""
    total = lost = whole = 0.0
    for piece in call.pieces():
        grads = []
        for dtype in (call.logits.dtype, torch.float32):
            # an inference tensor takes part in backward() only as a copy made outside inference mode
            with torch.inference_mode(False), torch.enable_grad():
                leaf = call.logits[piece].to(dtype, copy=True).requires_grad_()
                losses = call.row_losses(piece, dtype, leaf)
                losses.backward(torch.full_like(losses, 1 / call.denominator if call.denominator else 1.0))
            assert leaf.grad is not None
            grads.append(leaf.grad)
        total += float(losses.detach().double().sum())
        size = grads[1].abs()
        whole += float(size.double().sum())
        lost += float(size[grads[0] == 0].double().sum())
    return total, lost, whole


def _whole_loss(call: Call) -> float:
    """The loss as PyTorch gives it in the dtype that came; for "none" the largest row loss."""
    loss = F.cross_entropy(
        call.logits,
        call.target,
        weight=call.weight,
        ignore_index=call.ignore_index,
        reduction=call.reduction,
        label_smoothing=call.smoothing,
    )
    return float(loss) if loss.dim() == 0 and call.reduction != "none" else float(loss.max())


def _cast_weight(call: Call, to: str) -> str:
    return "" if call.weight is None or call.soft else f"\nweight = weight.{to}()"


def _dtype(tensor: Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _shape(call: Call) -> str:
    return str(tuple(call.logits.shape[1:] if call.one_row else call.logits.shape))


def _index(where: list[int]) -> str:
    return str(where[0]) if len(where) == 1 else f"[{', '.join(map(str, where))}]"


def _integer(value: int) -> str:
    return str(value).replace("-", "−")


def _number(value: Tensor | float) -> str:
    """Four digits, as PyTorch's own NaN and infinities are written."""
    return f"{float(value):.4g}".replace("-", "−")
