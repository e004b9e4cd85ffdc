"""Files of decisions: they are saved, opened and merged, and where people differ, one of them is chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import streamlit as st

from xent_core.dump import DumpSummary
from xent_core.dump.decisions import (
    MAX_DECISIONS,
    Decision,
    Decisions,
    Dispute,
    InvalidDecisions,
    Match,
    decisions_from_file,
    match,
    to_csv,
    to_json,
)
from xent_core.dump.decisions.decision_files import MAX_FILE_BYTES
from xent_core.dump.examples import shown_text
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.text import _, markdown_escaped, ngettext
from xent_ui.your_logits.analysis import DumpAnalysis
from xent_ui.your_logits.desk import (
    MAX_FILES,
    Desk,
    Says,
    differing_again,
    joined_by,
    open_again,
    open_disputes,
    opinions,
    resolved,
    resolved_rows,
    told_apart,
)
from xent_ui.your_logits.shown_examples import MAX_NAME, cards_of, class_name
from xent_ui.your_logits.state import DECISION_FILES_OPENED, DECISION_FILES_SAID, DESK

SHOWN_DISPUTES = 10
DISPUTE_PICTURE = 48  # pixels
MAX_KEPT_CHARACTERS = 200_000  # of other people's decisions, which a tab keeps and sends back after a reload
UPLOAD_MB = MAX_FILE_BYTES // 2**20


def downloads(desk: Desk) -> None:
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


def open_files(analysis: DumpAnalysis) -> None:
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


def files_to_keep(desk: Desk) -> dict[str, Any]:
    """What files say of the rows that are or were disputed, for the tab to keep over a reload; nothing if too long."""
    files = {name: to_csv(decisions) for name, decisions in opinions(desk).items()}
    if not files or sum(map(len, files.values())) > MAX_KEPT_CHARACTERS:
        return {}
    return {"files": files, "settled": [[row, *says] for row, says in desk.settled.items()]}


def with_kept_files(analysis: DumpAnalysis, desk: Desk, kept: Any) -> Desk:
    """The desk with what files said before a reload, as the tab kept it; what is none of ours changes nothing."""
    files, settled = (kept.get("files"), kept.get("settled")) if isinstance(kept, dict) else (None, None)
    if not isinstance(files, dict) or len(files) > MAX_FILES:
        return desk
    try:
        read = {
            shown_text(str(name), MAX_NAME): _matched(analysis, decisions_from_file(str(text).encode())).decisions
            for name, text in files.items()
        }
        return differing_again(desk, read, dict(_settled(settled))) if read else desk
    except (InvalidDecisions, UnicodeEncodeError):
        return desk


def _settled(kept: Any) -> Iterator[tuple[int, Says]]:
    for one in kept[:MAX_DECISIONS] if isinstance(kept, list) else ():
        if isinstance(one, list) and len(one) == 3:
            row, decision, new = one
            if type(row) is int and isinstance(decision, str) and (new is None or type(new) is int):
                yield row, (decision, new)


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
    return match(
        decisions,
        rows_of_ids=known.rows_of_ids,
        labels=known.labels,
        classes=analysis.summary.classes,
        repeated=known.repeated,
        ids=known.ids,
    )


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
        (found.ambiguous, _("several rows have its name, or an earlier decision is about its row")),
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


def disputes(analysis: DumpAnalysis, desk: Desk) -> None:
    """The rows on which not all say the same, with what each says, and the choice between them."""
    differing = open_disputes(desk)
    if count := len(resolved_rows(desk)):
        words = ngettext("Ask again about {count} resolved row", "Ask again about {count} resolved rows", count)
        label = words.format(count=count)
        st.button(label, key="disputes_again", icon=":material/settings_backup_restore:", on_click=_ask_again)
    if not differing:
        return
    with st.container(border=True, key="decide_disputes"):
        words = ngettext(
            "The decisions about {count} row differ. Until you choose, yours stands.",
            "The decisions about {count} rows differ. Until you choose, yours stands.",
            len(differing),
        )
        st.markdown(f"**{words.format(count=len(differing))}**")
        if not files_to_keep(desk):
            st.caption(_("They are too many for this tab to keep: after a reload, open the files again."))
        every = {one.row for one in differing}
        with st.container(horizontal=True):
            st.button(_("All mine"), key="disputes_mine", on_click=_resolve, args=(every, None))
            for place, name in enumerate(desk.files):
                count = sum(name in one.others for one in differing)
                if count:
                    st.button(
                        markdown_escaped(_("All of {name} ({count})").format(name=name, count=count)),
                        key=f"disputes_file_{place}",
                        on_click=_resolve,
                        args=(every, name),
                    )
        shown = differing[:SHOWN_DISPUTES]
        cards = cards_of(analysis, [one.row for one in shown])
        for one in shown:
            _dispute(one, desk, analysis.summary, cards[one.row])
        if len(differing) > SHOWN_DISPUTES:
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
        words = _("row {row}, label {label}:").format(row=row, label=class_name(summary, label))
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


def _ask_again() -> None:
    desk = session.kept(DESK)
    if desk is not None:
        session.keep(DESK, open_again(desk))


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
        return _("relabel as {name}").format(name=class_name(summary, decision.new))
    return {"keep": _("keep"), "drop": _("drop"), "unsure": _("unsure")}[decision.decision]
