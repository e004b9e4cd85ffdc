"""Websocket frames and messages of Streamlit's protocol that no browser sends, and another's visit."""

import asyncio
import contextlib
import itertools
import time
from collections.abc import Callable
from functools import cache, partial
from urllib.parse import urlparse

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from harness.attacks.attack import RETURN_SECONDS, Attack, Outcome, Site, repeat, together
from harness.heavy_use import Downloader
from harness.raw_websocket import BINARY, CONTINUATION, FLOODS, RawWebSocket, flood_with, frame
from harness.visitor import Visitor, WrongAnswer

FRAGMENTED, FRAGMENTED_BYTES, FRAGMENT_BYTES = 12, 46_000_000, 60_000
CSV_BUTTON = "download_cross-entropy_csv"
ANSWER_SECONDS = 2.0  # until a message that is neither answered nor refused counts as left out
PADDING, PADDED_VISITS, PADDED_BYTES_A_SECOND = 32, 120, 1e6
ANSWER_BYTES = 200_000  # of what asks where to put a file


async def floods(site: Site, outcome: Outcome, kind: str) -> None:
    """The same frame, as fast as it is taken, in one connection after the other."""
    found = await asyncio.to_thread(flood_with, kind, site.url, site.seconds - 1, site.source)
    outcome.sent(found.sent)
    if found.connections > 1:
        outcome.refused("hung up", found.connections - 1)


async def unfinished(site: Site, outcome: Outcome) -> None:
    """Twelve messages of 46 MB in parts, each kept just before its end, until the server hangs up."""
    end = time.monotonic() + site.seconds - 1

    def one() -> None:
        while time.monotonic() < end:
            with contextlib.suppress(OSError), RawWebSocket(site.url, source=site.source) as connection:
                try:
                    for number in range(FRAGMENTED_BYTES // FRAGMENT_BYTES):
                        kind = CONTINUATION if number else BINARY
                        connection.send(frame(kind, bytes(FRAGMENT_BYTES), last=False))
                        outcome.sent()
                except OSError:
                    outcome.refused("hung up")
                    continue
                if connection.closes_within(max(end - time.monotonic(), 0.1)):
                    outcome.refused("hung up")
            time.sleep(RETURN_SECONDS)  # whoever was hung up on comes again, in a thread of its own

    await together(*(asyncio.to_thread(one) for _ in range(FRAGMENTED)))


async def padded(site: Site, outcome: Outcome) -> None:
    """Heartbeats that are large by fields which nobody knows, in visits of which none sends much by itself."""
    unknown = b"\xfa\x07" + b"\x80\x10" + bytes(2048)  # a text under number 127
    message = BackMsg(app_heartbeat=True).SerializeToString() + unknown * PADDING

    async def one() -> None:
        while True:
            with outcome.hung_up():
                async with site.connect() as connection:
                    while True:
                        await connection.send(message)
                        outcome.sent()
                        await asyncio.sleep(len(message) / PADDED_BYTES_A_SECOND)
            await asyncio.sleep(RETURN_SECONDS)

    await together(*(one() for _ in range(PADDED_VISITS)))


async def first_messages(site: Site, outcome: Outcome) -> None:
    """Visits that begin with values for the widgets of the page, of kinds that these never have."""
    async with site.visitor() as one:
        await one.settle()
        identifiers = [widget.identifier for widget in one.widgets.values()]
    values = ({"string_value": "x"}, {"bool_value": True}, {"json_value": "1"}, {"json_trigger_value": "{}"})
    for value in itertools.cycle(values):
        outcome.sent()
        with outcome.hung_up():
            visitor = site.visitor()
            visitor.values = {name: WidgetState(id=name, **value) for name in identifiers}
            async with visitor:
                outcome.page(visitor)


@cache
def many_names(count: int) -> bytes:
    """Where to put so many files; names without a letter, as the shortest."""
    message = BackMsg()
    message.file_urls_request.request_id = "1"
    message.file_urls_request.file_names.extend([""] * count)
    return message.SerializeToString()


@cache
def many_states(count: int) -> bytes:
    """A run with so many widgets that are nothing."""
    message = BackMsg()
    for _ in range(count):
        message.rerun_script.widget_states.widgets.add()
    return message.SerializeToString()


@cache
def many_ids(count: int) -> bytes:
    """A run with so many widgets that nobody has."""
    message = BackMsg()
    for number in range(count):
        message.rerun_script.widget_states.widgets.add(id=f"{number:07d}")
    return message.SerializeToString()


@cache
def many_hashes(count: int) -> bytes:
    """A run of somebody who says that so many messages are in his browser."""
    message = BackMsg()
    message.rerun_script.cached_message_hashes.extend(f"{number:05x}" for number in range(count))
    return message.SerializeToString()


async def _send(site: Site, outcome: Outcome, message: Callable[[], bytes]) -> None:
    """The message, again and again."""

    async def once(visitor: Visitor, _number: int) -> None:
        await visitor.socket.send(message())
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                await _answer(visitor, outcome)
        except TimeoutError:
            outcome.refused("left out")
            await visitor.run()  # the visit goes on

    await repeat(outcome, site.visitor, once, itertools.count())


async def _answer(visitor: Visitor, outcome: Outcome) -> None:
    while True:
        data = await visitor.socket.recv()
        kind = ForwardMsg.FromString(data).WhichOneof("type")
        if kind == "file_urls_response" and len(data) > ANSWER_BYTES:
            outcome.fault(f"an answer of {len(data) / 1e6:.1f} MB")
        if kind in ("file_urls_response", "script_finished"):
            return


async def many_files(site: Site, outcome: Outcome) -> None:
    """950 000 names without a letter: 1.9 MB."""
    await _send(site, outcome, partial(many_names, 950_000))


async def some_files(site: Site, outcome: Outcome) -> None:
    """10 000 names: 20 kB, again and again."""
    await _send(site, outcome, partial(many_names, 10_000))


async def empty_states(site: Site, outcome: Outcome) -> None:
    """900 000 widgets that are nothing: 1.8 MB."""
    await _send(site, outcome, partial(many_states, 900_000))


async def ids(site: Site, outcome: Outcome) -> None:
    """170 000 widgets that nobody has: 1.9 MB."""
    await _send(site, outcome, partial(many_ids, 170_000))


async def hashes(site: Site, outcome: Outcome) -> None:
    """260 000 messages that somebody says to have: 1.8 MB."""
    await _send(site, outcome, partial(many_hashes, 260_000))


async def take_over(site: Site, outcome: Outcome) -> None:
    """A live visit, asked for by its number alone, and with the cookies of another visit."""
    address = urlparse(site.url).netloc
    for number in itertools.count():
        async with Visitor(site.url, source="127.0.0.1") as owner, site.visitor() as other:
            outcome.visits |= {owner.session, other.session}
            await owner.edit(0, 0, f"{number % 9}.5")
            for cookies in ({}, other.cookies):
                outcome.sent()
                stranger = site.visitor(query="")
                headers = {"Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
                protocols = [websockets.Subprotocol(text) for text in ("streamlit", "x", owner.session)]
                with outcome.hung_up():
                    stranger.socket = await websockets.connect(
                        f"ws://{address}/_stcore/stream",
                        subprotocols=protocols,
                        origin=site.url,
                        local_addr=(site.source, 0),
                        additional_headers=headers,
                        max_size=None,
                    )
                    await stranger.run()
                    await stranger.socket.close()
                if stranger.session == owner.session:
                    outcome.fault("a stranger sits in another's visit")
                    return
                outcome.refused("a visit of his own")
                try:
                    await owner.edit(0, 1, f"{number % 7}.25")
                except (TimeoutError, WrongAnswer, websockets.ConnectionClosed) as error:
                    outcome.fault(f"the owner's tab is silent: {error!r:.60}")
                    return


class Client(Downloader):
    """A visitor who fetches what a button makes, and puts files where they do not belong."""

    async def url_of(self, key: str) -> str:
        """Where the file of a button lies; "" if the server does not say."""
        await self.ask(key)
        answer = await self._receive_until("backend_operation_response")
        return str(answer.backend_operation_response.deferred_file.url)

    async def fetch(self, path: str) -> int:
        """The status of the answer, with the cookies of this visitor."""
        answer = await asyncio.to_thread(self._request, "GET", path, {"Cookie": self._cookie_header()})
        return answer.status

    async def put_into(self, visit: str) -> int:
        """The status of an upload into a visit."""
        return await asyncio.to_thread(self._put, f"/_stcore/upload_file/{visit}/1", "batch.json", b"{}")


async def others_files(site: Site, outcome: Outcome) -> None:
    """What a button of another made, what it would make, and an upload into his visit."""
    owner = Client(site.url, page="export", source="127.0.0.1")
    stranger = Client(site.url, page="export", source=site.source)
    async with owner, stranger:
        outcome.visits |= {owner.session, stranger.session}
        url = await owner.url_of(CSV_BUTTON)
        if await owner.fetch(url) != 200:
            outcome.fault("the owner does not get his file")
        stranger.files = dict(owner.files)
        asked_for = await stranger.url_of(CSV_BUTTON)
        outcome.sent(3)
        if asked_for:
            outcome.fault("a stranger is told where another's file lies")
        for what, status in (
            ("gets another's file", await stranger.fetch(url)),
            ("puts a file into another's visit", await stranger.put_into(owner.session)),
        ):
            outcome.status(status)
            if status < 400:
                outcome.fault(f"a stranger {what}")


FAMILY = "messages"
ATTACKS = (
    *(
        Attack(
            kind.replace(" ", "-"),
            FAMILY,
            f"{kind}, as fast as they are taken",
            partial(floods, kind=kind),
            through_nginx=True,
        )
        for kind in FLOODS
    ),
    Attack("unfinished", FAMILY, "12 messages of 46 MB that do not end", unfinished, seconds=20, through_nginx=True),
    Attack("padded", FAMILY, f"large heartbeats of {PADDED_VISITS} visits, each below its own limit", padded),
    Attack("first-messages", FAMILY, "visits that begin with values of other kinds", first_messages, is_refused=False),
    Attack("files-950000", FAMILY, "950 000 names of files", many_files, prepare=partial(many_names, 950_000)),
    Attack("files-10000", FAMILY, "10 000 names of files", some_files, prepare=partial(many_names, 10_000)),
    Attack("empty-states", FAMILY, "900 000 empty widgets", empty_states, prepare=partial(many_states, 900_000)),
    Attack("ids", FAMILY, "170 000 widgets that nobody has", ids, prepare=partial(many_ids, 170_000)),
    Attack("hashes", FAMILY, "260 000 messages that a browser has", hashes, prepare=partial(many_hashes, 260_000)),
    Attack(
        "others-files", FAMILY, "another's downloads and uploads", others_files, ends_itself=True, through_nginx=True
    ),
    Attack("take-over", FAMILY, "another's live visit, by its number", take_over, through_nginx=True),
)
