"""Writes what libraries log as lines of JSON: which place, which kind of error, and none of their words.

Streamlit and uvicorn quote what they were sent: origins, ids of visits, whole tracebacks.
"""

from __future__ import annotations

import logging
import sys
import threading
from types import TracebackType
from typing import Any

from starlette.websockets import WebSocketDisconnect, WebSocketDisconnected
from streamlit import logger as streamlit_logger

from xent_host.error_reports import places_words
from xent_ui.server.log import event


class Lines(logging.Handler):
    """Writes a line for each record, whatever the level of its logger, from warnings on."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)

    def emit(self, record: logging.LogRecord) -> None:
        """Write where it was logged; of an error, its type and the way there."""
        error = record.exc_info[1] if record.exc_info else None
        if error is not None and not isinstance(error, Exception):  # the server, or what it waited for, ends
            return
        facts = _facts(error) if error is not None else {}
        place = f"{record.filename}:{record.lineno} {record.funcName}"
        event("library", level=record.levelname, logger=record.name, place=place, **facts)


LINES = Lines()
_GONE = (WebSocketDisconnect, WebSocketDisconnected)  # a visitor who left while something was sent is no error
# For what says nothing worth a line about nonsense that comes: only errors, which are the program's own.
CONNECTION_LOG = logging.Logger("xent_host", logging.ERROR)
CONNECTION_LOG.addHandler(LINES)
CONNECTION_LOG.addFilter(lambda record: not (record.exc_info and isinstance(record.exc_info[1], _GONE)))


def apply() -> None:
    """From now on, nobody else writes: not the loggers that there are, nor those to come, nor Python by itself."""
    streamlit_logger.setup_formatter = _take_over
    logging.captureWarnings(True)
    logging.getLogger().handlers[:] = [LINES]
    for logger in list(logging.root.manager.loggerDict.values()):
        if isinstance(logger, logging.Logger):
            _take_over(logger)
    sys.excepthook = _uncaught
    sys.unraisablehook = lambda what: _note("unraisable", what.exc_value)
    threading.excepthook = lambda what: _note("thread", what.exc_value)


def _take_over(logger: logging.Logger) -> None:
    logger.handlers.clear()
    logger.propagate = True


def _uncaught(kind: type[BaseException], error: BaseException, _way: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        _note("main", error)


def _note(place: str, error: BaseException | None) -> None:
    event("library", level="ERROR", logger="python", place=place, **({} if error is None else _facts(error)))


def _facts(error: BaseException) -> dict[str, Any]:
    return {"type": type(error).__name__, "where": places_words(error)}
