"""Waiting for a job of the pool: its place in the queue, how far it is, a button to stop it, and then its result."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import streamlit as st

from xent_ui.server import job_pool
from xent_ui.server.job_pool import Job, NeverStarted, QueueFull
from xent_ui.server.limits import limits
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.text import _

FIRST_WAIT_SECONDS = 0.5  # a job that ends within it shows no progress
POLL_SECONDS = 0.3
LARGE_BYTES = 2**18  # less is read in the blink of an eye
T = TypeVar("T")
Progress = Callable[[], tuple[float, str]]  # the part that is done, from 0 to 1, and what to say of it


def run_and_wait(work: Callable[[], T], *, size_bytes: int, reads_upload: bool = False) -> T:
    """What the work gives; if it is large, as a job, and the page waits for it and shows its place in the queue.

    Ends the page's run if the queue is full.

    Args:
      reads_upload: it reads what strangers have uploaded, on a public server in a process of its own, of which there
        are few: there it is a job even if it is small.
    """
    is_large = size_bytes >= LARGE_BYTES
    if not is_large and not (reads_upload and limits().is_public):
        return work()
    pool = job_pool.POOL if is_large else job_pool.SMALL_FILES
    job = submitted(lambda: pool.submit(lambda _job: work()))
    if job is None:
        st.stop()
    place = st.empty()
    try:
        while not job.is_done(POLL_SECONDS):
            place.info(queue_words(job) or _("At work …"), icon=":material/hourglass_top:")
    finally:  # also when the visitor goes elsewhere meanwhile
        job.stop()
    place.empty()
    try:
        return job.result()
    except NeverStarted:  # dropped, for one who had none in the queue
        st.warning(queue_full_words(), icon=":material/hourglass_disabled:")
        st.stop()


def is_asked_for(what: T, entry: Kept[T | None], label: str, *, icon: str, help: str, key: str) -> bool:
    """Whether the visitor has asked for what takes long; until then a button, which keeps in the entry that they do."""
    if session.kept(entry) == what:
        return True
    st.button(label, icon=icon, help=help, key=key, on_click=session.keep, args=(entry, what))
    return False


def submitted(submit: Callable[[], T]) -> T | None:
    """What the function submits; None, and a warning on the page, if the queue is full."""
    try:
        return submit()
    except QueueFull:
        st.warning(queue_full_words(), icon=":material/hourglass_disabled:")
        return None


def result(
    job: Job[T],
    progress: Progress,
    *,
    key: str,
    on_start: Callable[[], None],
    below: Callable[[], None] | None = None,
) -> T | None:
    """What the job gave; None while it is on its way, or if it was stopped before it started.

    Args:
      key: of its buttons: `{key}_stop` beside the progress, `{key}_start` once it was stopped before it started.
      on_start: lets the next run of the page submit it again.
      below: draws what is known already, below the progress.

    Raises: what the work raised.
    """
    if not is_done(job, progress, key=key, below=below):
        return None
    try:
        return job.result()
    except NeverStarted:
        if job.gave_way:
            st.warning(queue_full_words(), icon=":material/hourglass_disabled:")
        else:
            st.info(_("Stopped before it began."), icon=":material/stop_circle:")
        st.button(_("Start"), icon=":material/play_arrow:", key=f"{key}_start", on_click=on_start)
        return None


def is_done(
    job: Job[Any], progress: Progress, *, key: str | None = None, below: Callable[[], None] | None = None
) -> bool:
    """Whether the job has ended; if not, its progress is drawn until it has, and then the page runs again."""
    if job.is_done(FIRST_WAIT_SECONDS):
        return True
    st.fragment(_draw_progress, run_every=POLL_SECONDS)(job, progress, key, below)
    return False


def _draw_progress(job: Job[Any], progress: Progress, key: str | None, below: Callable[[], None] | None) -> None:
    if job.is_done(0):
        st.rerun()
    done, words = progress()
    bar, button = st.columns([5, 1], vertical_alignment="center") if key else (st, None)
    bar.progress(min(done, 1.0), text=queue_words(job) or words)
    if button is not None:
        button.button(
            _("Stop"), icon=":material/stop:", key=f"{key}_stop", on_click=partial(_stop, job), width="stretch"
        )
    if below is not None:
        below()


def _stop(job: Job[Any]) -> None:
    job.stop()
    job.is_done(FIRST_WAIT_SECONDS)


def queue_words(job: Job[Any]) -> str:
    """How many come before this job; "" once it runs."""
    ahead = job.ahead
    if not ahead:
        return ""
    return (_("{count} other is before you.") if ahead == 1 else _("{count} others are before you.")).format(
        count=ahead
    )


def queue_full_words() -> str:
    """What a visitor reads who comes when too many wait."""
    return _("So many are waiting for this server that it takes no more. Try again in a minute.")
