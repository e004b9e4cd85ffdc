"""A tab that lost its server asks for its page anew as soon as it has a server again."""

import streamlit as st


@st.fragment(run_every="1 day")
def ask_anew() -> None:
    """Draw nothing; once a day, nothing again.

    After a break, the tab asks for a run of its page only if it was waiting for one, or if a part runs on its own.
    Without a run, a new session knows no fragment of the page, and all that is typed into one would be lost.
    """
