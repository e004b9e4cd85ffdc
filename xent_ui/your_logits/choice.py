"""Which rows of a dump are chosen: by label, by prediction, and by ranges of loss, gradient norm and margin.

The suspects, the matrix of pairs and the histograms all show this choice, and each can change it.
"""

from __future__ import annotations

import math

import numpy as np
import streamlit as st

from xent_core.dump import Choice, DumpSummary, Selection
from xent_core.dump.report import epoch_columns
from xent_core.dump.selection import EPOCH_RANGES, RANGES
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.text import _, markdown_escaped, ngettext, number
from xent_ui.your_logits.state import BOUNDS, ENDS, LABEL, PREDICTION, ROW, SUSPECT_PAGE


def forget_choice() -> None:
    """Every row again, and none of them looked at."""
    session.keep(ROW, None)
    session.keep(SUSPECT_PAGE, 1)
    _choose_all()


def _choose_all() -> None:
    for group in (LABEL, PREDICTION):
        session.keep(group, None)
    for bound in BOUNDS.values():
        session.keep(bound, None)


def choice_of(summary: DumpSummary) -> Choice:
    """What the fields ask for, which the matrix and the histograms fill in too."""
    members = summary.groups.members

    def classes(entry: Kept[int | None]) -> range | None:
        group = session.kept(entry)
        return None if group is None else members(int(group))

    def between(name: str) -> tuple[float, float] | None:
        low, high = (session.kept(BOUNDS[name, end]) for end in ENDS)
        if low is None and high is None:
            return None
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)

    return Choice(classes(LABEL), classes(PREDICTION), *(between(name) for name in RANGES))


def choice_fields(summary: DumpSummary) -> None:
    """Boxes for label and prediction, and fields for the ranges."""
    for group in (LABEL, PREDICTION):
        session.begin(group)
    for bound in BOUNDS.values():
        session.begin(bound)
    with st.container(key="dump_choice"):
        first, second, third = st.columns([2, 2, 1], vertical_alignment="bottom")
        with first:
            _class_field(LABEL, _("label"), np.flatnonzero(summary.confusion.sum(1)), summary)
        with second:
            _class_field(PREDICTION, _("prediction"), np.flatnonzero(summary.confusion.sum(0)), summary)
        with third, st.popover(_("Ranges"), icon=":material/tune:", width="stretch"):
            for name, title in _range_titles(summary).items():
                low, high = st.columns(2)
                for column, end, words in ((low, "from", _("{name} from")), (high, "to", _("{name} to"))):
                    column.number_input(
                        words.format(name=title),
                        value=None,
                        key=BOUNDS[name, end].name,
                        format="%g",
                        persist_state="session",
                    )


def _range_titles(summary: DumpSummary) -> dict[str, str]:
    """The numbers of which a range can be chosen."""
    titles = {"loss": _("loss"), "grad_norm": _("gradient norm"), "margin": _("margin")}
    return titles if summary.epochs is None else titles | {name: epoch_columns()[name] for name in EPOCH_RANGES}


def _class_field(entry: Kept[int | None], label: str, occurring: np.ndarray, summary: DumpSummary) -> None:
    chosen, groups = session.kept(entry), occurring.tolist()
    if chosen is not None and chosen not in groups:  # a pair of which there is no row
        groups = sorted([*groups, int(chosen)])
    st.selectbox(
        label,
        groups,
        index=None,
        key=entry.name,
        format_func=summary.name_of_group,
        placeholder=_("every class"),
        persist_state="session",
    )


def chosen_rows(summary: DumpSummary, choice: Choice, found: Selection) -> None:
    """How many rows are chosen, and a way back to all."""
    if choice.is_everything:
        return
    share = found.norm / total if (total := float(summary.grad_norm_histogram.sums.sum())) else math.nan
    parts = []
    for name, title in _range_titles(summary).items():
        wanted: tuple[float, float] | None = getattr(choice, name)
        if wanted is not None:
            parts.append(f"{title} {number(wanted[0])} … {number(wanted[1])}")
    with st.container(horizontal=True, vertical_alignment="center", key="dump_chosen"):
        text = ngettext(
            "{count} of {kept} rows is chosen; it carries {share} of the gradient.",
            "{count} of {kept} rows are chosen; they carry {share} of the gradient.",
            found.rows,
        ).format(count=found.rows, kept=summary.kept, share=f"{100 * share:.1f} %")
        st.markdown(markdown_escaped(" · ".join([text, *parts])), width="content")
        st.button(_("All rows"), icon=":material/filter_alt_off:", key="dump_all_rows", on_click=_choose_all)
