"""Files that cost their reader more than they are worth are refused with one sentence, by a process with limits."""

import ast
import contextlib
import gc
import io
import os
import select
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from harness.file_bombs import DUMP, FORMATS, KINDS, Bomb, bombs, npz
from tests.program import ROOT, sources
from xent_core.codec import read_file_in_sandbox
from xent_core.dump import analyse, open_dump
from xent_core.errors import InvalidInput
from xent_core.sandbox import ProcessLimits, SandboxDied, SandboxedProcess, process, release_memory, start_fork_server
from xent_core.tensor_headers import zip_entries
from xent_ui.server import uploads
from xent_ui.server.limits import PUBLIC_VARIABLE, limits

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="a server for strangers runs on Linux")

MAX_SERVER_BYTES = 300 * 2**20
MAX_SECONDS = 25  # five times what it should take
SMALL = ProcessLimits(memory_bytes=256 * 2**20, cpu_seconds=2)
BOMBS = list(bombs())


@pytest.fixture(autouse=True)
def _public(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PUBLIC_VARIABLE, "1")


@pytest.fixture(scope="module", autouse=True)
def _warm() -> None:
    """The imports are no bomb's fault."""
    read("Export", "a.npz", npz(logits=np.ones((2, 2), np.float32), target=np.zeros(2, np.int64)))
    read(DUMP, "a.npz", npz(logits=np.ones((2, 2), np.float32), target=np.zeros(2, np.int64)))


def read(door: str, name: str, data: bytes) -> None:
    """As the pages do on a public server."""
    if door == DUMP:
        upload = io.BytesIO(data)
        upload.name = name
        analyse(upload, limits=uploads.dump_limits(), sandboxed=True, logits_are="logits", fit_temperature=False)
    else:
        read_file_in_sandbox(name, data)


def status_bytes(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{field}:"))


@pytest.mark.long
@pytest.mark.parametrize("bomb", BOMBS, ids=lambda bomb: bomb.name)
def test_a_bomb_gets_one_sentence_and_its_memory_comes_back(bomb: Bomb) -> None:
    data = bomb.data()
    for door in bomb.doors:
        gc.collect()
        release_memory()
        Path("/proc/self/clear_refs").write_text("5")  # the high-water mark starts from here
        before, begun = status_bytes("VmRSS"), time.monotonic()
        with contextlib.suppress(InvalidInput):  # any other error is a fault of ours
            read(door, bomb.name, data)
        seconds, peak = time.monotonic() - begun, status_bytes("VmHWM")
        gc.collect()
        release_memory()

        assert peak - before < MAX_SERVER_BYTES, f"{door}: {(peak - before) / 2**20:.0f} MB"
        assert seconds < MAX_SECONDS, door
        assert status_bytes("VmRSS") < 1.1 * before, door


def test_every_kind_of_file_has_a_bomb_of_every_kind_or_a_reason() -> None:
    for ending, (doors, made) in FORMATS.items():
        assert doors
        assert list(made) == list(KINDS), ending


def test_a_process_answers_and_ends_when_it_is_closed() -> None:
    one = SandboxedProcess("tests.sandboxed_handlers:answer", SMALL)

    assert one.ask({"say": "hello"}, b"abc", max_bytes=3) == ({"told": "hello"}, b"abc")
    fd = os.dup(one._pidfds[0])
    one.close()
    ended, _writable, _odd = select.select([fd], [], [], MAX_SECONDS)
    os.close(fd)
    assert ended


@pytest.mark.parametrize(
    "attempt", ["take_memory", "take_time", "write_a_file", "send_too_much", "send_no_message", "is_not_there"]
)
def test_a_process_that_takes_more_ends_alone(attempt: str) -> None:
    before = status_bytes("VmRSS")
    with pytest.raises(SandboxDied):
        SandboxedProcess(f"tests.sandboxed_handlers:{attempt}", SMALL).ask({}, max_bytes=10)

    assert status_bytes("VmRSS") < before + 50 * 2**20
    test_a_process_answers_and_ends_when_it_is_closed()


def test_no_more_processes_read_at_once_than_may_and_the_next_one_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process, "_PLACES", places := process._Places())
    places.most = 1
    first = SandboxedProcess("tests.sandboxed_handlers:answer", SMALL)
    with ThreadPoolExecutor(1) as thread:
        second = thread.submit(SandboxedProcess, "tests.sandboxed_handlers:answer", SMALL)
        time.sleep(0.2)  # in which it would have begun: a copy takes a tenth
        assert not second.done()
        first.close()
        first.close()  # gives back one place, not two
        second.result(MAX_SECONDS).close()
    assert places._taken == 0

    monkeypatch.setattr(process, "SECONDS_TO_START", 0.05)
    places.take()
    with pytest.raises(SandboxDied):
        SandboxedProcess("tests.sandboxed_handlers:answer", SMALL)


def test_a_process_that_nobody_holds_ends() -> None:
    one = SandboxedProcess("tests.sandboxed_handlers:answer", SMALL)
    fd = os.dup(one._pidfds[0])
    del one
    gc.collect()
    ended, _writable, _odd = select.select([fd], [], [], MAX_SECONDS)
    os.close(fd)
    assert ended


def test_an_upload_that_is_read_is_not_copied_in_memory(tmp_path: Path) -> None:
    class Upload(io.BytesIO):
        name = "d.npy"

    data = npy_bytes()
    upload = Upload(data)
    with open_dump(upload, np.zeros(len(np.load(io.BytesIO(data))), np.int64), sandboxed=True):
        assert sys.getsizeof(upload) < len(data)  # else it has a copy of its own
    with open_dump(upload, np.zeros(len(np.load(io.BytesIO(data))), np.int64)):
        assert sys.getsizeof(upload) < len(data)


def npy_bytes() -> bytes:
    file = io.BytesIO()
    np.save(file, np.arange(200_000, dtype=np.float32).reshape(-1, 4))
    return file.getvalue()


def test_a_fork_server_that_was_killed_is_started_again() -> None:
    start_fork_server()
    server = process._FORK_SERVER._process
    assert server is not None
    server.kill()
    server.wait()

    test_a_process_answers_and_ends_when_it_is_closed()


def test_copies_of_a_program_with_several_threads_are_not_made() -> None:
    test_a_process_answers_and_ends_when_it_is_closed()
    server = process._FORK_SERVER._process
    assert server is not None

    assert len(list(Path(f"/proc/{server.pid}/task").iterdir())) == 1


def test_a_directory_of_a_zip_file_is_measured_before_it_is_read() -> None:
    small = npz(a=np.zeros(2), b=np.zeros(2))
    many = FORMATS["npz"][1]["count"]
    assert not isinstance(many, str)
    long = b"PK\x06\x06" + bytes(36) + (2**40).to_bytes(8, "little") + bytes(8) + b"PK\x06\x07" + bytes(16)

    assert zip_entries(io.BytesIO(small), len(small)) == 2
    assert zip_entries(io.BytesIO(many()), len(many())) > 10_000
    lying = long + b"PK\x05\x06" + bytes(18)
    assert zip_entries(io.BytesIO(lying), len(lying)) > 10_000
    assert zip_entries(io.BytesIO(b"PK"), 2) == 0


def test_on_ones_own_computer_no_process_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    data = npz(logits=np.ones((2, 2), np.float32), target=np.zeros(2, np.int64))
    asked: list[str] = []
    monkeypatch.setattr(uploads, "read_file_in_sandbox", lambda name, *_rest: asked.append(name))

    uploads.read_upload("public.npz", data)
    monkeypatch.delenv(PUBLIC_VARIABLE)
    uploads.read_upload("own.npz", data)

    assert asked == ["public.npz"]
    assert not limits().is_public


def test_no_page_reads_a_file_by_another_way() -> None:
    for source in sources(ROOT):
        if not source.under("xent_ui", "pages"):
            continue
        for node in ast.walk(source.tree):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
                continue
            given = {word.arg for word in node.keywords}
            match node.func.id:
                case "analyse" | "open_dump":
                    assert {"limits", "sandboxed"} <= given, f"{source.path}:{node.lineno}"
                case "read_file" if source.path == "xent_ui/server/uploads.py":
                    continue  # on one's own computer
                case "read_file" | "from_json" | "read_npz" | "read_csv" | "read_safetensors":
                    pytest.fail(f"{source.path}:{node.lineno} reads a file itself: read_upload does")
