"""A bar for each class with its number on it, as a Plotly figure whose bars can be clicked."""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go

from xent_ui.figures.heatmap import ticks
from xent_ui.figures.theme import LINE, MADE, NEGATIVE, NO_AXIS, POSITIVE, SELECTION, axis, figure, layout
from xent_ui.text import number

BAR_HEIGHT = 190


def bars(
    values: Sequence[float],
    names: Sequence[str],
    *,
    is_gradient: bool,
    selected: int | None = None,
    decimals: int = 4,
) -> go.Figure:
    """One bar per class with its number, also where the number is NaN or infinite; bars can be clicked.

    Args:
      names: taken as plain text.
      is_gradient: two colours, one for each sign, as in the heatmaps.
      selected: position of the bar that is outlined.
    """
    finite = [value if math.isfinite(value) else 0.0 for value in values]
    colours = [(POSITIVE if value > 0 else NEGATIVE) if is_gradient else MADE for value in finite]
    low, high = min([0.0, *finite]), max([0.0, *finite])
    room = 0.24 * ((high - low) or 1.0)
    bar = {
        "type": "bar",
        "x": list(range(len(finite))),
        "y": finite,
        "text": [number(value, decimals, sign=is_gradient) for value in values],
        "textposition": "outside",
        "textfont": {"size": 13},
        "textangle": 0,
        "cliponaxis": False,
        "marker": {
            "color": colours,
            "line": {"color": SELECTION, "width": [3 if k == selected else 0 for k in range(len(finite))]},
        },
        "hoverinfo": "none",
        "width": 0.62,
    }
    drawn = layout(
        BAR_HEIGHT,
        left=2,
        right=2,
        top=2,
        bottom=22,
        showlegend=False,
        xaxis=axis(showgrid=False, zeroline=False, range=[-0.6, len(names) - 0.4], **ticks(names, 12)),
        yaxis={
            **NO_AXIS,
            "range": [low - room if low < 0 else low, high + room if high > 0 or not low else high + room / 3],
        },
        shapes=[
            {"type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": 0, "y1": 0, "line": {"color": LINE, "width": 1}}
        ],
        uniformtext={"minsize": 9, "mode": "show"},
    )
    return figure([bar], drawn)
