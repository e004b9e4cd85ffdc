"""What a stranger is refused before it reaches Streamlit, and what is let through."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

from tests.aio import in_a_thread
from xent_host.connection_limits import TRY_AGAIN_LATER, ConnectionLimiter, ConnectionLimits
from xent_ui.server.limits import PUBLIC_VARIABLE

MB = 2**20


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


async def fine(scope: Scope, receive: Receive, send: Send) -> None:
    """An app that answers everything."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b""})


def http(path: str, method: str = "GET", **headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "method": method, "path": path, "headers": pairs, "query_string": b""}


async def status(guard: ConnectionLimiter, scope: Scope) -> int:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    await guard(scope, receive, send)
    code: int = sent[0]["status"]
    return code


def upload(size: object, visit: str = "visit") -> Scope:
    return http(f"/_stcore/upload_file/{visit}/file", "PUT", content_length=str(size))


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", 200),
        ("/healthz", 200),
        ("/_stcore/health", 200),
        ("/_stcore/metrics", 404),
        ("/_stcore/metrics/", 404),
        ("/_stcore/agent/openapi.json", 404),
        ("/_stcore/agent/mcp", 404),
        ("/_stcore/script-health-check", 404),
        ("/under/a/base/_stcore/metrics", 404),
        ("/_stcore/metricsx", 200),
    ],
)
def test_what_is_no_visitors_business_is_not_there(path: str, code: int) -> None:
    assert in_a_thread(status(ConnectionLimiter(fine, held=dict), http(path))) == code


@pytest.mark.parametrize(
    ("size", "held", "code"),
    [
        (1 * MB, {}, 200),
        (10 * MB, {"visit": [MB]}, 200),
        (10 * MB, {"visit": [MB] * 3}, 429),  # as many files as a visit may hold
        (10 * MB, {"visit": [20 * MB]}, 429),
        (10 * MB, {"other": [20 * MB]}, 200),
        (10 * MB, {str(visit): [20 * MB] for visit in range(5)}, 429),
        (-1, {}, 411),
        ("1e3", {}, 411),
        ("", {}, 411),
        ("²", {}, 411),
    ],
)
def test_uploads_stay_within_what_the_memory_holds(size: object, held: dict[str, list[int]], code: int) -> None:
    limits = ConnectionLimits(files=3, files_mb=25, all_files_mb=100)

    assert in_a_thread(status(ConnectionLimiter(fine, limits, lambda: held), upload(size))) == code


def test_only_so_many_uploads_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    async def both() -> tuple[int, int, int]:
        arrived, go_on = asyncio.Event(), asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            arrived.set()
            await go_on.wait()
            await fine(scope, receive, send)

        guard = ConnectionLimiter(slow, ConnectionLimits(uploads_at_once=1), dict)
        first = asyncio.create_task(status(guard, upload(5)))
        await arrived.wait()
        second = await status(guard, upload(6))
        go_on.set()
        return await first, second, await status(guard, upload(7))

    assert in_a_thread(both()) == (200, 429, 200)
    assert [(event["event"], event["bytes"]) for event in events(capsys)] == [
        ("upload-refused", 6),
        ("upload", 5),
        ("upload", 7),
    ]


def test_an_upload_that_never_ends_is_ended() -> None:
    async def stalled(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    guard = ConnectionLimiter(stalled, ConnectionLimits(upload_seconds=0.02), dict)

    assert in_a_thread(status(guard, upload(5))) == 408
    assert guard.uploads == 0


# Visits

App = Callable[[Scope, Receive, Send], Awaitable[None]]


async def reads_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["type"] != "websocket.disconnect":
        pass


async def visit(guard: ConnectionLimiter, messages: list[Message]) -> list[Message]:
    """What is sent to a browser that sends these messages and goes."""
    waiting, sent = [*messages, {"type": "websocket.disconnect", "code": 1000}], []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    await guard({"type": "websocket", "path": "/_stcore/stream", "headers": []}, receive, send)
    return sent


def message(**fields: Any) -> Message:
    return {"type": "websocket.receive", "bytes": BackMsg(**fields).SerializeToString()}


RERUN = message(rerun_script={"query_string": "preset=worked-batch"})


def test_a_visit_is_logged_with_how_long_it_was_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert in_a_thread(visit(ConnectionLimiter(reads_all), [RERUN] * 3)) == []

    begun, ended = events(capsys)
    assert (begun["event"], begun["visits"]) == ("visit", 1)
    assert (ended["event"], ended["visits"], ended["messages"]) == ("visit-end", 0, 3)
    assert set(ended) == {"time", "event", "version", "seconds", "messages", "refused", "visits"}


def test_one_visit_too_many_is_refused_until_another_ends() -> None:
    async def scene() -> tuple[list[Message], list[Message]]:
        go_on = asyncio.Event()

        async def stays(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()

        guard = ConnectionLimiter(stays, ConnectionLimits(visits=2))
        first, second = (asyncio.create_task(visit(guard, [])) for _ in range(2))
        await asyncio.sleep(0)
        refused = await visit(guard, [])
        go_on.set()
        await asyncio.gather(first, second)
        return refused, await visit(guard, [])

    refused, welcome = in_a_thread(scene())
    assert refused == [{"type": "websocket.close", "code": TRY_AGAIN_LATER}]
    assert welcome == []


@pytest.mark.parametrize(("visits", "page", "style"), [(2, 503, 200), (1, 200, 200)])
def test_who_comes_when_there_are_too_many_reads_why_instead_of_a_page_that_never_connects(
    visits: int, page: int, style: int
) -> None:
    guard = ConnectionLimiter(fine, ConnectionLimits(visits=2), dict)
    guard.visits = visits

    assert in_a_thread(status(guard, http("/step-by-step", sec_fetch_dest="document"))) == page
    assert in_a_thread(status(guard, http("/static/index.css", sec_fetch_dest="style"))) == style
    assert in_a_thread(status(guard, http("/healthz"))) == 200


def test_a_visit_counts_no_longer_when_its_app_fails() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    guard = ConnectionLimiter(fails)
    with pytest.raises(ZeroDivisionError):
        in_a_thread(visit(guard, []))

    assert guard.visits == 0
