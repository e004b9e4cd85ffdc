"""Temporary files of a server that was killed are removed by the next one, and nobody else's are."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from harness.browser import ROOT
from xent_host.temporary_folder import LOCK, PREFIX, sweep

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="a server there has no such folder")

SERVER = """
import sys, tempfile, types
sys.modules["xent_ui.server.log"] = types.SimpleNamespace(event=print)  # whose imports take seconds
from xent_host import temporary_folder
temporary_folder.apply()
with tempfile.NamedTemporaryFile(suffix=".parquet", delete=False) as file:
    file.write(b"an upload")
print(tempfile.gettempdir(), flush=True)
sys.stdin.read()
temporary_folder.remove()
"""


def start(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SERVER],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def folder_of(server: subprocess.Popen[str]) -> Path:
    assert server.stdout is not None
    return Path(server.stdout.readline().strip())


def old(path: Path) -> Path:
    os.utime(path, (0, 0))
    return path


def test_what_a_killed_server_left_is_removed_what_a_living_one_has_stays(tmp_path: Path) -> None:
    killed, living = start(tmp_path), start(tmp_path)
    try:
        left, held = folder_of(killed), folder_of(living)
        killed.kill()
        killed.wait()
        assert [path.suffix for path in left.iterdir() if path.name != LOCK] == [".parquet"]
        for folder in (left, held):
            old(folder / LOCK)

        assert sweep(tmp_path) == 1
        assert not left.exists()
        assert len(list(held.iterdir())) == 2
        living.communicate("", timeout=60)  # ends as it should
        assert list(tmp_path.iterdir()) == []
    finally:
        for server in (killed, living):
            server.kill()
            server.communicate()


def test_what_is_not_ours_stays(tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "precious").write_text("1")
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    (temporary / f"{PREFIX}link").symlink_to(elsewhere)
    (temporary / f"{PREFIX}file").write_text("1")
    (temporary / "xent-scores-of-somebody").mkdir()
    linked = temporary / f"{PREFIX}lock-is-a-link"
    linked.mkdir()
    (linked / LOCK).symlink_to(elsewhere / "precious")

    assert sweep(temporary, young_seconds=-1) == 0
    assert len(list(temporary.iterdir())) == 4
    assert (elsewhere / "precious").read_text() == "1"


def test_what_belongs_to_another_user_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / f"{PREFIX}a").mkdir()
    monkeypatch.setattr("os.getuid", lambda: 12345)

    assert sweep(tmp_path, young_seconds=-1) == 0


def test_a_folder_whose_server_is_just_starting_stays(tmp_path: Path) -> None:
    folder = tmp_path / f"{PREFIX}a"
    folder.mkdir()

    assert sweep(tmp_path) == 0  # which makes the lock that was missing
    old(folder / LOCK)
    assert sweep(tmp_path) == 1
