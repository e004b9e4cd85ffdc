"""Counts uploaded files that Streamlit has removed and some page still holds: they take as much memory as before.

A browser may remove a file at any time, and a page that has shown it keeps its bytes until it runs again. Whoever
removes each file and uploads the next one would otherwise fill the memory past every limit.
"""

from __future__ import annotations

import gc
import sys
from threading import Lock, Timer
from typing import Any

from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager

LOOK_SECONDS = 10.0  # after which it is looked again whether anybody still holds one
_OURS = 2  # references to the bytes of a file: of its entry, and of the question how many there are


class RemovedFiles:
    """The files that were removed and are still held, by visit."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: list[tuple[str, bytes]] = []
        self._timer: Timer | None = None

    def note(self, visit: str, data: bytes) -> None:
        """A file was removed."""
        with self._lock:
            self._held.append((visit, data))
            if self._timer is None:
                self._look_later()

    def sizes(self) -> dict[str, list[int]]:
        """In bytes, of those that somebody holds."""
        found: dict[str, list[int]] = {}
        with self._lock:
            self._forget_the_free()
            for visit, data in self._held:
                found.setdefault(visit, []).append(len(data))
        return found

    def look(self) -> None:
        """Forget those that nobody holds, and look again later if there are others."""
        gc.collect()  # what a page leaves refers to itself in circles
        with self._lock:
            self._forget_the_free()
            self._timer = None
            if self._held:
                self._look_later()

    def _forget_the_free(self) -> None:
        self._held = [entry for entry in self._held if sys.getrefcount(entry[1]) > _OURS]

    def _look_later(self) -> None:
        self._timer = Timer(LOOK_SECONDS, self.look)
        self._timer.daemon = True
        self._timer.start()


REMOVED = RemovedFiles()


def apply() -> None:
    """From now on, what is removed counts until nobody holds it."""
    remove = MemoryUploadedFileManager.remove_file

    def remove_and_note(manager: Any, session_id: str, file_id: str) -> None:
        file = manager.file_storage.get(session_id, {}).get(file_id)
        remove(manager, session_id, file_id)
        if file is not None:
            REMOVED.note(session_id, file.data)

    MemoryUploadedFileManager.remove_file = remove_and_note  # type: ignore[method-assign, assignment]  # replaced on purpose
