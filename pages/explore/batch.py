"""Batch: logits and labels in; loss, probabilities and gradient out."""

import streamlit as st

from xent_core import evaluate
from xent_ui.batch import view, why
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.table import editors, layout, options
from xent_ui.text import _
from xent_ui.widgets import doctor_warnings, formulas, pinned_settings

title, tools = layout.title_and_tools()
with title:
    st.subheader(_("Softmax cross-entropy of a batch"), anchor=False)
option_row = st.container(key="options")


@st.fragment
def table_and_picture() -> None:
    """What an edit of a cell runs again: all that depends on the numbers, and nothing else."""
    editors.take_edits()
    sheet = session.visit().sheet
    evaluation = evaluate(sheet.to_problem())

    summary = st.container()
    logits, target, probs, grad, rows = layout.five_panels(sheet.num_classes, has_boxes=sheet.has_boxes)
    # the picture first, so that it answers an edit before the rest does
    with probs, st.container(key="probs"):
        st.markdown(f"**{_('probabilities')}** p = softmax(z)")
        view.matrix(evaluation, sheet, "probability")
    with grad, st.container(key="grad"):
        st.markdown(f"**{_('gradient')}** ∂L/∂z = {formulas.gradient_formula(evaluation)}")
        view.matrix(evaluation, sheet, "gradient")
    with logits, st.container(key="logits"):
        st.markdown(f"**{_('logits')}** z")
        editors.logits_editor()
    with target, st.container(key="target"):
        st.markdown(f"**{_('target')}** y")
        editors.target_editor()
    with summary:
        view.summary(evaluation)
    with rows:
        st.markdown(f"**{_('row loss')}**")
        view.row_table(evaluation, sheet)
    with st.container(key="findings"):
        view.findings(sheet, evaluation)
        doctor_warnings.warnings_line(evaluation.problem)
    with st.container(key="effective_target"):
        view.effective_target(evaluation, sheet)
    with st.container(key="check"):
        view.check(evaluation, sheet)
    with st.container(key="why"):
        why.explanation(evaluation, sheet)
    with st.container(key="numbers"):
        view.tables(evaluation, sheet)
    tab_storage.keep_in_tab()


options.take_weights()
table_and_picture()
with tools:
    editors.toolbar()
with option_row:
    bar, pin = st.columns([8.5, 1], vertical_alignment="bottom", gap="small")
    with bar:
        options.option_bar()
    with pin:
        pinned_settings.pin_button()
