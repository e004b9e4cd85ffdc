"""A visit that was left ends by itself, and may be taken up again before."""

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime import memory_session_storage

from harness.aio import in_a_thread
from xent_host import left_visits
from xent_host.left_visits import LeftVisits
from xent_ui.server import job_pool
from xent_ui.server.job_pool import Job
from xent_ui.server.processor_use import Visit
from xent_ui.server.run_lock import RUN_LOCK

PATIENCE = 20.0  # seconds that a busy machine may take; a job that nobody looks at ends after 30


def works_until_it_is_stopped(job: Job[None]) -> None:
    while not job.should_stop():
        time.sleep(0.005)  # between two looks


def info(visit: str) -> Any:
    return SimpleNamespace(session=SimpleNamespace(id=visit))


@pytest.fixture
def ended(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The visits that have ended so far."""
    ended: list[str] = []
    monkeypatch.setattr(left_visits, "end_visit", ended.append)
    return ended


def test_it_ends_when_its_time_is_over_though_nothing_else_happens(ended: list[str]) -> None:
    async def scene() -> None:
        left = LeftVisits(ttl_seconds=0.01)
        left.save(info("a"))
        assert ended == []
        while not ended:
            await asyncio.sleep(0.005)
        assert left.get("a") is not None  # until Streamlit, which looks for it here, has ended it

    in_a_thread(scene())
    assert ended == ["a"]


def test_who_comes_back_in_time_keeps_it(ended: list[str]) -> None:
    async def scene() -> list[Any]:
        left = LeftVisits(ttl_seconds=0.01)
        left.save(info("a"))
        left.save(info("b"))
        found = left.get("a")
        left.delete("a")
        left.delete("a")
        await asyncio.sleep(0.05)
        return [found.session.id if found else None, left.get("a"), len(left.list())]

    assert in_a_thread(scene()) == ["a", None, 1]
    assert ended == ["b"]


def test_of_too_many_the_first_to_be_left_ends_but_never_while_it_is_being_left(ended: list[str]) -> None:
    async def scene() -> list[str]:
        left = LeftVisits(maxsize=2, ttl_seconds=60)
        for visit in "abc":
            left.save(info(visit))
        at_once = list(ended)
        await asyncio.sleep(0.01)
        left.delete("b")
        left.delete("c")
        return at_once

    assert in_a_thread(scene()) == []
    assert ended == ["a"]


def test_a_visit_that_ends_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    media = SimpleNamespace(remove_orphaned_files=lambda: done.append("files"))
    runtime = SimpleNamespace(close_session=done.append, media_file_mgr=media)
    monkeypatch.setattr(left_visits, "get_instance", lambda: runtime)
    monkeypatch.setattr(left_visits, "COLLECT_SECONDS", 0.01)
    monkeypatch.setattr(left_visits.gc, "collect", lambda: done.append("garbage"))
    left_visits.OWNERS.begin("visit", frozenset())
    with RUN_LOCK.acquire(Visit("address", "visit")):
        reads = job_pool.SMALL_FILES.submit(works_until_it_is_stopped)
        computes = job_pool.POOL.submit(works_until_it_is_stopped)
    with RUN_LOCK.acquire(Visit("address", "another visit")):
        goes_on = job_pool.POOL.submit(works_until_it_is_stopped)

    async def scene() -> None:
        for _ in range(3):
            left_visits.end_visit("visit")
        while "garbage" not in done:
            await asyncio.sleep(0.005)
        left_visits.end_visit("visit")
        await asyncio.sleep(0.1)

    in_a_thread(scene())
    assert done == [*["visit", "files"] * 3, "garbage", "visit", "files", "garbage"]
    assert not left_visits.OWNERS.knows("visit")
    assert reads.is_done(PATIENCE)
    assert computes.is_done(PATIENCE)
    assert not goes_on.is_done(0)
    goes_on.stop()
    assert goes_on.is_done(PATIENCE)


def test_streamlit_keeps_its_visits_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_session_storage, "MemorySessionStorage", memory_session_storage.MemorySessionStorage)
    left_visits.apply()

    assert memory_session_storage.MemorySessionStorage is LeftVisits
