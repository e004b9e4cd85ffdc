"""Very large logits: finite numbers that mask classes, classes that are never labels, and logits that run off."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch

from xent_core.doctor.findings import Finding, Severity, finding
from xent_core.doctor.fixes import keep_rows
from xent_core.doctor.symptoms import chance
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.sample import Sample
from xent_core.doctor.symptoms.wording import number_text
from xent_core.language import _
from xent_core.validation import dtype_name

MASK = -1e4  # what people write for −∞: −1e4, −1e9, finfo.min; no model gives it beside an ordinary number
ORDINARY = -1e3
HUGE = 1e3
FEWEST_NATS = 1.0  # that smoothing adds through masked classes before it is said
LARGEST_PADDING = 0.25  # of the classes; where more of them never occur, the batch may be small
FEWEST_OF_EACH = 5  # rows of every other class, which tell that the batch is large enough
FEWEST_CLASSES = 8


def finite_masks(call: Call, sample: Sample) -> Iterator[Finding]:
    """Masks that are finite, at a label or under label smoothing, where they cost a finite and enormous loss."""
    z, labels = sample.logits, sample.labels
    masked = z.isfinite() & (z <= MASK) & (z.amax(1, keepdim=True) > ORDINARY)
    if labels is None or not bool(masked.any()):
        return
    at_label = masked.gather(1, labels.unsqueeze(1)).squeeze(1)
    if count := int(at_label.sum()):
        losses = torch.nn.functional.cross_entropy(z, labels, reduction="none")
        axis = call.axis
        at_labels = f"logits.gather({axis}, target.clamp(min=0).unsqueeze({axis})).squeeze({axis})"
        yield finding(
            "finite-mask-at-label",
            "warning",
            _("The label itself has a logit below {mask} in {count} {rows}: its class is masked.").format(
                mask=number_text(MASK), count=count, rows=sample.words
            )
            + " "
            + _(
                "The mean loss of these rows is {loss}, which hides that of all others, and nothing is infinite."
            ).format(loss=number_text(float(losses[at_label].mean()))),
            "print(logits[target])  # the mask hides the label"
            if call.one_row
            else f"keep = {at_labels} > {MASK}\n{keep_rows(call.logits)}",
        )
    if call.options.smoothing:
        added = (z.double().logsumexp(1, keepdim=True) - z.double()).where(masked, 0.0).sum(1).mean()
        nats = float(added) * call.options.smoothing / call.num_classes
        if nats > FEWEST_NATS:
            yield finding(
                "finite-mask-with-smoothing",
                "warning",
                _("{count} logits {rows} lie below {mask}, as masks do.").format(
                    count=int(masked.sum()), rows=sample.words, mask=number_text(MASK)
                )
                + " "
                + _(
                    "label_smoothing {epsilon} gives every class a share, the masked ones too: {nats} nats of the loss."
                ).format(epsilon=number_text(call.options.smoothing), nats=number_text(nats)),
                "label_smoothing = 0.0",
            )


def padding_columns(call: Call, sample: Sample, severity: Severity) -> Iterator[Finding]:
    """The last classes are never labels, and take more probability than a calibrated model would give them."""
    z, labels = sample.logits, sample.labels
    if labels is None or not len(labels):
        return
    first = int(labels.max()) + 1
    is_large = first >= FEWEST_CLASSES and int(torch.bincount(labels).min()) >= FEWEST_OF_EACH
    if first >= call.num_classes or (call.num_classes - first > LARGEST_PADDING * call.num_classes and not is_large):
        return
    share = z.double().softmax(1)[:, first:].sum(1)
    expected = float(share.sum())
    evidence = -expected / math.log(10) + math.log10(call.num_classes)  # e^−expected: none of so many, and any first
    if not math.isfinite(expected):
        return
    yield from chance.where_rare(
        "padding-columns",
        severity,
        _("Classes {first} to {last} are never labels, and get {percent:.1f} % of the probability ({rows}).").format(
            first=first, last=call.num_classes - 1, percent=100 * float(share.mean()), rows=sample.words
        )
        + " "
        + _("They cost {nats} nats of the mean loss. A vocabulary that was padded wants a mask there.").format(
            nats=number_text(float(-torch.log1p(-share.clamp(max=1 - 1e-12)).mean()))
        ),
        f"classes = torch.arange(logits.shape[{call.axis}])\n"
        f"logits = logits.index_fill({call.axis}, classes[classes >= {first}], -torch.inf)",
        evidence,
    )


def huge_logits(call: Call, sample: Sample) -> Iterator[Finding]:
    """Logits of more than a thousand, which are no masks."""
    z = sample.logits
    ordinary = z[z.isfinite() & (z > MASK)]
    largest = float(ordinary.abs().max()) if len(ordinary) else 0.0
    if largest <= HUGE:
        return
    step = largest * torch.finfo(call.logits.dtype).eps
    yield finding(
        "huge-logits",
        "note",
        _("The largest logit has a size of {largest} ({rows}).").format(largest=number_text(largest), rows=sample.words)
        + " "
        + _("There {dtype} has steps of {step}, and gaps this large make every probability 0 or 1.").format(
            dtype=dtype_name(call.logits), step=number_text(step)
        )
        + " "
        + _("Logits that drift off want a smaller learning rate, weight decay, or a penalty on logsumexp (z-loss)."),
        "print(logits.abs().max())  # and watch it over the steps",
    )
