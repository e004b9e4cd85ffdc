"""How many labels are wrong, and how likely each is: the rows as they are against rows with a wrong label put on."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xent_core.values import Value

BINS_PER_NAT = 8
FARTHEST = 64  # nats; what is more suspicious is in the last bin
SUSPICION_BINS = 2 * FARTHEST * BINS_PER_NAT + 2
TAILS = (0.5, 0.75)  # of the pretended labels, the most suspicious
# fitted by scripts.fit_wrong_labels; docs/ranking.md says on what, and how well they hold on other sets
OFFSET, SLOPE, SLOPE_BY_ERRORS = -0.885, 0.214, -0.190  # of the log odds
SUREST = 0.9975  # a probability before it is corrected
LOW_BY_UNEXPLAINED, LOW_BY_ERRORS = 0.7, 0.8  # powers, of the lower end of the interval
HIGH = 1.1  # times the predictions that are not the label
NORMAL_QUANTILE = 1.645  # of a 90 % interval


@dataclass(frozen=True, eq=False)
class WrongLabels(Value):
    """How many labels are wrong; made by `wrong_labels`.

    Attributes:
      expected: Σ over the rows of the probability that the label is wrong.
      low, high: the interval around it; docs/ranking.md has how often it holds.
      probability: that a label is wrong, by the bin of its suspicion; never falls.
    """

    expected: float
    low: float
    high: float
    probability: np.ndarray

    def probability_of(self, suspicion: np.ndarray) -> np.ndarray:
        """The probability that each of these labels is wrong; NaN where the suspicion is."""
        bins = suspicion_bins(torch.tensor(suspicion, dtype=torch.float64)).numpy()
        return np.where(np.isnan(suspicion), np.nan, self.probability[bins])


def suspicion_bins(suspicion: Tensor) -> Tensor:
    """The bin of each, an eighth of a nat wide, from −64 to 64; what lies outside is in the first and the last."""
    bins = ((suspicion.double().nan_to_num(nan=0.0) + FARTHEST) * BINS_PER_NAT).floor() + 1
    return bins.clamp(0, SUSPICION_BINS - 1).long()


def wrong_labels(rows: np.ndarray, pretended: np.ndarray) -> WrongLabels | None:
    r"""The share of wrong labels, from where rows lie that surely have one.

    If wrong labels are as suspicious as pretended ones, π N of the rows follow their distribution F₁, and beyond a
    bound τ there are at least π N F₁(τ). The share is read where a half and three quarters of F₁ lie beyond τ,
    and its geometric mean taken. The density q = π f₁(s)/f(s), made never to fall, is corrected by the share m of
    predictions that are not the label, for the more a model errs the less it says:

    .. math:: \ln\frac{p}{1-p} = -0.885 + \Bigl(0.214 - 0.190 \ln\frac{m}{1-m}\Bigr) \ln\frac{q}{1-q}

    With n = Σ q, and u = m N/n, at least 1, the interval goes from n·u^−0.7·(1 − 2m)^0.8 to 1.1·n·u, a tenth more than
    all predictions that are not the label, and by the chance of a count further.

    Args:
      rows: how many rows there are in each bin of the suspicion.
      pretended: the same for pretended labels, which may be of a part of the rows.
    Returns: None if either is empty, or if the model speaks against more than half of the labels: it says too little.
    """
    total, drawn = int(rows.sum()), int(pretended.sum())
    mispredicted = int(rows[SUSPICION_BINS // 2 :].sum())
    if not total or not drawn or 2 * mispredicted > total:
        return None
    rows_beyond, drawn_beyond = rows[::-1].cumsum()[::-1], pretended[::-1].cumsum()[::-1]
    bounds = [int(np.flatnonzero(drawn_beyond >= share * drawn)[-1]) for share in TAILS]
    counts = [rows_beyond[bound] * drawn / drawn_beyond[bound] for bound in bounds]
    wrong = min(math.exp(sum(math.log(count + 0.5) for count in counts) / len(counts)), total)
    density = _never_falling(pretended * (wrong / drawn), rows)
    probability = _corrected(density, mispredicted / total)
    expected = float(rows @ probability)
    low, high = _interval(float(rows @ density), mispredicted, total)
    return WrongLabels(expected, min(low, expected), max(high, expected), probability)


def _corrected(density: np.ndarray, errors: float) -> np.ndarray:
    """The probabilities, as often right as they were on sets whose wrong labels are known."""
    density, errors = np.clip(density, 1 - SUREST, SUREST), min(max(errors, 1 - SUREST), 0.5)
    slope = SLOPE + SLOPE_BY_ERRORS * math.log(errors / (1 - errors))
    return np.asarray(1 / (1 + np.exp(-OFFSET - slope * np.log(density / (1 - density)))))


def _interval(counted: float, mispredicted: int, total: int) -> tuple[float, float]:
    """Between what the number of wrong labels lay nine times in ten."""
    high = max(float(mispredicted), counted)
    chance = NORMAL_QUANTILE * math.sqrt(counted + 1)
    explained, better = (counted + 0.5) / (high + 0.5), 1 - 2 * mispredicted / total
    low = counted * explained**LOW_BY_UNEXPLAINED * better**LOW_BY_ERRORS - chance
    return max(low, 0.0), min(HIGH * high + chance, float(total))


def _never_falling(wrong: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """wrong/rows by bin, pooled with its neighbours wherever it would fall, and 1 at most; empty bins join the next."""
    pools: list[tuple[float, int, int]] = []  # wrong, rows, bins
    for more_wrong, more_rows in zip(wrong.tolist(), rows.tolist(), strict=True):
        pool = (more_wrong, more_rows, 1)
        while pools and (not pools[-1][1] or pools[-1][0] * pool[1] >= pool[0] * pools[-1][1]):
            before = pools.pop()
            pool = (before[0] + pool[0], before[1] + pool[1], before[2] + pool[2])
        pools.append(pool)
    if len(pools) > 1 and not pools[-1][1]:
        last = pools.pop()
        pools[-1] = (pools[-1][0], pools[-1][1], pools[-1][2] + last[2])
    return np.repeat([min(wrong / rows, 1.0) for wrong, rows, _bins in pools], [bins for *_rest, bins in pools])
