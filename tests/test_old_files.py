"""What was saved, shared or exported before still opens, and means the same numbers.

tests/data/before/ holds what the versions 3038f4c and db2dcac wrote, byte for byte the same, through scripts.old_files;
the numbers in it were computed then. It is never written anew: a later version adds a folder of its own.
"""

import csv
import json
import math
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pyarrow.parquet as pq
import pytest
import torch
from torch import Tensor

from harness.app_test import loss, open_app
from scripts import old_files
from tests.problems import assert_same_bits
from tests.tolerances import assert_agree
from xent_core import Problem, evaluate
from xent_core.codec import Document, from_token, read_file
from xent_core.dump import analyse
from xent_core.presets import PRESETS
from xent_ui.state.link import link_of_query, opening_of

BEFORE = Path(__file__).parent / "data" / "before"
PROBLEMS = {entry["name"]: entry for entry in json.loads((BEFORE / "problems.json").read_text("utf-8"))}
LINKS = json.loads((BEFORE / "links.json").read_text("utf-8"))
WITH_PAGES = [link for link in LINKS if link["note"]]
TABLES = sorted(path.name for path in BEFORE.iterdir() if path.suffix in (".json", ".npz", ".safetensors", ".csv"))
TABLES = [name for name in TABLES if name.rpartition(".")[0] in PROBLEMS]
PROGRAMS = sorted(path.name for path in BEFORE.glob("*-torch.py.txt"))
MOST_BYTES = 200_000


def unpacked(entry: list[Any]) -> Tensor:
    """The tensor of `scripts.old_files.packed`."""
    dtype, shape, bits = entry
    data = torch.tensor(list(bytes.fromhex(bits)), dtype=torch.uint8)
    return data.view(getattr(torch, dtype)).reshape(shape)


def problem_of(name: str) -> Problem:
    entry = PROBLEMS[name]
    options = {option: entry[option] for option in ("ignore_index", "reduction", "label_smoothing", "temperature")}
    weight = None if entry["weight"] is None else unpacked(entry["weight"])
    return Problem(unpacked(entry["logits"]), unpacked(entry["target"]), weight=weight, **options)


def assert_has_the_numbers_of_then(problem: Problem, name: str) -> None:
    evaluation = evaluate(problem)
    assert_agree(evaluation.loss, unpacked(PROBLEMS[name]["loss"]))
    assert_agree(evaluation.grad_logits, unpacked(PROBLEMS[name]["gradient"]))


def test_the_old_files_are_all_there_and_few() -> None:
    kinds = {name.partition(".")[2] for name in map(str, (path.name for path in BEFORE.iterdir()))}

    assert kinds == {"json", "csv", "npz", "safetensors", "py.txt", "ipynb", "parquet", "html"}
    assert (len(PROBLEMS), len(LINKS), len(TABLES), len(PROGRAMS)) == (19, 16 + len(PRESETS) + 10, 27, 7)
    assert sum(path.stat().st_size for path in BEFORE.iterdir()) < MOST_BYTES


@pytest.mark.parametrize("name", PROBLEMS)
def test_an_old_token_opens(name: str) -> None:
    problem = from_token(PROBLEMS[name]["token"])

    assert problem == problem_of(name)
    assert_same_bits(problem.logits, unpacked(PROBLEMS[name]["logits"]))
    assert_has_the_numbers_of_then(problem, name)


@pytest.mark.parametrize("file", TABLES)
def test_an_old_file_opens(file: str) -> None:
    name, _dot, kind = file.rpartition(".")
    document = read_file(file, (BEFORE / file).read_bytes())
    expected = problem_of(name)
    names = () if expected.logits.dim() > 2 else old_files.CLASS_NAMES
    rows = () if expected.logits.dim() > 2 else old_files.ROW_NAMES

    if kind != "csv":
        assert document == Document(expected, names, rows)
        assert_has_the_numbers_of_then(document.problem, name)
    else:  # which holds no options, and no dtype
        assert (document.class_names, document.row_names) == (names, rows)
        assert_same_bits(document.problem.logits.double(), expected.logits.double())
        assert_agree(evaluate(document.problem).row_loss, evaluate(bare(expected)).row_loss)


def bare(problem: Problem) -> Problem:
    """Without options; what was ignored is ignored still."""
    target = problem.target
    if not problem.has_probabilities:
        target = torch.where(problem.kept(), target, -100)
    return Problem(problem.logits, target)


@pytest.mark.parametrize("link", LINKS, ids=lambda link: f"{link['page'] or link['preset']}-{link['query'][2:12]}")
def test_an_old_link_opens(link: dict[str, Any]) -> None:
    read = link_of_query(link["query"])
    opened = opening_of(read)

    for name, value in vars(read).items():
        if isinstance(value, frozenset):
            assert sorted(value) == link[name]
        else:
            assert json.loads(json.dumps(value)) == link[name]
    assert opened.problems == ()
    if link["token"]:
        assert opened.sheet.to_problem() == from_token(link["token"])
        assert opened.sheet.class_names == tuple(link["class_names"]) or not link["class_names"]
    else:
        assert opened.sheet.to_problem() == PRESETS[link["preset"]].problem


@pytest.mark.parametrize("link", WITH_PAGES, ids=lambda link: link["page"] or "batch")
def test_an_old_link_opens_its_page_and_the_values_in_it(link: dict[str, Any]) -> None:
    at = open_app(**{name: values[-1] for name, values in parse_qs(link["query"]).items()})
    visit = at.session_state["visit"]

    assert visit.page == (link["page"] or "batch")
    assert visit.complaints == []
    assert visit.sheet.to_problem() == problem_of("every-option")
    for key, value in link["widgets"]:
        assert at.session_state[key] == value
    if link["page"] == "":
        decimals = dict(link["widgets"])["decimals"]
        assert loss(at) == f"{float(unpacked(PROBLEMS['every-option']['loss'])):.{decimals}f}"


@pytest.mark.long
def test_every_old_program_still_agrees_with_itself() -> None:
    """Each asserts the loss and the gradient that were on screen; one process for all, as PyTorch takes seconds."""
    notebook = json.loads((BEFORE / "every-option.ipynb").read_text("utf-8"))
    programs = [(BEFORE / name).read_text("utf-8") for name in PROGRAMS]
    programs.append("\n".join("".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"))
    assert all("assert_close" in program for program in programs)
    alone = "import json, sys\nfor text in json.load(sys.stdin): exec(compile(text, 'old', 'exec'), {})"

    ran = subprocess.run([sys.executable, "-I", "-c", alone], input=json.dumps(programs), text=True, check=False)

    assert ran.returncode == 0


def test_an_old_dump_has_the_summary_and_the_scores_of_then(tmp_path: Path) -> None:
    summary = json.loads((BEFORE / "dump-summary.json").read_text("utf-8"))
    scores = tmp_path / "scores.csv"
    # then, rows were ranked by their margin
    options = {"device": "cpu", "label_smoothing": 0.1, "rank_by": "margin"}
    again = json.loads(analyse(str(BEFORE / "dump.npz"), scores=scores, **options).as_json())
    summary.pop("seconds")

    assert summary.keys() <= again.keys()
    for key, value in summary.items():
        if isinstance(value, float) or key.endswith(("quantiles", "carried_by")):
            assert again[key] == pytest.approx(value, rel=1e-6, abs=1e-6), key
        else:
            assert again[key] == value, key
    then, now = (list(csv.DictReader(path.open(encoding="utf-8"))) for path in (BEFORE / "dump-scores.csv", scores))
    assert then[0].keys() <= now[0].keys()
    for old, new in zip(then, now, strict=True):
        assert [float(new[key]) for key in old] == pytest.approx([float(old[key]) for key in old], rel=1e-6, abs=1e-6)
    packed = pq.read_table(BEFORE / "dump-scores.parquet").to_pydict()
    assert [float(row["loss"]) for row in then] == pytest.approx(packed["loss"])


def test_the_report_of_an_old_dump_needs_no_other_machine_and_shows_its_loss() -> None:
    report = (BEFORE / "dump-report.html").read_text("utf-8")
    summary = json.loads((BEFORE / "dump-summary.json").read_text("utf-8"))

    assert "src=" not in report
    assert f"{summary['loss']:.4g}" in report


def test_a_changed_number_in_an_old_file_is_noticed() -> None:
    changed = problem_of("weight")
    logits = changed.logits.clone()
    logits[0, 0] = torch.nextafter(logits[0, 0], torch.tensor(math.inf))

    assert changed != Problem(logits, changed.target, weight=changed.weight)
    with pytest.raises(AssertionError):
        assert_has_the_numbers_of_then(Problem(changed.logits + 0.01, changed.target), "weight")
