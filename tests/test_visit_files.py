"""A file for download: named after its visit, made with that visit's state, there until its browser has fetched it."""

from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.proto.BackMsg_pb2 import BackendOperationRequest
from streamlit.runtime import memory_media_file_storage
from streamlit.runtime.backend_operation_handler import DeferredFileHandler
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from harness.aio import in_a_thread
from xent_core.language import _, use_catalogue
from xent_host import visit_files
from xent_host.visit_cookie import CONNECTION, Connection, Owners
from xent_ui.streamlit_internals import in_run_context, run_context

MINE, THEIRS = frozenset([b"mine"]), frozenset([b"theirs"])


@pytest.fixture
def manager(monkeypatch: pytest.MonkeyPatch) -> MediaFileManager:
    """As a public server has it, where "a" is my visit, "b" theirs, and "c" that of a browser without cookies."""
    for owner, name in (
        (memory_media_file_storage, "_calculate_file_id"),
        (MemoryMediaFileStorage, "get_file"),
        (MediaFileManager, "add_deferred"),
        (MediaFileManager, "execute_deferred"),
        (DeferredFileHandler, "handle"),
    ):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # which is put back afterwards
    owners = Owners()
    for visit, keys in (("a", MINE), ("b", THEIRS), ("c", frozenset[bytes]())):
        owners.begin(visit, keys)
    monkeypatch.setattr(visit_files, "OWNERS", owners)
    visit_files.apply()
    return MediaFileManager(MemoryMediaFileStorage("/media"))


def offered(manager: MediaFileManager, visit: str, make: Any = lambda: b"1,2", place: str = "place") -> str:
    with in_run_context(SimpleNamespace(session_id=visit)):
        return manager.add_deferred(make, "text/csv", place, "a.csv")


def fetch(manager: MediaFileManager, url: str, keys: frozenset[bytes]) -> bytes | None:
    token = CONNECTION.set(Connection(keys))
    try:
        return manager._storage.get_file(url.removeprefix("/media/")).content  # type: ignore[attr-defined, no-any-return]
    except MediaFileStorageError:
        return None
    finally:
        CONNECTION.reset(token)


def test_a_file_goes_to_the_browser_of_its_visit_alone(manager: MediaFileManager) -> None:
    url = manager.execute_deferred(offered(manager, "a"))

    assert fetch(manager, url, MINE) == b"1,2"
    assert fetch(manager, url, THEIRS) is None
    assert fetch(manager, url, frozenset()) is None
    assert fetch(manager, url[:-6] + "0.csv", MINE) is None


def test_a_browser_without_cookies_gets_its_file_by_an_address_that_nobody_computes(manager: MediaFileManager) -> None:
    urls = {manager.execute_deferred(offered(manager, visit)) for visit in "abc"}

    assert len(urls) == 3  # though the files are the same
    assert fetch(manager, manager.execute_deferred(offered(manager, "c")), frozenset()) == b"1,2"


def test_what_is_offered_at_once_is_named_after_its_visit_too(manager: MediaFileManager) -> None:
    with in_run_context(SimpleNamespace(session_id="a")):
        url = manager.add(b"1,2", "text/csv", "place", "a.csv", is_for_static_download=True)

    assert fetch(manager, url, MINE) == b"1,2"
    assert fetch(manager, url, THEIRS) is None


def test_a_file_stays_while_others_run_their_pages_and_goes_with_the_next_run_of_its_own(
    manager: MediaFileManager,
) -> None:
    url = manager.execute_deferred(offered(manager, "a"))
    for _run_of_another in range(5):
        manager.remove_orphaned_files()
    assert fetch(manager, url, MINE) == b"1,2"

    manager.clear_session_refs("a")
    for _run_of_another in range(2):
        manager.remove_orphaned_files()
    assert fetch(manager, url, MINE) is None


def test_it_is_made_with_the_state_and_in_the_language_of_its_visit(manager: MediaFileManager) -> None:
    def page() -> str:
        use_catalogue(SimpleNamespace(gettext=lambda message: f"⟦{message}⟧"))  # type: ignore[arg-type]
        return offered(manager, "a", lambda: f"{run_context().session_id} {_('Undo')}")

    async def run() -> str:
        return page()

    url = manager.execute_deferred(in_a_thread(run()))
    assert fetch(manager, url, MINE) == "a ⟦Undo⟧".encode()
    assert run_context() is None


def test_nobody_has_another_visits_file_made(manager: MediaFileManager) -> None:
    handler = DeferredFileHandler(lambda: manager)

    def answer(file: str, visit: str) -> str:
        request = BackendOperationRequest(request_id="1", deferred_file={"file_id": file})
        return in_a_thread(handler.handle(request, visit)).deferred_file.url

    file = offered(manager, "a")
    assert answer(file, "a").startswith("/media/")
    assert answer(file, "b") == ""
    assert answer("no-such-file", "a") == ""


def test_what_the_files_of_a_visit_take_is_known(manager: MediaFileManager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(visit_files, "get_instance", lambda: SimpleNamespace(media_file_mgr=manager))
    for visit, size in (("a", 1_000), ("a", 200), ("b", 30)):
        manager.execute_deferred(offered(manager, visit, make=lambda size=size: bytes(size), place=f"place {size}"))
    offered(manager, "c")  # which nobody has asked for

    held = visit_files.held_bytes()
    assert {visit: held.get(visit, 0) for visit in "abc"} == {"a": 1_200, "b": 30, "c": 0}
