"""Which examples, classes and pairs are named, against orders that NumPy makes of every row."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from xent_core.__main__ import main
from xent_core.cli.analyse_command import summary_text
from xent_core.dump import DumpSummary, analyse
from xent_core.dump.report import report_html

CLASSES = 4


@pytest.fixture(scope="module")
def dump() -> dict[str, np.ndarray]:
    chance = np.random.default_rng(0)
    truth = chance.integers(0, CLASSES, 400)
    logits = (chance.normal(size=(400, CLASSES)) + 5 * np.eye(CLASSES)[truth]).astype(np.float32)
    target = np.where(np.arange(400) % 20 == 0, (truth + 1) % CLASSES, truth)  # every twentieth label is wrong
    names = np.array([f"example {row}" for row in range(400)])
    return {"logits": logits, "target": target, "ids": names, "class_names": np.array(["ant", "bee", "cat", "dog"])}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, dump: dict[str, np.ndarray]) -> Path:
    file = tmp_path_factory.mktemp("dump") / "dump.npz"
    np.savez(file, **dump)
    return file


def test_json_names_examples_classes_and_pairs(
    dump: dict[str, np.ndarray], path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["analyse", str(path), "--no-temperature", "--json", "--top", "3"]) == 0
    found = json.loads(capsys.readouterr().out)

    logits, target = torch.tensor(dump["logits"]).double(), torch.tensor(dump["target"])
    grad = F.softmax(logits, 1) - F.one_hot(target, CLASSES)
    norm, prediction = grad.norm(dim=1), logits.argmax(1)
    by_class = torch.zeros(CLASSES, dtype=torch.float64).index_add_(0, target, norm) / norm.sum()
    pair = torch.zeros(CLASSES, CLASSES, dtype=torch.float64)
    pair.view(-1).index_add_(0, target * CLASSES + prediction, norm / norm.sum())
    names = dump["class_names"]
    share, largest = by_class.topk(3)
    assert [one["class"] for one in found["largest_classes"]] == [names[c] for c in largest]
    assert [one["gradient_share"] for one in found["largest_classes"]] == pytest.approx(share.tolist())
    order = pair.view(-1).argsort(descending=True)[:3].tolist()
    expected = [(names[flat // CLASSES], names[flat % CLASSES]) for flat in order]
    assert [(one["label"], one["prediction"]) for one in found["largest_pairs"]] == expected
    wrong = {row for row in range(400) if row % 20 == 0}
    assert len(found["examples"]) == 3
    for one in found["examples"]:
        row = one["row"]
        assert row in wrong
        assert one["id"] == f"example {row}"
        assert (one["label"], one["suspect"]) == (names[target[row]], True)
        assert one["suggested"] == names[prediction[row]]
        assert one["loss"] == pytest.approx(float(F.cross_entropy(logits[row], target[row])), rel=1e-4)
    assert len(found["suspect_rows"]) == round(found["wrong_labels"])
    assert len(wrong & set(found["suspect_rows"])) >= 0.6 * len(wrong)


def test_the_text_names_them_too(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["analyse", str(path), "--no-temperature", "--top", "30"]) == 0
    out = capsys.readouterr().out

    assert out.count("  yes\n") == round(analyse(path, fit_temperature=False).wrong_labels.expected)
    assert "   no\n" in out
    assert "classes with most gradient" in out
    assert "ant → ant" in out or "bee → bee" in out
    assert main(["analyse", str(path), "--no-temperature", "--top", "0"]) == 0
    assert "classes with most gradient" not in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["analyse", str(path), "--top", "-1"])


def test_rows_with_nan_are_named(dump: dict[str, np.ndarray]) -> None:
    logits = dump["logits"].copy()
    logits[[7, 123], [0, 2]] = np.nan
    summary = analyse(logits, dump["target"], fit_temperature=False)

    assert json.loads(summary.as_json())["nonfinite_examples"] == [7, 123]
    assert "rows with NaN or infinity: 7, 123" in summary_text(summary, 10)


def of_right_rows() -> DumpSummary:
    """Every row is wrong by a little more than chance: the hotter, the better."""
    return analyse(np.float32([[2, 0], [0, 2]] * 30), np.array([1, 0] * 30))


def test_the_end_of_the_search_for_the_temperature_says_that_it_is_the_end() -> None:
    summary = of_right_rows()

    assert summary.best_temperature == 100
    words = "100 (the end of the search, 0.01 to 100: the loss still falls there)"
    assert words.removeprefix("100 ") in summary_text(summary)
    assert words in report_html(summary, title="x")
    assert "the end of the search" not in summary_text(analyse(np.float32([[3, 0], [0, 1], [2, 0]] * 9), [0, 1, 1] * 9))
