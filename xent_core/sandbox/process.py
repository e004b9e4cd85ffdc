"""A sandboxed process as its owner sees it: started, asked, and ended."""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import json
import math
import os
import signal
import socket
import subprocess
import sys
import time
import weakref
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Lock, local
from typing import Any

from xent_core.language import language
from xent_core.sandbox.connection import Broken, Connection

PRELOADED = (
    "xent_core.codec.sandboxed_reading",
    "xent_core.dump.formats.sandboxed_files",
    "xent_core.dump.pictures",
    "PIL.JpegImagePlugin",
    "PIL.PngImagePlugin",
    "pyarrow.compute",
    "pyarrow.csv",
    "pyarrow.parquet",
    "safetensors.torch",
)
SECONDS_TO_START = 60.0  # of the fork server, with all its imports, on a busy machine
SECONDS_TO_ANSWER = 120.0  # whatever the load; what a process computes meanwhile has limits of its own

# one thread, or copies would not be safe; allocators that take no more address space than they use
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "ARROW_IO_THREADS": "1",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "MALLOC_ARENA_MAX": "1",
}


class SandboxDied(Exception):
    """The process took more than its limits, crashed, or does not answer."""


@dataclass(frozen=True)
class ProcessLimits:
    """What one process may take.

    Attributes:
      memory_bytes: beyond what it has when it starts.
      cpu_seconds: on a processor, all its life.
    """

    memory_bytes: int
    cpu_seconds: int


class _ForkServer:
    """The program that copies itself; started when it is first needed, and again if it has died."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None

    def start(self) -> None:
        """Starts it unless it runs; its imports are not waited for."""
        with self._lock:
            self._start()

    def stop(self) -> None:
        """Ends it; what was made of it goes on by itself."""
        with self._lock:
            if self._process is not None and self._control is not None:
                self._control.close()
                self._process.kill()
                self._process.wait()
                self._process = self._control = None

    def fork(self, handler: str, limits: ProcessLimits) -> socket.socket:
        """The socket of a new process with these limits, which runs the function MODULE:NAME with its other end."""
        request = {
            "handler": handler,
            "language": language(),
            "memory_bytes": limits.memory_bytes,
            "cpu_seconds": limits.cpu_seconds,
        }
        mine, theirs = socket.socketpair()
        with self._lock:
            control = self._start()
            socket.send_fds(control, [json.dumps(request).encode()], [theirs.fileno()])
        theirs.close()
        return mine

    def _start(self) -> socket.socket:
        if self._process is None or self._control is None or self._process.poll() is not None:
            if self._control is not None:
                self._control.close()
            self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            root = str(Path(__file__).parents[2])
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", "xent_core.sandbox.fork_server", str(theirs.fileno()), *PRELOADED],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                env={**os.environ, **_ENVIRONMENT, "PYTHONPATH": root},
                start_new_session=True,  # a Ctrl-C is for the server, which ends this one by closing its socket
            )
            theirs.close()
        return self._control


_FORK_SERVER = _ForkServer()
atexit.register(_FORK_SERVER.stop)


def start_fork_server(most: float = math.inf) -> None:
    """For a server to call when it starts, so that nobody waits for the imports of the first sandboxed process.

    Args:
      most: of these processes at the same time; the next one waits.
    """
    _PLACES.most = most
    _FORK_SERVER.start()


class _Places:
    """How many sandboxed processes may be there at the same time; any number unless somebody says how many."""

    def __init__(self) -> None:
        self._condition = Condition()
        self._taken, self.most = 0, math.inf

    def take(self) -> None:
        """Wait for a place. Raises: SandboxDied after a while, as if nobody answered."""
        with self._condition:
            if not self._condition.wait_for(lambda: self._taken < self.most, SECONDS_TO_START):
                raise SandboxDied
            self._taken += 1

    def give_back(self) -> None:
        """It is free."""
        with self._condition:
            self._taken -= 1
            self._condition.notify()


_PLACES = _Places()


_OF_THIS_THREAD = local()


def processor_seconds() -> float:
    """What this thread has used of a processor, and the sandboxed processes that answered it."""
    return time.thread_time() + getattr(_OF_THIS_THREAD, "seconds", 0.0)


def _process_seconds(pid: int) -> float:
    """What a process has used of a processor. Raises: OSError when it has ended."""
    return time.clock_gettime(~pid << 3 | 2)  # Linux's number for the clock of a process, as clock_getcpuclockid(3)


def _end(sock: socket.socket, pidfds: list[int]) -> None:
    sock.close()
    for pidfd in pidfds:
        with contextlib.suppress(ProcessLookupError):
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        os.close(pidfd)
    _PLACES.give_back()


class SandboxedProcess:
    """A process with limits that runs a handler, which answers what it is asked; it ends when nobody holds this.

    Args:
      handler: MODULE:NAME of a function that takes a Connection.
      limits: of this process.

    Raises: SandboxDied.
    """

    def __init__(self, handler: str, limits: ProcessLimits) -> None:
        _PLACES.take()
        try:
            sock = _FORK_SERVER.fork(handler, limits)
        except OSError as error:
            _PLACES.give_back()
            raise SandboxDied from error
        self._pidfds: list[int] = []
        self._connection = Connection(sock)
        self._end = weakref.finalize(self, _end, sock, self._pidfds)
        sock.settimeout(SECONDS_TO_START)
        hello, _data, fds = self._receive(0)
        if not fds:
            self.close()
            raise SandboxDied
        self._pid: int = hello["pid"]
        self._pidfds += fds
        sock.settimeout(SECONDS_TO_ANSWER)

    def ask(
        self, header: dict[str, Any], data: Any = b"", fds: Sequence[int] = (), *, max_bytes: int = 0
    ) -> tuple[dict[str, Any], bytearray]:
        """Its answer, with at most so many bytes. Raises: SandboxDied, and then it has ended.

        What it has used of a processor meanwhile counts as used by this thread: `processor_seconds`.
        """
        asked_at, used_before = time.monotonic(), self._seconds()
        try:
            return self._ask(header, data, fds, max_bytes)
        finally:
            used = self._seconds() - used_before
            if math.isnan(used):  # it has ended: at most all of that time
                used = time.monotonic() - asked_at
            _OF_THIS_THREAD.seconds = getattr(_OF_THIS_THREAD, "seconds", 0.0) + used

    def _ask(
        self, header: dict[str, Any], data: Any, fds: Sequence[int], max_bytes: int
    ) -> tuple[dict[str, Any], bytearray]:
        try:
            self._connection.send(header, data, fds)
        except OSError as error:
            self.close()
            raise SandboxDied from error
        answer, received, fds = self._receive(max_bytes)
        for fd in fds:
            os.close(fd)
        return answer, received

    def close(self) -> None:
        """Ends the process, whatever it does."""
        self._end()

    def _seconds(self) -> float:
        """What it has used of a processor by now; NaN when it has ended."""
        try:
            return _process_seconds(self._pid)
        except OSError:
            return math.nan

    def _receive(self, max_bytes: int) -> tuple[dict[str, Any], bytearray, list[int]]:
        try:
            return self._connection.receive(max_bytes)
        except (Broken, TimeoutError) as error:
            self.close()
            raise SandboxDied from error


def release_memory() -> None:
    """Gives back to the system what was freed: glibc and pyarrow would keep it for later."""
    if "pyarrow" in sys.modules:
        sys.modules["pyarrow"].default_memory_pool().release_unused()
    with contextlib.suppress(OSError, AttributeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
