"""Lets Streamlit run one page at a time."""

from __future__ import annotations

from typing import Any

from streamlit.runtime.scriptrunner.script_runner import ScriptRunner

from xent_ui.turns import TURNS


def apply() -> None:
    """From now on, each run of a page or a fragment waits for its turn."""
    run = ScriptRunner._run_script

    def run_in_turn(runner: ScriptRunner, *args: Any) -> None:
        with TURNS.take():
            run(runner, *args)

    ScriptRunner._run_script = run_in_turn  # type: ignore[method-assign, assignment]
