"""Addresses and requests that are written in a way that no browser writes them."""

import asyncio
import base64
import itertools
import os
import re
import time
from urllib.parse import urlparse

from harness.attacks.attack import Attack, Outcome, Site, together

ANSWER_SECONDS = 10.0
HELD_SECONDS = 20.0  # an honest header is there sooner
HALF_SENT = 100
HEADER_LINES, CONNECTIONS, REQUESTS_A_SECOND = 16_000, 50, 100
FLOOD = 250
LINE_BREAKS = ("%0A", "%0a", "%0D%0A", "%0A.png", "%00", "%09", "%20", "%0A%0A", "/%0A", "/.", "//", "%2F", ";x")
FIGURES = re.compile(rb"^# (TYPE|EOF)|\"openapi\":", re.MULTILINE)


async def request(site: Site, head: str, *, seconds: float = ANSWER_SECONDS) -> tuple[int, bytes]:
    """Status and answer of a request that is sent byte for byte; 0 if the server hangs up without an answer."""
    address = urlparse(site.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, local_addr=(site.source, 0))
    try:
        writer.write(head.encode("latin-1"))
        async with asyncio.timeout(seconds):
            await writer.drain()
            first = await reader.readline()
            rest = await reader.read(20_000)
    except ConnectionError:
        return 0, b""
    finally:
        writer.close()
    found = re.match(rb"HTTP/1\.[01] (\d{3})", first)
    return int(found[1]) if found else 0, rest


def get(path: str, host: str, *more: str) -> str:
    """The head of a request."""
    return "\r\n".join([f"GET {path} HTTP/1.1", f"Host: {host}", "Connection: close", *more, "", ""])


def handshake(path: str, host: str, origin: str) -> str:
    """The head of a request that begins a visit."""
    key = base64.b64encode(os.urandom(16)).decode()
    more = (f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Protocol: streamlit")
    head = get(path, host, "Upgrade: websocket", f"Origin: {origin}", *more)
    return head.replace("Connection: close", "Connection: Upgrade")


async def closed_addresses(site: Site, outcome: Outcome) -> None:
    """The server's own figures, under spellings that a comparison could miss."""
    host = urlparse(site.url).netloc
    for place, ending in itertools.cycle(
        itertools.product(("metrics", "agent/openapi.json", "agent", "script-health-check"), ("", *LINE_BREAKS))
    ):
        outcome.sent()
        status, answer = await request(site, get(f"/_stcore/{place}{ending}", host))
        outcome.status(status or 400)
        if FIGURES.search(answer):
            outcome.fault(f"/_stcore/{place}{ending} shows the figures of the server")
        await asyncio.sleep(0.01)


async def other_hosts(site: Site, outcome: Outcome) -> None:
    """Request lines with a whole address in them, where one name in the request is ours and one is not."""
    host = urlparse(site.url).netloc
    theirs = "elsewhere.example"
    for address, named in itertools.cycle(((theirs, host), (host, theirs), (theirs, theirs), (f"x@{host}", theirs))):
        outcome.sent()
        status, _answer = await request(site, get(f"http://{address}/healthz", named))
        outcome.status(status or 400)
        if status == 200:
            outcome.fault(f"http://{address}/ is answered to Host: {named}")
        await asyncio.sleep(0.02)


async def odd_origins(site: Site, outcome: Outcome) -> None:
    """Visits that come from an origin that cannot be read."""
    host = urlparse(site.url).netloc
    for origin in itertools.cycle(("http://[::1", "http://[", "http://]:x", "http://a:99999999", "null", "//[v1.]")):
        outcome.sent()
        status, _answer = await request(site, handshake("/_stcore/stream", host, origin))
        outcome.status(status or 400)
        await asyncio.sleep(0.02)


async def half_sent(site: Site, outcome: Outcome) -> None:
    """Requests that begin and do not end: the server closes each within seconds."""
    address = urlparse(site.url)

    async def one() -> None:
        begun = time.monotonic()
        outcome.sent()
        reader, writer = await asyncio.open_connection(address.hostname, address.port, local_addr=(site.source, 0))
        writer.write(b"GET / HTTP/1.1\r\nHost: " + address.netloc.encode() + b"\r\nX-Half: ")
        try:
            async with asyncio.timeout(HELD_SECONDS):
                await reader.read(1000)
            outcome.refused("closed")
        except ConnectionError:
            outcome.refused("closed")
        except TimeoutError:
            outcome.fault(f"a request without an end is open after {time.monotonic() - begun:.0f} s")
        finally:
            writer.close()

    await asyncio.gather(*(one() for _ in range(HALF_SENT)))


async def many_headers(site: Site, outcome: Outcome) -> None:
    """Requests whose heads have 16 000 lines, over fifty connections at once."""
    head = get("/healthz", urlparse(site.url).netloc, *["a:"] * HEADER_LINES)

    async def one() -> None:
        while True:
            outcome.sent()
            status, _answer = await request(site, head)
            outcome.status(status or 400)
            if status == 200:
                outcome.fault(f"a request with {HEADER_LINES} headers is answered")
            await asyncio.sleep(CONNECTIONS / REQUESTS_A_SECOND)

    await together(*(one() for _ in range(CONNECTIONS)))


async def begun(site: Site, path: str, count: int) -> int:
    """How many of so many visits begin there at once."""
    host = urlparse(site.url).netloc
    writers = []
    open_ones = 0
    address = urlparse(site.url)
    try:
        for _ in range(count):
            reader, writer = await asyncio.open_connection(address.hostname, address.port, local_addr=(site.source, 0))
            writers.append(writer)
            writer.write(handshake(path, host, site.url).encode())
            async with asyncio.timeout(ANSWER_SECONDS):
                open_ones += b" 101 " in await reader.readline()
    finally:
        for writer in writers:
            writer.close()
    return open_ones


async def stream_spellings(site: Site, outcome: Outcome) -> None:
    """Visits that begin at an address which only looks like another: no more of them than at the plain one."""
    for ending in ("%0A", "/", "%20", "%0D"):
        outcome.sent(FLOOD)
        if opened := await begun(site, f"/_stcore/stream{ending}", FLOOD):
            outcome.fault(f"{opened} of {FLOOD} visits begin at /_stcore/stream{ending}")
        else:
            outcome.refused("no visit begins")
        await asyncio.sleep(0.5)


FAMILY = "addresses"
ATTACKS = (
    Attack("closed-addresses", FAMILY, "/_stcore/metrics%0A and the like", closed_addresses, through_nginx=True),
    Attack(
        "other-hosts",
        FAMILY,
        "two names of hosts in one request",
        other_hosts,
        through_nginx=True,
    ),
    Attack("odd-origins", FAMILY, "Origin: http://[::1 and the like", odd_origins),
    Attack(
        "half-sent",
        FAMILY,
        f"{HALF_SENT} requests that do not end",
        half_sent,
        ends_itself=True,
        through_nginx=True,
    ),
    Attack("many-headers", FAMILY, f"requests of {HEADER_LINES} headers", many_headers, through_nginx=True),
    Attack(
        "stream-spellings",
        FAMILY,
        f"{FLOOD} visits at once at /_stcore/stream%0A",
        stream_spellings,
        ends_itself=True,
        through_nginx=True,
    ),
)
