"""The parts of the batch page that run again by themselves, by name, and how a callback asks for some of them.

TABLE holds the editors and the matrices and, within it, ANSWER: the loss and the numbers of the matrices. The pieces
below follow when the hand rests. A browser asks for ANSWER alone, and for TABLE where an editor has to be drawn anew.
Who sends the state of an editor without asking gets TABLE, and so the answer too.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import streamlit as st
from streamlit.errors import StreamlitAPIException

from xent_core import Evaluation, evaluate
from xent_ui.state import session
from xent_ui.state.sheet import Sheet
from xent_ui.table import edit_watch

TABLE, ANSWER = "table", "answer"
# in the order in which they follow; the first is what a reload of the tab begins with
PIECES = ("kept", "findings", "effective_target", "check", "why", "numbers")


def piece(name: str, draw: Callable[[Evaluation, Sheet], None]) -> None:
    """Draw a part of the page that follows an edit later, in a container of this key."""

    def part() -> None:
        sheet = session.visit().sheet
        with st.container(key=name):
            draw(evaluate(sheet.to_problem()), sheet)
        asked, number = edit_watch.piece_asked()
        # by which the watch knows that the piece has come
        st.html(f'<p hidden data-piece="{name}" data-number="{number if asked == name else 0}"></p>')

    st.fragment(part, key=fragment_of(name))()


def fragment_of(piece: str) -> str:
    """The key of the fragment that draws a piece."""
    return f"piece_{piece}"


def run_again(*fragments: str) -> None:
    """Run these fragments in place of what the browser has asked for; only within a callback, which ends here."""
    with suppress(StreamlitAPIException):  # the visitor has left the page meanwhile
        st.rerun(list(fragments))
