"""A request and a websocket are refused alike: with a status, a sentence and headers."""

import pytest
from starlette.types import Message

from harness.aio import in_a_thread
from xent_host.refuse import refuse


def refused(kind: str, **scope: object) -> list[Message]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": f"{kind}.connect"}

    async def send(message: Message) -> None:
        sent.append(message)

    in_a_thread(refuse(503, "No room", {"type": kind, **scope}, receive, send, Retry_After="5"))
    return sent


@pytest.mark.parametrize(("kind", "prefix"), [("http", ""), ("websocket", "websocket.")])
def test_a_refusal_has_a_status_a_sentence_and_headers(kind: str, prefix: str) -> None:
    start, body = refused(kind, extensions={"websocket.http.response": {}})

    assert (start["type"], start["status"]) == (f"{prefix}http.response.start", 503)
    assert dict(start["headers"])[b"retry-after"] == b"5"
    assert (body["type"], body["body"]) == (f"{prefix}http.response.body", b"No room")


def test_an_app_that_has_refused_a_websocket_stays_until_it_is_gone() -> None:
    told = [{"type": kind} for kind in ("websocket.connect", "websocket.send", "websocket.disconnect")]

    async def receive() -> Message:
        return told.pop(0)

    async def send(_message: Message) -> None:
        pass

    scope = {"type": "websocket", "extensions": {"websocket.http.response": {}}}
    in_a_thread(refuse(503, "No room", scope, receive, send))

    assert told == []


def test_where_a_websocket_cannot_be_answered_it_is_closed() -> None:
    assert refused("websocket") == [{"type": "websocket.close", "code": 1013}]
