"""How often each class is labelled as another: the noise matrix of this project beside that of cleanlab."""

from __future__ import annotations

import streamlit as st

from xent_core.dump import DumpSummary
from xent_core.dump.report import MATRIX_CLASSES, noise_matrices, noise_matrix_axes
from xent_ui.figures import theme
from xent_ui.text import _
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.your_logits import figures as dump_figures


def matrices(summary: DumpSummary) -> None:
    """Both matrices side by side, with a line on how each is counted; nothing where none is known."""
    found = noise_matrices(summary)
    if not found or not 2 <= summary.classes <= MATRIX_CLASSES:
        return
    opened = st.expander(_("How often each class is labelled as another"), key="dump_noise", on_change="rerun")
    if not opened.open:
        return
    with opened:
        st.caption(noise_matrix_axes())
        names = [summary.name_of(c) for c in range(summary.classes)]
        for place, (title, words, matrix) in zip(st.columns(len(found), gap="medium"), found, strict=True):
            place.markdown(f"**{title}**")
            place.plotly_chart(
                dump_figures.pair_matrix(
                    100 * matrix, theme.PROBABILITY, row_names=names, column_names=names, others=None, decimals=1
                ),
                key=f"noise_{title}",
                config=CHART_CONFIG,
                alt=_("Estimated label noise"),
            )
            place.caption(words)
