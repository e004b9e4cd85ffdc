"""The layout of a path's figure: where each part lies, the axes, the scrubber and the buttons.

From top to bottom: buttons and scrubber, the matrices, for three classes the simplex beside them, and the curves.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xent_ui.figures import heatmap, theme
from xent_ui.figures.heatmap import ROW_HEIGHT
from xent_ui.figures.theme import BUTTON, FONT, GREY, GRID, GRID_OF_SIMPLEX, OUTLINE, TRANSPARENT, ZERO_LINE
from xent_ui.gradient_descent.figures.path_traces import (
    CHANGE_AXIS,
    LOGITS_AXIS,
    LOSS_AXIS,
    NORM_AXIS,
    SIMPLEX_CLASSES,
    is_drawable,
)
from xent_ui.gradient_descent.figures.path_values import FrameConstants, Labels, PathValues
from xent_ui.text import plotly_escaped, short_names

PLAY_MS, MAX_FRAME_MS = 7000, 500  # of all frames, of which there are at most 51, and of one
# pixels
CONTROLS, TITLE, NAMES, GAP, BOTTOM = 84, 24, 20, 14, 40
MAX_MATRIX, MIN_MATRIX = 420, 60
CURVE_HEIGHTS = (96, 84, 72)
MIN_SIMPLEX, BELOW_SIMPLEX = 260, 26
LEFT, RIGHT = 64, 12
# shares of the width: of the matrices beside the simplex, of the simplex, of two matrices beside each other
BESIDE_SIMPLEX, SIMPLEX = (0.0, 0.42), (0.56, 0.97)
SIMPLEX_TITLE = 0.5
LEFT_HALF, RIGHT_HALF = (0.0, 0.485), (0.515, 1.0)
# shares of a curve's height and width
ROOM_BELOW, ROOM_ABOVE, ROOM_ASIDE = 0.08, 0.5, 0.02
MAX_NAME = 8
MAX_NAMED_CLASSES = 11  # beside each other on a telephone


class PlayerLayout:
    """The place of each part, in pixels; Plotly wants shares of the width and height within the margins."""

    def __init__(self, num_rows: int, num_classes: int) -> None:
        self.n, self.c = num_rows, num_classes
        self.has_simplex = num_classes == SIMPLEX_CLASSES
        limit = (MAX_MATRIX - MIN_SIMPLEX // 2) if self.has_simplex else MAX_MATRIX
        self.matrix = max(min(ROW_HEIGHT * num_rows, limit), min(MIN_MATRIX, ROW_HEIGHT * num_rows))
        block = TITLE + NAMES + self.matrix
        if self.has_simplex:
            # the matrices lie one above the other, beside the triangle
            self.matrix += max(0, (MIN_SIMPLEX - 3 * block - 2 * GAP) // 3)
            block = TITLE + NAMES + self.matrix
            self.top = 3 * block + 2 * GAP
        else:
            self.top = 2 * block + GAP
        self.inner = self.top + sum(GAP + TITLE + height for height in CURVE_HEIGHTS)

    def layout(self, path: PathValues, constants: FrameConstants, labels: Labels) -> dict[str, Any]:
        limit = [] if constants.limit_loss is None else [constants.limit_loss]
        changes = [*path.actual, *path.predicted]
        layout: dict[str, Any] = {
            **theme.layout(self.inner + CONTROLS + BOTTOM, left=LEFT, right=RIGHT, top=CONTROLS, bottom=BOTTOM),
            "showlegend": False,
            "hovermode": "closest",
            "annotations": [],
            "shapes": [],
            "sliders": [self._slider(path.points, labels)],
            "updatemenus": [self._buttons(len(path.points), labels)],
        }
        self._matrices(layout, constants, labels)
        top = self.top
        curves = [
            (LOSS_AXIS, _title(labels.loss, labels.loss_note), [*path.loss, *limit]),
            (CHANGE_AXIS, _title(labels.change, labels.change_note), changes),
            (NORM_AXIS, _title(labels.grad_norm), path.grad_norm),
        ]
        for (axis, title, values), height in zip(curves, CURVE_HEIGHTS, strict=True):
            self._title(layout, title, 0.0, top + GAP)
            top += GAP + TITLE
            self._curve(layout, axis, top, height, values, last=len(path.loss) - 1, labels=labels)
            top += height
        return layout

    def _matrices(self, layout: dict[str, Any], constants: FrameConstants, labels: Labels) -> None:
        block = TITLE + NAMES + self.matrix
        if self.has_simplex:
            spans = [(*BESIDE_SIMPLEX, place * (block + GAP)) for place in (1, 2, 0)]
            self._title(layout, _title(labels.simplex, labels.simplex_note), SIMPLEX_TITLE, 0)
            layout["ternary"] = {
                "sum": 1,
                "bgcolor": TRANSPARENT,
                "domain": {
                    "x": list(SIMPLEX),
                    "y": self._domain(TITLE + NAMES, self.top - TITLE - NAMES - BELOW_SIMPLEX),
                },
                **{
                    f"{letter}axis": theme.corner_axis(name, gridcolor=GRID_OF_SIMPLEX, linecolor=GREY, min=0)
                    for letter, name in zip("abc", _cut(short_names(constants.class_names)), strict=True)
                },
            }
        else:
            spans = [(*LEFT_HALF, 0), (*RIGHT_HALF, 0), (*LEFT_HALF, block + GAP)]
        matrices = [("", labels.probabilities), ("2", labels.gradient), (LOGITS_AXIS, labels.logits)]
        for (axis, title), (left, right, top) in zip(matrices, spans, strict=True):
            self._title(layout, _title(title), left, top)
            domain = self._domain(top + TITLE + NAMES, self.matrix)
            names_rows = axis != "2" or self.has_simplex
            layout[f"xaxis{axis}"] = {
                **heatmap.PLAIN_AXIS,
                **heatmap.ticks(constants.class_names, MAX_NAME, most=MAX_NAMED_CLASSES),
                "side": "top",
                "domain": [left, right],
                "anchor": f"y{axis}",
                "range": [-0.5, self.c - 0.5],
            }
            layout[f"yaxis{axis}"] = {
                **heatmap.PLAIN_AXIS,
                **heatmap.ticks(constants.row_names, MAX_NAME),
                "showticklabels": names_rows,
                "domain": domain,
                "anchor": f"x{axis}",
                "range": [self.n - 0.5, -0.5],
            }
            layout["shapes"] += [
                shape | {"xref": f"x{axis}", "yref": f"y{axis}"} for shape in heatmap.outlined(constants.outlines)
            ]

    def _curve(
        self,
        layout: dict[str, Any],
        axis: str,
        top: float,
        height: float,
        values: Sequence[float],
        *,
        last: int,
        labels: Labels,
    ) -> None:
        is_last = axis == NORM_AXIS
        room = ROOM_ASIDE * max(last, 1)
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
            **({"title": {"text": labels.step, "standoff": 4, "font": FONT}} if is_last else {}),
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

    def _slider(self, points: Sequence[int], labels: Labels) -> dict[str, Any]:
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
            "font": {"color": TRANSPARENT, "size": 1},  # no number below each step: the current one stands above
            "currentvalue": {
                "prefix": f"{labels.step} ",
                "xanchor": "right",
                "font": {"size": 16, **FONT},
                "offset": 12,
            },
            "bgcolor": GREY,
            "activebgcolor": OUTLINE,
            "bordercolor": GREY,
            "steps": [{"method": "animate", "label": str(point), "args": [[str(point)], _jump()]} for point in points],
        }

    def _buttons(self, count: int, labels: Labels) -> dict[str, Any]:
        duration = min(PLAY_MS // count, MAX_FRAME_MS)
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
                {"label": f"▶ {labels.play}", "method": "animate", "args": [None, playing]},
                {"label": f"❚❚ {labels.pause}", "method": "animate", "args": [[None], _jump(redraw=False)]},
                {"label": labels.start, "method": "animate", "args": [["0"], _jump()]},
            ],
        }


def _title(text: str, note: str = "") -> str:
    return f"<b>{plotly_escaped(text)}</b>{plotly_escaped(note)}"


def _jump(*, redraw: bool = True) -> dict[str, Any]:
    return {"mode": "immediate", "frame": {"duration": 0, "redraw": redraw}, "transition": {"duration": 0}}


def _range(values: Sequence[float]) -> list[float]:
    """All numbers and 0, with room above for what stands on the curve."""
    drawn = [value for value in values if is_drawable(value)]
    low, high = min([0.0, *drawn]), max([0.0, *drawn])
    size = (high - low) or 1.0
    return [low - ROOM_BELOW * size, high + ROOM_ABOVE * size]


def _cut(names: Sequence[str]) -> list[str]:
    return [plotly_escaped(name if len(name) <= 2 * MAX_NAME else name[: 2 * MAX_NAME - 1] + "…") for name in names]
