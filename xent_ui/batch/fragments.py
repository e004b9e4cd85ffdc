"""The parts of the batch page that run again by themselves, by name.

TABLE holds the editors and the matrices and, within it, ANSWER: the loss and the numbers of the matrices. The rest
of the page lies below, each part a fragment, and follows when the hand rests. A browser asks for ANSWER alone, and for
TABLE where an editor has to be drawn anew. Who sends the state of an editor without asking gets TABLE, and so the
answer too.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from xent_core import Evaluation, evaluate
from xent_ui.state import session
from xent_ui.state.sheet import Sheet

TABLE, ANSWER, WHY = "table", "answer", "why"
KEPT = "kept"  # what a reload begins with: it follows each answer, and comes last on a page that opens


def part(name: str, draw: Callable[[Evaluation, Sheet], None]) -> None:
    """Draw a part of the rest of the page, in a container of this key; its widgets run it alone."""

    def with_present_numbers() -> None:
        sheet = session.visit().sheet
        with st.container(key=name):
            draw(evaluate(sheet.to_problem()), sheet)

    st.fragment(with_present_numbers, key=name)()
