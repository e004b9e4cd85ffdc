"""Hands what a run shows to the server's event loop several messages at a time.

Streamlit wakes the event loop for each message, some sixteen times in the few milliseconds of an edit. Python runs one
thread at a time: each time the run stops for the loop and waits to go on. With many visitors that took as much time as
the runs themselves.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from weakref import WeakKeyDictionary

from streamlit.runtime.app_session import AppSession
from streamlit.runtime.scriptrunner.script_runner import ScriptRunnerEvent

WAIT_SECONDS = 0.02  # of what a run shows before it is over


@dataclass(eq=False)
class _Batch:
    """What a visit's runs have for the event loop, in order; the loop alone takes from it."""

    callbacks: deque[Callable[[], None]] = field(default_factory=deque)
    is_due: bool = False  # whether the loop will look by itself

    def drain(self) -> None:
        self.is_due = False
        try:
            while self.callbacks:
                self.callbacks.popleft()()
        finally:
            if self.callbacks:  # one has failed: the others still have their turn
                asyncio.get_running_loop().call_soon(self.drain)

    def drain_later(self) -> None:
        asyncio.get_running_loop().call_later(WAIT_SECONDS, self.drain)


def apply() -> None:
    """From now on, the messages of a run go to the event loop when it ends, and while it goes on each WAIT_SECONDS."""
    try:
        hand_over, on_event = AppSession._call_soon_on_event_loop, AppSession._on_scriptrunner_event
    except AttributeError:  # Streamlit has moved them: it hands over each message by itself
        return
    batches: WeakKeyDictionary[AppSession, _Batch] = WeakKeyDictionary()

    def hand_over_in_order(session: AppSession, callback: Callable[[], None]) -> None:
        batch = batches.setdefault(session, _Batch())
        batch.callbacks.append(callback)
        hand_over(session, batch.drain)

    def collect(session: AppSession, sender: Any, event: ScriptRunnerEvent, message: Any = None, **more: Any) -> None:
        message = more.pop("forward_msg", message)
        if event is not ScriptRunnerEvent.ENQUEUE_FORWARD_MSG:
            on_event(session, sender, event, message, **more)
            return
        batch = batches.setdefault(session, _Batch())
        batch.callbacks.append(lambda: session._handle_scriptrunner_event_on_event_loop(sender, event, message))
        if not batch.is_due:
            batch.is_due = True
            hand_over(session, batch.drain_later)

    AppSession._call_soon_on_event_loop = hand_over_in_order  # type: ignore[method-assign, assignment]  # replaced on purpose
    AppSession._on_scriptrunner_event = collect  # type: ignore[method-assign, assignment]  # replaced on purpose
