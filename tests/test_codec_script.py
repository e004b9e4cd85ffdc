import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
import torch

from tests.exported_problems import OPTIONS, all_pairs, choices, pairs, problem_of
from xent_core import Problem, evaluate
from xent_core.codec import UnsupportedInJax, to_notebook, to_script
from xent_core.presets import PRESETS

CHOICES = list(choices())
ODD = [
    Problem([[float("nan"), 1.0], [0.0, 1.0]], [0, 1]),
    Problem([[float("inf"), 1.0]], [0], reduction="none"),
    Problem([[1e308, -1e308], [-0.0, 3e-320]], torch.tensor([1, 0])).to(torch.float64),
    Problem(torch.zeros(0, 3), torch.zeros(0, dtype=torch.int64)),
    Problem([[1.0, 2.0]], [-100]),
    Problem([1.0, 2.0], torch.tensor(1, dtype=torch.uint8)),
    Problem([[1.0, 2.0]], [[0.5, 0.5]], weight=torch.tensor([True, False])),
    Problem([[1.0, 2.0]], [[0.5, 0.5]], weight=torch.tensor([2, 3], dtype=torch.int32), ignore_index=-1),
    Problem(torch.randn(3, 40, generator=torch.Generator().manual_seed(0)), [1, 2, 3]),
]
PROBLEMS = [*map(problem_of, CHOICES), *(preset.problem for preset in PRESETS.values()), *ODD]

# runs each program in a namespace of its own; importing PyTorch once saves minutes
RUNNER = """
import contextlib, io, json, sys
results = []
for source in json.load(sys.stdin):
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(source, "<program>", "exec"), {"__name__": "__main__"})
        error = None
    except BaseException as caught:
        error = f"{type(caught).__name__}: {caught}"
    if "jax" in sys.modules:
        sys.modules["jax"].config.update("jax_enable_x64", False)
    results.append([printed.getvalue(), error])
json.dump([results, list(sys.modules)], sys.stdout)
"""


def run_alone(programs: list[str], tmp_path: Path) -> list[tuple[str, str | None]]:
    """What each program printed and how it failed, in an interpreter that does not see this project."""
    ran = subprocess.run(
        [sys.executable, "-I", "-c", RUNNER],
        input=json.dumps(programs),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert ran.returncode == 0, ran.stderr
    results, modules = json.loads(ran.stdout)
    assert "xent_core" not in modules
    return [(printed, error) for printed, error in results]


def notebook_code(text: str) -> list[str]:
    return [cell["source"] for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]


def test_the_table_has_every_pair_of_options() -> None:
    assert len(CHOICES) >= 40
    assert set().union(*map(pairs, CHOICES)) == all_pairs()
    assert all(len({choice[name] for choice in CHOICES}) == len(OPTIONS[name]) for name in OPTIONS)


def test_every_script_and_notebook_passes_its_own_assertions(tmp_path: Path) -> None:
    programs = [to_script(problem) for problem in PROBLEMS]
    programs += ["\n".join(notebook_code(to_notebook(problem))) for problem in PROBLEMS]

    results = run_alone(programs, tmp_path)

    failed = [(program, error) for program, (_, error) in zip(programs, results, strict=True) if error]
    assert not failed, "\n".join(failed[0])


def test_a_script_prints_the_loss_and_the_gradient(tmp_path: Path) -> None:
    [(printed, error)] = run_alone([to_script(PRESETS["worked-batch"].problem)], tmp_path)

    assert error is None
    assert printed.startswith("loss: 1.4076")
    assert "[-0.3033,  0.0816,  0.2217]" in printed


@pytest.mark.long
@pytest.mark.parametrize("name", ["expected_loss", "expected_gradient"])
def test_a_wrong_number_makes_every_script_fail(name: str, tmp_path: Path) -> None:
    problems = [problem_of(choice) for choice in CHOICES]
    problems = [problem for problem in problems if evaluate(problem).loss.isfinite().all()]
    wrong = [
        re.sub(rf"({name} = torch\.tensor\([\[\s]*)(-?[\d.e-]+)", r"\g<1>\g<2> + 0.5", to_script(problem), count=1)
        for problem in problems
    ]

    results = run_alone(wrong, tmp_path)

    assert len(wrong) >= 40
    assert all("+ 0.5" in program for program in wrong)
    assert all(error is not None and error.startswith("AssertionError") for _, error in results)


def test_ruff_leaves_every_script_as_it_is(tmp_path: Path) -> None:
    for index, problem in enumerate(PROBLEMS):
        (tmp_path / f"torch_{index}.py").write_text(to_script(problem), "utf-8")
        for script in in_jax(problem):
            (tmp_path / f"jax_{index}.py").write_text(script, "utf-8")

    command = [sys.executable, "-m", "ruff", "format", "--isolated", "--no-cache", "--diff", str(tmp_path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=100)

    assert ran.returncode == 0, ran.stdout + ran.stderr


def in_jax(problem: Problem) -> list[str]:
    try:
        return [to_script(problem, framework="jax")]
    except UnsupportedInJax:
        return []


@pytest.mark.long
def test_every_script_in_jax_gives_the_numbers_of_pytorch(tmp_path: Path) -> None:
    programs = [script for problem in PROBLEMS[: len(CHOICES) + len(PRESETS)] for script in in_jax(problem)]

    results = run_alone(programs, tmp_path)

    failed = [(program, error) for program, (_, error) in zip(programs, results, strict=True) if error]
    assert len(programs) >= 40
    assert not failed, "\n".join(failed[0])


def test_a_wrong_number_makes_a_script_in_jax_fail(tmp_path: Path) -> None:
    script = to_script(PRESETS["worked-batch"].problem, framework="jax")

    [(_, error)] = run_alone([script.replace("-0.30332315", "-0.3034")], tmp_path)

    assert error is not None
    assert error.startswith("AssertionError")


@pytest.mark.parametrize("problem", [ODD[0], ODD[1], ODD[3], ODD[4], ODD[6]])
def test_what_jax_computes_otherwise_is_refused(problem: Problem) -> None:
    with pytest.raises(UnsupportedInJax) as caught:
        to_script(problem, framework="jax")

    assert "PyTorch" in caught.value.fix


def test_another_framework_is_refused() -> None:
    with pytest.raises(ValueError, match="expected 'torch' or 'jax'"):
        to_script(PROBLEMS[0], framework="tensorflow")


def test_a_plain_call_has_no_argument_at_its_default() -> None:
    script = to_script(PRESETS["worked-batch"].problem)

    assert "loss = F.cross_entropy(logits, target)\n" in script
    assert "dtype" not in script


def test_each_option_in_use_is_an_argument() -> None:
    problem = Problem(
        [[1, 2, 3]],
        [0],
        weight=[1, 2, 3],
        ignore_index=-1,
        reduction="sum",
        label_smoothing=0.1,
        temperature=2.0,
    )

    call = " ".join(to_script(problem).split("loss = ")[1].split("print")[0].split())

    assert call == (
        'F.cross_entropy( logits / 2.0, target, weight=weight, ignore_index=-1, reduction="sum", label_smoothing=0.1, )'
    )


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_notebook_is_valid(problem: Problem) -> None:
    notebook: Any = nbformat.reads(to_notebook(problem), as_version=nbformat.NO_CONVERT)

    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)


@pytest.mark.parametrize("choice", CHOICES)
def test_a_notebook_tells_the_denominator(choice: dict[str, Any]) -> None:
    problem = problem_of(choice)
    words = "\n".join(cell["source"] for cell in json.loads(to_notebook(problem))["cells"])

    [stated] = re.findall(r"\$D = ([^$]+)\$", words)

    assert float(stated) == pytest.approx(evaluate(problem).denominator.item(), rel=1e-2, nan_ok=True)
