"""Leaves out of Streamlit's messages what a page does not need of the server: paths, Python's version, ids."""

from __future__ import annotations

from typing import Any

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.app_session import AppSession


def apply() -> None:
    """From now on, Streamlit's message at the beginning of a run leaves them empty: its own page only counts visits."""
    create = AppSession._create_new_session_message

    def create_without_facts(session: AppSession, *arguments: Any, **named: Any) -> ForwardMsg:
        message = create(session, *arguments, **named)
        message.new_session.main_script_path = message.new_session.name
        initialize = message.new_session.initialize
        initialize.user_info.Clear()  # ids of the installation; without the message itself no page opens
        for field in ("python_version", "server_os", "has_display"):
            initialize.environment_info.ClearField(field)
        return message

    AppSession._create_new_session_message = create_without_facts  # type: ignore[method-assign, assignment]  # no other way to a message of Streamlit's own
