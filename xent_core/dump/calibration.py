"""Calibration: whether a model that says 80 % is right 80 times in 100; sums of batches, and what follows from them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xent_core.values import Value

BINS = 15
CELLS = 2 * BINS + 1  # every edge by itself, and what lies between two
NORMAL_QUANTILE = 1.645  # of 90 % intervals
SURE = 4.0  # standard errors by which a gap is surely on one side
KEPT_CONFIDENCES = 2**18  # rows up to which bins of equal rows are exact
KEPT_PROBABILITIES = 2**22  # rows times classes up to which the adaptive error is known
LIKELY = 0.066  # a little below the first edge: at most 15 classes of a row are more probable

# 1024 steps in every power of two of 1 − confidence, which are 0.1 % wide, from 2^−53 to 1
DOUBT_BINS = 54 * 1024 + 1
_DOUBT_SHIFT = 52 - 10
_FIRST_DOUBT = (1023 - 53) * 1024


@dataclass(frozen=True, eq=False)
class Reliability(Value):
    """Confidence against accuracy in equal bins (0, 1/15], …, (14/15, 1] of the confidence.

    Attributes:
      counts: rows in each bin.
      confidence: mean of the largest probability in each bin; NaN in empty ones.
      accuracy: share of right predictions in each bin; NaN in empty ones.
      low, high: Wilson's 90 % interval of that share; NaN in empty ones.
      expected_calibration_error: Σ_b n_b/N·|accuracy_b − confidence_b|; NaN without rows.
    """

    counts: np.ndarray
    confidence: np.ndarray
    accuracy: np.ndarray
    low: np.ndarray
    high: np.ndarray
    expected_calibration_error: float

    @property
    def edges(self) -> np.ndarray:
        """The edges of the bins."""
        return np.linspace(0, 1, BINS + 1)


@dataclass(frozen=True, eq=False)
class CalibrationError(Value):
    """The mean gap between what is said and what is right, by one way of making bins.

    Attributes:
      name: which way; one of ERRORS.
      value: the gap, from 0 to 1; NaN without rows.
      low, high: hold the error of the model on all examples of this kind at least nine times in ten.
      off_by: how far the value may be from that of the exact bins, at most; 0 where the bins are exact.
    """

    name: str
    value: float
    low: float
    high: float
    off_by: float = 0.0


# equal_width: (a, b], scikit-learn's; equal_width_netcal: [a, b), and 1 in the last; equal_width_torchmetrics: 1 apart
ERRORS = (
    "equal_width",
    "equal_width_torchmetrics",
    "equal_width_netcal",
    "average",
    "equal_mass",
    "top_label",
    "class_wise",
    "adaptive",
)


@dataclass(frozen=True, eq=False)
class BrierScore(Value):
    """The mean of Σ_k (p_k − y_k)², and its parts, over 15 equal bins [a, b) of every class's probability.

    score = reliability − resolution + uncertainty + within_variance − within_covariance

    Attributes:
      score: 0 at best, 2 at worst; for two classes twice the Brier score of one of them.
      reliability: the squared gap between mean probability and frequency.
      resolution: how far the frequencies of the bins lie from those of the classes.
      uncertainty: Σ_k of frequency times its complement, whatever the model.
      within_variance, within_covariance: what the means of the bins leave out.
    """

    score: float
    reliability: float
    resolution: float
    uncertainty: float
    within_variance: float
    within_covariance: float


@dataclass(frozen=True)
class Confidence:
    """What a model says on average against how often it is right.

    Attributes:
      said: the mean of the largest probability of a row; NaN without rows, as all of these.
      right: the share of right predictions.
      low, high: hold said − right of the model on all examples of this kind nine times in ten.
    """

    said: float
    right: float
    low: float
    high: float

    @property
    def gap(self) -> float:
        """said − right, above 0 where a model is too sure."""
        return self.said - self.right


# what can be said of a model as a whole; "uneven" is too sure in places and not sure enough in others
VERDICTS = ("over-confident", "under-confident", "uneven", "calibrated", "too-few", "unknown")
FEWEST_ROWS = 30  # of which it can be said that nothing speaks against the model


@dataclass(frozen=True, eq=False)
class Calibration(Value):
    """What a dump says of a model's calibration; made by `calibration_of`.

    Attributes:
      confidence: what is said on average against what is right.
      reliability: confidence against accuracy.
      errors: as many of ERRORS as are known, in that order; by class up to 2000 classes,
        the adaptive one up to 4 million probabilities.
      brier: None without rows, or beyond 2000 classes.
      largest_bin: share of the rows in the fullest bin of equal width.
      small_probabilities: share of all probabilities below 1/15; NaN beyond 2000 classes.
    """

    confidence: Confidence
    reliability: Reliability
    errors: tuple[CalibrationError, ...]
    brier: BrierScore | None
    largest_bin: float
    small_probabilities: float

    @property
    def verdict(self) -> str:
        """One of VERDICTS: what chance does not explain. The mean gap comes first, then the errors of single bins.

        "uneven" if the mean gap may be chance, and the error of equal rows or of equal widths is not; "too-few" if it
        may be chance, and fewer than 30 rows would not show it otherwise.
        """
        confidence = self.confidence
        if math.isnan(confidence.said):
            return "unknown"
        if confidence.low > 0:
            return "over-confident"
        if confidence.high < 0:
            return "under-confident"
        if int(self.reliability.counts.sum()) < FEWEST_ROWS:
            return "too-few"
        found = (self.error("equal_width"), self.error("equal_mass"))
        return "uneven" if any(error is not None and error.low > 0 for error in found) else "calibrated"

    def error(self, name: str) -> CalibrationError | None:
        """One of ERRORS, or None if it is not known."""
        return next((error for error in self.errors if error.name == name), None)


@dataclass(frozen=True, eq=False)
class ClassProbabilities(Value):
    """What calibration asks of the probabilities of a batch; of the rows in which all are finite.

    Attributes:
      rows, classes, probs: the likely ones: which row, which class, and the probability; float64.
      sums: Σ_i p_ik, (C,), float64.
      certain: which rows are finite, (n,).
      kept: the probabilities of those rows, (m, C), where few are wanted; otherwise None.
    """

    rows: Tensor
    classes: Tensor
    probs: Tensor
    sums: Tensor
    certain: Tensor
    kept: Tensor | None


def class_probabilities(probs: Tensor, doubled: Tensor, certain: Tensor, keep: bool) -> ClassProbabilities:
    """The probabilities of a batch, (n, C), before somebody writes over them.

    Args:
      doubled: the same in float64.
      certain: the rows in which all are finite, (n,).
      keep: copy them.
    """
    if not bool(certain.all()):
        probs, doubled = probs[certain], doubled[certain]
    if probs.device.type == "cpu" and probs.dtype != torch.bfloat16:  # NumPy finds them five times as fast
        places = torch.from_numpy(np.flatnonzero(probs.numpy() > LIKELY))
    else:
        places = (probs > LIKELY).view(-1).nonzero().squeeze(1)
    rows, classes = torch.div(places, probs.shape[1], rounding_mode="floor"), places % probs.shape[1]
    return ClassProbabilities(
        rows,
        classes,
        doubled[rows, classes],
        doubled.new_ones(len(doubled)) @ doubled,
        certain,
        doubled.clone() if keep else None,
    )


class Kept:
    """Rows as they are while they are few: beyond the limit, added or merged, they are forgotten for good.

    Args: limit: how many rows, at most.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.parts: list[tuple[Tensor, Tensor]] | None = []

    def add(self, values: Tensor, labels: Tensor) -> None:
        """More rows, and what is true of them."""
        if self.parts is None:
            return
        if sum(len(part) for part, _labels in self.parts) + len(values) > self.limit:
            self.parts = None
        elif len(values):
            self.parts.append((values, labels))

    def merge(self, other: Kept) -> None:
        """The other's rows too."""
        if other.parts is None:
            self.parts = None
        for part in other.parts or ():
            self.add(*part)

    def arrays(self) -> tuple[np.ndarray, np.ndarray] | None:
        """All of them, in float64; None if there were too many, or none."""
        if not self.parts:
            return None
        values, labels = (torch.cat([one.cpu() for one in column]) for column in zip(*self.parts, strict=True))
        return values.double().numpy(), labels.numpy()


def cell_of(confidence: Tensor) -> Tensor:
    """2·k on the k-th of the 16 edges, odd between two."""
    edges = torch.from_numpy(np.linspace(0, 1, BINS + 1)).to(confidence.device)
    confidence = confidence.double()
    return torch.bucketize(confidence, edges) + torch.bucketize(confidence, edges, right=True) - 1


def bin_of(probs: Tensor) -> Tensor:
    """Which of the bins [a, b) of equal width; 1 is in the last."""
    inner = torch.from_numpy(np.linspace(0, 1, BINS + 1)[1:-1]).to(probs.device)
    return torch.bucketize(probs.double(), inner, right=True)


def doubt_bin(confidence: Tensor) -> Tensor:
    """The fine bin of 1 − confidence: 0 holds those of 1 alone."""
    leading = (1 - confidence.double()).clamp(min=0.0).view(torch.int64) >> _DOUBT_SHIFT
    return (leading - (_FIRST_DOUBT - 1)).clamp(0, DOUBT_BINS - 1)


def calibration_of(
    cells: tuple[np.ndarray, np.ndarray, np.ndarray],
    top: tuple[np.ndarray, np.ndarray, np.ndarray],
    by_class: tuple[np.ndarray, np.ndarray, np.ndarray],
    doubts: tuple[np.ndarray, np.ndarray, np.ndarray],
    brier: tuple[float, float],
    confidences: Kept,
    probabilities: Kept,
) -> Calibration:
    """What follows from the sums: rows, Σ probability and how many are right, of every bin.

    Args:
      cells: by `cell_of` the confidence.
      top: by prediction and `bin_of` the confidence, (C, 15).
      by_class: by class and `bin_of` its probability, (C, 15).
      doubts: by `doubt_bin`.
      brier: Σ Σ_k (p_k − y_k)², Σ p_y.
    """
    rows = int(cells[0].sum())
    upper_closed = _grouped(cells, [0, *((cell - 1) // 2 for cell in range(1, CELLS))])
    apart = _grouped(cells, [cell // 2 for cell in range(CELLS)])
    lower_closed = _grouped(cells, [min(cell // 2, BINS - 1) for cell in range(CELLS)])
    errors = [
        _error("equal_width", upper_closed),
        _error("equal_width_torchmetrics", apart),
        _error("equal_width_netcal", lower_closed),
        _error("average", lower_closed, each_alike=True),
    ]
    kept = confidences.arrays()
    errors.append(_error("equal_mass", *(_cut(doubts) if kept is None else (_equal_rows(*kept), 0.0))))
    score, small = None, math.nan
    if len(top[0]) and rows:
        errors.append(_error("top_label", (top[0].ravel(), top[1].ravel(), top[2].ravel())))
        errors.append(_mean("class_wise", [_Gaps.of(*part) for part in zip(*by_class, strict=True)]))
        kept = probabilities.arrays()
        if kept is not None:
            columns = [_equal_rows(kept[0][:, k], kept[1] == k) for k in range(kept[0].shape[1])]
            errors.append(_mean("adaptive", [_Gaps.of(*column, each_alike=True) for column in columns]))
        score = _brier(by_class, rows, *brier)
        small = float(by_class[0][:, 0].sum() / by_class[0].sum())
    largest = float(upper_closed[0].max() / rows) if rows else math.nan
    return Calibration(
        _confidence(doubts), _reliability(upper_closed, errors[0].value), tuple(errors), score, largest, small
    )


Bins = tuple[np.ndarray, np.ndarray, np.ndarray]


def _confidence(doubts: Bins) -> Confidence:
    """The standard error is the larger one of what is seen, and of what a calibrated model would have.

    Few rows that are all right would show none; a model that is far off may show more than chance gives.
    """
    rows, said, right = doubts
    total = int(rows.sum())
    if not total:
        return Confidence(math.nan, math.nan, math.nan, math.nan)
    confidence, accuracy = float(said.sum() / total), float(right.sum() / total)
    each = said / np.maximum(rows, 1)
    by_chance = float(rows @ (each * (1 - each))) / total
    seen = float(right @ (1 - each) ** 2 + (rows - right) @ each**2) / total - (confidence - accuracy) ** 2
    error = NORMAL_QUANTILE * math.sqrt(max(by_chance, seen, 0.0) / total)
    gap = confidence - accuracy
    return Confidence(confidence, accuracy, max(gap - error, -1.0), min(gap + error, 1.0))


def _binned(
    place: Sequence[int] | np.ndarray, parts: Bins | tuple[None, np.ndarray, np.ndarray], bins: int = 0
) -> Bins:
    """The sum of each part in every bin; of None, how many there are."""
    one, two, three = (np.bincount(place, weights=part, minlength=bins) for part in parts)
    return one, two, three


def _grouped(cells: Bins, groups: list[int]) -> Bins:
    return _binned(groups, cells)


def _reliability(bins: Bins, error: float) -> Reliability:
    rows, said, right = bins
    with np.errstate(divide="ignore", invalid="ignore"):
        accuracy, square = right / rows, NORMAL_QUANTILE**2
        middle = (right + square / 2) / (rows + square)
        spread = NORMAL_QUANTILE / (rows + square) * np.sqrt(rows * accuracy * (1 - accuracy) + square / 4)
        low, high = np.clip(middle - spread, 0, 1), np.clip(middle + spread, 0, 1)
        return Reliability(rows.astype(np.int64), said / rows, accuracy, low, high, error)


@dataclass(frozen=True)
class _Gaps:
    """Σ_b w_b·|accuracy_b − confidence_b|, and how far chance may move it.

    A gap measured is the true one and an error e_b with a standard error τ_b.
    On average chance makes the sum larger, so the true one lies below it and 1.645 standard errors.
    It is made larger by Σ w_b·|e_b| at most, whose mean is Σ w_b·τ_b·√(2/π);
    where a gap is more than 4 standard errors wide its sign is known, and chance moves it both ways.
    """

    value: float
    larger_by: float
    below: float
    above: float

    @classmethod
    def of(cls, rows: np.ndarray, said: np.ndarray, right: np.ndarray, *, each_alike: bool = False) -> _Gaps:
        used = rows > 0
        rows, said, right = rows[used].astype(np.float64), said[used], right[used]
        if not len(rows):
            return cls(math.nan, math.nan, math.nan, math.nan)
        total = rows.sum()
        weight = np.full(len(rows), 1 / len(rows)) if each_alike else rows / total
        gap = np.abs(right - said) / rows
        share = (right + 2) / (rows + 4)  # a bin of few rows that are all right is not sure to be
        error = np.sqrt(share * (1 - share) / rows)
        sure = gap > SURE * error
        value = float(weight @ gap)
        # how many rows fall into which bin is chance too
        by_counts = 0.0 if each_alike else max(float(weight @ gap**2) - value**2, 0.0) / total
        squares = (weight * error) ** 2
        return cls(
            value,
            math.sqrt(2 / math.pi) * float((weight * error)[~sure].sum()),
            math.sqrt(float(squares[sure].sum() + (1 - 2 / math.pi) * squares[~sure].sum()) + by_counts),
            math.sqrt(float(squares.sum()) + by_counts),
        )


def _error(name: str, bins: Bins, off_by: float = 0.0, *, each_alike: bool = False) -> CalibrationError:
    return _mean(name, [_Gaps.of(*bins, each_alike=each_alike)], off_by)


def _mean(name: str, gaps: list[_Gaps], off_by: float = 0.0) -> CalibrationError:
    """The mean over classes, which share their rows: their errors are added as if they went together."""
    value = float(np.mean([one.value for one in gaps]))
    larger_by, below, above = (float(np.mean([getattr(one, part) for one in gaps])) for part in _SPREADS)
    low = value - larger_by - NORMAL_QUANTILE * below - off_by
    high = value + NORMAL_QUANTILE * above + off_by
    return CalibrationError(name, value, float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1)), off_by)


_SPREADS = ("larger_by", "below", "above")


def _equal_rows(values: np.ndarray, right: np.ndarray) -> Bins:
    """Bins [a, b) at the quantiles, as netcal makes them; equal values stay together."""
    inner = np.quantile(values, np.linspace(0, 1, BINS + 1))[1:-1]
    place = np.searchsorted(inner, values, side="right")
    return _binned(place, (None, values, right), BINS)


def _cut(doubts: Bins) -> tuple[Bins, float]:
    """The same from fine bins, and how far the error may be off: where a quantile lies inside one, all of it goes up.

    A row in the wrong bin changes the sum by twice its own gap at most.
    """
    rows, said, right = (part[::-1] for part in doubts)  # the smallest confidence first
    reached = rows.cumsum()
    total = int(reached[-1])
    edges = [0]
    split = set()
    for share in np.linspace(0, 1, BINS + 1)[1:-1]:
        rank = share * (total - 1)
        before = int(np.searchsorted(reached, math.floor(rank), side="right"))
        after = int(np.searchsorted(reached, math.ceil(rank), side="right"))
        edges.append(after)
        if before == after and before != len(rows) - 1:  # the last holds one value alone
            split.add(before)
    edges = np.maximum.accumulate(edges).tolist()
    place = np.searchsorted(edges[1:], np.arange(len(rows)), side="right")
    bins = _binned(place, (rows, said, right), BINS)
    # Σ |right − p| of a fine bin: 1 − p of the right ones, p of the others; p differs by 0.1 % of 1 − p within it
    cut = sorted(split)
    mean = said[cut] / np.maximum(rows[cut], 1)
    own = right[cut] * (1 - mean) + (rows[cut] - right[cut]) * mean + rows[cut] * (1 - mean) / 1024
    return bins, float(2 * own.sum() / total)


def _brier(by_class: Bins, rows: int, score: float, own: float) -> BrierScore:
    counts, said, right = by_class
    used = np.maximum(counts, 1)
    mean, frequency = said / used, right / used
    base = right.sum(1) / rows
    between = float((counts * mean**2).sum())
    together = float((counts * mean * frequency).sum())
    return BrierScore(
        score / rows,
        float((counts * (mean - frequency) ** 2).sum() / rows),
        float((counts * (frequency - base[:, None]) ** 2).sum() / rows),
        float((base * (1 - base)).sum()),
        (score + 2 * own - rows - between) / rows,  # Σ_k (p_k − y_k)² = Σ_k p_k² − 2 p_y + 1
        2 * (own - together) / rows,
    )
