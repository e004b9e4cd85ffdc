"""The loss along a logit with its tangent, the simplex of three probabilities, and sweeps, as Plotly figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go
from torch import Tensor

from xent_core.one_row import LossCurve, SimplexField
from xent_ui.figures.heatmap import as_array, cut_name
from xent_ui.figures.theme import (
    BLUE,
    GREEN,
    GREY,
    GRID,
    LINE,
    MADE,
    PURPLE,
    RED,
    SELECTION,
    TRANSPARENT,
    USED,
    ZERO_LINE,
    Trace,
    axis,
    corner_axis,
    figure,
    layout,
    legend_below,
)
from xent_ui.text import number, plotly_escaped

HEIGHT = 320
ARROW = 0.1  # of the simplex, the longest arrow of the field
# each line has its colour, dash and a name at its end, so that colour is never the only signal
# none of them is orange, which marks the label
COLOURS = (BLUE, GREEN, PURPLE, RED, GREY, SELECTION)
DASHES = ("solid", "dash", "dashdot", "longdash", "longdashdot", "dot")
SWEEP_HEIGHT = 300
MAX_NAME = 14


def loss_curve(curve: LossCurve, name: str, *, decimals: int = 4) -> go.Figure:
    """The row's loss as one logit moves, the row as it is, and the tangent, whose slope is the gradient.

    Args: name: of the class whose logit moves; plain text.
    """
    x, y = as_array(curve.values).tolist(), as_array(curve.loss).tolist()
    here_x, here_y, slope = float(curve.value_here), float(curve.loss_here), float(curve.slope_here)
    lines = {"type": "scatter", "mode": "lines", "x": x}
    traces: list[Trace] = [
        {**lines, "y": y, "line": {"color": MADE, "width": 3}, "name": "ℓ(z)"},
        {
            **lines,
            "y": as_array(curve.tangent).tolist(),
            "line": {"color": PURPLE, "width": 2, "dash": "dash"},
            "name": f"slope ∂ℓ/∂z = {number(slope, decimals, sign=True)}",
        },
        {
            "type": "scatter",
            "mode": "markers",
            "x": [here_x],
            "y": [here_y],
            "marker": {"color": PURPLE, "size": 12, "symbol": "diamond"},
            "name": f"z = {number(here_x, decimals)}, ℓ = {number(here_y, decimals)}",
        },
    ]
    finite = [value for value in y if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = 0.08 * ((high - low) or 1.0)
    return figure(
        traces,
        layout(
            HEIGHT,
            legend=legend_below(-0.16),
            xaxis=axis(f"z, {plotly_escaped(name)}", standoff=4, zeroline=False),
            # the tangent may leave the picture, the curve may not
            yaxis=axis(range=[low - room, high + room], zeroline=False),
        ),
    )


def simplex(
    field: SimplexField, probs: Tensor, target: Tensor, names: Sequence[str], *, velocity: Tensor | None = None
) -> go.Figure:
    """Three probabilities as a point in a triangle, the target, and where descent leads from everywhere.

    Args:
      field: of the row, three classes.
      probs: the row's own, shape (3,).
      target: shape (3,), adding up to 1; for a label it is that corner.
      names: plain text.
      velocity: where descent moves the row's own probabilities.
    """
    names = [cut_name(name, 12) for name in names]
    longest = float(field.velocity.norm(dim=1).max()) or 1.0
    # by the root of its size, so that the slow ones can be seen as well
    size = field.velocity.norm(dim=1, keepdim=True).clamp(min=1e-12)
    moves = field.velocity / size * (size / longest).sqrt() * ARROW
    points: list[list[float | None]] = [[], [], []]
    sizes: list[int] = []
    for start, move in zip(field.probs.tolist(), moves.tolist(), strict=True):
        for corner in range(3):
            points[corner] += [start[corner], start[corner] + move[corner], None]
        sizes += [0, 7, 0]
    traces = [_ternary(points, mode="lines+markers", line={"color": LINE, "width": 1.5}, sizes=sizes)]
    if velocity is not None and float(velocity.norm()) > 0:
        ahead = (probs.double() + velocity.double() / velocity.double().norm() * 2 * ARROW).tolist()
        ends = [[start, end] for start, end in zip(probs.tolist(), ahead, strict=True)]
        traces.append(_ternary(ends, mode="lines+markers", line={"color": MADE, "width": 3}, sizes=[0, 12]))
    for values, symbol, colour in ((target, "star", USED), (probs, "diamond", MADE)):
        texts = ", ".join(number(value) for value in values.tolist())
        traces.append(
            {
                "type": "scatterternary",
                **dict(zip("abc", ([value] for value in values.tolist()), strict=True)),
                "mode": "markers",
                "marker": {"symbol": symbol, "size": 15, "color": colour},
                "hovertemplate": f"{texts}<extra></extra>",
                "cliponaxis": False,
            }
        )
    axes = {f"{letter}axis": corner_axis(name, showgrid=False) for letter, name in zip("abc", names, strict=True)}
    drawn = layout(
        HEIGHT, left=36, right=36, top=30, bottom=30, showlegend=False, ternary={"bgcolor": TRANSPARENT, **axes}
    )
    return figure(traces, drawn)


def _ternary(
    points: Sequence[Sequence[float | None]], *, mode: str, line: dict[str, object], sizes: list[int]
) -> Trace:
    a, b, c = points
    marker = {"symbol": "arrow", "angleref": "previous", "size": sizes, "color": line["color"], "line": {"width": 0}}
    still = {"hoverinfo": "skip", "cliponaxis": False}
    return {"type": "scatterternary", "a": a, "b": b, "c": c, "mode": mode, "line": line, "marker": marker, **still}


@dataclass(frozen=True)
class Line:
    """A line of a sweep: its name, its numbers, one for each x, and whether it is what another one tends to."""

    name: str
    y: tuple[float, ...]
    is_limit: bool = False


def sweep_lines(
    x: Sequence[float], drawn: Sequence[Line], *, here: float | None = None, log_x: bool = False
) -> go.Figure:
    """What one option does to a loss or a gradient: a line for each number over the values that were swept.

    Args:
      here: the value in use, marked by a vertical line.
      log_x: a logarithmic axis; then all of x is above 0.
    """
    traces = []
    whole = [line for line in drawn if not line.is_limit]
    for line in drawn:
        # a limit has the colour of the line that it follows
        index = len([before for before in drawn[: drawn.index(line)] if not before.is_limit])
        index = max(index - 1, 0) if line.is_limit else index
        values = np.array(line.y, dtype=np.float64)
        traces.append(
            {
                "type": "scatter",
                "mode": "lines",
                "name": plotly_escaped(line.name[:MAX_NAME]),
                "x": np.array(x, dtype=np.float64),
                "y": np.where(np.isfinite(values), values, np.nan),
                "line": {
                    "color": COLOURS[index % len(COLOURS)],
                    "width": 1.5 if line.is_limit else 2,
                    "dash": "dot" if line.is_limit else DASHES[index % len(DASHES)],
                },
                "showlegend": not line.is_limit and len(whole) > 1,
                "hovertemplate": f"{plotly_escaped(line.name)}<br>%{{x:.4g}}: %{{y}}<extra></extra>",
            }
        )
    shapes = []
    if here is not None:
        mark = {"color": LINE, "width": 1.5, "dash": "dash"}
        shapes.append({"type": "line", "x0": here, "x1": here, "y0": 0, "y1": 1, "yref": "paper", "line": mark})
    grid = axis(gridcolor=GRID, zerolinecolor=ZERO_LINE)
    return figure(
        traces,
        layout(
            SWEEP_HEIGHT,
            legend=legend_below(-0.15),
            xaxis={**grid, "type": "log" if log_x else "linear"},
            yaxis={**grid, "zeroline": True},
            shapes=shapes,
        ),
    )
