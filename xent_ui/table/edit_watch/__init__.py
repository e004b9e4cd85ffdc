"""Watches the editors in the browser: an edit asks for new numbers at once, and for the rest when the hand rests.

Streamlit's editor waits 150 ms before it sends an edit, and is drawn anew with each answer. Here it keeps its edits in
the browser, and this component sends the request. Where the names in the page that it needs are gone, the editors send
their edits themselves, as Streamlit has it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import streamlit as st

from xent_ui.page_internals import editor_can_be_watched
from xent_ui.state import rest, session
from xent_ui.state.kept import Kept

KEY = Kept[dict[str, Any]]("edit_watch", {})
IS_SLOW = Kept[bool]("edits_are_sent_by_the_editor", False)
OnChange = Callable[[], None] | Literal["ignore"]  # of an editor
_SCRIPT = rest.SCRIPT + (Path(__file__).parent / "edit_watch.js").read_text(encoding="utf-8")


def editors_on_change(*, send: Callable[[], None]) -> OnChange:
    """What the editors do with an edit: keep it for the watch, or call `send` where nothing watches them."""
    return send if _is_slow() else "ignore"


def edit_watch(
    *,
    source: str,
    typed: Sequence[str],
    on_edited: Callable[[], None],
    on_ended: Callable[[], None],
    on_rested: Callable[[], None],
    on_slow: Callable[[], None],
) -> None:
    """Watch the editors on this page.

    Args:
      source: the key of the container with the frame that answers an edit; it tells `asked`, and whether the edit
        `changed` anything.
      typed: the keys of the containers of those editors into whose cells one can type.
      on_edited: called when an edit is in the browser, before anything is drawn.
      on_ended: called in its place when a cell was closed with a text, be it the one that it had.
      on_rested: called when the hand has come to rest.
      on_slow: called when the editors turn out to be none that can be watched.
    """
    # registered at each run: a new process of the tests has a new registry
    component = st.components.v2.component("edit_watch", js=_SCRIPT)
    component(
        key=KEY.name,
        data={"source": source, "typed": list(typed), "is_slow": _is_slow()},
        on_edited_change=on_edited,
        on_ended_change=on_ended,
        on_rested_change=on_rested,
        on_slow_change=lambda: _take_slow(on_slow),
        height=1,
    )


def number_asked() -> int:
    """The number of the request that this run answers, which the frame tells back; 0 for none."""
    sent = session.kept(KEY)
    return max(rest.request_number(sent.get(name)) for name in ("edited", "ended"))


def _is_slow() -> bool:
    return session.kept(IS_SLOW) or not editor_can_be_watched()


def _take_slow(then: Callable[[], None]) -> None:
    session.keep(IS_SLOW, True)
    then()
