"""Streamlit's options on a server for strangers; what the host sets by flag or STREAMLIT_ variable is left alone.

Two that Streamlit reads before it reads this stand in .streamlit/config.toml: maxMessageSize, websocketPingInterval.
"""

from __future__ import annotations

import contextlib
import os
from ipaddress import ip_network
from typing import Any

import streamlit
from streamlit import config, net_util

from xent_host.startup_check import UnprotectedServer
from xent_ui.server.limits import PUBLIC
from xent_ui.streamlit_internals import is_set_by_host

HOSTS_VARIABLE = "XENT_ALLOWED_HOSTS"
PROXIES_VARIABLE = "FORWARDED_ALLOW_IPS"  # of uvicorn: whom it believes where a visitor comes from

STREAMLIT_OPTIONS: dict[str, Any] = {
    "browser.gatherUsageStats": False,
    "client.showErrorDetails": "none",  # what went wrong stands in the log
    "client.showErrorLinks": False,
    "client.toolbarMode": "viewer",
    "logger.enableRich": False,  # it would write errors with their messages, past error_reports.py
    "runner.fastReruns": False,  # else each message starts a thread, which waits for its turn to learn it is not wanted
    "runner.magicEnabled": False,
    "server.disconnectedSessionTTL": 60,
    "server.enableAgentApi": False,
    "server.enableCORS": True,
    "server.enableStaticServing": False,
    "server.enableXsrfProtection": True,
    "server.fileWatcherType": "none",
    "server.headless": True,
    "server.maxUploadSize": PUBLIC.upload_mb,
    "server.runOnSave": False,
}


def allowed_hosts() -> list[str]:
    """The names under which visitors may reach the server; none for any."""
    return os.environ.get(HOSTS_VARIABLE, "").replace(",", " ").split()


def check_proxies() -> None:
    """Look at whose word is taken for where a visitor comes from. Raises: ValueError if it is everybody's."""
    for trusted in os.environ.get(PROXIES_VARIABLE, "").split(","):
        is_everybody = trusted.strip() == "*"
        with contextlib.suppress(ValueError):  # a name: uvicorn compares it as it is
            is_everybody = is_everybody or ip_network(trusted.strip()).prefixlen == 0
        if is_everybody:
            raise ValueError(
                f"This server does not start: {PROXIES_VARIABLE} names every address, so that each visitor could "
                "forge its own. Name the addresses of your proxy alone, or leave it out."
            )


def base_path() -> str:
    """What stands before every address of the app: "" or, say, "/tools"."""
    path = str(config.get_option("server.baseUrlPath") or "").strip("/")
    return f"/{path}" if path else ""


def apply() -> None:
    """Set every option that the host has not set.

    Raises: UnprotectedServer, where Streamlit lacks one; ValueError for what no public server may have.
    """
    check_proxies()
    # For a websocket from another site, Streamlit asks checkip.amazonaws.com whether that site is this server.
    # All visitors wait for the answer: where there is none, two seconds and more, each time.
    net_util.get_external_ip = lambda: None
    if unknown := STREAMLIT_OPTIONS.keys() - config.get_config_options().keys():
        raise UnprotectedServer(
            f"This server does not start: Streamlit {streamlit.__version__} has no option "
            f"{' or '.join(sorted(unknown))}. "
            "Install the version that requirements.txt names."
        )
    for key, value in {**STREAMLIT_OPTIONS, "server.allowedHosts": allowed_hosts()}.items():
        if not is_set_by_host(key):
            config.set_option(key, value)
