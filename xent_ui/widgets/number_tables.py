"""Matrices as tables with their exact numbers, and as CSV; and tables of a few lines to read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

import pandas as pd
import streamlit as st
from torch import Tensor

from xent_core.spreadsheets import harmless
from xent_ui.figures import html
from xent_ui.figures.html import Marked
from xent_ui.state.sheet import Sheet, number_texts
from xent_ui.text import _


def number_tabs(matrices: dict[str, tuple[str, Tensor]], sheet: Sheet) -> None:
    """Matrices of the sheet's rows as tables with exact numbers, a tab and a CSV file for each.

    Args: matrices: title and values by the name of the file; row_loss has one column, of losses.
    """
    for tab, (name, (title, values)) in zip(
        st.tabs([title for title, _values in matrices.values()]), matrices.items(), strict=True
    ):
        with tab:
            matrix_table(
                values,
                sheet,
                title=title,
                file_name=f"{name}.csv",
                header=[_("loss")] if name == "row_loss" else sheet.class_names,
            )


def matrix_table(
    values: Tensor, sheet: Sheet, *, title: str, file_name: str, header: Sequence[str] | None = None
) -> None:
    """A matrix as a table with its exact numbers, and as CSV; its columns are the classes unless named otherwise."""
    names = list(sheet.class_names if header is None else header)
    texts = number_texts(values)
    st.dataframe(
        pd.DataFrame(texts, columns=names).assign(**{"": sheet.row_names}).set_index(""),
        column_config={name: st.column_config.TextColumn(alignment="right") for name in names},
        alt=title,
    )
    st.download_button(
        _("{title} as CSV").format(title=title),
        csv_text(sheet.row_names, names, texts),
        file_name=file_name,
        mime="text/csv",
        on_click="ignore",
    )


def csv_text(
    row_names: Sequence[str], header: Sequence[str], texts: Sequence[Sequence[str]], *, corner: str = "row"
) -> str:
    """A table as CSV; a name that a spreadsheet would run as a formula gets an apostrophe."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([corner, *map(harmless, header)])
    for name, row in zip(row_names, texts, strict=True):
        writer.writerow([harmless(name), *row])
    return out.getvalue()


def text_table(names: Sequence[str], columns: Mapping[str, Sequence[str | Marked]], *, label: str) -> None:
    """Texts in columns, a name before each line; nothing in them is markup.

    Args: label: what the table is, for who does not see it.
    """
    st.html(html.table(["", *columns], list(zip(names, *columns.values(), strict=True)), label=label))
