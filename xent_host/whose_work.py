"""Says whose work a session's is: the visit, and the group of addresses that its browser is at."""

from __future__ import annotations

from threading import Lock

from streamlit.runtime import get_instance

from xent_host.address_shares import site
from xent_host.addresses import address_group
from xent_ui.server.processor_use import Visit
from xent_ui.streamlit_internals import client_address

REMEMBERED = 1_000  # sessions whose address is known; one whose browser is away for a moment keeps its share

_addresses: dict[str, str] = {}  # by session, the latest last
_lock = Lock()


def visit_of(session: str) -> Visit:
    """The visit with the address that it has, or had when its browser was last there. Any thread may ask."""
    ip = client_address(get_instance(), session)
    with _lock:
        address = _addresses.pop(session, "")
        if ip is not None:
            address = site(address_group(ip))
        _addresses[session] = address
        if len(_addresses) > REMEMBERED:
            del _addresses[next(iter(_addresses))]
    return Visit(address, session)


def is_here(session: str) -> bool:
    """Whether a browser is connected to that session now."""
    return get_instance().is_active_session(session)
