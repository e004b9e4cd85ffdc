"""Somebody's loss in a process of its own: what it prints, how long it takes and how it ends is no harm to ours.

Run as a program, this file is that process: it tries one property after the other, and writes what it finds as lines
of JSON. `conform` starts it, gives it a time limit for each property, and starts it again after a crash.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import queue
import subprocess
import sys
import threading
from collections.abc import Sequence
from functools import reduce
from pathlib import Path
from typing import IO, Any

from xent_core.check_loss.measure import WRONG, raised
from xent_core.check_loss.property_list import PROPERTIES
from xent_core.check_loss.referee import check_loss
from xent_core.check_loss.verdicts import Report, Verdict
from xent_core.language import _

SECONDS = 120.0


class NotLoaded(ValueError):
    """No loss is under that name; says what came and what was expected."""


def conform(name: str, properties: Sequence[str] | None = None, *, seconds: float = SECONDS) -> Report:
    """Try the loss of this name in a process of its own; a crash or a time-out is wrong, with the reason.

    Args:
      name: MODULE:FUNCTION, or FILE.py:FUNCTION.
      properties: the names of those that are tried; all without it.
      seconds: the limit for each property.

    Raises: NotLoaded.
    """
    wanted = [one.name for one in PROPERTIES if properties is None or one.name in properties]
    found: list[Verdict] = []
    while wanted:
        for verdict in _one_process(name, wanted, seconds):
            found.append(verdict)
            wanted.remove(verdict.property)
    return Report((), (), tuple(found))


def _one_process(name: str, wanted: Sequence[str], seconds: float) -> list[Verdict]:
    """The verdicts until the process ends, the last for the property that ended it."""
    command = [sys.executable, "-m", "xent_core.check_loss.child", name, *wanted]
    found: list[Verdict] = []
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, env=_environment()
    ) as ran:
        assert ran.stdout is not None
        lines: queue.Queue[str] = queue.Queue()
        threading.Thread(target=_read, args=(ran.stdout, lines), daemon=True).start()
        try:
            for current in wanted:
                line = lines.get(timeout=seconds + (seconds if not found else 0))  # importing takes its time too
                if not line:
                    code = ran.wait()
                    ended = _("the process ended with {code}").format(code=code)
                    return [*found, Verdict(current, WRONG, ended, 1, 1)]
                values = json.loads(line)
                if "error" in values:
                    raise NotLoaded(values["error"])
                found.append(Verdict.from_json(current, values))
        except queue.Empty:
            ended = _("it takes more than {seconds:g} s").format(seconds=seconds)
            return [*found, Verdict(wanted[len(found)], WRONG, ended, 1, 1)]
        finally:
            ran.kill()
    return found


def _environment() -> dict[str, str]:
    """With our own package and the current folder, in which modules are looked for."""
    ours = str(Path(__file__).resolve().parents[2])
    known = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join([os.getcwd(), ours, *([known] if known else [])])}


def _read(stream: IO[str], lines: queue.Queue[str]) -> None:
    for line in stream:
        lines.put(line)
    lines.put("")


def load(name: str) -> Any:
    """The object under MODULE:NAME or FILE.py:NAME. Raises: NotLoaded."""
    place, colon, attribute = name.rpartition(":")
    if not colon or not place or not attribute:
        raise NotLoaded(_("{name} names no loss, expected MODULE:FUNCTION or FILE.py:FUNCTION").format(name=name))
    try:
        if place.endswith(".py"):
            spec = importlib.util.spec_from_file_location(Path(place).stem, place)
            assert spec is not None
            assert spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            sys.path.insert(0, str(Path(place).resolve().parent))
            spec.loader.exec_module(module)
        else:
            module = importlib.import_module(place)
        return reduce(getattr, attribute.split("."), module)
    except Exception as error:  # somebody's own file, which may raise anything
        raise NotLoaded(_("{name} cannot be loaded: {reason}").format(name=name, reason=raised(error))) from error


def main(name: str, wanted: Sequence[str]) -> None:
    """The process: what the loss prints goes to stderr, and verdicts alone to stdout."""
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    try:
        fn = load(name)
    except NotLoaded as error:
        out.write(json.dumps({"error": str(error)}) + "\n")
        out.flush()
        return
    for one in wanted:
        (finding,) = check_loss(fn, properties=[one]).findings
        out.write(json.dumps(finding.as_json()) + "\n")
        out.flush()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
