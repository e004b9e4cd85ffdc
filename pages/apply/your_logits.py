"""Your logits: which examples, classes and pairs of classes carry the gradient of a real model."""

import streamlit as st

from xent_ui.shell import tab_storage
from xent_ui.text import _
from xent_ui.your_logits import pairs, suspects
from xent_ui.your_logits import view as your_logits

st.subheader(_("Which examples carry the gradient of your model?"), anchor=False)
st.markdown(_("Its logits and labels in; its gradient budget, suspects, confusions and calibration out."))
with st.container(key="source"):
    asked = your_logits.question()
with st.container(key="analysis"):
    run = your_logits.run_of(asked)
if run is not None:
    with st.container(key="budget"):
        your_logits.budget(run)
    st.markdown(f"#### {_('Suspects')}")
    with st.container(key="suspects"):
        row = suspects.suspects(run)
    with st.container(key="why"):
        suspects.why(run, row)
    st.markdown(f"#### {_('Classes and pairs')}")
    with st.container(key="pairs"):
        pairs.pairs(run)
    st.markdown(f"#### {_('Loss, gradient norm and calibration')}")
    with st.container(key="distributions"):
        pairs.distributions(run, row)
st.markdown(f"#### {_('In your training loop')}")
with st.container(key="snippet"):
    your_logits.snippet()
tab_storage.keep_in_tab()
