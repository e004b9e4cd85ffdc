"""A session's address is that of its browser; while its browser is away, the one that it had."""

import sys
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from xent_host import whose_work
from xent_ui.server.processor_use import Visit


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
    monkeypatch.setattr(whose_work, "get_instance", lambda: runtime)
    monkeypatch.setattr(whose_work, "_addresses", {})
    return runtime


def test_a_visit_is_its_session_and_the_group_of_its_address(runtime: Runtime) -> None:
    runtime.addresses = {"a": "192.0.2.1", "b": "2001:db8::1:2"}

    assert whose_work.visit_of("a") == Visit("192.0.2.1", "a")
    assert whose_work.visit_of("b") == Visit("2001:db8::/48", "b")


def test_who_is_away_for_a_moment_keeps_the_address(runtime: Runtime) -> None:
    runtime.addresses = {"a": "192.0.2.1"}
    whose_work.visit_of("a")
    runtime.addresses = {}

    assert whose_work.visit_of("a") == Visit("192.0.2.1", "a")
    assert whose_work.visit_of("never seen") == Visit("", "never seen")


def test_so_many_addresses_are_remembered_and_no_more(runtime: Runtime) -> None:
    for number in range(whose_work.REMEMBERED + 10):
        whose_work.visit_of(str(number))

    assert len(whose_work._addresses) == whose_work.REMEMBERED


def test_any_number_of_threads_may_ask_at_once(runtime: Runtime, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whose_work, "REMEMBERED", 3)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(4) as threads:
            asked = list(threads.map(lambda number: whose_work.visit_of(f"{number % 50}").session, range(20_000)))
    finally:
        sys.setswitchinterval(interval)

    assert asked == [f"{number % 50}" for number in range(20_000)]
    assert len(whose_work._addresses) == 3
