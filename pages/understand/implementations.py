"""Implementations: the routes by which people compute cross-entropy, side by side on the same numbers."""

import streamlit as st

from xent_core import compare
from xent_ui import glossary
from xent_ui.implementations import view
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.table import options
from xent_ui.text import _

st.title(
    _("One loss, many ways to write it"),
    anchor=False,
    help=glossary.explained("logit", "probability", "target"),
)
first = st.container(key="advice")
with st.container(key="options"):
    options.folded_option_bar(_("Preset and options"))
sheet = session.visit().sheet

with st.container(key="implementations"):
    numbers, slider = st.columns(2, vertical_alignment="center")
    with slider, st.container(key="logit_scales"):
        scale = view.scale_slider()
    problem = view.scaled(sheet.to_problem(), scale)
    entries = compare(problem)
    with first:
        view.advice(entries, scale)
    with numbers:
        view.verdict(entries, sheet.to_problem(), scale)
    view.overview(entries, sheet)

st.markdown(f"## {_('Code and gradient')}")
chosen = entries[view.route_chooser(entries)]
code, gradient = st.columns([3, 2], gap="medium")
with code, st.container(key="code"):
    view.code(chosen)
with gradient, st.container(key="route"):
    view.gradient(chosen, problem, sheet)

st.markdown(f"## {_('Which routes survive large logits')}")
with st.container(key="break_map"):
    view.break_map(sheet.to_problem())

st.markdown(f"## {_('One row by hand')}")
with st.container(key="row_by_hand"):
    row = view.worked_row_chooser(sheet)
    view.worked_row(sheet.to_problem(), row, sheet)
tab_storage.keep_in_tab()
