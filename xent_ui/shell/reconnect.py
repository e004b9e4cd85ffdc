"""Makes a tab that lost its server rerun its page after it has reconnected, so that the new session knows the page.

A tab asks for a run by itself only if it was waiting for one, or if a fragment on its page runs on its own.
Without a run, a new session knows no fragment of the page, and all that is typed into one would be lost.
"""

import streamlit as st


@st.fragment(run_every="1 day")
def rerun_after_reconnect() -> None:
    """Kept for reruns after a reconnect: a fragment that runs on its own, and draws nothing."""
