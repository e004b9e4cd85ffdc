"""Stops the start of a public server where Streamlit lacks what protects it, and logs what else is missing."""

from __future__ import annotations

import streamlit

from xent_host import connection_internals, visit_internals
from xent_ui import page_internals, streamlit_internals
from xent_ui.server.log import event
from xent_ui.streamlit_internals import PROTECTS

INTERNALS = (
    *streamlit_internals.INTERNALS,
    *page_internals.INTERNALS,
    *connection_internals.INTERNALS,
    *visit_internals.INTERNALS,
)


class UnprotectedServer(RuntimeError):
    """Streamlit has changed where it protects a public server."""


def check_streamlit() -> None:
    """Compare the installed Streamlit with what the app uses of its insides. Raises: UnprotectedServer."""
    missing = [internal for internal in INTERNALS if not internal.is_there()]
    if unsafe := [internal for internal in missing if internal.kind == PROTECTS]:
        parts = [f"{one.name}, which {one.why} (without it {one.if_moved})" for one in unsafe]
        raise UnprotectedServer(
            f"This server does not start: Streamlit {streamlit.__version__} has changed {'; and '.join(parts)}. "
            "Install the version that requirements.txt names."
        )
    for internal in missing:
        event("streamlit-changed", what=internal.name, effect=internal.if_moved)
