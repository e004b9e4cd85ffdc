"""What every test shares: PyTorch loaded early, Hypothesis's profiles, and how many processes run the tests."""

import os
import sys
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest
import torch  # noqa: F401  # the first import takes seconds: here, not within the first test's time limit

hypothesis.settings.register_profile("local", deadline=None)
hypothesis.settings.register_profile("ci", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") == "true" else "local")

MAX_PROCESSES = 4  # each may start a server and a Chromium of its own: about 1 GB


@pytest.fixture(autouse=True)
def _plain_main_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is started runs the main program's file again, and after a test of a page that is app.py."""
    monkeypatch.setitem(sys.modules, "__main__", ModuleType("__main__"))


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """All tests: as many processes as cores, up to MAX_PROCESSES.  Named files: this process, without the wait."""
    everything = all(Path(argument).is_dir() for argument in config.args)
    return min(os.cpu_count() or 1, MAX_PROCESSES) if everything else 0
