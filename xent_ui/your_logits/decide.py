"""Decide: the suspects as cards, what is decided about them, what that changes, and how it is taken along."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Callable, Sequence
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
    Decision,
    Decisions,
    Dispute,
    FoundRows,
    InvalidDecisions,
    Match,
    Whole,
    decisions_from_file,
    match,
    snippet,
    to_csv,
    to_json,
)
from xent_core.dump.decisions.decision_files import MAX_FILE_BYTES
from xent_core.dump.examples import shown_text
from xent_core.dump.ranking import SUSPECTS
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.table.options import decimals
from xent_ui.text import MINUS, _, difference, markdown_escaped, ngettext, number
from xent_ui.widgets import job_progress
from xent_ui.widgets.segments import segmented_choice
from xent_ui.your_logits.analysis import DumpAnalysis
from xent_ui.your_logits.choice import choice_of
from xent_ui.your_logits.desk import Desk, fingerprint, joined_by, open_disputes, resolved, taken, told_apart
from xent_ui.your_logits.gallery import CARDS_ID, PAGE_CARDS, gallery
from xent_ui.your_logits.state import (
    CARDS,
    DECISION_FILES_OPENED,
    DECISION_FILES_SAID,
    DESK,
    EFFECT_OF,
    EXAMPLE,
    GALLERY,
    ROW,
    SNIPPET_KIND,
    rank_by_entry,
)

LISTED_CLASSES = 2_000  # more are chosen by their number
MAX_NAME = 80  # characters of a class or an example on a card
QUICK_SECONDS = 1.0  # what was counted within it is counted again at each decision
LEAST_SHARE = 1e-4
SHOWN_DISPUTES = 10
DISPUTE_PICTURE = 48  # pixels
SHOWN_SHARES = 12
UPLOAD_MB = MAX_FILE_BYTES // 2**20


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
        + ("" if found.rows <= SUSPECTS else " " + _("These are the first {count} rows.").format(count=SUSPECTS))
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
        "entries": [[one.row, one.decision, one.new, one.time] for one in desk.start],
        "rows": _rows(summary, suspects, found.rank.tolist()),
        "names": [_class(summary, c) for c in range(summary.classes)]
        if listed
        else {str(c): _class(summary, c) for c in sorted(mentioned)},
        "all_names": listed,
        "classes": summary.classes,
        "most": MAX_DECISIONS,
    }
    gallery(
        data,
        answer={"generation": desk.generation, "sequence": desk.sequence},
        cards=_cards(analysis, wanted),
        on_decided=partial(_take, analysis),
        on_page=partial(_take_page, desk.dump),
        on_asked=partial(_look_at, desk.dump, summary.rows),
    )
    _disputes(analysis, desk)
    with st.container(horizontal=True, vertical_alignment="center", key="decide_files"):
        _downloads(desk)
        _open_files(analysis)
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


def _class(summary: DumpSummary, index: int) -> str:
    return shown_text(summary.name_of(index), MAX_NAME)


def _rows(summary: DumpSummary, suspects: Suspects, ranks: Sequence[int]) -> list[list[Any]]:
    """What the browser knows of each row: its number, label, suggested class, name, and why it is here in a line."""
    columns = (suspects.row, suspects.target, suspects.suggested, suspects.prob, suspects.margin)
    names = [None] * len(suspects) if suspects.ids is None else suspects.ids.tolist()
    found = []
    for row, label, suggested, prob, margin, rank, name in zip(
        *(column.tolist() for column in columns), ranks, names, strict=True
    ):
        facts = [_("label {share}").format(share=_percent(prob)), _("rank {rank}").format(rank=rank)]
        # p of the suggested class is p·e^−margin; where p is too small for a float, it is not known from these
        if suggested != label and prob > 0 and math.isfinite(margin):
            other = _("suggested {share}").format(share=_percent(prob * math.exp(-margin)))
            facts.insert(0, other)
        title = _("row {row}").format(row=row)
        title += "" if name is None else f" · {shown_text(str(name), MAX_NAME)}"
        found.append([row, label, suggested, title, " · ".join(facts)])
    return found


def _percent(share: float) -> str:
    """A probability for a card, to a hundredth of a percent; the whole story has all digits."""
    return "< 0.01 %" if 0 < share < LEAST_SHARE else f"{100 * share:.2f} %"


def _cards(analysis: DumpAnalysis, rows: Sequence[int]) -> dict[int, dict[str, Any]]:
    """Pictures and texts of these rows, if the dump has any."""
    if not rows or not analysis.summary.reading.shows_examples:
        return {row: {} for row in rows}
    try:
        size = 0 if analysis.has_shown(rows) else analysis.size_bytes
        work = partial(analysis.show, rows)
        examples = job_progress.run_and_wait(work, size_bytes=size, reads_upload=size > 0)
    except (InvalidDump, OSError) as error:
        st.error(_("The examples cannot be read again: {error}").format(error=markdown_escaped(str(error))))
        return {row: {} for row in rows}
    cards = {}
    for one in examples:
        image = "" if one.image is None else f"data:image/png;base64,{b64encode(one.image).decode()}"
        written = [*([one.text] if one.text else []), *(f"{name}: {value}" for name, value in one.columns.items())]
        cards[one.row] = {"image": image, "text": " · ".join(written), "problem": one.problem}
    return cards


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

    session.keep(DESK, taken(desk, state.get("decided"), find, summary.classes))


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


def _downloads(desk: Desk) -> None:
    count = len(desk.decisions)
    for kind, write, mime in (("CSV", to_csv, "text/csv"), ("JSON", to_json, "application/json")):
        st.download_button(
            _("Save as {kind} ({count})").format(count=count, kind=kind),
            partial(_file_of, write, desk.decisions),
            file_name=f"decisions.{kind.lower()}",
            mime=mime,
            icon=":material/download:",
            on_click="ignore",
            disabled=not count,
            key=f"decisions_{kind.lower()}",
        )


def _file_of(write: Callable[[Decisions], str], decisions: Decisions) -> bytes:
    """A lone surrogate, which no file can hold, becomes what one can read."""
    return write(decisions).encode("utf-8", "backslashreplace")


def _open_files(analysis: DumpAnalysis) -> None:
    with st.popover(_("Open or merge decisions"), icon=":material/merge:"):
        files = Kept[Any](f"decision_files_{session.kept(DECISION_FILES_OPENED)}", None)
        st.file_uploader(
            _("Files of decisions, yours or another person's: CSV, JSON"),
            type=["csv", "json"],
            max_upload_size=UPLOAD_MB,
            accept_multiple_files=True,
            key=files.name,
            on_change=partial(_take_files, analysis, files),
            help=_("Matched by the names of the rows, else by their numbers. Where people differ, you choose."),
        )


def _take_files(analysis: DumpAnalysis, files: Kept[Any]) -> None:
    """Joins the decisions of the files with what is decided; a file that cannot be read changes nothing."""
    desk = session.kept(DESK)
    if desk is None:
        return
    said: list[str] = []
    read: list[tuple[str, Match, int]] = []
    for file in session.kept(files) or ():
        name = shown_text(file.name, MAX_NAME)
        try:
            decisions = decisions_from_file(file.getvalue())
            read.append((name, _matched(analysis, decisions), len(decisions)))
        except InvalidDecisions as error:
            said.append(f"{name}: {error}")
    named = told_apart(desk, [(name, found.decisions) for name, found, _count in read])
    try:
        desk = joined_by(desk, named)
    except InvalidDecisions as error:
        said.append(f"{', '.join(named)}: {error}")
    else:
        disputes = open_disputes(desk)
        for name, (_name, found, count) in zip(named, read, strict=True):
            said.append(f"{name}: {_said_of(found, count, sum(name in one.others for one in disputes))}")
    session.keep(DESK, desk)
    session.keep(DECISION_FILES_SAID, tuple(said))
    session.keep(DECISION_FILES_OPENED, session.kept(DECISION_FILES_OPENED) + 1)


def _matched(analysis: DumpAnalysis, decisions: Decisions) -> Match:
    rows, ids = {one.row for one in decisions}, {one.id for one in decisions if one.id}
    known = analysis.find_rows(rows, ids)
    return match(decisions, rows_of_ids=known.rows_of_ids, labels=known.labels, classes=analysis.summary.classes)


def _said_of(found: Match, count: int, disputed: int) -> str:
    """What became of the decisions of a file, each kind that was left out with its first row."""
    taken_words = ngettext("{count} of {all} decision taken.", "{count} of {all} decisions taken.", count)
    parts = [taken_words.format(count=len(found.decisions) - disputed, all=count)]
    if disputed:
        words = ngettext(
            "{count} differs from yours or from another file's: choose below the cards.",
            "{count} differ from yours or from another file's: choose below the cards.",
            disputed,
        )
        parts.append(words.format(count=disputed))
    if found.by_row:
        words = ngettext(
            "{count} was matched by the number of the row.",
            "{count} were matched by the number of the row.",
            found.by_row,
        )
        parts.append(words.format(count=found.by_row))
    reasons = (
        (found.missing, _("the row is not in this dump, or is ignored")),
        (found.other_label, _("the row has another label here than was decided about")),
        (found.no_class, _("this dump does not have the new class")),
    )
    for left_out, reason in reasons:
        if left_out:
            words = ngettext(
                "{count} left out, since {reason}: {first}.",
                "{count} left out, since {reason}; the first of them: {first}.",
                len(left_out),
            )
            first = shown_text(left_out[0].id, MAX_NAME) or _("row {row}").format(row=left_out[0].row)
            parts.append(words.format(count=len(left_out), reason=reason, first=first))
    return " ".join(parts)


def _disputes(analysis: DumpAnalysis, desk: Desk) -> None:
    """The rows on which not all say the same, with what each says, and the choice between them."""
    disputes = open_disputes(desk)
    if not disputes:
        return
    with st.container(border=True, key="decide_disputes"):
        words = ngettext(
            "The decisions about {count} row differ. Until you choose, yours stands.",
            "The decisions about {count} rows differ. Until you choose, yours stands.",
            len(disputes),
        )
        st.markdown(f"**{words.format(count=len(disputes))}**")
        every = {one.row for one in disputes}
        with st.container(horizontal=True):
            st.button(_("All mine"), key="disputes_mine", on_click=_resolve, args=(every, None))
            for place, name in enumerate(desk.files):
                count = sum(name in one.others for one in disputes)
                if count:
                    st.button(
                        markdown_escaped(_("All of {name} ({count})").format(name=name, count=count)),
                        key=f"disputes_file_{place}",
                        on_click=_resolve,
                        args=(every, name),
                    )
        shown = disputes[:SHOWN_DISPUTES]
        cards = _cards(analysis, [one.row for one in shown])
        for one in shown:
            _dispute(one, desk, analysis.summary, cards[one.row])
        if len(disputes) > SHOWN_DISPUTES:
            st.caption(_("The first {count} are shown.").format(count=SHOWN_DISPUTES))


def _dispute(dispute: Dispute, desk: Desk, summary: DumpSummary, card: dict[str, Any]) -> None:
    """A row on which not all say the same: what it is, and a button for each opinion."""
    row = dispute.row
    opinions: list[tuple[str, str | None, str, Decision | None]] = [("mine", None, _("mine"), dispute.mine)]
    places = {name: place for place, name in enumerate(desk.files)}
    opinions += [(f"file_{places[name]}", name, name, one) for name, one in dispute.others.items()]
    label = next(one.old for *_rest, one in opinions if one is not None)
    with st.container(horizontal=True, vertical_alignment="center"):
        if card.get("image"):
            st.image(card["image"], width=DISPUTE_PICTURE, alt=_("Picture of row {row}").format(row=row))
        words = _("row {row}, label {label}:").format(row=row, label=_class(summary, label))
        if card.get("text"):
            words = f"{card['text']} · {words}"
        st.markdown(markdown_escaped(words), width="content")
        for key, name, who, decision in opinions:
            said = _("undecided") if decision is None else _words_of(decision, summary)
            st.button(
                markdown_escaped(f"{who}: {said}"),
                key=f"dispute_{row}_{key}",
                on_click=_resolve,
                args=({row}, name),
            )


def _resolve(rows: set[int], name: str | None) -> None:
    desk = session.kept(DESK)
    if desk is None:
        return
    try:
        session.keep(DESK, resolved(desk, rows, name))
    except InvalidDecisions as error:
        session.keep(DECISION_FILES_SAID, (str(error),))


def _words_of(decision: Decision, summary: DumpSummary) -> str:
    if decision.new is not None:
        return _("relabel as {name}").format(name=_class(summary, decision.new))
    return {"keep": _("keep"), "drop": _("drop"), "unsure": _("unsure")}[decision.decision]


def _effect(analysis: DumpAnalysis, decisions: Decisions) -> None:
    """Loss, accuracy and gradient shares, before and after; of a large dump when it is asked for."""
    summary = analysis.summary
    changing = Decisions(tuple(one for one in decisions if one.decision in ("relabel", "drop")))
    is_quick = not analysis.size_bytes and summary.seconds < QUICK_SECONDS
    st.markdown(f"**{_('What your decisions change')}**")
    if not len(changing):
        st.caption(_("Nothing yet: only a relabelled or dropped row does."))
        return
    if not is_quick and session.kept(EFFECT_OF) != changing:
        st.button(
            _("Count it"),
            icon=":material/calculate:",
            help=_("Reads these rows of the dump again."),
            key="decide_count",
            on_click=session.keep,
            args=(EFFECT_OF, changing),
        )
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
            new_loss=number(after.loss, digits),
            right=f"{before.accuracy:.2%}",
            new_right=f"{after.accuracy:.2%}",
        )
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
            number(after.loss, digits),
            delta=_change(before.loss, after.loss, digits),
            delta_color="inverse",
            width="content",
        )
        st.metric(
            _("accuracy after"),
            f"{after.accuracy:.2%}",
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
                    _("label"): [_class(summary, c) for c in most],
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
    st.code(snippet(kind, labels=labels, column=column, names=names), language="python")
