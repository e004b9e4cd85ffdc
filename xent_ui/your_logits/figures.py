"""Statistics of a dump in, Plotly figures out: the gradient budget, histograms, calibration, and one row's gradient."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import plotly.graph_objects as go
import torch

from xent_core.dump import Histogram, LorenzCurve, Reliability
from xent_ui.figures.heatmap import ROW_HEIGHT, Cell, matrix, prints_numbers
from xent_ui.figures.theme import DARK_INK, LINE, MADE, OUTLINE, Scale, axis, layout
from xent_ui.text import number, plotly_escaped

HEIGHT, LORENZ_HEIGHT = 300, 230
BARS = 40
MAX_POINTS = 200
WIDER_THAN_SHARES = [-0.04, 1.04]  # whole marks at 0 and 1
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
    figure = go.Figure(data=[_diagonal(), _curve(x, y, fill="tonexty")])
    return _with_axes(figure, x_title=examples, y_title=gradient, shares=True).update_layout(height=LORENZ_HEIGHT)


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
    figure = _with_axes(go.Figure(), x_title=title, y_title=rows)
    figure.update_xaxes(type="log", exponentformat="power")
    if not steps:
        return figure
    edges = [*(low for low, _high, _count in steps), steps[-1][1]]
    if edges[-1] > MANY_TICKS * edges[0]:
        figure.update_xaxes(dtick=1)  # powers of ten alone
    heights = [count for _low, _high, count in steps]
    is_faint = chosen is not None
    figure.add_trace(_steps(edges, heights, LINE if is_faint else MADE))
    if chosen is not None:
        figure.add_trace(_steps(edges, chosen.coarser(BARS, like=values)[1].tolist(), MADE))
    middles = [math.sqrt(low * high) for low, high, _count in steps]
    texts = [f"{number(low)} … {number(high)}: {count}" for low, high, count in steps]
    invisible = {"marker": {"opacity": 0}}
    figure.add_trace(
        go.Scatter(
            x=middles,
            y=heights,
            mode="markers",
            customdata=texts,
            hovertemplate="%{customdata}<extra></extra>",
            marker={"opacity": 0, "size": 12, "color": MADE},
            selected=invisible,
            unselected=invisible,
        )
    )
    figure.update_layout(dragmode="select", selectdirection="h", hovermode="x")
    if within is not None:
        low, high = max(within[0], edges[0]), min(within[1], edges[-1])
        if low < high:
            figure.add_vrect(x0=low, x1=high, fillcolor=OUTLINE, opacity=0.15, line_width=0)
    if mark is not None and edges[0] <= mark <= edges[-1]:
        figure.add_vline(x=mark, line={"color": OUTLINE, "width": 2, "dash": "dash"})
    return figure


def _steps(edges: list[float], heights: list[int], colour: str) -> go.Scatter:
    line = {"shape": "hv", "color": colour, "width": 2}
    return go.Scatter(x=edges, y=[*heights, 0], mode="lines", line=line, fill="tozeroy", hoverinfo="skip")


def bars(values: Histogram) -> list[tuple[float, float, int]]:
    """The steps of that picture: from, to, rows; none if every value is 0, which a logarithmic axis cannot show."""
    if not values.counts[1:].any():
        return []
    edges, counts = values.coarser(BARS)
    return list(zip(edges[:-1].tolist(), edges[1:].tolist(), counts.tolist(), strict=True))


def reliability(bins: Reliability, *, confidence: str, accuracy: str) -> go.Figure:
    """The accuracy of every bin of the confidence; the more rows in it, the larger its mark."""
    used = np.flatnonzero(bins.counts)
    size = MIN_MARK + (MAX_MARK - MIN_MARK) * np.sqrt(bins.counts[used] / max(int(bins.counts.max(initial=1)), 1))
    marks = go.Scatter(
        x=bins.confidence[used].tolist(),
        y=bins.accuracy[used].tolist(),
        mode="lines+markers",
        marker={"size": size.tolist(), "color": OUTLINE, "symbol": "diamond"},
        line={"color": OUTLINE, "width": 1},
        customdata=bins.counts[used].tolist(),
        hovertemplate="%{x:.3f}, %{y:.3f}: %{customdata}<extra></extra>",
    )
    figure = _with_axes(go.Figure(data=[_diagonal(), marks]), x_title=confidence, y_title=accuracy, shares=True)
    return figure.update_layout({"xaxis.range": WIDER_THAN_SHARES, "yaxis.range": WIDER_THAN_SHARES})


def row_gradient(names: Sequence[str], values: Sequence[float], *, label: int, title: str) -> go.Figure:
    """A few logits of one row and the gradient on each; the bar of the label has an outline."""
    widths = [LABEL_OUTLINE if index == label else 0 for index in range(len(names))]
    bar = go.Bar(
        x=list(values),
        y=[
            plotly_escaped(name if len(name) <= MAX_NAME_CHARACTERS else name[: MAX_NAME_CHARACTERS - 1] + "…")
            for name in names
        ],
        orientation="h",
        marker={
            "color": [MADE if value < 0 else OUTLINE for value in values],
            "line": {"color": LINE, "width": widths},
        },
        text=[number(value, sign=True) for value in values],
        textposition="auto",
        insidetextfont={"color": DARK_INK},
        hoverinfo="skip",
    )
    figure = _with_axes(go.Figure(data=[bar]), x_title=title, y_title="")
    figure.update_layout(height=AXES_HEIGHT + BAR_HEIGHT * len(names))
    finite = [0.0, *(value for value in values if math.isfinite(value))]
    room = ROOM_FOR_NUMBERS * (max(finite) - min(finite))
    figure.update_xaxes(range=[min(finite) - room, max(finite) + room] if room else None)
    return figure.update_yaxes(autorange="reversed", type="category")


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
    figure = matrix(
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
        figure.update_layout(height=figure.layout.height + UPRIGHT, margin={"t": figure.layout.margin.t + UPRIGHT})
        figure.update_xaxes(tickangle=-90)
    if not printed:
        figure.add_trace(_clickable(*values.shape))
    return figure


def _clickable(rows: int, columns: int) -> go.Scatter:
    """Invisible marks on the cells, for a heatmap reports no clicks."""
    invisible = {"marker": {"opacity": 0}}
    return go.Scatter(
        x=np.tile(np.arange(columns), rows).tolist(),
        y=np.repeat(np.arange(rows), columns).tolist(),
        mode="markers",
        marker={"opacity": 0, "size": DENSE_ROW_HEIGHT, "symbol": "square"},
        hoverinfo="none",
        selected=invisible,
        unselected=invisible,
    )


def _diagonal() -> go.Scatter:
    return go.Scatter(x=[0, 1], y=[0, 1], mode="lines", line={"color": LINE, "dash": "dash"}, hoverinfo="skip")


def _curve(x: list[float], y: list[float], *, fill: str) -> go.Scatter:
    return go.Scatter(
        x=x,
        y=y,
        mode="lines",
        line={"color": MADE, "width": 3},
        fill=fill,
        hovertemplate="%{x:.2%}: %{y:.1%}<extra></extra>",
    )


def _with_axes(figure: go.Figure, *, x_title: str, y_title: str, shares: bool = False) -> go.Figure:
    scale: dict[str, Any] = {"range": [0, 1.02], "tickformat": ".0%"} if shares else {}
    figure.update_layout(
        layout(HEIGHT),
        showlegend=False,
        xaxis=axis(x_title, zeroline=False, **scale),
        yaxis=axis(y_title, zeroline=False, **scale),
    )
    return figure
