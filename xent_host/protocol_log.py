"""What the web server says of a connection: errors of the program as events, and what a stranger sends not at all."""

from __future__ import annotations

import logging

from xent_host.error_reports import places_words
from xent_ui.server.log import event


class EventHandler(logging.Handler):
    """Writes type and place of an error as an event, never its message or what was sent."""

    def emit(self, record: logging.LogRecord) -> None:
        """Note an error; of what has none, the server's own words are noted from ERROR on."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, Exception):
            event("error", type=type(error).__name__, where=places_words(error))
        elif error is None and record.levelno >= logging.ERROR:  # an end of the server is none
            event("error", type=str(record.msg).strip())  # the constant text, without its arguments


LOG = logging.Logger("xent_host", logging.ERROR)  # of its own: no other handler gets it
LOG.addHandler(EventHandler())
