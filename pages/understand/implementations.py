"""Implementations: the routes by which people compute cross-entropy, side by side on the same numbers."""

import streamlit as st

from xent_core import compare
from xent_ui import implementations
from xent_ui.state import session
from xent_ui.table import editors, options
from xent_ui.text import _

st.subheader(_("One loss, many ways to write it"), anchor=False)
with st.container(key="options"):
    options.folded_option_bar(_("Preset and options"))
sheet = session.visit().sheet

with st.container(key="implementations"):
    numbers, slider = st.columns([1, 2], vertical_alignment="center")
    with slider, st.container(key="logit_scales"):
        scale = implementations.scale_slider()
    problem = implementations.scaled(sheet.to_problem(), scale)
    entries = compare(problem)
    with numbers:
        implementations.verdict(entries, problem)
    implementations.overview(entries, sheet)

st.markdown(f"#### {_('Code and gradient')}")
chosen = entries[implementations.route_chooser(entries)]
code, gradient = st.columns([3, 2], gap="medium")
with code, st.container(key="code"):
    implementations.code(chosen)
with gradient, st.container(key="route"):
    implementations.gradient(chosen, problem, sheet)

st.markdown(f"#### {_('Which routes survive large logits')}")
with st.container(key="break_map"):
    implementations.break_map(sheet.to_problem())

st.markdown(f"#### {_('One row by hand')}")
with st.container(key="row_by_hand"):
    row = implementations.row_chooser(sheet)
    implementations.worked_row(problem, row, sheet)
editors.keep_in_tab()
