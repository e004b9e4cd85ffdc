"""Which row of the batch the pages about one row look at: chosen on one of them, it is chosen on the others."""

from __future__ import annotations

import streamlit as st

from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.sheet import Sheet
from xent_ui.text import _

ROW = Kept[int]("traced_row", 0)
CLASS = Kept[int | None]("traced_class", None)  # whose numbers are put into the formulas of that row; None: the label's
_CHOICE = Kept[int]("trace_row", 0)
# what One example tries out: that row of the batch, or a fresh one
SOURCE = Kept[str]("one_example_source", "batch")
FROM_BATCH, FRESH = "batch", "fresh"


def chosen_row(sheet: Sheet) -> int:
    """The row that is looked at; the last one if there are no longer so many."""
    return min(int(session.kept(ROW)), sheet.num_rows - 1)


def row_chooser(sheet: Sheet) -> None:
    """A box to choose the row in."""
    session.keep(_CHOICE, chosen_row(sheet))
    st.selectbox(
        _("row"), range(sheet.num_rows), format_func=sheet.row_names.__getitem__, key=_CHOICE.name, on_change=_take_row
    )


def _take_row() -> None:
    session.keep(ROW, int(session.kept(_CHOICE)))
    session.keep(CLASS, None)
