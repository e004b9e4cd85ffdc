"""Sweeps in, Plotly figures out: what one option does to a loss or a gradient, a line for each number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from xent_ui.figures.theme import BLUE, FONT, GREEN, GREY, GRID, OUTLINE, PURPLE, RED, ZERO_LINE, layout
from xent_ui.text import plotly_escaped

# each line has its colour, dash and a name at its end, so that colour is never the only signal
COLOURS = (BLUE, OUTLINE, PURPLE, GREEN, RED, GREY)
DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot", "dot")
HEIGHT = 300
MAX_NAME = 14


@dataclass(frozen=True)
class Line:
    """A line: its name, its numbers, one for each x, and whether it is what another one tends to."""

    name: str
    y: tuple[float, ...]
    is_limit: bool = False


def lines(x: Sequence[float], drawn: Sequence[Line], *, here: float | None = None, log_x: bool = False) -> go.Figure:
    """Lines over what was swept.

    Args:
      here: the value in use, marked by a vertical line.
      log_x: a logarithmic axis; then all of x is above 0.
    """
    traces = []
    whole = [line for line in drawn if not line.is_limit]
    for line in drawn:
        # a limit has the colour of the line that it follows
        place = len([before for before in drawn[: drawn.index(line)] if not before.is_limit])
        place = max(place - 1, 0) if line.is_limit else place
        values = np.array(line.y, dtype=np.float64)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plotly_escaped(line.name[:MAX_NAME]),
                "x": np.array(x, dtype=np.float64),
                "y": np.where(np.isfinite(values), values, np.nan),
                "line": {
                    "color": COLOURS[place % len(COLOURS)],
                    "width": 1.5 if line.is_limit else 2,
                    "dash": "dot" if line.is_limit else DASHES[place % len(DASHES)],
                },
                "showlegend": not line.is_limit and len(whole) > 1,
                "hovertemplate": f"{plotly_escaped(line.name)}<br>%{{x:.4g}}: %{{y}}<extra></extra>",
            }
        )
    shapes = []
    if here is not None:
        mark = {"color": OUTLINE, "width": 1.5, "dash": "dash"}
        shapes.append({"type": "line", "x0": here, "x1": here, "y0": 0, "y1": 1, "yref": "paper", "line": mark})
    grid = {"gridcolor": GRID, "zerolinecolor": ZERO_LINE, "fixedrange": True}
    grid |= {"tickfont": FONT}
    return go.Figure(
        data=traces,
        layout=layout(
            HEIGHT,
            legend={"orientation": "h", "y": -0.15, "yanchor": "top", "x": 0},
            xaxis={**grid, "type": "log" if log_x else "linear"},
            yaxis={**grid, "zeroline": True},
            shapes=shapes,
        ),
    )
