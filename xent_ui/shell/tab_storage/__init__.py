"""Keeps the table in the browser's tab, so that a reload, or a server that lost the session, brings it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import streamlit as st

from xent_ui.state import session
from xent_ui.state.kept import Kept

KEY = Kept[Any]("tab_storage", None)
_SCRIPT = (Path(__file__).parent / "tab_storage.js").read_text(encoding="utf-8")


def keep_in_tab() -> None:
    """Hand the present table to the tab; take back what the tab has kept, where it is of an older session."""
    current = session.visit()
    component = st.components.v2.component("tab_storage", js=_SCRIPT)
    component(
        data={"session": current.token, "link": current.link, "state": session.saved(current)},
        key=KEY.name,
        on_restored_change=_restore_from_tab,
        height=1,
    )


def _restore_from_tab() -> None:
    state = session.kept(KEY)
    if state and isinstance(state.restored, str):
        session.restore(state.restored)
        st.rerun()  # all of the page, as the link may lock and hide what lies outside the fragment of the tables
