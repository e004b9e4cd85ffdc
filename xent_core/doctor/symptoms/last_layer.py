"""What stands between the last layer and the loss, as far as the numbers show it: sigmoid, ReLU, tanh, argmax."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from xent_core.doctor.findings import Finding, Severity, finding
from xent_core.doctor.symptoms import chance
from xent_core.doctor.symptoms.sample import Sample
from xent_core.doctor.symptoms.wording import number_text
from xent_core.language import _

FEWEST_ROWS = 8  # of which one says that all are alike, or that all are one-hot
FEWEST_ZEROS = 20
SHARE_OF_ZEROS = 0.05  # below it zeros are what a sigmoid rounds to
NEAR_BOUND = 0.9
SHARE_NEAR_BOUND = 0.1  # at most, of numbers that thin out towards their bounds


def are_predictions(sample: Sample) -> bool:
    """Whether every row is zeros with a single 1, as after argmax."""
    z = sample.logits
    return len(z) >= FEWEST_ROWS and bool((((z == 0) | (z == 1)).all(1) & (z.sum(1) == 1)).all())


def predictions(sample: Sample) -> Iterator[Finding]:
    """One-hot rows in the place of logits."""
    if are_predictions(sample):
        yield finding(
            "predictions-as-logits",
            "warning",
            _("Each row holds a single 1 and zeros elsewhere ({rows}): predictions after argmax, not logits.").format(
                rows=sample.words
            )
            + " "
            + _("argmax has no gradient, and of such logits the loss is one of two numbers in each row."),
            "print(logits[:3])  # pass what the last layer gives, before argmax and one_hot",
        )


def bounded(sample: Sample, *, are_probs: bool) -> Iterator[Finding]:
    """Numbers that a sigmoid, a ReLU or a tanh leaves.

    Args: are_probs: whether the rows sum to 1, which has a finding of its own.
    """
    z = sample.logits
    values = z[z.isfinite()]
    if not len(values) or are_probs or are_predictions(sample):
        return
    low, high = float(values.min()), float(values.max())
    zeros = int((values == 0).sum())
    if low == 0 and zeros >= max(FEWEST_ZEROS, SHARE_OF_ZEROS * len(values)):
        yield from _non_negative(values, zeros, sample)
    elif low >= 0 and high <= 1:
        yield from _in_unit_interval(values, sample)
    elif -1 <= low < 0 and high <= 1:
        yield from _between_one_and_minus_one(values, sample)


def _non_negative(values: Tensor, zeros: int, sample: Sample) -> Iterator[Finding]:
    others = len(values[values != 0].unique())
    evidence = chance.signs(others)
    yield from chance.where_rare(
        "outputs-non-negative",
        "warning",
        _("No logit is negative, and {percent:.0f} % of them are exactly 0 ({rows}), as a ReLU leaves them.").format(
            percent=100 * zeros / len(values), rows=sample.words
        )
        + " "
        + _("A ReLU cuts off what should make a class improbable, and its zeros let no gradient through."),
        "print((logits == 0).double().mean())  # what the ReLU cut off is lost: remove it after the last layer",
        evidence,
    )


def _in_unit_interval(values: Tensor, sample: Sample) -> Iterator[Finding]:
    evidence = chance.signs(len(values.unique()))
    yield from chance.where_rare(
        "outputs-in-unit-interval",
        "warning",
        _("All logits lie between 0 and 1 ({rows}), and the rows do not sum to 1: outputs of a sigmoid?").format(
            rows=sample.words
        )
        + " "
        + _("No probability can then exceed e times another, so that the loss cannot come near 0."),
        "# remove the sigmoid before F.cross_entropy; of these numbers, without the model:\n"
        "eps = torch.finfo(logits.dtype).eps\nlogits = logits.clamp(eps, 1 - eps).logit()",
        evidence,
    )


def _between_one_and_minus_one(values: Tensor, sample: Sample) -> Iterator[Finding]:
    different = values.unique().abs()
    near = int((different > NEAR_BOUND).sum())
    evidence = chance.at_least(near, len(different), SHARE_NEAR_BOUND)
    yield from chance.where_rare(
        "outputs-bounded",
        "warning",
        _("All logits lie between −1 and 1, and {near} of {count} different ones beyond ±{bound} ({rows}):").format(
            near=near, count=len(different), bound=number_text(NEAR_BOUND), rows=sample.words
        )
        + " "
        + _("as after tanh. No probability can then exceed e² times another, and the loss cannot come near 0."),
        "# remove the tanh before F.cross_entropy; of these numbers, without the model:\n"
        "eps = torch.finfo(logits.dtype).eps\nlogits = logits.clamp(eps - 1, 1 - eps).atanh()",
        evidence,
    )


def constant(sample: Sample, severity: Severity) -> Iterator[Finding]:
    """Rows that are all alike, although their labels are not."""
    z, labels = sample.logits, sample.labels
    if labels is None or len(z) < FEWEST_ROWS or bool((labels == labels[0]).all()) or not bool(z.isfinite().all()):
        return
    if bool((z.amax(0) - z.amin(0) <= 4 * torch.finfo(z.dtype).eps * z.abs().amax(0)).all()):
        yield finding(
            "constant-logits",
            severity,
            _("The logits are the same in every row ({rows}), though the labels differ.").format(rows=sample.words)
            + " "
            + _("Either the last layer begins with zeros, or nothing of the input reaches it."),
            "print(logits.std(dim=0))  # 0 for every class: look at what goes into the last layer",
        )
