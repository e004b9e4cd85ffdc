"""The Share button, and what a page shows of the link that opened it."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from xent_core.codec import TokenTooLong, to_json
from xent_ui import session
from xent_ui.link import HIDEABLE, LOCKABLE, MAX_NOTE, WIDGETS, Link, link_to
from xent_ui.sheet import InvalidSheet
from xent_ui.text import _, markdown_escaped

NOTE, LOCKED, HIDDEN = "share_note", "share_locked", "share_hidden"


def frame() -> None:
    """What every page has around it: the Share button, the sender's line, and what the link could not open."""
    current = session.visit()
    with st.sidebar:
        button("sidebar")
    if current.opened.note:
        with st.container(key="note"):
            st.info(markdown_escaped(current.opened.note), icon=":material/school:")
    for message in current.complaints:
        st.warning(markdown_escaped(message), icon=":material/link_off:")


def button(place: str) -> None:
    """A button that opens to a link to what is on screen; the link is made when it is opened.

    Args: place: where on the page it is, to tell two of them apart.
    """
    if session.is_hidden("share"):
        return
    opened = st.popover(_("Share"), icon=":material/share:", key=f"share_{place}", on_change="rerun")
    if opened.open:
        with opened, st.container(key=f"share_panel_{place}"):
            _panel(place)


def _panel(place: str) -> None:
    current = session.visit()
    key = f"share_page_{place}_{current.page}"
    session.begin(key, current.page)
    page = st.selectbox(_("The link opens"), list(current.pages), format_func=current.pages.__getitem__, key=key)
    is_fixed = st.toggle(_("For a class: a line of text, controls locked or hidden"), key=f"share_class_{place}")
    note, locked, hidden = _class_box(place) if is_fixed else ("", [], [])
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
    st.code(address(link), language=None, wrap_lines=True, height=150 if len(link.query()) > 300 else "content")
    st.caption(
        _("Every number, label, name and option is in it, exactly; nothing is stored on a server. {count} characters.")
        .format(count=len(address(link)))
    )  # fmt: skip


def address(link: Link) -> str:
    """The whole address of a link; it points at the root, where every server finds every page."""
    return f"{session.root()}?{link.query()}"


def _class_box(place: str) -> tuple[str, list[str], list[str]]:
    note = st.text_input(_("A line above the page"), max_chars=MAX_NOTE, key=f"{NOTE}_{place}")
    locked = st.pills(
        _("Locked: shown, but fixed"), list(LOCKABLE), format_func=lambda name: _(LOCKABLE[name]),
        selection_mode="multi", key=f"{LOCKED}_{place}",
    )  # fmt: skip
    hidden = st.pills(
        _("Hidden"), list(HIDEABLE), format_func=lambda name: _(HIDEABLE[name]), selection_mode="multi",
        key=f"{HIDDEN}_{place}",
    )  # fmt: skip
    return note, locked, hidden


def _widgets(page: str) -> tuple[tuple[str, int | str], ...]:
    """The widgets of the page that are not as they are at first."""
    held = [(key, session.kept(key, widget.default), widget) for key, widget in WIDGETS.items()]
    return tuple(
        (key, value)
        for key, value, widget in held
        if widget.page in ("", page) and value != widget.default and value in widget.values
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
