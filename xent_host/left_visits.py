"""Keeps a visit that its browser has left for a minute, in which it may come back; then ends it, by a timer."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

from streamlit.runtime import get_instance, memory_session_storage
from streamlit.runtime.session_manager import SessionInfo, SessionStorage

from xent_core.sandbox import release_memory
from xent_host.visit_cookie import OWNERS
from xent_ui.server import job_pool

# What a visit leaves refers to itself in circles, which Python looks for when much else is made: on a quiet server, not
# for hours. Looking costs the time of a run of a page, so it waits for others that end.
COLLECT_SECONDS = 10.0
MOST_LEFT = 300  # five arrivals a second for a minute, or 200 who all lose their line at once


def apply() -> None:
    """From now on, Streamlit keeps the visits that were left here, for server.disconnectedSessionTTL seconds.

    Its own storage looks for old visits only when the next one comes, and leaves the rest to Python's collector.
    """
    memory_session_storage.MemorySessionStorage = LeftVisits  # type: ignore[misc, assignment]  # replaced on purpose


def end_visit(visit: str) -> None:
    """End a visit, whether somebody is there or not: its table, files, downloads and jobs, and who began it."""
    runtime = get_instance()
    runtime.close_session(visit)
    # Streamlit has marked the files that were offered for download, and removes them the next time
    runtime.media_file_mgr.remove_orphaned_files()
    job_pool.stop_all(visit)
    OWNERS.forget(visit)
    _COLLECTION.plan()


class _Collection:
    """A collection of garbage some seconds after a visit has ended, one for all that end until then."""

    def __init__(self) -> None:
        self._planned: asyncio.TimerHandle | None = None

    def plan(self) -> None:
        if self._planned is None:
            self._planned = asyncio.get_running_loop().call_later(COLLECT_SECONDS, self._collect)

    def _collect(self) -> None:
        self._planned = None
        gc.collect()
        release_memory()


_COLLECTION = _Collection()


class LeftVisits(SessionStorage):
    """The visits that were left, each with its timer. It lives on the event loop's thread."""

    def __init__(self, maxsize: int = MOST_LEFT, ttl_seconds: float = 60) -> None:
        self.most, self.seconds = maxsize, ttl_seconds
        self._left: dict[str, tuple[SessionInfo, asyncio.TimerHandle]] = {}

    def get(self, session_id: str) -> SessionInfo | None:
        """What Streamlit knows of it, None if it has ended."""
        info, _timer = self._left.get(session_id, (None, None))
        return info

    def save(self, session_info: SessionInfo) -> None:
        """Keep it for a while; of too many, the first to be left ends now."""
        visit = session_info.session.id
        self.delete(visit)
        self._left[visit] = session_info, self._end_in(self.seconds, visit)
        if len(self._left) > self.most:
            first = next(iter(self._left))
            self._left[first][1].cancel()
            self._left[first] = self._left.pop(first)[0], self._end_in(0, first)

    def delete(self, session_id: str) -> None:
        """Forget it: somebody came back, or it has ended."""
        if session_id in self._left:
            self._left.pop(session_id)[1].cancel()

    def list(self) -> list[Any]:
        """All of them."""
        return [info for info, _timer in self._left.values()]

    def _end_in(self, seconds: float, visit: str) -> asyncio.TimerHandle:
        # never at once: whoever saves one holds the lock that ending it takes
        return asyncio.get_running_loop().call_later(seconds, end_visit, visit)
