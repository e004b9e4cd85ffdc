"""What a stranger is refused before it reaches Streamlit, and what is let through."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit.proto.BackMsg_pb2 import BackMsg
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from harness.aio import in_a_thread
from tests.asgi import HERE, Browser, answer, fine, http, reads_all, settle, status
from xent_host.connection_limits import SERVER_FULL, ConnectionLimiter, ConnectionLimits
from xent_host.request_check import RequestCheck
from xent_host.server_options import PROXIES_VARIABLE, check_proxies
from xent_host.upload_limits import UploadLimits
from xent_ui.server.limits import PUBLIC_VARIABLE

THERE = "192.0.2.2"


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")


def events(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


# Addresses


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS", "get"])
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/", 200),
        ("/healthz", 200),
        ("/_stcore/health", 200),
        ("/_stcore/metrics", 404),
        ("/_stcore/metrics/", 404),
        ("/_stcore/Metrics", 404),
        ("/_stcore/agent/openapi.json", 404),
        ("/_stcore/agent/mcp", 404),
        ("/_stcore/script-health-check", 404),
        ("/under/a/base/_stcore/metrics", 404),
        ("/_stcore/metricsx", 200),
        ("/auth/login", 404),
        ("/base/oauth2callback", 404),
        ("/component/name/index.html", 404),
        ("/_stcore/metrics\n", 400),
        ("/_stcore/metrics/\n", 400),
        ("/healthz\n", 400),
        ("/_stcore//metrics", 400),
        ("/under/../_stcore/metrics", 400),
    ],
)
def test_what_is_no_visitors_business_is_not_there(path: str, method: str, code: int) -> None:
    assert in_a_thread(status(RequestCheck(ConnectionLimiter(fine)), http(path, method))) == code


@pytest.mark.parametrize("path", ["/_stcore/stream\n", "/_stcore/stream\r", "//_stcore/stream", "/./_stcore/stream"])
def test_a_visit_under_a_strange_address_is_refused(path: str) -> None:
    async def scene() -> Browser:
        browser = Browser(RequestCheck(ConnectionLimiter(reads_all)), path=path)
        await browser.task
        return browser

    assert [message["type"] for message in in_a_thread(scene()).sent] == ["websocket.close"]


@pytest.mark.parametrize("method", ["PUT", "POST", "PATCH", "put", "X"])
@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/_stcore/upload_file/visit/file", 429),
        ("/_stcore/UPLOAD_FILE/visit/file/", 429),
        ("/base/_stcore/upload_file/visit/file", 429),
        ("/_stcore/upload_file/visit", 404),
        ("/_stcore/upload_file/visit/file/more", 404),
        ("/_stcore/upload_file/visit/file\n", 400),
        ("/_stcore/upload_file//visit/file", 400),
        ("/_stcore/upload_file/visit/..", 400),
    ],
)
def test_no_spelling_of_an_upload_passes_its_limits(path: str, method: str, code: int) -> None:
    guard = ConnectionLimiter(fine, ConnectionLimits(uploads=UploadLimits(files=0)), NoFiles())

    assert in_a_thread(status(RequestCheck(guard), http(path, method, content_length="5"))) == code


class NoFiles:
    def sizes(self) -> dict[str, list[int]]:
        return {}

    def drop_oldest(self, visit: str) -> None:
        raise AssertionError

    def is_open(self, visit: str) -> bool:
        return True


# Whose address it is


PROXY = "127.0.0.1"


@pytest.mark.parametrize(
    ("source", "forwarded", "expected"),
    [
        ("203.0.113.5", ["198.51.100.9"], "203.0.113.5"),  # not a proxy: nobody asked
        ("203.0.113.5", ["127.0.0.1"], "203.0.113.5"),
        (PROXY, [], "127.0.0.1"),
        (PROXY, ["203.0.113.5"], "203.0.113.5"),
        (PROXY, ["198.51.100.9, 203.0.113.5"], "203.0.113.5"),  # the visitor sent the first one itself
        (PROXY, ["198.51.100.9", "203.0.113.5"], "203.0.113.5"),
        (PROXY, ["198.51.100.9, 203.0.113.5, 127.0.0.1"], "203.0.113.5"),
        (PROXY, ["nonsense, 203.0.113.5:4711"], "203.0.113.5"),
        (PROXY, ["2001:db8:1:7::5"], "2001:db8:1::/48"),
        (PROXY, ["[2001:db8:1:8::6]:443"], "2001:db8:1::/48"),
        (PROXY, ["::ffff:203.0.113.5"], "203.0.113.5"),
        (PROXY, ["nonsense"], ""),
        (PROXY, ["\xff\x00"], ""),
        (PROXY, [""], "127.0.0.1"),
        (PROXY, [","], "127.0.0.1"),
    ],
)
def test_nobody_forges_an_address(source: str, forwarded: list[str], expected: str) -> None:
    seen: list[str] = []

    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        seen.extend(guard.turns.used)
        await fine(scope, receive, send)

    guard = ConnectionLimiter(asks)
    request = http("/", address=source)
    request["headers"] += [(b"x-forwarded-for", text.encode("latin-1")) for text in forwarded]
    in_a_thread(answer(ProxyHeadersMiddleware(guard, "127.0.0.1"), request))

    assert seen == [expected]


@pytest.mark.parametrize("everybody", ["*", " * ", "127.0.0.1,0.0.0.0/0", "::/0"])
def test_a_server_does_not_take_everybodys_word_for_where_visitors_come_from(
    everybody: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PROXIES_VARIABLE, everybody)

    with pytest.raises(ValueError, match=PROXIES_VARIABLE):
        check_proxies()


@pytest.mark.parametrize("proxies", ["", "127.0.0.1", "10.213.47.0/24, 2001:db8::1", "unix-socket"])
def test_a_server_takes_the_word_of_its_proxies(proxies: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PROXIES_VARIABLE, proxies)

    check_proxies()


# Visits


def message(**fields: Any) -> Message:
    return {"type": "websocket.receive", "bytes": BackMsg(**fields).SerializeToString()}


RERUN = message(rerun_script={"query_string": "preset=worked-batch"})


def test_a_visit_is_logged_with_how_long_it_was_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> None:
        browser = Browser(ConnectionLimiter(reads_all))
        for _ in range(3):
            browser.say(RERUN)
        await browser.leave()

    in_a_thread(scene())
    begun, ended = events(capsys)
    assert (begun["event"], begun["visits"]) == ("visit", 1)
    assert (ended["event"], ended["visits"], ended["messages"]) == ("visit-end", 0, 3)
    assert set(ended) == {"time", "event", "version", "seconds", "messages", "refused", "visits"}


def test_one_visit_too_many_is_refused_until_another_ends() -> None:
    async def scene() -> list[Any]:
        guard = ConnectionLimiter(reads_all, ConnectionLimits(visits=2))
        first, _second, third = (Browser(guard) for _ in range(3))
        await settle()
        await first.leave()
        fourth = Browser(guard)
        await settle()
        return [third.status, dict(third.sent[0]["headers"])[b"x-xent-full"], fourth.is_in]

    assert in_a_thread(scene()) == [503, b"1", True]


def test_a_server_that_cannot_refuse_a_websocket_like_a_page_closes_it() -> None:
    sent: list[Message] = []

    async def scene() -> None:
        async def send(message: Message) -> None:
            sent.append(message)

        async def receive() -> Message:
            return {"type": "websocket.connect"}

        guard = ConnectionLimiter(reads_all, ConnectionLimits(visits=0))
        await guard({"type": "websocket", "path": "/_stcore/stream", "headers": []}, receive, send)

    in_a_thread(scene())
    assert sent == [{"type": "websocket.close", "code": 1013}]


@pytest.mark.parametrize(("most", "code"), [(2, 503), (3, 200)])
def test_who_comes_when_there_are_too_many_reads_why_instead_of_a_page_that_never_connects(
    most: int, code: int
) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await (fine if scope["type"] == "http" else reads_all)(scope, receive, send)

    async def scene() -> list[list[Message]]:
        guard = ConnectionLimiter(app, ConnectionLimits(visits=most))
        _visits = [Browser(guard) for _ in range(2)]
        await settle()
        page = http("/step-by-step", sec_fetch_dest="document")
        asks = http("/_stcore/health")
        style = http("/static/index.css", sec_fetch_dest="style")
        return [await answer(guard, scope) for scope in (page, asks, style, http("/healthz"))]

    page, asks, style, own_health = in_a_thread(scene())
    assert [sent[0]["status"] for sent in (page, asks, style, own_health)] == [code, code, 200, 200]
    if code == 503:
        headers = dict(page[0]["headers"])
        assert headers[b"x-xent-full"] == b"1"
        assert headers[b"refresh"] == headers[b"retry-after"] == b"5"
        assert page[1]["body"].decode() == SERVER_FULL
        assert json.loads(asks[1]["body"]) == SERVER_FULL  # which Streamlit's page shows


def test_alone_an_address_has_all_visits_and_gives_way_when_another_comes_again(
    capsys: pytest.CaptureFixture[str],
) -> None:
    async def scene() -> None:
        guard = ConnectionLimiter(reads_all, ConnectionLimits(visits=200))
        crowd = [Browser(guard) for _ in range(200)]
        await settle()
        assert all(browser.is_in for browser in crowd)
        one_more = Browser(guard)
        first_try = Browser(guard, THERE)
        await settle()
        assert (one_more.status, first_try.status) == (503, 503)  # another replica may have room
        for browser in crowd[:-1]:
            browser.say(RERUN)  # all but the last are busy
            await settle()
        second_try = Browser(guard, THERE)
        await settle()
        assert second_try.is_in
        assert [browser.is_in for browser in crowd] == [True] * 199 + [False]
        assert crowd[-1].sent[-1] == {"type": "websocket.close", "code": 1013}
        assert crowd[-1].task.done()
        assert len(guard.visits) == 200

    in_a_thread(scene())
    assert [line["what"] for line in events(capsys) if line["event"] == "limit"] == [
        *("visits", "visits"),
        "visit_gives_way",
    ]


def test_a_visit_counts_no_longer_when_its_app_fails() -> None:
    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        raise ZeroDivisionError

    async def scene() -> int:
        guard = ConnectionLimiter(fails)
        with pytest.raises(ZeroDivisionError):
            await Browser(guard).task
        return len(guard.visits)

    assert in_a_thread(scene()) == 0


def test_a_visit_that_gave_way_is_over_although_its_browser_reads_nothing() -> None:
    async def scene() -> list[Any]:
        heard = []

        async def app(_scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "websocket.accept"})
            while True:
                heard.append((await receive())["type"])
                if heard[-1] == "websocket.disconnect":
                    return

        guard = ConnectionLimiter(app, ConnectionLimits(visits=2))
        browser = Browser(guard)
        await settle()
        [visit] = guard.visits._open
        visit.has_ended = True  # and the close waits to be read
        browser.say(RERUN)
        await settle()
        return heard

    assert in_a_thread(scene()) == ["websocket.connect", "websocket.disconnect"]


@pytest.mark.parametrize("pace", [{"visits_a_second": 0.001, "visits_burst": 2, "wait_seconds": 1.0}])
def test_visits_of_one_address_do_not_begin_without_end(pace: dict[str, Any]) -> None:
    async def scene() -> list[Any]:
        guard = ConnectionLimiter(reads_all, ConnectionLimits(**pace))
        browsers = [Browser(guard, address) for address in (HERE, HERE, HERE, HERE, THERE)]
        await settle()
        return [browser.is_in or browser.status for browser in browsers]

    assert in_a_thread(scene()) == [True, True, True, 429, True]


def test_a_visit_that_never_asks_for_a_page_gives_its_place_back(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> list[bool]:
        guard = ConnectionLimiter(reads_all, ConnectionLimits(silent_seconds=0.1))
        silent, asks = Browser(guard), Browser(guard)
        asks.say(RERUN)
        await settle()
        before = silent.is_in
        await silent.task
        await asyncio.sleep(0.1)
        found = [before, silent.is_in, asks.is_in, len(guard.visits) == 1]
        await asks.leave()
        return found

    assert in_a_thread(scene()) == [True, False, True, True]
    assert [line["what"] for line in events(capsys) if line["event"] == "limit"] == ["silent_visit"]


def test_visits_of_one_address_begin_more_slowly_while_others_edit() -> None:
    async def scene(*, is_other_here: bool) -> float:
        guard = ConnectionLimiter(
            reads_all, ConnectionLimits(visits_a_second=1000.0, visits_burst=2, crowded_visits_a_second=20.0)
        )
        if is_other_here:
            Browser(guard, THERE).say(RERUN)
            await settle()
        begun = asyncio.get_running_loop().time()
        browsers = [Browser(guard) for _ in range(6)]
        while not all(browser.is_in for browser in browsers):
            await asyncio.sleep(0.001)
        return asyncio.get_running_loop().time() - begun

    alone, beside = in_a_thread(scene(is_other_here=False)), in_a_thread(scene(is_other_here=True))
    assert beside > alone + 0.15  # four more at 20 a second


# Answers


def test_one_address_does_not_hold_all_answers(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> list[int]:
        go_on = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            await fine(scope, receive, send)

        limits = ConnectionLimits(answers_at_once=8, answers_waiting=4, wait_seconds=60.0)
        guard = ConnectionLimiter(slow, limits)
        crowd = [asyncio.create_task(status(guard, http("/media/a.csv"))) for _ in range(50)]
        await settle()
        refused = [task.result() for task in crowd if task.done()]
        assert guard.turns.used == {HERE: 4}
        other = asyncio.create_task(status(guard, http("/media/b.csv", address=THERE)))
        await settle()
        assert guard.turns.used == {HERE: 4, THERE: 1}
        assert await status(guard_of_health, http("/healthz")) == 200
        go_on.set()
        assert [await task for task in crowd].count(200) == 50 - len(refused)
        assert guard.turns.used == {}
        return [await other, len(refused), *set(refused)]

    guard_of_health = ConnectionLimiter(fine, ConnectionLimits(answers_at_once=0, answers_waiting=0))
    assert in_a_thread(scene()) == [200, 44, 429]
    assert {line["what"] for line in events(capsys)} == {"answers_at_once"}


@pytest.mark.parametrize("size", [0, 1, 2**16, 2**16 + 1, 10**6])
def test_an_answer_goes_out_in_pieces_and_arrives_whole(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)

    async def large(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": body[:size], "more_body": True})
        await send({"type": "http.response.body", "body": body[:size]})

    _start, *pieces = in_a_thread(answer(ConnectionLimiter(large), http("/media/a.csv")))

    assert b"".join(piece["body"] for piece in pieces) == body[:size] * 2
    assert max(len(piece["body"]) for piece in pieces) <= 2**16
    assert [piece.get("more_body", False) for piece in pieces] == [True] * (len(pieces) - 1) + [False]


def test_an_answer_that_nobody_reads_ends() -> None:
    async def scene() -> int:
        guard = ConnectionLimiter(fine, ConnectionLimits(answer_seconds=0.02))

        async def never(_message: Message) -> None:
            await asyncio.Event().wait()

        async def nothing_comes() -> Message:
            return {"type": "http.request", "body": b""}

        await guard(http("/"), nothing_comes, never)
        return guard.turns.used.total()

    assert in_a_thread(scene()) == 0


def test_the_visits_of_an_address_share_a_pace_of_messages_in_which_large_ones_count_more() -> None:
    async def scene() -> tuple[float, float]:
        read = list[str]()

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await receive()
            await send({"type": "websocket.accept"})
            while (await receive())["type"] != "websocket.disconnect":
                read.append(scope["client"][0])

        async def seconds_until(address: str, count: int) -> float:
            begun = asyncio.get_running_loop().time()
            while read.count(address) < count:
                await asyncio.sleep(0.001)
            return asyncio.get_running_loop().time() - begun

        limits = ConnectionLimits(
            **{"messages_a_second": 1000.0, "messages_burst": 4, "crowded_messages_a_second": 20.0},
            bytes_a_message=len(RERUN["bytes"]),
        )
        guard = ConnectionLimiter(app, limits)
        one, two, other = Browser(guard), Browser(guard), Browser(guard, THERE)
        other.say(RERUN)
        await seconds_until(THERE, 1)
        for _ in range(3):  # each counts as two
            one.say(RERUN)
            two.say(RERUN)
        other.say(RERUN)
        waits = await seconds_until(THERE, 2), await seconds_until(HERE, 6)
        for browser in (one, two, other):
            await browser.leave()
        return waits

    other, rest = in_a_thread(scene())
    assert other < rest
    assert other + rest > 0.9 * 5 * 2 / 20  # the first does not wait


def test_requests_of_one_address_have_a_pace() -> None:
    async def scene() -> list[int]:
        limits = ConnectionLimits(requests_a_second=0.001, requests_burst=3, wait_seconds=1.0)
        guard = ConnectionLimiter(fine, limits)
        codes = [await status(guard, http("/")) for _ in range(6)]
        return [*codes, await status(guard, http("/", address=THERE)), await status(guard, http("/healthz"))]

    assert in_a_thread(scene()) == [200] * 4 + [429] * 2 + [200, 200]


def test_requests_are_slower_while_others_edit_and_large_answers_count_more() -> None:
    async def scene() -> tuple[list[int], float, int]:
        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            await (large if scope["type"] == "http" else reads_all)(scope, receive, send)

        async def large(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": bytes(200_000)})

        limits = ConnectionLimits(
            **{"requests_a_second": 1000.0, "requests_burst": 0, "wait_seconds": 60.0},
            **{"crowded_requests_a_second": 0.01, "bytes_a_request": 1000},
        )
        guard = ConnectionLimiter(app, limits)
        begun = asyncio.get_running_loop().time()
        alone = [await status(guard, http("/")) for _ in range(2)]
        seconds = asyncio.get_running_loop().time() - begun
        browser = Browser(guard, THERE)
        browser.say(RERUN)
        await settle()
        return alone, seconds, await status(guard, http("/"))

    alone, seconds, crowded = in_a_thread(scene())
    assert (alone, crowded) == ([200, 200], 429)
    assert seconds > 0.19  # 200 more for the bytes of the first


def test_downloads_are_not_compressed_again_and_again() -> None:
    seen: list[list[bytes]] = []

    async def asks(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append([name for name, _value in scope["headers"]])
        await fine(scope, receive, send)

    for path in ("/media/a.csv", "/base/media/a.csv", "/step-by-step"):
        in_a_thread(answer(ConnectionLimiter(asks), http(path, accept_encoding="gzip", accept="*/*")))

    assert seen == [[b"accept"], [b"accept"], [b"accept-encoding", b"accept"]]
