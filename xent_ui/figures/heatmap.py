"""A matrix as a heatmap with its numbers in the cells, as a Plotly figure.

A matrix is drawn with row 0 on top and every row ROW_HEIGHT pixels high, so that it lines up with an editor beside it.
Probabilities have one sequential scale, always [0, 1]; gradients a diverging one, symmetric about 0 and white there.
Colour is never the only signal: cells carry their numbers, targets an outline, NaN and infinities their names.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from torch import Tensor

from xent_ui.figures.theme import DARK_INK, LIGHT_INK, OUTLINE, SELECTION, Scale, axis, colorscale, figure, layout
from xent_ui.text import number, plotly_escaped

ROW_HEIGHT = 36
LARGEST_DRAWN = 1e300  # Plotly computes with several times the ends of an axis
DARK_FROM = 0.7  # of the way to the end of either scale, white reads better than black
# numbers are printed into the cells up to here; more would not fit, and text is slow
MAX_PRINTED_CLASSES = 10
MAX_PRINTED_CELLS = 400
MAX_PARTED = 32  # rows or classes; of more, the lines between cells would be as wide as the cells on a telephone
MAX_SIGNED_CLASSES = 5

# labels may overflow: asking each whether it does costs more than drawing it
PLAIN_AXIS = axis(showgrid=False, zeroline=False, ticks="", ticklabeloverflow="allow")


@dataclass(frozen=True)
class Cell:
    """A cell of a matrix, by position."""

    row: int
    label: int


def as_array(tensor: Tensor) -> np.ndarray:
    """A tensor as an array that Plotly and pandas can take: bfloat16 and float16 become float32."""
    return (tensor.float() if tensor.element_size() == 2 else tensor).numpy()


def prints_numbers(num_rows: int, num_classes: int) -> bool:
    """Whether the cells of such a matrix are large and few enough to carry their numbers."""
    return num_classes <= MAX_PRINTED_CLASSES and num_rows * num_classes <= MAX_PRINTED_CELLS


def matrix(
    values: Tensor,
    scale: Scale,
    *,
    row_names: Sequence[str],
    class_names: Sequence[str],
    bound: float = 1.0,
    outlines: Sequence[tuple[Cell, float]] = (),
    selected: Cell | None = None,
    hover: Sequence[Sequence[str]] | None = None,
    decimals: int = 4,
    row_height: int = ROW_HEIGHT,
) -> go.Figure:
    """A matrix as a heatmap whose cells can be clicked.

    Args:
      values: shape (N, C).
      bound: the value at the end of the scale; it should not depend on what is being edited.
      outlines: target cells, each with the share of the target it holds, in [0, 1].
      hover: what a cell says under the pointer, N rows of C plain texts of one line or more.
    """
    z = as_array(values)
    n, c = z.shape
    heatmap = heatmap_trace(z, scale, bound=bound)
    traces = [heatmap]
    if prints_numbers(n, c):
        heatmap["hoverinfo"] = "skip"
        traces.append(_numbers(z, scale, heatmap["zmax"], hover, decimals))
    traces += words_for_non_finite(z)
    frames = outlined(outlines)
    if selected is not None:
        frames.append(_frame([selected], SELECTION, 2, dash="dot"))
    label_width = max((len(name) for name in row_names), default=0)
    return figure(
        traces,
        layout(
            row_height * (n + 1) + 2,
            left=8 + 7 * min(label_width, 12),
            right=2,
            top=row_height + 1,
            bottom=1,
            showlegend=False,
            xaxis={**PLAIN_AXIS, **ticks(class_names, 9), "side": "top", "range": [-0.5, c - 0.5]},
            yaxis={**PLAIN_AXIS, **ticks(row_names, 12), "range": [n - 0.5, -0.5]},
            shapes=frames,
            hoverdistance=2 * row_height,  # from a number to the edge of its cell
        ),
    )


def heatmap_trace(z: np.ndarray, scale: Scale, *, bound: float, decimals: int | None = None) -> dict[str, Any]:
    """A matrix as a heatmap trace, whose cells carry their numbers if these have room and their decimals are given."""
    end = scale_end(bound)
    gap = 1 if max(z.shape) <= MAX_PARTED else 0
    trace = {
        "type": "heatmap",
        "z": z,
        "colorscale": colorscale(scale),
        "zmin": -end if scale.symmetric else 0.0,
        "zmax": end,
        "showscale": False,
        "xgap": gap,
        "ygap": gap,
    }
    if decimals is not None and prints_numbers(*z.shape):
        text = printed_numbers(z, scale, decimals)
        return trace | {"text": text, "texttemplate": "%{text}", "hoverinfo": "skip"}
    return trace | {"hovertemplate": "%{y}, %{x}<br>%{z}<extra></extra>"}


def scale_end(bound: float) -> float:
    """The value at the end of a scale: 1 where the bound is none."""
    return bound if math.isfinite(bound) and bound > 0 else 1.0


def cell_texts(z: np.ndarray, scale: Scale, decimals: int) -> list[list[str]]:
    """The number of each cell as a text; gradients bear their sign while it has room."""
    sign = scale.signed and z.shape[1] <= MAX_SIGNED_CLASSES
    return [[number(value, decimals, sign=sign) for value in row] for row in z.tolist()]


def printed_numbers(z: np.ndarray, scale: Scale, decimals: int) -> list[list[str]]:
    """What is printed into the cells; NaN and infinities have a trace of their own."""
    texts = cell_texts(z, scale, decimals)
    return [
        [text if is_finite else "" for text, is_finite in zip(*row, strict=True)]
        for row in zip(texts, np.isfinite(z).tolist(), strict=True)
    ]


def _numbers(
    z: np.ndarray, scale: Scale, end: float, hover: Sequence[Sequence[str]] | None, decimals: int
) -> dict[str, Any]:
    """The numbers in the cells, which also answer to the pointer: a heatmap reports no clicks."""
    n, c = z.shape
    points: dict[str, Any] = {
        "type": "scatter",
        "x": np.tile(np.arange(c), n),
        "y": np.repeat(np.arange(n), c),
        "mode": "text",
        "text": [text for row in printed_numbers(z, scale, decimals) for text in row],
        "textfont": {"color": [LIGHT_INK if abs(v) > DARK_FROM * end else DARK_INK for v in z.ravel().tolist()]},
        "selected": {"textfont": {"color": SELECTION}},  # said, or Plotly pales all the others
    }
    if hover is None:
        return points | {"hoverinfo": "none"}
    texts = [plotly_escaped(text).replace("\n", "<br>") for row in hover for text in row]
    return points | {"customdata": texts, "hovertemplate": "%{customdata}<extra></extra>"}


def words_for_non_finite(z: np.ndarray) -> list[dict[str, Any]]:
    """A trace that writes NaN and infinities into their cells; none if there are none."""
    rows, labels = np.nonzero(~np.isfinite(z))
    words = [number(float(z[i, c])) for i, c in zip(rows, labels, strict=True)]
    trace = {"type": "scatter", "x": labels, "y": rows, "mode": "text", "text": words, "hoverinfo": "skip"}
    return [trace] if words else []


def outlined(cells: Sequence[tuple[Cell, float]]) -> list[dict[str, Any]]:
    """Frames around the target cells, the thicker the larger the share; one shape for all of a thickness."""
    by_width: dict[int, list[Cell]] = {}
    for cell, share in cells:
        by_width.setdefault(1 + round(2 * min(max(share, 0.0), 1.0)), []).append(cell)
    return [_frame(same, OUTLINE, width) for width, same in by_width.items()]


def _frame(cells: Sequence[Cell], colour: str, width: float, dash: str = "solid") -> dict[str, Any]:
    path = " ".join(
        f"M{cell.label - 0.46},{cell.row - 0.44}H{cell.label + 0.46}V{cell.row + 0.44}H{cell.label - 0.46}Z"
        for cell in cells
    )
    return {"type": "path", "path": path, "line": {"color": colour, "width": width, "dash": dash}}


def cut_name(name: str, length: int) -> str:
    """A name for a picture: cut to a length, and no markup."""
    return plotly_escaped(name if len(name) <= length else name[: length - 1] + "…")


def ticks(names: Sequence[str], length: int, *, most: int = 33) -> dict[str, Any]:
    """An axis that says these names, cut to a length, or `most` of them, evenly spread."""
    labels = [cut_name(name, length) for name in names]
    every = 1 + (len(names) - 1) // most
    return {
        "tickmode": "array",
        "tickvals": list(range(0, len(names), every)),
        "ticktext": labels[::every],
        "tickangle": 0,
    }
