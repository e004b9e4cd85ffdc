"""The buttons and keys that walk along the chain and back, and the clock that plays it."""

from __future__ import annotations

import streamlit as st

from xent_core.row_trace import Trace
from xent_ui.state import session
from xent_ui.step_by_step.stage import Stage, stage_at
from xent_ui.step_by_step.state import HAS_TICKED, PLAYING, STAGE
from xent_ui.text import _

SECONDS_PER_STEP = 1.6


def controls(trace: Trace) -> Stage:
    """Buttons and keys that walk along the chain and back; gives where they stand."""
    count = 2 * len(trace)
    index = min(session.kept(STAGE), count - 1)
    playing = session.kept(PLAYING) and index < count - 1
    session.keep(PLAYING, playing)
    last = index == count - 1
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.button(
            _("Start"), icon=":material/first_page:", key="step_first", on_click=_go, args=(0,), disabled=index == 0
        )
        st.button(
            _("Back"),
            icon=":material/chevron_left:",
            key="step_back",
            shortcut="Left",
            on_click=_move,
            args=(-1, count),
            disabled=index == 0,
        )
        st.button(
            _("Next"),
            icon=":material/chevron_right:",
            key="step_next",
            shortcut="Right",
            on_click=_move,
            args=(1, count),
            disabled=last,
        )
        st.button(
            _("Pause") if playing else _("Play"),
            icon=":material/pause:" if playing else ":material/play_arrow:",
            key="step_play",
            shortcut="P",
            on_click=_play,
            args=(not playing, 0 if last else index),
        )
        st.button(
            _("End"), icon=":material/last_page:", key="step_last", on_click=_go, args=(count - 1,), disabled=last
        )
    stage = stage_at(trace, index)
    way = _("backward") if stage.backward else _("forward")
    st.progress(
        (index + 1) / count,
        text=_("step {index} of {count} · {way} {place} of {half}").format(
            index=index + 1, count=count, way=way, place=index % len(trace) + 1, half=len(trace)
        ),
    )
    # the browser asks for the next step, so that no thread of the server waits
    session.keep(HAS_TICKED, False)
    st.fragment(_tick, run_every=SECONDS_PER_STEP if playing else None)(index + 1)
    return stage


def _go(index: int) -> None:
    session.keep(STAGE, index)
    session.keep(PLAYING, False)


def _move(steps: int, count: int) -> None:
    # counted from where the stepper is by now, so that fast presses add up
    _go(min(max(session.kept(STAGE) + steps, 0), count - 1))


def _play(playing: bool, index: int) -> None:
    session.keep(STAGE, index)
    session.keep(PLAYING, playing)


def _tick(following: int) -> None:
    # it also runs once with the page, which is not a tick
    if session.kept(HAS_TICKED) and session.kept(PLAYING):
        session.keep(STAGE, following)
        st.rerun()
    session.keep(HAS_TICKED, True)
