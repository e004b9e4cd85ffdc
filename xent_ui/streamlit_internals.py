"""What the app uses of Streamlit that Streamlit does not promise: what, why, and what happens when it moves.

Nothing of Streamlit is imported before it is asked for. `INTERNALS` at the end is the list, each line with a check of
the installed version. On a server for strangers `xent_host/startup_check.py` stops the start where something is missing
that protects; without what only speeds up or decorates, the app goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pkgutil import resolve_name
from threading import current_thread
from typing import Any, Literal

PROTECTS: Literal["protects"] = "protects"
DECORATES: Literal["speeds up or decorates"] = "speeds up or decorates"

SCRIPT_RUNNER = "streamlit.runtime.scriptrunner.script_runner:ScriptRunner"
SESSION_STATE = "streamlit.runtime.state.session_state:SessionState"
WIDGET_METADATA = "streamlit.runtime.state.common:WidgetMetadata"
SAFE_SESSION_STATE = "streamlit.runtime.state.safe_session_state:SafeSessionState"
DATA_EDITOR = "streamlit.elements.widgets.data_editor"
RUN_CONTEXT = "streamlit_script_run_ctx"  # the attribute of a thread
TRIGGER_ID = "streamlit.components.v2.bidi_component.main:_make_trigger_id"

# messages that a page in a browser sends; the other kinds are for whoever develops the app
BROWSER_MESSAGES = ("rerun_script", "stop_script", "file_urls_request", "backend_operation_request")
BACKEND_OPERATIONS = ("deferred_file",)  # of a backend_operation_request: a file that is made when it is asked for
# in which field of a WidgetState the value of each kind of widget comes
WIDGET_VALUES = {
    "bidi_component": "json_value",
    "button": "trigger_value",
    "button_group": "string_array_value",
    "checkbox": "bool_value",
    "dataframe": "string_value",
    "download_button": "trigger_value",
    "expandable": "bool_value",
    "file_uploader": "file_uploader_state_value",
    "number_input": "double_value",
    "plotly_chart": "string_value",
    "popover": "bool_value",
    "selectbox": "string_value",
    "slider": "double_array_value",
    "text_area": "string_value",
    "text_input": "string_value",
}
TRIGGER_VALUES = "json_trigger_value"  # of all events of a component, in a widget of their own
# what the widget filter reads of the description of a widget
DESCRIPTIONS = {
    "ButtonGroup": ("id", "options", "click_mode", "required"),
    "Dataframe": ("id", "editing_mode"),
    "NumberInput": ("id", "data_type", "has_min", "has_max", "min", "max"),
    "Selectbox": ("id", "options", "accept_new_options"),
    "Slider": ("id", "type", "options", "default", "min", "max"),
    "TextArea": ("id", "max_chars"),
    "TextInput": ("id", "max_chars"),
}
DESCRIPTION_VALUES = (
    "streamlit.proto.ButtonGroup_pb2:ButtonGroup.MULTI_SELECT",
    "streamlit.proto.Dataframe_pb2:Dataframe.READ_ONLY",
    "streamlit.proto.NumberInput_pb2:NumberInput.INT",
    "streamlit.proto.Slider_pb2:Slider.SELECT_SLIDER",
)
UNCAUGHT_ERROR_LOGGER, UNCAUGHT_ERROR_TEXT = "streamlit.error_util", "Uncaught app execution"
SET_BY_HOST = "environment variable"  # in what Streamlit says of an option set by flag or by variable


@dataclass(frozen=True)
class Internal:
    """One thing that Streamlit may change without notice.

    Attributes:
      name: what Streamlit calls it.
      why: what it is used for; follows "it".
      if_moved: what a visitor or the host meets without it.
      kind: whether it protects a public server, or only speeds up or decorates.
      check: whether the installed Streamlit has it, as it is used here.
    """

    name: str
    why: str
    if_moved: str
    kind: Literal["protects", "speeds up or decorates"]
    check: Callable[[], object]

    def is_there(self) -> bool:
        """Whether the installed Streamlit has it; a check that fails in any way says no."""
        try:
            return bool(self.check())
        except Exception:  # what has moved can break in any way
            return False


def page_files_are_searched() -> bool:
    """Whether `st.navigation` has yet to run in this process, so that Streamlit looks for pages directly in pages/."""
    try:
        return resolve_name("streamlit.runtime.pages_manager:PagesManager").uses_pages_directory is True
    except (AttributeError, ImportError):
        return False


def run_context() -> Any:
    """What Streamlit knows of the run that this thread does; None outside a run."""
    return resolve_name("streamlit.runtime.scriptrunner:get_script_run_ctx")(suppress_warning=True)


@contextmanager
def in_run_context(context: Any) -> Iterator[None]:
    """Let this thread know what Streamlit knows of a run, until the block ends."""
    thread, before = current_thread(), run_context()
    setattr(thread, RUN_CONTEXT, context)
    try:
        yield
    finally:
        setattr(thread, RUN_CONTEXT, before)


def forget_session_values(values: Any, *, but: Collection[str]) -> None:
    """Forget all values of the session of a run, of widgets and others.

    The interface of a session reads what it deletes, and what the browser sent cannot be read.
    """
    state = values._state
    state._new_widget_state.states.clear()
    kept = {key: state[key] for key in but if key in state}
    state.clear()
    for key, value in kept.items():
        state[key] = value


def held_files(manager: Any) -> dict[str, list[int]]:
    """The sizes in bytes of the uploaded files that the server holds, by session."""
    return {
        session: [len(file.data) for file in list(files.values())]
        for session, files in list(manager.file_storage.items())
    }


def client_address(runtime: Any, session: str) -> str | None:
    """The address of the browser that is connected to a session; None if none is, or nobody can tell."""
    client = runtime.get_client(session)
    return None if client is None or client.client_context is None else client.client_context.remote_ip


def drop_oldest_file(manager: Any, session: str) -> None:
    """Forget the file that the session has uploaded first, if it has one."""
    if file := next(iter(manager.file_storage.get(session, ())), None):
        manager.remove_file(session, file)


def is_set_by_host(option: str) -> bool:
    """Whether whoever starts the server has set this option by flag or by variable; False where nobody can tell."""
    try:
        return SET_BY_HOST in resolve_name("streamlit.config:get_where_defined")(option)
    except AttributeError:
        return False


async def run_first_page() -> None:
    """Run the first page before any visitor does, if this Streamlit can. Raises: RuntimeError if the page fails."""
    runtime = resolve_name("streamlit.runtime:get_instance")()
    if (run := getattr(runtime, "does_script_run_without_error", None)) is None:
        return
    is_well, why = await run()
    if not is_well:
        raise RuntimeError(f"The first page does not run: {why}")


def exist(*names: str) -> bool:
    """Whether all of these names, MODULE:NAME, can be found. Raises: AttributeError, ImportError if one cannot."""
    return all(resolve_name(name) is not None for name in names)


def uses(function: str, *names: str) -> bool:
    """Whether the function looks these names up, as attributes or globals."""
    return set(names) <= set(resolve_name(function).__code__.co_names)


def _fields(message: str, file: str = "") -> set[str]:
    return set(resolve_name(f"streamlit.proto.{file or message}_pb2:{message}").DESCRIPTOR.fields_by_name)


def _is_run_patchable() -> bool:
    return exist(f"{SCRIPT_RUNNER}._run_script") and uses(f"{SCRIPT_RUNNER}.__init__", "_session_id")


def _is_address_of_a_session_known() -> bool:
    socket = "streamlit.web.server.starlette.starlette_websocket"
    return (
        exist("streamlit.runtime:Runtime.get_client", "streamlit.runtime:Runtime.is_active_session")
        and "remote_ip" in vars(resolve_name(f"{socket}:StarletteClientContext"))
        and "client_context" in vars(resolve_name(f"{socket}:StarletteSessionClient"))
    )


def _are_downloads_within_reach() -> bool:
    session = "streamlit.runtime.app_session:AppSession"
    handle = resolve_name("streamlit.runtime.backend_operation_handler:DeferredFileHandler.handle")
    return (
        handle.__code__.co_argcount == 3
        and uses(f"{session}._create_backend_operation_dispatcher", "DeferredFileHandler")
        and exist("streamlit.runtime.media_file_manager:MediaFileManager.execute_deferred")
        and {"url"} <= _fields("DeferredFileResponsePayload", file="ForwardMsg")
        and {"request_id", "error_msg", "deferred_file"} <= _fields("BackendOperationResponse", file="ForwardMsg")
    )


def _is_enqueue_patchable() -> bool:
    return exist(f"{SCRIPT_RUNNER}._enqueue_forward_msg") and uses(
        f"{SCRIPT_RUNNER}._run_script_thread", "_run_script", "_enqueue_forward_msg"
    )


def _is_state_of_a_run_within_reach() -> bool:
    state = resolve_name(SESSION_STATE)()
    safe = resolve_name(SAFE_SESSION_STATE)(state, lambda: None)
    return safe._state is state and uses(f"{SCRIPT_RUNNER}.__init__", "_session_state")


def _are_first_values_within_reach() -> bool:
    state = resolve_name(SESSION_STATE)()
    return (
        exist(f"{SESSION_STATE}.register_widget", "streamlit.runtime.state.session_state:Serialized")
        and isinstance(state._new_widget_state.states, dict)
        and {"deserializer", "value_type"} <= set(resolve_name(WIDGET_METADATA).__dataclass_fields__)
        and exist("streamlit.runtime.state.common:unpack_widget_state_value")
    )


def _are_values_forgotten() -> bool:
    state = resolve_name(SESSION_STATE)(_old_state={"forgotten": 1})
    forget_session_values(resolve_name(SAFE_SESSION_STATE)(state, lambda: None), but=())
    return "forgotten" not in state and exist("streamlit.runtime.scriptrunner:get_script_run_ctx")


def _are_widgets_described() -> bool:
    return (
        set(WIDGET_VALUES) <= _fields("Element") | _fields("Block")
        and {*WIDGET_VALUES.values(), TRIGGER_VALUES} <= _fields("WidgetState", file="WidgetStates")
        and {"new_element", "add_block"} <= _fields("Delta")
        and all(set(names) <= _fields(name) for name, names in DESCRIPTIONS.items())
        and exist(*DESCRIPTION_VALUES)
    )


def _are_uploads_counted() -> bool:
    manager = resolve_name("streamlit.runtime.memory_uploaded_file_manager:MemoryUploadedFileManager")("")
    file = resolve_name("streamlit.runtime.uploaded_file_manager:UploadedFileRec")("id", "name", "type", b"12")
    manager.add_file("session", file)
    counted = held_files(manager)
    drop_oldest_file(manager, "session")
    left = held_files(manager)
    return (counted, left) == ({"session": [2]}, {"session": []}) and exist(
        "streamlit.runtime:get_instance",
        "streamlit.runtime:Runtime.is_active_session",
        "streamlit.runtime:Runtime.uploaded_file_mgr",
    )


def _is_error_text_the_same() -> bool:
    log = resolve_name(f"{UNCAUGHT_ERROR_LOGGER}:_log_uncaught_app_exception")
    logger = resolve_name(f"{UNCAUGHT_ERROR_LOGGER}:_LOGGER")
    return UNCAUGHT_ERROR_TEXT in log.__code__.co_consts and logger.name == UNCAUGHT_ERROR_LOGGER


def _are_options_known(*options: str) -> bool:
    known = resolve_name("streamlit.config:get_config_options")()
    return all(option in known for option in options)


INTERNALS = (
    Internal(
        "ScriptRunner._run_script and _session_id",
        "lets runs wait for one lock, those of whoever has used least first",
        "whoever opens pages without end holds up everybody who edits",
        PROTECTS,
        _is_run_patchable,
    ),
    Internal(
        "Runtime.get_client with client_context.remote_ip",
        "tells from which address a visit comes",
        "whoever opens many visits has as many shares of the processor",
        PROTECTS,
        _is_address_of_a_session_known,
    ),
    Internal(
        "the option runner.fastReruns",
        "keeps a visit to one run at a time",
        "a visit that asks for runs without end has a thread for each of them",
        PROTECTS,
        lambda: (
            _are_options_known("runner.fastReruns")
            and exist("streamlit.runtime.app_session:AppSession.request_rerun")
            and "runner.fastReruns"
            in resolve_name("streamlit.runtime.app_session:AppSession.request_rerun").__code__.co_consts
        ),
    ),
    Internal(
        "data_editor._apply_dataframe_edits",
        "leaves a copy of an edited table alone that no page reads",
        "whoever writes a whole table anew holds the interpreter for half a second in one piece",
        PROTECTS,
        lambda: (
            uses(f"{DATA_EDITOR}:DataEditorMixin.data_editor.__wrapped__", "_apply_dataframe_edits")
            and resolve_name(f"{DATA_EDITOR}:_apply_dataframe_edits").__code__.co_argcount == 3
        ),
    ),
    Internal(
        "DeferredFileHandler.handle and MediaFileManager.execute_deferred",
        "makes files that are downloaded in the turn of the visit that asked",
        "whoever asks for many files holds up everybody's, and longer than he stays",
        PROTECTS,
        _are_downloads_within_reach,
    ),
    Internal(
        "ScriptRunner._enqueue_forward_msg",
        "notes which widgets a visit was shown, and pauses a long run",
        "nobody knows which values a widget offers, so any value would pass",
        PROTECTS,
        _is_enqueue_patchable,
    ),
    Internal(
        "SessionState.on_script_will_rerun",
        "leaves out values that their widgets do not offer",
        "pages and callbacks read whatever a stranger sends",
        PROTECTS,
        lambda: (
            exist(f"{SESSION_STATE}.on_script_will_rerun")
            and uses(f"{SAFE_SESSION_STATE}.on_script_will_rerun", "on_script_will_rerun")
        ),
    ),
    Internal(
        "SessionState.register_widget",
        "leaves out values of a first message that their widgets cannot read",
        "who begins a visit with nonsense sees an error of ours",
        PROTECTS,
        _are_first_values_within_reach,
    ),
    Internal(
        "ScriptRunner._session_state and SafeSessionState._state",
        "keeps the descriptions of the widgets with the visit",
        "nobody knows which values a widget offers, so any value would pass",
        PROTECTS,
        _is_state_of_a_run_within_reach,
    ),
    Internal(
        "the fields of WidgetState, Element, Block and Delta",
        "says what a widget offers, and where its value comes",
        "widgets are not recognised, and what they do not offer would pass",
        PROTECTS,
        _are_widgets_described,
    ),
    Internal(
        "bidi_component._make_trigger_id",
        "names the widget in which the events of a component come",
        "events of components are left out, and their pages stand still",
        PROTECTS,
        partial(exist, TRIGGER_ID),
    ),
    Internal(
        "the kinds of BackMsg",
        "tells what a page sends from what is for developers",
        "a stranger clears everybody's caches, or a page is cut off",
        PROTECTS,
        lambda: (
            set(BROWSER_MESSAGES) <= _fields("BackMsg")
            and set(BACKEND_OPERATIONS) <= _fields("BackendOperationRequest", file="BackMsg")
        ),
    ),
    Internal(
        "Runtime.uploaded_file_mgr with file_storage",
        "counts the uploaded files that the server holds, and forgets those that give way",
        "the limits on uploads cannot be enforced, and files fill the memory",
        PROTECTS,
        _are_uploads_counted,
    ),
    Internal(
        f'the text "{UNCAUGHT_ERROR_TEXT}" of the logger {UNCAUGHT_ERROR_LOGGER}',
        "keeps Streamlit's own report of an error out of the log",
        "the log quotes what visitors type",
        PROTECTS,
        _is_error_text_the_same,
    ),
    Internal(
        "the option logger.enableRich",
        "keeps Streamlit from writing errors past its log",
        "the log quotes what visitors type",
        PROTECTS,
        partial(_are_options_known, "logger.enableRich"),
    ),
    Internal(
        "SessionState._new_widget_state and clear",
        "lets the widgets of a visit start anew when one value makes every run fail",
        "such a visit fails until its tab is closed",
        PROTECTS,
        _are_values_forgotten,
    ),
    Internal(
        "net_util.get_external_ip",
        "keeps Streamlit from asking another server who a stranger's site is",
        "all visitors wait while it asks, two seconds and more",
        PROTECTS,
        lambda: (
            exist("streamlit.net_util:get_external_ip")
            and uses("streamlit.web.server.server_util:is_url_from_allowed_origins", "net_util", "get_external_ip")
        ),
    ),
    Internal(
        "the words of config.get_where_defined",
        "leaves alone the options that the host has set",
        "the host's flags and STREAMLIT_ variables are overruled",
        DECORATES,
        lambda: (
            exist("streamlit.config:get_where_defined")
            and SET_BY_HOST in resolve_name("streamlit.config:_DEFINED_BY_FLAG")
            and SET_BY_HOST in resolve_name("streamlit.config:_DEFINED_BY_ENV_VAR")
        ),
    ),
    Internal(
        "Runtime.does_script_run_without_error",
        "runs the first page before the first visitor",
        "the first visitor waits some seconds",
        DECORATES,
        partial(exist, "streamlit.runtime:Runtime.does_script_run_without_error"),
    ),
    Internal(
        "the options runner.postScriptGC and server.showEmailPrompt",
        "collects no garbage after each run, and asks for no address",
        "every run takes longer, and the first start asks for an address",
        DECORATES,
        partial(_are_options_known, "runner.postScriptGC", "server.showEmailPrompt"),
    ),
    Internal(
        "PagesManager.uses_pages_directory",
        "has the first visitor's browser look twice where Streamlit finds no page at first",
        '"Page not found" stands over the right page, once for each start of the server',
        DECORATES,
        lambda: hasattr(resolve_name("streamlit.runtime.pages_manager:PagesManager"), "uses_pages_directory"),
    ),
    Internal(
        "ForwardMsg.auto_rerun of a fragment that runs on its own, and auth_redirect",
        "has a tab ask for its page anew after its server was away, and read why an idle visit has ended",
        "what is typed first after such a break is lost, and an idle visit ends without a word",
        DECORATES,
        lambda: {"auto_rerun", "auth_redirect"} <= _fields("ForwardMsg"),
    ),
)
