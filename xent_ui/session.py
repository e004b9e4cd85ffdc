"""The state of one visit: the only reader and writer of st.session_state and st.query_params.

One Sheet is the truth. Editors and options start from it and write into it.
A revision in the key of each editor makes the browser forget its own edits whenever the program replaces their table.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from typing import Any

import streamlit as st

from xent_core import PRESETS
from xent_ui.sheet import InvalidSheet, Sheet, sheet_of_preset
from xent_ui.text import _

FIRST_PRESET = "worked-batch"
MAX_UNDO = 100
EDITORS = ("logits", "target", "options")


@dataclass
class Visit:
    """What one visitor has on the table."""

    sheet: Sheet
    start: Sheet
    preset: str
    link: str
    undo: list[Sheet] = field(default_factory=list)
    revision: dict[str, int] = field(default_factory=lambda: dict.fromkeys(EDITORS, 0))
    base: dict[str, Sheet] = field(default_factory=dict)
    page: str = ""
    begun: set[str] = field(default_factory=set)
    refused: list[str] = field(default_factory=list)
    token: str = field(default_factory=lambda: secrets.token_hex(8))


def visit() -> Visit:
    """The current visit; a first call opens the preset that the link names."""
    if "visit" not in st.session_state:
        link = st.query_params.get("preset", "")
        name = link if link in PRESETS else FIRST_PRESET
        sheet = sheet_of_preset(PRESETS[name])
        st.session_state.visit = Visit(sheet=sheet, start=sheet, preset=name, link=link)
        if link and link not in PRESETS:
            refuse(
                _("The link names the preset {link!r}, which does not exist. This is {name}.").format(
                    link=link[:40], name=FIRST_PRESET
                )
            )
    result: Visit = st.session_state.visit
    return result


def refuse(message: str) -> None:
    """Say what was not taken, until the next change."""
    st.session_state.visit.refused.append(message)


def edit(sheet: Sheet) -> None:
    """Take what an editor already shows."""
    current = visit()
    if sheet != current.sheet:
        current.refused.clear()
        current.undo = [*current.undo[-MAX_UNDO:], current.sheet]
        current.sheet = sheet


def redraw(*editors: str) -> None:
    """Let these editors start anew from the sheet, their own edits forgotten."""
    for editor in editors:
        visit().revision[editor] += 1


def put(sheet: Sheet) -> None:
    """Replace everything on the table; undo brings the former back."""
    visit().refused.clear()
    edit(sheet)
    redraw(*EDITORS)


def undo() -> None:
    """Back to the table before the last change."""
    current = visit()
    current.refused.clear()
    if current.undo:
        current.sheet = current.undo.pop()
        redraw(*EDITORS)


def reset() -> None:
    """Back to what this visit or preset began with."""
    put(visit().start)


def open_preset(name: str) -> None:
    """Put a preset on the table."""
    current = visit()
    sheet = sheet_of_preset(PRESETS[name])
    current.preset, current.start = name, sheet
    put(sheet)


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


def option_key(name: str) -> str:
    """The widget key of an option in its present revision."""
    return f"{name}_{visit().revision['options']}"


def enter(page: str) -> None:
    """Note which page is about to be drawn."""
    current = visit()
    if current.page != page:
        current.page = page
        current.begun.clear()


def begin(key: str, value: Any) -> None:
    """Give a widget its first value, if it has none.

    The same widget on another page is a new one to Streamlit, which gives it no value of the old one by itself.
    """
    begun = visit().begun
    if key not in begun:
        st.session_state[key] = st.session_state.get(key, value)
        begun.add(key)


def keep(key: str, value: Any) -> None:
    """Give a widget a value before it is drawn, or remember something that outlives its widgets."""
    st.session_state[key] = value


def kept(key: str, default: Any = None) -> Any:
    """What a widget holds or was kept, or the default."""
    return st.session_state.get(key, default)


def cell_edits(editor: str) -> list[tuple[int, str, Any]] | None:
    """What a table holds beyond its base, as (row, column, value); rows and columns may not exist.

    A cell that is typed back to what the base holds is no edit, so edits go on top of `editor_base`, not of the sheet.
    None if the table is not on screen yet.
    """
    state = st.session_state.get(editor_key(editor))
    if state is None:
        return None
    return [
        (int(row), str(column), value) for row, cells in state["edited_rows"].items() for column, value in cells.items()
    ]


def saved(visit: Visit) -> str:
    """What the browser's tab keeps of this visit, to survive a reload: the preset it began with, and the sheet."""
    return f"{visit.preset}\n{visit.sheet.to_json()}"


def restore(text: str) -> None:
    """Take back what the tab kept; what cannot be read is left out."""
    preset, _newline, sheet = text.partition("\n")
    try:
        put(Sheet.from_json(sheet))
    except InvalidSheet:
        refuse(_("What this tab had kept could not be read, so this is a fresh start."))
        return
    if preset in PRESETS:
        visit().preset, visit().start = preset, sheet_of_preset(PRESETS[preset])
