"""A session's address is that of its browser; while its browser is away, the one that it had."""

from types import SimpleNamespace
from typing import Any

import pytest

from xent_host import visits
from xent_ui.server.fair_share import Visit


class Runtime:
    """Streamlit's runtime: the addresses of the browsers that are connected, by session."""

    def __init__(self) -> None:
        self.addresses: dict[str, str | None] = {}

    def get_client(self, session: str) -> Any:
        if session not in self.addresses:
            return None
        return SimpleNamespace(client_context=SimpleNamespace(remote_ip=self.addresses[session]))


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Runtime:
    runtime = Runtime()
    monkeypatch.setattr(visits, "get_instance", lambda: runtime)
    monkeypatch.setattr(visits, "_addresses", {})
    return runtime


def test_a_visit_is_its_session_and_the_group_of_its_address(runtime: Runtime) -> None:
    runtime.addresses = {"a": "192.0.2.1", "b": "2001:db8::1:2"}

    assert visits.visit_of("a") == Visit("192.0.2.1", "a")
    assert visits.visit_of("b") == Visit("2001:db8::/64", "b")


def test_who_is_away_for_a_moment_keeps_the_address(runtime: Runtime) -> None:
    runtime.addresses = {"a": "192.0.2.1"}
    visits.visit_of("a")
    runtime.addresses = {}

    assert visits.visit_of("a") == Visit("192.0.2.1", "a")
    assert visits.visit_of("never seen") == Visit("", "never seen")


def test_so_many_addresses_are_remembered_and_no_more(runtime: Runtime) -> None:
    for number in range(visits.REMEMBERED + 10):
        visits.visit_of(str(number))

    assert len(visits._addresses) == visits.REMEMBERED
