"""Rows chosen out of the table of scores, however many it has: by label, prediction and ranges, in one pass."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from xent_core.dump.formats import InvalidDump
from xent_core.dump.histogram import Histogram, histogram_of
from xent_core.dump.ranking import EPOCH_FIELDS, SUSPECT_FIELDS, SUSPECTS, Suspects, ranking_key
from xent_core.dump.scores_table import ROWS_PER_GROUP
from xent_core.dump.statistics import ClassGroups
from xent_core.language import _
from xent_core.values import Value

Range = tuple[float, float]
EPOCH_RANGES = ("confidence", "variability")  # of a table of several epochs
RANGES = ("loss", "grad_norm", "margin", *EPOCH_RANGES)


@dataclass(frozen=True)
class Choice:
    """Which rows are meant; what is None does not matter.

    Attributes:
      label, prediction: ranges of classes.
      loss, grad_norm, margin: from the first number to the second, both included; NaN lies in no range.
      confidence, variability: the same, over several epochs.
    """

    label: range | None = None
    prediction: range | None = None
    loss: Range | None = None
    grad_norm: Range | None = None
    margin: Range | None = None
    confidence: Range | None = None
    variability: Range | None = None

    @property
    def is_everything(self) -> bool:
        """Whether no row is left out."""
        return self == Choice()


@dataclass(frozen=True, eq=False)
class Selection(Value):
    """What the chosen rows say; made by `select`.

    Each picture is of the rows that all the other parts of the choice leave,
    so that it shows what else could be chosen in it.

    Attributes:
      rows: how many are chosen.
      norm: Σ‖g_i‖ of the chosen rows, where it is finite.
      suspects: the first of them in the ranking, and `rank`, their ranks among all.
      confusion, pair_norm: rows and Σ‖g_i‖ by label and prediction, (G, G), whatever pair is chosen.
      loss_histogram, grad_norm_histogram: whatever range of the loss, or of the norm, is chosen.
    """

    rows: int
    norm: float
    suspects: Suspects
    rank: np.ndarray
    confusion: np.ndarray
    pair_norm: np.ndarray
    loss_histogram: Histogram
    grad_norm_histogram: Histogram


def select(
    scores: str | os.PathLike[str],
    choice: Choice,
    groups: ClassGroups,
    *,
    first: int = SUSPECTS,
    rank_by: str | None = None,
) -> Selection:
    """The chosen rows of a finished table of scores in Parquet; memory does not grow with the table.

    Args:
      first: how many suspects are wanted.
      rank_by: which of RANKINGS says who they are; None for the ranks in the table.

    Raises: InvalidDump if the table does not hold what they are to be ranked by.
    """
    import pyarrow.parquet as pq

    confusion = np.zeros(groups.count**2, np.int64)
    pair_norm = np.zeros(groups.count**2)
    histograms = {name: histogram_of(torch.empty(0)) for name in ("loss", "grad_norm")}
    rows, norm = 0, 0.0
    with pq.ParquetFile(scores) as table:
        missing = [name for name in EPOCH_RANGES if getattr(choice, name) and name not in table.schema_arrow.names]
        if missing:
            raise InvalidDump(
                "choice",
                _("the table of scores has no column {name}").format(name=repr(missing[0])),
                _("a table of several epochs"),
                _("Make the table with epochs=True, or choose rows by something else."),
            )
        if rank_by is not None and rank_by not in table.schema_arrow.names:
            raise InvalidDump(
                "rank-by",
                _("the table of scores has no column {name}").format(name=repr(rank_by)[:80]),
                _("a column to rank by"),
                _("Make the table with rank_by={name}, or choose another order.").format(name=repr(rank_by)[:80]),
            )
        read = [name for name in table.schema_arrow.names if name not in ("text", "image")]  # long, and not used
        held = [{name: column.to_numpy() for name, column in _named(table.schema_arrow.empty_table().select(read))}]
        for batch in table.iter_batches(batch_size=ROWS_PER_GROUP, use_threads=False, columns=read):
            columns = {name: column.to_numpy(zero_copy_only=False) for name, column in _named(batch)}
            masks = _masks(columns, choice)
            chosen = np.flatnonzero(_all(masks))
            rows += len(chosen)
            size = columns["grad_norm"]
            norm += float(size[chosen][np.isfinite(size[chosen])].sum())
            of_pair = _all({name: mask for name, mask in masks.items() if name not in ("target", "prediction")})
            of_pair &= columns["prediction"] >= 0
            pair = columns["target"][of_pair] // groups.size * groups.count
            pair += columns["prediction"][of_pair] // groups.size
            np.add.at(confusion, pair, 1)
            np.add.at(pair_norm, pair, np.where(np.isfinite(size[of_pair]), size[of_pair], 0.0))
            for name in histograms:
                values = columns[name][_all({other: mask for other, mask in masks.items() if other != name})]
                histograms[name] = histograms[name].merged(histogram_of(torch.from_numpy(values)))
            held.append({name: column[chosen] for name, column in columns.items()})
            if sum(len(part["rank"]) for part in held) > 4 * first:
                held = [_first(held, first, rank_by)]
    best = _first(held, first, rank_by)
    suspects = Suspects(
        **{name: best[name] for name in (*SUSPECT_FIELDS, *EPOCH_FIELDS, "p_wrong") if name in best},
        layer_norm=best.get("last_layer_norm"),
        ids=best.get("id"),
    )
    shape = (groups.count, groups.count)
    return Selection(
        rows,
        norm,
        suspects,
        best["rank"],
        confusion.reshape(shape),
        pair_norm.reshape(shape),
        histograms["loss"],
        histograms["grad_norm"],
    )


def _masks(columns: dict[str, np.ndarray], choice: Choice) -> dict[str, np.ndarray]:
    """Which rows each part of the choice leaves; one without a wish leaves all."""
    masks = {"": np.ones(len(columns["row"]), dtype=bool)}
    for name, classes in (("target", choice.label), ("prediction", choice.prediction)):
        if classes is not None:
            masks[name] = (columns[name] >= classes.start) & (columns[name] < classes.stop)
    for name in RANGES:
        wanted: Range | None = getattr(choice, name)
        if wanted is not None:
            masks[name] = (columns[name] >= wanted[0]) & (columns[name] <= wanted[1])
    return masks


def _named(table: Any) -> Iterable[tuple[str, Any]]:
    return zip(table.schema.names, table.columns, strict=True)


def _all(masks: dict[str, np.ndarray]) -> np.ndarray:
    whole: np.ndarray = np.logical_and.reduce(list(masks.values()))
    return whole


def _first(held: list[dict[str, np.ndarray]], count: int, rank_by: str | None) -> dict[str, np.ndarray]:
    """The first rows of the ranking, in its order."""
    columns = {name: np.concatenate([part[name] for part in held]) for name in held[0]}
    key = columns["rank"] if rank_by is None else ranking_key(torch.from_numpy(columns[rank_by]), rank_by).numpy()
    order = np.argsort(key, kind="stable")[:count]
    return {name: column[order] for name, column in columns.items()}
