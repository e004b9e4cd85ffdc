"""The log of a public server: one line of JSON for each event, and nothing that visitors type, upload or are called."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from xent_core import __version__
from xent_ui.server.limits import limits


def event(name: str, **facts: str | int | float | None) -> None:
    """Write what happened, when, in which version, and the facts: counts, sizes, times, types; never a visitor's text.

    On your own computer nothing is written.
    """
    if not limits().is_public:
        return
    when = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": when, "event": name, "version": __version__, **facts})
    sys.stdout.write(line + "\n")  # in one piece, so that the lines of two threads do not mix
    sys.stdout.flush()
