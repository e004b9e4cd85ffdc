"""Buttons side by side, of which one is always chosen; the choice outlives the page."""

from __future__ import annotations

from collections.abc import Mapping

import streamlit as st

from xent_ui.state import session
from xent_ui.state.kept import Kept


def segmented_choice(label: str, titles: Mapping[str, str], entry: Kept[str], *, wrap: bool | None = None) -> str:
    """The name that is chosen; at first the entry's default.

    Args:
      label: for who does not see the buttons.
      titles: what the button of each name says.
      wrap: whether buttons without room go on in the next line; None as Streamlit does.
    """
    session.begin(entry)
    chosen = st.segmented_control(
        label,
        list(titles),
        format_func=titles.__getitem__,
        required=True,
        key=entry.name,
        persist_state="session",
        label_visibility="collapsed",
        wrap=wrap,
    )
    return str(chosen)
