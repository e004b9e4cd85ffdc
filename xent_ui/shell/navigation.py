"""The sidebar's menu, the page that the visitor has opened, and what every page has around it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from xent_ui import text
from xent_ui.shell import cell_editor_prefetch, cold_start, page_change, reconnect, share
from xent_ui.state import session
from xent_ui.streamlit_internals import page_files_are_searched
from xent_ui.text import _

Menu = Mapping[str, Sequence[tuple[str, str, str, str]]]  # file, title, icon and purpose of the pages of each section


def run(menu: Menu) -> None:
    """Draw the menu and run the page that is open."""
    text.use_language(st.context.locale)
    home = session.home() or _name(next(iter(menu.values()))[0][0])
    pages: dict[str, st.Page] = {}
    sections: dict[str, list[st.Page]] = {}
    for section, entries in menu.items():
        for file, title, icon, purpose in entries:
            name = _name(file)
            pages[name] = st.Page(
                f"pages/{section.lower()}/{file}.py",
                title=_(title),
                icon=f":material/{icon}:",
                url_path=name,
                help=_(purpose),
                default=name == home,  # the page that the link names is at the root
            )
            sections.setdefault(_(section), []).append(pages[name])
    is_cold = page_files_are_searched()
    current = st.navigation(sections, position="hidden" if session.is_hidden("menu") else "sidebar")
    if is_cold and current.url_path:
        cold_start.reload()
    titles = {name: page.title for name, page in pages.items()}
    session.enter(next(name for name, page in pages.items() if page is current), titles)
    if session.goes_home():
        st.switch_page(pages[home])
    share.frame()
    if not session.is_hidden("menu"):
        with st.sidebar:  # drawn before the page itself, and takes no room there
            page_change.change_page(session.visit().page)
    reconnect.rerun_after_reconnect()
    current.run()
    cell_editor_prefetch.prefetch()


def _name(file: str) -> str:
    """The last part of a page's address."""
    return file.replace("_", "-")
