"""The parts of the batch page that run again by themselves, by name.

TABLE holds the editors and the matrices and, within it, ANSWER: the loss and the numbers of the matrices. REST holds
all that lies below, each part a fragment, and follows when the hand rests. A browser asks for ANSWER alone, and for
TABLE where an editor has to be drawn anew. Who sends the state of an editor without asking gets TABLE, and so the
answer too.
"""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from xent_core import Evaluation, evaluate
from xent_ui.state import session
from xent_ui.state.sheet import Sheet

TABLE, ANSWER, REST, WHY = "table", "answer", "rest", "why"


def part(name: str, draw: Callable[[Evaluation, Sheet], None]) -> None:
    """Draw a part of REST in a container of this key; it runs by itself when one of its widgets is used."""

    def with_present_numbers() -> None:
        sheet = session.visit().sheet
        with st.container(key=name):
            draw(evaluate(sheet.to_problem()), sheet)

    st.fragment(with_present_numbers, key=name)()
