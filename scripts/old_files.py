"""Write down what the code of today makes, so that later code can be held to it: `python -m scripts.old_files FOLDER`.

Tokens, links, every file of the page Export, and a dump with what `analyse` makes of it, each with the numbers that
were right when it was written. `tests/test_old_files.py` opens them; docs/format.md says what they hold.
"""

import argparse
import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from xent_core import Problem, evaluate
from xent_core.codec import to_csv, to_json, to_notebook, to_npz, to_safetensors, to_script, to_token
from xent_core.dump import analyse
from xent_core.dump.report import report_html
from xent_core.presets import PRESETS
from xent_ui.state.link import WIDGETS, Link, link_to
from xent_ui.state.sheet import CLASS_INDEX, sheet_of

INF, NAN = math.inf, math.nan
CLASS_NAMES = ("Katze 🐈", "狗", "=1+1")
ROW_NAMES = ("первый", "<b>b</b> & c", 'row; 3, "x"')
LOGITS = [[1.5, -2.25, 0.1], [0.3, 4.0, -1.0], [2.0, 2.0, 2.0]]
SOFT = [[0.7, 0.2, 0.1], [0.0, 1.0, 0.0], [0.25, 0.25, 0.5]]
WEIGHT = [1.0, 0.5, 2.0]
NUMBERS = np.random.default_rng(14)
PROBLEMS = {
    "weight": Problem(LOGITS, [0, 1, 2], weight=WEIGHT),
    "soft": Problem(LOGITS, SOFT),
    "soft-weight-smoothing": Problem(LOGITS, SOFT, weight=WEIGHT, label_smoothing=0.1),
    "smoothing": Problem(LOGITS, [2, 1, 0], label_smoothing=0.25),
    "ignored": Problem(LOGITS, [0, -100, 2]),
    "ignored-class": Problem(LOGITS, [0, 1, 2], ignore_index=1, weight=WEIGHT),
    "all-ignored": Problem(LOGITS, [-100, -100, -100]),
    "masked": Problem([[1.0, -INF, 0.5], [-INF, 2.0, -INF], [0.0, -0.0, 1e-40]], [0, 1, 2]),
    "not-finite": Problem([[NAN, 1.0, 2.0], [INF, 1.0, 2.0], [1e30, -1e30, 0.0]], [0, 1, 0]),
    "every-option": Problem(
        LOGITS, [0, 1, 2], weight=WEIGHT, ignore_index=2, reduction="sum", label_smoothing=0.1, temperature=2.5
    ),
    "none": Problem(LOGITS, [0, 1, 2], reduction="none", temperature=0.5),
    "float64": Problem(torch.tensor(LOGITS, dtype=torch.float64) / 3, [0, 1, 2], label_smoothing=1.0),
    "float16": Problem(torch.tensor(LOGITS, dtype=torch.float16), [0, 1, 2]),
    "bfloat16": Problem(torch.tensor(LOGITS, dtype=torch.bfloat16), [0, 1, 2]),
    "uint8": Problem(LOGITS, torch.tensor([2, 0, 1], dtype=torch.uint8)),
    "one-row": Problem([1.0, 2.0, 3.0], torch.tensor(1)),
    "pixels": Problem(NUMBERS.normal(size=(2, 3, 2)).astype(np.float32), [[0, 1], [2, -100]], weight=WEIGHT),
    "no-rows": Problem(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)),
    "all-digits": Problem(NUMBERS.normal(size=(8, 12)).astype(np.float32), NUMBERS.integers(0, 12, 8)),
}
IN_FILES = ("weight", "soft-weight-smoothing", "ignored-class", "masked", "every-option", "bfloat16", "pixels")
PAGES = ("", "one-example", "compare-settings", "gradient-descent", "step-by-step", "implementations", "precision")
PAGES += ("doctor", "your-logits", "export")


def main(arguments: list[str] | None = None) -> None:
    """Write everything into the folder."""
    parser = argparse.ArgumentParser(prog="python -m scripts.old_files", description=__doc__)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args(arguments).folder
    folder.mkdir(parents=True, exist_ok=True)
    _write_json(folder / "problems.json", [_entry(name, problem) for name, problem in PROBLEMS.items()])
    _write_json(folder / "links.json", [_link(link) for link in _links()])
    for name in IN_FILES:
        for path, content in _files(name, PROBLEMS[name]).items():
            (folder / path).write_bytes(content if isinstance(content, bytes) else content.encode())
    _write_dump(folder)


def packed(tensor: Tensor) -> list[Any]:
    """The tensor as JSON: dtype, shape and bits."""
    data = tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
    return [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), data.hex()]


def _entry(name: str, problem: Problem) -> dict[str, Any]:
    evaluation = evaluate(problem)
    return {
        "name": name,
        "token": to_token(problem),
        "logits": packed(problem.logits),
        "target": packed(problem.target),
        "weight": None if problem.weight is None else packed(problem.weight),
        "ignore_index": problem.ignore_index,
        "reduction": problem.reduction,
        "label_smoothing": problem.label_smoothing,
        "temperature": problem.temperature,
        "loss": packed(evaluation.loss),
        "gradient": packed(evaluation.grad_logits),
    }


def _links() -> list[Link]:
    """What the Share button gives on every page, with every parameter set on some."""
    sheet = sheet_of(PROBLEMS["every-option"], CLASS_NAMES, ROW_NAMES)
    links = [
        link_to(sheet_of(problem)) for problem in PROBLEMS.values() if problem.logits.dim() == 2 and problem.num_rows
    ]
    links += [Link(preset=name) for name in PRESETS]
    table = link_to(sheet)
    for page in PAGES:
        widgets = {key: widget.values[-1] for key, widget in WIDGETS.items() if widget.page in ("", page)}
        widgets = {
            key: min(value, 2) if key in ("traced_row", "worked_row") else value for key, value in widgets.items()
        }
        links.append(
            Link(
                token=table.token,
                class_names=table.class_names,
                row_names=table.row_names,
                form=CLASS_INDEX,
                page=page,
                locked=frozenset(("logits", "tools")),
                hidden=frozenset(("menu", "share")),
                note="Наблюдайте: p − y & “S·p − v”?",
                widgets=tuple(widgets.items()),
            )
        )
    return links


def _last_value(key: str) -> int | str:
    """Of the values of a widget; of a chooser of rows, that of the last row of the table."""
    return len(LOGITS) - 1 if key in ("traced_row", "worked_row") else WIDGETS[key].values[-1]


def _link(link: Link) -> dict[str, Any]:
    fields = {name: sorted(value) if isinstance(value, frozenset) else value for name, value in vars(link).items()}
    return {"query": link.query(), **fields}


def _files(name: str, problem: Problem) -> dict[str, str | bytes]:
    """What the page Export writes, by the names of the files."""
    names: dict[str, Any] = {} if problem.logits.dim() > 2 else {"class_names": CLASS_NAMES, "row_names": ROW_NAMES}
    files: dict[str, str | bytes] = {
        f"{name}.json": to_json(problem, **names),
        f"{name}.npz": to_npz(problem, **names),
        f"{name}.safetensors": to_safetensors(problem, **names),
        f"{name}-torch.py.txt": to_script(problem),
    }
    if problem.logits.dim() == 2:
        files[f"{name}.csv"] = to_csv(problem, **names)
    if name == "every-option":
        files[f"{name}.ipynb"] = to_notebook(problem)
        files[f"{name}-jax.py.txt"] = to_script(problem, framework="jax")
    return files


def _write_dump(folder: Path) -> None:
    """A small dump, its summary, its table of scores as CSV and Parquet, and its report."""
    logits = NUMBERS.normal(scale=2, size=(30, 4)).astype(np.float32)
    target = np.where(NUMBERS.random(30) < 0.7, logits.argmax(1), NUMBERS.integers(0, 4, 30))
    target[3] = -100
    data = io.BytesIO()
    np.savez_compressed(data, logits=logits, target=target)
    dump = folder / "dump.npz"
    dump.write_bytes(data.getvalue())
    for kind in ("csv", "parquet"):
        summary = analyse(str(dump), scores=folder / f"dump-scores.{kind}", device="cpu", label_smoothing=0.1)
    (folder / "dump-summary.json").write_text(summary.as_json() + "\n", "utf-8")
    (folder / "dump-report.html").write_text(report_html(summary, title=dump.name), "utf-8")


def _write_json(path: Path, entries: list[dict[str, Any]]) -> None:
    lines = ",\n".join(json.dumps(entry, ensure_ascii=False) for entry in entries)
    path.write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    main()
