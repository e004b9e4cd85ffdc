"""How far numbers lie apart: NaN equals NaN, an infinity equals itself, and either is far from every number."""

from __future__ import annotations

import math

from torch import Tensor


def signed_difference(values: Tensor, expected: Tensor) -> Tensor:
    """values − expected in float64; 0 where both are NaN or the same infinity, ±inf or NaN where only one is."""
    a, b = values.double(), expected.double()
    same = (a == b) | (a.isnan() & b.isnan())
    return (a - b).masked_fill(same, 0.0)


def distance(values: Tensor, expected: Tensor) -> Tensor:
    """|values − expected| in float64; 0 where both are NaN or the same infinity, inf where only one is.

    Example:
      >>> import torch
      >>> distance(torch.tensor([1.0, math.nan, math.inf, math.inf]), torch.tensor([3.0, math.nan, math.inf, 1.0]))
      tensor([2., 0., 0., inf], dtype=torch.float64)
    """
    return signed_difference(values, expected).abs().nan_to_num(nan=math.inf, posinf=math.inf)


def largest(values: Tensor) -> float:
    """The largest of the values; 0 if there are none, NaN if one is NaN."""
    return float(values.max()) if values.numel() else 0.0


def largest_finite(values: Tensor) -> float:
    """The largest |value| of those that are finite, in float64; 0 if there are none.

    Example:
      >>> import torch
      >>> largest_finite(torch.tensor([1.0, -3.0, math.nan, -math.inf]))
      3.0
    """
    return largest(values.double().nan_to_num(0.0, 0.0, 0.0).abs())
