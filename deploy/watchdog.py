"""Starts a server, and starts it again when it ends, falls silent or takes too much memory.

    python deploy/watchdog.py --memory-mb=2500 -- python -m streamlit run hosted.py --server.port=8501

It needs nothing but Python. Under systemd (Type=notify) it says when the server answers, and that it itself lives.
"""

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

ANSWER_SECONDS = 5.0  # in which the server answers one question
HEALTHY_SECONDS = 600.0  # after which an old fault counts no longer
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 60.0  # before it is started again; doubled by every fault
_MB = 2**20


@dataclass(frozen=True)
class Rules:
    """When a server is ended.

    Attributes:
      url: what it must answer with 200.
      start_seconds: until it answers for the first time.
      silent_seconds: that it may be silent after that.
      memory_mb: what it and its processes may take; 0 for any.
      memory_seconds: for how long they may take more.
      stop_seconds: that it has to end by itself once it is told to.
      look_seconds: between two looks.
    """

    url: str
    start_seconds: float
    silent_seconds: float
    memory_mb: int
    memory_seconds: float
    stop_seconds: float
    look_seconds: float


class Watchdog:
    """Watches one server at a time, until it is told to stop."""

    def __init__(self, command: list[str], rules: Rules) -> None:
        self.command, self.rules = command, rules
        self.told_to_stop = False

    def run(self) -> None:
        """Start the server again and again."""
        pause = FIRST_PAUSE_SECONDS
        while not self.told_to_stop:
            begun = time.monotonic()
            why = self._watch_one()
            if self.told_to_stop:
                break
            lived = time.monotonic() - begun
            pause = FIRST_PAUSE_SECONDS if lived > HEALTHY_SECONDS else pause
            log("watchdog-restart", why=why, lived_seconds=round(lived, 1), pause_seconds=pause)
            self._wait(pause)
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
        log("watchdog-stop")

    def stop(self, *_: object) -> None:
        """End the server and the watch."""
        self.told_to_stop = True

    def _watch_one(self) -> str:
        """Start the server, and end it as soon as something is wrong: what that is."""
        try:
            server = subprocess.Popen(self.command, start_new_session=True)
        except OSError as error:
            return f"does not start: {type(error).__name__}"
        log("watchdog-start", process=server.pid)
        try:
            return self._watch(server)
        finally:
            end(server, self.rules.stop_seconds)

    def _watch(self, server: "subprocess.Popen[bytes]") -> str:
        rules, begun = self.rules, time.monotonic()
        answered = heavy_since = 0.0
        while not self.told_to_stop:
            if (code := server.poll()) is not None:
                return f"ended with code {code}"
            if answers(rules.url, min(ANSWER_SECONDS, rules.silent_seconds)):
                if not answered:
                    log("watchdog-ready", seconds=round(time.monotonic() - begun, 1))
                    notify("READY=1")
                answered = time.monotonic()
            now = time.monotonic()
            if not answered and now - begun > rules.start_seconds:
                return f"no answer in its first {rules.start_seconds:g} seconds"
            if answered and now - answered > rules.silent_seconds:
                return f"silent for {rules.silent_seconds:g} seconds"
            megabytes = memory_mb(server.pid) if rules.memory_mb else 0
            heavy_since = (heavy_since or now) if megabytes > rules.memory_mb else 0.0
            if heavy_since and now - heavy_since >= rules.memory_seconds:
                return f"{megabytes} MB of memory, of {rules.memory_mb}"
            self._wait(rules.look_seconds)
        return "told to stop"

    def _wait(self, seconds: float) -> None:
        """Sleep, but not on when it is time to stop; and tell systemd that the watchdog lives."""
        until = time.monotonic() + seconds
        while not self.told_to_stop and (left := until - time.monotonic()) > 0:
            notify("WATCHDOG=1")
            time.sleep(min(left, 0.5))  # the next look at whether it is time to stop


def answers(url: str, seconds: float) -> bool:
    """Whether the status of the answer, all of it within so many seconds, is 200."""
    place = urlsplit(url)
    until = time.monotonic() + seconds
    question = f"GET {place.path or '/'} HTTP/1.1\r\nHost: {place.netloc}\r\nConnection: close\r\n\r\n"
    line = b""
    try:
        with socket.create_connection((place.hostname or "", place.port or 80), timeout=seconds) as connection:
            connection.sendall(question.encode())
            while b"\n" not in line and len(line) < 1000:
                connection.settimeout(max(until - time.monotonic(), 0.001))
                if not (piece := connection.recv(1000)):
                    break
                line += piece
    except OSError:
        return False
    return line.split(maxsplit=2)[1:2] == [b"200"] and time.monotonic() < until


def memory_mb(process: int) -> int:
    """What a process and all that it started take, in MB; what they share counts once. 0 where nobody can tell."""
    return sum(map(_resident_bytes, family(process))) // _MB


def family(process: int) -> list[int]:
    """The process and all that it started, and these in turn."""
    children: dict[int, list[int]] = {}
    for one, parent in _parents():
        children.setdefault(parent, []).append(one)
    found = [process]
    for one in found:  # it grows meanwhile
        found += children.get(one, ())
    return found


def _parents() -> Iterator[tuple[int, int]]:
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError, ValueError):
            # 12 (its name, which may hold anything) S 1 …
            yield int(place.name), int((place / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()[1])


def _resident_bytes(process: int) -> int:
    place = Path(f"/proc/{process}")
    with suppress(OSError, IndexError, ValueError):
        for line in (place / "smaps_rollup").read_text("ascii").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, IndexError, ValueError):
        return int((place / "statm").read_text("ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


def end(server: "subprocess.Popen[bytes]", seconds: float) -> None:
    """Tell the server to end; after so many seconds, end it and all that it started."""
    started: dict[int, str] = {}
    until = time.monotonic() + seconds
    with suppress(OSError):
        server.terminate()
    while server.poll() is None and time.monotonic() < until:
        started |= {process: _since(process) for process in family(server.pid)}
        notify("WATCHDOG=1")
        time.sleep(0.05)  # between two looks at whether it has ended
    with suppress(OSError):
        os.killpg(server.pid, signal.SIGKILL)  # the group keeps its number as long as one of it lives
    for process, since in started.items():
        if since and _since(process) == since:  # the number is not another's by now
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
    server.wait()


def _since(process: int) -> str:
    """When it was started, counted in ticks; "" if it is gone."""
    with suppress(OSError, IndexError):
        return Path(f"/proc/{process}/stat").read_text("utf-8", "replace").rpartition(")")[2].split()[19]
    return ""


def notify(text: str) -> None:
    """Tell systemd, if it started this."""
    if address := os.environ.get("NOTIFY_SOCKET"):
        if address.startswith("@"):
            address = "\0" + address[1:]
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to:
            to.sendto(text.encode(), address)


def log(event: str, **facts: str | float) -> None:
    """Write what happened: one line of JSON, as the server does."""
    when = datetime.now(UTC).isoformat(timespec="milliseconds")
    sys.stdout.write(json.dumps({"time": when, "event": event, **facts}) + "\n")
    sys.stdout.flush()


def main(arguments: list[str]) -> None:
    """The program."""
    options, command = arguments, []
    if "--" in arguments:
        middle = arguments.index("--")
        options, command = arguments[:middle], arguments[middle + 1 :]
    parser = argparse.ArgumentParser(usage="watchdog.py [OPTIONS] -- COMMAND", description=__doc__.partition("\n")[0])
    parser.add_argument("--url", default="http://127.0.0.1:8501/healthz", help="what the server must answer")
    for name, default, text in (
        ("start-seconds", 120.0, "until it answers for the first time"),
        ("silent-seconds", 30.0, "that it may be silent after that"),
        ("memory-seconds", 10.0, "for which it may take more than --memory-mb"),
        ("stop-seconds", 10.0, "that it has to end by itself"),
        ("look-seconds", 2.0, "between two looks"),
    ):
        parser.add_argument(f"--{name}", type=float, default=default, help=f"{text} (%(default)g)")
    parser.add_argument("--memory-mb", type=int, default=0, help="for the server and what it starts; 0 for any")
    rules = Rules(**vars(parser.parse_args(options)))
    if not command:
        parser.error("there is no command after --")
    watchdog = Watchdog(command, rules)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, watchdog.stop)
    watchdog.run()


if __name__ == "__main__":
    main(sys.argv[1:])
