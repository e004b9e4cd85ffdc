"""What the figure of a path is made from: the numbers of the path, what all frames share, and the labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from xent_ui.figures.heatmap import Cell


@dataclass(frozen=True, eq=False)
class PathValues:
    """The numbers along the path; K is the number of steps, F of frames.

    Attributes:
      points: which points of the path are frames, in order, (F).
      logits, probs, grads: at these points, shape (F, N, C).
      line_probs: at the points between which the simplex draws lines, shape (P, N, C).
      loss, grad_norm: at every point, (K + 1).
      actual, predicted: change of the loss at every step, (K).
    """

    points: Sequence[int]
    logits: Tensor
    probs: Tensor
    grads: Tensor
    line_probs: Tensor
    loss: Sequence[float]
    grad_norm: Sequence[float]
    actual: Sequence[float]
    predicted: Sequence[float]


@dataclass(frozen=True, eq=False)
class FrameConstants:
    """What is the same in every frame.

    Attributes:
      bound, logit_bound: the values at the ends of the scales of gradient and logits, for the whole path.
      outlines: target cells, each with the share of the target it holds.
      limit_loss, limit_probs: where the path tends to, None if nowhere; probabilities (N, C).
    """

    row_names: Sequence[str]
    class_names: Sequence[str]
    bound: float
    logit_bound: float
    outlines: Sequence[tuple[Cell, float]]
    limit_loss: float | None
    limit_probs: Tensor | None
    decimals: int


@dataclass(frozen=True)
class Labels:
    """The texts in the figure, plain and in the reader's language; a note stands behind the title it belongs to."""

    logits: str
    probabilities: str
    gradient: str
    simplex: str
    simplex_note: str
    loss: str
    loss_note: str
    change: str
    change_note: str
    actual: str
    predicted: str
    grad_norm: str
    limit: str
    step: str
    play: str
    pause: str
    start: str
