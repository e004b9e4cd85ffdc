"""A started public server and strangers with raw sockets: it closes in time, logs no nonsense, the others go on."""

import asyncio
import json
import multiprocessing
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor

import pytest
from streamlit.proto.BackMsg_pb2 import BackMsg

from harness.browser import ROOT, Server, serve
from harness.raw_websocket import (
    BINARY,
    CLOSE,
    CONTINUATION,
    FLOODS,
    PING,
    TEXT,
    Flood,
    RawSocket,
    RawWebSocket,
    exchange,
    flood_with,
    frame,
)
from harness.visitor import Visitor, visit
from xent_host.http_protocol import RequestLimits
from xent_ui.page_internals import first_page_files

FLOOD_SECONDS = 1.5  # of each kind
BYTES_OF_A_CONNECTION = 8 * 2**20  # taken before it is closed: what the sockets hold, above all
SECRET = "the-secret-of-a-stranger"


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serve(ROOT / "hosted.py") as one:
        yield one


@pytest.mark.long
def test_neighbours_go_on_while_frames_flood_in_and_every_flood_is_cut_off(server: Server) -> None:
    kinds = [kind for kind in FLOODS if kind != "large messages"]  # which are slowed down

    async def scene() -> tuple[list[float], dict[str, Flood]]:
        loop, waits, found = asyncio.get_running_loop(), [], {}
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
            async with Visitor(server.url) as neighbour:
                for number, kind in enumerate(kinds):
                    flooding = loop.run_in_executor(pool, flood_with, kind, server.url, FLOOD_SECONDS)
                    while not flooding.done():
                        waits.append(await neighbour.edit(0, 0, f"{number}.{len(waits) % 1000:03}"))
                        await asyncio.sleep(0.1)
                    found[kind] = await flooding
        return waits, found

    waits, found = visit(scene())

    assert len(waits) >= len(kinds)  # each answer was compared with its own loss
    assert {kind for kind, one in found.items() if one.connections < 2} == set()  # it had to connect anew
    assert {kind for kind, one in found.items() if one.sent > BYTES_OF_A_CONNECTION * one.connections} == set()


@pytest.mark.long
def test_a_request_that_is_half_sent_is_closed(server: Server) -> None:
    begun = [b"", b"GET / HTTP/1.1\r\nHost: a\r\n", b"PUT /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab"]
    sockets = [RawSocket(server.url) for _ in begun]
    for socket, data in zip(sockets, begun, strict=True):
        socket.send(data)

    assert all(socket.closes_within(3 * RequestLimits().head_seconds) for socket in sockets)


def message(**fields: object) -> bytes:
    return frame(BINARY, BackMsg(**fields).SerializeToString())


@pytest.mark.parametrize(
    ("sent", "code"),
    [
        (frame(TEXT, SECRET.encode()), 1003),
        (frame(TEXT, b"\xff\xfe", last=False), 1003),
        (frame(BINARY), 1002),
        (frame(BINARY, b"\xff\xff" + SECRET.encode()), 1002),
        (frame(3), 1002),
        (frame(PING, masked=False), 1002),
        (frame(PING, b"a" * 126), 1002),
        (frame(CONTINUATION, b"a"), 1002),
        (frame(CLOSE, b"\x00\x01"), 1002),
        (frame(CLOSE, b"\x03\xe8\xff"), 1007),
        (frame(BINARY, size=2**62), 1009),
        (frame(BINARY, b"a", last=False) + frame(BINARY), 1002),
        (message(file_urls_request={"file_names": ["a"] * 10_000}), 1008),
        (message(rerun_script={"cached_message_hashes": ["a"] * 10_000}), 1008),
        (message(rerun_script={"widget_states": {"widgets": [{}] * 10_000}}), 1008),
    ],
)
def test_what_no_browser_sends_ends_the_visit_with_a_reason(server: Server, sent: bytes, code: int) -> None:
    with RawWebSocket(server.url) as stranger:
        stranger.send(sent)

        assert stranger.close_code() == code


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "http://[::1"},
        {"origin": f"http://{SECRET}.example"},
        {"origin": "http://\xff"},
        {"host": f"\xff{SECRET}"},
        {"host": "[::1"},
        {"sec_websocket_key": "abc"},
        {"sec_websocket_protocol": f"str(eam)lit, {SECRET}, \xff"},
        {"x": SECRET * 500},
        {f"x{number}": "1" for number in range(200)},
        {"path": f"/_stcore/stream%0A{SECRET}"},
        {"path": f"http://{SECRET}.example/_stcore/stream"},
    ],
)
def test_what_asks_for_no_websocket_of_ours_gets_none(server: Server, headers: dict[str, str]) -> None:
    with RawWebSocket(server.url, **headers) as stranger:
        assert stranger.status in (400, 403, 431)


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /_stcore/metrics%%0A HTTP/1.1\r\nConnection: close\r\nHost: %s\r\n\r\n", 400),
        (b"GET http://elsewhere.example/ HTTP/1.1\r\nConnection: close\r\nHost: %s\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nConnection: close\r\nHost: %s\r\nOrigin: http://[::1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nConnection: close\r\nHost: %s\r\nTransfer-Encoding: chunked\r\n\r\n", 411),
        (b"PUT / HTTP/1.1\r\nConnection: close\r\nHost: %s\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"\x16\x03\x01\x02\x00%s\r\n\r\n", 400),
    ],
)
def test_a_request_that_no_browser_sends_is_refused(server: Server, request_: bytes, status: int) -> None:
    answer = exchange(server.url, request_ % server.url.removeprefix("http://").encode(), seconds=2)

    assert int(answer.split()[1]) == status


def test_scripts_come_compressed_and_the_page_names_those_that_it_needs_first(server: Server) -> None:
    with urllib.request.urlopen(server.url, timeout=30) as answer:
        page = answer.read().decode()
    assert all(f'href="./static/js/{name}"' in page for name in first_page_files())

    [editor] = [name for name in first_page_files() if name.startswith("DataFrame.")]
    request = urllib.request.Request(f"{server.url}/static/js/{editor}")
    request.add_header("Accept-Encoding", "gzip")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.headers["Content-Encoding"] == "gzip"
        assert "immutable" in answer.headers["Cache-Control"]
        assert "script-src" in answer.headers["Content-Security-Policy"]


def test_the_log_holds_lines_of_json_and_no_word_of_all_this(server: Server) -> None:
    with RawWebSocket(server.url) as stranger:  # whatever else has come to this server
        stranger.send(message(file_urls_request={"file_names": [SECRET] * 10_000}))
        assert stranger.close_code() == 1008
    deadline = time.monotonic() + 30
    while "visit-end" not in server.log() and time.monotonic() < deadline:
        time.sleep(0.1)  # between two looks at the log, which is written after the connection has ended
    lines = server.log().splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("{"))

    assert [line for line in lines[first:] if not isinstance(json.loads(line or "{}"), dict)] == []
    assert SECRET not in server.log()
    assert {event["event"] for event in map(json.loads, lines[first:])} == {
        *("start", "warm", "visit", "visit-end", "limit")
    }
