"""A visitor without a browser: one session of the app over Streamlit's own websocket protocol.

A BackMsg with what was typed goes out, ForwardMsg come back until the run ends.
The visitor computes the loss of its own table without PyTorch, so that a number of another visitor would be noticed.
"""

import asyncio
import http.client
import io
import json
import math
import re
import time
from collections.abc import Coroutine
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlparse

import numpy as np
import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import FileUploaderState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState

from harness.aio import in_a_thread

ANSWER_SECONDS = 60
PRESET = "worked-batch"
LOGITS, TARGET = [[1.0, 2.0, 3.0]] * 3, [2, 1, 0]  # of that preset
EDITOR = "logits_editor_0"
LOSS_DIGITS = 6e-5  # the page shows four decimals
# by which an answer tells the request that it belongs to
ANSWERED, RESTED = re.compile(r"asked(?:&quot;|\"): ?(\d+)"), re.compile(r'data-rest="(\d+)"')
NUMBER = re.compile(r"[-−]?\d+(\.\d+)?(e[-+]?\d+)?")
T = TypeVar("T")


class WrongAnswer(RuntimeError):
    """The page shows another number than the one that follows from what was typed, or an exception."""


class UploadRefused(RuntimeError):
    """The server did not take a file, as it says before the page hears of it."""

    def __init__(self, name: str, status: int) -> None:
        super().__init__(f"The upload of {name!r} was answered {status}, expected 204.")
        self.status = status


class Widget(NamedTuple):
    """Where a widget of the page is, for the server."""

    identifier: str
    fragment: str
    kind: str
    choices: tuple[str, ...] = ()  # of a group of buttons


class Visitor:
    """One session: its websocket, and what the page has shown.

    Attributes:
      widgets: by their keys; those without one, by their labels.
      alerts: the messages of the last run, errors and warnings and notes.
      problems: the exceptions of the last run; a page that is well has none.
      loss: the last metric that is named so.
      logits, target: what is on the table: that of the preset, or what the query opens.
      source: the address of this machine, 127.x.x.x, that the visitor comes from; "" for any.
    """

    def __init__(
        self,
        url: str,
        *,
        query: str = f"preset={PRESET}",
        page: str = "",
        logits=LOGITS,
        target=TARGET,
        source: str = "",
    ) -> None:
        self.url, self.query, self.page, self.source = url, query, page, source
        self.logits, self.target = [list(row) for row in logits], target
        self.page_hash = ""
        self.session = ""
        self.cookies: dict[str, str] = {}
        self.widgets: dict[str, Widget] = {}
        self.values: dict[str, WidgetState] = {}
        self.repeated: dict[str, float] = {}  # the fragments that ask to be run again, after so many seconds
        self.alerts: list[str] = []
        self.problems: list[str] = []
        self.loss: float | None = None
        self.edits: dict[str, dict[str, str]] = {}
        self.asked = 0  # requests of the watch of the editors
        self.answered = self.rested = 0  # the last of them whose answer came, and whose rest

    async def __aenter__(self) -> "Visitor":
        await asyncio.to_thread(self._take_cookies)
        self.socket = await self._connect()
        await self.run()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def edit(self, row: int, label: int, logit: str) -> float:
        """Put a logit into a cell and check the loss; the seconds until the run has ended."""
        seconds = await self.set(EDITOR, string_value=self._edited(row, label, logit))
        self._check_loss()
        return seconds

    async def edit_as_a_browser(self, row: int, label: int, logit: str) -> float:
        """As `edit`, but the answer alone is asked for: loss and matrices. The rest of the page comes with `rest`.

        It may come while a `rest` was given up, whose answer then comes first.
        """
        identifier = self.widgets[EDITOR].identifier
        self.values[identifier] = WidgetState(id=identifier, string_value=self._edited(row, label, logit))
        start = time.perf_counter()
        number = self._next_number()
        await self._ask("edited", number)
        while self.answered != number:
            await self._receive_until("script_finished")
        self._check_loss()
        return time.perf_counter() - start

    async def rest(self) -> None:
        """Ask for the rest of the page, as a browser does when the hand rests."""
        number = self._next_number()
        await self._ask("rested", {"number": number})
        while self.rested != number and not self.problems:
            await self._receive_until("script_finished")
        if self.problems:
            raise WrongAnswer(f"The rest does not come. {self.problems}")

    async def _ask(self, event: str, value: Any) -> float:
        watch = self.widgets["edit_watch events"]
        asked = WidgetState(id=watch.identifier, json_trigger_value=json.dumps([{"event": event, "value": value}]))
        return await self.run(asked, fragment=watch.fragment)

    def _next_number(self) -> int:
        self.asked += 1
        return self.asked

    def _edited(self, row: int, label: int, logit: str) -> str:
        self.logits[row][label] = float(logit)
        self.edits.setdefault(str(row), {})[f"class {label}"] = logit
        return json.dumps({"edited_rows": self.edits, "added_rows": [], "deleted_rows": []})

    def _is_loss_right(self) -> bool:
        return self.loss is not None and abs(self.loss - loss_of(self.logits, self.target)) <= LOSS_DIGITS

    def _check_loss(self) -> None:
        if self.problems or not self._is_loss_right():
            expected = loss_of(self.logits, self.target)
            raise WrongAnswer(f"The loss shown is {self.loss}, expected {expected:.4f}. {self.problems}")

    async def set(self, key: str, **value: Any) -> float:
        """Give a widget a value, as `string_value="1"`, and run what depends on it; the seconds that took."""
        if key not in self.widgets:
            raise KeyError(f"The page shows no widget {key!r}, only {sorted(self.widgets)}. {self.problems}")
        widget = self.widgets[key]
        state = WidgetState(id=widget.identifier, **value)
        if "trigger_value" in value:
            return await self.run(state, fragment=widget.fragment)
        self.values[widget.identifier] = state
        return await self.run(fragment=widget.fragment)

    async def go(self, page: str) -> None:
        """Change to another page, by the last part of its address; "" is the first one."""
        self.page, self.page_hash = page, ""
        await self.run()
        await self.settle()

    async def upload(self, key: str, name: str, data: bytes) -> float:
        """Give a file to an uploader, as the browser does: ask where to, put it there, tell."""
        message = BackMsg()
        message.file_urls_request.request_id = "1"
        message.file_urls_request.file_names.append(name)
        message.file_urls_request.session_id = self.session
        start = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        answer = await self._receive_until("file_urls_response")
        [urls] = answer.file_urls_response.file_urls
        status = await asyncio.to_thread(self._put, urls.upload_url, name, data)
        if status != 204:
            raise UploadRefused(name, status)
        state = FileUploaderState()
        info = state.uploaded_file_info.add(name=name, size=len(data), file_id=urls.file_id)
        info.file_urls.CopyFrom(urls)
        await self.set(key, file_uploader_state_value=state)
        return time.perf_counter() - start

    async def settle(self) -> None:
        """Run what the page wants to run again, until it wants no more: a long computation has ended."""
        async with asyncio.timeout(ANSWER_SECONDS):
            while self.repeated:
                fragment, seconds = next(iter(self.repeated.items()))
                await asyncio.sleep(seconds)
                await self.run(fragment=fragment)

    async def run(self, *once: WidgetState, fragment: str = "") -> float:
        """Run the page, or a fragment of it, with all that was given so far; the seconds until it has ended."""
        message = BackMsg()
        state = message.rerun_script
        state.query_string = self.query
        state.page_script_hash = self.page_hash
        state.page_name = "" if self.page_hash else self.page
        state.fragment_id = fragment
        state.context_info.url = self.url
        state.context_info.timezone = "UTC"
        state.context_info.locale = "en-US"
        state.widget_states.widgets.extend([*self.values.values(), *once])
        start = time.perf_counter()
        self.alerts, self.problems = [], []
        await self.socket.send(message.SerializeToString())
        # a run that another one replaced is not the answer
        while (await self._receive_until("script_finished")).script_finished == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            pass
        return time.perf_counter() - start

    async def _receive_until(self, kind: str) -> ForwardMsg:
        async with asyncio.timeout(ANSWER_SECONDS):
            while True:
                message = ForwardMsg.FromString(await self.socket.recv())
                self._note(message)
                if message.WhichOneof("type") == kind:
                    return message

    def _note(self, message: ForwardMsg) -> None:
        match message.WhichOneof("type"):
            case "new_session":
                self.session = message.new_session.initialize.session_id
            case "navigation":  # how every run of a whole page begins, and no run of a fragment
                self.page_hash = message.navigation.page_script_hash
                self.widgets, self.repeated, self.alerts, self.problems = {}, {}, [], []
            case "auto_rerun" if message.auto_rerun.interval < ANSWER_SECONDS:  # one that is rarer waits for nothing
                self.repeated[message.auto_rerun.fragment_id] = message.auto_rerun.interval
            case "delta" if message.delta.WhichOneof("type") == "new_element":
                self._note_element(message.delta)
            case "delta" if message.delta.WhichOneof("type") == "add_block":
                self._note_widget(message.delta, message.delta.add_block)

    def _note_element(self, delta: Any) -> None:
        kind = delta.new_element.WhichOneof("type")
        element = getattr(delta.new_element, kind)
        if kind == "exception":
            self.problems.append(f"{element.type}: {element.message}")
        elif kind == "alert":
            self.alerts.append(element.body)
        elif kind == "metric" and element.label.startswith("loss"):
            number = NUMBER.search(element.body)
            self.loss = float(number[0].replace("−", "-")) if number else math.nan
        elif kind == "html":
            if found := ANSWERED.search(element.body):
                self.answered = int(found[1])
            if found := RESTED.search(element.body):
                self.rested = int(found[1])
        self._note_widget(delta, delta.new_element)

    def _note_widget(self, delta: Any, part: Any) -> None:
        if not (kind := part.WhichOneof("type")) or not (identifier := getattr(getattr(part, kind), "id", "")):
            return
        element = getattr(part, kind)
        key = identifier.split("-", 2)[-1]  # $$ID-HASH-KEY
        choices = tuple(option.content for option in element.options) if kind == "button_group" else ()
        name = element.label if key == "None" else key
        self.widgets[name] = Widget(identifier, delta.fragment_id, kind, choices)
        if kind == "bidi_component":  # what happens in it comes under a name of its own
            events = f"$$STREAMLIT_INTERNAL_KEY_{identifier}__events"
            self.widgets[f"{name} events"] = Widget(events, delta.fragment_id, "events")

    async def _connect(self) -> websockets.ClientConnection:
        return await websockets.connect(
            f"ws://{urlparse(self.url).netloc}/_stcore/stream",
            subprotocols=["streamlit"],
            origin=self.url,
            local_addr=self._local_address(),
            additional_headers={"Cookie": self._cookie_header()},
            max_size=None,
            compression=None,
            ping_interval=None,
        )

    def _local_address(self) -> tuple[str, int] | None:
        return (self.source, 0) if self.source else None

    def _cookie_header(self) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _take_cookies(self) -> None:
        answer = self._request("GET", "/_stcore/health", {})
        for header in answer.headers.get_all("Set-Cookie") or ():
            name, _equals, value = header.partition(";")[0].partition("=")
            self.cookies[name] = value

    def _put(self, path: str, name: str, data: bytes) -> int:
        edge = "the-edge-of-the-file"
        quoted = name.replace("\\", "\\\\").replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        head = f'--{edge}\r\nContent-Disposition: form-data; name="file"; filename="{quoted}"\r\n'
        body = f"{head}Content-Type: application/octet-stream\r\n\r\n".encode() + data + f"\r\n--{edge}--\r\n".encode()
        headers = {
            "Content-Type": f"multipart/form-data; boundary={edge}",
            "Cookie": self._cookie_header(),
            "X-Xsrftoken": self.cookies.get("_streamlit_xsrf", ""),
        }
        return self._request("PUT", path, headers, body).status

    def _request(
        self, method: str, path: str, headers: dict[str, str], body: bytes | None = None
    ) -> http.client.HTTPResponse:
        connection = http.client.HTTPConnection(
            urlparse(self.url).netloc, timeout=ANSWER_SECONDS, source_address=self._local_address()
        )
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        return answer


def visit(visits: Coroutine[Any, Any, T]) -> T:
    """Make the visits, beside a browser that may be driven."""
    return in_a_thread(visits)


def loss_of(logits: list[list[float]], target: list[int]) -> float:
    """The mean loss, without PyTorch."""
    losses = []
    for row, label in zip(logits, target, strict=True):
        largest = max(row)
        losses.append(largest + math.log(sum(math.exp(z - largest) for z in row)) - row[label])
    return sum(losses) / len(losses)


def npy(array: np.ndarray) -> bytes:
    """The array as a file of NumPy."""
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()
