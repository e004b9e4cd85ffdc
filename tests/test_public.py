"""A server for strangers: its options, its log, and what becomes of an error."""

import json
import re
from collections import Counter
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit import config
from streamlit.testing.v1 import AppTest

from harness.aio import in_a_thread
from xent_core import __version__
from xent_host import error_reports, server_options
from xent_host.security_headers import FRAMES_VARIABLE, SecurityHeaders, content_security_policy
from xent_host.startup_check import UnprotectedServer
from xent_ui.server.limits import OWN, PUBLIC, PUBLIC_VARIABLE, limits
from xent_ui.server.log import event

SECRET = "the visitor's 3.14"


@pytest.fixture
def _options_as_they_were() -> Any:
    keys = [*server_options.STREAMLIT_OPTIONS, "server.allowedHosts"]
    before = {key: (config.get_option(key), config.get_where_defined(key)) for key in keys}
    yield
    for key, (value, where) in before.items():
        config.set_option(key, value, where)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


@pytest.mark.parametrize(("value", "expected"), [("1", PUBLIC), ("0", OWN), ("", OWN), (None, OWN)])
def test_only_one_value_makes_a_server_public(
    value: str | None, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    if value is None:
        monkeypatch.delenv(PUBLIC_VARIABLE, raising=False)
    else:
        monkeypatch.setenv(PUBLIC_VARIABLE, value)

    assert limits() is expected


def test_strangers_may_nowhere_do_more_than_the_owner() -> None:
    for name in ("upload_mb", "workers", "waiting", "work_seconds", "unwatched_seconds", "path_cells", "undo"):
        assert getattr(PUBLIC, name) <= getattr(OWN, name)


@pytest.mark.usefixtures("_options_as_they_were")
def test_the_options_of_the_server_are_set_unless_the_host_has_set_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(server_options.HOSTS_VARIABLE, "a.example, b.example")
    config.set_option("server.maxUploadSize", 7, "environment variable")
    config.set_option("client.showErrorDetails", "full", "/home/config.toml")
    server_options.apply()

    assert config.get_option("server.allowedHosts") == ["a.example", "b.example"]
    assert config.get_option("server.maxUploadSize") == 7
    assert config.get_option("client.showErrorDetails") == "none"


@pytest.mark.usefixtures("_options_as_they_were")
def test_a_streamlit_without_an_option_that_protects_stops_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    server_options.apply()  # the installed one has them all

    known = {key: value for key, value in config.get_config_options().items() if key != "server.enableXsrfProtection"}
    monkeypatch.setattr("streamlit.config.get_config_options", lambda: known)
    with pytest.raises(UnprotectedServer, match=r"has no option server\.enableXsrfProtection"):
        server_options.apply()


def test_the_host_says_who_may_frame_the_app(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FRAMES_VARIABLE, raising=False)
    assert content_security_policy().endswith("frame-ancestors 'self'")

    monkeypatch.setenv(FRAMES_VARIABLE, "https://huggingface.co")
    assert content_security_policy().endswith("frame-ancestors https://huggingface.co")


def test_a_variable_cannot_break_out_of_the_policy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(FRAMES_VARIABLE, "'self'; script-src *")

    with pytest.raises(ValueError, match="XENT_FRAME_ANCESTORS"):
        content_security_policy()


@pytest.mark.parametrize(
    ("scheme", "headers", "expected"),
    [
        ("https", {"host": "xent.example"}, True),
        ("http", {"host": "xent.example", "x-forwarded-proto": "https"}, True),
        ("http", {"host": "xent.example", "x-forwarded-proto": "https, http"}, True),
        ("http", {"host": "xent.example"}, False),
        ("http", {"host": "xent.example", "x-forwarded-proto": "http"}, False),
        ("https", {"host": "localhost:8501"}, False),  # other programs answer there too, without TLS
        ("https", {"host": "app.localhost"}, False),
        ("https", {"host": "127.0.0.1"}, False),
        ("https", {"host": "[::1]:8501"}, False),
    ],
)
def test_browsers_that_came_by_tls_are_told_to_come_by_nothing_else(
    scheme: str, headers: dict[str, str], expected: bool
) -> None:
    sent: list[Any] = []

    async def fine(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        sent.append(message)

    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "scheme": scheme, "headers": pairs}
    in_a_thread(SecurityHeaders(fine)(scope, None, send))  # type: ignore[arg-type]

    names = dict(sent[0]["headers"])
    assert (b"strict-transport-security" in names) == expected
    assert names[b"cross-origin-opener-policy"] == names[b"cross-origin-resource-policy"] == b"same-origin"


def test_an_event_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    event("limit", what="two\nlines", bytes=5)

    (line,) = lines(capsys)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {"event": "limit", "version": __version__, "what": "two\nlines", "bytes": 5}


def test_on_ones_own_computer_nothing_is_logged(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PUBLIC_VARIABLE, raising=False)
    event("limit")

    assert capsys.readouterr().out == ""


def a_page_that_fails() -> None:
    from xent_core.parse import parse_number
    from xent_host import error_reports

    try:
        parse_number("the visitor's 3.14")
    except ValueError as error:
        error_reports.report(error)


def test_an_error_gets_a_number_on_the_page_and_its_place_in_the_log_but_no_word_of_the_visitor(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    page = AppTest.from_function(a_page_that_fails).run()
    out = capsys.readouterr().out

    (line,) = [json.loads(text) for text in out.splitlines()]
    assert line["id"] in page.error[0].value
    assert line["type"] == "InvalidText"
    assert re.match(r"xent_core/parse/number\.py:\d+ parse_number", line["where"])
    assert "3.14" not in page.error[0].value + out
    assert not page.exception


def test_a_page_that_fails_where_it_has_failed_before_starts_its_widgets_anew() -> None:
    page = AppTest.from_function(a_page_that_fails)
    page.session_state["visit"] = SimpleNamespace(failures=set(), begun={"a widget"}, revision=Counter())
    page.session_state["a widget"] = "a value that no page can show"

    assert "The table is kept: undo" in page.run().error[0].value
    assert "a widget" in page.session_state
    assert "everything else starts anew" in page.run().error[0].value
    assert "a widget" not in page.session_state
    assert not page.session_state["visit"].begun


def test_an_error_inside_a_library_names_both_places() -> None:
    try:
        json.loads("{")
    except ValueError as error:
        (library,), (own,) = error_reports.places(error)

    assert library.startswith("decoder.py:")
    assert re.match(r"tests/test_public\.py:\d+ test_an_error_inside", own)
