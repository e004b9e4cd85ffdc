"""Suspicious logits: probabilities, NaN and ∞, masked classes, one class, classes on the wrong axis, saturation."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.doctor.findings import Finding, finding
from xent_core.doctor.fixes import keep_rows, keep_soft_rows
from xent_core.doctor.loss_levels import loss_levels
from xent_core.doctor.symptoms import chance
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.measures import Measures
from xent_core.doctor.symptoms.wording import index_text, number_text
from xent_core.language import _
from xent_core.validation import dtype_name


def single_class(call: Call) -> Iterator[Finding]:
    """C = 1, where softmax is 1 whatever the logit is."""
    target = "target" if call.soft else f"(target != 0).to(logits.dtype).unsqueeze({call.axis})"
    yield finding(
        "single-class",
        "warning",
        _("The logits have shape {shape}, so C = 1: softmax over one class is 1 whatever the logit is.").format(
            shape=call.shape_text()
        )
        + " "
        + _("The loss and every gradient are 0 for ever. For yes or no from one logit use binary cross-entropy."),
        f"loss = F.binary_cross_entropy_with_logits(logits, {target})",
    )


def _fits(call: Call) -> bool:
    """Whether predictions along axis 1 match the labels far more often than by chance."""
    predicted, labels = call.logits.argmax(1)[call.kept], call.target[call.kept]
    counts = [torch.bincount(one, minlength=call.num_classes).double() for one in (predicted, labels)]
    seen, expected = int((predicted == labels).sum()), float(counts[0] @ counts[1]) / max(len(labels), 1)
    return seen > expected and chance.matches(seen, expected) <= chance.LEVEL


def ambiguous_axis(call: Call) -> Iterator[Finding]:
    """Logits that fit the target with the classes on axis 1 and on the last one."""
    shape = list(call.logits.shape)
    if call.soft or call.one_row or len(shape) < 3 or list(call.target.shape) != shape[:-1]:
        return
    if _fits(call):
        return
    losses = [
        float(F.cross_entropy(logits, call.target, ignore_index=call.options.ignore_index))
        for logits in (call.logits, call.logits.movedim(-1, 1))
    ]
    last = len(shape) - 1
    yield finding(
        "class-axis-ambiguous",
        "warning",
        _(
            "Logits of shape {shape} fit the target with the classes on axis 1, as PyTorch has it, and on axis {last}."
        ).format(shape=call.shape_text(), last=last)
        + " "
        + _("The plain mean loss is {first} in the one case and {second} in the other; PyTorch cannot tell.").format(
            first=number_text(losses[0]), second=number_text(losses[1])
        )
        + " "
        + _("Flattened to (rows, C) there is no doubt."),
        "classes = 1  # the axis of the classes; often it is -1\n"
        "logits, target = logits.movedim(classes, -1).flatten(0, -2), target.flatten()",
    )


def not_finite(call: Call, measures: Measures) -> Iterator[Finding]:
    """NaN and +∞, rows that are −∞ throughout, and −∞ at a row's own label."""
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


def masked_classes(call: Call, measures: Measures) -> Iterator[Finding]:
    """−inf where the target is not exactly 0, or where PyTorch multiplies by its 0."""
    if not measures.masked_rows:
        return
    row = _("the only row") if call.one_row else _("row {row}").format(row=index_text(list(measures.first_masked)))
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
            + ("\nlabel_smoothing = 0.0  # it would give the masked class a share" if call.options.smoothing else ""),
        )
        return
    yield finding(
        "neg-inf-with-smoothing",
        "warning",
        came
        + " "
        + _(
            "label_smoothing {epsilon} gives every class ε/C = {share}, the masked ones too: their loss is infinite."
        ).format(
            epsilon=number_text(call.options.smoothing), share=number_text(call.options.smoothing / call.num_classes)
        ),
        "label_smoothing = 0.0",
    )


def already_normalised(call: Call, measures: Measures) -> Iterator[Finding]:
    """Probabilities or log-probabilities in place of logits."""
    C = call.num_classes
    levels = loss_levels(C)
    if measures.like_probs:
        yield finding(
            "softmax-applied-twice",
            "warning",
            _("Every row holds numbers from 0 to 1 that sum to 1, as softmax gives them (rows: {rows}).").format(
                rows=call.num_kept
            )
            + " "
            + _(
                "F.cross_entropy applies softmax itself: with C classes, the plain loss of a row stays between"
                " ln(e + C − 1) − 1 and ln(e + C − 1), here (C = {C}) {least} and {most}, and wrong rows hardly pull."
            ).format(C=C, least=number_text(levels.least_of_two_softmax), most=number_text(levels.most_of_two_softmax))
            + " "
            + _("Remove the softmax layer; of these numbers, the logarithm brings back the logits up to a constant."),
            "# in the model: remove the softmax layer (nn.Softmax, F.softmax), and nothing else is needed\n"
            "# of these numbers, without the model:\n"
            "logits = logits.clamp(min=torch.finfo(logits.dtype).tiny).log()",
        )
    elif measures.like_log_probs:
        plain = not call.soft and call.options.smoothing == 0
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


def saturated(call: Call, measures: Measures) -> Iterator[Finding]:
    """Rows whose largest probability rounds to exactly 1."""
    if not measures.certain_rows:
        return
    words = [
        _("In {count} of {rows} rows the largest probability rounds to exactly 1 in {dtype}.").format(
            count=measures.certain_rows, rows=call.num_kept, dtype=dtype_name(call.logits)
        )
    ]
    if not call.soft and not call.options.smoothing:
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
        "logits = logits.double()  # resolves smaller gaps from 1" + call.weight_cast("double"),
    )


def ignored_class(call: Call, measures: Measures) -> Iterator[Finding]:
    """An ignore_index that is a class: kept rows still give it probability."""
    index = call.options.ignore_index
    yield finding(
        "ignored-class-still-competes",
        "note",
        _(
            "ignore_index {index} is also a class. It drops the {dropped} rows with that label, but not the class:"
        ).format(index=index, dropped=call.kept.numel() - call.num_kept)
        + " "
        + _("the {kept} kept rows still give class {index} a probability of {share} on average.").format(
            kept=call.num_kept, index=index, share=number_text(measures.share_of_ignored / call.num_kept)
        ),
        f"logits = logits.index_fill({call.axis}, torch.tensor([{index}]), -torch.inf)  # it competes no more",
    )
