"""Reports uncaught errors: the visitor reads a number, and the log holds type and place under it, but no message."""

from __future__ import annotations

import logging
import secrets
import traceback
from pathlib import Path

import streamlit as st

from xent_ui.server.log import event
from xent_ui.state import session
from xent_ui.streamlit_internals import UNCAUGHT_ERROR_LOGGER, UNCAUGHT_ERROR_TEXT
from xent_ui.text import _

HOST = Path(__file__).resolve().parent
ROOT = HOST.parent
MOST_PLACES = 12  # an endless recursion passes the same ones a thousand times


def report(error: Exception) -> bool:
    """Log where it happened, without its message, which may quote what was typed; tell the visitor its number."""
    number, (_library, own), where = secrets.token_hex(4), places(error), places_words(error)
    event("error", id=number, type=type(error).__name__, where=where)
    if own and not session.has_failed_before(where):
        words = _("This page met an error that is ours, not yours. The table is kept: undo, or reload the page.")
    else:  # Streamlit failed before it came to our pages, and would at every run; or a page does
        session.forget_widgets()
        words = _("What your browser sent could not be read. The table is kept, and everything else starts anew.")
    words += " " + _("The error has the number {number}.").format(number=number)
    st.error(words, icon=":material/error:")
    return True  # Streamlit says nothing more


def places(error: BaseException) -> tuple[list[str], list[str]]:
    """Where in a library it happened, if it did, and the way there through the program, the innermost first."""
    frames = [
        (Path(frame.filename), f"{frame.lineno} {frame.name}") for frame in traceback.extract_tb(error.__traceback__)
    ][::-1]
    own = [f"{path.relative_to(ROOT).as_posix()}:{line}" for path, line in frames if _is_ours(path)]
    library = [f"{path.name}:{line}" for path, line in frames[:1] if not _is_ours(path)]
    return library, own


def places_words(error: BaseException) -> str:
    """The same in one line, the first of them."""
    library, own = places(error)
    return " < ".join((library + own)[:MOST_PLACES])


def _is_ours(path: Path) -> bool:
    # an environment may lie in the folder; what stands around Streamlit is on the way to every page
    return path.is_relative_to(ROOT) and "site-packages" not in path.parts and not path.is_relative_to(HOST)


def quieten_streamlit() -> None:
    """Keep the traceback out of the log that Streamlit writes by itself: it ends in the error's message."""
    logging.getLogger(UNCAUGHT_ERROR_LOGGER).addFilter(lambda record: record.msg != UNCAUGHT_ERROR_TEXT)
