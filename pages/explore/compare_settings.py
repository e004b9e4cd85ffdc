"""Compare settings: two sets of options on the same logits and labels, and a batch against its micro-batches."""

import streamlit as st

from xent_ui import glossary
from xent_ui.compare_settings import examples, micro_batches, two_gradients, view
from xent_ui.compare_settings.state import SETTINGS
from xent_ui.shell import tab_storage
from xent_ui.state import session
from xent_ui.text import _

st.title(
    _("Two settings, one batch"),
    anchor=False,
    help=glossary.explained("smoothing", "temperature", "weight", "rows", "gradient", "pull"),
)
with st.container(key="examples"):
    examples.example_buttons()
shown = view.view_chooser()


def two_settings() -> None:
    """A is pinned, B is what is on the table."""
    with st.container(key="options"):
        view.both_option_bars()
    sheet = session.visit().sheet
    result = view.comparison()
    with st.container(key="loss"):
        view.readouts_of(result)
    with st.container(key="words"):
        two_gradients.show_words(view.words(result, sheet))
    with st.container(key="grad"):
        titles = (_("gradient of A"), _("gradient of B"), _("B − A"))
        bound = two_gradients.gradient_bound(result.a, result.b)
        two_gradients.heatmaps(result.gradients, sheet, titles, bound, result.b)
    with st.container(key="pulls"):
        two_gradients.by_row_and_class(result.gradients, sheet, (result.a.row_loss, result.b.row_loss))
    with st.container(key="sweep"):
        view.sweep(result, sheet)
    with st.container(key="numbers"):
        two_gradients.numbers(result.gradients, sheet)


def batch_and_micro_batches() -> None:
    """Gradient accumulation: the mean of the means of micro-batches is not the mean of the batch."""
    sheet = session.visit().sheet
    parts, table = st.columns([1, 2], gap="medium")
    with parts, st.container(key="options"):
        count = micro_batches.count_slider(sheet)
    result = micro_batches.accumulated(sheet, count)
    with table, st.container(key="micro_batches"):
        micro_batches.micro_batch_table(result, sheet)
    with st.container(key="loss"):
        micro_batches.readouts(result)
    with st.container(key="words"):
        two_gradients.show_words(micro_batches.words(result, sheet))
    with st.container(key="right_way"):
        micro_batches.right_way()
    with st.container(key="grad"):
        titles = (_("A: of the whole batch"), _("B: of the mean of means"), _("B − A"))
        bound = two_gradients.gradient_bound(result.whole, *result.parts)
        two_gradients.heatmaps(result.gradients, sheet, titles, bound, result.whole)
    with st.container(key="pulls"):
        two_gradients.by_row_and_class(result.gradients, sheet)
    with st.container(key="numbers"):
        two_gradients.numbers(result.gradients, sheet)


if shown == SETTINGS:
    two_settings()
else:
    batch_and_micro_batches()
tab_storage.keep_in_tab()
