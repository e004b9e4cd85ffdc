"""Histograms in fixed bins that grow by 0.8 %, so that those of any parts add up exactly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from xent_core.values import Value

# a bin for each of 128 steps within every power of two from 2^−64 to 2^24: 0.8 % wide or less
STEPS_PER_OCTAVE = 128
LOWEST_OCTAVE, HIGHEST_OCTAVE = -64, 24
HISTOGRAM_BINS = (HIGHEST_OCTAVE - LOWEST_OCTAVE) * STEPS_PER_OCTAVE
_MANTISSA_SHIFT = 52 - 7
_FIRST_BIN = (1023 + LOWEST_OCTAVE) * STEPS_PER_OCTAVE


@dataclass(frozen=True, eq=False)
class Histogram(Value):
    """Counts in fixed bins that grow by 0.8 %, so that histograms add up exactly, and the sum of each bin.

    Attributes:
      counts: int64, shape (bins + 2,): the values below the first edge, in each bin, and from the last edge on.
      sums: of the finite values of each bin, float64.
      nan: how many values are NaN; they are in no bin.
      smallest, largest: of all values that are not NaN; NaN if there are none.
    """

    counts: np.ndarray
    sums: np.ndarray
    nan: int
    smallest: float
    largest: float

    @property
    def total(self) -> int:
        """How many values there are, without NaN."""
        return int(self.counts.sum())

    @property
    def edges(self) -> np.ndarray:
        """The edges between the bins, from 2^−64 to 2^24; shape (bins + 1,)."""
        octave, step = np.divmod(np.arange(HISTOGRAM_BINS + 1), STEPS_PER_OCTAVE)
        edges: np.ndarray = np.ldexp(1 + step / STEPS_PER_OCTAVE, octave + LOWEST_OCTAVE)
        return edges

    def quantile(self, share: float) -> float:
        """The value below which this share of the values lies, to 0.4 %; NaN if there are none."""
        if not self.total:
            return math.nan
        reached = np.cumsum(self.counts)
        # the value of the given rank, as numpy.quantile(..., method="inverted_cdf") has it
        bin_index = int(np.searchsorted(reached, max(math.ceil(share * self.total), 1)))
        low, high = self._edges_of(bin_index)
        middle = (low + high) / 2 if math.isfinite(high) else self.largest
        return float(min(max(middle, self.smallest), self.largest))

    def _edges_of(self, bin_index: int) -> tuple[float, float]:
        edges = self.edges
        low = float(edges[bin_index - 1]) if bin_index else min(self.smallest, 0.0)
        return low, float(edges[bin_index]) if bin_index <= HISTOGRAM_BINS else math.inf

    def merged(self, other: Histogram) -> Histogram:
        """Both together."""
        extremes = [self.smallest, other.smallest, self.largest, other.largest]
        known = [value for value in extremes if not math.isnan(value)] or [math.nan]
        return Histogram(
            self.counts + other.counts, self.sums + other.sums, self.nan + other.nan, min(known), max(known)
        )

    def coarser(self, bins: int = 40, *, like: Histogram | None = None) -> tuple[np.ndarray, np.ndarray]:
        """Edges and counts of at most `bins` bins for a picture, equally wide in the logarithm, around what there is.

        Each holds whole fine bins.
        Values below 2^−64 go to the first bin, values from 2^24 on and infinity to the last.

        Args: like: the histogram whose bins are used, if not its own.
        """
        used = np.flatnonzero((like or self).counts)
        if not used.size:
            return np.array([0.0, 1.0]), np.zeros(1, np.int64)
        # a million-fold range is what a picture can show; what lies below joins the first bin
        last = min(max(int(used[-1]), 1), HISTOGRAM_BINS)
        first = max(int(used[0]), 1, last - 20 * STEPS_PER_OCTAVE)
        width = max(math.ceil((last - first + 1) / bins), 1)
        count = math.ceil((last - first + 1) / width)
        bin_index = np.clip((np.arange(len(self.counts)) - first) // width, 0, count - 1)
        counts = np.bincount(bin_index, weights=self.counts, minlength=count).astype(np.int64)
        at = np.minimum(first - 1 + width * np.arange(count + 1), HISTOGRAM_BINS)
        return self.edges[at], counts


def histogram_of(values: Tensor) -> Histogram:
    """The histogram of these values alone."""
    counts = torch.zeros(HISTOGRAM_BINS + 2, dtype=torch.int64)
    sums = torch.zeros(HISTOGRAM_BINS + 2, dtype=torch.float64)
    nan = torch.zeros((), dtype=torch.int64)
    add_to_bins(values, counts, sums, nan)
    low, high = wider((math.inf, -math.inf), values)
    return Histogram(counts.numpy(), sums.numpy(), int(nan), *((low, high) if low <= high else (math.nan, math.nan)))


def add_to_bins(values: Tensor, counts: Tensor, sums: Tensor, nan: Tensor) -> None:
    """Counts and adds up the values by bin, in place."""
    values = values.double()
    is_nan = values.isnan()
    if bool(is_nan.any()):
        nan += int(is_nan.sum())
        values = values[~is_nan]
    # the leading bits of a float64 are its logarithm in steps: no logarithm is rounded, and bins nest exactly
    bin_index = (values.clamp(min=0.0).view(torch.int64) >> _MANTISSA_SHIFT) - (_FIRST_BIN - 1)
    bin_index = bin_index.clamp(0, HISTOGRAM_BINS + 1)
    counts.index_add_(0, bin_index, torch.ones_like(bin_index))
    sums.index_add_(0, bin_index, values.where(values.isfinite(), 0.0))


def wider(extremes: tuple[float, float], values: Tensor) -> tuple[float, float]:
    """The smallest and the largest, of these values too."""
    values = values[~values.isnan()]
    if not len(values):
        return extremes
    low, high = values.aminmax()
    return min(extremes[0], float(low)), max(extremes[1], float(high))
