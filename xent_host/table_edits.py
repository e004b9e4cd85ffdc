"""Keeps Streamlit from writing what was typed into a copy of the table, cell by cell, which no page reads.

The pages read the edits themselves (`session.cell_edits`). Writing 4096 of them took three quarters of such a run, in
one piece, in which nobody else's could pause it.
"""

from __future__ import annotations

from typing import Any

from streamlit.elements.widgets import data_editor


def apply() -> None:
    """From now on, `st.data_editor` gives back the table as it was given."""

    def unchanged(table: Any, _edits: Any, _schema: Any) -> Any:
        return table

    data_editor._apply_dataframe_edits = unchanged  # type: ignore[assignment]  # replaced on purpose
