"""How the error of each dtype grows, on logarithmic axes, as a Plotly figure.

Every line has its own colour, dash and marker, so that colour is never the only signal.
What a logarithm has no place for is drawn at the edges: 0 at the bottom, NaN and infinity on top.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import plotly.graph_objects as go

from xent_ui.figures.theme import BLUE, FONT, GREY, ORANGE, PURPLE, Trace, axis, figure, layout, legend_below
from xent_ui.text import plotly_escaped, power_of_ten, short

COLOURS = {"float64": GREY, "float32": BLUE, "bfloat16": ORANGE, "float16": PURPLE}
MARKERS = {"float64": "cross", "float32": "circle", "bfloat16": "square", "float16": "diamond"}
DASHES = ("solid", "dot")
HEIGHT = 340
MAX_DECADES = 24  # what lies further below the largest error is drawn on the bottom edge


@dataclass(frozen=True)
class Curve:
    """A line: what it is called, whose colour and marker it has, which dash, and its points.

    Attributes:
      name: plain text, seen under the pointer.
      dtype: chooses colour and marker, and is what the legend says.
      dash: an index into DASHES.
      x, y: x > 0; y ≥ 0, inf where there is no number.
    """

    name: str
    dtype: str
    dash: int
    x: tuple[float, ...]
    y: tuple[float, ...]


def error_curves(curves: Sequence[Curve], *, zero: str, broken: str) -> go.Figure:
    """Errors on logarithmic axes.

    Args:
      zero, broken: what the edges at the bottom and on top are called, such as "0" and "NaN, inf".
    """
    low, high = _decades(curves)
    gap = max(1.0, (high - low) / 6)
    bottom, top = 10 ** (low - gap), 10 ** (high + gap)
    traces: list[Trace] = []
    floor = 10.0**low
    if any(0 < error < floor for curve in curves for error in curve.y):
        zero = f"{zero}, <{_power(floor)}"
    named: set[str] = set()
    for curve in curves:
        colour, marker = COLOURS[curve.dtype], MARKERS[curve.dtype]
        style = {
            "type": "scatter",
            "legendgroup": curve.dtype,
            "name": curve.dtype,
            "hovertemplate": f"{plotly_escaped(curve.name)}<br>%{{x:.3g}}: %{{customdata}}<extra></extra>",
            "customdata": [
                short(error) if not error or math.isinf(error) else power_of_ten(error) for error in curve.y
            ],
            "x": list(curve.x),
        }
        traces.append(
            {
                "y": [error if floor <= error < math.inf else None for error in curve.y],
                "mode": "lines+markers",
                "line": {"color": colour, "width": 2, "dash": DASHES[curve.dash]},
                "marker": {"size": 7, "color": colour, "symbol": marker + ("-open" if curve.dash else "")},
                "showlegend": curve.dtype not in named,
                **style,
            }
        )
        named.add(curve.dtype)
        traces.append(
            {
                "y": [bottom if error < floor else top if math.isinf(error) else None for error in curve.y],
                "mode": "markers",
                "marker": {
                    "size": 7,
                    "color": colour,
                    "symbol": ["circle-open" if error < floor else "x" for error in curve.y],
                },
                "showlegend": False,
                **style,
            }
        )
    step = max(1, (high - low) // 5)
    decades = range(low, high + 1, step)
    across = {"type": "line", "xref": "x domain", "x0": 0, "x1": 1, "yref": "y", "opacity": 0.5}
    dashed = {"color": GREY, "width": 1, "dash": "dash"}
    tickfont = {"size": 12, **FONT}
    return figure(
        traces,
        layout(
            HEIGHT,
            legend=legend_below(-0.1),
            xaxis=axis(type="log", tickfont=tickfont, dtick=1, exponentformat="power"),
            yaxis=axis(
                type="log",
                tickfont=tickfont,
                range=[low - 1.4 * gap, high + 1.4 * gap],
                tickvals=[bottom, *(10.0**decade for decade in decades), top],
                ticktext=[zero, *(_power(10.0**decade) for decade in decades), broken],
            ),
            shapes=[{**across, "y0": edge, "y1": edge, "line": dashed} for edge in (bottom, top)],
        ),
    )


def _decades(curves: Sequence[Curve]) -> tuple[int, int]:
    """The powers of ten around all errors that are numbers above 0."""
    errors = [error for curve in curves for error in curve.y if error > 0 and math.isfinite(error)]
    if not errors:
        return -1, 0
    high = math.ceil(math.log10(max(errors)))
    return max(math.floor(math.log10(min(errors))), high - MAX_DECADES), high


def _power(power: float) -> str:
    return power_of_ten(power).removeprefix("1·")
