"""Files that Export wrote, analysed: with the options that lie in them, unless the caller says others."""

import io
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from xent_core import Problem
from xent_core.__main__ import main
from xent_core.codec import to_json, to_npz, to_safetensors
from xent_core.dump import InvalidDump, analyse

CHANCE = torch.Generator().manual_seed(0)
LOGITS = torch.randn(60, 4, generator=CHANCE, dtype=torch.float64)
LABELS = torch.randint(0, 4, (60,), generator=CHANCE)
SOFT = torch.randn(60, 4, generator=CHANCE, dtype=torch.float64).softmax(1)
WEIGHT = torch.tensor([1.0, 2.0, 3.0, 0.5], dtype=torch.float64)
WRITERS = {
    ".npz": to_npz,
    ".safetensors": to_safetensors,
    ".json": lambda problem, **names: to_json(problem, **names).encode(),
}
PROBLEMS = {
    "ignore_index": ((LOGITS, LABELS), {"ignore_index": 1}),
    "label_smoothing": ((LOGITS, LABELS), {"label_smoothing": 0.5}),
    "temperature": ((LOGITS, LABELS), {"temperature": 3.0}),
    "weight": ((LOGITS, LABELS), {"weight": WEIGHT}),
    "reduction": ((LOGITS, LABELS), {"reduction": "sum"}),
    "all of them": (
        (LOGITS, LABELS),
        {"ignore_index": 1, "label_smoothing": 0.5, "temperature": 3.0, "weight": WEIGHT, "reduction": "sum"},
    ),
    "a sequence": (
        (LOGITS.reshape(6, 10, 4).movedim(2, 1), LABELS.reshape(6, 10)),
        {"ignore_index": 2, "weight": WEIGHT},
    ),
    "as many places as classes": ((LOGITS.reshape(15, 4, 4), LABELS.reshape(15, 4)), {"temperature": 2.0}),
    "soft labels": ((LOGITS, SOFT), {"weight": WEIGHT}),
    "soft labels of a sequence": (
        (LOGITS.reshape(6, 10, 4).movedim(2, 1), SOFT.reshape(6, 10, 4).movedim(2, 1)),
        {"temperature": 2.0},
    ),
    "bfloat16": ((LOGITS.bfloat16(), LABELS), {"ignore_index": 1, "weight": WEIGHT.bfloat16()}),
    "float16": ((LOGITS.half(), LABELS), {"label_smoothing": 0.1}),
}


def loss_of(logits: torch.Tensor, target: torch.Tensor, options: dict[str, Any]) -> float:
    keywords = {name: value for name, value in options.items() if name != "temperature"}
    if "weight" in keywords:
        keywords["weight"] = keywords["weight"].double()
    return float(F.cross_entropy(logits.double() / options.get("temperature", 1.0), target, **keywords))


def upload(name: str, data: bytes) -> io.BytesIO:
    file = io.BytesIO(data)
    file.name = name
    return file


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("case", PROBLEMS)
def test_the_loss_is_that_of_the_problem_that_was_exported(case: str, kind: str) -> None:
    (logits, target), options = PROBLEMS[case]
    data = WRITERS[kind](Problem(logits, target, **options), class_names=list("abcd"))

    summary = analyse(upload(f"own{kind}", data), fit_temperature=False)

    assert summary.loss == pytest.approx(loss_of(logits, target, options), rel=1e-6)
    assert summary.class_names == tuple("abcd")
    assert "not used" not in summary.reading.sentence()
    for name in options:
        assert name in summary.reading.sentence()


def test_a_row_without_its_axis_is_a_row() -> None:
    data = to_json(Problem(LOGITS[0], LABELS[0], temperature=2.0)).encode()

    summary = analyse(upload("own.json", data), fit_temperature=False)

    assert summary.loss == pytest.approx(loss_of(LOGITS[0], LABELS[0], {"temperature": 2.0}), rel=1e-6)


@pytest.mark.parametrize("kind", WRITERS)
def test_the_options_come_through_a_sandbox_and_the_names_of_rows_are_ids(kind: str) -> None:
    names = [f"image {row}" for row in range(60)]
    data = WRITERS[kind](Problem(LOGITS, LABELS, ignore_index=1, weight=WEIGHT), row_names=names)

    summary = analyse(upload(f"own{kind}", data), sandboxed=True, shown_suspects=1)

    assert summary.loss == pytest.approx(loss_of(LOGITS, LABELS, {"ignore_index": 1, "weight": WEIGHT}), rel=1e-6)
    assert summary.shown[0].id == f"image {summary.suspects.row[0]}"


@pytest.mark.parametrize("kind", WRITERS)
def test_what_the_command_line_says_comes_first_and_what_the_file_says_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    path = tmp_path / f"own{kind}"
    path.write_bytes(WRITERS[kind](Problem(LOGITS, LABELS, ignore_index=1, label_smoothing=0.5, temperature=3.0)))

    assert main(["analyse", str(path), "--json", "--temperature", "2"]) == 0

    numbers = json.loads(capsys.readouterr().out)
    expected = loss_of(LOGITS, LABELS, {"ignore_index": 1, "label_smoothing": 0.5, "temperature": 2.0})
    assert numbers["loss"] == pytest.approx(expected, rel=1e-6)
    kept = LABELS != 1
    assert numbers["kept"] == int(kept.sum())
    assert numbers["accuracy"] == pytest.approx(float((LOGITS.argmax(1) == LABELS)[kept].double().mean()))
    assert numbers["read"]["notes"] == [
        "options from the file: ignore_index 1, label_smoothing 0.5",
        "not as in the file: temperature 2.0",
    ]


def test_options_beside_other_arrays_are_those_of_show_and_of_analyse(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savez(tmp_path / "dump.npz", logits=LOGITS, labels=LABELS, features=LOGITS, ignore_index=1)
    expected = loss_of(LOGITS, LABELS, {"ignore_index": 1})

    assert analyse(tmp_path / "dump.npz").loss == pytest.approx(expected, rel=1e-6)
    assert main(["show", str(tmp_path / "dump.npz")]) == 0
    assert f"loss         {expected:.4f}" in capsys.readouterr().out


def test_weights_of_samples_are_no_weights_of_classes(tmp_path: Path) -> None:
    np.savez(tmp_path / "dump.npz", logits=LOGITS, target=LABELS, weight=np.ones(60))

    summary = analyse(tmp_path / "dump.npz")

    assert summary.loss == pytest.approx(loss_of(LOGITS, LABELS, {}), rel=1e-6)
    assert summary.reading.unused == ("weight",)


def test_probabilities_that_were_exported_as_logits_are_logits(tmp_path: Path) -> None:
    (tmp_path / "own.npz").write_bytes(to_npz(Problem(SOFT, LABELS)))

    assert analyse(tmp_path / "own.npz").loss == pytest.approx(loss_of(SOFT, LABELS, {}), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"ignore_index": "one"}, "ignore-index"),
        ({"ignore_index": 0.5}, "ignore-index"),
        ({"temperature": 0.0}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"label_smoothing": 2.0}, "label-smoothing"),
        ({"reduction": "most"}, "reduction"),
    ],
)
def test_options_that_pytorch_would_refuse_are_refused(tmp_path: Path, options: dict[str, Any], code: str) -> None:
    np.savez(tmp_path / "dump.npz", logits=LOGITS, target=LABELS, **options)

    with pytest.raises(InvalidDump) as caught:
        analyse(tmp_path / "dump.npz")

    assert caught.value.code == code


def test_parts_of_one_dump_must_say_the_same_options(tmp_path: Path) -> None:
    for number in (1, 2):
        (tmp_path / f"part-{number}.npz").write_bytes(to_npz(Problem(LOGITS, LABELS, temperature=float(number))))

    with pytest.raises(InvalidDump, match=r"part-1\.npz and part-2\.npz say different options"):
        analyse([tmp_path / "part-1.npz", tmp_path / "part-2.npz"])


@pytest.mark.parametrize(
    "damage",
    [
        lambda text: text[: len(text) // 2],
        lambda text: text.replace('"version": 1', '"version": 2'),
        lambda text: text.replace('"dtype": "float64"', '"dtype": "object"'),
        lambda text: text.replace('"shape": [60, 4]', '"shape": [4, 60]'),
        lambda text: text.replace('"logits": {', '"logits": [{', 1),
        lambda text: text.replace('"values"', '"numbers"'),
        lambda text: "[" * 100_000 + text,
    ],
)
def test_damaged_json_of_ours_is_refused(tmp_path: Path, damage: Any) -> None:
    (tmp_path / "own.json").write_text(damage(to_json(Problem(LOGITS, LABELS))), encoding="utf-8")

    with pytest.raises(InvalidDump):
        analyse(tmp_path / "own.json")
