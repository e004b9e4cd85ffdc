"""Limits on the messages of a websocket: how many, how large, of how many parts, and of which kinds.

What a message asks for is counted in its bytes, before objects are built: Protocol Buffers makes an object of a hundred
bytes of each two that come, and Streamlit works on each of them.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from time import monotonic
from types import MappingProxyType
from typing import NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import DecodeError
from starlette.status import WS_1002_PROTOCOL_ERROR, WS_1008_POLICY_VIOLATION, WS_1009_MESSAGE_TOO_BIG
from starlette.types import Message, Receive, Send
from streamlit.proto.BackMsg_pb2 import BackMsg

from xent_ui.server.log import event
from xent_ui.streamlit_internals import BACKEND_OPERATIONS, BROWSER_MESSAGES

_MB = 2**20
MAX_FILES = 6  # that a visit may hold, so that more names to upload are of no use to it
# a message with more of them counts as several
FIELDS_OF_A_TURN, BYTES_OF_A_TURN = 100, 2**16
# Protocol Buffers: how a field is written
_NUMBER, _EIGHT_BYTES, _TEXT, _FOUR_BYTES = 0, 1, 2, 5


@dataclass(frozen=True)
class MessageLimits:
    """How much a browser may send.

    Attributes:
      message_bytes: of what it sends at once; the largest table is a tenth of it.
      messages_a_second, burst: what comes faster than this after a burst is read later.
      fields: of a message, those inside others included; the largest page sends 200.
      items: of a repeated field, in the whole message.
      other_items: of a repeated field that is not named there.
      text_bytes: of a text or of bytes, where the name of the field has a limit of its own.
      other_text_bytes: of one that is not named there: a name or a number, not what somebody typed; and of all fields
        together that this version does not know.
    """

    message_bytes: int = 2 * _MB
    messages_a_second: float = 30.0
    burst: int = 60
    fields: int = 3_000
    items: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType(
            {
                "WidgetStates.widgets": 300,  # the largest page has a quarter
                "ClientState.cached_message_hashes": 300,  # of the messages of two runs above 10 kB
                "StringArray.data": 1_000,  # choices of all widgets
                "FileURLsRequest.file_names": MAX_FILES,
                "FileUploaderState.uploaded_file_info": MAX_FILES,
            }
        )
    )
    other_items: int = 100
    text_bytes: Mapping[str, int] = field(
        default_factory=lambda: MappingProxyType(
            {
                "WidgetState.string_value": 2 * _MB,  # a table, or a text
                "WidgetState.json_value": 2 * _MB,  # of a component
                "WidgetState.json_trigger_value": 2 * _MB,
                "ClientState.query_string": _MB // 4,  # a link holds a table
                "ContextInfo.url": _MB // 4,
            }
        )
    )
    other_text_bytes: int = 4_096


class TooMuch(ValueError):
    """A message has more parts, or a larger part, than any browser sends."""


class _Field(NamedTuple):
    name: str  # of its message and its own: WidgetStates.widgets
    repeated: bool
    inner: Descriptor | None
    item_bytes: int  # the fewest that an item takes where they are packed into one; 0 where they cannot be


class Messages:
    """The messages of a websocket: no faster than the limit, none that is too big, and none that no page sends.

    Attributes:
      count: those that came.
      refused: those that were left out.
    """

    def __init__(self, receive: Receive, send: Send, limits: MessageLimits) -> None:
        self._receive, self._send, self._limits = receive, send, limits
        self._due = -math.inf
        self.count = self.refused = 0

    async def receive(self) -> Message:
        """The next message, when its time has come."""
        while True:
            message = await self._receive()
            if message["type"] != "websocket.receive":
                return message
            self.count += 1
            data = message.get("bytes")
            size = len(data or message.get("text") or b"")
            if size > self._limits.message_bytes:
                return await self._hang_up(WS_1009_MESSAGE_TOO_BIG, "message_bytes", size)
            await self._wait_for_turn()
            try:
                fields = check_parts(data, self._limits) if data is not None else 0
                kind = kind_of(data) if data is not None else None
            except TooMuch:
                return await self._hang_up(WS_1008_POLICY_VIOLATION, "message_parts", size)
            except DecodeError:
                kind = None
            if kind is None:
                return await self._hang_up(WS_1002_PROTOCOL_ERROR, "message_kind", size)
            self._due += (fields // FIELDS_OF_A_TURN + size // BYTES_OF_A_TURN) / self._limits.messages_a_second
            if is_sent_by_pages(kind):
                return message
            self.refused += 1
            if self.refused == 1:  # the number of the others stands at the end of the visit
                event("limit", what="message_kind", bytes=size)

    async def _wait_for_turn(self) -> None:
        interval, now = 1 / self._limits.messages_a_second, monotonic()
        # as many as a burst may be early
        self._due = max(self._due + interval, now - self._limits.burst * interval)
        if self._due > now:
            await asyncio.sleep(self._due - now)

    async def _hang_up(self, code: int, what: str, size: int) -> Message:
        self.refused += 1
        event("limit", what=what, bytes=size)
        await self._send({"type": "websocket.close", "code": code})
        return {"type": "websocket.disconnect", "code": code}


def is_sent_by_pages(kind: str) -> bool:
    """Whether pages send messages of this kind; of operations in the background, only some."""
    name, _slash, operation = kind.partition("/")
    return name in BROWSER_MESSAGES and (not operation or operation in BACKEND_OPERATIONS)


def kind_of(data: bytes) -> str | None:
    """The kind of a message; with a slash the operation that it asks for. Raises: DecodeError if it is no message."""
    message = BackMsg.FromString(data)
    kind: str | None = message.WhichOneof("type")
    if kind == "backend_operation_request":
        return f"{kind}/{message.backend_operation_request.WhichOneof('payload')}"
    return kind


def check_parts(data: bytes, limits: MessageLimits) -> int:
    """How many fields a message has, counted without building them.

    A field that comes again is counted again: the parser would put all of them into one.
    Raises: TooMuch; DecodeError where no field can be read.
    """
    counts: dict[str, int] = {}
    fields = unknown_bytes = 0
    waiting: list[tuple[Descriptor, int, int]] = [(BackMsg.DESCRIPTOR, 0, len(data))]
    while waiting:
        message, at, end = waiting.pop()
        known = _fields(message)
        while at < end:
            fields += 1
            if fields > limits.fields:
                raise TooMuch
            tag, at = _number(data, at, end)
            written = tag & 7
            if written == _TEXT:
                size, at = _number(data, at, end)
                after = at + size
            elif written == _NUMBER:
                size, after = 0, _number(data, at, end)[1]
            elif written in (_EIGHT_BYTES, _FOUR_BYTES):
                size, after = 0, at + (8 if written == _EIGHT_BYTES else 4)
            else:  # a group, which no browser writes
                raise DecodeError
            if after > end:
                raise DecodeError
            found = known.get(tag >> 3)
            if found is None:  # of another version
                unknown_bytes += after - at
                if unknown_bytes > limits.other_text_bytes:
                    raise TooMuch
            elif found.inner and written == _TEXT:
                waiting.append((found.inner, at, after))
            elif written == _TEXT and size > limits.text_bytes.get(found.name, limits.other_text_bytes):
                raise TooMuch
            if found is not None and found.repeated:
                packed = written == _TEXT and found.item_bytes
                counts[found.name] = counts.get(found.name, 0) + (size // found.item_bytes if packed else 1)
                if counts[found.name] > limits.items.get(found.name, limits.other_items):
                    raise TooMuch
            at = after
    return fields


@cache
def _fields(message: Descriptor) -> Mapping[int, _Field]:
    """The fields of a kind of message, by their numbers."""
    found = {}
    for one in message.fields:
        kind = one.type
        eight = kind in (FieldDescriptor.TYPE_DOUBLE, FieldDescriptor.TYPE_FIXED64, FieldDescriptor.TYPE_SFIXED64)
        four = kind in (FieldDescriptor.TYPE_FLOAT, FieldDescriptor.TYPE_FIXED32, FieldDescriptor.TYPE_SFIXED32)
        text = kind in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE)
        item_bytes = 0 if text else 8 if eight else 4 if four else 1
        name = f"{message.name}.{one.name}"
        found[one.number] = _Field(name, one.is_repeated, one.message_type, item_bytes)
    return found


def _number(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number that begins there, seven bits to a byte, and where it ends. Raises: DecodeError."""
    value = 0
    for shift in range(0, 70, 7):
        if at >= end:
            raise DecodeError
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
    raise DecodeError
