"""What a run shows reaches the event loop in order, several messages at a time, and is not kept back for long."""

import asyncio
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner.script_runner import ScriptRunnerEvent

from harness.aio import in_a_thread
from xent_host import message_batches

MESSAGE, END = ScriptRunnerEvent.ENQUEUE_FORWARD_MSG, ScriptRunnerEvent.SCRIPT_STOPPED_WITH_SUCCESS


class Session(AppSession):
    """A visit whose event loop notes what comes to it, and how often it was woken."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.seen: list[Any] = []
        self.woken = 0
        self._event_loop = SimpleNamespace(call_soon_threadsafe=self._wake, is_closed=lambda: False)
        self.loop = loop

    def __del__(self) -> None:
        pass

    def _wake(self, callback: Callable[[], None]) -> None:
        self.woken += 1
        self.loop.call_soon(callback)

    def _handle_scriptrunner_event_on_event_loop(self, _sender: Any, event: Any, message: Any = None, *_: Any) -> None:
        if message == "bad":
            raise ValueError(message)
        self.seen.append(message if event is MESSAGE else event)


@pytest.fixture(autouse=True)
def _patched(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("_call_soon_on_event_loop", "_on_scriptrunner_event"):
        monkeypatch.setattr(AppSession, name, getattr(AppSession, name))
    message_batches.apply()


def test_the_messages_of_a_run_wake_the_event_loop_twice_and_keep_their_order() -> None:
    async def run() -> Session:
        session = Session(asyncio.get_running_loop())
        for number in range(16):
            session._on_scriptrunner_event(None, MESSAGE, forward_msg=number)
        session._on_scriptrunner_event(None, END)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return session

    session = in_a_thread(run())

    assert session.seen == [*range(16), END]
    assert session.woken == 2


def test_what_a_run_has_shown_is_not_kept_until_it_ends() -> None:
    async def run() -> list[Any]:
        session = Session(asyncio.get_running_loop())
        session._on_scriptrunner_event(None, MESSAGE, forward_msg="first")
        while not session.seen:
            await asyncio.sleep(message_batches.WAIT_SECONDS)
        session._on_scriptrunner_event(None, MESSAGE, forward_msg="second")
        while len(session.seen) < 2:
            await asyncio.sleep(message_batches.WAIT_SECONDS)
        return session.seen

    assert in_a_thread(asyncio.wait_for(run(), 30)) == ["first", "second"]


def test_one_that_fails_costs_the_others_nothing() -> None:
    async def run() -> Session:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))
        session = Session(loop)
        for message in ("one", "bad", "two"):
            session._on_scriptrunner_event(None, MESSAGE, forward_msg=message)
        session._on_scriptrunner_event(None, END)
        while END not in session.seen:
            await asyncio.sleep(0)
        return session

    told: list[Any] = []
    session = in_a_thread(asyncio.wait_for(run(), 30))

    assert session.seen == ["one", "two", END]
    assert [str(error) for error in told] == ["bad"]


def test_without_streamlits_names_each_message_goes_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(AppSession, "_on_scriptrunner_event")

    message_batches.apply()

    assert not hasattr(AppSession, "_on_scriptrunner_event")
