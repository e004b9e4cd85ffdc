"""Export: what is on screen as a link, a program, a file or a picture, and a file on the table."""

import streamlit as st

from xent_core import evaluate
from xent_ui.export import view
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.table import options
from xent_ui.text import _

st.title(_("Take it with you, or bring it here"), anchor=False)
with st.container(key="options"):
    options.folded_option_bar(_("Preset and options"))
sheet = session.visit().sheet
evaluation = evaluate(sheet.to_problem())

program, file = st.columns([3, 2], gap="large")
with program, st.container(key="script"):
    st.markdown(f"## {_('A program')}")
    view.programs(evaluation.problem)
with file:
    with st.container(key="files"):
        st.markdown(f"## {_('A file')}")
        view.files(sheet, evaluation)
    with st.container(key="import"):
        st.markdown(f"## {_('Open a file')}")
        view.importer()

st.markdown(f"## {_('Pictures')}")
with st.container(key="pictures"):
    view.pictures(sheet, evaluation)
tab_storage.keep_in_tab()
