"""What bounds connections and is not promised: more lines for the list in `streamlit_internals`."""

from __future__ import annotations

from pkgutil import resolve_name
from types import SimpleNamespace

from xent_host.request_paths import is_closed
from xent_ui.streamlit_internals import DECORATES, PROTECTS, Internal, exist, uses

WEBSOCKET = "streamlit.web.server.starlette.starlette_websocket"
HTTP_PROTOCOL = "uvicorn.protocols.http.h11_impl:H11Protocol"
WEBSOCKET_PROTOCOL = "uvicorn.protocols.websockets.websockets_sansio_impl:WebSocketsSansIOProtocol"
SESSION = "streamlit.runtime.app_session:AppSession"
ROUTES = "streamlit.web.server.starlette.starlette_routes"
# below the address of the app
ADDRESSES = {
    f"{ROUTES}:BASE_ROUTE_MEDIA": "media",
    f"{ROUTES}:BASE_ROUTE_UPLOAD_FILE": "_stcore/upload_file",
    f"{ROUTES}:_ROUTE_UPLOAD_FILE": "_stcore/upload_file/{session_id}/{file_id}",
    f"{ROUTES}:ROUTE_METRICS": "_stcore/metrics",
    f"{ROUTES}:ROUTE_SCRIPT_HEALTH": "_stcore/script-health-check",
    "streamlit.web.server.starlette.starlette_agent_routes:_ROUTE_AGENT_INTERACT": "_stcore/agent/interact",
}
# how the routes begin that pages use; "" is for the files of Streamlit's page, and what lies below it
NEEDED = (
    "_stcore/health",
    "_stcore/host-config",
    "_stcore/upload_file",
    "_stcore/bidi-components",
    "_stcore/stream",
    "media",
    "",
)


def is_origin_allowed(origin: str | None, host: str | None) -> bool:
    """Whether a websocket from this origin to this host may be. Raises: ValueError for an address that is none."""
    return bool(resolve_name(f"{WEBSOCKET}:_is_origin_allowed")(origin, host))


def _are_forged_addresses_refused() -> bool:
    """Whether uvicorn takes a visitor's address from a known proxy alone, and of several the one that it has seen."""
    proxies = resolve_name("uvicorn.middleware.proxy_headers:_TrustedHosts")("192.0.2.1")
    address = proxies.get_trusted_client_address("198.51.100.9, 203.0.113.5, 192.0.2.1")
    return address[0] == "203.0.113.5" and "192.0.2.1" in proxies and "198.51.100.9" not in proxies


def _is_a_websocket_refused_like_a_page() -> bool:
    return "websocket.http.response" in str(resolve_name(f"{WEBSOCKET_PROTOCOL}.handle_connect").__code__.co_consts)


def _are_connections_bounded() -> bool:
    """Whether uvicorn's protocols are built as our subclasses of them expect."""
    return (
        uses(f"{HTTP_PROTOCOL}.handle_events", "_should_upgrade", "headers")
        and uses(f"{HTTP_PROTOCOL}.data_received", "handle_events")
        and uses(f"{HTTP_PROTOCOL}.on_response_complete", "handle_events")
        and uses(f"{HTTP_PROTOCOL}.handle_websocket_upgrade", "ws_protocol_class", "data_received")
        and uses(f"{HTTP_PROTOCOL}.__init__", "conn", "logger", "ws_protocol_class")
        and uses(f"{WEBSOCKET_PROTOCOL}.__init__", "conn", "logger", "queue", "close_sent", "frames")
        and uses(f"{WEBSOCKET_PROTOCOL}.data_received", "conn", "receive_data", "handle_parser_exception")
        and uses(f"{WEBSOCKET_PROTOCOL}.handle_connect", "handshake_initiated")
        and uses(f"{WEBSOCKET_PROTOCOL}.receive", "read_paused", "resume_reading")
        and exist(f"{WEBSOCKET_PROTOCOL}.connection_lost", f"{HTTP_PROTOCOL}._should_upgrade")
        and exist("uvicorn.protocols.http.auto:AutoHTTPProtocol")
    )


def _is_what_waits_within_reach() -> bool:
    client = f"{WEBSOCKET}:StarletteSessionClient"
    return (
        uses(f"{client}.__init__", "_send_queue")
        and uses(f"{client}._sender", "_send_queue", "get")
        and uses(f"{client}.write_forward_msg", "_send_queue", "put_nowait", "QueueFull")
        and exist(f"{client}.aclose")
    )


def _are_addresses_the_same() -> bool:
    return all(resolve_name(name) == address for name, address in ADDRESSES.items())


def routes() -> list[str]:
    """The addresses that Streamlit answers at, below that of the app, without what varies: "media", "auth/login"."""
    known = SimpleNamespace(
        media_file_mgr=SimpleNamespace(_storage=None),
        uploaded_file_mgr=None,
        stats_mgr=None,
        component_registry=None,
        bidi_component_registry=None,
    )
    made = resolve_name("streamlit.web.server.starlette.starlette_app:create_streamlit_routes")(known)
    base = str(resolve_name("streamlit.config:get_option")("server.baseUrlPath") or "").strip("/")
    return [route.path.strip("/").removeprefix(base).partition("{")[0].strip("/") for route in made]


def unknown_routes() -> list[str]:
    """Addresses that Streamlit answers at, and of which nobody has said that pages use them or that they are closed."""
    return [path for path in routes() if path not in NEEDED and not is_closed(path)]


INTERNALS = (
    Internal(
        "H11Protocol and WebSocketsSansIOProtocol of uvicorn",
        "counts the frames and bytes of a connection before they are parsed, and ends what is never sent to its end",
        "one connection with empty frames keeps everybody waiting, and unfinished messages fill the memory",
        PROTECTS,
        _are_connections_bounded,
    ),
    Internal(
        "StarletteSessionClient._send_queue",
        "bounds what waits for a browser that does not read",
        "whoever asks for pages and does not read them fills the memory",
        PROTECTS,
        _is_what_waits_within_reach,
    ),
    Internal(
        "starlette_websocket._is_origin_allowed",
        "refuses origins and hosts before Streamlit fails on them or logs them",
        "the log quotes what strangers send",
        PROTECTS,
        lambda: (
            resolve_name(f"{WEBSOCKET}:_is_origin_allowed").__code__.co_varnames[:2] == ("origin", "host")
            and uses(f"{WEBSOCKET}:_is_origin_allowed", "is_host_allowed", "is_url_from_allowed_origins")
        ),
    ),
    Internal(
        "uvicorn's ProxyHeadersMiddleware",
        "tells the address of a visitor behind a proxy, which no visitor can forge",
        "whoever sends another X-Forwarded-For with each request has no limits by address",
        PROTECTS,
        _are_forged_addresses_refused,
    ),
    Internal(
        "uvicorn's extension websocket.http.response",
        "refuses a visit with the status by which a proxy goes on to the next replica",
        "a visitor is turned away although another replica has room",
        DECORATES,
        _is_a_websocket_refused_like_a_page,
    ),
    Internal(
        "the addresses below /_stcore/",
        "closes what is no visitor's business, and limits uploads",
        "metrics and the agent's interface are open, and uploads without a limit",
        PROTECTS,
        _are_addresses_the_same,
    ),
    Internal(
        "the routes of starlette_app.create_streamlit_routes",
        "closes every address that no page uses",
        "what a newer Streamlit answers at is open to strangers",
        PROTECTS,
        lambda: set(NEEDED) <= set(routes()) and not unknown_routes(),
    ),
    Internal(
        "AppSession._on_scriptrunner_event and _call_soon_on_event_loop",
        "hands what a run shows to the event loop several messages at a time",
        "where many edit at once, each waits a little longer",
        DECORATES,
        lambda: (
            uses(f"{SESSION}._on_scriptrunner_event", "_call_soon_on_event_loop")
            and exist(f"{SESSION}._handle_scriptrunner_event_on_event_loop", f"{SESSION}._call_soon_on_event_loop")
            and exist("streamlit.runtime.scriptrunner.script_runner:ScriptRunnerEvent.ENQUEUE_FORWARD_MSG")
        ),
    ),
    Internal(
        "app_session._populate_theme_msg",
        "has the options of the theme read once, not at the beginning of each run",
        "an edit costs the server a sixth more of its processor time",
        DECORATES,
        lambda: uses(f"{SESSION}._create_new_session_message", "_populate_theme_msg"),
    ),
    Internal(
        "Runtime._get_async_objs and the selector of its event loop",
        "lets connections send small messages at once",
        "an answer to an edit comes up to 40 ms late",
        DECORATES,
        lambda: (
            exist("streamlit.runtime:Runtime._get_async_objs")
            and uses("asyncio.selector_events:BaseSelectorEventLoop.__init__", "_selector")
        ),
    ),
)
