"""The curve of one number while an option goes from A to B, as a Plotly figure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import plotly.graph_objects as go

from xent_ui.figures.theme import BLUE, FONT, GREY, OUTLINE, Trace, axis, figure, layout
from xent_ui.text import number, plotly_escaped

HEIGHT = 260
ROOM_BELOW, ROOM_ABOVE = 0.15, 0.3  # of the curve's height; above for the letters A and B
FLAT = 1e-3  # relative: a curve that varies by less is drawn flat, as rounding alone makes it uneven


def option_curve(values: Sequence[float | str], numbers: Sequence[float], *, x_title: str) -> go.Figure:
    """One number against the value of an option; the ends are marked A and B, words stand side by side.

    What is not finite is left out of the line, and the table beside it says so.

    Args:
      values: numbers, or words that have no order.
      numbers: as many.
      x_title: what the option is called.
    """
    words = any(isinstance(value, str) for value in values)
    shown = [value if math.isfinite(value) else None for value in numbers]
    x = list(range(len(values))) if words else list(values)
    texts = [plotly_escaped(value) if isinstance(value, str) else f"{value:.4g}" for value in values]
    line: Trace = {
        "type": "scatter",
        "x": x,
        "y": shown,
        "mode": "markers" if words else "lines",
        "line": {"color": BLUE, "width": 2},
        "marker": {"color": BLUE, "size": 9, "symbol": "diamond"},
        "customdata": [[text, number(value, 6)] for text, value in zip(texts, numbers, strict=True)],
        "hovertemplate": "%{customdata[0]}: %{customdata[1]}<extra></extra>",
    }
    ends = [(0, "A", "circle"), (-1, "B", "square")]
    marks: Trace = {
        "type": "scatter",
        "x": [x[index] for index, _name, _symbol in ends],
        "y": [shown[index] for index, _name, _symbol in ends],
        "mode": "markers+text",
        "marker": {"color": OUTLINE, "size": 11, "symbol": [symbol for _index, _name, symbol in ends]},
        "text": [name for _index, name, _symbol in ends],
        "textposition": "top center",
        "textfont": {"size": 14},
        "hoverinfo": "skip",
        "cliponaxis": False,
    }
    finite = [value for value in shown if value is not None]
    low, high = (min(finite), max(finite)) if finite else (0.0, 1.0)
    height = max(high - low, FLAT * max(abs(high), abs(low)), 1e-12)
    ticks: dict[str, Any] = {}
    if words:
        ticks = {"tickmode": "array", "tickvals": x, "ticktext": texts, "range": [-0.5, len(values) - 0.5]}
    small = {"size": 12, **FONT}
    return figure(
        [line, marks],
        layout(
            HEIGHT,
            showlegend=False,
            xaxis=axis(x_title, zeroline=False, tickfont=small, **ticks),
            yaxis=axis(
                zeroline=False,
                gridcolor=GREY,
                griddash="dot",
                tickfont=small,
                range=[low - ROOM_BELOW * height, high + ROOM_ABOVE * height],
            ),
        ),
    )
