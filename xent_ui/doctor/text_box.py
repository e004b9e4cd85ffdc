"""A box for text that was copied from elsewhere: numbers, or an error message."""

from __future__ import annotations

import streamlit as st

from xent_core.parse import MAX_TEXT_CHARACTERS
from xent_ui.state import session
from xent_ui.state.kept import Kept


def text_box(label: str, entry: Kept[str], placeholder: str) -> str:
    """What stands in it; it outlives the page."""
    session.begin(entry)
    text = st.text_area(
        label,
        key=entry.name,
        height=160,
        max_chars=MAX_TEXT_CHARACTERS,
        placeholder=placeholder,
        persist_state="session",
    )
    return str(text or "")
