"""Statistics of a dump in, Plotly figures out: gradient budget, histograms, calibration, data map, a row's gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch

from xent_core.dump import Epochs, Histogram, LorenzCurve, Reliability
from xent_ui.figures.heatmap import ROW_HEIGHT, Cell, matrix, prints_numbers
from xent_ui.figures.theme import (
    DARK_INK,
    FONT,
    LINE,
    MADE,
    OUTLINE,
    Scale,
    Trace,
    axis,
    colorscale,
    figure,
    layout,
)
from xent_ui.text import number, plotly_escaped

HEIGHT, LORENZ_HEIGHT, MAP_HEIGHT = 300, 230, 380
BARS = 40
MAX_POINTS = 200
LINES: Trace = {"type": "scatter", "mode": "lines"}
SHARES: dict[str, Any] = {"range": [0, 1.02], "tickformat": ".0%"}
WIDER_THAN_SHARES = [-0.04, 1.04]  # whole marks at 0 and 1
VARIABILITIES = [-0.02, 0.52]  # no standard deviation of numbers from 0 to 1 is larger
MAP_COLOURS = Scale("Viridis", symmetric=False)  # its ends are told apart on light and on dark
DENSE_ROW_HEIGHT, UPRIGHT = 22, 40  # pixels
AXES_HEIGHT, BAR_HEIGHT, LABEL_OUTLINE = 90, 28, 3  # pixels
MIN_MARK, MAX_MARK = 8, 24  # pixels, by the rows in a bin
MANY_TICKS = 100  # from the last edge to the first: an axis that wide is ticked at powers of ten alone
ROOM_FOR_NUMBERS = 0.25  # beside the bars, as a share of them all
MAX_NAME_CHARACTERS = 24
MAX_LEVEL_CHARACTERS = 40  # in the names of all columns, on the width of a phone


def lorenz(curve: LorenzCurve, *, examples: str, gradient: str) -> go.Figure:
    """The share of the gradient that the largest examples carry, and the line on which all carry the same.

    Args: examples, gradient: what the axes are called.
    """
    x, y = thinned(curve)
    return figure(
        [_diagonal(), _curve(x, y, fill="tonexty")],
        _layout(LORENZ_HEIGHT, xaxis=_titled(examples, **SHARES), yaxis=_titled(gradient, **SHARES)),
    )


def thinned(curve: LorenzCurve) -> tuple[list[float], list[float]]:
    """At most MAX_POINTS points of the curve, closer together where it is steep."""
    last = len(curve.examples) - 1
    indices = np.unique((np.linspace(0, 1, MAX_POINTS) ** 2 * last).round().astype(int))
    return curve.examples[indices].tolist(), curve.gradient[indices].tolist()


def histogram(
    values: Histogram,
    chosen: Histogram | None,
    *,
    title: str,
    rows: str,
    within: tuple[float, float] | None = None,
    mark: float | None = None,
) -> go.Figure:
    """How many rows have which value, as steps over a logarithmic axis, whose bars can be chosen with the pointer.

    Args:
      chosen: those of the rows that are chosen, drawn in front; None if all are.
      within: the chosen range, which is shaded.
      mark: the value of the row whose numbers are shown.
    """
    steps = bars(values)
    x_axis = _titled(title, type="log", exponentformat="power")
    if not steps:
        return figure([], _layout(xaxis=x_axis, yaxis=_titled(rows)))
    edges = [*(low for low, _high, _count in steps), steps[-1][1]]
    if edges[-1] > MANY_TICKS * edges[0]:
        x_axis["dtick"] = 1  # powers of ten alone
    heights = [count for _low, _high, count in steps]
    is_faint = chosen is not None
    traces = [_steps(edges, heights, LINE if is_faint else MADE)]
    if chosen is not None:
        traces.append(_steps(edges, chosen.coarser(BARS, like=values)[1].tolist(), MADE))
    middles = [math.sqrt(low * high) for low, high, _count in steps]
    texts = [f"{number(low)} … {number(high)}: {count}" for low, high, count in steps]
    invisible = {"marker": {"opacity": 0}}
    traces.append(
        {
            "type": "scatter",
            "x": middles,
            "y": heights,
            "mode": "markers",
            "customdata": texts,
            "hovertemplate": "%{customdata}<extra></extra>",
            "marker": {"opacity": 0, "size": 12, "color": MADE},
            "selected": invisible,
            "unselected": invisible,
        }
    )
    upright = {"xref": "x", "yref": "y domain", "y0": 0, "y1": 1}
    shapes: list[dict[str, Any]] = []
    if within is not None:
        low, high = max(within[0], edges[0]), min(within[1], edges[-1])
        if low < high:
            ground = {"fillcolor": OUTLINE, "opacity": 0.15, "line": {"width": 0}}
            shapes.append({**upright, "type": "rect", "x0": low, "x1": high, **ground})
    if mark is not None and edges[0] <= mark <= edges[-1]:
        line = {"color": OUTLINE, "width": 2, "dash": "dash"}
        shapes.append({**upright, "type": "line", "x0": mark, "x1": mark, "line": line})
    chosen_by: dict[str, Any] = {"dragmode": "select", "selectdirection": "h", "hovermode": "x"}
    return figure(traces, _layout(xaxis=x_axis, yaxis=_titled(rows), shapes=shapes, **chosen_by))


def _steps(edges: list[float], heights: list[int], colour: str) -> Trace:
    line = {"shape": "hv", "color": colour, "width": 2}
    return {**LINES, "x": edges, "y": [*heights, 0], "line": line, "fill": "tozeroy", "hoverinfo": "skip"}


def bars(values: Histogram) -> list[tuple[float, float, int]]:
    """The steps of that picture: from, to, rows; none if every value is 0, which a logarithmic axis cannot show."""
    if not values.counts[1:].any():
        return []
    edges, counts = values.coarser(BARS)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True))


def reliability(bins: Reliability, *, confidence: str, accuracy: str) -> go.Figure:
    """The accuracy of every bin of the confidence and its interval; the more rows in it, the larger its mark."""
    used = np.flatnonzero(bins.counts)
    size = MIN_MARK + (MAX_MARK - MIN_MARK) * np.sqrt(bins.counts[used] / max(int(bins.counts.max(initial=1)), 1))
    marks: Trace = {
        "type": "scatter",
        "x": bins.confidence[used].tolist(),
        "y": bins.accuracy[used].tolist(),
        "error_y": {
            "symmetric": False,
            "array": (bins.high - bins.accuracy)[used].tolist(),
            "arrayminus": (bins.accuracy - bins.low)[used].tolist(),
            "color": OUTLINE,
            "thickness": 1,
            "width": 3,
        },
        "mode": "lines+markers",
        "marker": {"size": size.tolist(), "color": OUTLINE, "symbol": "diamond"},
        "line": {"color": OUTLINE, "width": 1},
        "customdata": np.column_stack([bins.counts, bins.low, bins.high])[used].tolist(),
        "hovertemplate": "%{x:.3f}, %{y:.3f} (%{customdata[1]:.3f} … %{customdata[2]:.3f}): %{customdata[0]:d}"
        "<extra></extra>",
    }
    shares = {**SHARES, "range": WIDER_THAN_SHARES}
    return figure([_diagonal(), marks], _layout(xaxis=_titled(confidence, **shares), yaxis=_titled(accuracy, **shares)))


def data_map(
    rows: np.ndarray,
    epochs: Epochs,
    *,
    looked_at: int,
    by_area: bool,
    variability: str,
    confidence: str,
    correctness: str,
) -> go.Figure:
    """Some rows by variability and confidence over the epochs, coloured by the share of epochs that were right.

    Args:
      looked_at: the row that has a mark of its own, drawn or not.
      by_area: whether dragging chooses an area; Streamlit takes no click on a point then.
      variability, confidence, correctness: what the axes and the colours are called.
    """
    right = epochs.correctness[rows]
    marks: Trace = {
        "type": "scatter",
        "x": epochs.variability[rows].tolist(),
        "y": epochs.confidence[rows].tolist(),
        "mode": "markers",
        "marker": {
            "size": MIN_MARK,
            "color": right.tolist(),
            "cmin": 0,
            "cmax": 1,
            "colorscale": colorscale(MAP_COLOURS),
            "line": {"width": 0.5, "color": LINE},
            "colorbar": {
                "title": {"text": correctness, "font": FONT},
                "tickfont": FONT,
                "tickformat": ".0%",
                "len": 0.9,
            },
        },
        "customdata": np.column_stack([rows, right, epochs.forgetting[rows]]).tolist(),
        "hovertemplate": "%{customdata[0]:d}: %{x:.3f}, %{y:.3f}, %{customdata[1]:.0%}<extra></extra>",
    }
    mark: Trace = {
        "type": "scatter",
        "x": [float(epochs.variability[looked_at])],
        "y": [float(epochs.confidence[looked_at])],
        "mode": "markers",
        "marker": {"size": MAX_MARK, "symbol": "diamond-open", "color": OUTLINE, "line": {"width": 3}},
        "hoverinfo": "skip",
    }
    axes = {
        "xaxis": _titled(variability, range=VARIABILITIES),
        "yaxis": _titled(confidence, range=WIDER_THAN_SHARES),
    }
    return figure([marks, mark], _layout(MAP_HEIGHT, dragmode="select" if by_area else "pan", **axes))


def row_gradient(names: Sequence[str], values: Sequence[float], *, label: int, title: str) -> go.Figure:
    """A few logits of one row and the gradient on each; the bar of the label has an outline."""
    widths = [LABEL_OUTLINE if index == label else 0 for index in range(len(names))]
    bar: Trace = {
        "type": "bar",
        "x": list(values),
        "y": [
            plotly_escaped(name if len(name) <= MAX_NAME_CHARACTERS else name[: MAX_NAME_CHARACTERS - 1] + "…")
            for name in names
        ],
        "orientation": "h",
        "marker": {
            "color": [MADE if value < 0 else OUTLINE for value in values],
            "line": {"color": LINE, "width": widths},
        },
        "text": [number(value, sign=True) for value in values],
        "textposition": "auto",
        "insidetextfont": {"color": DARK_INK},
        "hoverinfo": "skip",
    }
    finite = [0.0, *(value for value in values if math.isfinite(value))]
    room = ROOM_FOR_NUMBERS * (max(finite) - min(finite))
    x_axis = _titled(title, range=[min(finite) - room, max(finite) + room]) if room else _titled(title)
    y_axis = _titled("", autorange="reversed", type="category")
    return figure([bar], _layout(AXES_HEIGHT + BAR_HEIGHT * len(names), xaxis=x_axis, yaxis=y_axis))


def pair_matrix(
    values: np.ndarray,
    scale: Scale,
    *,
    row_names: Sequence[str],
    column_names: Sequence[str],
    others: str | None,
    decimals: int,
    selected: Cell | None = None,
) -> go.Figure:
    """A matrix of labels by logits or predictions, whose cells answer to a click.

    Args:
      row_names, column_names: of the classes; plain text.
      others: the name of the last column, and of the last row if there is one more than `row_names`, which stand for
        all classes that have no column of their own; they have no part in the scale. None if there are none.
    """
    own = np.abs(values[: len(row_names), : len(column_names)])
    rest = [] if others is None else [others]
    printed = prints_numbers(*values.shape)
    drawn = matrix(
        torch.from_numpy(values),
        scale,
        row_names=[*row_names, *rest][: len(values)],
        class_names=[*column_names, *rest],
        bound=float(own[np.isfinite(own)].max(initial=0.0)),
        decimals=decimals,
        row_height=ROW_HEIGHT if printed else DENSE_ROW_HEIGHT,
        selected=selected,
    )
    if not printed or sum(map(len, column_names)) > MAX_LEVEL_CHARACTERS:  # the names have room only upright
        drawn.update_layout(height=drawn.layout.height + UPRIGHT, margin={"t": drawn.layout.margin.t + UPRIGHT})
        drawn.update_xaxes(tickangle=-90)
    if not printed:
        drawn.add_trace(_clickable(*values.shape))
    return drawn


def _clickable(rows: int, columns: int) -> Trace:
    """Invisible marks on the cells, for a heatmap reports no clicks."""
    invisible = {"marker": {"opacity": 0}}
    return {
        "type": "scatter",
        "x": np.tile(np.arange(columns), rows).tolist(),
        "y": np.repeat(np.arange(rows), columns).tolist(),
        "mode": "markers",
        "marker": {"opacity": 0, "size": DENSE_ROW_HEIGHT, "symbol": "square"},
        "hoverinfo": "none",
        "selected": invisible,
        "unselected": invisible,
    }


def _diagonal() -> Trace:
    return {**LINES, "x": [0, 1], "y": [0, 1], "line": {"color": LINE, "dash": "dash"}, "hoverinfo": "skip"}


def _curve(x: list[float], y: list[float], *, fill: str) -> Trace:
    line = {"color": MADE, "width": 3}
    return {**LINES, "x": x, "y": y, "line": line, "fill": fill, "hovertemplate": "%{x:.2%}: %{y:.1%}<extra></extra>"}


def _layout(height: int = HEIGHT, **more: Any) -> dict[str, Any]:
    return layout(height, showlegend=False, **more)


def _titled(title: str, **more: Any) -> dict[str, Any]:
    return axis(title, zeroline=False, **more)
