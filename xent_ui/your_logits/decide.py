"""Decide: the suspects as cards, what is decided about them, what that changes, and how it is taken along."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import streamlit as st

from xent_core.dump import DumpSummary, InvalidDump, Suspects
from xent_core.dump.decisions import (
    MAX_DECISIONS,
    SNIPPETS,
    Decisions,
    FoundRows,
    Whole,
    snippet,
)
from xent_core.dump.examples import shown_text
from xent_core.dump.ranking import SUSPECTS
from xent_ui.state import session
from xent_ui.table.options import decimals
from xent_ui.text import MINUS, N_, _, difference, markdown_escaped, number
from xent_ui.widgets import job_progress
from xent_ui.widgets.segments import segmented_choice
from xent_ui.your_logits import merging
from xent_ui.your_logits.analysis import DumpAnalysis
from xent_ui.your_logits.choice import choice_of
from xent_ui.your_logits.desk import Desk, fingerprint, taken
from xent_ui.your_logits.gallery import CARDS_ID, PAGE_CARDS, gallery
from xent_ui.your_logits.shown_examples import MAX_NAME, cards_of, class_name
from xent_ui.your_logits.state import (
    CARDS,
    DECISION_FILES_SAID,
    DESK,
    EFFECT_OF,
    EXAMPLE,
    FILE_BEFORE,
    GALLERY,
    ROW,
    SNIPPET_KIND,
    rank_by_entry,
)

LISTED_CLASSES = 2_000  # more are chosen by their number
QUICK_SECONDS = 1.0  # what was counted within it is counted again at each decision
LEAST_SHARE = 1e-4
SHOWN_SHARES = 12
FIRST_ROWS = N_(
    "These are the first {count} rows: choose others by label, prediction or ranges above; the CSV above holds more."
)
NOTHING = "–"  # where no row is left


def decide(analysis: DumpAnalysis) -> None:
    """The cards, and what follows from them; runs again by itself, so that a decision waits for nothing else."""
    st.fragment(_decide)(analysis)


def link_to_cards() -> None:
    """A way past all that stands before the cards, for those who go by keys."""
    st.markdown(f"[{_('To the cards of the suspects')}](#{CARDS_ID})")


def _decide(analysis: DumpAnalysis) -> None:
    summary = analysis.summary
    desk = _desk(summary)
    found = analysis.selection(choice_of(summary), session.kept(rank_by_entry(summary)))
    st.caption(
        _("Is the label right? Decide by click or key, card by card; your files stay as they are.")
        + ("" if found.rows <= SUSPECTS else " " + _(FIRST_ROWS).format(count=SUSPECTS))
    )
    suspects = found.suspects
    rows = suspects.row.tolist()
    wanted = [row for row in session.kept(CARDS) if row in set(rows)] or rows[: 2 * PAGE_CARDS]
    listed = summary.classes <= LISTED_CLASSES
    mentioned = {*suspects.target.tolist(), *suspects.suggested.tolist()}
    mentioned |= {one.new for one in desk.decisions if one.new is not None}
    data = {
        "dump": desk.dump,
        "generation": desk.generation,
        "fresh": desk.is_fresh,
        "files": merging.files_to_keep(desk),
        "entries": [[one.row, one.decision, one.new, one.time, one.old] for one in desk.start],
        "rows": _rows(summary, suspects, found.rank.tolist()),
        "names": [class_name(summary, c) for c in range(summary.classes)]
        if listed
        else {str(c): class_name(summary, c) for c in sorted(mentioned)},
        "all_names": listed,
        "classes": summary.classes,
        "most": MAX_DECISIONS,
    }
    gallery(
        data,
        answer={"generation": desk.generation, "sequence": desk.sequence},
        cards=cards_of(analysis, wanted),
        on_decided=partial(_take, analysis),
        on_page=partial(_take_page, desk.dump),
        on_asked=partial(_look_at, desk.dump, summary.rows),
        on_before=_say_what_was_open,
    )
    merging.disputes(analysis, desk)
    with st.container(horizontal=True, vertical_alignment="center", key="decide_files"):
        merging.downloads(desk)
        merging.open_files(analysis)
    for text in session.kept(DECISION_FILES_SAID):
        st.markdown(markdown_escaped(text))
    if len(desk.decisions):
        with st.container(key="decide_effect"):
            _effect(analysis, desk.decisions)
        with st.expander(_("Apply them in Python"), icon=":material/code:"):
            _snippet(analysis, desk.decisions)


def _desk(summary: DumpSummary) -> Desk:
    """What is decided about this dump; empty for one that this session has not seen."""
    dump, desk = fingerprint(summary), session.kept(DESK)
    if desk is None or desk.dump != dump:
        desk = Desk(dump)
        session.keep(DESK, desk)
        session.keep(CARDS, ())
        session.keep(DECISION_FILES_SAID, ())
    return desk


def _rows(summary: DumpSummary, suspects: Suspects, ranks: Sequence[int]) -> list[list[Any]]:
    """What the browser knows of each row: its number, label, suggested class, name, and why it is here in a line."""
    columns = (suspects.row, suspects.target, suspects.suggested, suspects.prob, suspects.margin)
    names = [None] * len(suspects) if suspects.ids is None else suspects.ids.tolist()
    found = []
    for row, label, suggested, prob, margin, rank, name in zip(
        *(column.tolist() for column in columns), ranks, names, strict=True
    ):
        facts = [_("the label: {share}").format(share=_percent(prob)), _("rank {rank}").format(rank=rank)]
        if math.isnan(prob):
            facts[0] = _("its logits hold NaN")
        # p of the suggested class is p·e^−margin; where p is too small for a float, it is not known from these
        if suggested != label and prob > 0 and math.isfinite(margin):
            name, share = class_name(summary, suggested), _percent(prob * math.exp(-margin))
            facts.insert(0, _("model gives {name}: {share}").format(name=name, share=share))
        title = _("row {row}").format(row=row)
        title += "" if name is None else f" · {shown_text(str(name), MAX_NAME)}"
        found.append([row, label, suggested, title, " · ".join(facts)])
    return found


def _percent(share: float) -> str:
    """A probability for a card, to a hundredth of a percent; the whole story has all digits."""
    said = "< 0.01 %" if 0 < share < LEAST_SHARE else f"{100 * share:.2f} %"
    return said.replace(" ", "\N{NO-BREAK SPACE}")


def _take(analysis: DumpAnalysis) -> None:
    """Takes what the browser has sent; rows on the cards are known, others are looked up in the table of scores."""
    summary, desk, state = analysis.summary, session.kept(DESK), session.kept(GALLERY)
    if desk is None or not state:
        return
    suspects = analysis.selection(choice_of(summary), session.kept(rank_by_entry(summary))).suspects
    labels = dict(zip(suspects.row.tolist(), suspects.target.tolist(), strict=True))
    ids = {} if suspects.ids is None else dict(zip(suspects.row.tolist(), suspects.ids.tolist(), strict=True))
    labels |= {one.row: one.old for one in desk.decisions}
    ids |= {one.row: one.id for one in desk.decisions}

    def find(rows: set[int]) -> FoundRows:
        return FoundRows(labels, ids, None) if rows <= labels.keys() else analysis.find_rows(rows)

    message = state.get("decided")
    after = taken(desk, message, find, summary.classes)
    if after is not desk and desk.is_fresh and not desk.sequence:
        after = merging.with_kept_files(analysis, after, message.get("files"))
    session.keep(DESK, after)


def _take_page(dump: str) -> None:
    """Which cards the browser wants; `_decide` shows those that are among the suspects."""
    message: Any = (session.kept(GALLERY) or {}).get("page")
    try:
        rows = [row for row in message["rows"][: 2 * PAGE_CARDS] if type(row) is int]
        is_ours = message["dump"] == dump
    except (KeyError, TypeError):
        return
    if is_ours:
        session.keep(CARDS, tuple(dict.fromkeys(rows)))


def _look_at(dump: str, rows: int) -> None:
    """Shows the whole story of a row."""
    message = (session.kept(GALLERY) or {}).get("asked")
    row = message.get("row") if isinstance(message, dict) and message.get("dump") == dump else None
    if type(row) is int and 0 <= row < rows:
        session.keep(ROW, row)
        st.rerun()  # all of the page: the story lies outside the fragment


def _say_what_was_open() -> None:
    session.keep(FILE_BEFORE, True)
    st.rerun()  # all of the page: it is said where files are chosen


def _effect(analysis: DumpAnalysis, decisions: Decisions) -> None:
    """Loss, accuracy and gradient shares, before and after; of a large dump when it is asked for."""
    summary = analysis.summary
    changing = Decisions(tuple(one for one in decisions if one.decision in ("relabel", "drop")))
    is_quick = not analysis.size_bytes and summary.seconds < QUICK_SECONDS
    st.markdown(f"**{_('What your decisions change')}**")
    if not len(changing):
        st.caption(_("Nothing yet: only a relabelled or dropped row does."))
        return
    if not is_quick and not job_progress.is_asked_for(
        changing,
        EFFECT_OF,
        _("Count it"),
        icon=":material/calculate:",
        help=_("Reads these rows of the dump again."),
        key="decide_count",
    ):
        return
    try:
        # a packed file is read from its beginning
        size = 0 if is_quick else max(analysis.size_bytes, job_progress.LARGE_BYTES)
        work = partial(analysis.effect, changing)
        found = job_progress.run_and_wait(work, size_bytes=size, reads_upload=analysis.size_bytes > 0)
    except (InvalidDump, OSError) as error:
        st.error(_("The rows cannot be read again: {error}").format(error=markdown_escaped(str(error))))
        return
    before, after, digits = found.before, found.after, decimals()
    st.caption(
        _(
            "Relabelled: {relabelled}, dropped: {dropped}. Loss {loss} → {new_loss}, accuracy {right} → {new_right}."
        ).format(
            relabelled=found.relabelled,
            dropped=found.dropped,
            loss=number(before.loss, digits),
            new_loss=number(after.loss, digits) if after.rows else NOTHING,
            right=f"{before.accuracy:.2%}",
            new_right=f"{after.accuracy:.2%}" if after.rows else NOTHING,
        )
        + ("" if after.rows else " " + _("No row is left."))
    )
    with st.container(horizontal=True, gap="medium"):
        st.metric(
            _("rows counted"),
            str(after.rows),
            delta=_change(before.rows, after.rows, 0),
            delta_color="off",
            width="content",
        )
        st.metric(
            _("loss after (nats)"),
            number(after.loss, digits) if after.rows else NOTHING,
            delta=_change(before.loss, after.loss, digits),
            delta_color="inverse",
            width="content",
        )
        st.metric(
            _("accuracy after"),
            f"{after.accuracy:.2%}" if after.rows else NOTHING,
            delta=_change(100 * before.accuracy, 100 * after.accuracy, 2),
            width="content",
        )
    _shares(summary, before, after)


def _change(before: float, after: float, digits: int) -> str | None:
    """The difference for a metric, whose arrow looks for a plain minus; None where there is none."""
    if before == after or math.isnan(after - before):
        return None
    return difference(before, after, digits).replace(MINUS, "-")


def _shares(summary: DumpSummary, before: Whole, after: Whole) -> None:
    """The classes whose share of the gradient changes most, before and after."""
    change = pd.Series(after.class_share - before.class_share)
    most = change.abs().sort_values(ascending=False, kind="stable").index[:SHOWN_SHARES]
    with st.expander(_("Share of the gradient by label, before and after"), icon=":material/bar_chart:"):
        caption = _("The class whose share changes most stands first.")
        if len(most) < len(change):
            caption += " " + _("The first {shown} of {all} classes.").format(shown=len(most), all=len(change))
        st.caption(caption)
        st.dataframe(
            pd.DataFrame(
                {
                    _("label"): [class_name(summary, c) for c in most],
                    _("before, %"): 100 * before.class_share[most],
                    _("after, %"): 100 * after.class_share[most],
                }
            ),
            hide_index=True,
            key="decide_shares",
            alt=_("Shares of the gradient by label, the largest change first"),
        )


def _snippet(analysis: DumpAnalysis, decisions: Decisions) -> None:
    """Lines that apply the file of decisions to the file of the labels, as far as its kind and its names are known."""
    summary, request = analysis.summary, analysis.request
    given = request.logits if request.target is None else request.target
    first = given[0] if isinstance(given, list) else given
    file = first if isinstance(first, str) else str(first.name)  # the folder of the example is nobody's business
    is_array = file.lower().endswith((".npz", ".npy"))
    is_table = file.lower().removesuffix(".gz").endswith((".csv", ".parquet", ".pq"))
    kinds = {name: name for name in SNIPPETS}
    suited = replace(SNIPPET_KIND, default="NumPy" if is_array else SNIPPET_KIND.default)
    kind = segmented_choice(_("With"), kinds, suited)
    is_numpy = kind == "NumPy"
    labels = file if (is_array if is_numpy else is_table) else "labels.npy" if is_numpy else "labels.csv"
    column = summary.reading.target[0] if len(summary.reading.target) == 1 else "label"
    classes = sorted({c for one in decisions for c in (one.old, one.new) if c is not None})
    names = {c: summary.class_names[c] for c in classes} if summary.class_names else None
    st.caption(
        _(
            "Save the decisions as CSV beside it. Rows are counted from 0, as in the file of the labels. "
            "The result goes into a file of its own; yours stays as it is."
        )
    )
    if request.identity[0] == EXAMPLE:
        st.download_button(
            _("Save the example, {name}").format(name=file),
            Path(request.logits).read_bytes,
            file_name=file,
            mime="application/octet-stream",
            icon=":material/download:",
            on_click="ignore",
            key="decide_example",
        )
    code = snippet(kind, labels=labels, column=column, names=names)
    if is_numpy and is_table:
        code = _labels_of_table(file, column, summary) + code
    elif labels != file:
        st.caption(markdown_escaped(_("{name} stands for your labels, row by row.").format(name=labels)))
    st.code(code, language="python")


def _labels_of_table(file: str, column: str, summary: DumpSummary) -> str:
    """Lines that write the labels of a table into the array that the lines for NumPy read."""
    reader = "csv" if file.lower().removesuffix(".gz").endswith(".csv") else "parquet"
    lines = ["import numpy as np", "import pandas as pd", "", f"labels = pd.read_{reader}({file!a})[{column!a}]"]
    if summary.class_names and summary.classes <= LISTED_CLASSES:
        lines += [
            "if not pd.api.types.is_numeric_dtype(labels):  # names of classes",
            f"    labels = pd.Categorical(labels, categories={list(summary.class_names)!a}).codes",
        ]
    return "\n".join([*lines, 'np.save("labels.npy", labels)', "", ""])
