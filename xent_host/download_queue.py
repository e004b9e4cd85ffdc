"""Makes a file that is downloaded in the turn of the visit that asked: one at a time, few waiting, none once it left.

Streamlit makes such a file when its button is pressed, beside everything else, in a thread of a pool that all share.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from streamlit.proto.BackMsg_pb2 import BackendOperationRequest
from streamlit.proto.ForwardMsg_pb2 import BackendOperationResponse, DeferredFileResponsePayload
from streamlit.runtime import get_instance
from streamlit.runtime.backend_operation_handler import DeferredFileHandler

from xent_host.whose_work import is_here, visit_of
from xent_ui.server.log import event
from xent_ui.server.run_lock import RUN_LOCK

T = TypeVar("T")
AT_ONCE = 4  # of a visit, those that wait included: a browser asks for one for each press of a button
THREADS = 200  # a visit has one at most, and while it waits for its turn it costs next to nothing
TOO_MANY = "You have asked for several files already. Wait until they are here."
GONE = "The page that asked for this file was left."
FAILED = "The file could not be made. Press the button again."


class TooMany(Exception):
    """A visit asks for more files than may wait."""


class VisitLeft(Exception):
    """Nobody waits for the file any more."""


class DownloadQueue:
    """The files that are being made, by visit; used on the event loop only."""

    def __init__(self, at_once: int = AT_ONCE, is_here: Callable[[str], bool] = is_here) -> None:
        self.at_once, self.is_here = at_once, is_here
        self._asked: Counter[str] = Counter()
        self._turns: dict[str, asyncio.Lock] = {}
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="download")

    async def make(self, session: str, work: Callable[[], T]) -> T:
        """What the work gives, done in a thread under the run lock. Raises: TooMany; VisitLeft; what the work does."""
        if self._asked[session] >= self.at_once:
            event("limit", what="downloads")
            raise TooMany
        self._asked[session] += 1
        try:
            async with self._turns.setdefault(session, asyncio.Lock()):
                self._check(session)
                return await asyncio.get_running_loop().run_in_executor(self._threads, self._in_turn, session, work)
        finally:
            self._asked[session] -= 1
            if not self._asked[session]:
                del self._asked[session], self._turns[session]

    def _in_turn(self, session: str, work: Callable[[], T]) -> T:
        with RUN_LOCK.acquire(visit_of(session)):
            self._check(session)
            return work()

    def _check(self, session: str) -> None:
        if not self.is_here(session):
            raise VisitLeft


def apply() -> None:
    """From now on, files that are made on demand wait in this queue."""
    queue = DownloadQueue()

    async def handle(_handler: Any, request: BackendOperationRequest, session_id: str) -> BackendOperationResponse:
        file_id = request.deferred_file.file_id
        try:
            url = await queue.make(session_id, lambda: get_instance().media_file_mgr.execute_deferred(file_id))
        except TooMany:
            return BackendOperationResponse(request_id=request.request_id, error_msg=TOO_MANY)
        except VisitLeft:
            return BackendOperationResponse(request_id=request.request_id, error_msg=GONE)
        except Exception as error:  # the callable may raise anything; a stranger's is not worth a traceback
            event("error", type=type(error.__cause__ or error).__name__, where="download")
            return BackendOperationResponse(request_id=request.request_id, error_msg=FAILED)
        return BackendOperationResponse(
            request_id=request.request_id, deferred_file=DeferredFileResponsePayload(url=url)
        )

    DeferredFileHandler.handle = handle  # type: ignore[method-assign, assignment]  # replaced on purpose
