"""Validates widget values from the browser: one that its widget cannot hold is dropped before a page reads it.

A browser sends what its widgets hold. Somebody without one may send anything: other types, numbers out of range,
choices that no widget has. So Streamlit's own description of each widget, as the browser got it, is kept in the visit,
and what comes back is compared with it. A widget of a kind that is not known here has no value that would pass.
Of what a picture, a table or a component sends, the shape is checked here, and the range where it is used.
A first message comes before anything was shown. Of its values, each is read when a page makes its widget, and dropped
if it cannot be.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import Any

from streamlit.components.v2.bidi_component.main import _make_trigger_id
from streamlit.proto.ButtonGroup_pb2 import ButtonGroup
from streamlit.proto.Dataframe_pb2 import Dataframe
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NumberInput_pb2 import NumberInput
from streamlit.proto.Slider_pb2 import Slider
from streamlit.proto.WidgetStates_pb2 import WidgetState, WidgetStates
from streamlit.runtime.scriptrunner.script_runner import ScriptRunner
from streamlit.runtime.state.common import WidgetMetadata, unpack_widget_state_value
from streamlit.runtime.state.session_state import Serialized, SessionState

from xent_ui.server.log import event
from xent_ui.state.session import SHOWN_WIDGETS
from xent_ui.state.sheet import LARGEST_WHOLE
from xent_ui.streamlit_internals import TRIGGER_VALUES, WIDGET_VALUES

# in which field the value of each widget comes; two kinds are told apart here that are one to Streamlit
FIELDS = {**WIDGET_VALUES, "bidi_events": TRIGGER_VALUES, "data_editor": WIDGET_VALUES["dataframe"]}
KNOWN_FIELDS = {None, "int_value", *FIELDS.values()}  # in which any value of a page comes
MAX_WIDGETS = 300  # of a visit; the largest page has a quarter
MAX_JSON_PARTS = 40_000  # of a table with every cell edited, and of everything that a tab keeps, some 9000
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)  # or the beginning of one, so that none is read twice
_ROW = re.compile(r"[0-9]{1,9}")
JSON_FIELDS = ("json_value", TRIGGER_VALUES)
JSON_KINDS = ("bidi_component", "bidi_events", "data_editor", "dataframe", "plotly_chart")
LARGE = ("bidi_component", "data_editor", "dataframe", "plotly_chart")  # of which nothing but the kind is kept


class ShownWidgets:
    """The widgets that a visit was shown of late, by their identifiers."""

    def __init__(self) -> None:
        self._shown: dict[str, tuple[str, Any]] = {}  # kind and description, the latest last
        self._unchecked: set[str] = set()  # what came before anything was shown

    def note(self, kind: str, widget: Any) -> None:
        """Remember what the browser is told of a widget."""
        if kind == "dataframe" and widget.editing_mode != Dataframe.READ_ONLY:
            kind = "data_editor"
        self._keep(widget.id, kind, widget if kind in FIELDS and kind not in LARGE else None)
        if kind == "bidi_component":
            self._keep(_make_trigger_id(widget.id, "events"), "bidi_events", None)

    def _keep(self, identifier: str, kind: str, widget: Any) -> None:
        self._shown.pop(identifier, None)
        self._shown[identifier] = kind, widget
        if len(self._shown) > MAX_WIDGETS:
            del self._shown[next(iter(self._shown))]

    def accepts(self, state: WidgetState) -> bool:
        """Whether the visit was shown a widget that can hold this; after a reconnection nothing is known
        yet, and any value in a field that some page uses passes to the pages, which check it."""
        kind, widget = self._shown.get(state.id, ("", None))
        if has_too_many_parts(state, kind):
            return False
        if not self._shown:
            return may_be_of_a_page(state)
        return is_valid(state, kind, widget)

    def accepted(self, states: WidgetStates) -> WidgetStates:
        """The states without those that no widget can hold."""
        kept = [state for state in states.widgets if self.accepts(state)]
        if not self._shown:
            self._unchecked = {state.id for state in kept}
        if len(kept) == len(states.widgets):
            return states
        event("limit", what="widget_value", values=len(states.widgets) - len(kept))
        return WidgetStates(widgets=kept)

    def can_be_read(self, state: WidgetState, metadata: WidgetMetadata[Any]) -> bool:
        """Whether its widget, which a page makes now, can read what came for it before anything was shown."""
        if state.id not in self._unchecked:
            return True
        self._unchecked.discard(state.id)
        came = state.WhichOneof("value")
        is_number = (came, metadata.value_type) == ("int_value", FIELDS["number_input"])
        if came is not None and came != metadata.value_type and not is_number:
            return False
        try:
            value = metadata.deserializer(unpack_widget_state_value(state))
        except Exception:  # whatever a stranger's value leads to in Streamlit's code, or in that of a component
            return False
        if came == "string_value" and isinstance(value, Mapping):
            check = _is_table_edit if "edited_rows" in value else _is_selection if "selection" in value else None
            return check is None or check(state.string_value)
        return not isinstance(value, float) or math.isfinite(value)


def widget_in(message: ForwardMsg) -> tuple[str, Any] | None:
    """The widget that a message to the browser describes, after its kind; most describe none."""
    what = message.delta.WhichOneof("type")
    if what not in ("new_element", "add_block"):
        return None
    part = getattr(message.delta, what)
    kind = part.WhichOneof("type") or ""
    widget = getattr(part, kind, None)
    return (kind, widget) if getattr(widget, "id", "") else None


def may_be_of_a_page(state: WidgetState) -> bool:
    """Whether a value comes in a field that some page uses; of a component, that it is what one sends."""
    came = state.WhichOneof("value")
    if came in JSON_FIELDS:
        return _is_json(getattr(state, came), dict if came == "json_value" else list)
    return came in KNOWN_FIELDS


def has_too_many_parts(state: WidgetState, kind: str) -> bool:
    """Whether this is JSON with more lists, entries and objects than any page sends; they are counted unread.

    Parsing is one call that keeps all others waiting, and half a million empty lists in 2 MB take 50 MB of memory.
    """
    came = state.WhichOneof("value") or ""
    text = getattr(state, came) if came in (*JSON_FIELDS, "string_value") else ""
    if came == "string_value" and kind not in JSON_KINDS and not (kind == "" and text.lstrip().startswith(("{", "["))):
        return False
    if sum(map(text.count, "[{,:")) <= MAX_JSON_PARTS:
        return False
    between = _STRING.sub("", text)  # the name of a class may hold any of these, and comes with each of its cells
    return sum(map(between.count, "[{,:")) > MAX_JSON_PARTS


def is_valid(state: WidgetState, kind: str, widget: Any) -> bool:
    """Whether a widget of this kind can hold this; of an unknown kind none can.

    Args: widget: what the browser was told of it; None for a kind of which only the type is checked.
    """
    came = state.WhichOneof("value")
    if kind not in FIELDS:
        return False
    if came is None:  # nothing is chosen, or typed
        return not (kind == "button_group" and widget.required)
    is_choice = kind == "slider" and widget.type == Slider.SELECT_SLIDER
    is_whole = kind == "number_input" and widget.data_type == NumberInput.INT
    # a browser sends whole numbers as such, and what Streamlit sends itself comes back as it was
    fields = ("string_array_value",) if is_choice else ("int_value", FIELDS[kind]) if is_whole else (FIELDS[kind],)
    if came not in fields:
        return False
    value = getattr(state, came)
    if kind == "selectbox":
        return bool(widget.accept_new_options) or value in widget.options
    if kind == "button_group":
        options = {text for o in widget.options for text in (o.content, f"{o.content_icon} {o.content}")}
        most = len(options) if widget.click_mode == ButtonGroup.MULTI_SELECT else 1
        return options.issuperset(value.data) and int(widget.required) <= len(value.data) <= most
    if kind == "number_input":
        return _is_in_range(float(value), widget)
    if kind == "slider":
        is_inside = (lambda one: one in widget.options) if is_choice else (lambda one: widget.min <= one <= widget.max)
        return len(value.data) == len(widget.default) and all(map(is_inside, value.data))
    if kind in ("text_area", "text_input"):
        return not widget.max_chars or len(value) <= widget.max_chars
    if kind in ("bidi_component", "bidi_events"):
        return _is_json(value, dict if kind == "bidi_component" else list)
    if kind in ("dataframe", "plotly_chart"):
        return _is_selection(value)
    if kind == "data_editor":
        return _is_table_edit(value)
    return True


def _is_in_range(value: float, widget: NumberInput) -> bool:
    least = widget.min if widget.has_min else -math.inf
    largest = widget.max if widget.has_max else math.inf
    if not (math.isfinite(value) and least <= value <= largest):
        return False
    return widget.data_type != NumberInput.INT or (value.is_integer() and abs(value) <= LARGEST_WHOLE)


def _is_json(text: str, expected: type) -> bool:
    try:
        return isinstance(json.loads(text), expected)
    except (RecursionError, ValueError):
        return False


def _is_selection(text: str) -> bool:
    """Whether a text names places of a picture or a table, by numbers."""
    try:
        chosen = json.loads(text)["selection"]
        points, rows = chosen.get("points", []), chosen.get("rows", [])
        numbers = [point[name] for point in points for name in ("x", "y")]
        places = [point["point_index"] for point in points] + rows
        return all(type(number) in (int, float) and math.isfinite(number) for number in numbers) and all(
            type(place) is int and place >= 0 for place in places
        )
    except (AttributeError, KeyError, OverflowError, RecursionError, TypeError, ValueError):
        return False


def _is_table_edit(text: str) -> bool:
    """Whether a text says which cells of a table were edited, by the numbers of the rows; the page reads the cells."""
    try:
        edit = json.loads(text)
        edited, added, deleted = edit.get("edited_rows", {}), edit.get("added_rows", []), edit.get("deleted_rows", [])
        return (
            [type(edited), type(added), type(deleted)] == [dict, list, list]
            and all(_ROW.fullmatch(row) for row in edited)
            and all(type(cells) is dict for cells in (*edited.values(), *added))
            and all(type(row) is int and row >= 0 for row in deleted)
        )
    except (AttributeError, RecursionError, ValueError):
        return False


def apply() -> None:
    """From now on, no page and no callback sees a value that its widget cannot hold."""
    enqueue, receive = ScriptRunner._enqueue_forward_msg, SessionState.on_script_will_rerun
    register = SessionState.register_widget

    def enqueue_and_note(runner: ScriptRunner, message: ForwardMsg) -> None:
        if shown := widget_in(message):
            # Streamlit's own state, not its interface, which may end the run while it is read
            _shown_widgets(runner._session_state._state).note(*shown)
        enqueue(runner, message)

    def receive_valid(state: SessionState, fresh: WidgetStates | None, **options: Any) -> None:
        receive(state, fresh and _shown_widgets(state).accepted(fresh), **options)

    def register_readable(state: SessionState, metadata: WidgetMetadata[Any], user_key: str | None) -> Any:
        came = state._new_widget_state.states.get(metadata.id)
        if isinstance(came, Serialized) and not _shown_widgets(state).can_be_read(came.value, metadata):
            event("limit", what="widget_value", values=1)
            del state._new_widget_state[metadata.id]
        return register(state, metadata, user_key)

    ScriptRunner._enqueue_forward_msg = enqueue_and_note  # type: ignore[method-assign, assignment]  # replaced on purpose
    SessionState.on_script_will_rerun = receive_valid  # type: ignore[method-assign, assignment]  # replaced on purpose
    SessionState.register_widget = register_readable  # type: ignore[method-assign, assignment]  # replaced on purpose


def _shown_widgets(state: SessionState) -> ShownWidgets:
    if SHOWN_WIDGETS not in state:
        state[SHOWN_WIDGETS] = ShownWidgets()
    shown: ShownWidgets = state[SHOWN_WIDGETS]
    return shown
