"""The temperature that minimises the loss of a dump: Newton's method on sums that merge, a few passes at most."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.dump.readers import Batch
from xent_core.dump.scores import effective_target, kept_rows, label_weight
from xent_core.loss_options import LossOptions
from xent_core.values import Value

LOWEST, HIGHEST = 0.01, 100.0
# Newton's step at this size leaves an error of about its square; 1 % was asked for
TOLERANCE = 2e-3
MAX_PASSES = 12
SAMPLE_ELEMENTS = 2**22
PIECE_ELEMENTS = 2**19


@dataclass(frozen=True)
class Slope:
    r"""Σ over rows of the loss, and its first and second derivative with respect to β = 1/T.

    .. math:: \ell_i(\beta) = S_i \ln\sum_c e^{\beta z_{ic}} - \beta \sum_c v_{ic} z_{ic}, \quad
              \ell_i' = S_i E_{p_i}[z_i] - \sum_c v_{ic} z_{ic}, \quad \ell_i'' = S_i \mathrm{Var}_{p_i}[z_i]

    Only rows whose loss is finite count; `mass` is what they add to the denominator of "mean".
    """

    loss: float = 0.0
    first: float = 0.0
    second: float = 0.0
    mass: float = 0.0

    def __add__(self, other: Slope) -> Slope:
        return Slope(
            self.loss + other.loss, self.first + other.first, self.second + other.second, self.mass + other.mass
        )


@dataclass(frozen=True, eq=False)
class BestTemperature(Value):
    """Where the loss is least.

    Attributes:
      temperature: T in 0.01…100, to 1 %.
      loss: Σ of the finite row losses at that temperature.
      mass: of the rows behind it.
      at_bound: whether the loss still falls at the end of the range, as it does if every row is right.
      passes: how often the whole dump was read for it.
    """

    temperature: float
    loss: float
    mass: float
    at_bound: bool
    passes: int


def slope_of(batch: Batch, options: LossOptions, beta: float) -> Slope:
    """The sums of one batch at temperature 1/β."""
    batch = kept_rows(batch, options.ignore_index)
    logits, label = batch.logits, batch.target.unsqueeze(1)
    if not len(logits):
        return Slope()
    shifted = logits - logits.amax(1, keepdim=True)  # the loss does not change, and the sums stay small
    log_probs = F.log_softmax(shifted * beta, 1)
    probs = log_probs.exp()
    first, second = _moments(probs, shifted)
    mass = label_weight(batch, options)
    if batch.target_probs is not None:
        wanted = effective_target(batch, batch.target_probs, options)
        total, linear, loss = wanted.sum(1), (wanted * shifted).sum(1), -(wanted * log_probs).sum(1)
        return _slope(total, linear, loss, mass, first, second)
    own = shifted.gather(1, label).squeeze(1).double()
    own_log = log_probs.gather(1, label).squeeze(1).double()
    total, linear, loss = mass, mass * own, -mass * own_log
    if options.smoothing:
        smoothing = options.smoothing
        sample = torch.ones_like(mass) if batch.sample_weight is None else batch.sample_weight
        weight = options.weight
        weight = torch.ones(logits.shape[1], dtype=torch.float64) if weight is None else weight
        weight = weight.to(logits)
        spread = smoothing / logits.shape[1] * sample
        total = (1 - smoothing) * mass + spread * weight.double().sum()
        linear = (1 - smoothing) * linear + spread * (shifted * weight).sum(1, dtype=torch.float64)
        loss = (1 - smoothing) * loss - spread * (log_probs * weight).sum(1, dtype=torch.float64)
    return _slope(total, linear, loss, mass, first, second)


def _slope(total: Tensor, linear: Tensor, loss: Tensor, mass: Tensor, first: Tensor, second: Tensor) -> Slope:
    """The sums of the rows whose loss is finite, out of S, Σ v·z, their loss, and E[z] and E[z²]."""
    slope = total * first - linear
    finite = loss.isfinite() & slope.isfinite()
    curvature = total * (second - first.square()).clamp(min=0.0)
    return Slope(*(float(part[finite].sum()) for part in (loss, slope, curvature, mass)))


def _moments(probs: Tensor, values: Tensor) -> tuple[Tensor, Tensor]:
    """E[z] and E[z²] of every row, float64; a class that cannot be adds nothing."""
    weighted = probs * values
    first, second = weighted.sum(1), (weighted * values).sum(1)
    odd = first.isnan().nonzero().squeeze(1)
    if len(odd):
        values = values[odd].where(probs[odd] != 0, 0.0)
        weighted = probs[odd] * values
        first[odd], second[odd] = weighted.sum(1), (weighted * values).sum(1)
    return first.double(), second.double()


def best_temperature(
    sample: Batch,
    options: LossOptions,
    everything: Callable[[float], Slope] | None,
    on_progress: Callable[[int], None] = lambda rows: None,
) -> BestTemperature:
    """Minimises the loss, first over a sample in memory, then over the whole dump from there.

    Args:
      sample: some rows of the dump, or all of them.
      everything: the sums over the whole dump at β, which reads it once; None if the sample is the whole.
      on_progress: is told how many rows of the sample have been summed; to end the search, it raises.
    """

    pieces = _pieces(sample)

    def of_sample(beta: float) -> Slope:
        total, rows = Slope(), 0
        for piece in pieces:
            total, rows = total + slope_of(piece, options, beta), rows + len(piece.rows)
            on_progress(rows)
        return total

    beta = 1 / options.temperature
    # the loss is convex in β, so that its ends say whether it falls throughout; near 0 Newton's method would stall
    if of_sample(1 / LOWEST).first <= 0:
        beta = 1 / LOWEST
    elif of_sample(1 / HIGHEST).first >= 0:
        beta = 1 / HIGHEST
    beta, slope, at_bound, _ = _minimise(of_sample, beta, 1e-6, max_steps=100)
    passes = 0
    if everything is not None:
        beta, slope, at_bound, passes = _minimise(everything, beta, TOLERANCE, max_steps=MAX_PASSES)
    return BestTemperature(1 / beta, slope.loss, slope.mass, at_bound, passes)


def _pieces(batch: Batch) -> list[Batch]:
    """The batch in parts that fit the processor's cache; views of it."""
    rows, classes = batch.logits.shape
    step = max(PIECE_ELEMENTS // classes, 1)
    return [batch.at(slice(start, start + step)) for start in range(0, rows, step)]


def _minimise(
    evaluate: Callable[[float], Slope], beta: float, tolerance: float, *, max_steps: int
) -> tuple[float, Slope, bool, int]:
    """Newton's method within a bracket that shrinks; gives β, the sums there, whether it is a bound, and the steps."""
    least, most = 1 / HIGHEST, 1 / LOWEST
    low, high = least, most
    beta = min(max(beta, least), most)
    at = Slope()
    for step in range(1, max_steps + 1):
        at = evaluate(beta)
        if (beta >= most and at.first <= 0) or (beta <= least and at.first >= 0):
            return beta, at, True, step
        if at.first > 0:
            high = beta
        else:
            low = beta
        following = beta - at.first / at.second if at.second > 0 else (most if at.first < 0 else least)
        if following >= high:
            following = most if high == most else math.sqrt(low * high)
        elif following <= low:
            following = least if low == least else math.sqrt(low * high)
        change = following - beta
        if abs(change) <= tolerance * beta:
            # the parabola through this point says what the loss is one small step further on
            loss = at.loss + at.first * change + 0.5 * at.second * change * change
            return following, Slope(loss, at.first, at.second, at.mass), False, step
        beta = following
    return beta, at, False, max_steps
