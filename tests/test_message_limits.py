"""What a websocket's messages may be: how many, how large, of how many parts, of which kinds."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from google.protobuf.message import DecodeError
from starlette.status import WS_1002_PROTOCOL_ERROR, WS_1008_POLICY_VIOLATION, WS_1009_MESSAGE_TOO_BIG
from starlette.types import Message
from streamlit.proto.BackMsg_pb2 import BackMsg

from harness.aio import in_a_thread
from xent_host import message_limits
from xent_host.message_limits import (
    MAX_FILES,
    MessageLimits,
    Messages,
    TooMuch,
    check_parts,
)
from xent_ui.server.limits import PUBLIC_VARIABLE

LIMITS = MessageLimits()
MB = 2**20


def repeated_fields(message: Descriptor) -> set[str]:
    """The names of all repeated fields inside a kind of message."""
    found: set[str] = set()
    for one in message_limits._fields(message).values():
        found |= {one.name} if one.repeated else set()
        found |= repeated_fields(one.inner) if one.inner else set()
    return found


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")


def logged(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return [json.loads(line)["what"] for line in capsys.readouterr().out.splitlines()]


def message(**fields: Any) -> Message:
    return {"type": "websocket.receive", "bytes": BackMsg(**fields).SerializeToString()}


RERUN = message(rerun_script={"query_string": "preset=worked-batch"})


def read(sent: list[Message], limits: MessageLimits = LIMITS) -> tuple[list[str | None], list[Message], Messages]:
    """What an app reads of these messages, by kind, and what the browser is told."""
    waiting, told = [*sent, {"type": "websocket.disconnect", "code": 1000}], []

    async def receive() -> Message:
        return waiting.pop(0)

    async def send(message: Message) -> None:
        told.append(message)

    messages = Messages(receive, send, limits)

    async def app() -> list[str | None]:
        kinds = []
        while (came := await messages.receive())["type"] != "websocket.disconnect":
            kinds.append(BackMsg.FromString(came["bytes"]).WhichOneof("type"))
        return kinds

    return in_a_thread(app()), told, messages


@pytest.mark.parametrize("kind", ["bytes", "text"])
def test_a_message_that_is_too_big_ends_the_visit(kind: str) -> None:
    size = len(RERUN["bytes"])
    too_big = {"type": "websocket.receive", kind: b"x" * (size + 1) if kind == "bytes" else "x" * (size + 1)}

    kinds, told, _messages = read([RERUN, too_big, RERUN], MessageLimits(message_bytes=size))

    assert kinds == ["rerun_script"]
    assert told == [{"type": "websocket.close", "code": WS_1009_MESSAGE_TOO_BIG}]


def test_what_no_page_asks_of_streamlit_is_not_read(capsys: pytest.CaptureFixture[str]) -> None:
    own = [
        message(clear_cache=True),
        message(load_git_info=True),
        message(set_run_on_save=True),
        message(debug_shutdown_runtime=True),
        message(app_heartbeat=True),
        message(backend_operation_request={"install_skills": {}}),
        message(backend_operation_request={"dismiss_skills_nudge": {}}),
        message(backend_operation_request={"dataframe_chunk": {"source_id": "a", "limit": 10_000}}),
        message(backend_operation_request={}),
    ]
    wanted = [message(backend_operation_request={"deferred_file": {"file_id": "a"}}), message(stop_script=True)]

    kinds, told, messages = read([RERUN, *own, *wanted])

    assert kinds == ["rerun_script", "backend_operation_request", "stop_script"]
    assert told == []
    assert messages.refused == len(own)
    assert logged(capsys) == ["message_kind"]  # one line, however many come


@pytest.mark.parametrize("sent", [{"bytes": b"\xff\xff"}, {"bytes": b""}, {"text": "hello"}, {}])
def test_what_is_no_message_ends_the_visit_without_an_error(sent: dict[str, Any]) -> None:
    kinds, told, _messages = read([RERUN, {"type": "websocket.receive", **sent}, RERUN])

    assert kinds == ["rerun_script"]
    assert told == [{"type": "websocket.close", "code": WS_1002_PROTOCOL_ERROR}]


class Clock:
    """A clock that goes only while somebody sleeps."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.slept = 1000.0, 0.0
        monkeypatch.setattr("xent_host.message_limits.monotonic", lambda: self.now)
        monkeypatch.setattr("xent_host.message_limits.asyncio.sleep", self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept += seconds


def test_what_comes_faster_than_a_person_can_is_read_later(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    read([RERUN] * 25, MessageLimits(messages_a_second=10.0, burst=5))

    assert clock.slept == pytest.approx((25 - 1 - 5) / 10.0)  # all but the first and the burst


@pytest.mark.parametrize(
    ("large", "turns"),
    [
        (message(rerun_script={"widget_states": {"widgets": [{"id": "a", "string_value": "x" * 3 * 2**16}]}}), 4),
        (message(rerun_script={"widget_states": {"widgets": [{"id": "a", "bool_value": True}] * 100}}), 4),
        (RERUN, 1),
    ],
)
def test_a_large_message_counts_as_several(large: Message, turns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(monkeypatch)
    read([large] * 10, MessageLimits(messages_a_second=10.0, burst=0))

    assert clock.slept == pytest.approx(9 * turns / 10.0)


# Parts


def rerun(**fields: Any) -> bytes:
    return BackMsg(rerun_script=fields).SerializeToString()


def of_widget(**value: Any) -> bytes:
    return rerun(widget_states={"widgets": [{"id": "a", **value}]})


# one for each repeated field that a message can have: so many items, each as small as can be
MANY: dict[str, Callable[[int], bytes]] = {
    "WidgetStates.widgets": lambda n: rerun(widget_states={"widgets": [{}] * n}),
    "ClientState.cached_message_hashes": lambda n: rerun(cached_message_hashes=[""] * n),
    "FileURLsRequest.file_names": lambda n: BackMsg(file_urls_request={"file_names": [""] * n}).SerializeToString(),
    "DoubleArray.data": lambda n: of_widget(double_array_value={"data": [0.0] * n}),
    "SInt64Array.data": lambda n: of_widget(int_array_value={"data": [0] * n}),
    "StringArray.data": lambda n: of_widget(string_array_value={"data": [""] * n}),
    "FileUploaderState.uploaded_file_info": lambda n: of_widget(
        file_uploader_state_value={"uploaded_file_info": [{}] * n}
    ),
}


def test_every_repeated_field_is_tried() -> None:
    assert set(MANY) == repeated_fields(BackMsg.DESCRIPTOR)


@pytest.mark.parametrize("name", MANY)
def test_no_field_has_more_items_than_a_page_sends(name: str) -> None:
    most = LIMITS.items.get(name, LIMITS.other_items)
    check_parts(MANY[name](most), LIMITS)

    with pytest.raises(TooMuch):
        check_parts(MANY[name](most + 1), LIMITS)


@pytest.mark.parametrize("name", MANY)
def test_items_are_counted_before_they_are_built_and_no_further_than_the_limit(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_numbers = [0]
    number = message_limits._number

    def counted(*arguments: Any) -> tuple[int, int]:
        read_numbers[0] += 1
        return number(*arguments)

    monkeypatch.setattr(message_limits, "_number", counted)
    monkeypatch.setattr(message_limits, "kind_of", pytest.fail)
    kinds, told, _messages = read([{"type": "websocket.receive", "bytes": MANY[name](100_000)}])

    assert kinds == []
    assert told == [{"type": "websocket.close", "code": WS_1008_POLICY_VIOLATION}]
    assert read_numbers[0] <= 2 * LIMITS.fields + 2


@pytest.mark.parametrize("name", MANY)
def test_what_comes_in_pieces_that_the_parser_joins_is_counted_together(name: str) -> None:
    most = LIMITS.items.get(name, LIMITS.other_items)

    with pytest.raises(TooMuch):
        check_parts(MANY[name](most // 2 + 1) * 2, LIMITS)


def test_fields_that_nobody_knows_are_counted_too() -> None:
    unknown = b"\xf8\x07\x00"  # number 127

    assert check_parts(unknown * LIMITS.fields, LIMITS) == LIMITS.fields
    with pytest.raises(TooMuch):
        check_parts(unknown * (LIMITS.fields + 1), LIMITS)

    half = b"\xfa\x07" + b"\x81\x10" + b"x" * 2049  # a little more than half of what may come
    assert check_parts(half, LIMITS) == 1
    with pytest.raises(TooMuch):
        check_parts(half * 2, LIMITS)


@pytest.mark.parametrize(
    "text",
    [
        lambda n: rerun(widget_states={"widgets": [{"id": "x" * n}]}),
        lambda n: rerun(cached_message_hashes=["x" * n]),
        lambda n: rerun(page_name="x" * n),
        lambda n: rerun(context_info={"locale": "x" * n}),
        lambda n: of_widget(bytes_value=b"x" * n),
        lambda n: BackMsg(file_urls_request={"file_names": ["x" * n]}).SerializeToString(),
        lambda n: b"\xfa\x07" + b"\x81\x20" + b"x" * n,  # an unknown one
    ],
)
def test_a_name_is_no_longer_than_a_name(text: Callable[[int], bytes]) -> None:
    with pytest.raises(TooMuch):
        check_parts(text(LIMITS.other_text_bytes + 1), LIMITS)


def test_a_table_and_a_link_may_be_long() -> None:
    check_parts(of_widget(string_value="x" * (MB - 100)), LIMITS)
    check_parts(of_widget(json_value="x" * (MB - 100)), LIMITS)
    check_parts(rerun(query_string="x" * 100_000, context_info={"url": "x" * 100_000}), LIMITS)


@pytest.mark.parametrize(
    "data",
    [
        b"\x5a",  # a length is missing
        b"\x5a\x05abc",  # shorter than it says
        b"\x5a\x02\x12\x05",  # an inner field is longer than the outer one
        b"\x0b\x0c",  # a group
        b"\xff" * 11,  # a number without an end
        b"\x09\x00",  # eight bytes, of which one came
    ],
)
def test_what_cannot_be_read_is_no_message(data: bytes) -> None:
    with pytest.raises(DecodeError):
        check_parts(data, LIMITS)


def test_as_many_names_to_upload_as_files_that_a_visit_may_hold() -> None:
    kinds, told, _messages = read([message(file_urls_request={"file_names": ["a"] * MAX_FILES})])

    assert (kinds, told) == (["file_urls_request"], [])
