"""What a page shows of a job: its place in the queue, a button to stop it, and what it gave in the end."""

from collections.abc import Iterator
from dataclasses import replace
from threading import Event
from types import SimpleNamespace

import pytest
from streamlit.testing.v1 import AppTest

from xent_ui.server import job_pool
from xent_ui.server.job_pool import Pool
from xent_ui.server.limits import PUBLIC, PUBLIC_VARIABLE
from xent_ui.widgets import job_progress

GO_ON = Event()


@pytest.fixture(autouse=True)
def _no_wait(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 0.0)
    yield
    GO_ON.set()


def of_a_job() -> None:
    import streamlit as st

    from tests.test_job_progress import GO_ON
    from xent_ui.server import job_pool
    from xent_ui.widgets import job_progress

    def start_again() -> None:
        del st.session_state["job"]

    if "job" not in st.session_state:
        st.session_state.job = job_progress.submitted(lambda: job_pool.POOL.submit(lambda _job: GO_ON.wait(60) and 42))
    if st.session_state.job is not None:
        found = job_progress.result(
            st.session_state.job,
            lambda: (0.5, "half of it"),
            key="it",
            on_start=start_again,
            below=lambda: st.text("so far"),
        )
        st.text(f"found {found}")


def of_upload() -> None:
    from threading import current_thread

    import streamlit as st

    from xent_ui.widgets import job_progress

    name = job_progress.run_and_wait(lambda: current_thread().name, size_bytes=1, reads_upload=True)
    st.text(name.rstrip("_0123456789"))


def of_work(size_bytes: int) -> None:
    import streamlit as st

    from xent_ui.widgets import job_progress

    st.text(f"found {job_progress.run_and_wait(lambda: 42, size_bytes=size_bytes)}")


def pool_of_one(monkeypatch: pytest.MonkeyPatch, *, waiting: int) -> Pool:
    GO_ON.clear()
    pool = Pool(replace(PUBLIC, workers=1, waiting=waiting))
    monkeypatch.setattr(job_pool, "POOL", pool)
    return pool


def test_a_job_on_its_way_shows_how_far_it_is_and_then_its_result(monkeypatch: pytest.MonkeyPatch) -> None:
    pool_of_one(monkeypatch, waiting=1)
    page = AppTest.from_function(of_a_job).run()

    assert page.get("progress")[0].proto.text == "half of it"
    assert [text.value for text in page.text] == ["so far", "found None"]

    GO_ON.set()
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    assert [text.value for text in page.run().text] == ["found 42"]


def test_a_job_that_is_stopped_in_the_queue_can_be_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool_of_one(monkeypatch, waiting=1).submit(lambda _job: GO_ON.wait(60))
    page = AppTest.from_function(of_a_job).run()
    assert page.get("progress")[0].proto.text == "1 other is before you."

    page.button(key="it_stop").click().run()
    assert page.info[0].value == "Stopped before it began."

    GO_ON.set()
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    assert page.button(key="it_start").click().run().text[0].value == "found 42"


def test_a_full_queue_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    pool_of_one(monkeypatch, waiting=0).submit(lambda _job: GO_ON.wait(60))

    for page in (AppTest.from_function(of_a_job), AppTest.from_function(of_work, args=(2**20,))):
        assert "Try again in a minute" in page.run().warning[0].value
        assert not page.text


@pytest.mark.parametrize("size_bytes", [1, 2**20])
def test_a_page_waits_for_what_it_cannot_do_without(size_bytes: int) -> None:
    page = AppTest.from_function(of_work, args=(size_bytes,)).run()

    assert [text.value for text in page.text] == ["found 42"]
    assert not page.info


def test_only_what_is_large_stands_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    pool_of_one(monkeypatch, waiting=0).submit(lambda _job: GO_ON.wait(60))

    assert AppTest.from_function(of_work, args=(1,)).run().text[0].value == "found 42"


@pytest.mark.parametrize(("is_public", "thread"), [("1", "worker"), ("0", "ScriptRunner.scriptThread")])
def test_a_small_upload_is_read_in_a_queue_of_its_own_on_a_public_server(
    monkeypatch: pytest.MonkeyPatch, is_public: str, thread: str
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, is_public)
    pool_of_one(monkeypatch, waiting=0).submit(lambda _job: GO_ON.wait(60))
    monkeypatch.setattr(job_pool, "SMALL_FILES", Pool(replace(PUBLIC, workers=1)))

    assert AppTest.from_function(of_upload).run().text[0].value in (thread, "MainThread")


def test_small_uploads_do_not_begin_more_readers_than_there_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    GO_ON.clear()
    small = Pool(replace(PUBLIC, workers=1, waiting=0))
    monkeypatch.setattr(job_pool, "SMALL_FILES", small)
    small.submit(lambda _job: GO_ON.wait(60))
    page = AppTest.from_function(of_upload).run()

    assert "Try again in a minute" in page.warning[0].value
    assert not page.text


def test_who_goes_elsewhere_while_a_page_waits_leaves_no_work_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of_one(monkeypatch, waiting=2)
    pool.submit(lambda _job: GO_ON.wait(60))
    begun = Event()

    def leave(*_words: object, **_options: object) -> None:
        raise InterruptedError

    monkeypatch.setattr(job_progress, "POLL_SECONDS", 0.0)
    monkeypatch.setattr(job_progress.st, "empty", lambda: SimpleNamespace(info=leave))
    with pytest.raises(InterruptedError):
        job_progress.run_and_wait(begun.set, size_bytes=2**20)
    GO_ON.set()

    assert pool.submit(lambda _job: None).is_done(60)  # after all that came before
    assert not begun.is_set()
