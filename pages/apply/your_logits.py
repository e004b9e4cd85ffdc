"""Your logits: which examples, classes and pairs of classes carry the gradient of a real model."""

import streamlit as st

from xent_ui import glossary
from xent_ui.shell import tab_storage
from xent_ui.text import _
from xent_ui.your_logits import data_map, decide, distributions, noise, pairs, suspects, view

st.title(
    _("Which examples carry the gradient of your model?"),
    anchor=False,
    help=glossary.explained("probability", "temperature", "nats", "accuracy", "gradient norm"),
)
st.markdown(_("Its logits and labels in; its gradient budget, suspects, confusions and calibration out."))
to_the_cards = st.container()
with st.container(key="source"):
    request = view.dump_and_loss()
with st.container(key="analysis"):
    analysis = view.analysis_of(request)
if analysis is not None:
    with to_the_cards:
        decide.link_to_cards()
    with st.container(key="budget"):
        view.budget(analysis)
    st.markdown(f"## {_('Suspects')}")
    with st.container(key="suspects"):
        row = suspects.ranking(analysis)
    st.markdown(f"## {_('Decide')}")
    with st.container(key="decide"):
        decide.decide(analysis)
    with st.container(key="why"):
        suspects.why(analysis, row)
    if analysis.summary.epochs is not None:
        st.markdown(f"## {_('Data map')}")
        with st.container(key="epochs"):
            data_map.data_map(analysis, row)
    st.markdown(f"## {_('Classes and pairs')}")
    with st.container(key="pairs"):
        pairs.matrix_and_table(analysis)
        noise.matrices(analysis.summary)
    st.markdown(f"## {_('Loss, gradient norm and calibration')}")
    with st.container(key="distributions"):
        distributions.histograms_and_calibration(analysis, row)
st.markdown(f"## {_('In your training loop')}")
with st.container(key="snippet"):
    view.snippet()
tab_storage.keep_in_tab()
