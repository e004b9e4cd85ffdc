"""One example: a row whose logits and label can be dragged, and every number follows."""

import streamlit as st

from xent_ui.one_example import view
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.table import options
from xent_ui.text import _

title, source = st.columns([1.4, 1], vertical_alignment="bottom")
title.title(
    _("One example, live"),
    anchor=False,
    help=_("A row to try out: drag a logit or choose another label, and every number of it follows. The batch stays."),
)
sheet = session.visit().sheet
with source:
    view.source_chooser(sheet)
with st.container(key="options"):
    options.folded_option_bar(_("Preset and options of the batch"))
sheet = session.visit().sheet

st.caption(view.row_words(sheet))
with st.container(key="live"):
    view.live_part()
view.tools()
view.rested_part()
view.experiments_part()
tab_storage.keep_in_tab()
