"""The suspects of a dump: its rows ranked by how likely their label is wrong, and why a row stands where it does."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from xent_core.dump import Choice, DumpSummary, InvalidDump, Suspects, shown_text
from xent_core.dump.report import epoch_columns, wrong_labels_words
from xent_core.spreadsheets import harmless
from xent_ui import glossary
from xent_ui.state import session
from xent_ui.state.sheet import MAX_CLASSES, InvalidSheet
from xent_ui.table.options import decimals
from xent_ui.text import _, difference, markdown_escaped, ngettext, number, short
from xent_ui.widgets import job_progress, number_tables, row_chooser
from xent_ui.widgets.matrices import CHART_CONFIG
from xent_ui.widgets.segments import segmented_choice
from xent_ui.your_logits import figures as dump_figures
from xent_ui.your_logits import flipped_digits
from xent_ui.your_logits.analysis import DumpAnalysis
from xent_ui.your_logits.choice import choice_fields, choice_of, chosen_rows
from xent_ui.your_logits.gallery import CARDS_ID
from xent_ui.your_logits.shown_examples import page_of, what_it_is, with_examples
from xent_ui.your_logits.single_rows import MAX_WIDE_ROWS, RowDetail, largest_entries
from xent_ui.your_logits.state import EXAMPLE, LOOK_FOR_WRONG_LABELS, ROW, SUSPECT_TABLE, rank_by_entry

SHOWN_ENTRIES = 12
EXPORTED_ROWS = 100_000
TABLE_HEIGHT = 320  # pixels
PICTURE_ROW_HEIGHT = 64
PICTURES_HEIGHT = 500
MAX_ID_CHARACTERS = 200
LARGEST_EXPONENT = 700.0  # e to more is no float64

# the orders that can be chosen: what each is called, and what it means
ORDERS: dict[str, tuple[Callable[[], str], Callable[[], str]]] = {
    "suspicion": (
        lambda: _("Label wrong"),
        lambda: _(
            "Ranked by an estimate of how likely the label is wrong; equal ones by how clearly the model says so. On "
            "test sets 94 of 100 labels at 90 % or more were wrong; of those at 30 to 80 %, more than said."
        ),
    ),
    "margin": (
        lambda: _("Margin"),
        lambda: _("Ranked by the margin: how far the label's logit lies above the largest other."),
    ),
    "aum": (
        lambda: "AUM",
        lambda: _("Ranked by the area under the margin, its mean over the epochs, the smallest first."),
    ),
    "loss": (lambda: _("Loss"), lambda: _("Ranked by the loss, the largest first.")),
    "grad_norm": (lambda: _("Gradient norm"), lambda: _("Ranked by the gradient norm, the largest first.")),
}


def ranking(analysis: DumpAnalysis) -> int:
    """The ranked table of the rows that are wanted; gives the row that is looked at."""
    summary = analysis.summary
    choice_fields(summary)
    choice = choice_of(summary)
    _how_many(analysis)
    with st.container(horizontal=True, vertical_alignment="bottom", gap="medium"):
        rank_by = _order(summary)
        found = analysis.selection(choice, rank_by)
        page = page_of(len(found.suspects)) if summary.reading.shows_examples else None
    chosen_rows(summary, choice, found)
    row = session.kept(ROW)
    if row is None or not 0 <= row < summary.rows:
        session.keep(ROW, int(summary.suspects.row[0]))
    table = suspect_table(summary, found.suspects, found.rank)
    if analysis.request.identity[0] == EXAMPLE:
        flipped_digits.how_many_found(found.suspects)
        table = flipped_digits.with_truth(table, summary, found.suspects)
    if page is not None:
        _examples_table(analysis, found.suspects.row.tolist(), table, page)
    else:
        _table(table, found.suspects.row.tolist())
    st.caption(f"{ORDERS[rank_by][1]()} {_('Tick a row to see why.')}")
    with st.container(horizontal=True, vertical_alignment="bottom"):
        shown = st.number_input(
            _("row to look at"),
            0,
            summary.rows - 1,
            key=ROW.name,
            persist_state="session",
            width=160,
            help=_("Any row of the dump, counted from 0. Choosing one in the table puts it here."),
        )
        count = min(len(found.suspects), MAX_CLASSES if summary.classes <= MAX_CLASSES else MAX_WIDE_ROWS)
        rows = found.suspects.row[:count].tolist()
        words = ngettext("Open the first row in Batch", "Open the first {count} in Batch", count).format(count=count)
        if rows and st.button(words, icon=":material/grid_on:", key="dump_open_batch"):
            _open(analysis, rows, "pages/explore/batch.py")
        st.download_button(
            _("These rows as CSV")
            if found.rows <= EXPORTED_ROWS
            else _("The first {count} as CSV").format(count=EXPORTED_ROWS),
            partial(_csv_of_choice, analysis, choice, rank_by),
            file_name="suspects.csv",
            mime="text/csv",
            icon=":material/download:",
            on_click="ignore",
            key="dump_csv",
        )
    return int(shown)


def _table(table: pd.DataFrame, rows: list[int], **look: Any) -> None:
    """A table of which one row can be ticked; `look` is what a table with pictures adds."""
    numbers = {
        name: st.column_config.NumberColumn(format="%.4g") for name in table.columns if table[name].dtype == np.float64
    }
    if _("label wrong") in numbers:
        estimated = _("The estimated probability that the label is wrong")
        numbers[_("label wrong")] = st.column_config.NumberColumn(format="percent", help=estimated)
    for name, terms in _column_terms().items():
        if name in numbers:
            numbers[name] = st.column_config.NumberColumn(format="%.4g", help=glossary.explained(*terms))
    st.dataframe(
        table,
        key=SUSPECT_TABLE.name,
        hide_index=True,
        on_select=partial(_take_suspect, rows),
        selection_mode="single-row",
        alt=_("Rows in the chosen order, the first suspect first"),
        **{"height": TABLE_HEIGHT, **look, "column_config": numbers | look.get("column_config", {})},
    )


def _column_terms() -> dict[str, tuple[str, ...]]:
    """The columns whose names the glossary explains."""
    return {
        _("margin"): ("margin",),
        _("p of the label"): ("probability",),
        _("loss"): ("row loss", "nats"),
        _("gradient norm"): ("gradient norm", "gradient"),
        "EL2N": ("EL2N",),
        _("entropy"): ("entropy",),
        epoch_columns()["aum"]: ("AUM",),
    }


def _examples_table(analysis: DumpAnalysis, rows: list[int], table: pd.DataFrame, page: slice) -> None:
    """A page of the suspects, each with its picture, its text and the other columns that are shown."""
    table = table[page]
    look: dict[str, Any] = {}
    try:
        work, size = partial(analysis.show_page, rows, page), analysis.size_bytes
        size = 0 if analysis.has_shown(rows[page]) else size
        examples = job_progress.run_and_wait(work, size_bytes=size, reads_upload=size > 0)
    except (InvalidDump, OSError) as error:
        st.error(_("The examples cannot be read again: {error}").format(error=markdown_escaped(str(error))))
        examples = []
    if any(example.image for example in examples):
        look = {
            "height": PICTURES_HEIGHT,
            "row_height": PICTURE_ROW_HEIGHT,
            "column_config": {_("picture"): st.column_config.ImageColumn(width="small")},
        }
    _table(with_examples(table, examples), rows[page], **look)
    problems = [example for example in examples if example.problem]
    if problems:
        first = _("row {row}: {problem}").format(row=problems[0].row, problem=problems[0].problem)
        words = ngettext(
            "{count} picture of this page cannot be shown; {first}",
            "{count} pictures of this page cannot be shown; {first}",
            len(problems),
        )
        st.caption(markdown_escaped(words.format(count=len(problems), first=first)))


def _how_many(analysis: DumpAnalysis) -> None:
    """How many labels are wrong, as far as one can tell, or the offer to find out."""
    summary = analysis.summary
    if not summary.looked_for_wrong_labels:
        st.caption(
            _("Wrong labels were not looked for, since that reads a dump of more than 4 million logits once more.")
        )
        job_progress.is_asked_for(
            analysis.request.identity,
            LOOK_FOR_WRONG_LABELS,
            _("Look for wrong labels"),
            icon=":material/search:",
            help=_("Counts the dump anew, and ranks by an estimate of how likely each label is wrong."),
            key="dump_look_for_wrong",
        )
        return
    explained = _(
        "Estimated from how much the model speaks against each label, beside labels that are wrong on purpose. "
        "A weak model, or wrong labels where even people are unsure, can mislead it: look at some rows yourself."
    )
    st.markdown(markdown_escaped(wrong_labels_words(summary)), help=explained)


def _order(summary: DumpSummary) -> str:
    """What the rows are ranked by."""
    is_known = {"suspicion": summary.looked_for_wrong_labels, "aum": summary.epochs is not None}
    names = [name for name in ORDERS if is_known.get(name, True)]
    titles = {name: ORDERS[name][0]() for name in names}
    return segmented_choice(_("Order of the suspects"), titles, rank_by_entry(summary), wrap=True)


def suspect_table(summary: DumpSummary, chosen: Suspects, rank: np.ndarray) -> pd.DataFrame:
    """Rows of the ranking as a table, the classes by name."""
    columns: dict[str, Any] = {
        _("rank"): rank,
        _("row"): chosen.row,
        _("example"): chosen.ids,
        _("label"): [summary.name_of(c) for c in chosen.target.tolist()],
        _("suggested"): [summary.name_of(c) for c in chosen.suggested.tolist()],
        _("label wrong"): chosen.p_wrong,
        _("margin"): chosen.margin,
        _("p of the label"): chosen.prob,
        _("loss"): chosen.loss,
        _("gradient norm"): chosen.grad_norm,
        _("norm of the last layer"): chosen.layer_norm,
        "EL2N": chosen.el2n,
        _("entropy"): chosen.entropy,
        **{title: getattr(chosen, name) for name, title in epoch_columns().items()},
    }
    return pd.DataFrame({name: column for name, column in columns.items() if column is not None})


def csv_of(table: pd.DataFrame) -> str:
    """The table as CSV, every number exactly."""
    names = [str(name) for name in table.columns]
    texts = [
        [harmless(str(value)) if isinstance(value, str) else repr(value) for value in row]
        for row in table.to_numpy(dtype=object).tolist()
    ]
    return number_tables.csv_text([row[0] for row in texts], names[1:], [row[1:] for row in texts], corner=names[0])


def _csv_of_choice(analysis: DumpAnalysis, choice: Choice, rank_by: str) -> str:
    found = analysis.first_rows(choice, rank_by, EXPORTED_ROWS)
    return csv_of(suspect_table(analysis.summary, found.suspects, found.rank))


def _take_suspect(rows: list[int]) -> None:
    chosen = session.kept(SUSPECT_TABLE).selection.rows
    if chosen and chosen[0] < len(rows):
        session.keep(ROW, rows[chosen[0]])


def why(analysis: DumpAnalysis, row: int) -> None:
    """Why a row is where it is: its numbers, its gradient, and what a change of it would do."""
    summary = analysis.summary
    back = f"[{_('Back to the card')}](#{CARDS_ID})"
    st.markdown(f"**{_('Why is row {row} here?').format(row=row)}** {back}")
    try:
        # a packed file is read from its beginning
        size = 0 if analysis.has_read(row) else analysis.size_bytes
        work = partial(analysis.row_detail, row)
        detail = job_progress.run_and_wait(work, size_bytes=size, reads_upload=size > 0)
        example = analysis.show([row])[0] if summary.reading.shows_examples else None
    except (InvalidDump, OSError) as error:
        st.error(_("The row cannot be read again: {error}").format(error=markdown_escaped(str(error))))
        return
    if detail is None:
        st.info(_("This row is ignored: its target is ignore_index."))
        return
    words, picture = st.columns([3, 2], gap="medium")
    with words:
        if example is not None:
            what_it_is(example)
        _row_words(detail, summary)
        _row_over_epochs(row, summary)
        if st.button(_("Open in One example"), icon=":material/touch_app:", key="dump_open_example"):
            session.keep(row_chooser.SOURCE, row_chooser.FROM_BATCH)
            _open(analysis, [row], "pages/explore/one_example.py")
    with picture:
        _row_gradient(detail, summary)


def _row_words(detail: RowDetail, summary: DumpSummary) -> None:
    """The numbers of a row, what the model prefers, and what another label or no such row would change."""
    scores, digits = detail.scores, decimals()
    label, suggested = int(scores.target[0]), int(scores.suggested[0])
    names = {"label": summary.name_of(label), "suggested": summary.name_of(suggested)}
    if scores.ids:
        st.text(shown_text(scores.ids[0], MAX_ID_CHARACTERS))
    with st.container(horizontal=True, gap="medium"):
        for name, value in {
            _("loss"): number(float(scores.loss), digits),
            _("p of the label"): number(float(scores.prob), digits),
            _("margin"): number(float(scores.margin), digits),
            _("gradient norm"): number(float(scores.grad_norm), digits),
            _("share of the gradient"): f"{short(100 * detail.share, 3)} %",
            **(
                {}
                if scores.layer_norm is None
                else {_("norm of the last layer"): number(float(scores.layer_norm), digits)}
            ),
        }.items():
            terms = _column_terms().get(name)
            st.metric(name, value, width="content", help=glossary.explained(*terms) if terms else None)
    if math.isnan(float(scores.margin)):
        st.warning(_("Its logits hold NaN, or the same infinity twice, so it has no margin."))
        return
    if suggested == label:
        text = _("The label is {label}, and nothing is more probable.")
    else:
        text = _("The label is {label}, but the model prefers {suggested}: e^{gap} = {ratio} times as probable.")
    gap = -float(scores.margin)
    ratio = math.exp(min(gap, LARGEST_EXPONENT))
    st.markdown(markdown_escaped(text.format(**names, gap=number(gap, 2), ratio=number(ratio, 1))))
    now = summary.loss
    changes = [(_("without this row"), detail.whole_dropped)]
    if suggested != label:
        changes.insert(0, (_("relabelled as {suggested}").format(**names), detail.whole_relabelled))
        line = _("Relabelled as {suggested}, its own loss would be {loss} instead of {now}.").format(
            **names, loss=number(detail.loss_relabelled, digits), now=number(float(scores.loss), digits)
        )
        st.markdown(markdown_escaped(line))
    if summary.kept == 1:
        changes.pop()
        st.markdown(_("It is the only row: without it nothing is left to average."))
    if math.isfinite(now):
        for change, whole in changes:
            line = _("The loss of the whole, {change}: {value} ({difference}).").format(
                change=change, value=number(whole, digits), difference=difference(now, whole, digits)
            )
            st.markdown(markdown_escaped(line))
    else:
        st.caption(
            _("The loss of the whole is {loss}; one row does not tell what would change it.").format(loss=number(now))
        )


def _row_over_epochs(row: int, summary: DumpSummary) -> None:
    """How a row was learnt, in one sentence."""
    epochs = summary.epochs
    if epochs is None:
        return
    forgetting = float(epochs.forgetting[row])
    learnt = _("never learnt") if math.isinf(forgetting) else _("forgotten {count} times").format(count=int(forgetting))
    words = _(
        "Over {epochs} epochs: right in {right} of them, {learnt}; AUM {aum}, confidence {confidence}, "
        "variability {variability}."
    ).format(
        epochs=len(epochs.names),
        right=f"{epochs.correctness[row]:.0%}",
        learnt=learnt,
        aum=number(float(epochs.aum[row])),
        confidence=number(float(epochs.confidence[row])),
        variability=number(float(epochs.variability[row])),
    )
    st.markdown(markdown_escaped(words))


def _row_gradient(detail: RowDetail, summary: DumpSummary) -> None:
    scores = detail.scores
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


def _open(analysis: DumpAnalysis, rows: list[int], page: str) -> None:
    """Put rows of the dump on the table, and go to a page that shows them."""
    try:
        work, size = partial(analysis.sheet, rows), analysis.size_bytes
        sheet, is_cut = job_progress.run_and_wait(work, size_bytes=size, reads_upload=size > 0)
    except (InvalidSheet, InvalidDump, OSError) as error:
        st.error(markdown_escaped(str(error)), icon=":material/error:")
        return
    session.open_sheet(sheet, _("From Your logits"))
    if is_cut:
        session.refuse(
            _("Of {classes} classes the most probable are shown; the last column stands for all others.").format(
                classes=analysis.summary.classes
            )
        )
    st.switch_page(page)
