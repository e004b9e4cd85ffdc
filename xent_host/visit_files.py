"""Makes the files that a visit offers for download its own: made for it, fetched by its browser, gone with it."""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any, cast

from streamlit.proto.BackMsg_pb2 import BackendOperationRequest
from streamlit.proto.ForwardMsg_pb2 import BackendOperationResponse
from streamlit.runtime import get_instance, memory_media_file_storage
from streamlit.runtime.backend_operation_handler import DeferredFileHandler
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.runtime.media_file_storage import MediaFileStorageError
from streamlit.runtime.memory_media_file_storage import MemoryMediaFileStorage

from xent_host.visit_cookie import CONNECTION, OWNERS
from xent_ui.streamlit_internals import in_run_context, run_context

MARK = 32  # characters before Streamlit's name of a file
_MADE_FOR: ContextVar[str] = ContextVar("made_for", default="")


def apply() -> None:
    """From now on, a file is named after its visit too, goes to the browser of that visit alone, and lives as long."""
    _name_files_after_their_visit()
    _give_files_to_their_browser()
    _make_deferred_files_for_their_visit()


def mark(visit: str, file: str) -> str:
    """What stands before the name of a file of this visit; nobody else can make one."""
    return OWNERS.digest(f"{visit} {file}").hex()[:MARK]


def may_have(keys: frozenset[bytes], name: str) -> bool:
    """Whether a browser with these cookies may have the file of this name."""
    given, file = name[:MARK], name[MARK:]
    return any(hmac.compare_digest(mark(visit, file).encode(), given.encode()) for visit in OWNERS.readable(keys))


def held_bytes() -> dict[str, int]:
    """What the files that were made for each visit take."""
    manager = get_instance().media_file_mgr
    with manager._lock:
        names = {visit: set(places.values()) for visit, places in manager._files_by_session_and_coord.items()}
    files = cast(MemoryMediaFileStorage, manager._storage)._files_by_id
    sizes = {name: file.content_size for name, file in list(files.items())}
    return {visit: sum(sizes.get(name, 0) for name in of_visit) for visit, of_visit in names.items()}


def _name_files_after_their_visit() -> None:
    name_of = memory_media_file_storage._calculate_file_id

    def own_name(data: bytes, mimetype: str, filename: str | None = None) -> str:
        context = run_context()
        visit = _MADE_FOR.get() or (context.session_id if context is not None else "")
        file = name_of(data, mimetype, filename)
        return mark(visit, file) + file

    memory_media_file_storage._calculate_file_id = own_name


def _give_files_to_their_browser() -> None:
    get = MemoryMediaFileStorage.get_file

    def get_own(storage: MemoryMediaFileStorage, filename: str) -> Any:
        connection = CONNECTION.get()
        # not asked by a browser, Streamlit itself looks
        name = os.path.splitext(filename)[0]
        if connection is not None and not connection.is_visit and not may_have(connection.keys, name):
            raise MediaFileStorageError("No such file for this browser")
        return get(storage, filename)

    MemoryMediaFileStorage.get_file = get_own  # type: ignore[method-assign, assignment]  # replaced on purpose


def _make_deferred_files_for_their_visit() -> None:
    add, execute, handle = MediaFileManager.add_deferred, MediaFileManager.execute_deferred, DeferredFileHandler.handle

    def add_in_context(manager: MediaFileManager, data_callable: Callable[[], Any], *args: Any, **others: Any) -> str:
        return add(manager, _as_on_the_page(data_callable), *args, **others)

    def execute_for_visit(manager: MediaFileManager, file_id: str) -> str:
        entry = manager._deferred_callables.get(file_id)
        visit, place = (entry["session_id"], entry["coordinates"]) if entry is not None else ("", "")
        token = _MADE_FOR.set(visit)
        try:
            url = execute(manager, file_id)
        finally:
            _MADE_FOR.reset(token)
        # Streamlit forgets such a file after two runs of anybody's page, before its browser has fetched it on a busy
        # server; here it stays until the next run of its own page.
        with manager._lock:
            if visit in manager._files_by_session_and_coord:
                name = os.path.splitext(url.rpartition("/")[2])[0]
                manager._files_by_session_and_coord[visit][f"made {place}"] = name
        return url

    async def handle_own(
        handler: DeferredFileHandler, request: BackendOperationRequest, session_id: str
    ) -> BackendOperationResponse:
        entry = handler._get_media_file_mgr()._deferred_callables.get(request.deferred_file.file_id)
        if entry is None or entry["session_id"] != session_id:
            return BackendOperationResponse(request_id=request.request_id, error_msg="No such file in this visit")
        return await handle(handler, request, session_id)

    MediaFileManager.add_deferred = add_in_context  # type: ignore[method-assign, assignment]  # replaced on purpose
    MediaFileManager.execute_deferred = execute_for_visit  # type: ignore[method-assign, assignment]  # replaced on purpose
    DeferredFileHandler.handle = handle_own  # type: ignore[method-assign, assignment]  # replaced on purpose


def _as_on_the_page(make: Callable[[], Any]) -> Callable[[], Any]:
    """The same work, which finds the visit's state and language as where its button was drawn."""
    context, variables = run_context(), copy_context()

    def made() -> Any:
        with in_run_context(context):
            return variables.copy().run(make)

    return made
