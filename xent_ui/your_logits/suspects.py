"""The suspects of a dump: which rows are wanted, their ranked table, and why a row stands where it does."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from xent_core.dump import Choice, DumpSummary, InvalidDump, Selection, Suspects
from xent_core.spreadsheets import harmless
from xent_ui.state import session
from xent_ui.state.sheet import MAX_CLASSES, InvalidSheet
from xent_ui.table.options import decimals
from xent_ui.text import _, markdown_escaped, number, short
from xent_ui.widgets import number_tables, row_chooser
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.your_logits import figures as dump_figures
from xent_ui.your_logits.analysis import RowStory, Run, largest_entries

ROW, LABEL, PREDICTION = "dump_row", "dump_label", "dump_prediction"
RANGES = ("loss", "grad_norm", "margin")
SHOWN_ENTRIES = 12
EXPORTED_ROWS = 100_000


def bound_key(name: str, end: str) -> str:
    """The key of the field with one end, "from" or "to", of a range."""
    return f"dump_{name}_{end}"


CHOICE_KEYS = (LABEL, PREDICTION, *(bound_key(name, end) for name in RANGES for end in ("from", "to")))


def forget() -> None:
    """Every row again, and none of them looked at."""
    for key in (ROW, *CHOICE_KEYS):
        session.keep(key, None)


def _choose_all() -> None:
    for key in CHOICE_KEYS:
        session.keep(key, None)


def choice_of(summary: DumpSummary) -> Choice:
    """What the fields ask for, which the matrix and the histograms fill in too."""
    members = summary.groups.members

    def classes(key: str) -> range | None:
        group = session.kept(key)
        return None if group is None else members(int(group))

    def between(name: str) -> tuple[float, float] | None:
        low, high = (session.kept(bound_key(name, end)) for end in ("from", "to"))
        if low is None and high is None:
            return None
        return -math.inf if low is None else float(low), math.inf if high is None else float(high)

    return Choice(classes(LABEL), classes(PREDICTION), *(between(name) for name in RANGES))


def suspects(run: Run) -> int:
    """The ranked table of the rows that are wanted; gives the row that is looked at."""
    summary = run.summary
    _fields(summary)
    choice = choice_of(summary)
    found = run.selection(choice)
    _said(summary, choice, found)
    table = suspect_table(summary, found.suspects, found.rank)
    if session.kept(ROW) is None or not 0 <= int(session.kept(ROW)) < summary.rows:
        session.keep(ROW, int(summary.suspects.row[0]))
    st.dataframe(
        table,
        key="suspect_table",
        hide_index=True,
        height=320,
        on_select=partial(_take_suspect, found.suspects.row.tolist()),
        selection_mode="single-row",
        column_config={
            name: st.column_config.NumberColumn(format="%.4g")
            for name in table.columns
            if table[name].dtype == np.float64
        },
        alt=_("Rows by their margin, the smallest first"),
    )
    st.caption(
        _("Ranked by the margin: how far the label's logit lies above the largest other. Tick a row to see why.")
    )
    with st.container(horizontal=True, vertical_alignment="bottom"):
        row = st.number_input(
            _("row to look at"), 0, summary.rows - 1, key=ROW, persist_state="session", width=160,
            help=_("Any row of the dump, counted from 0. Choosing one in the table puts it here."),
        )  # fmt: skip
        count = min(len(found.suspects), MAX_CLASSES if summary.classes <= MAX_CLASSES else MAX_CLASSES // 2)
        rows = found.suspects.row[:count].tolist()
        if rows and st.button(
            _("Open the first {count} in Batch").format(count=count), icon=":material/grid_on:", key="dump_open_batch"
        ):
            _open(run, rows, "pages/explore/batch.py")
        st.download_button(
            _("These rows as CSV")
            if found.rows <= EXPORTED_ROWS
            else _("The first {count} as CSV").format(count=EXPORTED_ROWS),
            partial(_csv_of_choice, run, choice),
            file_name="suspects.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="dump_csv",
        )
    return int(row)


def _fields(summary: DumpSummary) -> None:
    for key in CHOICE_KEYS:
        session.begin(key, None)
    with st.container(key="dump_choice"):
        first, second, third = st.columns([2, 2, 1], vertical_alignment="bottom")
        with first:
            _class_field(LABEL, _("label"), np.flatnonzero(summary.confusion.sum(1)), summary)
        with second:
            _class_field(PREDICTION, _("prediction"), np.flatnonzero(summary.confusion.sum(0)), summary)
        with third, st.popover(_("Ranges"), icon=":material/tune:", width="stretch"):
            titles = {"loss": _("loss"), "grad_norm": _("gradient norm"), "margin": _("margin")}
            for name, title in titles.items():
                low, high = st.columns(2)
                for place, end, words in ((low, "from", _("{name} from")), (high, "to", _("{name} to"))):
                    place.number_input(
                        words.format(name=title), value=None, key=bound_key(name, end), format="%g",
                        persist_state="session",
                    )  # fmt: skip


def _class_field(key: str, label: str, groups: np.ndarray, summary: DumpSummary) -> None:
    chosen, options = session.kept(key), groups.tolist()
    if chosen is not None and chosen not in options:  # a pair of which there is no row
        options = sorted([*options, int(chosen)])
    st.selectbox(
        label, options, index=None, key=key, format_func=summary.name_of_group, placeholder=_("every class"),
        persist_state="session",
    )  # fmt: skip


def _said(summary: DumpSummary, choice: Choice, found: Selection) -> None:
    """How many rows are chosen, and a way back to all."""
    if choice.is_everything:
        return
    share = found.norm / total if (total := float(summary.grad_norm_histogram.sums.sum())) else math.nan
    parts = []
    for name, title in (("loss", _("loss")), ("grad_norm", _("gradient norm")), ("margin", _("margin"))):
        wanted: tuple[float, float] | None = getattr(choice, name)
        if wanted is not None:
            parts.append(f"{title} {number(wanted[0])} … {number(wanted[1])}")
    with st.container(horizontal=True, vertical_alignment="center", key="dump_chosen"):
        text = _("{count} of {kept} rows are chosen; they carry {share} of the gradient.").format(
            count=found.rows, kept=summary.kept, share=f"{100 * share:.1f} %"
        )
        st.markdown(markdown_escaped(" · ".join([text, *parts])), width="content")
        st.button(_("All rows"), icon=":material/filter_alt_off:", key="dump_all_rows", on_click=_choose_all)


def suspect_table(summary: DumpSummary, chosen: Suspects, rank: np.ndarray) -> pd.DataFrame:
    """Rows of the ranking as a table, the classes by name."""
    columns: dict[str, Any] = {
        _("rank"): rank,
        _("row"): chosen.row,
        _("example"): chosen.ids,
        _("label"): [summary.name_of(c) for c in chosen.target.tolist()],
        _("suggested"): [summary.name_of(c) for c in chosen.suggested.tolist()],
        _("margin"): chosen.margin,
        _("p of the label"): chosen.prob,
        _("loss"): chosen.loss,
        _("gradient norm"): chosen.grad_norm,
        _("norm of the last layer"): chosen.layer_norm,
        "EL2N": chosen.el2n,
        _("entropy"): chosen.entropy,
    }
    return pd.DataFrame({name: column for name, column in columns.items() if column is not None})


def csv_of(table: pd.DataFrame) -> str:
    """The table as CSV, every number exactly."""
    names = [str(name) for name in table.columns]
    texts = [[harmless(str(value)) if isinstance(value, str) else repr(value) for value in row]
             for row in table.to_numpy(dtype=object).tolist()]  # fmt: skip
    return number_tables.csv_text([row[0] for row in texts], names[1:], [row[1:] for row in texts], corner=names[0])


def _csv_of_choice(run: Run, choice: Choice) -> str:
    found = run.first_rows(choice, EXPORTED_ROWS)
    return csv_of(suspect_table(run.summary, found.suspects, found.rank))


def _take_suspect(rows: list[int]) -> None:
    chosen = session.kept("suspect_table").selection.rows
    if chosen and chosen[0] < len(rows):
        session.keep(ROW, rows[chosen[0]])


def why(run: Run, row: int) -> None:
    """Why a row is where it is: its numbers, its gradient, and what a change of it would do."""
    summary = run.summary
    st.markdown(f"**{_('Why is row {row} here?').format(row=row)}**")
    try:
        story = run.story(row)
    except (InvalidDump, OSError) as error:
        st.error(_("The row cannot be read again: {error}").format(error=markdown_escaped(str(error))))
        return
    if story is None:
        st.info(_("This row is ignored: its target is ignore_index."))
        return
    words, picture = st.columns([3, 2], gap="medium")
    with words:
        _story(story, summary)
        if st.button(_("Open in One example"), icon=":material/touch_app:", key="dump_open_example"):
            session.keep(row_chooser.SOURCE, row_chooser.FROM_BATCH)
            _open(run, [row], "pages/explore/one_example.py")
    with picture:
        _row_gradient(story, summary)


def _story(story: RowStory, summary: DumpSummary) -> None:
    scores, places = story.scores, decimals()
    label, suggested = int(scores.target[0]), int(scores.suggested[0])
    names = {"label": summary.name_of(label), "suggested": summary.name_of(suggested)}
    if scores.ids:
        st.text(scores.ids[0][:200])
    with st.container(horizontal=True, gap="medium"):
        for name, value in {
            _("loss"): number(float(scores.loss), places),
            _("p of the label"): number(float(scores.prob), places),
            _("margin"): number(float(scores.margin), places),
            _("gradient norm"): number(float(scores.grad_norm), places),
            _("share of the gradient"): f"{short(100 * story.share, 3)} %",
            **(
                {}
                if scores.layer_norm is None
                else {_("norm of the last layer"): number(float(scores.layer_norm), places)}
            ),
        }.items():
            st.metric(name, value, width="content")
    if math.isnan(float(scores.margin)):
        st.warning(_("Its logits hold NaN, or the same infinity twice, so it has no margin."))
        return
    if suggested == label:
        text = _("The label is {label}, and nothing is more probable.")
    else:
        text = _("The label is {label}, but the model prefers {suggested}: e^{gap} = {ratio} times as probable.")
    gap = -float(scores.margin)
    ratio = math.exp(min(gap, 700.0))
    st.markdown(markdown_escaped(text.format(**names, gap=number(gap, 2), ratio=number(ratio, 1))))
    now = summary.loss
    changes = [(_("without this row"), story.whole_dropped)]
    if suggested != label:
        changes.insert(0, (_("relabelled as {suggested}").format(**names), story.whole_relabelled))
        line = _("Relabelled as {suggested}, its own loss would be {loss} instead of {now}.").format(
            **names, loss=number(story.loss_relabelled, places), now=number(float(scores.loss), places)
        )
        st.markdown(markdown_escaped(line))
    if math.isfinite(now):
        for change, whole in changes:
            line = _("The loss of the whole, {change}: {value} ({difference}).").format(
                change=change, value=number(whole, places), difference=number(whole - now, places, sign=True)
            )
            st.markdown(markdown_escaped(line))
    else:
        st.caption(_("The loss of the whole is {loss}; one row does not tell what would change it.").format(
            loss=number(now)))  # fmt: skip


def _row_gradient(story: RowStory, summary: DumpSummary) -> None:
    scores = story.scores
    label = int(scores.target[0])
    gradient = scores.grad[0]
    classes = largest_entries(gradient, SHOWN_ENTRIES, label)
    values = gradient[classes].tolist()
    names = [summary.name_of(c) for c in classes]
    st.plotly_chart(
        dump_figures.row_gradient(
            names, values, label=classes.index(label), title=_("∂ℓ/∂z of the row; outlined: its label")
        ),
        key="row_gradient",
        config=CHART_CONFIG,
        alt=_("Gradient of the row's loss by its logits, the largest"),
    )
    if len(classes) < summary.classes:
        st.caption(_("The {shown} largest of {all} entries.").format(shown=len(classes), all=summary.classes))


def _open(run: Run, rows: list[int], page: str) -> None:
    """Put rows of the dump on the table, and go to a page that shows them."""
    try:
        sheet, is_cut = run.sheet(rows)
    except (InvalidSheet, InvalidDump, OSError) as error:
        st.error(markdown_escaped(str(error)), icon=":material/error:")
        return
    session.open_sheet(sheet)
    if is_cut:
        session.refuse(
            _("Of {classes} classes the most probable are shown; the last column stands for all others.").format(
                classes=run.summary.classes
            )
        )
    st.switch_page(page)
