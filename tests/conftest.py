"""What every test shares: PyTorch loaded early, Hypothesis's profiles, how many processes run the tests, and which."""

import os
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

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
    return min(os.cpu_count() or 1, MAX_PROCESSES) if are_folders(config) else 0


def are_folders(config: pytest.Config) -> bool:
    """Whether all tests are asked for, or those of a folder, and none by its file or name."""
    return all(Path(argument).is_dir() for argument in config.args)


LEFT_OUT = pytest.StashKey[int]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="run the tests marked `long` too, which CI does")


@pytest.hookimpl(trylast=True)  # after those that mark
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what takes long, unless it is asked for by its name."""
    if config.option.all or config.option.markexpr or not are_folders(config):
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    config.stash[LEFT_OUT] = len(left_out)
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_sessionfinish(session: pytest.Session) -> None:
    if hasattr(session.config, "workeroutput"):  # one of several processes
        session.config.workeroutput["left_out"] = session.config.stash.get(LEFT_OUT, 0)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if left_out := config.stash.get(LEFT_OUT, 0):
        terminalreporter.line(f"{left_out} long tests were left out: `pytest --all` runs them too, and so does CI.")
