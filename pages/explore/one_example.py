"""One example: a row whose logits and label can be dragged, and every number follows."""

import streamlit as st

from xent_ui.one_example import label_experiments, view
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.table import options
from xent_ui.text import _
from xent_ui.widgets import row_chooser

title, source = st.columns([1.4, 1], vertical_alignment="bottom")
title.title(_("One example, live"), anchor=False)
sheet = session.visit().sheet
with source:
    view.source_chooser(sheet)
with st.container(key="options"):
    options.folded_option_bar(options.problem_words(sheet))
sheet = session.visit().sheet

st.caption(view.row_words(sheet))
with st.container(key="live"):
    view.live_part()
view.tools()
view.rested_part()
st.markdown(f"#### {_('What labels do')}")
with st.container(key="experiments"):
    label_experiments.section(sheet, row_chooser.chosen_row(sheet))
tab_storage.keep_in_tab()
