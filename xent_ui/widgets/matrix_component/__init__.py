"""The matrix component: a matrix drawn in the browser from a hidden frame, which a run of the page writes beside it.

It is mounted once. What changes with the numbers is in the frame, so that an edit sends one paragraph, not a picture.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

from xent_ui.figures.drawn_matrix import drawing
from xent_ui.figures.heatmap import ROW_HEIGHT
from xent_ui.figures.theme import Scale

_FOLDER = Path(__file__).parent
_HTML = (
    '<div class="heatmap" role="group"><div class="plane"></div><p class="note" hidden></p>'
    '<div class="tip" role="tooltip" hidden></div></div>'
)
_TEXTS = '<div class="texts"></div>'
_CSS, _SCRIPT = ((_FOLDER / f"matrix.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))


def matrix(
    name: str,
    scale: Scale,
    *,
    source: str,
    key: str,
    on_chosen: Callable[[], None] | None = None,
    row_height: int = ROW_HEIGHT,
) -> None:
    """Mount a matrix of a frame; its root has the class `heatmap`, and the numbers as its property `values`.

    Args:
      name: of the matrix in the frame.
      source: the key of the container that holds the frame.
      on_chosen: called when a cell was clicked, or chosen with Enter; the cell is in the session under `key`, as
        {"chosen": {"row": …, "label": …}}. None for a matrix whose cells ask nothing.
      row_height: in pixels.
    """
    # registered at each run: a new process of the tests has a new registry
    component = st.components.v2.component("matrix", html=_HTML, css=_CSS, js=_SCRIPT, isolate_styles=False)
    data = {"name": name, "source": source, "asks": on_chosen is not None, **drawing(scale, row_height)}
    component(key=key, data=data, on_chosen_change=on_chosen or (lambda: None))


def texts(name: str, *, source: str, key: str) -> None:
    """Mount a table of texts of a frame, whose rows line up with those of a matrix beside it.

    Args: name: of the table in the frame's `texts`, each with a `label` and its `columns` of texts by title.
    """
    component = st.components.v2.component("texts", html=_TEXTS, css=_CSS, js=_SCRIPT, isolate_styles=False)
    component(key=key, data={"name": name, "source": source, "row_height": ROW_HEIGHT})
