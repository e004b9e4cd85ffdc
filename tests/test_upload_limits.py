"""Which uploads are let in, how fast they must come, and whose files give way."""

import asyncio
import json
from typing import Any

import pytest
from starlette.types import Message, Receive, Scope, Send

from harness.aio import in_a_thread
from tests.asgi import HERE, answer, fine, http, settle, status
from xent_host.upload_limits import UploadLimits, Uploads
from xent_ui.server.limits import PUBLIC_VARIABLE

MB = 2**20
THERE, ELSEWHERE = "192.0.2.2", "192.0.2.3"


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")


class Clock:
    now = 1000.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("xent_host.address_shares.monotonic", lambda: clock.now)
    return clock


class Held:
    """The files of a server, in memory."""

    def __init__(self, **files: list[int]) -> None:
        self.files = files
        self.left: set[str] = set()

    def sizes(self) -> dict[str, list[int]]:
        return {visit: list(sizes) for visit, sizes in self.files.items()}

    def drop_oldest(self, visit: str) -> None:
        self.files[visit].pop(0)

    def is_open(self, visit: str) -> bool:
        return visit not in self.left


class Site:
    """Uploads to an app that keeps what it takes."""

    def __init__(self, limits: UploadLimits, held: Held) -> None:
        async def keep(scope: Scope, receive: Receive, send: Send) -> None:
            size = 0
            while size < int(dict(scope["headers"])[b"content-length"]) and scope["reads"]:
                size += len((await receive())["body"])
            held.files.setdefault(scope["path"], []).append(int(dict(scope["headers"])[b"content-length"]))
            await fine(scope, receive, send)

        self.uploads = Uploads(keep, limits, held)

    async def put(self, visit: str, size: object, address: str = HERE, **headers: str) -> int:
        scope = http(visit, "PUT", content_length=str(size), **headers) | {"reads": False}
        return await status(lambda *call: self.uploads.take(visit, address, *call), scope)

    async def drip(self, visit: str, pieces: list[int], pause: float, address: str = HERE) -> int:
        """Upload piece by piece, with pauses."""
        scope = http(visit, "PUT", content_length=str(sum(pieces) + 1)) | {"reads": True}
        sent: list[Message] = []

        async def receive() -> Message:
            await asyncio.sleep(pause if pieces else 1000.0)
            return {"type": "http.request", "body": b"x" * pieces.pop(0), "more_body": True}

        async def send(message: Message) -> None:
            sent.append(message)

        await self.uploads.take(visit, address, scope, receive, send)
        code: int = sent[0]["status"]
        return code


@pytest.mark.parametrize(
    ("size", "held", "code"),
    [
        (1 * MB, {}, 200),
        (10 * MB, {"visit": [MB]}, 200),
        (10 * MB, {"visit": [MB] * 3}, 429),  # as many files as a visit may hold
        (10 * MB, {"visit": [20 * MB]}, 429),
        (10 * MB, {"other": [20 * MB]}, 200),
        (10 * MB, {str(visit): [20 * MB] for visit in range(5)}, 429),
        (33 * MB, {}, 413),
        (-1, {}, 411),
        ("1e3", {}, 411),
        ("", {}, 411),
        ("²", {}, 411),
    ],
)
def test_uploads_stay_within_what_the_memory_holds(size: object, held: dict[str, list[int]], code: int) -> None:
    site = Site(UploadLimits(files=3, files_mb=25, all_files_mb=100, request_mb=32), Held(**held))

    assert in_a_thread(site.put("visit", size, address="")) == code


def test_an_upload_of_no_known_size_is_refused_whatever_it_says() -> None:
    assert in_a_thread(Site(UploadLimits(), Held()).put("visit", 5, transfer_encoding="chunked")) == 411


def test_what_is_on_its_way_counts_as_held() -> None:
    async def scene() -> list[int]:
        go_on = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            await go_on.wait()
            await fine(scope, receive, send)

        uploads = Uploads(slow, UploadLimits(at_once=16, files=2, all_files_mb=100), Held())

        def put(visit: str, size: int) -> asyncio.Task[int]:
            scope = http("/", "PUT", content_length=str(size))
            return asyncio.create_task(status(lambda *call: uploads.take(visit, HERE, *call), scope))

        tasks = [put("a", 1), put("a", 1), put("a", 1), put("b", 30 * MB), put("c", 30 * MB), put("d", 30 * MB)]
        await settle()
        tasks.append(put("e", 30 * MB))
        await settle()
        go_on.set()
        return [await task for task in tasks]

    assert in_a_thread(scene()) == [200, 200, 429, 200, 200, 200, 429]


@pytest.mark.parametrize(("removed", "code"), [({}, 200), ({"visit": [60 * MB]}, 429), ({"other": [60 * MB]}, 429)])
def test_what_was_removed_and_is_still_held_counts(removed: dict[str, list[int]], code: int) -> None:
    limits = UploadLimits(files_mb=80, all_files_mb=80)
    uploads = Uploads(fine, limits, Held(), removed=lambda: removed)

    scope = http("visit", "PUT", content_length=str(30 * MB))
    assert in_a_thread(status(lambda *call: uploads.take("visit", HERE, *call), scope)) == code


def test_a_class_that_uploads_all_at_once_waits_for_its_turns(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> tuple[list[int], int]:
        most = 0

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            nonlocal most
            most = max(most, len(uploads))
            await settle()
            await fine(scope, receive, send)

        uploads = Uploads(slow, UploadLimits(), Held())
        scope = http("/", "PUT", content_length="5")
        tasks = [
            asyncio.create_task(status(lambda *call, visit=str(visit): uploads.take(visit, HERE, *call), scope))
            for visit in range(60)
        ]
        return [await task for task in tasks], most

    codes, most = in_a_thread(scene())
    assert codes == [200] * 60
    assert most == 2


def test_one_address_does_not_hold_all_uploads(capsys: pytest.CaptureFixture[str]) -> None:
    async def scene() -> list[Any]:
        site = Site(UploadLimits(waiting=4), Held())
        slow = [asyncio.create_task(site.drip(str(visit), [], 0.0)) for visit in range(20)]
        await settle()
        refused = sum(task.done() for task in slow)
        other = await site.put("other", 5, THERE)
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return [refused, other, len(site.uploads)]

    assert in_a_thread(scene()) == [16, 200, 0]
    assert [json.loads(line)["event"] for line in capsys.readouterr().out.splitlines()][:16] == ["upload-refused"] * 16


# How fast


@pytest.mark.parametrize(
    ("pieces", "pause", "limits", "code"),
    [
        ([], 0.0, {"slow_seconds": 0.02}, 408),  # nothing comes
        ([1] * 1000, 0.002, {"slow_seconds": 0.02, "bytes_a_second": 1000}, 408),  # a byte now and then
        ([100] * 1000, 0.001, {"slow_seconds": 0.02, "bytes_a_second": 1, "seconds": 0.05}, 408),
    ],
)
def test_an_upload_that_is_slow_is_ended(
    pieces: list[int], pause: float, limits: dict[str, float], code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene() -> tuple[int, int, Any]:
        site = Site(UploadLimits(**limits), Held())
        code = await site.drip("visit", list(pieces), pause)
        return code, len(site.uploads), site.uploads._turns.used

    assert in_a_thread(scene()) == (code, 0, {})
    (line,) = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert (line["event"], line["status"]) == ("upload", 408)


def test_an_upload_that_is_fast_enough_may_take_longer() -> None:
    async def scene() -> int:
        site = Site(UploadLimits(slow_seconds=0.3, bytes_a_second=1000), Held())
        return await site.drip("visit", [200] * 9 + [201], 0.05)  # 0.5 s; of 2.3 s that it may take

    with pytest.raises(TimeoutError):  # it has come, all but a byte
        in_a_thread(asyncio.wait_for(scene(), 1.0))


# Whose files give way


def place(most_mb: int, held: Held) -> Site:
    return Site(UploadLimits(files=10, files_mb=1000, all_files_mb=most_mb, at_once=16), held)


def test_alone_an_address_has_all_memory_and_gives_way_when_another_comes(
    clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scene() -> dict[str, list[int]]:
        held = Held()
        site = place(100, held)
        for number in range(10):
            assert await site.put(f"visit{number % 5}", 10 * MB) == 200
        assert await site.put("one-more", 10 * MB) == 429  # it gives way to nobody of its own
        assert await site.put("new", 15 * MB, THERE) == 200
        return {visit: [size // MB for size in sizes] for visit, sizes in held.files.items() if sizes}

    assert in_a_thread(scene()) == {
        **{f"visit{number}": [10, 10] for number in (1, 2, 3, 4)},  # the files of the first that uploaded are gone
        "new": [15],
    }
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["files"], line["bytes"]) for line in lines if line["event"] == "limit"] == [(2, 20 * MB)]


def test_files_of_visits_that_were_left_go_first(clock: Clock) -> None:
    async def scene() -> list[int]:
        held = Held()
        site = place(100, held)
        for number in range(10):
            await site.put(f"visit{number}", 10 * MB)
        held.left = {"visit7"}
        assert await site.put("new", 5 * MB, THERE) == 200
        return [number for number in range(10) if not held.files[f"visit{number}"]]

    assert in_a_thread(scene()) == [7]


def test_what_its_own_address_has_left_behind_goes_before_anything_of_others(clock: Clock) -> None:
    async def scene() -> tuple[list[int], list[int]]:
        held = Held()
        site = place(100, held)
        for number in range(8):
            await site.put(f"visit{number}", 10 * MB)
        for number in range(2):
            await site.put(f"own{number}", 10 * MB, THERE)
        held.left = {"own0", "own1"}
        # without a second between them: nobody gives way
        codes = [await site.put("new", 10 * MB, THERE), await site.put("new", 10 * MB, THERE)]
        return codes, [
            sum(map(len, (held.files[f"{name}{n}"] for n in range(8 if name == "visit" else 2))))
            for name in ("visit", "own")
        ]

    assert in_a_thread(scene()) == ([200, 200], [8, 0])


def test_shares_of_the_memory_end_even(clock: Clock) -> None:
    async def scene() -> list[int]:
        held = Held()
        site = place(120, held)
        owners = {HERE: "a", THERE: "b", ELSEWHERE: "c"}
        for address in (HERE, THERE, ELSEWHERE, HERE, THERE, ELSEWHERE):
            for number in range(12):
                clock.now += 2
                await site.put(f"{owners[address]}{number % 6}", 5 * MB, address)
        return [sum(sum(sizes) for visit, sizes in held.files.items() if visit[0] == owner) // MB for owner in "abc"]

    shares = in_a_thread(scene())
    assert sum(shares) <= 120
    assert min(shares) >= 30


def test_nothing_gives_way_to_what_would_be_refused_anyway(clock: Clock) -> None:
    async def scene() -> tuple[list[int], int]:
        held = Held()
        site = place(100, held)
        for number in range(10):
            await site.put(f"visit{number}", 10 * MB)
        held.left = {"gone"}
        codes = [await site.put("gone", 5 * MB, THERE), await site.put("new", 60 * MB, THERE)]
        return codes, sum(map(len, held.files.values()))

    assert in_a_thread(scene()) == ([429, 413], 10)


def test_files_give_way_once_in_a_while(clock: Clock) -> None:
    async def scene() -> list[int]:
        site = place(100, Held())
        for number in range(10):
            await site.put(f"visit{number}", 10 * MB)
        codes = [await site.put("x", 5 * MB, THERE), await site.put("y", 10 * MB, ELSEWHERE)]
        clock.now += 1.0
        return [*codes, await site.put("y", 10 * MB, ELSEWHERE)]

    assert in_a_thread(scene()) == [200, 429, 200]


def test_an_answer_of_the_app_arrives_as_it_is() -> None:
    async def refuses(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 400, "headers": []})
        await send({"type": "http.response.body", "body": b"Invalid session_id"})

    uploads = Uploads(refuses, UploadLimits(), Held())
    sent = in_a_thread(answer(lambda *call: uploads.take("visit", HERE, *call), http("/", "PUT", content_length="5")))

    assert [message.get("body") for message in sent] == [None, b"Invalid session_id"]
