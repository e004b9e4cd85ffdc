"""A public server does not start where Streamlit lacks what protects it, and says what; what is less is logged."""

import json
import runpy
from collections.abc import Callable

import pytest
from starlette.routing import Route
from streamlit.config import get_config_options

from harness.browser import ROOT
from xent_host.startup_check import INTERNALS, UnprotectedServer, check_streamlit
from xent_ui.server.limits import PUBLIC_VARIABLE
from xent_ui.streamlit_internals import PROTECTS

RUNNER = "streamlit.runtime.scriptrunner.script_runner.ScriptRunner"
SESSION = "streamlit.runtime.app_session.AppSession"
STATE = "streamlit.runtime.state.session_state.SessionState"
PROXIES = "uvicorn.middleware.proxy_headers._TrustedHosts"
WEBSOCKETS = "uvicorn.protocols.websockets.websockets_sansio_impl"
STARLETTE = "streamlit.web.server.starlette"
INTERNAL = "xent_ui.streamlit_internals"
Patch = pytest.MonkeyPatch
ALL_OPTIONS = get_config_options  # also where it is replaced


def without(target: str) -> Callable[[Patch], None]:
    """Streamlit has it no more."""
    return lambda patch: patch.delattr(target)


def on_the_page(name: str, value: object) -> Callable[[Patch], None]:
    """As if the app expected something else of Streamlit's page in the browser."""
    return lambda patch: patch.setattr(f"xent_ui.page_internals.{name}", value)


def expecting(name: str, value: object) -> Callable[[Patch], None]:
    """Streamlit has something else than what is looked for."""
    return lambda patch: patch.setattr(f"{INTERNAL}.{name}", value)


def other_index(patch: Patch) -> None:
    patch.setattr("xent_ui.page_internals._page", lambda: "<script nonce=x>1</script><script src=y></script>")


def another_route(patch: Patch) -> None:
    """A newer Streamlit answers at an address of which nobody has said anything."""
    patch.setattr(f"{STARLETTE}.starlette_app.create_auth_routes", lambda base: [Route("/_stcore/new/{name}", print)])


def another_place_for_visits(patch: Patch) -> None:
    patch.setattr(f"{STARLETTE}.starlette_app.create_websocket_routes", lambda runtime, base: [])


def store_under_another_name(patch: Patch) -> None:
    class Manager:
        def __init__(self, endpoint: str) -> None:
            self.files: dict[str, object] = {}

        def add_file(self, session: str, file: object) -> None:
            self.files[session] = file

    patch.setattr("streamlit.runtime.memory_uploaded_file_manager.MemoryUploadedFileManager", Manager)


# how each could move, by the beginning of its name
REMOVED: dict[str, list[Callable[[Patch], None]]] = {
    "ScriptRunner._run_script": [
        without(f"{RUNNER}._run_script"),
        lambda patch: patch.setattr(f"{RUNNER}.__init__", lambda runner: None),
    ],
    "Runtime.get_client": [
        without("streamlit.runtime.Runtime.get_client"),
        without("streamlit.web.server.starlette.starlette_websocket.StarletteClientContext.remote_ip"),
    ],
    "the option runner.fastReruns": [
        lambda patch: patch.setattr("streamlit.config.get_config_options", rich_only),
        lambda patch: patch.setattr(
            "streamlit.runtime.app_session.AppSession.request_rerun", lambda session, state: None
        ),
    ],
    "data_editor._apply_dataframe_edits": [
        without("streamlit.elements.widgets.data_editor._apply_dataframe_edits"),
        lambda patch: patch.setattr(
            "streamlit.elements.widgets.data_editor._apply_dataframe_edits", lambda table, edits: table
        ),
    ],
    "DeferredFileHandler.handle": [
        lambda patch: patch.setattr(
            "streamlit.runtime.backend_operation_handler.DeferredFileHandler.handle", lambda handler, request: None
        )
    ],
    "ScriptRunner._enqueue_forward_msg": [
        without(f"{RUNNER}._enqueue_forward_msg"),
        lambda patch: patch.setattr(f"{RUNNER}._run_script_thread", lambda runner: None),
    ],
    "SessionState.register_widget": [
        without(f"{STATE}.register_widget"),
        without("streamlit.runtime.state.session_state.Serialized"),
        without("streamlit.runtime.state.common.unpack_widget_state_value"),
    ],
    "SessionState.on_script_will_rerun": [without(f"{STATE}.on_script_will_rerun")],
    "ScriptRunner._session_state": [
        lambda patch: patch.setattr(f"{RUNNER}.__init__", lambda runner: None),
        lambda patch: patch.setattr("streamlit.runtime.state.safe_session_state.SafeSessionState", lambda *_: 1),
    ],
    "the fields of WidgetState": [
        expecting("WIDGET_VALUES", {"a_widget": "a_value"}),
        expecting("TRIGGER_VALUES", "a_value"),
        expecting("DESCRIPTIONS", {"Slider": ("range",)}),
        expecting("DESCRIPTION_VALUES", ("streamlit.proto.Slider_pb2:Slider.RANGE",)),
    ],
    "bidi_component._make_trigger_id": [without("streamlit.components.v2.bidi_component.main._make_trigger_id")],
    "the kinds of BackMsg": [
        expecting("BROWSER_MESSAGES", ("rerun",)),
        expecting("BACKEND_OPERATIONS", ("a_file",)),
    ],
    "H11Protocol and WebSocketsSansIOProtocol": [
        without("uvicorn.protocols.http.h11_impl.H11Protocol._should_upgrade"),
        lambda patch: patch.setattr(
            "uvicorn.protocols.http.h11_impl.H11Protocol.handle_events", lambda protocol: protocol.conn.next_event()
        ),
        lambda patch: patch.setattr(
            "uvicorn.protocols.websockets.websockets_sansio_impl.WebSocketsSansIOProtocol.data_received",
            lambda protocol, data: protocol.parser.feed(data),
        ),
        without("uvicorn.protocols.websockets.websockets_sansio_impl.WebSocketsSansIOProtocol.receive"),
    ],
    "StarletteSessionClient._send_queue": [
        without("streamlit.web.server.starlette.starlette_websocket.StarletteSessionClient.aclose"),
        lambda patch: patch.setattr(
            "streamlit.web.server.starlette.starlette_websocket.StarletteSessionClient.write_forward_msg",
            lambda client, message: client.outbox.append(message),
        ),
    ],
    "starlette_websocket._is_origin_allowed": [
        without("streamlit.web.server.starlette.starlette_websocket._is_origin_allowed"),
        lambda patch: patch.setattr(
            "streamlit.web.server.starlette.starlette_websocket._is_origin_allowed", lambda origin, host: True
        ),
    ],
    "Runtime.uploaded_file_mgr": [
        store_under_another_name,
        without("streamlit.runtime.Runtime.uploaded_file_mgr"),
        without("streamlit.runtime.get_instance"),
        without("streamlit.runtime.Runtime.is_active_session"),
        without("streamlit.runtime.memory_uploaded_file_manager.MemoryUploadedFileManager.remove_file"),
    ],
    "uvicorn's ProxyHeadersMiddleware": [
        lambda patch: patch.setattr(f"{PROXIES}.get_trusted_client_address", lambda proxies, text: (text[:12], 0)),
        without("uvicorn.middleware.proxy_headers._TrustedHosts"),
    ],
    "uvicorn's extension": [
        lambda patch: patch.setattr(
            f"{WEBSOCKETS}.WebSocketsSansIOProtocol.handle_connect",
            lambda protocol, event: protocol.handshake_initiated,
        )
    ],
    "Runtime.connect_session": [
        without("streamlit.runtime.Runtime.connect_session"),
        lambda patch: patch.setattr("streamlit.runtime.Runtime.connect_session", lambda runtime, client: ""),
        lambda patch: patch.setattr(f"{STARLETTE}.starlette_websocket.create_websocket_handler", lambda runtime: None),
    ],
    "MemoryMediaFileStorage.get_file": [
        without("streamlit.runtime.memory_media_file_storage._calculate_file_id"),
        lambda patch: patch.setattr(f"{STARLETTE}.starlette_routes.create_media_routes", lambda storage, base: []),
    ],
    "MediaFileManager.add_deferred": [
        without("streamlit.runtime.memory_media_file_storage.MemoryFile.content_size"),
        without("streamlit.runtime.media_file_manager.MediaFileManager.execute_deferred"),
        lambda patch: patch.setattr("streamlit.runtime.backend_operation_handler.DeferredFileHandler", dict),
    ],
    "the attribute": [expecting("RUN_CONTEXT", "another")],
    "MemorySessionStorage of": [
        without("streamlit.runtime.Runtime.close_session"),
        lambda patch: patch.setattr(f"{STARLETTE}.starlette_app.App._create_runtime", lambda app: None),
    ],
    "Runtime._session_mgr.list_sessions": [
        without("streamlit.runtime.websocket_session_manager.WebsocketSessionManager.list_sessions"),
        lambda patch: patch.setattr("streamlit.runtime.app_session.AppSession.__init__", lambda session: None),
        lambda patch: patch.setattr("streamlit.runtime.Runtime.close_session", lambda runtime, session: None),
    ],
    "logger.setup_formatter": [lambda patch: patch.setattr("streamlit.logger.get_logger", lambda name: None)],
    "AppSession._create_new_session_message": [
        without("streamlit.runtime.app_session.AppSession._create_new_session_message")
    ],
    "the addresses below": [
        lambda patch: patch.setattr(
            "streamlit.web.server.starlette.starlette_routes.BASE_ROUTE_UPLOAD_FILE", "_stcore/upload"
        )
    ],
    "the routes of": [another_route, another_place_for_visits],
    "the text": [
        expecting("UNCAUGHT_ERROR_TEXT", "Uncaught"),
        without("streamlit.error_util._log_uncaught_app_exception"),
    ],
    "the option logger.enableRich": [lambda patch: patch.setattr("streamlit.config.get_config_options", dict)],
    "SessionState._new_widget_state": [without(f"{STATE}.clear")],
    "net_util.get_external_ip": [
        without("streamlit.net_util.get_external_ip"),
        lambda patch: patch.setattr(
            "streamlit.web.server.server_util.is_url_from_allowed_origins", lambda origin: False
        ),
    ],
    "the inline scripts": [other_index],
    "the words of config.get_where_defined": [
        expecting("SET_BY_HOST", "a flag"),
        without("streamlit.config.get_where_defined"),
    ],
    "Runtime.does_script_run": [without("streamlit.runtime.Runtime.does_script_run_without_error")],
    "the options runner.postScriptGC": [
        lambda patch: patch.setattr("streamlit.config.get_config_options", those_that_protect)
    ],
    "PagesManager": [without("streamlit.runtime.pages_manager.PagesManager.uses_pages_directory")],
    "AppSession._on_scriptrunner_event": [
        without(f"{SESSION}._handle_scriptrunner_event_on_event_loop"),
        without(f"{SESSION}._call_soon_on_event_loop"),
        lambda patch: patch.setattr(f"{SESSION}._on_scriptrunner_event", lambda session, sender, event: None),
        without("streamlit.runtime.scriptrunner.script_runner.ScriptRunnerEvent"),
    ],
    "app_session._populate_theme_msg": [
        lambda patch: patch.setattr(f"{SESSION}._create_new_session_message", lambda session, page: None)
    ],
    "Runtime._get_async_objs": [
        without("streamlit.runtime.Runtime._get_async_objs"),
        without("asyncio.selector_events.BaseSelectorEventLoop.__init__"),
    ],
    "static/js/data-grid": [on_the_page("CELL_EDITOR_CODE", "gone.*.js")],
    "the names of the scripts": [on_the_page("FIRST_PAGE_CODE", ("Metric", "NoElement"))],
    "stDataFrame, portal": [
        on_the_page("OPEN_CELL", "a-cell"),
        on_the_page("OPEN_CELL_PLACE", "a-place-of-no-page"),
        on_the_page("EDITOR", "stTableOfNothing"),
    ],
    "ForwardMsg.auto_rerun": [
        lambda patch: patch.setattr("streamlit.proto.ForwardMsg_pb2.ForwardMsg", _message_without_fields())
    ],
    "the class st-key-": [on_the_page("CONTAINER_CLASS", "st-name-of-")],
    "stMain, stSidebarNavLink": [
        on_the_page("MAIN", "stNothing"),
        on_the_page("MENU_LINK", "stNothing"),
        on_the_page("POPOVER", "stNothing"),
    ],
    "data-test-script-state": [on_the_page("SCRIPT_STATE", "data-state-of-no-page")],
    "the colour": [on_the_page("TEXT_COLOUR", 0xA1B2C3)],
}


def rich_only() -> dict[str, None]:
    return {"logger.enableRich": None}


def those_that_protect() -> dict[str, object]:
    gone = ("runner.postScriptGC", "server.showEmailPrompt")
    return {name: option for name, option in ALL_OPTIONS().items() if name not in gone}


def _message_without_fields() -> object:
    from streamlit.proto.Empty_pb2 import Empty

    return Empty


CASES = [
    pytest.param(internal, remove, id=f"{internal.name} {number}")
    for internal in INTERNALS
    for name, removals in REMOVED.items()
    if internal.name.startswith(name)
    for number, remove in enumerate(removals)
]


def test_every_line_is_tried() -> None:
    assert {case.values[0] for case in CASES} == set(INTERNALS)


def test_a_streamlit_that_has_all_of_it_is_taken_in_silence(
    monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    check_streamlit()

    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("internal", "remove"), [case for case in CASES if case.values[0].kind == PROTECTS])
def test_without_what_protects_no_public_server_starts(internal, remove, monkeypatch: Patch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "0")  # which is put back afterwards
    remove(monkeypatch)

    with pytest.raises(UnprotectedServer) as error:
        runpy.run_path(str(ROOT / "hosted.py"))
    assert f"{internal.name}, which {internal.why} (without it {internal.if_moved})" in str(error.value)


@pytest.mark.parametrize(("internal", "remove"), [case for case in CASES if case.values[0].kind != PROTECTS])
def test_without_what_only_speeds_up_or_decorates_a_line_stands_in_the_log(
    internal, remove, monkeypatch: Patch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    remove(monkeypatch)
    check_streamlit()

    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["event"], line["what"], line["effect"]) for line in lines] == [
        ("streamlit-changed", internal.name, internal.if_moved)
    ]
