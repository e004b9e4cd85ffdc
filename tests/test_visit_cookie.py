"""The cookie of a browser: when it is given, what it is worth, and what is refused without it."""

import re
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send
from streamlit import config
from streamlit.runtime import Runtime

from harness.aio import in_a_thread
from xent_host import visit_cookie
from xent_host.visit_cookie import CONNECTION, MOST_COOKIES, Connection, Owners, VisitCookies

VALUE = "a" * 43
OTHER = "b" * 43


def request(path: str = "/", method: str = "GET", **headers: str) -> Scope:
    pairs = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return {"type": "http", "scheme": "http", "method": method, "path": path, "headers": pairs, "query_string": b""}


def websocket(cookie: str) -> Scope:
    return {**request(cookie=cookie), "type": "websocket"}


def answer(scope: Scope, owners: Owners | None = None) -> tuple[int, dict[str, str]]:
    """Status and headers of the answer of an app that answers everything."""
    sent: list[Message] = []

    async def fine(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    in_a_thread(VisitCookies(fine, owners or Owners())(scope, receive, send))
    return sent[0]["status"], {name.decode(): value.decode() for name, value in sent[0]["headers"]}


def test_a_browser_without_a_cookie_gets_one_with_the_page_that_no_script_reads_and_no_other_site_sends() -> None:
    _status, headers = answer(request(sec_fetch_dest="document"))

    assert re.fullmatch(r"xent_visit_[0-9a-f]{4}=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax", headers["set-cookie"])


def test_behind_tls_no_other_host_can_set_it_and_nothing_else_carries_it() -> None:
    _status, headers = answer(request("/_stcore/health", x_forwarded_proto="https"))

    assert re.fullmatch(
        r"__Host-xent_visit_[0-9a-f]{4}=[\w-]{43}; Path=/; HttpOnly; SameSite=Lax; Secure", headers["set-cookie"]
    )


@pytest.mark.parametrize(("option", "ending"), [("strict", "Strict"), ("none", "None; Secure"), ("else", "Lax")])
def test_the_host_says_once_for_all_cookies_whether_frames_on_other_sites_keep_them(option: str, ending: str) -> None:
    before = config.get_option("server.xsrfCookieSameSite")
    config.set_option("server.xsrfCookieSameSite", option)
    try:
        assert answer(request("/_stcore/health"))[1]["set-cookie"].endswith(f"SameSite={ending}")
    finally:
        config.set_option("server.xsrfCookieSameSite", before)


@pytest.mark.parametrize(
    "scope",
    [
        request("/static/js/index.js"),
        request("/", sec_fetch_dest="image"),
        request("/_stcore/health", "OPTIONS"),
        request("/", sec_fetch_dest="document", cookie=f"xent_visit_1a2b={VALUE}"),
    ],
)
def test_nobody_else_gets_one(scope: Scope) -> None:
    assert "set-cookie" not in answer(scope)[1]


def test_what_is_no_cookie_of_ours_is_worth_nothing() -> None:
    owners = Owners()
    for odd in ("", f"xent_visit={VALUE}", "xent_visit_1=short", f"xent_visit_1={VALUE}x", f"other={VALUE}"):
        assert owners.keys(websocket(odd)) == frozenset()
    behind_tls = {**websocket(f"xent_visit_1={VALUE}"), "scheme": "wss"}
    assert owners.keys(behind_tls) == frozenset()  # a neighbour on another host could have set it


def test_of_many_cookies_only_some_are_looked_at() -> None:
    many = "; ".join(f"xent_visit_{i:04x}={i:043d}" for i in range(1000))

    assert len(Owners().keys(websocket(many))) == MOST_COOKIES


def test_two_tabs_that_opened_at_once_have_one_cookie_each_and_keep_both_visits() -> None:
    owners = Owners()
    first, second = f"xent_visit_1={VALUE}", f"xent_visit_2={OTHER}"
    owners.begin("tab", owners.keys(websocket(first)))

    assert owners.is_own("tab", owners.keys(websocket(f"{second}; {first}")))
    assert not owners.is_own("tab", owners.keys(websocket(second)))


def test_a_resumed_visit_stays_with_the_browser_that_began_it() -> None:
    owners = Owners()
    mine, theirs = (owners.keys(websocket(f"xent_visit_1={value}")) for value in (VALUE, OTHER))
    owners.begin("visit", mine)
    owners.begin("visit", theirs)

    assert owners.is_own("visit", mine)
    assert not owners.is_own("visit", theirs)


def test_what_is_remembered_is_bounded_and_forgotten_with_the_visit() -> None:
    owners = Owners(most=3)
    for visit in "abcd":
        owners.begin(visit, frozenset())
    owners.forget("d")

    assert [visit for visit in "abcd" if owners.knows(visit)] == ["b", "c"]


def test_the_hashes_of_two_processes_have_nothing_in_common() -> None:
    assert Owners().digest(VALUE) != Owners().digest(VALUE)


@pytest.mark.parametrize(
    ("method", "path", "cookie", "status"),
    [
        ("PUT", "/_stcore/upload_file/visit/file", VALUE, 200),
        ("DELETE", "/_stcore/upload_file/visit/file", VALUE, 200),
        ("PUT", "/under/a/base/_stcore/upload_file/visit/file", OTHER, 403),
        ("PUT", "/_stcore/upload_file/visit/file", OTHER, 403),
        ("DELETE", "/_stcore/upload_file/visit/file", OTHER, 403),
        ("PUT", "/_stcore/upload_file/visit/file", "", 403),
        ("PUT", "/_stcore/upload_file/framed/file", "", 200),  # of a browser that keeps no cookies
        ("DELETE", "/_stcore/upload_file/framed/file", "", 200),
        ("PUT", "/_stcore/upload_file/nobody/file", VALUE, 403),
        ("OPTIONS", "/_stcore/upload_file/visit/file", "", 200),
    ],
)
def test_an_upload_is_for_a_visit_of_the_same_browser(method: str, path: str, cookie: str, status: int) -> None:
    owners = Owners()
    owners.begin("visit", owners.keys(websocket(f"xent_visit_1={VALUE}")))
    owners.begin("framed", frozenset())

    code, headers = answer(request(path, method, cookie=f"xent_visit_1={cookie}"), owners)
    assert code == status
    assert headers["cache-control"] == "private, no-store"


def test_a_file_that_came_after_its_visit_had_ended_is_removed(monkeypatch: pytest.MonkeyPatch) -> None:
    removed: list[str] = []
    owners = Owners()
    owners.begin("visit", owners.keys(websocket(f"xent_visit_1={VALUE}")))

    async def slow(scope: Scope, receive: Receive, send: Send) -> None:
        owners.forget("visit")

    class Uploads:
        remove_session_files = staticmethod(removed.append)

    class Server:
        uploaded_file_mgr = Uploads

    monkeypatch.setattr(visit_cookie, "get_instance", lambda: Server)
    scope = request("/_stcore/upload_file/visit/file", "PUT", cookie=f"xent_visit_1={VALUE}")
    in_a_thread(VisitCookies(slow, owners)(scope, None, None))  # type: ignore[arg-type]

    assert removed == ["visit"]


def test_an_existing_id_passes_on_only_with_the_cookie_of_its_visit(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str | None] = []

    def connect(runtime: Any, client: Any, user_info: Any, existing_session_id: str | None = None) -> str:
        asked.append(existing_session_id)
        return existing_session_id or f"visit {len(asked)}"

    owners = Owners()
    monkeypatch.setattr(Runtime, "connect_session", connect)
    monkeypatch.setattr(visit_cookie, "OWNERS", owners)
    visit_cookie.apply()
    mine, theirs = (owners.keys(websocket(f"xent_visit_1={value}")) for value in (VALUE, OTHER))

    def visit(keys: frozenset[bytes] | None, offers: str | None) -> str:
        token = CONNECTION.set(None if keys is None else Connection(keys, is_visit=True))
        try:
            got: str = Runtime.connect_session(None, client=None, user_info={}, existing_session_id=offers)  # type: ignore[arg-type]
            return got
        finally:
            CONNECTION.reset(token)

    assert visit(mine, None) == "visit 1"
    assert visit(theirs, "visit 1") == "visit 2"
    assert visit(frozenset(), "visit 1") == "visit 3"
    assert visit(None, "visit 1") == "visit 4"
    assert visit(frozenset(), "visit 3") == "visit 5"
    assert visit(mine, "visit 1") == "visit 1"
    assert asked == [None, None, None, None, None, "visit 1"]
