"""Makes Streamlit run one page at a time, under the run lock, whoever has used least first."""

from __future__ import annotations

import sys
from typing import Any

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from xent_host.whose_work import visit_of
from xent_ui.server.run_lock import RUN_LOCK

# Python's switch interval between threads: what a run has shown is sent while the next one runs, a message at a time
SWITCH_SECONDS = 0.001


def apply() -> None:
    """From now on, each run of a page or a fragment holds the run lock, and may pause between two elements."""
    sys.setswitchinterval(SWITCH_SECONDS)
    run, enqueue = ScriptRunner._run_script, ScriptRunner._enqueue_forward_msg

    def run_locked(runner: ScriptRunner, data: Any) -> None:
        with RUN_LOCK.acquire(visit_of(runner._session_id)):
            run(runner, data)

    def enqueue_and_pause(runner: ScriptRunner, message: Any) -> None:
        RUN_LOCK.pause_for_others()
        enqueue(runner, message)

    ScriptRunner._run_script = run_locked  # type: ignore[method-assign, assignment]  # replaced on purpose
    ScriptRunner._enqueue_forward_msg = enqueue_and_pause  # type: ignore[method-assign, assignment]  # replaced on purpose
