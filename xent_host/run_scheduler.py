"""Makes Streamlit run one page at a time, under the run lock, whoever has used least first.

What follows an edit when the hand rests can wait until others' edits are answered. A page's script tells it by the
event "rested" of a component; the run that its callback asks for in its place can wait too. If the visitor does
something else before it has begun, it goes first; after an edit and with the whole page it is asked for anew, and so
left out.
"""

from __future__ import annotations

import sys
from typing import Any
from weakref import WeakSet

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from xent_host.whose_work import visit_of
from xent_ui.server.run_lock import RUN_LOCK

# Python's switch interval between threads: what a run has shown is sent while the next one runs, a message at a time.
# An edit gives the interpreter away some sixty times, and each time waits so long for a job that computes in Python.
SWITCH_SECONDS = 0.0001
RESTED, EDITED = '"rested"', '"edited"'


def apply() -> None:
    """From now on, each run of a page or a fragment holds the run lock, and may pause between two elements."""
    sys.setswitchinterval(SWITCH_SECONDS)
    run, enqueue, request = ScriptRunner._run_script, ScriptRunner._enqueue_forward_msg, ScriptRunner.request_rerun
    resting: WeakSet[ScriptRunner] = WeakSet()
    urgent: WeakSet[ScriptRunner] = WeakSet()  # something else was asked for: Streamlit may run it with a waiting rest

    def run_locked(runner: ScriptRunner, data: Any) -> None:
        events = events_of(data)
        can_wait = runner not in urgent and (is_rest(events) or (not events and runner in resting))
        urgent.discard(runner)
        (resting.add if can_wait else resting.discard)(runner)
        with RUN_LOCK.acquire(visit_of(runner._session_id), can_wait=can_wait) as is_wanted:
            if is_wanted:  # else the browser has moved on, and asks again when it rests
                run(runner, data)

    def request_and_hurry(runner: ScriptRunner, data: Any) -> bool:
        events = events_of(data)
        if not is_rest(events):
            urgent.add(runner)
            if runner in resting:
                resting.discard(runner)
                is_whole_page = not (data.fragment_id or data.fragment_id_queue)
                is_asked_again = is_whole_page or any(EDITED in event for event in events)
                RUN_LOCK.hurry(visit_of(runner._session_id), gives_up=is_asked_again)
        return request(runner, data)

    def enqueue_and_pause(runner: ScriptRunner, message: Any) -> None:
        RUN_LOCK.pause_for_others()
        enqueue(runner, message)

    ScriptRunner._run_script = run_locked  # type: ignore[method-assign, assignment]  # replaced on purpose
    ScriptRunner.request_rerun = request_and_hurry  # type: ignore[method-assign, assignment]  # replaced on purpose
    ScriptRunner._enqueue_forward_msg = enqueue_and_pause  # type: ignore[method-assign, assignment]  # replaced on purpose


def events_of(data: Any) -> list[str]:
    """The events of components that a request brings, as the browser wrote them."""
    states = () if data.widget_states is None else data.widget_states.widgets
    return [state.json_trigger_value for state in states if state.json_trigger_value]


def is_rest(events: list[str]) -> bool:
    """Whether nothing has happened but that the hand rests."""
    return bool(events) and all(RESTED in event and EDITED not in event for event in events)
