"""A path of gradient descent in, one Plotly figure out that plays it in the browser, every picture at the same step.

One figure, because the frames of a figure move all that is in it and nothing else.
What moves on the axes of the heatmaps and curves is a heatmap or an annotation, never a scatter trace:
before a frame that moves one of those, Plotly takes every heatmap off its axes and draws it again later, which flashes.
From top to bottom: buttons and scrubber, probabilities and gradient, for three classes the simplex, and the curves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from torch import Tensor

from xent_ui.figures import heatmap, theme
from xent_ui.figures.heatmap import LARGEST_DRAWN, ROW_HEIGHT, Cell
from xent_ui.figures.theme import (
    BLUE,
    BUTTON,
    FONT,
    GRADIENT,
    GREY,
    GRID,
    GRID_OF_SIMPLEX,
    OUTLINE,
    PROBABILITY,
    PURPLE,
    TRANSPARENT,
    ZERO_LINE,
    Scale,
)
from xent_ui.text import number, plotly_escaped

MAX_FRAMES = 51
# of the frames, so that a page of 64×64 stays below two megabytes
MAX_FRAME_BYTES = 1_500_000
# what a cell takes in the page: a float32 in base 64, and its printed number
CELL_BYTES, TEXT_BYTES = 16 / 3, 10
# drawing a frame takes a browser about 75 ms
PLAY_MS, MIN_FRAME_MS, MAX_FRAME_MS = 7000, 100, 500
# pixels
CONTROLS, TITLE, NAMES, GAP, BOTTOM = 84, 24, 20, 14, 40
MAX_MATRIX, MIN_MATRIX = 420, 60
STRIPS = (96, 84, 72)
MIN_SIMPLEX = 250
LEFT, RIGHT = 64, 12
MAX_NAME = 8
SIMPLEX_CLASSES = 3
MAX_NAMED_ROWS = 8
MAX_NAMED_CLASSES = 11  # beside each other on a telephone
WORDS = {
    "type": "heatmap",
    "colorscale": [[0, TRANSPARENT], [1, TRANSPARENT]],
    "showscale": False,
    "hoverinfo": "skip",
    "texttemplate": "%{text}",
    "textfont": {"color": GREY},
}
ROW_SYMBOLS = ("circle", "square", "diamond", "cross", "triangle-up", "star", "x", "pentagon")


@dataclass(frozen=True)
class Words:
    """What the figure says, in the reader's language."""

    probabilities: str
    gradient: str
    simplex: str
    loss: str
    change: str
    actual: str
    predicted: str
    grad_norm: str
    limit: str
    step: str
    play: str
    pause: str
    start: str


@dataclass(frozen=True, eq=False)
class Moving:
    """What moves: K is the number of steps, F of frames.

    Attributes:
      points: which points of the path are frames, in order, (F).
      probs, grads: at these points, shape (F, N, C).
      loss, grad_norm: at every point, (K + 1).
      actual, predicted: change of the loss at every step, (K).
    """

    points: Sequence[int]
    probs: Tensor
    grads: Tensor
    loss: Sequence[float]
    grad_norm: Sequence[float]
    actual: Sequence[float]
    predicted: Sequence[float]


@dataclass(frozen=True, eq=False)
class Held:
    """What stands still.

    Attributes:
      bound: the value at the end of the gradient's scale, for the whole path.
      outlines: target cells, each with the share of the target it holds.
      limit_loss, limit_probs: where the path tends to, if anywhere; probabilities (N, C).
    """

    row_names: Sequence[str]
    class_names: Sequence[str]
    bound: float
    outlines: Sequence[tuple[Cell, float]]
    limit_loss: float | None
    limit_probs: Tensor | None
    decimals: int


def frame_points(steps: int, num_rows: int, num_classes: int) -> list[int]:
    """Which points of a path are drawn as frames: all, or as many as the page can carry, evenly spread."""
    cell_bytes = CELL_BYTES + (TEXT_BYTES if heatmap.prints_numbers(num_rows, num_classes) else 0)
    room = int(MAX_FRAME_BYTES / (2 * num_rows * num_classes * cell_bytes))
    count = min(steps + 1, MAX_FRAMES, max(2, room))
    return sorted({round(i * steps / max(count - 1, 1)) for i in range(count)})


def player(moving: Moving, held: Held, words: Words) -> go.Figure:
    """The whole path, to be played."""
    layout = _Layout(len(held.row_names), len(held.class_names))
    parts = [
        _Matrices(moving, held),
        _Simplex(moving, held) if layout.has_simplex else None,
        _Strips(moving, held, words),
    ]
    traces: list[dict[str, Any]] = []
    places: list[int] = []  # of the traces that move
    moves: list[list[list[dict[str, Any]]]] = []  # per part, per frame
    for part in parts:
        if part is not None:
            places += [len(traces) + place for place in part.moving_places]
            traces += part.traces
            moves.append(part.moves)
    page = layout.of(moving, held, words)
    still: list[dict[str, Any]] = [{}] * len(page["annotations"])
    page["annotations"] += _here(moving, moving.points[0], words, held.decimals)
    frames = [
        {
            "name": str(point),
            "data": [trace for part in moves for trace in part[index]],
            "traces": places,
            "layout": {"annotations": still + _here(moving, point, words, held.decimals)},
        }
        for index, point in enumerate(moving.points)
    ]
    return go.Figure(data=traces, layout=page, frames=frames)


class _Matrices:
    """Probabilities and gradient as heatmaps, and words for what is no number."""

    def __init__(self, moving: Moving, held: Held) -> None:
        both = self._both(moving, held)
        self.has_words = not all(bool(values.isfinite().all()) for values, *_others in both)
        first: list[dict[str, Any]] = []
        for values, scale, bound, axes in both:
            z = _float32(values[0])
            first.append(heatmap.heatmap_trace(z, scale, bound=bound, decimals=held.decimals) | axes)
            if self.has_words:
                first.append(WORDS | axes | _non_finite(z))
        self.traces = first
        self.moving_places = list(range(len(first)))
        self.moves = [self._frame(moving, held, index) for index in range(len(moving.points))]

    def _frame(self, moving: Moving, held: Held, index: int) -> list[dict[str, Any]]:
        data: list[dict[str, Any]] = []
        for values, scale, _bound, _axes in self._both(moving, held):
            z = _float32(values[index])
            matrix: dict[str, Any] = {"type": "heatmap", "z": z}
            if heatmap.prints_numbers(*z.shape):
                matrix["text"] = heatmap.printed_numbers(z, scale, held.decimals)
            data.append(matrix)
            if self.has_words:
                data.append({"type": "heatmap", **_non_finite(z)})
        return data

    @staticmethod
    def _both(moving: Moving, held: Held) -> list[tuple[Tensor, Scale, float, dict[str, str]]]:
        return [
            (moving.probs, PROBABILITY, 1.0, {"xaxis": "x", "yaxis": "y"}),
            (moving.grads, GRADIENT, held.bound, {"xaxis": "x2", "yaxis": "y2"}),
        ]


class _Simplex:
    """The probabilities of three classes as points in a triangle, with the way they take."""

    def __init__(self, moving: Moving, held: Held) -> None:
        ways = moving.probs.double().numpy()  # (F, N, 3)
        n = ways.shape[1]
        gap = np.full((1, n, SIMPLEX_CLASSES), np.nan)
        joined = np.concatenate([ways, gap]).transpose(1, 0, 2).reshape(-1, SIMPLEX_CLASSES)
        names = [plotly_escaped(name) for name in held.row_names]
        self.traces: list[dict[str, Any]] = [
            {
                **_ternary(joined),
                "mode": "lines",
                "line": {"color": BLUE, "width": 1.5},
                "connectgaps": False,
                "hoverinfo": "skip",
            },
            {
                **_ternary(ways[0]),
                "mode": "markers",
                "marker": {"size": 5, "color": GREY},
                "hoverinfo": "skip",
            },
        ]
        if held.limit_probs is not None:
            self.traces.append(
                {
                    **_ternary(held.limit_probs.double().numpy()),
                    "mode": "markers",
                    "marker": {"size": 13, "color": PURPLE, "symbol": "circle-open", "line": {"width": 2}},
                    "cliponaxis": False,
                    "hoverinfo": "skip",
                }
            )
        named = n <= MAX_NAMED_ROWS
        self.traces.append(
            {
                **_ternary(ways[0]),
                "mode": "markers+text" if named else "markers",
                "marker": {
                    "size": 10,
                    "color": OUTLINE,
                    "symbol": [ROW_SYMBOLS[row % len(ROW_SYMBOLS)] for row in range(n)],
                },
                "text": names,
                "textposition": "top center",
                "cliponaxis": False,
                "hovertemplate": "%{text}<br>%{a:.4f}, %{b:.4f}, %{c:.4f}<extra></extra>",
            }
        )
        self.moving_places = [len(self.traces) - 1]
        self.moves = [[_ternary(way)] for way in ways]


class _Strips:
    """Loss, change of the loss and norm of the gradient along the steps."""

    def __init__(self, moving: Moving, held: Held, words: Words) -> None:
        steps = np.arange(len(moving.loss))
        self.traces: list[dict[str, Any]] = [
            _line(steps, moving.loss, "3", BLUE, "solid", words.loss),
            _line(steps[:-1], moving.actual, "4", BLUE, "solid", words.actual),
            _line(steps[:-1], moving.predicted, "4", OUTLINE, "dot", words.predicted),
            _line(steps, moving.grad_norm, "5", BLUE, "solid", words.grad_norm),
        ]
        if held.limit_loss is not None:
            ends = [0, max(len(moving.loss) - 1, 1)]
            self.traces.append(_line(ends, [held.limit_loss] * 2, "3", PURPLE, "dash", words.limit))
        self.moving_places: list[int] = []
        self.moves: list[list[dict[str, Any]]] = [[] for _point in moving.points]


def _here(moving: Moving, point: int, words: Words, places: int) -> list[dict[str, Any]]:
    """A dot on each curve at the present step, with its number, as annotations."""
    has_change = point < len(moving.actual)
    change = ""
    if has_change:
        change = (
            f"{words.actual} {number(moving.actual[point], places)}, "
            f"{words.predicted} {number(moving.predicted[point], places)}"
        )
    values = [
        ("3", moving.loss[point], number(moving.loss[point], places)),
        ("4", moving.actual[point] if has_change else math.nan, change),
        ("5", moving.grad_norm[point], number(moving.grad_norm[point], places)),
    ]
    is_left = point <= len(moving.loss) / 2
    return [
        {
            "x": point,
            # what is no number still has its place on the axis of steps
            "y": value if _has_place(value) else 0.0,
            "xref": f"x{axis}",
            "yref": f"y{axis}",
            "text": text,
            "visible": bool(text),
            "showarrow": True,
            "arrowhead": 6,  # a dot
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


class _Layout:
    """Where the parts lie; Plotly wants shares of the width and of the height within the margins."""

    def __init__(self, num_rows: int, num_classes: int) -> None:
        self.n, self.c = num_rows, num_classes
        self.has_simplex = num_classes == SIMPLEX_CLASSES
        limit = (MAX_MATRIX - MIN_SIMPLEX // 2) if self.has_simplex else MAX_MATRIX
        self.matrix = max(min(ROW_HEIGHT * num_rows, limit), min(MIN_MATRIX, ROW_HEIGHT * num_rows))
        block = TITLE + NAMES + self.matrix
        if self.has_simplex:
            # the matrices lie one above the other, beside the triangle
            self.matrix += max(0, (MIN_SIMPLEX - 2 * block - GAP) // 2)
            block = TITLE + NAMES + self.matrix
            self.top = 2 * block + GAP
        else:
            self.top = block
        self.inner = self.top + sum(GAP + TITLE + height for height in STRIPS)

    def of(self, moving: Moving, held: Held, words: Words) -> dict[str, Any]:
        limit = [] if held.limit_loss is None else [held.limit_loss]
        changes = [*moving.actual, *moving.predicted]
        layout: dict[str, Any] = {
            **theme.layout(self.inner + CONTROLS + BOTTOM, left=LEFT, right=RIGHT, top=CONTROLS, bottom=BOTTOM),
            "showlegend": False,
            "hovermode": "closest",
            "annotations": [],
            "shapes": [],
            "sliders": [self._slider(moving.points, words)],
            "updatemenus": [self._buttons(len(moving.points), words)],
        }
        self._matrices(layout, held, words)
        tops = self.top
        curves = [
            ("3", words.loss, [*moving.loss, *limit]),
            ("4", words.change, changes),
            ("5", words.grad_norm, moving.grad_norm),
        ]
        for (axis, title, values), height in zip(curves, STRIPS, strict=True):
            self._title(layout, title, 0.0, tops + GAP)
            tops += GAP + TITLE
            self._strip(layout, axis, tops, height, values, last=len(moving.loss) - 1, words=words)
            tops += height
        return layout

    def _matrices(self, layout: dict[str, Any], held: Held, words: Words) -> None:
        block = TITLE + NAMES + self.matrix
        if self.has_simplex:
            places = [(0.0, 0.42, 0), (0.0, 0.42, block + GAP)]
            self._title(layout, words.simplex, 0.5, 0)
            layout["ternary"] = {
                "sum": 1,
                "bgcolor": TRANSPARENT,
                "domain": {"x": [0.56, 0.97], "y": self._domain(TITLE + NAMES, self.top - TITLE - NAMES - 14)},
                **{
                    f"{letter}axis": {
                        "title": {"text": name, "font": FONT},
                        "showticklabels": False,
                        "ticks": "",
                        "gridcolor": GRID_OF_SIMPLEX,
                        "linecolor": GREY,
                        "min": 0,
                    }
                    for letter, name in zip("abc", _cut(held.class_names), strict=True)
                },
            }
        else:
            places = [(0.0, 0.485, 0), (0.515, 1.0, 0)]
        for number_of, (title, (left, right, top)) in enumerate(
            zip((words.probabilities, words.gradient), places, strict=True), start=1
        ):
            axis = "" if number_of == 1 else str(number_of)
            self._title(layout, title, left, top)
            domain = self._domain(top + TITLE + NAMES, self.matrix)
            names_rows = axis == "" or self.has_simplex
            layout[f"xaxis{axis}"] = {
                **heatmap.PLAIN_AXIS,
                **heatmap.ticks(held.class_names, MAX_NAME, most=MAX_NAMED_CLASSES),
                "side": "top",
                "domain": [left, right],
                "anchor": f"y{axis}",
                "range": [-0.5, self.c - 0.5],
            }
            layout[f"yaxis{axis}"] = {
                **heatmap.PLAIN_AXIS,
                **heatmap.ticks(held.row_names, MAX_NAME),
                "showticklabels": names_rows,
                "domain": domain,
                "anchor": f"x{axis}",
                "range": [self.n - 0.5, -0.5],
            }
            layout["shapes"] += [
                shape | {"xref": f"x{axis}", "yref": f"y{axis}"} for shape in heatmap.outlined(held.outlines)
            ]

    def _strip(
        self,
        layout: dict[str, Any],
        axis: str,
        top: float,
        height: float,
        values: Sequence[float],
        *,
        last: int,
        words: Words,
    ) -> None:
        is_last = axis == "5"
        room = 0.02 * max(last, 1)
        layout[f"xaxis{axis}"] = {
            "domain": [0.0, 1.0],
            "anchor": f"y{axis}",
            "range": [-room, max(last, 1) + room],
            "fixedrange": True,
            "showgrid": False,
            "zeroline": False,
            "showticklabels": is_last,
            "nticks": 8,
            "tickfont": FONT,
            **({"title": {"text": words.step, "standoff": 4, "font": FONT}} if is_last else {}),
        }
        layout[f"yaxis{axis}"] = {
            "domain": self._domain(top, height),
            "anchor": f"x{axis}",
            "range": _range(values),
            "fixedrange": True,
            "zeroline": True,
            "zerolinecolor": ZERO_LINE,
            "gridcolor": GRID,
            "nticks": 4,
            "tickfont": FONT,
            "tickformat": "~g",
        }

    def _title(self, layout: dict[str, Any], text: str, x: float, top: float) -> None:
        layout["annotations"].append(
            {
                "text": text,
                "x": x,
                "xref": "paper",
                "xanchor": "left",
                "y": 1 - top / self.inner,
                "yref": "paper",
                "yanchor": "top",
                "showarrow": False,
                "align": "left",
            }
        )

    def _domain(self, top: float, height: float) -> list[float]:
        return [1 - (top + height) / self.inner, 1 - top / self.inner]

    def _slider(self, points: Sequence[int], words: Words) -> dict[str, Any]:
        return {
            "active": 0,
            "x": 0,
            "len": 1,
            "xanchor": "left",
            "y": 1 + (CONTROLS - 6) / self.inner,
            "yanchor": "top",
            "pad": {"t": 0, "b": 0, "l": 0, "r": 0},
            "ticklen": 0,
            "minorticklen": 0,
            "font": {"color": TRANSPARENT, "size": 1},  # no numbers below: the present one stands above
            "currentvalue": {
                "prefix": f"{words.step} ",
                "xanchor": "right",
                "font": {"size": 16, **FONT},
                "offset": 12,
            },
            "bgcolor": GREY,
            "activebgcolor": OUTLINE,
            "bordercolor": GREY,
            "steps": [{"method": "animate", "label": str(point), "args": [[str(point)], _jump()]} for point in points],
        }

    def _buttons(self, count: int, words: Words) -> dict[str, Any]:
        duration = min(max(PLAY_MS // count, MIN_FRAME_MS), MAX_FRAME_MS)
        playing = {
            "frame": {"duration": duration, "redraw": True},
            "transition": {"duration": 0},
            "fromcurrent": True,
            "mode": "immediate",
        }
        return {
            "type": "buttons",
            "direction": "right",
            "showactive": False,
            "x": 0,
            "xanchor": "left",
            "y": 1 + (CONTROLS - 4) / self.inner,
            "yanchor": "top",
            "pad": {"t": 0, "b": 0, "l": 0, "r": 0},
            "bgcolor": BUTTON,
            "bordercolor": GREY,
            "font": FONT,
            "buttons": [
                {"label": f"▶ {words.play}", "method": "animate", "args": [None, playing]},
                {"label": f"❚❚ {words.pause}", "method": "animate", "args": [[None], _jump(redraw=False)]},
                {"label": words.start, "method": "animate", "args": [["0"], _jump()]},
            ],
        }


def _jump(*, redraw: bool = True) -> dict[str, Any]:
    return {"mode": "immediate", "frame": {"duration": 0, "redraw": redraw}, "transition": {"duration": 0}}


def _float32(values: Tensor) -> np.ndarray:
    """Half the bytes, and more digits than a picture has."""
    return values.float().numpy()


def _non_finite(z: np.ndarray) -> dict[str, Any]:
    """The words of NaN and infinities in their cells, on a heatmap without colours."""
    words = [["" if math.isfinite(value) else number(value) for value in row] for row in z.tolist()]
    return {"z": np.zeros(z.shape, dtype=np.int8), "text": words}


def _ternary(points: np.ndarray) -> dict[str, Any]:
    a, b, c = np.ascontiguousarray(points.T.astype(np.float32))
    return {"type": "scatterternary", "a": a, "b": b, "c": c}


def _line(
    x: Sequence[int] | np.ndarray, y: Sequence[float], axis: str, colour: str, dash: str, name: str
) -> dict[str, Any]:
    values = np.array(y, dtype=np.float64)
    return {
        "type": "scatter",
        "mode": "lines+markers" if len(values) == 1 else "lines",
        "x": np.asarray(x, dtype=np.int32),
        "y": np.where(_has_place(values), values, np.nan),
        "xaxis": f"x{axis}",
        "yaxis": f"y{axis}",
        "line": {"color": colour, "width": 2, "dash": dash},
        "hovertemplate": f"{plotly_escaped(name)}<br>%{{x}}: %{{y}}<extra></extra>",
    }


def _has_place(value: Any) -> Any:
    """Whether a number, or which of an array, can be drawn."""
    return np.abs(value) < LARGEST_DRAWN


def _range(values: Sequence[float]) -> list[float]:
    """All numbers and 0, with room above for what stands on the curve."""
    drawn = [value for value in values if _has_place(value)]
    low, high = min([0.0, *drawn]), max([0.0, *drawn])
    size = (high - low) or 1.0
    return [low - 0.08 * size, high + 0.5 * size]


def _cut(names: Sequence[str]) -> list[str]:
    return [plotly_escaped(name if len(name) <= 2 * MAX_NAME else name[: 2 * MAX_NAME - 1] + "…") for name in names]
