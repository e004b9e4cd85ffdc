"""Losses at which training gets stuck, as formulas of the number of classes C, and read backwards: C from a loss."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

MAX_CLASSES = 1_000_000  # more than the largest vocabularies


@dataclass(frozen=True)
class LossLevels:
    r"""Marks of the plain mean loss in nats for C classes, hard labels, temperature 1.

    .. math:: \ln C, \qquad \ln(e + C - 1) - 1 \le L \le \ln(e + C - 1)

    Attributes:
      num_classes: C.
      uniform: ln C, where every class gets the same probability: nothing is learned.
      least_of_two_softmax, most_of_two_softmax: bounds of a row's loss where softmax is applied twice; a right row gets
        at best the input 1 at its label and 0 elsewhere.

    Example:
      >>> levels = loss_levels(10)
      >>> f"{levels.uniform:.4f} {levels.least_of_two_softmax:.4f} {levels.most_of_two_softmax:.4f}"
      '2.3026 1.4612 2.4612'
    """

    num_classes: int
    uniform: float
    least_of_two_softmax: float
    most_of_two_softmax: float


def loss_levels(num_classes: int) -> LossLevels:
    """The marks for C ≥ 2 classes."""
    most = math.log(math.e + num_classes - 1)
    return LossLevels(num_classes, math.log(num_classes), most - 1, most)


def classes_of_two_softmax(loss: str) -> range:
    """The numbers of classes for which softmax twice cannot get below this loss, as far as its digits tell.

    Args: loss: digits as somebody read them, such as "1.46", which stands for 1.455 to 1.465.
    Example:
      >>> classes_of_two_softmax("1.46")
      range(10, 11)
    """
    return _classes(loss, lambda value: math.exp(value + 1) + 1 - math.e)


def classes_of_uniform(loss: str) -> range:
    """The numbers of classes whose ln C is this loss, as far as its digits tell.

    Example:
      >>> classes_of_uniform("2.303")
      range(10, 11)
    """
    return _classes(loss, math.exp)


def _classes(loss: str, classes_at: Callable[[float], float]) -> range:
    value, half = float(loss), 0.5 * 10.0 ** -len(loss.partition(".")[2])
    if not 0 < value <= math.log(MAX_CLASSES):
        return range(0)
    least, most = math.ceil(classes_at(value - half)), math.floor(classes_at(value + half))
    return range(max(2, least), min(MAX_CLASSES, most) + 1)
