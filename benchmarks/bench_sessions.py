"""What a rerun costs one visitor, alone and with four others on the same server.

Speaks Streamlit's own protocol: a BackMsg with the editor's state goes out, ForwardMsg come back until the run ends.
Every answer is checked against a loss computed here, so that a number of another visitor would be noticed.
"""

import asyncio
import json
import math
import random
import re
import statistics
import time
from urllib.parse import urlparse

import websockets
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks import Result
from tests.browser.helpers import serve

SESSIONS = 5
EDITS = 10
ROUNDS = 2
PAUSE_SECONDS = 1.0
ANSWER_SECONDS = 60
LOGITS, TARGET = [[1.0, 2.0, 3.0]] * 3, [2, 1, 0]  # /?preset=worked-batch


class Visitor:
    """One session: its websocket, and what the page has shown of the editor and of the loss."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.page_hash = ""
        self.editor_id = ""
        self.editor_fragment = ""
        self.loss: float | None = None
        self.problems: list[str] = []

    async def __aenter__(self) -> "Visitor":
        self.socket = await websockets.connect(
            f"ws://{urlparse(self.url).netloc}/_stcore/stream",
            subprotocols=["streamlit"],
            origin=self.url,
            max_size=None,
            compression=None,
            ping_interval=None,
        )
        await self._run({}, fragment="")
        if not self.editor_id:
            raise RuntimeError(f"The page shows no editor with logits_editor in its key. {self.problems}")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.socket.close()

    async def edit(self, logit: str) -> float:
        """Put a logit into the upper left cell; the seconds until the run has ended."""
        edit = {"edited_rows": {"0": {"class 0": logit}}, "added_rows": [], "deleted_rows": []}
        return await self._run({self.editor_id: json.dumps(edit)}, fragment=self.editor_fragment)

    async def _run(self, widgets: dict[str, str], *, fragment: str) -> float:
        message = BackMsg()
        state = message.rerun_script
        state.query_string = "preset=worked-batch"
        state.page_script_hash = self.page_hash
        state.fragment_id = fragment
        state.context_info.url = self.url
        state.context_info.timezone = "UTC"
        state.context_info.locale = "en-US"
        for identifier, value in widgets.items():
            widget = state.widget_states.widgets.add()
            widget.id, widget.string_value = identifier, value
        start = time.perf_counter()
        await self.socket.send(message.SerializeToString())
        async with asyncio.timeout(ANSWER_SECONDS):
            while not self._is_the_end(ForwardMsg.FromString(await self.socket.recv())):
                pass
        return time.perf_counter() - start

    def _is_the_end(self, message: ForwardMsg) -> bool:
        match message.WhichOneof("type"):
            case "new_session":
                self.page_hash = message.new_session.page_script_hash
            case "delta" if message.delta.WhichOneof("type") == "new_element":
                self._note(message.delta)
            case "script_finished":
                # A run that another one replaced is not the answer.
                return message.script_finished != ForwardMsg.FINISHED_EARLY_FOR_RERUN
        return False

    def _note(self, delta) -> None:
        kind = delta.new_element.WhichOneof("type")
        element = getattr(delta.new_element, kind)
        if kind == "exception":
            self.problems.append(f"{element.type}: {element.message}")
        elif kind == "metric" and element.label.startswith("loss"):
            number = re.search(r"[-−]?\d+(\.\d+)?(e[-+]?\d+)?", element.body)
            self.loss = float(number[0].replace("−", "-")) if number else None
        elif "logits_editor" in getattr(element, "id", ""):
            self.editor_id, self.editor_fragment = element.id, delta.fragment_id


def expected_loss(logit: float) -> float:
    """The mean loss of the worked batch with that number in its upper left cell, without PyTorch."""
    rows = [[logit, *LOGITS[0][1:]], *LOGITS[1:]]
    losses = [math.log(sum(map(math.exp, row))) - row[label] for row, label in zip(rows, TARGET, strict=True)]
    return sum(losses) / len(losses)


async def _visit(url: str, seed: int) -> list[float]:
    numbers = random.Random(seed)
    seconds = []
    async with Visitor(url) as visitor:
        await asyncio.sleep(numbers.random() * PAUSE_SECONDS)  # visitors do not edit in step
        for _ in range(EDITS):
            logit = f"{numbers.uniform(-5, 5):.3f}"
            seconds.append(await visitor.edit(logit))
            expected = expected_loss(float(logit))
            if visitor.problems or visitor.loss is None or abs(visitor.loss - expected) > 6e-5:
                raise RuntimeError(
                    f"The answer to {logit} was {visitor.loss}, expected {expected:.4f}. {visitor.problems}"
                )
            await asyncio.sleep(PAUSE_SECONDS)
    return seconds


async def _visit_together(url: str, sessions: int) -> list[float]:
    visits = await asyncio.gather(*(_visit(url, seed) for seed in range(sessions)))
    return [seconds for visit in visits for seconds in visit]


def measure() -> list[Result]:
    """The median rerun with five sessions, over that with one."""
    alone: list[float] = []
    together: list[float] = []
    with serve() as server:
        asyncio.run(_visit_together(server.url, 1))  # the server's own first run is not what is compared
        for _ in range(ROUNDS):
            alone += asyncio.run(_visit_together(server.url, 1))
            together += asyncio.run(_visit_together(server.url, SESSIONS))
    one, five = 1e3 * statistics.median(alone), 1e3 * statistics.median(together)
    return [Result("rerun, 5 sessions over 1", five / one, limit=2, detail=f"{five:.0f} ms against {one:.0f} ms")]
