"""What comes first in a summary: examples, classes and pairs by their share of the gradient, as entries with names."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np

from xent_core.dump.examples import ShownExample
from xent_core.dump.ranking import Suspects
from xent_core.dump.wrong_labels import WrongLabels

Entry = dict[str, Any]
TOP = 10


class Counted(Protocol):
    """What is needed of a DumpSummary, which explains it, and itself asks here."""

    @property
    def rank_by(self) -> str: ...
    @property
    def class_loss(self) -> np.ndarray: ...
    @property
    def class_share(self) -> np.ndarray: ...
    @property
    def confusion(self) -> np.ndarray: ...
    @property
    def correct(self) -> np.ndarray: ...
    @property
    def pair_share(self) -> np.ndarray: ...
    @property
    def support(self) -> np.ndarray: ...
    @property
    def suspects(self) -> Suspects: ...
    @property
    def wrong_labels(self) -> WrongLabels | None: ...
    @property
    def shown(self) -> tuple[ShownExample, ...]: ...
    def name_of(self, index: int) -> str: ...
    def name_of_group(self, group: int) -> str: ...


def leading_examples(summary: Counted, count: int) -> list[Entry]:
    """The first of the ranking; `suspect`: within the estimated number of wrong labels, or None if that is unknown."""
    suspects = summary.suspects
    names = {example.row: example.id for example in summary.shown}
    wrong = suspect_count(summary)
    entries = []
    for i in range(min(count, len(suspects))):
        row = int(suspects.row[i])
        entries.append(
            {
                "rank": i + 1,
                "row": row,
                "id": names.get(row),
                "label": summary.name_of(int(suspects.target[i])),
                "suggested": summary.name_of(int(suspects.suggested[i])),
                "loss": float(suspects.loss[i]),
                "grad_norm": float(suspects.grad_norm[i]),
                "p_wrong": None if suspects.p_wrong is None else float(suspects.p_wrong[i]),
                "suspect": None if wrong is None else i < wrong,
            }
        )
    return entries


def suspect_count(summary: Counted) -> int | None:
    """How many of the first rows are suspects: as many as labels are wrong by the estimate; None if that is unknown."""
    if summary.wrong_labels is None or summary.rank_by != "suspicion":
        return None
    return round(summary.wrong_labels.expected)


def suspect_rows(summary: Counted) -> list[int] | None:
    """The rows whose labels are wrong by that count, at most the thousand that are kept; None if it is unknown."""
    count = suspect_count(summary)
    return None if count is None else [int(row) for row in summary.suspects.row[:count]]


def leading_classes(summary: Counted, count: int) -> list[Entry]:
    """The classes that carry most of the gradient, by their labels."""
    order = np.argsort(-np.nan_to_num(summary.class_share), kind="stable")[:count]
    return [
        {
            "class": summary.name_of(int(c)),
            "rows": int(summary.support[c]),
            "accuracy": int(summary.correct[c]) / int(summary.support[c]) if summary.support[c] else math.nan,
            "mean_loss": float(summary.class_loss[c]),
            "gradient_share": float(summary.class_share[c]),
        }
        for c in order
    ]


def leading_pairs(summary: Counted, count: int) -> list[Entry]:
    """The pairs of label and prediction that carry most of the gradient; of groups where classes are grouped."""
    shares = np.nan_to_num(summary.pair_share).ravel()
    count = min(count, shares.size)
    if not count:
        return []
    largest = np.argpartition(-shares, count - 1)[:count]
    largest = largest[np.lexsort((largest, -shares[largest]))]
    pairs = [(divmod(int(flat), summary.pair_share.shape[1]), float(shares[flat])) for flat in largest]
    return [
        {
            "label": summary.name_of_group(label),
            "prediction": summary.name_of_group(predicted),
            "rows": int(summary.confusion[label, predicted]),
            "gradient_share": share,
        }
        for (label, predicted), share in pairs
        if share > 0
    ]
