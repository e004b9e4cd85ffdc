"""Doctor: what is wrong with these logits and labels, what an error message means, and every pitfall to look at."""

import streamlit as st

from xent_ui import doctor
from xent_ui.table import editors
from xent_ui.text import _

st.subheader(_("What is wrong with my loss?"), anchor=False)
source = doctor.source_chooser()
with st.container(key="source"):
    if source == doctor.MESSAGE:
        doctor.message_lookup()
        found = None
    else:
        found = {doctor.TABLE: doctor.of_table, doctor.PASTE: doctor.of_paste, doctor.FILE: doctor.of_file}[source]()
with st.container(key="findings"):
    if found is not None:
        doctor.show_findings(found)

st.markdown(f"#### {_('Every pitfall, wrong and right')}")
with st.container(key="pitfall"):
    doctor.pitfall(doctor.pitfall_chooser())
st.markdown(f"#### {_('In your training loop')}")
with st.container(key="snippet"):
    doctor.snippet()
editors.keep_in_tab()
