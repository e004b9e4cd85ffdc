"""The same numbers from a real accelerator; skipped where PyTorch finds none."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from xent_core import Problem, diagnose, evaluate
from xent_core.__main__ import main
from xent_core.check_loss import check_loss
from xent_core.dump import DumpSummary, analyse
from xent_core.dump.analysis import default_device

DEVICE = default_device()
pytestmark = pytest.mark.skipif(DEVICE == "cpu", reason="PyTorch finds no accelerator with float64 here")

WEIGHT = [1.0, 2.0, 0.5, 1.5, 3.0, 1.0, 0.0]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"label_smoothing": 0.1, "temperature": 2.0},
    {"weight": WEIGHT, "ignore_index": 2, "reduction": "sum"},
    {"weight": WEIGHT, "label_smoothing": 0.2},
]
# half precision is computed in float32
TOLERANCES = {torch.float64: 1e-12, torch.float32: 2e-6, torch.float16: 2e-6, torch.bfloat16: 2e-6}
SUMS = ("mean_gradient", "net_push", "pair_share")


def draw(dtype: torch.dtype, rows: int = 3000) -> tuple[torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(5)
    logits = 3 * torch.randn(rows, len(WEIGHT), generator=chance, dtype=torch.float64)
    target = torch.randint(0, len(WEIGHT), (rows,), generator=chance)
    target[::17] = -100
    return logits.to(dtype), target


def assert_same(found: DumpSummary, expected: DumpSummary, tolerance: float) -> None:
    for name in ("support", "confusion"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    for name in SUMS:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=0, atol=10 * tolerance)
    assert (found.rows, found.kept) == (expected.rows, expected.kept)
    np.testing.assert_allclose(found.loss, expected.loss, rtol=tolerance)


@pytest.mark.parametrize("dtype", TOLERANCES, ids=str)
@pytest.mark.parametrize("options", OPTIONS)
def test_the_summary_is_that_of_the_cpu(options: dict[str, Any], dtype: torch.dtype) -> None:
    logits, target = draw(dtype)
    target[target == -100] = options.get("ignore_index", -100)
    chance = np.random.default_rng(4)
    parts: dict[str, Any] = {
        "sample_weight": chance.uniform(0.5, 2, len(target)),
        "features": chance.normal(size=(len(target), 3)),
    }

    found = analyse(logits, target, batch_rows=256, **options, **parts)

    expected = analyse(logits, target, batch_rows=256, device="cpu", **options, **parts)
    assert_same(found, expected, TOLERANCES[dtype])
    assert found.best is not None
    assert expected.best is not None
    assert found.best.temperature == pytest.approx(expected.best.temperature, rel=1e-4)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
def test_the_scores_of_every_row_are_those_of_the_cpu(dtype: torch.dtype, tmp_path: Path) -> None:
    logits, target = draw(dtype)
    logits[5, 2], logits[6], logits[7, 1], logits[8] = torch.inf, 1.0, torch.nan, 1e38
    logits[9, :5] = -torch.inf
    analyse(logits, target, batch_rows=256, scores=tmp_path / "there.csv")
    analyse(logits, target, batch_rows=256, scores=tmp_path / "cpu.csv", device="cpu")
    with (tmp_path / "there.csv").open() as there, (tmp_path / "cpu.csv").open() as cpu:
        assert there.readline() == cpu.readline()
        np.testing.assert_allclose(
            np.genfromtxt(there, delimiter=","),
            np.genfromtxt(cpu, delimiter=","),
            rtol=10 * TOLERANCES[dtype],
            atol=10 * TOLERANCES[dtype],
        )


def test_logits_that_lie_there_are_read() -> None:
    logits, target = draw(torch.float32)
    assert analyse(logits.to(DEVICE), target.to(DEVICE)).loss == analyse(logits, target).loss


def test_the_command_takes_the_device(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    logits, target = draw(torch.float32)
    np.savez(tmp_path / "dump.npz", logits=logits.numpy(), target=target.numpy())
    seen = []
    for device in (DEVICE, "cpu"):
        assert main(["analyse", str(tmp_path / "dump.npz"), "--json", "--device", device]) == 0
        seen.append(json.loads(capsys.readouterr().out))
    assert seen[0]["loss"] == pytest.approx(seen[1]["loss"], rel=TOLERANCES[torch.float32])
    assert seen[0]["accuracy"] == seen[1]["accuracy"]


def test_a_problem_and_the_doctor_take_tensors_that_lie_there() -> None:
    logits, target = draw(torch.float32, rows=20)
    there = logits.to(DEVICE), target.to(DEVICE)
    expected = F.cross_entropy(logits.double(), target)
    assert float(evaluate(Problem(*there)).loss) == pytest.approx(float(expected), rel=1e-6)
    assert diagnose(*there) == diagnose(logits, target)
    wrong = torch.full_like(there[1], 99)
    assert diagnose(there[0], wrong)[0].code == "target-out-of-range"


def test_a_loss_that_computes_there_is_checked() -> None:
    def loss(logits: torch.Tensor, target: torch.Tensor, **options: Any) -> torch.Tensor:
        weight = options.pop("weight", None)
        weight = None if weight is None else weight.to(DEVICE)
        return F.cross_entropy(logits.to(DEVICE), target.to(DEVICE), weight=weight, **options)

    report = check_loss(loss)

    assert report.passed, str(report)
