"""The traces of a path's figure: heatmaps of probabilities and gradient, points in the simplex, and curves.

What moves on the axes of the heatmaps and curves is a heatmap or an annotation, never a scatter trace:
before a frame that moves one of those, Plotly takes every heatmap off its axes and draws it again later, which flashes.
Each class has its `traces`, the `moving_indices` of those that change, and for each frame the changes: `frames`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import Tensor

from xent_ui.figures import heatmap
from xent_ui.figures.heatmap import LARGEST_DRAWN
from xent_ui.figures.theme import (
    BLUE,
    GRADIENT,
    GREY,
    LOGIT,
    OUTLINE,
    PROBABILITY,
    PURPLE,
    TRANSPARENT,
    Scale,
    typed_array,
)
from xent_ui.gradient_descent.figures.path_values import FrameConstants, Labels, PathValues
from xent_ui.text import number, plotly_escaped

SIMPLEX_CLASSES = 3
LOSS_AXIS, CHANGE_AXIS, NORM_AXIS = "3", "4", "5"  # of the curves
LOGITS_AXIS = "6"  # of the third matrix
MAX_NAMED_POINTS = 8
# probabilities: how far apart points are that have one text, and from where on the upper corner's name is near
ONE_PLACE, UPPER_CORNER = 0.06, 0.8
POINT_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "star", "x", "pentagon")
# a heatmap without colours that prints a text in each cell
TEXT_HEATMAP = {
    "type": "heatmap",
    "colorscale": [[0, TRANSPARENT], [1, TRANSPARENT]],
    "showscale": False,
    "hoverinfo": "skip",
    "texttemplate": "%{text}",
    "textfont": {"color": GREY},
}


class MatrixTraces:
    """Probabilities, gradient and logits as heatmaps, with NaN and infinities written out."""

    def __init__(self, path: PathValues, constants: FrameConstants) -> None:
        matrices = self._matrices(path, constants)
        self.has_texts = not all(bool(values.float().isfinite().all()) for values, *_others in matrices)
        first: list[dict[str, Any]] = []
        for values, scale, bound, axes in matrices:
            z = _float32(values[0])
            first.append(heatmap.heatmap_trace(z, scale, bound=bound, decimals=constants.decimals) | axes)
            if self.has_texts:
                first.append(TEXT_HEATMAP | axes | _non_finite(z, values[0]))
        self.traces = first
        self.moving_indices = list(range(len(first)))
        self.frames = [self._frame(path, constants, index) for index in range(len(path.points))]

    def _frame(self, path: PathValues, constants: FrameConstants, index: int) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = []
        for values, scale, _bound, _axes in self._matrices(path, constants):
            z = _float32(values[index])
            matrix: dict[str, Any] = {"type": "heatmap", "z": typed_array(z)}
            if heatmap.prints_numbers(*z.shape):
                matrix["text"] = heatmap.printed_numbers(z, scale, constants.decimals)
            data.append(matrix)
            if self.has_texts:
                data.append({"type": "heatmap", **_non_finite(z, values[index])})
        return data

    @staticmethod
    def _matrices(path: PathValues, constants: FrameConstants) -> list[tuple[Tensor, Scale, float, dict[str, str]]]:
        return [
            (path.probs, PROBABILITY, 1.0, {"xaxis": "x", "yaxis": "y"}),
            (path.grads, GRADIENT, constants.bound, {"xaxis": "x2", "yaxis": "y2"}),
            (path.logits, LOGIT, constants.logit_bound, {"xaxis": f"x{LOGITS_AXIS}", "yaxis": f"y{LOGITS_AXIS}"}),
        ]


class SimplexTraces:
    """The probabilities of three classes as points in a triangle, with the path of each row."""

    def __init__(self, path: PathValues, constants: FrameConstants) -> None:
        points, line = (probs.double().numpy() for probs in (path.probs, path.line_probs))  # (F, N, 3), (P, N, 3)
        n = points.shape[1]
        gap = np.full((1, n, SIMPLEX_CLASSES), np.nan)
        joined = np.concatenate([line, gap]).transpose(1, 0, 2).reshape(-1, SIMPLEX_CLASSES)
        names = [plotly_escaped(name) for name in constants.row_names]
        self.traces: list[dict[str, Any]] = [
            {
                **_ternary(joined),
                "mode": "lines",
                "line": {"color": BLUE, "width": 1.5},
                "connectgaps": False,
                "hoverinfo": "skip",
            },
            {
                **_ternary(points[0]),
                "mode": "markers",
                "marker": {"size": 5, "color": GREY},
                "hoverinfo": "skip",
            },
        ]
        if constants.limit_probs is not None:
            self.traces.append(
                {
                    **_ternary(constants.limit_probs.double().numpy()),
                    "mode": "markers",
                    "marker": {"size": 13, "color": PURPLE, "symbol": "circle-open", "line": {"width": 2}},
                    "cliponaxis": False,
                    "hoverinfo": "skip",
                }
            )
        named = n <= MAX_NAMED_POINTS
        moved = [_ternary(point) | (_names_at(point, names) if named else {}) for point in points]
        self.traces.append(
            {
                **moved[0],
                "mode": "markers+text" if named else "markers",
                "marker": {
                    "size": 10,
                    "color": OUTLINE,
                    "symbol": [POINT_SYMBOLS[row % len(POINT_SYMBOLS)] for row in range(n)],
                },
                "customdata": names,
                "cliponaxis": False,
                "hovertemplate": "%{customdata}<br>%{a:.4f}, %{b:.4f}, %{c:.4f}<extra></extra>",
            }
        )
        self.moving_indices = [len(self.traces) - 1]
        self.frames = [[one] for one in moved]


class CurveTraces:
    """Loss, change of the loss and norm of the gradient along the steps."""

    def __init__(self, path: PathValues, constants: FrameConstants, labels: Labels) -> None:
        steps = np.arange(len(path.loss))
        self.traces: list[dict[str, Any]] = [
            _line(steps, path.loss, LOSS_AXIS, BLUE, "solid", labels.loss),
            _line(steps[:-1], path.actual, CHANGE_AXIS, BLUE, "solid", labels.actual),
            _line(steps[:-1], path.predicted, CHANGE_AXIS, OUTLINE, "dot", labels.predicted),
            _line(steps, path.grad_norm, NORM_AXIS, BLUE, "solid", labels.grad_norm),
        ]
        if constants.limit_loss is not None:
            ends = [0, max(len(path.loss) - 1, 1)]
            self.traces.append(_line(ends, [constants.limit_loss] * 2, LOSS_AXIS, PURPLE, "dash", labels.limit))
        self.moving_indices: list[int] = []
        self.frames: list[list[dict[str, Any]]] = [[] for _point in path.points]


def _float32(values: Tensor) -> np.ndarray:
    """Half the bytes, and more digits than a picture has."""
    return values.float().numpy()


def _non_finite(z: np.ndarray, exact: Tensor) -> dict[str, Any]:
    """A text in each cell that holds NaN, an infinity, or a number too large for the picture."""
    cells = [zip(drawn, row, strict=True) for drawn, row in zip(z.tolist(), exact.tolist(), strict=True)]
    texts = [["" if math.isfinite(drawn) else number(value) for drawn, value in row] for row in cells]
    return {"z": typed_array(np.zeros(z.shape, dtype=np.int8)), "text": texts}


def _ternary(points: np.ndarray) -> dict[str, Any]:
    a, b, c = map(typed_array, points.T.astype(np.float32))
    return {"type": "scatterternary", "a": a, "b": b, "c": c}


def _names_at(points: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The names of the rows at their points, one text for those at one place; at the upper corner below its name."""
    texts = [""] * len(names)
    for row, point in enumerate(points):
        near = np.abs(points[: row + 1] - point).max(axis=1) < ONE_PLACE
        first = int(near.argmax()) if near.any() else row  # NaN is near to nothing
        texts[first] += f", {names[row]}" if texts[first] else names[row]
    above, below = "top center", "bottom center"
    return {"text": texts, "textposition": [below if up > UPPER_CORNER else above for up in points[:, 0]]}


def _line(
    x: Sequence[int] | np.ndarray, y: Sequence[float], axis: str, colour: str, dash: str, name: str
) -> dict[str, Any]:
    values = np.array(y, dtype=np.float64)
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(values) == 1 else "lines",
        "x": np.asarray(x, dtype=np.int32),
        "y": np.where(is_drawable(values), values, np.nan),
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "line": {"color": colour, "width": 2, "dash": dash},
        "hovertemplate": f"{plotly_escaped(name)}<br>%{{x}}: %{{y}}<extra></extra>",
    }


def is_drawable(value: Any) -> Any:
    """Whether a number, or which of an array, can be drawn."""
    return np.abs(value) < LARGEST_DRAWN
