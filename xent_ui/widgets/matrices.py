"""A gradient as a heatmap with the row and class names of the sheet, and the target cells to outline in it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from torch import Tensor

from xent_core import Evaluation
from xent_ui.figures import drawn_matrix, heatmap, theme
from xent_ui.figures.heatmap import Cell
from xent_ui.figures.theme import Scale
from xent_ui.state.sheet import Sheet
from xent_ui.table.options import decimals
from xent_ui.text import short_names
from xent_ui.widgets import matrix_component

CHART_CONFIG = {"displayModeBar": False}


def gradient_heatmap(
    values: Tensor,
    sheet: Sheet,
    key: str,
    *,
    bound: float,
    alt: str,
    outlines: Sequence[tuple[Cell, float]] = (),
) -> None:
    """A gradient, or a difference of gradients, as a heatmap under the sheet's names."""
    figure = heatmap.matrix(
        values,
        theme.GRADIENT,
        row_names=short_names(sheet.row_names),
        class_names=short_names(sheet.class_names),
        bound=bound,
        outlines=outlines,
        decimals=decimals(),
    )
    st.plotly_chart(figure, key=key, config=CHART_CONFIG, alt=alt)


def one_matrix(
    key: str,
    values: Tensor,
    scale: Scale,
    *,
    row_names: Sequence[str],
    class_names: Sequence[str],
    label: str,
    bound: float,
    outlines: Sequence[tuple[Cell, float]] = (),
    row_height: int = heatmap.ROW_HEIGHT,
) -> None:
    """A matrix drawn by our own component, with what it is drawn from.

    Args:
      key: of the matrix in its frame; with `_matrix` behind it that of the component, with `_frame` of the container
        that holds the frame.
      label: what the matrix is, for who does not see it.
      bound: the value at the end of the scale.
      outlines: the target cells, each with its share.
      row_height: in pixels.
    """
    source = f"{key}_frame"
    drawn = drawn_matrix.matrix(values, scale, label=label, bound=bound, outlines=outlines, decimals=decimals())
    with st.container(key=source):
        st.html(drawn_matrix.frame({key: drawn}, row_names=row_names, class_names=class_names))
    matrix_component.matrix(key, scale, source=source, key=f"{key}_matrix", row_height=row_height)


def target_cells(evaluation: Evaluation) -> list[tuple[Cell, float]]:
    """The cells of the target, each with its share of the row; of large tables only the largest of each row."""
    target, kept = evaluation.problem.target, evaluation.problem.kept().tolist()
    if not evaluation.problem.has_probabilities:
        return [(Cell(i, label), 1.0) for i, label in enumerate(target.tolist()) if kept[i]]
    shares = target.double()
    if target.numel() > heatmap.MAX_PRINTED_CELLS:
        return [(Cell(i, label), 1.0) for i, label in enumerate(shares.argmax(1).tolist())]
    return [
        (Cell(i, k), min(share, 1.0))
        for i, row in enumerate(shares.tolist())
        for k, share in enumerate(row)
        if share > 0
    ]
