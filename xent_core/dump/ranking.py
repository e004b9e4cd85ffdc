"""What the rows of a dump are ranked by, and the first of them: the suspects."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from torch import Tensor

from xent_core.dump.wrong_labels import WrongLabels
from xent_core.values import Value

SUSPECTS = 1_000
_LEAST = -float(np.finfo(np.float64).max)  # −∞ comes after NaN
SUSPECT_FIELDS = (
    "row",
    "target",
    "prediction",
    "loss",
    "el2n",
    "grad_norm",
    "margin",
    "prob",
    "entropy",
    "suggested",
    "suspicion",
)
# what several epochs say of each row, where there are several
EPOCH_FIELDS = ("aum", "forgetting", "confidence", "variability", "correctness")
# by what rows can be ranked, the default first, and second that of a large dump;
# of all but the margin and its mean over epochs the largest comes first
RankBy = Literal["suspicion", "margin", "loss", "grad_norm", "el2n", "entropy", "aum"]
RANKINGS: tuple[RankBy, ...] = get_args(RankBy)
SMALLEST_FIRST = ("margin", "aum")


@dataclass(frozen=True, eq=False)
class Suspects(Value):
    """The first rows of the ranking, by default the largest suspicion; columns of equal length, and NumPy arrays.

    Attributes: the same as in Scores; all but the integers float64.
      p_wrong is the probability that the label is wrong; it and the suspicion are None if they were not asked for.
      aum, forgetting, confidence, variability and correctness are those of Epochs; None if there is but one dump.
      Norms of the last layer and the names of the examples are known only where a table of scores has been read.
    """

    row: np.ndarray
    target: np.ndarray
    prediction: np.ndarray
    loss: np.ndarray
    el2n: np.ndarray
    grad_norm: np.ndarray
    margin: np.ndarray
    prob: np.ndarray
    entropy: np.ndarray
    suggested: np.ndarray
    suspicion: np.ndarray | None = None
    p_wrong: np.ndarray | None = None
    aum: np.ndarray | None = None
    forgetting: np.ndarray | None = None
    confidence: np.ndarray | None = None
    variability: np.ndarray | None = None
    correctness: np.ndarray | None = None
    layer_norm: np.ndarray | None = None
    ids: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.row)


def ranking_key(values: Tensor, rank_by: str) -> Tensor:
    """What the ranking sorts by, the smallest first: a row whose value is NaN is the first, and of suspicion the last.

    A loss of NaN is what one looks for first; but of a row with NaN nobody knows whether its label is wrong.
    """
    nan = math.inf if rank_by == "suspicion" else -math.inf
    values = values.double()
    return (values if rank_by in SMALLEST_FIRST else -values).nan_to_num(nan=nan, posinf=math.inf, neginf=_LEAST)


def probability_wrong(suspicion: np.ndarray, wrong: WrongLabels | None) -> np.ndarray:
    """The probability that each label is wrong; NaN if none is known."""
    return np.full(len(suspicion), np.nan) if wrong is None else wrong.probability_of(suspicion)
