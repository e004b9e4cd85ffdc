"""Limits on uploads: how many files a visit and all visits may hold, and how fast and how many of them come at once.

The memory for files is shared between addresses: alone, one may have all of it; when another brings a file and there
is no room, the address with the most gives way: first the files of visits that were left, then the oldest.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic
from typing import NamedTuple, Protocol

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from streamlit.runtime import get_instance

from xent_host.address_shares import FairTurns, GivingWay, NoTurn, site
from xent_host.message_limits import MAX_FILES
from xent_host.refuse import refuse
from xent_host.removed_files import REMOVED
from xent_host.whose_work import is_here
from xent_ui.server.limits import PUBLIC
from xent_ui.server.log import event
from xent_ui.streamlit_internals import drop_oldest_file, held_files

TOO_MANY = "Too many files are held here. Try again later."
TOO_SLOW = "The upload took too long"
NO_SIZE = "The size of the file is missing"
TOO_LARGE = "The file is too large"
GIVE_WAY_SECONDS = 1.0  # between two uploads that others' files give way to
_MB = 2**20


@dataclass(frozen=True)
class UploadLimits:
    """How much strangers may upload.

    Attributes:
      at_once: for all visits together; one address has half of them.
      waiting, waiting_seconds: how many may wait until it is their turn, and for how long.
      seconds: for one of them.
      slow_seconds, bytes_a_second: after so many seconds it must have come at this speed.
      request_mb: of one file with what is wrapped around it.
      files, files_mb: that a visit may hold.
      all_files_mb: that all visits together may hold.
    """

    at_once: int = 4
    waiting: int = 200
    waiting_seconds: float = 60.0
    seconds: float = 60.0
    slow_seconds: float = 10.0
    bytes_a_second: int = 50_000
    request_mb: int = PUBLIC.upload_mb + 1
    files: int = MAX_FILES
    files_mb: int = 3 * PUBLIC.upload_mb
    all_files_mb: int = 512


class Files(Protocol):
    """The uploaded files that a server holds, by visit."""

    def sizes(self) -> dict[str, list[int]]:
        """In bytes."""

    def drop_oldest(self, visit: str) -> None:
        """Forget the file that a visit has had for longest."""

    def is_open(self, visit: str) -> bool:
        """Whether a browser is connected to the visit."""


class StreamlitFiles:
    """Those that Streamlit holds. Raises: AttributeError if nobody can tell."""

    def sizes(self) -> dict[str, list[int]]:
        """In bytes."""
        return held_files(get_instance().uploaded_file_mgr)

    def drop_oldest(self, visit: str) -> None:
        """Forget the file that a visit has had for longest."""
        drop_oldest_file(get_instance().uploaded_file_mgr, visit)

    def is_open(self, visit: str) -> bool:
        """Whether a browser is connected to the visit."""
        return is_here(visit)


class _Coming(NamedTuple):
    """An upload that has begun."""

    visit: str
    address: str
    size: int


class Uploads:
    """Lets through the uploads that are within the limits."""

    def __init__(
        self,
        app: ASGIApp,
        limits: UploadLimits,
        files: Files,
        removed: Callable[[], dict[str, list[int]]] = REMOVED.sizes,
    ) -> None:
        self._app, self._limits, self._files, self._removed = app, limits, files, removed
        self._owners: dict[str, str] = {}  # from which address a visit has uploaded, the first one first
        self._coming: list[_Coming] = []
        self._turns = FairTurns(limits.at_once, limits.waiting, limits.waiting_seconds)
        self._giving = GivingWay(GIVE_WAY_SECONDS)

    def __len__(self) -> int:
        return len(self._coming)

    async def take(self, visit: str, address: str, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the app take a file, when its turn has come and there is room; or refuse it."""
        headers = Headers(scope=scope)
        text = headers.get("content-length", "")
        if "transfer-encoding" in headers or not (text.isascii() and text.isdigit() and len(text) < 16):
            await refuse(411, NO_SIZE, scope, receive, send)
            return
        size = int(text)
        if size > self._limits.request_mb * _MB:
            await refuse(413, TOO_LARGE, scope, receive, send)
            return
        try:
            await self._turns.take(address)
        except NoTurn:
            await self._refuse("uploads_at_once", size, scope, receive, send)
            return
        upload = _Coming(visit, address, size)
        try:
            if why := self._refusal(upload):
                await self._refuse(why, size, scope, receive, send)
                return
            self._coming.append(upload)
            self._owners.setdefault(visit, address)
            try:
                await self._pass_on(size, scope, receive, send)
            finally:
                self._coming.remove(upload)
        finally:
            self._turns.give_back(address)

    async def _refuse(self, what: str, size: int, scope: Scope, receive: Receive, send: Send) -> None:
        event("upload-refused", what=what, bytes=size)
        await refuse(429, TOO_MANY, scope, receive, send)

    def _refusal(self, upload: _Coming) -> str:
        """Which limit does not let it in; makes room if others have to give way."""
        most, stored = self._limits, self._files.sizes()
        self._owners = {
            visit: address
            for visit, address in self._owners.items()
            if stored.get(visit) or any(other.visit == visit for other in self._coming)
        }
        removed = self._removed()
        own = stored.get(upload.visit, []) + removed.get(upload.visit, [])
        own += [other.size for other in self._coming if other.visit == upload.visit]
        if len(own) >= most.files or sum(own) + upload.size > most.files_mb * _MB:
            return "files_of_a_visit"
        coming = upload.size + sum(other.size for other in self._coming)
        room = most.all_files_mb * _MB - coming - sum(map(sum, removed.values()))
        if (missing := sum(map(sum, stored.values())) - room) > 0 and not self._make_room(upload, missing, stored):
            return "files_of_all_visits"
        return ""

    def _make_room(self, upload: _Coming, missing: int, stored: dict[str, list[int]]) -> bool:
        if not self._files.is_open(upload.visit):
            return False
        held = Counter[str]()
        for visit, sizes in stored.items():
            held[self._owners.get(visit, "")] += sum(sizes)
        held[upload.address] += sum(other.size for other in self._coming if other.address == upload.address)
        own = [visit for visit in stored if self._owners.get(visit) == upload.address]
        left = [visit for visit in own if visit != upload.visit and not self._files.is_open(visit)]
        if sum(sum(stored[visit]) for visit in left) >= missing:  # what its own address has left behind goes first
            self._drop(left, missing, stored)
            return True
        if (largest := self._giving.whose(held, upload.address, upload.size)) is None:
            return False
        # its site has at least twice as much as is missing
        order = [*self._owners, *(visit for visit in stored if visit not in self._owners)]
        victims = [visit for visit in order if stored.get(visit) and site(self._owners.get(visit, "")) == site(largest)]
        victims.sort(key=self._files.is_open)  # those that were left come first; otherwise the order stays
        self._giving.note(upload.address, upload.size)
        return self._drop(victims, missing, stored) >= missing

    def _drop(self, victims: list[str], missing: int, stored: dict[str, list[int]]) -> int:
        """Drop files of these visits, the oldest of each first, until so many bytes are free; how many are."""
        freed = dropped = 0
        for visit in victims:
            for size in stored[visit]:
                if freed < missing:
                    self._files.drop_oldest(visit)
                    freed, dropped = freed + size, dropped + 1
        event("limit", what="files_give_way", files=dropped, bytes=freed)
        return freed

    async def _pass_on(self, size: int, scope: Scope, receive: Receive, send: Send) -> None:
        most, begun, come = self._limits, monotonic(), 0
        status: int | None = None

        async def note(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            async with asyncio.timeout(min(most.seconds, most.slow_seconds)) as limit:

                async def body() -> Message:
                    nonlocal come
                    message = await receive()
                    come += len(message.get("body", b""))
                    spent, now = monotonic() - begun, asyncio.get_running_loop().time()
                    allowed = min(most.seconds, most.slow_seconds + come / most.bytes_a_second)
                    limit.reschedule(now + allowed - spent)
                    return message

                await self._app(scope, body, note)
        except TimeoutError:
            if status is None:
                await refuse(408, TOO_SLOW, scope, receive, note, Connection="close")
        finally:
            event("upload", bytes=size, status=status)
