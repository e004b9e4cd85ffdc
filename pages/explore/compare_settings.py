"""Compare settings: two sets of options on the same logits and labels, and a batch against its micro-batches."""

import streamlit as st

from xent_ui import compare_settings
from xent_ui.state import session
from xent_ui.table import editors
from xent_ui.text import _

st.subheader(_("Two settings, one batch"), anchor=False)
with st.container(key="examples"):
    compare_settings.examples()
view = compare_settings.view_chooser()


def settings() -> None:
    """A is pinned, B is what is on the table."""
    with st.container(key="options"):
        compare_settings.both_option_bars()
    sheet = session.visit().sheet
    result = compare_settings.comparison()
    with st.container(key="loss"):
        compare_settings.readouts_of(result)
    with st.container(key="words"):
        compare_settings.show_words(compare_settings.words(result, sheet))
    with st.container(key="grad"):
        titles = (_("gradient of A"), _("gradient of B"), _("B − A"))
        bound = compare_settings.gradient_bound(result.a, result.b)
        compare_settings.heatmaps(result.gradients, sheet, titles, bound, result.b)
    with st.container(key="pulls"):
        compare_settings.by_row_and_class(result.gradients, sheet, (result.a.row_loss, result.b.row_loss))
    with st.container(key="sweep"):
        compare_settings.sweep(result)
    with st.container(key="numbers"):
        compare_settings.numbers(result.gradients, sheet)


def micro_batches() -> None:
    """Gradient accumulation: the mean of the means of micro-batches is not the mean of the batch."""
    sheet = session.visit().sheet
    parts, table = st.columns([1, 2], gap="medium")
    with parts, st.container(key="options"):
        count = compare_settings.parts_slider(sheet)
    result = compare_settings.accumulation(sheet, count)
    with table, st.container(key="micro_batches"):
        compare_settings.parts_table(result, sheet)
    with st.container(key="loss"):
        compare_settings.accumulation_readouts(result)
    with st.container(key="words"):
        compare_settings.show_words(compare_settings.accumulation_words(result, sheet))
    with st.container(key="right_way"):
        compare_settings.right_way()
    with st.container(key="grad"):
        titles = (_("A: of the whole batch"), _("B: of the mean of means"), _("B − A"))
        bound = compare_settings.gradient_bound(result.whole, *result.parts)
        compare_settings.heatmaps(result.gradients, sheet, titles, bound, result.whole)
    with st.container(key="pulls"):
        compare_settings.by_row_and_class(result.gradients, sheet)
    with st.container(key="numbers"):
        compare_settings.numbers(result.gradients, sheet)


if view == compare_settings.SETTINGS:
    settings()
else:
    micro_batches()
editors.keep_in_tab()
