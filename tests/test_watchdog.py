"""The watchdog as a process, with a server that ends, falls silent, grows, and does not do as it is told."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from harness.browser import ROOT, free_port

WATCHDOG = ROOT / "deploy" / "watchdog.py"
PATIENCE_SECONDS = 20  # far more than any of it takes
QUICK = ("--look-seconds=0.05", "--stop-seconds=0.5", "--memory-seconds=1")
SILENT = "--silent-seconds=1"

# A server that does something when it is asked for /silent, /grow … and tells at /who who it is and what it started.
SERVER = """
import os, signal, subprocess, sys, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

state = {"healthz": 200, "slow": False, "held": [], "started": []}
GROW = "x = bytearray(300 * 2**20); import time; time.sleep(100)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(100)"

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        what = self.path[1:]
        if what == "die":
            os._exit(3)
        if what == "silent":
            state["healthz"] = 0
        if what == "error":
            state["healthz"] = 500
        if what == "slow":
            state["slow"] = True
        if what == "grow":
            state["held"].append(bytearray(300 * 2**20))
        if what == "peak":
            bytearray(300 * 2**20)
        if what == "child-grows":
            state["started"].append(subprocess.Popen([sys.executable, "-c", GROW]).pid)
        if what == "stubborn":
            child = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
            state["started"].append(child.pid)
        if what == "healthz" and state["healthz"] == 0:
            time.sleep(100)
        if what == "healthz" and state["slow"]:
            for byte in b"HTTP/1.1 200 OK" * 100:
                self.wfile.write(bytes([byte]))
                time.sleep(0.3)
        self.send_response(state["healthz"] if what == "healthz" else 200)
        self.end_headers()
        self.wfile.write(" ".join(map(str, [os.getpid(), *state["started"]])).encode())
    def log_message(self, *_):
        pass

if "stubborn" in sys.argv:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
server = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler)
server.daemon_threads = True
server.serve_forever()
"""


@dataclass
class Watched:
    """A watchdog and its server."""

    process: "subprocess.Popen[bytes]"
    port: int
    log_file: Path

    def events(self, name: str = "") -> list[dict[str, Any]]:
        """What the watchdog has written."""
        lines = [json.loads(line) for line in self.log_file.read_text("utf-8").splitlines()]
        return [line for line in lines if name in ("", line["event"])]

    def ask(self, what: str) -> list[int]:
        """Make the server do something: its process, and those it started."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/{what}", timeout=10) as answer:
            return [int(number) for number in answer.read().split()]

    def server(self) -> int:
        """Its process, once the watchdog knows that it answers."""
        wait_until(lambda: len(self.events("watchdog-ready")) > len(self.events("watchdog-restart")))
        return self.ask("who")[0]

    def expect_restart(self, server: int) -> str:
        """Wait until another server answers: why."""
        wait_until(lambda: bool(self.events("watchdog-restart")))
        assert self.server() != server
        assert not is_there(server)
        return str(self.events("watchdog-restart")[0]["why"])


@contextlib.contextmanager
def watched(tmp_path: Path, *options: str, words: tuple[str, ...] = (), **environment: str) -> Iterator[Watched]:
    script, log_file, port = tmp_path / "server.py", tmp_path / "watchdog.log", free_port()
    script.write_text(SERVER, "utf-8")
    url = f"--url=http://127.0.0.1:{port}/healthz"
    command = [sys.executable, str(WATCHDOG), url, *QUICK, *options, "--", sys.executable, str(script), str(port)]
    with log_file.open("wb") as log:
        process = subprocess.Popen([*command, *words], stdout=log, env={**os.environ, **environment})
    try:
        yield Watched(process, port, log_file)
    finally:
        process.terminate()
        process.wait(PATIENCE_SECONDS)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # between two looks


def is_there(process: int) -> bool:
    """Whether it runs; one that has ended and that nobody asked about does not."""
    try:
        return ") Z" not in Path(f"/proc/{process}/stat").read_text("utf-8")
    except OSError:
        return False


def test_a_server_that_ends_is_started_again(tmp_path: Path) -> None:
    with watched(tmp_path) as dog:
        server = dog.server()
        with contextlib.suppress(OSError):
            dog.ask("die")
        assert dog.expect_restart(server) == "ended with code 3"


@pytest.mark.long
@pytest.mark.parametrize("how", ["silent", "error", "slow"])
def test_a_server_that_does_not_answer_well_is_started_again(tmp_path: Path, how: str) -> None:
    with watched(tmp_path, SILENT) as dog:
        server = dog.server()
        dog.ask(how)
        assert dog.expect_restart(server) == "silent for 1 seconds"


def test_a_server_that_is_frozen_is_started_again(tmp_path: Path) -> None:
    with watched(tmp_path, SILENT) as dog:
        server = dog.server()
        os.kill(server, signal.SIGSTOP)
        assert dog.expect_restart(server) == "silent for 1 seconds"


@pytest.mark.long
@pytest.mark.parametrize("how", ["grow", "child-grows"])
def test_a_server_that_takes_too_much_memory_is_started_again(tmp_path: Path, how: str) -> None:
    with watched(tmp_path, "--memory-mb=200") as dog:
        server = dog.server()
        processes = dog.ask(how)
        assert dog.expect_restart(server).endswith(" MB of memory, of 200")
        assert not any(map(is_there, processes))


def test_a_peak_of_memory_that_passes_ends_nothing(tmp_path: Path) -> None:
    with watched(tmp_path, "--memory-mb=200", "--memory-seconds=5") as dog:
        server = dog.server()
        dog.ask("peak")
        time.sleep(1)  # in which the watchdog looks several times
        assert dog.ask("who") == [server]


def test_a_server_that_does_not_end_when_told_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    with watched(tmp_path, SILENT, words=("stubborn",)) as dog:
        server = dog.server()
        processes = dog.ask("stubborn")
        assert len(processes) == 2
        dog.ask("silent")
        assert dog.expect_restart(server) == "silent for 1 seconds"
        assert not any(map(is_there, processes))


def test_a_server_that_never_answers_is_started_again_after_longer_and_longer_pauses(tmp_path: Path) -> None:
    with watched(tmp_path, "--start-seconds=0.1", "--url=http://127.0.0.1:1/healthz") as dog:
        wait_until(lambda: len(dog.events("watchdog-restart")) == 3)
        restarts = dog.events("watchdog-restart")
    assert [restart["pause_seconds"] for restart in restarts] == [1, 2, 4]
    assert {restart["why"] for restart in restarts} == {"no answer in its first 0.1 seconds"}


def test_a_command_that_is_not_there_is_tried_again_and_not_quoted(tmp_path: Path) -> None:
    command = [sys.executable, str(WATCHDOG), *QUICK, "--", str(tmp_path / "not-there")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        line = json.loads(process.stdout.readline())
        process.terminate()
        assert process.wait(PATIENCE_SECONDS) == 0
    assert line["why"] == "does not start: FileNotFoundError"
    assert "not-there" not in json.dumps(line)


def test_a_watchdog_that_is_told_to_stop_ends_its_server_first(tmp_path: Path) -> None:
    with watched(tmp_path) as dog:
        server = dog.server()
        dog.process.terminate()
        assert dog.process.wait(PATIENCE_SECONDS) == 0
        assert not is_there(server)
        assert [line["event"] for line in dog.events()] == ["watchdog-start", "watchdog-ready", "watchdog-stop"]


def test_systemd_hears_when_the_server_answers_and_that_the_watchdog_lives(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(PATIENCE_SECONDS)
        with watched(tmp_path, NOTIFY_SOCKET=str(tmp_path / "notify")):
            heard = [systemd.recv(100)]
            while heard[-1] != b"READY=1":
                heard.append(systemd.recv(100))
            assert systemd.recv(100) == b"WATCHDOG=1"
    assert set(heard) <= {b"READY=1", b"WATCHDOG=1"}


def test_a_quiet_day_writes_nothing(tmp_path: Path) -> None:
    with watched(tmp_path, "--memory-mb=200") as dog:
        dog.server()
        time.sleep(1)  # in which the watchdog looks several times
        assert [line["event"] for line in dog.events()] == ["watchdog-start", "watchdog-ready"]
