"""Stops the start of a public server where something is missing that protects it, and logs what else is missing."""

from __future__ import annotations

import contextlib
import os
from ipaddress import ip_network

import streamlit

from xent_ui.server.log import event
from xent_ui.streamlit_internals import INTERNALS, PROTECTS

PROXIES_VARIABLE = "FORWARDED_ALLOW_IPS"  # of uvicorn: whom it believes where a visitor comes from


class UnprotectedServer(RuntimeError):
    """Something is missing that protects a public server."""


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


def check_proxies() -> None:
    """Look at whose word is taken for where a visitor comes from. Raises: UnprotectedServer if it is everybody's."""
    for trusted in os.environ.get(PROXIES_VARIABLE, "").split(","):
        with contextlib.suppress(ValueError):
            if trusted.strip() == "*" or ip_network(trusted.strip()).prefixlen == 0:
                raise UnprotectedServer(
                    f"This server does not start: {PROXIES_VARIABLE} names every address, so that each visitor could "
                    "forge its own. Name the addresses of your proxy alone, or leave it out."
                )
