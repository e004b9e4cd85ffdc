"""Reference losses: of uniform guessing, the least that the target allows, and of softmax applied twice."""

from __future__ import annotations

import math
from dataclasses import dataclass

from xent_core.cross_entropy import Evaluation


@dataclass(frozen=True)
class Mark:
    """A loss with a name: "uniform", "floor" or "double softmax"; value in nats, in the Problem's own reduction."""

    name: str
    value: float


def reference_losses(evaluation: Evaluation) -> list[Mark]:
    r"""The marks that hold for this Problem, smallest first; a mark that does not hold is left out.

    .. math:: \text{uniform} = \frac{\ln C}{D}\sum_i S_i, \quad \text{floor} = \frac{1}{D}\sum_i S_i H(v_i / S_i), \quad
              \text{double softmax} = \ln(e^{1/T} + C - 1) - 1/T

    - uniform: every class gets 1/C.
    - floor: the entropy of the target, reached when p equals v/S; needs v ≥ 0.
    - double softmax: the least that remains if the logits are themselves a softmax; for hard labels and the plain mean.

    Example:
      >>> from xent_core import Problem, evaluate
      >>> [(mark.name, round(mark.value, 4)) for mark in reference_losses(evaluate(Problem([[1, 2, 3]], [0])))]
      [('floor', 0.0), ('double softmax', 0.5514), ('uniform', 1.0986)]
    """
    problem = evaluation.problem
    num_classes = problem.num_classes
    denominator = float(evaluation.denominator)
    target = evaluation.effective_target.double()
    mass = target.sum(problem.class_axis)
    if not (math.isfinite(denominator) and denominator and num_classes and bool(mass.isfinite().all())):
        return []
    marks = [Mark("uniform", float(mass.sum()) * math.log(num_classes) / denominator)]
    if bool((target >= 0).all()):
        # S·H(v/S) = S ln S − Σ v ln v, with 0 ln 0 = 0
        entropy = mass.xlogy(mass).sum() - target.xlogy(target).sum()
        marks.append(Mark("floor", max(float(entropy), 0.0) / denominator))
    kept = target[target != 0]
    is_hard = bool((kept == 1).all()) and bool((mass.eq(1) == problem.kept()).all())
    if is_hard and problem.reduction == "mean" and problem.weight is None:
        inverse = 1 / problem.temperature
        # ln(e^a + C − 1) − a without overflow of e^a
        marks.append(Mark("double softmax", math.log1p((num_classes - 1) * math.exp(-inverse))))
    return sorted(marks, key=lambda mark: mark.value)
