"""One row worked by hand: exp, their sum, softmax and its logarithm, each step beside PyTorch's own."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.cross_entropy import TOLERANCE_IN_EPS
from xent_core.distance import distance
from xent_core.implementations.comparison import rows_of
from xent_core.problem import Problem


@dataclass(frozen=True, eq=False)
class RowWorked:
    """One row worked by hand, each step beside PyTorch's own; made by `row_worked`.

    Attributes:
      logits: z / T of the row, shape (C,), like all that follows but the sum.
      exp, exp_sum: e^z and Σ e^z, shape (), as they come, nothing taken off first.
      softmax_by_hand, softmax: e^z / Σ e^z, and F.softmax.
      log_of_softmax, log_softmax: log(F.softmax), and F.log_softmax.
    """

    logits: Tensor
    exp: Tensor
    exp_sum: Tensor
    softmax_by_hand: Tensor
    softmax: Tensor
    log_of_softmax: Tensor
    log_softmax: Tensor

    @property
    def softmax_difference(self) -> Tensor:
        """|by hand − F.softmax|, float64; 0 where both are NaN."""
        return distance(self.softmax_by_hand, self.softmax)

    @property
    def log_softmax_difference(self) -> Tensor:
        """|log(softmax) − log_softmax|, float64; 0 where both are NaN or −inf."""
        return distance(self.log_of_softmax, self.log_softmax)

    @property
    def softmax_agrees(self) -> Tensor:
        """Where the two softmaxes are equal up to rounding, bool."""
        return self.softmax_difference <= TOLERANCE_IN_EPS * torch.finfo(self.logits.dtype).eps

    @property
    def log_softmax_agrees(self) -> Tensor:
        """Where the two logarithms are equal up to rounding, bool."""
        size = 1 + self.log_softmax.double().abs().nan_to_num(posinf=0.0)
        return self.log_softmax_difference <= TOLERANCE_IN_EPS * torch.finfo(self.logits.dtype).eps * size


def row_worked(problem: Problem, row: int) -> RowWorked:
    """exp, their sum, softmax by hand and log of softmax of one row, beside F.softmax and F.log_softmax.

    Args: row: for logits of shape (N, C, d1, …), a row of the N·d1·….

    Example:
      >>> worked = row_worked(Problem([[1, 2, 3]], [0]), 0)
      >>> worked.exp, worked.exp_sum, worked.softmax
      (tensor([ 2.7183,  7.3891, 20.0855]), tensor(30.1929), tensor([0.0900, 0.2447, 0.6652]))
    """
    logits = rows_of(problem.logits, problem)[row] / problem.temperature
    exp = logits.exp()
    softmax = F.softmax(logits, dim=0)
    return RowWorked(
        logits=logits,
        exp=exp,
        exp_sum=exp.sum(),
        softmax_by_hand=exp / exp.sum(),
        softmax=softmax,
        log_of_softmax=softmax.log(),
        log_softmax=F.log_softmax(logits, dim=0),
    )
