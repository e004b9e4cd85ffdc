"""The pieces of a page that follow an edit later, each a fragment of its own that the browser asks for.

A component that is edited begins its script with SCRIPT, whose class Pieces asks for one piece at a time once the hand
rests. The request comes as the component's trigger `rested`, {"piece": its name, "number": of the request}.
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

SCRIPT = (Path(__file__).parent / "pieces.js").read_text(encoding="utf-8")


def piece(name: str, draw: Callable[[], None], *, component: Kept[Any]) -> None:
    """Draw a piece in a container of this key.

    Args: component: what the session keeps of the component that asks for it.
    """

    def part() -> None:
        with st.container(key=name):
            draw()
        asked, number = piece_asked(component)
        # by which the script knows that the piece has come
        st.html(f'<p hidden data-piece="{name}" data-number="{number if asked == name else 0}"></p>')

    st.fragment(part, key=fragment_of(name))()


def piece_asked(component: Kept[Any]) -> tuple[str, int]:
    """The piece that is to follow, and the number of the request; "" for none."""
    rested = session.kept(component).get("rested")
    if isinstance(rested, dict) and isinstance(rested.get("piece"), str):
        return rested["piece"], request_number(rested.get("number"))
    return "", 0


def request_number(sent: Any) -> int:
    """The number of a request as the browser sent it; 0 for what is none."""
    return sent if type(sent) is int and 0 <= sent <= LARGEST_WHOLE else 0


def fragment_of(piece: str) -> str:
    """The key of the fragment that draws a piece."""
    return f"piece_{piece}"


def run_again(*fragments: str) -> None:
    """Run these fragments in place of what the browser has asked for; only within a callback, which ends here."""
    with suppress(StreamlitAPIException):  # the visitor has left the page meanwhile
        st.rerun(list(fragments))
