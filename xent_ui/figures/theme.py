"""Every colour of the app's pictures, the text in them, and what the layouts of all of them share."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from plotly.colors import get_colorscale, sample_colorscale, unlabel_rgb

from xent_ui.text import plotly_indexed

OUTLINE = "#E8871E"  # target cells, and what is chosen
SELECTION = "#7A3E9D"
DARK_INK, LIGHT_INK = "#000000", "#FFFFFF"  # on a cell
# Streamlit writes the text colour of the theme in its place; by itself it writes a grey of 3.7:1 on white
INK = "#000037"
FONT = {"color": INK}
TRANSPARENT = "rgba(0,0,0,0)"
# lines and areas between light and dark, so that they can be seen on both
GREY, BLUE, ORANGE, PURPLE, GREEN, RED = "#8A94A6", "#3B8BD0", OUTLINE, "#B06BD0", "#3FA36B", "#C9504A"
LINE = "rgba(128,140,160,0.75)"
GRID, GRID_OF_SIMPLEX, ZERO_LINE = "rgba(138,148,166,0.25)", "rgba(138,148,166,0.35)", "rgba(138,148,166,0.6)"
BUTTON = "rgba(138,148,166,0.15)"
# as .streamlit/config.toml has it, where HTML of ours covers something
APP_GROUND = "light-dark(#ffffff,#11161d)"
# of a page that is saved, which is always light
PAGE_INK, PAGE_GROUND, PAGE_LINE, PAGE_SHADE = "#111827", "white", "#d5dbe4", "#f3f5f9"


Trace = dict[str, Any]  # as Plotly's JSON has it: {"type": "scatter", "x": …}


def figure(traces: Sequence[Trace], layout: dict[str, Any], *, frames: Sequence[dict[str, Any]] = ()) -> go.Figure:
    """A picture of these traces, built at once: each later change of a figure costs as much as the whole.

    Plotly does not check each property, which takes most of the time of a page; the tests do.
    """
    return Figure(traces, layout, frames)


def typed_array(values: np.ndarray) -> dict[str, str]:
    """Numbers as Plotly's code in the browser reads them; in a frame nobody else writes them so."""
    return {
        "bdata": b64encode(np.ascontiguousarray(values).tobytes()).decode(),
        "dtype": values.dtype.str[1:],
        "shape": ", ".join(map(str, values.shape)),
    }


class Figure(go.Figure):  # type: ignore[misc]  # Plotly has no types
    """Its frames are not checked and copied either; Plotly does so whatever it is told."""

    def __init__(self, traces: Sequence[Trace], layout: dict[str, Any], frames: Sequence[dict[str, Any]]) -> None:
        super().__init__(data=list(traces), layout=layout, _validate=False)
        self._written_frames = {"frames": list(frames)} if frames else {}

    def to_dict(self) -> dict[str, Any]:
        """What is sent to the browser."""
        return {**super().to_dict(), **self._written_frames}


@dataclass(frozen=True)
class Scale:
    """Colours for one kind of number; symmetric scales reach from −bound to bound, others from 0 to bound.

    Attributes: signed: whether a number above 0 bears a plus sign where it has room.
    """

    colours: str
    symmetric: bool
    signed: bool = False


PROBABILITY = Scale("Blues", symmetric=False)
GRADIENT = Scale("RdBu_r", symmetric=True, signed=True)
LOGIT = Scale("PRGn", symmetric=True)
# one colour for a number that a step makes, one for what it uses, and one for each sign of a gradient
MADE = sample_colorscale(PROBABILITY.colours, 0.7)[0]
USED = OUTLINE
NEGATIVE, POSITIVE = sample_colorscale(GRADIENT.colours, [0.15, 0.85])


def stops(scale: Scale) -> list[tuple[float, tuple[float, ...]]]:
    """The colours of a scale at places from 0 to 1, as red, green and blue up to 255; between them they are mixed."""
    return [(place, unlabel_rgb(colour)) for place, colour in get_colorscale(scale.colours)]


def colorscale(scale: Scale) -> list[list[float | str]]:
    """The same as a figure takes it, written out: Plotly's code in the browser knows other scales by these names."""
    return [[place, colour] for place, colour in get_colorscale(scale.colours)]


NO_AXIS = {"visible": False, "fixedrange": True}


def corner_axis(name: str, **more: Any) -> dict[str, Any]:
    """An axis of a triangle of probabilities, which names its corner as p of that class.

    Plotly moves the names of the corners out by the length of the ticks; these, which nobody sees, make room for what
    is drawn at a corner.

    Args:
      name: as `plotly_escaped` gives it.
      more: whatever else Plotly's axis takes.
    """
    hidden_ticks = {"showticklabels": False, "ticks": "outside", "ticklen": 10, "tickcolor": TRANSPARENT}
    return {"title": {"text": plotly_indexed("p", name), "font": FONT}, **hidden_ticks, **more}


def axis(title: str = "", *, standoff: int | None = None, **more: Any) -> dict[str, Any]:
    """An axis that cannot be dragged, its title and its numbers in the theme's text.

    Args:
      title: plain text; "" for none.
      standoff: pixels between title and numbers.
      more: whatever else Plotly's axis takes; what is given here wins.
    """
    named: dict[str, Any] = {"title": {"text": title, "font": FONT}} if title else {}
    if title and standoff is not None:
        named["title"]["standoff"] = standoff
    return {"fixedrange": True, "tickfont": FONT, **named, **more}


def legend_below(y: float) -> dict[str, Any]:
    """A legend in lines under the picture, its top at `y`, below 0, in heights of the drawing."""
    return {"orientation": "h", "y": y, "yanchor": "top", "x": 0}


def layout(height: int, *, left: int = 8, right: int = 8, top: int = 8, bottom: int = 8, **more: Any) -> dict[str, Any]:
    """What every picture's layout begins with: its size in pixels, the theme's text, no ground, no dragging.

    Args: more: whatever else Plotly's layout takes; what is given here wins.
    """
    return {
        "height": height,
        "margin": {"l": left, "r": right, "t": top, "b": bottom},
        "font": FONT,
        "paper_bgcolor": TRANSPARENT,
        "plot_bgcolor": TRANSPARENT,
        "dragmode": False,
        **more,
    }
