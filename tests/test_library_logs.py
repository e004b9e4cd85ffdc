"""What libraries log becomes lines of JSON without their words, and not more than a disk bears."""

import asyncio
import json
import logging
import subprocess
import sys
import time
from threading import Thread
from typing import Any

import pytest
from starlette.websockets import WebSocketDisconnected

from harness.browser import ROOT
from xent_host import library_logs
from xent_ui.server import log
from xent_ui.server.limits import PUBLIC_VARIABLE
from xent_ui.server.log import Log, LogLimits

SECRET = "what a stranger sent"
PROGRAM = """
import logging, os, sys, threading, warnings
os.environ["XENT_PUBLIC"] = "1"
from streamlit.logger import get_logger
import uvicorn
uvicorn.Config("app:app", access_log=True)  # sets up its loggers
before = get_logger("streamlit.before")
from xent_host import library_logs
library_logs.apply()
after = get_logger("streamlit.after")
before.warning("what %s sent", "a stranger")
after.error("what a stranger sent")
after.info("what a stranger sent")
try:
    int("what a stranger sent")
except ValueError:
    logging.getLogger("uvicorn.error").exception("what a stranger sent")
logging.getLogger("uvicorn.access").warning("what a stranger sent")
logging.getLogger("another").warning("what a stranger sent")
warnings.warn("what a stranger sent")
thread = threading.Thread(target=int, args=["what a stranger sent"])
thread.start()
thread.join()
class Broken:
    def __del__(self):
        int("what a stranger sent")
Broken()
int("what a stranger sent")
"""


def test_every_way_to_write_ends_in_a_line_without_words() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert ended.stderr == ""
    assert "stranger" not in ended.stdout
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert {line["event"] for line in lines} == {"library"}
    assert [(line["level"], line["logger"], line.get("type")) for line in lines] == [
        ("WARNING", "streamlit.before", None),
        ("ERROR", "streamlit.after", None),
        ("ERROR", "uvicorn.error", "ValueError"),
        ("WARNING", "uvicorn.access", None),
        ("WARNING", "another", None),
        ("WARNING", "py.warnings", None),
        ("ERROR", "python", "ValueError"),
        ("ERROR", "python", "ValueError"),
        ("ERROR", "python", "ValueError"),
    ]
    assert all(":" in line["place"] for line in lines[:6])


def test_an_endless_recursion_is_a_short_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")

    def endless() -> None:
        endless()

    try:
        endless()
    except RecursionError:
        record = logging.LogRecord("a", logging.ERROR, __file__, 1, SECRET, (), sys.exc_info(), "endless")
    library_logs.LINES.handle(record)

    out = capsys.readouterr().out
    assert len(out) < 1500
    assert json.loads(out)["type"] == "RecursionError"


def test_of_a_connection_only_errors_of_the_program_are_told(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")
    gone = WebSocketDisconnected('Cannot call "send" once a close message has been sent.')
    for ended in (ValueError(SECRET), asyncio.CancelledError(SECRET), KeyboardInterrupt(SECRET), gone):
        try:
            raise ended
        except BaseException:
            library_logs.CONNECTION_LOG.exception("Exception in ASGI application\n")
    library_logs.CONNECTION_LOG.error("ASGI callable should return None, but returned '%s'.", SECRET)
    library_logs.CONNECTION_LOG.warning("Invalid HTTP request received.")
    library_logs.CONNECTION_LOG.info('%s - "WebSocket %s" [accepted]', SECRET, SECRET)

    out = capsys.readouterr().out
    assert SECRET not in out
    told = [json.loads(line) for line in out.splitlines()]
    assert [(line["event"], line["level"], line["logger"], line.get("type")) for line in told] == [
        ("library", "ERROR", "xent_host", "ValueError"),
        ("library", "ERROR", "xent_host", None),
    ]


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_a_flood_writes_so_many_lines_and_the_number_of_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [0.0]
    monkeypatch.setattr(log, "monotonic", lambda: now[0])
    flooded = Log(LogLimits(lines_a_second=10, burst=20, tell_seconds=3600))
    for i in range(10_000):  # a thousand a second
        now[0] = i / 1000
        flooded.write("flood", {"number": i})
    flooded.write("other", {})
    flooded.tell()
    flooded.tell()

    written = lines(capsys)
    floods = [line for line in written if line["event"] == "flood"]
    assert 120 <= len(floods) <= 122  # the burst, and ten a second for ten seconds
    assert [line["event"] for line in written[-2:]] == ["other", "left-out"]
    assert (written[-1]["what"], written[-1]["lines"]) == ("flood", 10_000 - len(floods))


def test_the_number_of_lines_left_out_is_told_by_itself(capsys: pytest.CaptureFixture[str]) -> None:
    flooded = Log(LogLimits(lines_a_second=0.001, burst=0, tell_seconds=0.01))
    for _ in range(5):
        flooded.write("flood", {})
    out, deadline = "", time.monotonic() + 30
    while "left-out" not in out and time.monotonic() < deadline:
        time.sleep(0.005)  # between two looks
        out += capsys.readouterr().out

    assert [json.loads(line)["event"] for line in out.splitlines()] == ["flood", "left-out"]


def test_a_fact_is_short(capsys: pytest.CaptureFixture[str]) -> None:
    Log().write("a", {"where": "x" * 100_000, "bytes": 5})

    [line] = lines(capsys)
    assert (len(line["where"]), line["bytes"]) == (1000, 5)


def test_garbage_that_is_collected_while_a_line_is_counted_may_log_too() -> None:
    lines = Log()

    def write_within() -> None:
        with lines._lock:  # as when a destructor runs in there
            lines.write("inner", {})

    thread = Thread(target=write_within, daemon=True)
    thread.start()
    thread.join(10)

    assert not thread.is_alive()
