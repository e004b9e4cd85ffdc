"""Takes away the "Page not found" with which a fresh server greets its first visitor, if they come by a link to a page.

Until `st.navigation` has run once in a process, Streamlit looks for the page among files directly in pages/,
does not find it, says so in a dialog, and then opens the right page below. A second look finds everything in order.
"""

from __future__ import annotations

import streamlit as st
from streamlit.runtime import pages_manager

_RELOAD = "export default function () { window.location.reload() }"


def is_cold() -> bool:
    """Whether `st.navigation` has yet to run in this process; ask before calling it. False where nobody can tell."""
    # Streamlit's own, not its interface: should it go away, the dialog comes back and nothing breaks
    manager = getattr(pages_manager, "PagesManager", None)
    return getattr(manager, "uses_pages_directory", None) is True


def look_again() -> None:
    """Let the browser load the page once more, the address as it is; the server is warm by then, so it ends there."""
    st.components.v2.component("look_again", js=_RELOAD)(key="look_again", height=1)
