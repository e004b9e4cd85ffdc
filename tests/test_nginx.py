"""What nginx refuses, limits and writes down, before two stubs of a replica.

The app behind nginx: browser/test_hosted.py.
"""

import contextlib
import http.client
import re
import shutil
import socket
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import pytest

from harness.hosting import TEMPLATE, nginx_before, require_nginx
from xent_host.connection_limits import ConnectionLimits

HALF_SENT_SECONDS = 14  # after which it is closed
HANDSHAKE = (
    "GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: {protocol}\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nCookie: xent_replica={replica}\r\n\r\n"
)
SPELLINGS = (
    "/_stcore/stream",
    "/_stcore//stream",
    "/x/../_stcore/stream",
    "/_stcore/%73tream",
    "/x/_stcore/stream",
    "/",
)


@pytest.fixture(autouse=True)
def _nginx_is_here() -> None:
    require_nginx()


@dataclass
class Stub:
    """A replica that notes what it is asked for. When it is full, it refuses documents and websockets."""

    is_full: bool = False
    requests: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    address: str = ""

    @contextlib.contextmanager
    def serve(self) -> Iterator[None]:
        """Listen, until the block ends."""
        stub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                stub.requests.append((self.command, self.path, dict(self.headers.items())))
                if stub.is_full:
                    self.send_error(503)
                elif "Upgrade" in self.headers:
                    self.send_response(101)
                    self.send_header("Connection", "Upgrade")
                    self.send_header("Upgrade", "websocket")
                    self.end_headers()
                    self.close_connection = True
                    self.rfile.read(1)  # until the visit ends
                elif self.path.startswith("/static/"):
                    self.send_response(200 if "/js/" in self.path else 404)
                    self.send_header("Content-Type", "text/javascript")
                    self.send_header("Content-Length", "5000")
                    self.send_header("Cache-Control", "public, immutable, max-age=31536000")
                    self.end_headers()
                    self.wfile.write(b"/" * 5000)
                else:
                    self.rfile.read(int(self.headers.get("Content-Length") or 0))
                    self.send_response(204)
                    self.end_headers()

            def __getattr__(self, name: str) -> Callable[[], None]:
                """The same for every method."""
                if name.startswith("do_"):
                    return self.answer
                raise AttributeError(name)

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            request_queue_size = 500
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        with Server(("127.0.0.1", 0), Handler) as server:
            self.address = f"127.0.0.1:{server.server_port}"
            thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()


@dataclass
class Front:
    """nginx before two stubs."""

    port: int
    log_file: Path
    stubs: tuple[Stub, Stub]

    def raw(self, text: str) -> socket.socket:
        """A connection over which this was sent."""
        connection = socket.create_connection(("127.0.0.1", self.port), timeout=30)
        connection.sendall(text.encode("latin-1"))
        return connection

    def ask(self, line: str, *headers: str, body: str = "") -> int:
        """The status of the answer to a request; its first line and headers as they are."""
        head = "\r\n".join([line, *headers, "Connection: close"])
        with self.raw(f"{head}\r\n\r\n{body}") as connection:
            return status_of(connection)

    def get(self, path: str, *headers: str) -> int:
        """The status of an answer."""
        return self.ask(f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *headers)

    def begin(self, path: str = "/_stcore/stream", *, replica: str = "1", protocol: str = "websocket") -> socket.socket:
        """A visit that has begun, or was refused."""
        return self.raw(HANDSHAKE.format(path=path, replica=replica, protocol=protocol))

    def requests(self) -> list[tuple[str, str, dict[str, str]]]:
        """What reached a replica."""
        return [request for stub in self.stubs for request in stub.requests]

    def logged(self) -> str:
        """All that nginx has written."""
        time.sleep(0.1)  # it answers before it writes
        return self.log_file.read_text("utf-8") + self.log_file.with_name("error.log").read_text("utf-8")


@contextlib.contextmanager
def front(**names: str) -> Iterator[Front]:
    stubs = Stub(), Stub()
    with contextlib.ExitStack() as stack:
        for stub in stubs:
            stack.enter_context(stub.serve())
        url, log_file = stack.enter_context(nginx_before([stub.address for stub in stubs], **names))
        yield Front(int(urlparse(url).port or 0), log_file, stubs)


@pytest.fixture
def site() -> Iterator[Front]:
    with front() as site:
        yield site


def status_of(connection: socket.socket) -> int:
    """Of the answer; 0 where the connection was closed without one."""
    line = connection.recv(65536).split(b"\r\n")[0].split()
    return int(line[1]) if len(line) > 1 else 0


def number(pattern: str) -> int:
    [text] = re.findall(pattern, TEMPLATE.read_text("utf-8"))
    return int(text)


@pytest.mark.parametrize("character", ["%0A", "%0D", "%09", "%1f", "%7F", "%C2%85", "%E2%80%A8"])
def test_a_path_with_a_control_character_reaches_no_replica(site: Front, character: str) -> None:
    for path in ("/_stcore/metrics", "/_stcore/stream", "/", "/static/js/index.js"):
        assert site.get(path + character) in (400, 404)
    with site.begin("/_stcore/stream" + character) as visit:
        assert status_of(visit) == 400

    assert site.requests() == []


def test_of_streamlits_own_addresses_only_those_that_a_page_asks_for_reach_a_replica(site: Front) -> None:
    for path in ("metrics", "metrics/", "METRICS", "agent/mcp", "script-health-check", "new-in-the-next", "%6Detrics"):
        assert site.get(f"/_stcore/{path}") == 404
        assert site.get(f"/x/..//_stcore/./{path}") == 404
    assert site.requests() == []

    for path in ("stream", "health", "host-config", "upload_file/visit/file", "bidi-components/xent/live.js"):
        assert site.get(f"/_stcore/{path}") == 204


def test_no_spelling_of_the_path_of_a_visit_leads_past_the_limit_on_visits(site: Front) -> None:
    burst, rate = number(r"zone=visits burst=(\d+) nodelay"), number(r"zone=visits:10m rate=(\d+)r/s")
    begun = time.monotonic()
    with contextlib.ExitStack() as stack:
        for stub in site.stubs:
            stub.is_full = True  # so that none stays open, which has a limit of its own
        visits = [
            stack.enter_context(
                site.begin(SPELLINGS[attempt % len(SPELLINGS)], protocol=f"{'wW'[attempt % 2]}ebSocket")
            )
            for attempt in range(2 * burst)
        ]
        statuses = [status_of(visit) for visit in visits]

    assert set(statuses) == {429, 503}
    assert burst <= statuses.count(503) <= burst + 5 + rate * (time.monotonic() - begun)


def test_nothing_but_a_websocket_is_upgraded(site: Front) -> None:
    for protocol in ("h2c", "websocket, h2c", "x"):
        with site.begin(protocol=protocol) as visit:
            assert status_of(visit) == 204

    assert not any({"Upgrade"} & headers.keys() for _method, _path, headers in site.requests())


def test_one_address_holds_no_more_visits_than_one_replica_takes_and_others_get_in() -> None:
    most = number(r"limit_conn open_visits (\d+);")
    assert most <= ConnectionLimits().visits

    with front(XENT_PROXY="127.0.0.1") as site, contextlib.ExitStack() as stack:

        def begin(address: str) -> int:
            text = HANDSHAKE.format(path="/", replica="1", protocol="websocket")
            visit = stack.enter_context(site.raw(text.replace("\r\n\r\n", f"\r\nX-Forwarded-For: {address}\r\n\r\n")))
            return status_of(visit)

        assert {begin("2001:db8:1:2::1") for _ in range(most)} == {101}
        assert begin("2001:db8:1:2::1") == 429
        assert begin("2001:db8:1:2:ffff:ffff:ffff:ffff") == 429  # another address of the same customer
        assert begin("2001:db8:1:3::1") == 101
        assert begin("192.0.2.1") == begin("192.0.2.2") == 101


def test_when_one_replica_is_full_the_other_one_answers_and_the_cookie_names_it(site: Front) -> None:
    site.stubs[0].is_full = True

    with site.begin(replica="1") as visit:
        answer = visit.recv(65536).decode()
        assert answer.startswith("HTTP/1.1 101")
        assert "Set-Cookie: xent_replica=2;" in answer
    assert site.get("/", "Cookie: xent_replica=1") == 204
    site.stubs[1].is_full = True
    assert site.get("/", "Cookie: xent_replica=1") == 503


def test_an_upload_that_a_full_replica_refuses_is_not_sent_to_the_other_one(site: Front) -> None:
    site.stubs[0].is_full = True
    line = "PUT /_stcore/upload_file/visit/file HTTP/1.1"

    assert site.ask(line, "Host: 127.0.0.1", "Cookie: xent_replica=1", "Content-Length: 2", body="ab") == 503
    assert len(site.requests()) == 1


def test_a_request_line_with_our_name_and_a_header_with_another_one_reach_no_replica(site: Front) -> None:
    ours = f"127.0.0.1:{site.port}"
    for name in ("elsewhere.example", "127.0.0.1.elsewhere.example", "127.0.0.1:80:80", "127.0.0.1 x", "127x0.0.1"):
        assert site.ask("GET http://127.0.0.1/ HTTP/1.1", f"Host: {name}") in (400, 421)
        assert site.ask(f"GET http://{ours}/ HTTP/1.1", f"Host: {name}") in (400, 421)
    assert site.ask("GET http://elsewhere.example/ HTTP/1.1", "Host: 127.0.0.1") == 421
    assert site.ask("GET http://127.0.0.1/ HTTP/1.0") in (400, 421)
    assert site.ask("GET / HTTP/1.1", "Host: 127.0.0.1", "Host: elsewhere.example") == 400
    assert site.requests() == []

    for name in ("127.0.0.1", ours):
        assert site.ask("GET / HTTP/1.1", f"Host: {name}") == 204
        assert site.ask(f"GET http://{name}/ HTTP/1.1", f"Host: {name}") == 204


def test_a_name_in_capitals_or_with_its_last_dot_is_ours_too() -> None:
    with front(XENT_HOSTS="xent.example") as site:
        for name in ("xent.example", "Xent.EXAMPLE:8080", "xent.example."):
            assert site.ask("GET / HTTP/1.1", f"Host: {name}") == 204
        assert site.ask("GET / HTTP/1.1", "Host: xentxexample") == 421


@pytest.mark.long
def test_what_is_half_sent_is_closed(site: Front) -> None:
    head = "Host: 127.0.0.1\r\nContent-Length: 1000"
    elsewhere = "Host: elsewhere.example\r\nContent-Length: 1000"
    starts = {
        "nothing": "",
        "half a line": "GET /",
        "half a header": "GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX: ",
        "half a body": f"PUT / HTTP/1.1\r\n{head}\r\n\r\n",
        "half a body in pieces": "PUT / HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n",
        "half a body for nobody": f"PUT / HTTP/1.1\r\n{elsewhere}\r\n\r\n",
        "half an upload": f"PUT /_stcore/upload_file/a/b HTTP/1.1\r\n{head}\r\n\r\n",
    }
    left = {}
    for name, text in starts.items():
        left[name] = site.raw(text)
        if name.startswith("half") and name != "half an upload":  # whose speed the replica watches
            left[f"{name}, and more of it each second"] = site.raw(text)
    begun = time.monotonic()
    while left and time.monotonic() < begun + HALF_SENT_SECONDS:
        time.sleep(0.5)  # a byte more of those that drip, twice a second
        left = {name: connection for name, connection in left.items() if not ended(connection, drip="more" in name)}

    assert list(left) == []


def ended(connection: socket.socket, *, drip: bool) -> bool:
    """Whether the other end has closed it, or answered that it takes no more."""
    try:
        if drip:
            connection.sendall(b"a")
        connection.settimeout(0.01)
        while connection.recv(65536):
            pass
    except TimeoutError:
        return False
    except OSError:
        pass
    connection.close()
    return True


def test_an_upload_that_comes_a_byte_at_a_time_reaches_the_replica_which_watches_its_speed(site: Front) -> None:
    with site.raw("PUT /_stcore/upload_file/a/b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000\r\n\r\nx"):
        deadline = time.monotonic() + 10
        while not site.requests() and time.monotonic() < deadline:
            time.sleep(0.02)  # between two looks
        assert [path for _method, path, _headers in site.requests()] == ["/_stcore/upload_file/a/b"]


def test_methods_and_bodies_that_no_page_sends_reach_no_replica(site: Front) -> None:
    host = "Host: 127.0.0.1"
    for method in ("POST", "PATCH", "PROPFIND", "X" * 500):
        assert site.ask(f"{method} / HTTP/1.1", host) == 405
    assert site.ask("GET / HTTP/1.1", host, "Content-Length: 2", body="ab") == 413
    assert site.ask("GET / HTTP/1.1", host, "Transfer-Encoding: chunked", body="0\r\n\r\n") == 413
    assert site.requests() == []
    assert site.ask("GET / HTTP/1.1", host, "Content-Length: 0") == 204


def test_a_file_of_the_app_is_asked_for_once_however_it_is_asked_for(site: Front) -> None:
    for number in range(30):
        connection = http.client.HTTPConnection("127.0.0.1", site.port)
        headers = {"Accept-Encoding": f"gzip, x{number}", "Cookie": f"xent_replica={number}", "Vary": str(number)}
        connection.request("GET", f"/static/js/index.js?{number}", headers=headers)
        answer = connection.getresponse()
        body = answer.read()
        assert answer.status == 200
        assert (answer.headers["Content-Encoding"], answer.headers["Set-Cookie"]) == ("gzip", None)
        assert len(body) < 1000
        connection.close()
    assert site.get("/static/js/./x/..//index.js") == 200  # plain

    assert [path for _method, path, _headers in site.requests()] == ["/static/js/index.js"] * 2


def test_files_that_are_not_there_are_asked_for_no_faster_than_the_limit(site: Front) -> None:
    burst, rate = number(r"zone=new_files burst=(\d+)"), number(r"zone=new_files:10m rate=(\d+)r/s")
    begun = time.monotonic()
    connection = http.client.HTTPConnection("127.0.0.1", site.port)
    statuses = []
    while 429 not in statuses and len(statuses) < 10 * burst:
        connection.request("GET", f"/static/{len(statuses)}")
        answer = connection.getresponse()
        answer.read()
        statuses.append(answer.status)
    connection.close()

    assert burst <= statuses.index(429) <= burst + 5 + rate * (time.monotonic() - begun)
    assert 429 in {site.get("/static/js/index.js") for _ in range(20)}  # some may pass, as time goes by
    assert site.get("/") == 204


FORGED = (
    *("X-Forwarded-For: 192.0.2.66", "X-Forwarded-For: 192.0.2.67", "X-Real-IP: 192.0.2.66"),
    *("Forwarded: for=192.0.2.66;proto=https", "X-Forwarded-Proto: https", "X_Forwarded_For: 192.0.2.66"),
    *("X-Forwarded-Host: elsewhere.example", "X-Forwarded-Port: 66", "X-Forwarded-Prefix: /192.0.2.66"),
)


def test_nobody_can_say_that_he_comes_from_another_address(site: Front) -> None:
    assert site.get("/", *FORGED) == 204

    [(_method, _path, headers)] = site.requests()
    assert headers["X-Forwarded-For"] == "127.0.0.1"
    assert headers["X-Forwarded-Proto"] == "http"
    assert not any(re.search(r"192\.0\.2\.|elsewhere|66|https", value) for value in headers.values())


def test_the_proxy_that_is_named_says_who_comes_and_how_and_nobody_before_it(site: Front) -> None:
    with front(XENT_PROXY="127.0.0.1") as behind:
        assert behind.get("/", "X-Forwarded-For: 203.0.113.66, 192.0.2.7", "X-Forwarded-Proto: https") == 204
        [(_method, _path, headers)] = behind.requests()
    assert headers["X-Forwarded-For"] == "192.0.2.7"  # what the proxy added, not what it was told
    assert headers["X-Forwarded-Proto"] == "https"


def test_behind_tls_the_cookie_goes_nowhere_else() -> None:
    with front(XENT_PROXY="127.0.0.1") as site:
        connection = http.client.HTTPConnection("127.0.0.1", site.port)
        for scheme, expected in (("https", True), ("http", False)):
            connection.request("GET", "/", headers={"X-Forwarded-Proto": scheme})
            answer = connection.getresponse()
            answer.read()
            cookie = answer.headers["Set-Cookie"]
            assert ("; Secure" in cookie) is expected
            assert "; HttpOnly; SameSite=Lax" in cookie
        connection.close()


def test_the_name_of_a_visit_reaches_no_log(site: Front) -> None:
    visit, file = str(uuid.uuid4()), str(uuid.uuid4())
    host = "Host: 127.0.0.1"
    path = f"/_stcore/upload_file/{visit}/{file}"
    upload = f"PUT {path} HTTP/1.1"
    shutil.rmtree(site.log_file.parent / "body")  # nginx would say so, with the request
    site.ask(upload, host, "Content-Length: 40000", body="x" * 40_000)
    site.ask(upload, "Host: elsewhere.example", "Content-Length: 2", body="ab")
    for way in (
        path,
        f"/{visit}",
        f"/x{path}",
        path.replace("upload", "%75pload"),
        f"/media/{visit}.csv",
        f"{path}%0A",
    ):
        site.get(way)
        site.get(f"{way}?{visit}", f"Referer: {visit}", f"User-Agent: {visit}", f"Cookie: xent_replica={visit}")
    for stub in site.stubs:
        stub.is_full = True
    site.get(path)

    text = site.logged()
    assert visit[:8] not in text
    assert file[:8] not in text
    assert text.count('"path": "/_stcore/upload_file"') >= 4


def test_a_line_of_the_log_is_short_and_one_line_and_no_visitors_text(site: Front) -> None:
    host = "Host: 127.0.0.1"
    site.ask(f"GET /{'secret' * 4000} HTTP/1.1", host)
    site.ask(f"{'SECRET' * 1000} / HTTP/1.1", host)
    site.ask("GET /secret%0A%22,%22event%22:%22secret HTTP/1.1", host)
    site.ask("secret secret secret", host)

    lines = site.logged().splitlines()
    assert len(lines) == 4
    assert "secret" not in "".join(lines).lower()
    assert max(map(len, lines)) < 300


def test_the_log_may_go_to_a_socket_as_under_systemd() -> None:
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        place = Path(folder) / "log"
        listener.bind(str(place))
        listener.settimeout(10)
        place.chmod(0o777)  # nginx works as somebody else
        place.parent.chmod(0o755)
        with front(XENT_LOG=f"syslog:server=unix:{place},nohostname,tag=xent_nginx") as site:
            assert site.get("/") == 204
            message = listener.recv(65536).decode()
    assert 'xent_nginx: {"time"' in message


def limits_of(template: str) -> dict[str, Any]:
    """Zone by zone: how many at once, a second, and in a burst."""
    return {
        "open": {zone: int(most) for zone, most in re.findall(r"limit_conn (\w+) (\d+);", template)},
        "rate": {zone: int(most) for zone, most in re.findall(r"zone=(\w+):\w+ rate=(\d+)r/s", template)},
        "burst": {zone: int(most) for zone, most in re.findall(r"limit_req zone=(\w+) burst=(\d+)", template)},
    }


def test_a_class_of_sixty_and_two_hundred_who_come_five_a_second_are_within_the_limits_of_an_address() -> None:
    limits = limits_of(TEMPLATE.read_text("utf-8"))
    for zone, each in (("visits", 1), ("requests", 10), ("files", 130)):
        assert limits["burst"][zone] >= 60 * each
        # 200 visitors, five a second, for 40 seconds
        assert limits["burst"][zone] + 40 * limits["rate"][zone] >= 200 * each
        assert limits["rate"][zone] >= 5 * each
    assert limits["open"]["open_visits"] == 200
    assert limits["open"]["open_requests"] >= 60 * 6  # a browser keeps six connections
