"""Firefox over WebDriver BiDi: enough of it to open a page, press keys, click, and read what stands there.

Playwright drives a Firefox of its own only; this one is the system's. https://w3c.github.io/webdriver-bidi
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from typing import Any

from websockets.exceptions import InvalidHandshake
from websockets.sync.client import ClientConnection, connect

from harness.browser import DESKTOP, IDLE_MS, ROW_HEIGHT, free_port

START_SECONDS = 60.0
NO_FIREFOX = "There is no Firefox on this machine. On Debian: apt-get install firefox-esr"
KEYS = {"Enter": "\ue007", "Tab": "\ue004", "ArrowLeft": "\ue012"}
CANVAS = ".st-key-logits [data-testid=data-grid-canvas]"
SELECTED = ".st-key-logits [role=gridcell][aria-selected=true]"


def find_firefox() -> str | None:
    """The system's Firefox, or None."""
    return shutil.which("firefox-esr") or shutil.which("firefox")


class FirefoxPage:
    """The one page of a running Firefox."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket, self._numbers = socket, itertools.count(1)
        self._ask("session.new", capabilities={})
        self._context = self._ask("browsingContext.getTree")["contexts"][0]["context"]
        width, height = DESKTOP
        self._ask("browsingContext.setViewport", context=self._context, viewport={"width": width, "height": height})

    def open(self, url: str) -> None:
        self._ask("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """What the expression gives, which JSON can hold.  Raises: RuntimeError with the page's own error."""
        answer = self._ask(
            "script.evaluate",
            expression=f"JSON.stringify({expression})",
            target={"context": self._context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise RuntimeError(answer["exceptionDetails"]["text"])
        return json.loads(answer["result"]["value"]) if answer["result"]["type"] == "string" else None

    def wait_for(self, expression: str, *, ms: float = IDLE_MS) -> None:
        """Wait until the expression is true.  Raises: TimeoutError."""
        deadline = time.monotonic() + ms / 1000
        while not self.evaluate(f"Boolean({expression})"):
            if time.monotonic() > deadline:
                raise TimeoutError(f"Not true within {ms / 1000:g} s: {expression}")
            time.sleep(0.05)  # a promise in the page would be lost with a reload

    def wait_for_editor(self) -> None:
        """Wait until the logits can be typed and both matrices stand."""
        self.wait_for(
            "['probs', 'grad'].every(key => document.querySelector(`.st-key-${key} .heatmap`)?.values)"
            f" && document.querySelector('{CANVAS}')"
        )
        self.wait_for(
            "performance.getEntriesByType('resource').every(one => performance.now() - one.responseEnd > 1000)"
        )

    def select_first_cell(self) -> None:
        """Select the first logit, with a click and the arrow keys."""
        self.click(CANVAS, 200, 1.5 * ROW_HEIGHT)
        self.wait_for(f"document.querySelector('{SELECTED}')")
        while (at := self.evaluate(f"document.querySelector('{SELECTED}').id")) != "glide-cell-1-0":
            self.press(["ArrowLeft"], [50])
            self.wait_for(f"document.querySelector('{SELECTED}')?.id !== '{at}'")

    def press(self, keys: Sequence[str], waits_ms: Sequence[float]) -> None:
        """Press keys, each a character or a name of KEYS, and wait so long after each."""
        actions: list[dict[str, Any]] = []
        for key, wait in zip(keys, waits_ms, strict=True):
            value = KEYS.get(key, key)
            press = [{"type": kind, "value": value} for kind in ("keyDown", "keyUp")]
            actions += [*press, {"type": "pause", "duration": round(wait)}]
        self._act({"type": "key", "id": "keyboard", "actions": actions})

    def click(self, selector: str, x: float, y: float) -> None:
        """Click so far from the upper left corner of an element."""
        left, top = self.evaluate(
            f"(box => [box.left, box.top])(document.querySelector({json.dumps(selector)}).getBoundingClientRect())"
        )
        move = {"type": "pointerMove", "x": round(left + x), "y": round(top + y)}
        press = [{"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}]
        self._act({"type": "pointer", "id": "mouse", "actions": [move, *press]})

    def _act(self, source: dict[str, Any]) -> None:
        self._ask("input.performActions", context=self._context, actions=[source])

    def _ask(self, method: str, **params: Any) -> Any:
        number = next(self._numbers)
        self._socket.send(json.dumps({"id": number, "method": method, "params": params}))
        while (answer := json.loads(self._socket.recv(timeout=START_SECONDS))).get("id") != number:
            pass  # an event
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['error']}: {answer['message']}")
        return answer["result"]


@contextlib.contextmanager
def firefox_page() -> Iterator[FirefoxPage]:
    """A page of a headless Firefox that knows nobody.  Raises: FileNotFoundError if there is none on this machine."""
    path = find_firefox()
    if path is None:
        raise FileNotFoundError(NO_FIREFOX)
    port = free_port()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        command = [path, "--headless", "--no-remote", f"--remote-debugging-port={port}", "--profile", profile]
        quiet = subprocess.DEVNULL
        process = subprocess.Popen(command, stdout=quiet, stderr=quiet, start_new_session=True)
        try:
            with _connected(process, port) as socket:
                yield FirefoxPage(socket)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the program may be a script that starts it
            process.wait()


def _connected(process: subprocess.Popen[bytes], port: int) -> ClientConnection:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            return connect(f"ws://127.0.0.1:{port}/session", max_size=None)
        except (OSError, InvalidHandshake):
            if time.monotonic() > deadline or process.poll() is not None:
                raise
            time.sleep(0.2)  # it tells nobody when it listens
