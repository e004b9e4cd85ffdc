"""Share and Script, which every page has, and what a page shows of the link that opened it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import streamlit as st

from xent_core.codec import TokenTooLong, to_json, to_script
from xent_core.presets import PRESETS
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.link import HIDEABLE, LOCKABLE, MAX_NOTE, WIDGETS, Link, link_to
from xent_ui.state.sheet import InvalidSheet
from xent_ui.text import _, markdown_escaped


def frame() -> None:
    """What every page has around it: Share and Script, the sender's line, and what the link could not open."""
    current = session.visit()
    if not session.is_hidden("share"):
        with st.sidebar, st.container(key="share"):
            _button()
            _script_button()
    if current.opened.note:
        with st.container(key="note"):
            st.info(markdown_escaped(current.opened.note), icon=":material/school:")
    with st.container():  # there even without any, so that the page keeps its place when they go
        for message in current.complaints:
            st.warning(markdown_escaped(message), icon=":material/link_off:")
        if current.replaced is not None:
            _replaced_line(current.replaced)


def _replaced_line(replaced: session.Replaced) -> None:
    """What took the place of which table, and the way back to it."""
    former = _(PRESETS[replaced.start.preset].title) if replaced.start.preset else _("your table")
    if replaced.start.preset and replaced.sheet != replaced.start.sheet:
        former = _("{title}, changed").format(title=former)
    words = _("“{title}” is on the table now, in place of “{former}”.")
    with st.container(horizontal=True, vertical_alignment="center", key="replaced"):
        shown = words.format(title=markdown_escaped(replaced.words), former=markdown_escaped(former))
        st.markdown(f":material/swap_horiz: {shown}", width="content")
        if not session.is_locked("tools"):
            st.button(_("Bring it back"), icon=":material/undo:", on_click=session.bring_back, key="bring_back")


def _button() -> None:
    # what is in it is made when it is opened
    opened = st.popover(_("Share"), icon=":material/share:", key="share_button", on_change="rerun", width="stretch")
    if opened.open:
        with opened, st.container(key="share_panel"):
            _panel()


def _script_button() -> None:
    opened = st.popover(_("Script"), icon=":material/code:", key="script_button", on_change="rerun", width="stretch")
    if opened.open:
        with opened, st.container(key="script_panel"):
            st.caption(_("A program with only PyTorch that asserts the numbers on screen."))
            st.code(to_script(session.visit().sheet.to_problem()), height=320)
            st.caption(_("The page Export has it as a file, as a notebook, and in JAX."))


def _panel() -> None:
    current = session.visit()
    shown = st.container()
    opens = Kept[str](f"share_page_{current.page}", current.page)  # on each page, first of all, that page
    session.begin(opens)
    page = st.selectbox(_("The link opens"), list(current.pages), format_func=current.pages.__getitem__, key=opens.name)
    is_fixed = st.toggle(
        _("For a class: a line of text, controls locked or hidden"), key="share_class", persist_state="session"
    )
    note, locked, hidden = _class_box() if is_fixed else ("", [], [])
    with shown:
        try:
            link = replace(
                link_to(current.sheet),
                page="" if page == next(iter(current.pages)) else page,
                widgets=_widgets(page),
                note=note.strip(),
                locked=frozenset(locked),
                hidden=frozenset(hidden),
            )
        except (TokenTooLong, InvalidSheet) as error:
            _offer_file(str(error))
            return
        text = address(link)
        st.code(text, language=None, wrap_lines=True, height=150 if len(text) > 400 else "content")
        words = _("{count} characters, with every number, label, name and option. Nothing is stored on a server.")
        st.caption(words.format(count=len(text)))


def address(link: Link) -> str:
    """The whole address of a link; it points at the root, where every server finds every page."""
    return f"{session.root()}?{link.query()}"


def _class_box() -> tuple[str, list[str], list[str]]:
    note = st.text_input(_("A line above the page"), max_chars=MAX_NOTE, key="share_note", persist_state="session")
    locked = _choices("share_locked", _("Locked: shown, but fixed"), LOCKABLE)
    return note, locked, _choices("share_hidden", _("Hidden"), HIDEABLE)


def _choices(key: str, label: str, names: Mapping[str, str]) -> list[str]:
    return st.pills(
        label,
        list(names),
        format_func=lambda name: _(names[name]),
        selection_mode="multi",
        key=key,
        persist_state="session",
    )


def _widgets(page: str) -> tuple[tuple[str, int | str], ...]:
    """The widgets of the page that are not as they are at first."""
    held = [(key, session.kept(Kept(key, widget.default)), widget) for key, widget in WIDGETS.items()]
    return tuple(
        (key, value)
        for key, value, widget in held
        if value is not None and widget.page in ("", page) and value != widget.default and value in widget.values
    )


def _offer_file(why: str) -> None:
    sheet = session.visit().sheet
    st.warning(markdown_escaped(why), icon=":material/link_off:")
    st.download_button(
        _("Download it as a file instead"),
        lambda: to_json(sheet.to_problem(), class_names=sheet.class_names, row_names=sheet.row_names),
        file_name="cross-entropy.json",
        mime="application/json",
        icon=":material/download:",
        on_click="ignore",
    )
    st.caption(_("The page Export opens such a file again."))
