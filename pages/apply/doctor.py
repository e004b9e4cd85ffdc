"""Doctor: what is wrong with these logits and labels, what an error message means, and every pitfall to look at."""

import streamlit as st

from xent_ui import glossary
from xent_ui.doctor import lookup, pitfalls, state, view
from xent_ui.shell import tab_storage
from xent_ui.text import _

st.title(
    _("What is wrong with my loss?"),
    anchor=False,
    help=glossary.explained("loss", "nats"),
)
with st.container(key="symptom"):
    lookup.symptom_lookup()
source = view.source_chooser()
with st.container(key="source"):
    if source == state.MESSAGE:
        lookup.message_lookup()
        found = None
    else:
        found = {state.TABLE: view.of_table, state.PASTE: view.of_paste, state.FILE: view.of_file}[source]()
with st.container(key="findings"):
    if found is not None:
        view.show_findings(found, of_table=source == state.TABLE)

st.markdown(f"## {_('Every pitfall, wrong and right')}")
with st.container(key="pitfall"):
    chosen = pitfalls.pitfall_chooser()
    if chosen is not None:
        pitfalls.pitfall(chosen)
st.markdown(f"## {_('In your training loop')}")
with st.container(key="snippet"):
    view.snippet()
tab_storage.keep_in_tab()
