"""Keeps the table in the browser's tab, so that a reload, or a server that lost the session, brings it back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import streamlit as st

KEY = "tab_storage"
_SCRIPT = (Path(__file__).parent / "tab_storage.js").read_text(encoding="utf-8")


def tab_storage(*, session: str, link: str, state: str, on_restored: Callable[[], None]) -> None:
    """Hand the present state to the tab; `on_restored` is called when the tab has an older session's state to give."""
    component = st.components.v2.component("tab_storage", js=_SCRIPT)
    component(
        data={"session": session, "link": link, "state": state}, key=KEY, on_restored_change=on_restored, height=1
    )
