"""Requests that no browser sends are refused before Streamlit reads them, and what they held is not logged."""

import json
from http import HTTPStatus

import pytest
from starlette.status import WS_1008_POLICY_VIOLATION
from starlette.types import Message, Receive, Scope, Send
from streamlit import config

from harness.aio import in_a_thread
from xent_host.request_check import COOKIE_CHARACTERS, RequestCheck, fault
from xent_ui.server.limits import PUBLIC_VARIABLE


def scope(kind: str = "http", path: str = "/", **headers: str) -> Scope:
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in {"host": "a.example", **headers}.items()]
    return {"type": kind, "method": "GET", "path": path, "headers": pairs}


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def sent(request: Scope) -> list[Message]:
    """What a browser gets."""
    messages: list[Message] = []

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        messages.append(message)

    in_a_thread(RequestCheck(fine)(request, receive, send))
    return messages


@pytest.mark.parametrize("path", ["/", "/step-by-step", "/_stcore/stream", "/ü/☃", "/a b", "/_stcore/metrics"])
def test_an_address_of_a_browser_passes(path: str) -> None:
    assert fault(scope(path=path)) is None


@pytest.mark.parametrize(
    "path",
    [
        "/_stcore/metrics\n",
        "/_stcore/stream\n",
        "/healthz\n",
        "//_stcore/stream",
        "/./_stcore/stream",
        "/under/../_stcore/metrics",
        "/_stcore//metrics",
        "/_stcore/upload_file/visit/file\n",
        "/_stcore/upload_file//visit/file",
        "/_stcore/upload_file/visit/..",
        "/a\r",
        "/\x00",
        "/\x7f",
        "/\x85",
        "http://elsewhere.example/",
        "http://a.example/_stcore/metrics",
        "*",
        "",
        "_stcore/metrics",
    ],
)
def test_an_address_with_control_characters_or_a_host_of_its_own_is_refused(path: str) -> None:
    assert fault(scope(path=path)) == 400
    assert fault(scope("websocket", path)) == 400
    assert sent(scope(path=path))[0]["status"] == 400


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    "name",
    [
        "http://[::1",
        "http://a.example:80.b.example",
        "http://[",
        "http://[x]",
        "http://[v1.z]:1",
        "http://" + "a" * 300,
        "http://ü.example",
        "http://a\tb",
    ],
)
def test_an_origin_that_is_no_address_is_refused_without_an_error(kind: str, name: str) -> None:
    passes = (400, 403) if kind == "websocket" else (400, None)  # one that is merely another site's

    assert fault(scope(kind, origin=name)) in passes


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("host", ["[::1", "a" * 301, "ü.example", "a:b", "a:99999"])
def test_a_host_that_is_no_address_is_refused(kind: str, host: str) -> None:
    assert fault(scope(kind, host=host)) == 400


@pytest.mark.parametrize("host", ["a.example:8501", "[::1]:8501", "127.0.0.1", "localhost:80"])
def test_an_address_with_a_port_is_one(host: str) -> None:
    assert fault(scope("websocket", host=host, origin=f"http://{host}")) is None


@pytest.mark.parametrize(
    ("origin", "status"), [("http://a.example", None), ("https://a.example", None), ("http://b.example", 403)]
)
def test_a_websocket_from_another_site_is_refused_as_streamlit_would(origin: str, status: int | None) -> None:
    assert fault(scope("websocket", origin=origin)) == status
    assert fault(scope("http", origin=origin)) is None


def test_a_websocket_to_another_host_is_refused_where_hosts_are_named() -> None:
    before = config.get_option("server.allowedHosts"), config.get_where_defined("server.allowedHosts")
    config.set_option("server.allowedHosts", ["b.example"])
    try:
        assert fault(scope("websocket")) == 403
        assert fault(scope("websocket", host="b.example")) is None
    finally:
        config.set_option("server.allowedHosts", *before)


def test_the_log_says_that_and_not_what_was_refused(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    refused = sent(scope("websocket", origin="http://secret.example"))

    out = capsys.readouterr().out
    assert refused == [{"type": "websocket.close", "code": WS_1008_POLICY_VIOLATION}]
    assert (json.loads(out)["what"], json.loads(out)["status"]) == ("request", 403)
    assert "secret" not in out + caplog.text


def test_what_is_no_request_passes() -> None:
    assert sent({"type": "lifespan"})


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(
    ("cookies", "status"),
    [
        (["a" * COOKIE_CHARACTERS], None),
        (["a" * (COOKIE_CHARACTERS + 1)], HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
        (["a" * COOKIE_CHARACTERS, "b"], HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE),
    ],
)
def test_more_cookies_than_a_browser_has_for_us_are_not_read(
    kind: str, cookies: list[str], status: HTTPStatus | None
) -> None:
    request = scope(kind)
    request["headers"] += [(b"cookie", text.encode()) for text in cookies]

    assert fault(request) is status
