"""How predictions depend on the labels, by counts of matches: on the label itself, on another, or not at all.

The bounds hold for any logits and any labels that do not know of each other: they count what shuffling would leave.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from xent_core.doctor.findings import Finding, Severity, finding
from xent_core.doctor.symptoms import chance
from xent_core.doctor.symptoms.sample import Sample
from xent_core.doctor.symptoms.wording import number_text
from xent_core.language import _

FEWEST_ROWS = 20
MOST_CLASSES_LISTED = 200  # of a permutation without a formula
SURE = 0.6  # the mean largest probability from which a model counts as sure
USUAL = -2.0  # log10 of what chance often shows


@dataclass(frozen=True, eq=False)
class Columns:
    """Labels and predictions of the rows with a single largest logit."""

    logits: Tensor
    labels: Tensor
    predicted: Tensor

    @property
    def classes(self) -> int:
        return self.logits.shape[1]

    def matches(self, predicted: Tensor, labels: Tensor) -> tuple[int, float]:
        """How many rows match, and how many would on average after a shuffle."""
        counts = [torch.bincount(one, minlength=self.classes).double() for one in (predicted, labels)]
        return int((predicted == labels).sum()), float(counts[0] @ counts[1]) / len(labels)


def dependence(sample: Sample, *, trained: bool) -> Iterator[Finding]:
    """Labels numbered otherwise, logits of the wrong sign, predictions worse than chance, or without any relation.

    Notes, unless the model is trained: what a head begins with maps groups of inputs to classes in any way.
    """
    columns = _columns(sample)
    if columns is None:
        return
    severity: Severity = "warning" if trained else "note"
    own, expected = columns.matches(columns.predicted, columns.labels)
    found = _permuted(columns, sample, severity)
    if found is None and own > expected and chance.matches(own, expected) <= USUAL:
        return  # the label itself is what the model has learnt
    negated = _negated(columns, own, sample, severity)
    found = negated or found or _worse(own, expected, sample, severity)
    if found is not None:
        yield found
    elif own > expected / 2:
        yield from _unrelated(columns, own, expected, sample, severity)


def _columns(sample: Sample) -> Columns | None:
    """None where there is too little to count."""
    if sample.labels is None or sample.logits.shape[1] < 2:
        return None
    largest = sample.logits.amax(1, keepdim=True)
    is_single = (sample.logits == largest).sum(1) == 1
    logits, labels = sample.logits[is_single], sample.labels[is_single]
    if len(labels) < FEWEST_ROWS or bool((labels == labels[0]).all()):
        return None
    return Columns(logits, labels, logits.argmax(1))


def _negated(columns: Columns, own: int, sample: Sample, severity: Severity) -> Finding | None:
    """The smallest logit is the label's far more often than by chance; of two classes that is a swap of the labels."""
    if columns.classes < 3:
        return None
    smallest, expected = columns.matches(_smallest(columns.logits), columns.labels)
    evidence = chance.matches(smallest, expected) if smallest > expected else 0.0
    if evidence > chance.LEVEL or smallest < 2 * own:
        return None
    return finding(
        "logits-negated",
        severity,
        _(
            "The label has the smallest logit in {smallest} and the largest in {own} {rows}; by chance {expected}."
        ).format(smallest=smallest, own=own, rows=sample.words, expected=number_text(expected))
        + " "
        + _("A minus too many, such as a distance in the place of a similarity, or a loss that is maximised.")
        + chance.in_words(evidence),
        "logits = -logits",
        evidence,
    )


def _smallest(logits: Tensor) -> Tensor:
    """The class with the smallest logit that is no mask."""
    return logits.masked_fill(logits == -math.inf, math.inf).argmin(1)


def _permuted(columns: Columns, sample: Sample, severity: Severity) -> Finding | None:
    """The prediction is another function of the label, one to one; counted where that is not the label itself."""
    best: tuple[float, Tensor, str, int, int, int, float] | None = None
    for permutation, words, choices in _candidates(columns):
        wanted = permutation[columns.labels]
        moved = wanted != columns.labels
        rows = int(moved.sum())
        if rows < FEWEST_ROWS:
            continue
        seen, expected = columns.matches(columns.predicted[moved], wanted[moved])
        own = int((columns.predicted == columns.labels)[moved].sum())
        evidence = chance.matches(seen, expected) + choices if seen > expected else 0.0
        if evidence <= chance.LEVEL and seen >= 2 * own and (best is None or seen > best[3]):
            best = evidence, permutation, words, seen, own, rows, expected
    if best is None:
        return None
    evidence, permutation, words, seen, own, rows, expected = best
    said = _("The prediction is {words} in {seen} of {rows} rows, and the label itself in {own} of them;")
    where = "" if rows == len(columns.labels) else " " + _("Only labels that have another number are counted.")
    return finding(
        "labels-permuted",
        severity,
        said.format(words=words, seen=seen, own=own, rows=rows)
        + " "
        + _("by chance {expected} ({sample}).").format(expected=number_text(expected), sample=sample.words)
        + where
        + " "
        + _("The model was trained with other numbers for its classes than these labels have.")
        + chance.in_words(evidence),
        f"permutation = torch.tensor({permutation.tolist()})\n"
        "inside = target.clamp(0, len(permutation) - 1)\n"
        "target = torch.where(target == ignore_index, target, permutation[inside])",
        evidence,
    )


def _candidates(columns: Columns) -> Iterator[tuple[Tensor, str, float]]:
    """Permutations of the classes, each in words, and log10 of how many were looked at for it."""
    count = columns.classes
    if count > 2**15:
        return
    classes = torch.arange(count)
    swapped = classes.clone()
    swapped[0], swapped[-1] = count - 1, 0
    named = [
        ((classes - 1) % count, _("the label − 1")),
        ((classes + 1) % count, _("the label + 1")),
        (count - 1 - classes, _("C − 1 − label, the classes in reverse,")),
        (swapped, _("the label with the first and the last class swapped")),
    ]
    choices = math.log10(len(named))
    for permutation, words in named:
        yield permutation, words, choices
    if count <= MOST_CLASSES_LISTED:
        pairs = torch.bincount(columns.labels * count + columns.predicted, minlength=count**2).view(count, count)
        usual = pairs.argmax(1)
        if len(usual.unique()) == count:
            yield usual, _("one to one another class than the label"), math.lgamma(count + 1) / math.log(10)


def _worse(own: int, expected: float, sample: Sample, severity: Severity) -> Finding | None:
    evidence = chance.matches(own, expected) if own < expected else 0.0
    if evidence > chance.LEVEL:
        return None
    return finding(
        "worse-than-chance",
        severity,
        _("The prediction is the label in {own} {rows}; shuffled labels would match in {expected}.").format(
            own=own, rows=sample.words, expected=number_text(expected)
        )
        + " "
        + _("The model knows the labels and avoids them: look for a sign, a mask at the label, or a reversed reward.")
        + chance.in_words(evidence),
        "print(torch.stack([logits.argmax(1).flatten()[:20], target.flatten()[:20]]))  # predicted, labels",
        evidence,
    )


def _unrelated(columns: Columns, own: int, expected: float, sample: Sample, severity: Severity) -> Iterator[Finding]:
    """The model is sure, and right no more often than shuffled labels would make it."""
    said = float(columns.logits.double().softmax(1).amax(1).sum())
    evidence = chance.below_said(own, said, len(columns.labels))
    if said / len(columns.labels) < SURE or evidence > chance.LEVEL:
        return
    yield finding(
        "unrelated",
        severity,
        _(
            "The model says that it is right in {said} {rows}, and is in {own}; shuffled labels match in {expected}."
        ).format(said=number_text(said), rows=sample.words, own=own, expected=number_text(expected))
        + " "
        + _("Either it has not been trained on such data, or the rows of logits and labels do not belong together.")
        + chance.in_words(evidence),
        "print(logits.argmax(1).flatten()[:20], target.flatten()[:20])  # are both in the same order, unshuffled?",
        evidence,
    )
