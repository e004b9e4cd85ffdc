"""The rest of a page, which follows an edit later: a fragment that the browser asks for once the hand rests.

A component that is edited begins its script with SCRIPT, whose class Rest knows when to ask. The request comes as the
component's trigger `rested`, {"number": of the request}.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitAPIException

from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.sheet import LARGEST_WHOLE

REST = "rest"  # the key of the fragment
SCRIPT = (Path(__file__).parent / "rest.js").read_text(encoding="utf-8")


def rest(draw: Callable[[], None], *, component: Kept[Any]) -> None:
    """Draw the rest of the page.

    Args: component: what the session keeps of the component that asks for it.
    """

    def drawn() -> None:
        draw()
        # by which the script knows that it has come
        rested = session.kept(component).get("rested")
        number = request_number(rested.get("number")) if isinstance(rested, dict) else 0
        st.html(f'<p hidden data-rest="{number}"></p>')

    st.fragment(drawn, key=REST)()


def request_number(sent: Any) -> int:
    """The number of a request as the browser sent it; 0 for what is none."""
    return sent if type(sent) is int and 0 <= sent <= LARGEST_WHOLE else 0


def run_again(*fragments: str) -> None:
    """Run these fragments in place of what the browser has asked for; only within a callback, which ends here."""
    with suppress(StreamlitAPIException):  # the visitor has left the page meanwhile
        st.rerun(list(fragments))
