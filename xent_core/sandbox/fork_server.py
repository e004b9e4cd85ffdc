"""A program that has imported all readers and copies itself for each sandboxed process: a copy starts in milliseconds.

    python -m xent_core.sandbox.fork_server FD MODULE …

It has one thread. FD is a socket of packets: each asks for a copy, and brings the socket over which that copy talks.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import socket
import sys
from importlib.abc import MetaPathFinder
from pathlib import Path
from typing import Any

from xent_core.language import use_language
from xent_core.sandbox.connection import Connection

MAX_REQUEST_BYTES = 4096
MAX_OPEN_FILES = 64


def main() -> None:
    """Serves until the program that started it has gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    sys.meta_path.insert(0, _WithoutPandas())
    for module in sys.argv[2:]:
        importlib.import_module(module)
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody asks how a copy ended
    while True:
        data, fds, _flags, _address = socket.recv_fds(control, MAX_REQUEST_BYTES, 1)
        if not data:
            return
        if os.fork() == 0:
            control.close()
            run(json.loads(data), fds[0])
        os.close(fds[0])


class _WithoutPandas(MetaPathFinder):
    """Pyarrow imports pandas where there is one, for two seconds in each copy, and needs it for nothing here."""

    def find_spec(self, name: str, _path: object, _target: object = None) -> None:
        """Nothing, and for pandas an end to the search. Raises: ModuleNotFoundError."""
        if name == "pandas":
            raise ModuleNotFoundError(name)


def run(request: dict[str, Any], fd: int) -> None:
    """The copy: takes its limits, tells who it is, and does what the handler does. Never returns."""
    try:
        connection = Connection(socket.socket(fileno=fd))
        use_language(request["language"])
        connection.send({"pid": os.getpid()}, fds=[os.pidfd_open(os.getpid())])
        module, function = request["handler"].split(":")
        handler = getattr(importlib.import_module(module), function)
        take_limits(request["memory_bytes"], request["cpu_seconds"])
        handler(connection)
    except BaseException:  # the other side reads that nobody is there
        os._exit(1)
    os._exit(0)


def take_limits(memory_bytes: int, cpu_seconds: int) -> None:
    """So much memory beyond what it has, so much time on a processor, no file written, no core dumped."""
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    for what, limit in (
        (resource.RLIMIT_AS, used + memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, MAX_OPEN_FILES),
    ):
        resource.setrlimit(what, (limit, limit))


def allow_seconds(seconds: int) -> None:
    """From now on so many seconds on a processor, and no more than this process may have in all."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    soft = int(usage.ru_utime + usage.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


if __name__ == "__main__":
    main()
