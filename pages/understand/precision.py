"""Precision: the same problem in float64, float32, bfloat16 and float16."""

import streamlit as st

from xent_ui.precision import view
from xent_ui.precision.state import YOUR_BATCH
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.table import options
from xent_ui.text import _

st.title(_("What each dtype makes of it"), anchor=False)
choice = view.preset_chooser()
with st.container(key="options"):
    if choice == YOUR_BATCH:
        options.folded_option_bar(_("Preset and options"))
sheet = session.visit().sheet
runs = view.runs_of(choice, sheet)

with st.container(key="precision"):
    with st.container(key="precision_findings"):
        view.findings(runs)
    with st.container(key="dtypes"):
        view.table(runs)
        view.ulp_formula(runs)
with st.container(key="error_matrices"):
    if view.is_shown_as_matrix(view.problem_of(choice, sheet)):
        st.markdown(f"## {_('Cell by cell')}")
        view.matrices(runs, choice, sheet)
with st.container(key="sweeps"):
    view.curves(choice, sheet)
tab_storage.keep_in_tab()
