"""Step by step: the loss of one row as a chain of small steps, forward and backward."""

import streamlit as st

from xent_core import trace
from xent_ui import glossary
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.step_by_step import chain_table, stepper, view
from xent_ui.table import options
from xent_ui.text import _
from xent_ui.widgets import row_chooser

title, row = st.columns([3, 1], vertical_alignment="bottom")
title.title(
    _("The loss of one row, step by step"),
    anchor=False,
    help=glossary.explained("logit", "probability", "row loss", "loss", "gradient"),
)
sheet = session.visit().sheet
with row:
    row_chooser.row_chooser(sheet)
with st.container(key="options"):
    options.folded_option_bar(options.problem_words(sheet))
sheet = session.visit().sheet
chain = trace(sheet.to_problem(), row_chooser.chosen_row(sheet))

with st.container(key="stepper"):
    stage = stepper.controls(chain)
with st.container(key="findings"):
    view.notes(chain, sheet)
beside = view.fits_beside(sheet)
step, whole = st.columns([9, 14], gap="medium") if beside else (st.container(), st.container())
with step, st.container(key="step"):
    view.current_step(chain, stage, sheet)
with whole, st.container(key="chain"):
    chain_table.chain_table(chain, stage, sheet)

st.markdown(
    f"## {_('Why p − y: log divides by p, and softmax multiplies by it again')}",
    help=glossary.explained("probability", "target", "Jacobian"),
)
if beside:
    routes, jacobian, labels = st.columns([6, 5, 5], gap="medium")
else:
    routes = st.container()
    jacobian, labels = st.columns(2, gap="medium")
with routes, st.container(key="routes"):
    view.cancellation(chain, sheet)
with jacobian, st.container(key="jacobian"):
    st.markdown(f"**{_('Jacobian of softmax')}** J = diag(p) − p pᵀ")
    view.jacobian(chain, sheet)
with labels, st.container(key="labels"):
    st.markdown(f"**{_('If the label were another')}** {view.label_formula(chain)}")
    view.label_gradients(chain, sheet)
with st.container(key="graph"):
    st.markdown(f"## {_('The computational graph')}")
    view.graphs(chain, stage)
tab_storage.keep_in_tab()
