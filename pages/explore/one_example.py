"""One example: a row whose logits and label can be dragged, and every number follows."""

import streamlit as st

from xent_ui.one_example import experiments, view
from xent_ui.state import session
from xent_ui.step_by_step import view as steps
from xent_ui.table import editors, options
from xent_ui.text import _

title, source = st.columns([1.4, 1], vertical_alignment="bottom")
title.subheader(_("One example, live"), anchor=False)
sheet = session.visit().sheet
with source:
    view.source_chooser(sheet)
with st.container(key="options"):
    options.folded_option_bar(steps.problem_words(sheet))
sheet = session.visit().sheet

st.caption(view.row_words(sheet))
with st.container(key="live"):
    view.live_part()
view.tools()
view.rested_part()
st.markdown(f"#### {_('What labels do')}")
with st.container(key="experiments"):
    experiments.section(sheet, steps.chosen_row(sheet))
editors.keep_in_tab()
