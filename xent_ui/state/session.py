"""The state of one visitor's session: the only reader and writer of st.session_state and st.query_params.

One Sheet is the truth. Editors and options start from it and write into it.
The widget key of each editor holds a revision number: a new number is a new widget, without the browser's former edits.
"""

from __future__ import annotations

import secrets
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import streamlit as st

from xent_core.codec import TokenTooLong
from xent_core.presets import PRESETS
from xent_ui.server.limits import limits
from xent_ui.state.kept import Kept
from xent_ui.state.link import MAX_QUERY, Link, link_of, link_of_query, link_to, opening_of
from xent_ui.state.sheet import InvalidSheet, Sheet, sheet_of_preset
from xent_ui.streamlit_internals import forget_session_values, run_context
from xent_ui.text import _

REDRAWN = ("logits", "target", "options")  # what is drawn anew when the sheet is another one: editors, and options
SHOWN_WIDGETS = "shown_widgets"  # what a server for strangers knows of the widgets on screen
T = TypeVar("T")
_CELL_TYPES = (str, bool, int, float, type(None))


@dataclass(frozen=True)
class Start:
    """What Reset goes back to: the table, the preset that it is ("" if none), and what a reload begins with again."""

    sheet: Sheet
    preset: str
    opened: Link


@dataclass(frozen=True)
class Replaced:
    """A table that a demonstration or a preset took the place of, its start, and words for what took its place."""

    sheet: Sheet
    start: Start
    words: str


@dataclass
class Visit:
    """The state of one visitor: the table, its undo list, the link that opened it, and the page on screen.

    Attributes:
      pinned: the table whose options Compare settings shows as A; None before one is pinned.
      start, preset: what Reset goes back to, and the preset that it is; "" if it is none.
      opened: what the visit was opened with, and so what makes `start` again.
      undo, undo_starts: the tables before the last changes, and for each what Reset went back to.
      replaced: the table that the present one took the place of, until the next change; None if it took none's.
      link: the query of the address that the visitor opened; the tab keeps one table for each.
      complaints: what of the link could not be taken.
      page, pages: the page on screen, and the titles of all, by the last part of their addresses.
      goes_home: whether the page of the link is to be shown in place of this one.
      failures: where a page has failed.
    """

    sheet: Sheet
    start: Sheet
    preset: str
    opened: Link
    link: str
    pinned: Sheet | None = None
    undo: list[Sheet] = field(default_factory=list)
    undo_starts: list[Start] = field(default_factory=list)
    replaced: Replaced | None = None
    revision: dict[str, int] = field(default_factory=lambda: dict.fromkeys(REDRAWN, 0))
    base: dict[str, Sheet] = field(default_factory=dict)
    page: str = ""
    pages: dict[str, str] = field(default_factory=dict)
    begun: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    goes_home: bool = False
    failures: set[str] = field(default_factory=set)
    token: str = field(default_factory=lambda: secrets.token_hex(8))


def visit() -> Visit:
    """The current visit; a first call opens what the link asks for."""
    if "visit" not in st.session_state:
        link = link_of(st.query_params.to_dict())
        opening = opening_of(link)
        st.session_state.visit = Visit(
            sheet=opening.sheet,
            start=opening.sheet,
            preset=opening.preset,
            opened=link,
            link=link.query(),
            complaints=list(opening.problems),
        )
        for key, value in link.widgets:
            st.session_state[key] = value
    result: Visit = st.session_state.visit
    return result


def refuse(message: str) -> None:
    """Show on the page why an input was refused, until the table changes."""
    st.session_state.visit.refused.append(message)


def edit(sheet: Sheet) -> None:
    """Replace the table by what an editor already shows; the former goes onto the undo list."""
    _edit(sheet, _start())


def _edit(sheet: Sheet, former_start: Start) -> None:
    current = visit()
    if sheet != current.sheet:
        current.refused.clear()
        current.complaints.clear()
        current.replaced = None
        kept = limits().undo
        current.undo = [*current.undo, current.sheet][-kept:]
        current.undo_starts = [*current.undo_starts, former_start][-kept:]
        current.sheet = sheet


def _start() -> Start:
    current = visit()
    return Start(current.start, current.preset, current.opened)


def _set_start(start: Start) -> None:
    current = visit()
    current.start, current.preset, current.opened = start.sheet, start.preset, start.opened


def redraw(*editors: str) -> None:
    """Draw these editors anew from the sheet, without the edits that the browser holds."""
    for editor in editors:
        visit().revision[editor] += 1


def put(sheet: Sheet) -> None:
    """Replace everything on the table; undo brings the former back."""
    _put(sheet, _start())


def _put(sheet: Sheet, former_start: Start) -> None:
    visit().refused.clear()
    _edit(sheet, former_start)
    redraw(*REDRAWN)


def undo() -> None:
    """Back to the table before the last change, and to what Reset went back to then."""
    current = visit()
    current.refused.clear()
    current.replaced = None
    if current.undo:
        current.sheet = current.undo.pop()
        _set_start(current.undo_starts.pop())
        redraw(*REDRAWN)


def reset() -> None:
    """Back to what this visit or preset began with."""
    put(visit().start)


def open_preset(name: str) -> None:
    """Replace the table by a preset; a table of the visitor's own is offered back."""
    sheet = sheet_of_preset(PRESETS[name])
    opened = replace(visit().opened, preset=name, token="", class_names=(), row_names=())
    _begin_with(Start(sheet, name, opened), _(PRESETS[name].title), is_own=not untouched_preset())


def open_sheet(sheet: Sheet, title: str) -> None:
    """Replace the table by one from a file or another page; the former is offered back.

    Args: title: what takes its place, in words.
    """
    opened = visit().opened
    # a sheet too large for a link is not what a reload begins with again
    with suppress(InvalidSheet, TokenTooLong):
        table = link_to(sheet)
        opened = replace(
            opened,
            preset="",
            token=table.token,
            class_names=table.class_names,
            row_names=table.row_names,
            form=table.form,
        )
    _begin_with(Start(sheet, "", opened), title, is_own=True)


def _begin_with(start: Start, title: str, *, is_own: bool) -> None:
    current, former = visit(), Replaced(visit().sheet, _start(), title)
    _set_start(start)
    _put(start.sheet, former.start)
    if is_own and former.sheet != current.sheet:
        current.replaced = former


def demonstrate(sheet: Sheet, title: str) -> None:
    """Change the table for a demonstration, whose title says what it shows; the former is offered back."""
    current, former = visit(), Replaced(visit().sheet, _start(), title)
    put(sheet)
    if former.sheet != current.sheet:
        current.replaced = former


def bring_back() -> None:
    """The table that was replaced, with what Reset went back to; undo takes that back."""
    replaced = visit().replaced
    if replaced is not None:
        former = _start()
        _set_start(replaced.start)
        _put(replaced.sheet, former)
        visit().replaced = None


def was_changed() -> bool:
    """Whether the visitor has changed anything on the table."""
    current = visit()
    return bool(current.undo) or current.sheet != current.start


def untouched_preset() -> str:
    """The preset that is on the table as it was opened; "" if the visitor has changed it, or brought another table."""
    current = visit()
    return current.preset if current.sheet == current.start else ""


def editor_key(editor: str) -> str:
    """The widget key of an editor in its present revision."""
    return f"{editor}_editor_{visit().revision[editor]}"


def editor_base(editor: str) -> Sheet:
    """The Sheet from which an editor counts its edits: as it was when the editor was last drawn anew."""
    current = visit()
    key = editor_key(editor)
    if key not in st.session_state or key not in current.base:
        stale = [old for old in current.base if old.startswith(f"{editor}_editor_")]
        for old in stale:
            del current.base[old]
        current.base[key] = current.sheet
    return current.base[key]


def in_revision(entry: Kept[T]) -> Kept[T]:
    """The entry under a name that changes whenever the options are redrawn, so that their widgets start anew."""
    return replace(entry, name=f"{entry.name}_{visit().revision['options']}")


def home() -> str:
    """The page that the link opens, as it names it: the one shown at the root."""
    return visit().opened.page


def enter(page: str, titles: dict[str, str]) -> None:
    """Note which page is about to be drawn, and which there are; complain if the link asked for none of them."""
    current = visit()
    wanted = current.opened.page
    if not current.pages and wanted and wanted not in titles:
        current.complaints.append(
            _("The link names the page {page!r}, which does not exist. This is {title}.").format(
                page=wanted[:40], title=titles[page]
            )
        )
    current.pages = titles
    if current.page != page:
        current.page = page
        current.begun.clear()


def goes_home() -> bool:
    """Whether to switch to the page of the link now; true once."""
    current = visit()
    answer, current.goes_home = current.goes_home, False
    return answer and home() in current.pages


def root() -> str:
    """The address of the root, as the visitor's browser knows it; "" where it is not known."""
    url = (st.context.url or "").rstrip("/")
    if _last_part(url) in visit().pages:
        url = url.rpartition("/")[0]
    return url + "/" if url else ""


def _last_part(url: str) -> str:
    return url.rstrip("/").rpartition("/")[2]


def is_locked(control: str) -> bool:
    """Whether the link locks this control: it is shown, but cannot be used."""
    return control in visit().opened.locked


def is_hidden(control: str) -> bool:
    """Whether the link hides this control."""
    return control in visit().opened.hidden


def begin(entry: Kept[T], value: T | None = None) -> None:
    """Give a widget its first value, if it has none: this one, or the default of its entry.

    The same widget on another page is a new one to Streamlit, which gives it no value of the old one by itself.
    """
    begun = visit().begun
    if entry.name not in begun:
        first = entry.default if value is None else value
        st.session_state[entry.name] = st.session_state.get(entry.name, first)
        begun.add(entry.name)


def keep(entry: Kept[T], value: T) -> None:
    """Set the value of a widget before it is drawn, or keep a value that has no widget."""
    st.session_state[entry.name] = value


def kept(entry: Kept[T]) -> T:
    """The value of a widget, or what was kept under the name; the default where there is none."""
    value: T = st.session_state.get(entry.name, entry.default)
    return value


def cell_edits(editor: str, *, rows: int, columns: Collection[str]) -> list[tuple[int, str, Any]] | None:
    """The edits of an editor of so many rows since it was last drawn anew, as (row, column, value).

    A cell that is typed back to what the base holds is no edit, so edits go on top of `editor_base`, not of the sheet.
    None if the table is not on screen yet, or if its state is none that our table sends: then it is drawn anew.
    """
    if editor_key(editor) not in st.session_state:
        return None
    try:
        state = st.session_state[editor_key(editor)]
        edits = [(row, column, value) for row, cells in state["edited_rows"].items() for column, value in cells.items()]
        is_ours = (
            not state.get("added_rows")
            and not state.get("deleted_rows")
            and all(
                type(row) is int and 0 <= row < rows and column in columns and isinstance(value, _CELL_TYPES)
                for row, column, value in edits
            )
        )
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        is_ours = False
    if not is_ours:
        refuse(_("What came from the table could not be read. It starts anew, and keeps its former values."))
        redraw(editor)
        return None
    return edits


def has_failed_before(location: str) -> bool:
    """Whether a page of this visit has failed at this line of code already; notes that it has now."""
    current = st.session_state.get("visit")
    if current is None:
        return False
    answer = location in current.failures
    current.failures.add(location)
    return answer


def forget_widgets() -> None:
    """Reset every widget to what the table says, after the browser sent one a value that makes every run fail."""
    current = st.session_state.get("visit")
    context = run_context()
    if context is not None and current is not None:
        forget_session_values(context.session_state, but=("visit", SHOWN_WIDGETS))
        current.begun.clear()
        redraw(*REDRAWN)


def saved(visit: Visit) -> str:
    """The text that the browser's tab keeps over a reload: the link, what it opened, the sheet, the pinned sheet."""
    lines = [visit.link, visit.opened.query(), visit.sheet.to_json()]
    return "\n".join(lines if visit.pinned is None else [*lines, visit.pinned.to_json()])


def restore(text: str) -> None:
    """Restore the state from the text that the tab kept; what cannot be read is left out."""
    link, opened, sheet, pinned, *_others = [*text.split("\n"), "", "", ""]
    try:
        put(Sheet.from_json(sheet))
    except InvalidSheet:
        refuse(_("What this tab had kept could not be read, so this is a fresh start."))
        return
    current = visit()
    with suppress(InvalidSheet):
        current.pinned = Sheet.from_json(pinned)
    current.link, current.opened = link[:MAX_QUERY], link_of_query(opened)
    opening = opening_of(current.opened)
    current.start, current.preset = opening.sheet, opening.preset
    # at the root, the page is the one that the link opens, which this session did not know yet
    current.goes_home = bool(home()) and _last_part(st.context.url or "") not in current.pages
