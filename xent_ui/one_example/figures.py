"""The pictures of one row: its loss along a logit with the tangent, and the simplex of three probabilities.

Colours come from `xent_ui.figures.heatmap`; the axes take the reader's theme.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import plotly.graph_objects as go
from torch import Tensor

from xent_core import LossCurve, SimplexField
from xent_ui.figures.heatmap import as_array
from xent_ui.figures.theme import FONT, LINE, MADE, TRANSPARENT, USED, layout
from xent_ui.text import number, plotly_escaped

HEIGHT = 320
ARROW = 0.1  # of the simplex, the longest arrow of the field


def loss_curve(curve: LossCurve, name: str, *, decimals: int = 4) -> go.Figure:
    """The row's loss as one logit moves, the row as it is, and the tangent, whose slope is the gradient.

    Args: name: of the class whose logit moves; plain text.
    """
    x, y = as_array(curve.values).tolist(), as_array(curve.loss).tolist()
    here_x, here_y, slope = float(curve.value_here), float(curve.loss_here), float(curve.slope_here)
    figure = go.Figure()
    figure.add_trace(go.Scatter(x=x, y=y, mode="lines", line={"color": MADE, "width": 3}, name="ℓ(z)"))
    figure.add_trace(
        go.Scatter(
            x=x,
            y=as_array(curve.tangent).tolist(),
            mode="lines",
            line={"color": USED, "width": 2, "dash": "dash"},
            name=f"slope ∂ℓ/∂z = {number(slope, decimals, sign=True)}",
        )
    )
    figure.add_trace(
        go.Scatter(
            x=[here_x],
            y=[here_y],
            mode="markers",
            marker={"color": USED, "size": 12, "symbol": "diamond"},
            name=f"z = {number(here_x, decimals)}, ℓ = {number(here_y, decimals)}",
        )
    )
    finite = [value for value in y if math.isfinite(value)]
    low, high = min(finite, default=0.0), max(finite, default=1.0)
    room = 0.08 * ((high - low) or 1.0)
    figure.update_layout(
        layout(HEIGHT),
        legend={"orientation": "h", "y": -0.16, "yanchor": "top", "x": 0},
        xaxis={
            "fixedrange": True,
            "title": {"text": f"z, {plotly_escaped(name)}", "standoff": 4, "font": FONT},
            "zeroline": False,
            "tickfont": FONT,
        },
        # the tangent may leave the picture, the curve may not
        yaxis={"fixedrange": True, "range": [low - room, high + room], "zeroline": False, "tickfont": FONT},
    )
    return figure


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
    names = [plotly_escaped(name if len(name) <= 12 else name[:11] + "…") for name in names]
    figure = go.Figure()
    longest = float(field.velocity.norm(dim=1).max()) or 1.0
    # by the root of its size, so that the slow ones can be seen as well
    size = field.velocity.norm(dim=1, keepdim=True).clamp(min=1e-12)
    moves = field.velocity / size * (size / longest).sqrt() * ARROW
    points: list[list[float | None]] = [[], [], []]
    sizes: list[int] = []
    for start, move in zip(field.probs.tolist(), moves.tolist(), strict=True):
        for axis in range(3):
            points[axis] += [start[axis], start[axis] + move[axis], None]
        sizes += [0, 7, 0]
    figure.add_trace(_ternary(points, mode="lines+markers", line={"color": LINE, "width": 1.5}, sizes=sizes))
    if velocity is not None and float(velocity.norm()) > 0:
        ahead = (probs.double() + velocity.double() / velocity.double().norm() * 2 * ARROW).tolist()
        ends = [[start, end] for start, end in zip(probs.tolist(), ahead, strict=True)]
        figure.add_trace(_ternary(ends, mode="lines+markers", line={"color": MADE, "width": 3}, sizes=[0, 12]))
    for values, symbol, colour in ((target, "star", USED), (probs, "diamond", MADE)):
        texts = ", ".join(number(value) for value in values.tolist())
        figure.add_trace(
            go.Scatterternary(
                **dict(zip("abc", ([value] for value in values.tolist()), strict=True)),
                mode="markers",
                marker={"symbol": symbol, "size": 15, "color": colour},
                hovertemplate=f"{texts}<extra></extra>",
                cliponaxis=False,
            )
        )
    axes = {
        f"{letter}axis": {
            "title": {"text": f"p({name})", "font": FONT},
            "showticklabels": False,
            "showgrid": False,
            "ticks": "",
        }
        for letter, name in zip("abc", names, strict=True)
    }
    figure.update_layout(
        layout(HEIGHT, left=36, right=36, top=30, bottom=30),
        showlegend=False,
        ternary={"bgcolor": TRANSPARENT, **axes},
    )
    return figure


def _ternary(
    points: Sequence[Sequence[float | None]], *, mode: str, line: dict[str, object], sizes: list[int]
) -> go.Scatterternary:
    a, b, c = points
    marker = {"symbol": "arrow", "angleref": "previous", "size": sizes, "color": line["color"], "line": {"width": 0}}
    return go.Scatterternary(a=a, b=b, c=c, mode=mode, line=line, marker=marker, hoverinfo="skip", cliponaxis=False)
