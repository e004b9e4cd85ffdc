"""Makes Streamlit run one page at a time, under the run lock, and fragments before whole pages."""

from __future__ import annotations

import sys
from typing import Any

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from xent_ui.server.run_lock import RUN_LOCK

# Python's switch interval between threads: what a run has shown is sent while the next one runs, a message at a time
SWITCH_SECONDS = 0.001


def apply() -> None:
    """From now on, each run of a page or a fragment holds the run lock; a page yields it between two elements."""
    sys.setswitchinterval(SWITCH_SECONDS)
    run, enqueue = ScriptRunner._run_script, ScriptRunner._enqueue_forward_msg

    def run_locked(runner: ScriptRunner, data: Any) -> None:
        with RUN_LOCK.acquire(is_short=bool(data.fragment_id_queue)):
            run(runner, data)

    def enqueue_and_yield(runner: ScriptRunner, message: Any) -> None:
        RUN_LOCK.yield_to_short_runs()
        enqueue(runner, message)

    ScriptRunner._run_script = run_locked  # type: ignore[method-assign, assignment]  # replaced on purpose
    ScriptRunner._enqueue_forward_msg = enqueue_and_yield  # type: ignore[method-assign, assignment]  # replaced on purpose
