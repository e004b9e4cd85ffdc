"""The everyday run leaves out the long tests and says so; all of them run when they are asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

from harness.browser import ROOT

LINE = "1 long tests were left out: `pytest --all` runs them too"
TESTS = """
import pytest

@pytest.mark.long
def test_long() -> None: ...

def test_short() -> None: ...
"""


@pytest.mark.parametrize(
    ("arguments", "passed", "says_so"),
    [
        pytest.param(["-n", "0", "."], 1, True, marks=pytest.mark.long),
        pytest.param(["-n", "2", "."], 1, True, marks=pytest.mark.long),
        pytest.param(["-n", "0", "--all", "."], 2, False, marks=pytest.mark.long),
        pytest.param(["test_some.py"], 2, False, marks=pytest.mark.long),
    ],
)
def test_what_is_long_is_left_out_unless_it_is_asked_for(
    tmp_path: Path, arguments: list[str], passed: int, says_so: bool
) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = long: long\n")
    (tmp_path / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (tmp_path / "test_some.py").write_text(TESTS)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    shown = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout

    assert f"{passed} passed" in shown
    assert (LINE in shown) == says_so
