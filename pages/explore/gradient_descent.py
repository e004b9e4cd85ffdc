"""Gradient descent: follow the gradient of the batch, and see where it leads."""

import streamlit as st

from xent_ui import glossary
from xent_ui.gradient_descent import view
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.table import options
from xent_ui.text import _

st.title(
    _("Follow the gradient"),
    anchor=False,
    help=glossary.explained("gradient", "loss", "predicted change", "simplex", "smoothing", "temperature"),
)
with st.container(key="options"):
    options.folded_option_bar(_("Preset and options"))
sheet = session.visit().sheet
with st.container(key="descent_settings"):
    asked = view.settings(sheet)
    view.rule(asked)

with st.container(key="descent"):
    path = view.path_of(sheet.to_problem(), asked)
    if path is not None:
        view.summary(path)
        with st.container(key="findings"):
            view.findings(path, asked)
        with st.container(key="player"):
            view.player(path, sheet)


@st.fragment
def numbers() -> None:
    """What a choice of a step runs again."""
    if path is None:
        return
    if view.continue_from(path, sheet):
        st.switch_page("pages/explore/batch.py")
    view.tables(path, sheet)


with st.container(key="descent_numbers"):
    numbers()
tab_storage.keep_in_tab()
