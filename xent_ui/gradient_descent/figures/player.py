"""A path of gradient descent in, one Plotly figure out that plays it in the browser, every picture at the same step.

One figure, because the frames of a figure move all that is in it and nothing else.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go

from xent_ui.figures import heatmap
from xent_ui.figures.theme import OUTLINE, figure
from xent_ui.gradient_descent.figures.path_traces import (
    CHANGE_AXIS,
    LOSS_AXIS,
    NORM_AXIS,
    CurveTraces,
    MatrixTraces,
    SimplexTraces,
    is_drawable,
)
from xent_ui.gradient_descent.figures.path_values import FrameConstants, Labels, PathValues
from xent_ui.gradient_descent.figures.player_layout import PlayerLayout
from xent_ui.text import number

MAX_FRAMES = 51
MAX_ROW_POINTS, MAX_LINE_POINTS = 300, 12_000  # of the lines: of a row, and of all rows together
# of the frames, so that a page of 64×64 stays below two megabytes
MAX_FRAME_BYTES = 1_500_000
# what a cell takes in the page: a float32 in base 64, and its printed number
CELL_BYTES, TEXT_BYTES = 16 / 3, 10
EVEN_SHARE = 0.25  # of the frames
NUM_MATRICES = 3
DOT = 6  # Plotly's arrowhead


def frame_points(loss: Sequence[float], num_rows: int, num_classes: int) -> list[int]:
    """Which points of a path are drawn as frames: all, or as many as the page can carry, closest where the loss moves.

    Between two frames lies the same share of the way that the loss goes, up and down; a small part of them is spread
    evenly, so that the rest of the path is seen as well. Where one step goes further than a share, each is a frame.

    Args: loss: at every point, its start included; a step to or from what is not finite counts as one that rests.
    """
    steps = len(loss) - 1
    cell_bytes = CELL_BYTES + (TEXT_BYTES if heatmap.prints_numbers(num_rows, num_classes) else 0)
    room = int(MAX_FRAME_BYTES / (NUM_MATRICES * num_rows * num_classes * cell_bytes))
    count = min(steps, MAX_FRAMES - 1, max(1, room - 1))
    if count == steps:
        return list(range(steps + 1))
    shares = np.minimum(1.0, _shares(np.asarray(loss, dtype=np.float64), count))
    passed = np.searchsorted(shares.cumsum(), np.arange(1, count) - 1e-6)
    return [0, *(passed + 1).tolist(), steps]


def _shares(loss: np.ndarray, count: int) -> np.ndarray:
    """How many frames each step would have, so that they are `count` together when none has more than one."""
    with np.errstate(invalid="ignore"):
        size = np.abs(np.diff(loss / 2))  # halved, since float64 ends before the difference of its largest numbers
    moved = np.where(np.isfinite(size), size, 0.0)
    weight = np.full(len(moved), 1.0 / len(moved))
    if moved.any():
        moved /= moved.max()
        weight = EVEN_SHARE * weight + (1 - EVEN_SHARE) * moved / moved.sum()
    falling = np.sort(weight)[::-1]
    rest = falling.sum() - np.concatenate([[0.0], falling.cumsum()[:-1]])  # from each on, the largest first
    factors = (count - np.arange(len(falling))) / rest  # if all that are larger have one frame each
    full = int(np.argmax(factors * falling <= 1.0))
    shares: np.ndarray = weight * factors[full]
    return shares


def line_points(frames: Sequence[int], num_rows: int) -> list[int]:
    """Between which points of a path the simplex draws lines: close to each other at the start, where it turns most."""
    steps = frames[-1]
    count = min(steps, MAX_ROW_POINTS, MAX_LINE_POINTS // num_rows)
    close = {round(steps * (i / count) ** 3) for i in range(count + 1)} if count else set()
    return sorted({*frames, *close})


def player(path: PathValues, constants: FrameConstants, labels: Labels) -> go.Figure:
    """The whole path, to be played."""
    arrangement = PlayerLayout(len(constants.row_names), len(constants.class_names))
    parts = [
        MatrixTraces(path, constants),
        SimplexTraces(path, constants) if arrangement.has_simplex else None,
        CurveTraces(path, constants, labels),
    ]
    traces: list[dict[str, Any]] = []
    moving_indices: list[int] = []  # of the traces that change
    changes: list[list[list[dict[str, Any]]]] = []  # per part, per frame
    for part in parts:
        if part is not None:
            moving_indices += [len(traces) + index for index in part.moving_indices]
            traces += part.traces
            changes.append(part.frames)
    layout = arrangement.layout(path, constants, labels)
    titles: list[dict[str, Any]] = [{}] * len(layout["annotations"])
    layout["annotations"] += _current_step_marks(path, path.points[0], labels, constants.decimals)
    frames = [
        {
            "name": str(point),
            "data": [trace for frames_of_part in changes for trace in frames_of_part[index]],
            "traces": moving_indices,
            "layout": {"annotations": titles + _current_step_marks(path, point, labels, constants.decimals)},
        }
        for index, point in enumerate(path.points)
    ]
    return figure(traces, layout, frames=frames)


def _current_step_marks(path: PathValues, point: int, labels: Labels, decimals: int) -> list[dict[str, Any]]:
    """A dot on each curve at the current step, with its number, as annotations."""
    has_change = point < len(path.actual)
    change = ""
    if has_change:
        change = (
            f"{labels.actual} {number(path.actual[point], decimals)}, "
            f"{labels.predicted} {number(path.predicted[point], decimals)}"
        )
    values = [
        (LOSS_AXIS, path.loss[point], number(path.loss[point], decimals)),
        (CHANGE_AXIS, path.actual[point] if has_change else math.nan, ""),
        (NORM_AXIS, path.grad_norm[point], number(path.grad_norm[point], decimals)),
    ]
    is_left = point <= len(path.loss) / 2
    # above its curve, which may run through the place beside the dot
    beside = {
        "x": point,
        "xref": f"x{CHANGE_AXIS}",
        "y": 1,
        "yref": f"y{CHANGE_AXIS} domain",
        "xanchor": "left" if is_left else "right",
        "yanchor": "top",
        "text": change,
        "visible": has_change,
        "showarrow": False,
    }
    marks: list[dict[str, Any]] = [
        {
            "x": point,
            # what is no number is still marked on the axis of steps
            "y": value if is_drawable(value) else 0.0,
            "xref": f"x{axis}",
            "yref": f"y{axis}",
            "text": text,
            "visible": axis != CHANGE_AXIS or has_change,
            "showarrow": True,
            "arrowhead": DOT,
            "arrowsize": 1.5,
            "arrowwidth": 2,
            "arrowcolor": OUTLINE,
            "ax": 8 if is_left else -8,
            "ay": -6,
            "xanchor": "left" if is_left else "right",
            "yanchor": "bottom",
        }
        for axis, value, text in values
    ]
    return [*marks, beside]
