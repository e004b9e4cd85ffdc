"""The data map of several epochs: each row by the mean and the spread of the probability of its label."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from xent_core.dump import Epochs
from xent_core.dump.report import epoch_lines
from xent_ui.state import session
from xent_ui.text import _, markdown_escaped
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.widgets.segments import segmented_choice
from xent_ui.your_logits import figures as dump_figures
from xent_ui.your_logits.analysis import DumpAnalysis
from xent_ui.your_logits.state import BOUNDS, DATA_MAP, DATA_MAP_BY, ROW

MAX_POINTS = 3000


def data_map(analysis: DumpAnalysis, row: int) -> None:
    """The map, whose points and areas can be chosen, and how many rows were learnt and forgotten."""
    epochs = analysis.summary.epochs
    if epochs is None:
        return
    rows, known = drawn_rows(epochs)
    picture, words = st.columns([3, 2], gap="medium", vertical_alignment="center")
    with picture:
        titles = {"points": _("Click a row"), "box": _("Drag over an area")}
        by_area = segmented_choice(_("What is chosen on the map"), titles, DATA_MAP_BY) == "box"
    picture.plotly_chart(
        dump_figures.data_map(
            rows,
            epochs,
            looked_at=row,
            by_area=by_area,
            variability=_("variability: standard deviation of p of the label"),
            confidence=_("confidence: mean p of the label"),
            correctness=_("right"),
        ),
        key=DATA_MAP.name,
        config=CHART_CONFIG,
        on_select=partial(_take, rows.tolist()),
        selection_mode="box" if by_area else "points",
        alt=_("Every row by variability and confidence over the epochs, coloured by how often it was right"),
    )
    with words:
        for name, value in epoch_lines(epochs):
            st.markdown(markdown_escaped(f"{name}: {value}"))
        st.markdown(
            _(
                "On top: learnt early, and easy. At the bottom: hardly ever right, a hard example *or* a wrong label. "
                "To the right: learnt late, or now and then."
            )
        )
        if len(rows) < known:
            st.caption(
                _("Drawn are {shown} of {all} rows, evenly spread over the dump.").format(shown=len(rows), all=known)
            )
        st.caption(
            _("Table, matrix and histograms follow an area.")
            if by_area
            else _("A click shows above why the row is here.")
        )


def drawn_rows(epochs: Epochs) -> tuple[np.ndarray, int]:
    """The rows that are drawn, evenly spread where there are many, and how many could be."""
    known = np.flatnonzero(~np.isnan(epochs.confidence))
    if len(known) <= MAX_POINTS:
        return known, len(known)
    return known[np.linspace(0, len(known) - 1, MAX_POINTS).round().astype(int)], len(known)


def _take(rows: list[int]) -> None:
    """An area becomes ranges of confidence and variability, and a point the row that is looked at."""
    selected = session.kept(DATA_MAP).selection
    if selected.box:
        for name, ends in (("variability", selected.box[0]["x"]), ("confidence", selected.box[0]["y"])):
            session.keep(BOUNDS[name, "from"], min(ends))
            session.keep(BOUNDS[name, "to"], max(ends))
        return
    points = [point["point_index"] for point in selected.points if point.get("curve_number", 0) == 0]
    if points and points[0] < len(rows):
        session.keep(ROW, rows[points[0]])
