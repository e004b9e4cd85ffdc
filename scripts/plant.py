"""Plant small faults, one at a time, and see which of them the tests notice: `python -m scripts.plant FOLDER`.

Each is planted in a copy of the program, in a temporary folder: this checkout is never touched. FOLDER keeps which test
reaches which function (reach.json, made first, minutes) and what became of each fault (planted.json, after each one).
A fault meets the tests that reach its function, those of its module first, then the quickest, while time is left; with
--again, what they did not notice meets the whole files of such tests, and those that name its module.
What no test of this process reaches, a server's own process say, is "unreached"; tests in Chromium are left out.
"""

import argparse
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from scripts.small_faults import PACKAGES, Fault, faults, pick, planted

ROOT = Path(__file__).parents[1]
FIRST_S, ALL_S = 8.0, 60.0  # how long what a fault meets at first, and again, may take without it
SLOWEST_FILE_S = 60.0
ABOUT_THE_TEXT = {f"test_{name}.py" for name in ("architecture", "documents", "language", "one_place", "rooms")}
Reach = dict[str, dict[str, dict[str, Any]]]  # by file of tests and test: its seconds, and the functions it reaches


class Recorder:
    """A plugin of pytest that writes down which functions of the program each test calls, and whether it passes."""

    def __init__(self, tree: Path, path: Path) -> None:
        self.tree, self.path = f"{tree}/", path
        self.tests: dict[str, dict[str, Any]] = {}
        self.seen = set[tuple[str, str]]()

    def __call__(self, frame: FrameType, _event: str, _arg: object) -> None:
        """What Python's tracing calls at each call of a function."""
        code = frame.f_code
        if code.co_filename.startswith(self.tree):
            self.seen.add((code.co_filename, code.co_qualname))

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self.seen = set()
        threading.settrace(self)
        sys.settrace(self)
        try:
            return (yield)
        finally:
            sys.settrace(None)
            threading.settrace(None)
            test = self.tests.setdefault(item.nodeid.partition("[")[0], {"seconds": 0.0, "reaches": []})
            found = {f"{path.removeprefix(self.tree)}:{name}".replace(".<locals>", "") for path, name in set(self.seen)}
            test["reaches"] = sorted({*test["reaches"], *(name for name in found if name.startswith(PACKAGES))})

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        test = self.tests.setdefault(report.nodeid.partition("[")[0], {"seconds": 0.0, "reaches": []})
        test["seconds"] += report.duration
        test["failed"] = report.failed or test.get("failed", False)
        if report.when == "setup":  # what came before is kept, should this test or its file take too long
            self.path.write_text(json.dumps(self.tests))

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(self.tests))


def run(tree: Path, arguments: list[str], limit_s: float, log: Path, plugins: list[object]) -> tuple[int, float]:
    """How pytest ended in a process of its own, with what is imported here, and after how many seconds; 124: too long.

    Raises: OSError if no process could be made.
    """
    began = time.monotonic()
    process = os.fork()
    if process == 0:
        os.setsid()
        Path("/proc/self/oom_score_adj").write_text("1000")  # a fault that eats all memory ends itself, not a neighbour
        os.chdir(tree)
        sys.path[:] = [str(tree), *(path for path in sys.path if path not in ("", str(ROOT)))]
        for name in [name for name in sys.modules if name.split(".")[0] == "scripts"]:
            del sys.modules[name]
        with log.open("w") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        code: int = 3
        try:
            code = int(pytest.main(["-n", "0", "-q", "-p", "no:cacheprovider", *arguments], plugins=plugins))
        finally:
            os._exit(code)
    try:
        while (done := os.waitpid(process, os.WNOHANG)) == (0, 0):
            if time.monotonic() - began > limit_s:
                return 124, time.monotonic() - began
            time.sleep(0.02)  # between two looks
        return os.waitstatus_to_exitcode(done[1]), time.monotonic() - began
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        with suppress(ChildProcessError):
            os.waitpid(process, 0)


def reach(tree: Path, path: Path) -> Reach:
    """Which functions each test reaches, kept in `path`."""
    known: Reach = json.loads(path.read_text()) if path.exists() else {}
    for file in sorted(file.name for file in (tree / "tests").glob("test_*.py")):
        if file not in known and file not in ABOUT_THE_TEXT:
            part = path.with_name("part.json")
            part.unlink(missing_ok=True)
            arguments, log = [f"tests/{file}", "-m", "not long"], path.with_name("log.txt")
            ended, seconds = run(tree, arguments, SLOWEST_FILE_S, log, [Recorder(tree, part)])
            known[file] = json.loads(part.read_text()) if part.exists() else {}
            print(f"{file}: {len(known[file])} tests, {seconds:.1f} s, ended {ended}", flush=True)
            path.write_text(json.dumps(known))
    return known


def rounds(texts: dict[str, str], fault: Fault, known: Reach) -> tuple[list[str], list[str]]:
    """The tests that a fault meets first, and the files of tests that it meets then."""
    own = f"test_{Path(fault.path).stem}.py"
    module = fault.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
    names = (module, f"from {module.rpartition('.')[0]} import {module.rpartition('.')[2]}\n")
    hits = _hits(fault, known)
    naming = {file for file in known if any(name in texts[file] for name in names)}
    first = sorted((file != own, known[file][test]["seconds"], test) for file, test in hits)
    seconds = {file: sum(test["seconds"] for test in known[file].values()) for file in known}
    files = {file for file, _ in hits} | naming | ({own} & set(known))
    then = sorted((False, seconds[file], f"tests/{file}") for file in files)
    return _within(first, FIRST_S), _within(then, ALL_S)


def _hits(fault: Fault, known: Reach) -> list[tuple[str, str]]:
    """Files and tests that reach the function of a fault, else anything in its module."""
    for place in (f"{fault.path}:{fault.function}", f"{fault.path}:"):
        found = [
            (file, name)
            for file, tests in known.items()
            for name, test in tests.items()
            if not test.get("failed", True)
            and any((one + ".").startswith(place + "." * (place[-1] != ":")) for one in test["reaches"])
        ]
        if found:
            return found
    return []


def _within(found: list[tuple[bool, float, str]], limit_s: float) -> list[str]:
    """The names whose seconds together stay within the limit, the first of them in any case."""
    names, total = list[str](), 0.0
    for _, seconds, name in found:
        if not names or total + seconds <= limit_s:
            names.append(name)
            total += seconds
    return names


def try_fault(tree: Path, fault: Fault, known: Reach, log: Path, again: bool) -> tuple[str, str]:
    """What became of a planted fault: noticed, unnoticed or unreached; and by which test."""
    texts = {file: (tree / "tests" / file).read_text("utf-8") for file in known}
    first, files = rounds(texts, fault, known)
    names, limit_s = (files, ALL_S) if again else (first, FIRST_S)
    if not names:
        return "unreached", ""
    failing = [f"--deselect={name}" for tests in known.values() for name, test in tests.items() if test.get("failed")]
    file = tree / fault.path
    try:
        file.write_text(planted((ROOT / fault.path).read_text("utf-8"), fault), "utf-8")
        ended, _ = run(tree, ["-x", *names, *failing], 30 + 3 * limit_s, log, [])
    finally:
        shutil.copy2(ROOT / fault.path, file)
    if ended in (0, 5):  # passed; none ran
        return "unnoticed", ""
    lines = log.read_text("utf-8", "replace").splitlines()
    return "noticed", next((line[:160] for line in lines if line.startswith(("FAILED", "ERROR "))), f"ended {ended}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, nargs=len(PACKAGES), default=(170, 90, 40), metavar=PACKAGES)
    parser.add_argument("--again", action="store_true", help="what was not noticed meets all that could see it")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    options.folder.mkdir(exist_ok=True)
    results = options.folder / "planted.json"
    became = {Fault(**one.pop("fault")): one for one in json.loads(results.read_text())} if results.exists() else {}
    for name in ("torch", "numpy", "pandas", "plotly.graph_objects", "streamlit.testing.v1", "hypothesis"):
        __import__(name)  # once, not for each fault
    with tempfile.TemporaryDirectory(prefix="planted-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        shutil.copytree(ROOT, tree, ignore=shutil.ignore_patterns(".git", ".*_cache", "__pycache__"))
        known = reach(tree, options.folder / "reach.json")
        if options.again:
            sample = [fault for fault, one in became.items() if one["verdict"] in ("unnoticed", "unreached")]
        else:
            sample = [
                fault
                for package, count in zip(PACKAGES, options.count, strict=True)
                for fault in pick(faults(ROOT, package), count, random.Random(f"{options.seed} {package}"))
                if fault not in became
            ]
        random.Random(options.seed).shuffle(sample)
        for fault in sample:
            verdict, by = try_fault(tree, fault, known, options.folder / "log.txt", options.again)
            became[fault] = {"verdict": verdict, "by": by}
            listed = [{"fault": vars(one), **what} for one, what in became.items()]
            results.write_text(json.dumps(listed, indent=1, ensure_ascii=False))
            print(f"| {verdict} | {fault} | {by} |", flush=True)


if __name__ == "__main__":
    main()
