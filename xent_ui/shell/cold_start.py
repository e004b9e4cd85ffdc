"""Reloads the first page of a fresh server where Streamlit says "Page not found" over it, as it does for a deep link.

Until `st.navigation` has run once in a process, Streamlit looks for the page among files directly in pages/,
does not find it, says so in a dialog, and then opens the right page below. A second look finds everything in order.
"""

from __future__ import annotations

import streamlit as st

_RELOAD = "export default function () { window.location.reload() }"


def reload() -> None:
    """Let the browser load the page once more, the address as it is; the server is warm by then, so it ends there."""
    st.components.v2.component("reload_page", js=_RELOAD)(key="reload_page", height=1)
