"""Files that are made on demand: in the visit's turn, one at a time, few waiting, none for a visit that left."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from threading import Event
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackendOperationRequest
from streamlit.runtime.backend_operation_handler import DeferredFileHandler

from harness.aio import in_a_thread
from xent_host import download_queue, whose_work
from xent_host.download_queue import DownloadQueue, TooMany, VisitLeft
from xent_ui.server.processor_use import Visit
from xent_ui.server.run_lock import RunLock, TurnRules

PATIENCE = 30.0


@pytest.fixture(autouse=True)
def lock(monkeypatch: pytest.MonkeyPatch) -> RunLock:
    """A run lock of this test's own, beside which nobody runs, and visits without a server."""
    lock = RunLock(TurnRules(beside=1e6, longest=1e6))
    monkeypatch.setattr(download_queue, "RUN_LOCK", lock)
    monkeypatch.setattr(download_queue, "visit_of", lambda session: Visit("address", session))
    return lock


async def asked(queue: DownloadQueue, session: str, work: Callable[[], Any], count: int = 1) -> list[Any]:
    """The answers to so many requests at once, errors included."""
    return await asyncio.gather(*(queue.make(session, work) for _ in range(count)), return_exceptions=True)


async def until(is_so: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not is_so():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.001)


def test_a_file_is_made_in_the_turn_of_its_visit(lock: RunLock) -> None:
    queue = DownloadQueue(is_here=lambda _session: True)

    assert in_a_thread(asked(queue, "a", lambda: lock.visit)) == [Visit("address", "a")]


def test_what_goes_wrong_is_raised_and_the_place_is_free_again() -> None:
    queue = DownloadQueue(at_once=1, is_here=lambda _session: True)

    async def twice() -> list[Any]:
        return [*await asked(queue, "a", lambda: 1 / 0), *await asked(queue, "a", lambda: 2)]

    failed, made = in_a_thread(twice())
    assert isinstance(failed, ZeroDivisionError)
    assert made == 2
    assert not queue._asked
    assert not queue._turns


def test_of_four_hundred_requests_few_are_made_one_at_a_time_and_the_rest_refused(lock: RunLock) -> None:
    queue, at_once, most = DownloadQueue(at_once=4, is_here=lambda _session: True), [0], [0]

    def work() -> str:
        at_once[0] += 1
        most[0] = max(most[0], at_once[0])
        with lock.released():
            time.sleep(0.01)  # in which a second one of the visit would begin
        at_once[0] -= 1
        return "made"

    answers = in_a_thread(asked(queue, "a", work, 400))
    assert answers.count("made") == 4
    assert sum(isinstance(answer, TooMany) for answer in answers) == 396
    assert most == [1]


def test_another_visits_file_does_not_wait_for_all_of_one_who_asks_for_many() -> None:
    made: list[str] = []
    queue = DownloadQueue(at_once=4, is_here=lambda _session: True)

    async def both() -> None:
        many = [asyncio.ensure_future(queue.make("many", lambda: time.sleep(0.02) or made.append("many")))]
        many += [asyncio.ensure_future(queue.make("many", lambda: made.append("many"))) for _ in range(3)]
        await asyncio.sleep(0)
        await queue.make("one", lambda: made.append("one"))
        await asyncio.gather(*many)

    in_a_thread(both())
    assert made.index("one") <= 1


def test_what_waits_is_dropped_when_its_visit_is_gone(lock: RunLock) -> None:
    here, made = {"a"}, []
    queue = DownloadQueue(is_here=here.__contains__)

    async def leave_while_it_waits() -> list[Any]:
        release = Event()

        def hold() -> None:
            with lock.acquire(Visit("address", "b")):
                release.wait(PATIENCE)

        holding = asyncio.ensure_future(asyncio.to_thread(hold))
        await until(lambda: lock._holders)
        asking = asyncio.ensure_future(asked(queue, "a", lambda: made.append(1), 3))
        await until(lambda: lock.waiting == 1)
        here.clear()
        release.set()
        await holding
        return await asking

    answers = in_a_thread(leave_while_it_waits())
    assert [type(answer) for answer in answers] == [VisitLeft] * 3
    assert made == []


class Files:
    """Streamlit's files that are made on demand."""

    def execute_deferred(self, file_id: str) -> str:
        if file_id == "broken":
            raise ValueError("what a visitor typed")
        return f"/media/{file_id}"


class Runtime:
    """Streamlit's runtime, in which one session has a browser."""

    media_file_mgr = Files()

    def is_active_session(self, session: str) -> bool:
        return session == "here"


@pytest.mark.parametrize(
    ("session", "file", "words"),
    [("here", "a", ""), ("here", "broken", download_queue.FAILED), ("gone", "a", download_queue.GONE)],
)
def test_streamlits_requests_wait_in_the_queue(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], session: str, file: str, words: str
) -> None:
    monkeypatch.setattr(DeferredFileHandler, "handle", DeferredFileHandler.handle)  # which is put back afterwards
    monkeypatch.setattr(download_queue, "get_instance", Runtime)
    monkeypatch.setattr(whose_work, "get_instance", Runtime)
    download_queue.apply()
    request = BackendOperationRequest(request_id="7", session_id=session)
    request.deferred_file.file_id = file
    handle: Callable[[BackendOperationRequest, str], Awaitable[Any]] = DeferredFileHandler(Files).handle  # type: ignore[arg-type, return-value]

    async def answered() -> Any:
        return await handle(request, session)

    response = in_a_thread(answered())
    assert response.request_id == "7"
    assert response.error_msg == words
    assert response.deferred_file.url == ("" if words else "/media/a")
    assert "typed" not in "".join(capsys.readouterr())
