"""What keeps visits apart that Streamlit does not promise: more lines for the list in `streamlit_internals`."""

from __future__ import annotations

from pkgutil import resolve_name
from types import SimpleNamespace

from xent_ui.streamlit_internals import PROTECTS, RUN_CONTEXT, Internal, exist, in_run_context, run_context

RUNTIME = "streamlit.runtime:Runtime"
MANAGER = "streamlit.runtime.media_file_manager:MediaFileManager"
MEDIA = "streamlit.runtime.memory_media_file_storage"
DEFERRED = "streamlit.runtime.backend_operation_handler:DeferredFileHandler"
STORAGE = "streamlit.runtime.memory_session_storage:MemorySessionStorage"
STARLETTE = "streamlit.web.server.starlette"


def _mentions(function: str, *names: str) -> bool:
    """Whether these names stand in the function or in one that it defines, as variables too."""
    found, codes = set[str](), [resolve_name(function).__code__]
    for code in codes:
        found |= {*code.co_names, *code.co_varnames}
        codes += [constant for constant in code.co_consts if hasattr(constant, "co_names")]
    return set(names) <= found


def _is_context_of_a_thread() -> bool:
    with in_run_context("a context"):
        return bool(run_context() == "a context")


def _are_visits_connected_by_id() -> bool:
    names = resolve_name(f"{RUNTIME}.connect_session").__code__.co_varnames[:4]
    handler = f"{STARLETTE}.starlette_websocket:create_websocket_handler"
    return names == ("self", "client", "user_info", "existing_session_id") and _mentions(handler, "connect_session")


def _are_files_named_and_given_in_one_place() -> bool:
    return (
        exist(f"{MEDIA}:_calculate_file_id")
        and _mentions(f"{MEDIA}:MemoryMediaFileStorage.load_and_get_id", "_calculate_file_id")
        and _mentions(f"{STARLETTE}.starlette_routes:create_media_routes", "get_file")
    )


def _are_deferred_files_kept_by_visit() -> bool:
    manager = resolve_name(MANAGER)(resolve_name(f"{MEDIA}:MemoryMediaFileStorage")("/media"))
    with in_run_context(SimpleNamespace(session_id="visit")):
        entry = manager._deferred_callables[manager.add_deferred(bytes, "text/csv", "place")]
    return (
        "coordinates" in entry
        and isinstance(manager._storage._files_by_id, dict)
        and exist(f"{MEDIA}:MemoryFile.content_size")
        and entry["session_id"] == "visit"
        and "visit" in manager._files_by_session_and_coord
        and hasattr(manager, "_lock")
        and resolve_name(DEFERRED)(lambda: manager)._get_media_file_mgr() is manager
        and exist(f"{MANAGER}.execute_deferred", f"{DEFERRED}.handle")
    )


def _are_facts_of_the_server_in_one_message() -> bool:
    initialize = resolve_name("streamlit.proto.NewSession_pb2:Initialize").DESCRIPTOR.fields_by_name
    environment = initialize["environment_info"].message_type.fields_by_name
    return (
        exist("streamlit.runtime.app_session:AppSession._create_new_session_message")
        and "user_info" in initialize
        and {"python_version", "server_os", "has_display"} <= set(environment)
    )


def _are_left_visits_kept_by_ours() -> bool:
    return (
        exist(*(f"{STORAGE}.{name}" for name in ("get", "save", "delete", "list")))
        and exist(f"{RUNTIME}.close_session", f"{MANAGER}.remove_orphaned_files")
        and _mentions(f"{STORAGE}.__init__", "maxsize", "ttl_seconds")
        and _mentions(f"{STARLETTE}.starlette_app:App._create_runtime", "MemorySessionStorage")
    )


def _is_what_visits_keep_known() -> bool:
    state = resolve_name("streamlit.runtime.state.session_state:SessionState")()
    manager = "streamlit.runtime.websocket_session_manager:WebsocketSessionManager"
    return (
        all(hasattr(state, name) for name in ("_old_state", "_new_session_state", "_new_widget_state"))
        and "list_sessions" in vars(resolve_name(manager))
        and _mentions("streamlit.runtime.app_session:AppSession.__init__", "_session_state")
        and _mentions(f"{RUNTIME}.close_session", "_session_mgr")
    )


INTERNALS = (
    Internal(
        "Runtime._session_mgr.list_sessions and the values of a SessionState",
        "estimates what each visit keeps in memory",
        "nobody can tell whose visit has to end when the memory is full",
        PROTECTS,
        _is_what_visits_keep_known,
    ),
    Internal(
        "Runtime.connect_session with existing_session_id",
        "resumes a visit for the browser that began it",
        "whoever learns the id of a visit sits down in it",
        PROTECTS,
        _are_visits_connected_by_id,
    ),
    Internal(
        "MemoryMediaFileStorage.get_file and _calculate_file_id",
        "gives a file to the browser of its visit alone",
        "whoever learns or guesses the address of a file reads it",
        PROTECTS,
        _are_files_named_and_given_in_one_place,
    ),
    Internal(
        "MediaFileManager.add_deferred and execute_deferred, DeferredFileHandler.handle",
        "makes a download for the visit whose button it is, and knows how large it is",
        "a stranger asks for another visit's downloads",
        PROTECTS,
        _are_deferred_files_kept_by_visit,
    ),
    Internal(
        f"the attribute {RUN_CONTEXT} of a thread",
        "makes a download with the state of its visit",
        "a download is made as for a visitor who has set nothing",
        PROTECTS,
        _is_context_of_a_thread,
    ),
    Internal(
        "MemorySessionStorage of App._create_runtime, and Runtime.close_session",
        "ends a visit a minute after it was left",
        "visits and their uploads stay in memory until somebody else comes",
        PROTECTS,
        _are_left_visits_kept_by_ours,
    ),
    Internal(
        "logger.setup_formatter",
        "writes what Streamlit logs without its words",
        "the log quotes ids of visits and what strangers send",
        PROTECTS,
        lambda: _mentions("streamlit.logger:get_logger", "setup_formatter"),
    ),
    Internal(
        "AppSession._create_new_session_message and the fields of Initialize",
        "tells a visitor nothing of the server that a page does not need",
        "every visitor reads where the program lies, and which Python runs it",
        PROTECTS,
        _are_facts_of_the_server_in_one_message,
    ),
)
