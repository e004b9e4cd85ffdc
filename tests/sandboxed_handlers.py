"""What a process in a sandbox may try; `test_file_bombs.py` and `test_job_pool.py` let it."""

import os
import signal
import tempfile
import time

from xent_core.sandbox import Connection


def answer(connection: Connection) -> None:
    """What it should do."""
    while True:
        request, data, _fds = connection.receive(100)
        connection.send({"told": request["say"]}, bytes(data))


def work(connection: Connection) -> None:
    """So many seconds on a processor, as often as it is asked."""
    while True:
        request, _data, _fds = connection.receive(0)
        until = time.process_time() + request["seconds"]
        while time.process_time() < until:
            pass
        connection.send({})


def take_memory(connection: Connection) -> None:
    """A gigabyte."""
    connection.receive(0)
    held = bytearray(2**30)
    connection.send({"bytes": len(held)})


def take_time(connection: Connection) -> None:
    """All there is."""
    connection.receive(0)
    while True:
        pass


def write_a_file(connection: Connection) -> None:
    """Into the temporary folder."""
    connection.receive(0)
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    with tempfile.TemporaryFile() as file:
        try:
            file.write(b"x")
            file.flush()
        except OSError:
            os._exit(1)
    connection.send({})


def send_too_much(connection: Connection) -> None:
    """More than was asked for."""
    connection.receive(0)
    connection.send({}, bytes(2**20))


def send_no_message(connection: Connection) -> None:
    """A pickle in place of a header."""
    connection.receive(0)
    os.write(connection.fileno(), (20).to_bytes(8, "little") + bytes(8) + b"\x80\x04cposix\nsystem\n(S'")
