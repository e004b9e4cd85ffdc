"""The probabilities and the gradient as pictures to save: on white, with a title."""

from __future__ import annotations

from collections.abc import Sequence

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from xent_core import Evaluation
from xent_ui.figures import heatmap, theme
from xent_ui.state.sheet import Sheet
from xent_ui.text import _, short_names

TITLE_HEIGHT = 34  # pixels, also room for the buttons that save the picture


def picture(
    evaluation: Evaluation,
    sheet: Sheet,
    quantity: str,
    *,
    outlines: Sequence[tuple[heatmap.Cell, float]],
    hover: list[list[str]] | None,
    decimals: int = 4,
) -> go.Figure:
    """The heatmap of the batch page on white, with a title: quantity is "probability" or "gradient"."""
    is_gradient = quantity == "gradient"
    figure = heatmap.matrix(
        evaluation.grad_logits if is_gradient else evaluation.probs,
        theme.GRADIENT if is_gradient else theme.PROBABILITY,
        row_names=short_names(sheet.row_names),
        class_names=short_names(sheet.class_names),
        bound=evaluation.gradient_bound if is_gradient else 1.0,
        outlines=outlines,
        hover=hover,
        decimals=decimals,
    )
    title = _("gradient") + " ∂L/∂z" if is_gradient else _("probabilities") + " p"
    return figure.update_layout(
        title={"text": title, "x": 0.01, "y": 1, "yanchor": "top", "pad": {"t": 8}, "font": {"size": 15}},
        height=figure.layout.height + TITLE_HEIGHT,
        margin_t=figure.layout.margin.t + TITLE_HEIGHT,
        paper_bgcolor=theme.PAGE_GROUND,
        plot_bgcolor=theme.PAGE_GROUND,
        font={"color": theme.PAGE_INK},
    )


def plotly_library() -> str:
    """The code of Plotly for the browser, to put into a page."""
    return str(get_plotlyjs())
