"""The arithmetic behind one probability or one gradient, number by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xent_core.cross_entropy import Evaluation


@dataclass(frozen=True)
class CellArithmetic:
    """The numbers that one probability and one entry of the gradient are made of.

    prob = exp(shifted) / total with shifted = z/T − max_k z_k/T; grad = (mass·prob − target)/(denominator·temperature).

    Attributes:
      logit, temperature: z and T.
      peak: max_k z_k/T of the row.
      exp, total: exp(z/T − peak) and its sum over the row.
      prob, grad: as in the Evaluation.
      target: v, the effective target.
      mass: S, the sum of v over the row.
      denominator: D.
      kept: False if the row is ignored.
    """

    logit: float
    temperature: float
    peak: float
    exp: float
    total: float
    prob: float
    target: float
    mass: float
    denominator: float
    grad: float
    kept: bool


def cell_arithmetic(evaluation: Evaluation, row: int, label: int) -> CellArithmetic:
    """The arithmetic of the cell (row, label) of a Problem with logits of shape (N, C)."""
    return _row_of_cells(evaluation, row)[label]


def all_cells(evaluation: Evaluation) -> list[list[CellArithmetic]]:
    """The arithmetic of every cell of a Problem with logits of shape (N, C)."""
    return [_row_of_cells(evaluation, row) for row in range(evaluation.problem.logits.shape[0])]


def _row_of_cells(evaluation: Evaluation, row: int) -> list[CellArithmetic]:
    problem = evaluation.problem
    scaled = problem.logits[row] / problem.temperature
    peak = scaled.max()
    exps = (scaled - peak).exp()
    of_the_row: dict[str, Any] = {
        "temperature": problem.temperature,
        "peak": float(peak),
        "total": float(exps.sum()),
        "mass": float(evaluation.row_mass[row, 0]),
        "denominator": float(evaluation.denominator),
        "kept": bool(problem.kept()[row]),
    }
    return [
        CellArithmetic(logit=logit, exp=exp, prob=prob, target=target, grad=grad, **of_the_row)
        for logit, exp, prob, target, grad in zip(
            problem.logits[row].tolist(),
            exps.tolist(),
            evaluation.probs[row].tolist(),
            evaluation.effective_target[row].tolist(),
            evaluation.grad_logits[row].tolist(),
            strict=True,
        )
    ]
