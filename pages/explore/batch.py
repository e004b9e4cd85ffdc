"""Batch: logits and labels in; loss, probabilities and gradient out."""

import streamlit as st

from xent_core import evaluate
from xent_ui import glossary
from xent_ui.batch import answers, view, why
from xent_ui.batch.fragments import ANSWER, KEPT, TABLE, WHY, part
from xent_ui.batch.state import IS_REST_OLD
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.state.rest import rest
from xent_ui.table import edit_watch, editors, layout, options
from xent_ui.text import _
from xent_ui.widgets import formulas, pinned_settings

title, tools = layout.title_and_tools()
with title:
    # the sentence that goes with the first change stays within reach here
    st.title(_("Cross-entropy of a batch"), anchor=False, help=view.guide())
option_row = st.container(key="options")


@st.fragment(key=ANSWER)
def loss_and_matrices() -> None:
    """What follows an edit at once: the loss, and the numbers that the matrices are drawn from."""
    editors.take_edits()
    sheet = session.visit().sheet
    evaluation = evaluate(sheet.to_problem())
    view.summary(evaluation)
    answers.answer(evaluation, sheet)


@st.fragment(key=TABLE)
def table_and_picture() -> None:
    """The editors, the matrices beside them, and the loss above."""
    editors.take_edits()
    sheet = session.visit().sheet
    evaluation = evaluate(sheet.to_problem())
    summary = st.container()
    logits, target, probs, grad, rows = layout.five_panels(sheet.num_classes, has_boxes=sheet.has_boxes)
    # the numbers first, so that they answer an edit before the rest does
    with summary:
        loss_and_matrices()
    with probs, st.container(key="probs"):
        view.heading(_("probabilities"), "p = softmax(z)")
        view.matrix("probability", on_chosen=lambda: answers.take_click("probability"))
    with grad, st.container(key="grad"):
        view.heading(_("gradient"), f"∂L/∂z = {formulas.gradient_formula(evaluation)}")
        view.matrix("gradient", on_chosen=lambda: answers.take_click("gradient"))
    with logits, st.container(key="logits"):
        view.heading(_("logits"), "z")
        editors.logits_editor(answers.editors_on_change())
    with target, st.container(key="target"):
        view.heading(_("target"), "y")
        editors.target_editor(answers.editors_on_change())
    with rows:
        view.heading(_("row loss"), "ℓ", "argmax", *glossary.letters_in(formulas.row_loss_formula(evaluation.problem)))
        view.row_losses_table()


def below() -> None:
    """What follows once the hand rests."""
    session.keep(IS_REST_OLD, False)
    part("findings", view.findings)
    part("effective_target", view.effective_target)
    part(WHY, why.explanation)
    part("more", view.more)
    part("check", view.check)
    part("numbers", view.tables)


table_and_picture()
rest(below, component=edit_watch.KEY)
st.fragment(tab_storage.keep_in_tab, key=KEPT)()
with tools:
    editors.toolbar()
with option_row:
    bar, pin = st.columns([8.5, 1], vertical_alignment="bottom", gap="small")
    with bar:
        options.option_bar()
    with pin:
        pinned_settings.pin_button()
