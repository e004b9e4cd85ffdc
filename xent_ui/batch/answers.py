"""How the batch page answers an edit: loss and matrices at once, the rest of the page when the hand rests."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from xent_core import Evaluation
from xent_ui.batch import view, why
from xent_ui.batch.fragments import ANSWER, KEPT, TABLE, WHY
from xent_ui.batch.state import ASKED, FRAME, IS_REST_OLD
from xent_ui.state import session
from xent_ui.state.rest import REST, run_again
from xent_ui.state.sheet import PROBABILITIES, Sheet
from xent_ui.table import edit_watch, editors


def answer(evaluation: Evaluation, sheet: Sheet) -> None:
    """The numbers that the matrices are drawn from, and the watch that asks for the next."""
    with st.container(key=FRAME):
        st.html(view.frame(evaluation, sheet, asked=session.kept(ASKED), changed=session.kept(IS_REST_OLD)))
    tables = ["logits", "target"] if sheet.target_kind == PROBABILITIES else ["logits"]
    edit_watch.edit_watch(
        source=FRAME,
        typed=[name for name in tables if not session.is_locked(name)],
        on_edited=_take_edits,
        on_ended=_take_cell,
        on_rested=_take_rest,
        on_slow=lambda: run_again(TABLE),
    )


def editors_on_change() -> edit_watch.OnChange:
    """What the editors do with an edit."""
    return edit_watch.editors_on_change(send=_take_edits)


def take_click(quantity: str) -> None:
    """Explain the cell that was clicked in a matrix."""
    why.select_clicked(quantity)
    run_again(WHY)


def _take_cell() -> None:
    refused = list(session.visit().refused)
    session.visit().refused.clear()  # what was typed since is right, or is refused anew
    _take_edits(refused)


def _take_edits(refused: Sequence[str] | None = None) -> None:
    """Answer an edit. Args: refused: what the page says was refused, if it is more than the visit holds by now."""
    session.keep(ASKED, edit_watch.number_asked())
    before, revision = session.visit().sheet, dict(session.visit().revision)
    shown = list(session.visit().refused if refused is None else refused)
    editors.take_edits()
    visit = session.visit()
    if visit.sheet != before or visit.refused != shown:
        session.keep(IS_REST_OLD, True)
    # a label moves its tick and the divisor, a refused cell goes back: that is in the editors and above the matrices
    if visit.revision != revision or visit.sheet.labels != before.labels:
        run_again(KEPT, TABLE, *([REST] if visit.refused else []))
    run_again(KEPT, ANSWER)  # a number that is on screen outlives a reload


def _take_rest() -> None:
    run_again(*([TABLE] if editors.are_columns_too_narrow() else []), REST)
