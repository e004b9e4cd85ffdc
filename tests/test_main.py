import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.printed_advice import printed_commands
from xent_core import Problem
from xent_core.__main__ import main
from xent_core.codec import to_csv, to_json, to_safetensors, to_script, to_token
from xent_core.presets import PRESETS
from xent_ui.state.link import Link

BATCH = PRESETS["worked-batch"].problem
ROOT = Path(__file__).resolve().parents[1]


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1 or "\nimport " in captured.err  # then a program to paste stands below
    return captured.err


def test_show_prints_the_worked_example(capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(capsys, "show", to_token(BATCH))

    assert "loss         1.4076" in text
    assert "denominator  3.0000" in text
    gradient = text.split("gradient\n")[1].split("\n\n")[0]
    assert gradient.splitlines()[1:] == [
        "0   0.0300   0.0816  -0.1116",
        "1   0.0300  -0.2518   0.2217",
        "2  -0.3033   0.0816   0.2217",
    ]


@pytest.mark.parametrize("command", ["show", "script"])
def test_the_help_names_the_part_of_a_link_that_holds_the_token(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([command, "--help"])
    (parameter,) = re.findall(r"the (\w+)= part of a link", " ".join(capsys.readouterr().out.split()))
    address = parse_qs(Link(token=to_token(BATCH)).query())

    assert "loss         1.4076" in printed(capsys, "show", *address[parameter])


def test_show_reads_files_with_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batch.csv"
    file.write_bytes(to_csv(BATCH, class_names=["cat", "dog", "owl"], row_names=["image 7", "b", "c"]))

    text = printed(capsys, "show", str(file))

    assert re.search(r"^image 7 +0\.0900 +0\.2447 +0\.6652$", text, re.MULTILINE)
    assert re.search(r"^image 7 +owl$", text, re.MULTILINE)


def test_show_names_ignored_rows_and_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    problem = Problem(
        [[1, 2], [3e-7, 4e9]],
        [0, -1],
        weight=[1, 2],
        ignore_index=-1,
        label_smoothing=0.1,
        temperature=2,
        reduction="sum",
    )

    text = printed(capsys, "show", to_token(problem))

    assert "-1 (ignored)" in text
    assert "3.0e-07" in text
    assert "weight=[1.0000, 2.0000], ignore_index=-1, label_smoothing=0.1, temperature=2.0" in text


@pytest.mark.parametrize(
    "problem",
    [
        Problem([[1, 2]], [[0.5, float("nan")]], reduction="none"),
        Problem([1.0, 2.0], 0, reduction="none"),
        Problem([[[1.0], [2.0]]], [[1]]),
        PRESETS["masked"].problem,
    ],
)
def test_show_takes_every_kind_of_problem(problem: Problem, capsys: pytest.CaptureFixture[str]) -> None:
    assert "gradient" in printed(capsys, "show", to_token(problem))


@pytest.mark.parametrize("framework", ["torch", "jax"])
def test_script_prints_the_program(framework: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batch.json"
    file.write_text(to_json(BATCH), "utf-8")

    text = printed(capsys, "script", str(file), "--framework", framework)

    assert text == to_script(BATCH, framework=framework)


def test_bad_input_is_one_line_and_exit_code_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = tmp_path / "batch.pt"
    bad.write_bytes(b"\x80\x02")

    assert "There is no file 'none.csv'" in refused(capsys, "show", "none.csv")
    assert "the link is cut off" in refused(capsys, "script", to_token(BATCH)[:-3])
    assert "may run any code" in refused(capsys, "show", str(bad))
    assert "characters" in refused(capsys, "show", "1" * 10_000)


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["explode"])

    assert caught.value.code == 2
    assert "invalid choice: 'explode'" in capsys.readouterr().err


def test_the_package_is_a_program() -> None:
    command = [sys.executable, "-m", "xent_core", "show", "nothing"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=100)

    assert ran.returncode == 2
    assert ran.stderr.startswith("python -m xent_core: ")


def test_the_doctor_finds_nothing_in_a_clean_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batch.json"
    file.write_text(to_json(BATCH), encoding="utf-8")

    assert "Nothing found" in printed(capsys, "doctor", str(file))


@pytest.mark.parametrize(
    ("logits", "target", "options", "code"),
    [
        ([[1.0, 2.0]], [2], {}, "target-out-of-range"),
        ([[1.0, 2.0]], [0.0], {}, "target-dtype"),
        ([[0.25, 0.75]], [1], {}, "softmax-applied-twice"),
        ([[1.0, 2.0], [2.0, 1.0]], [1, -1], {"ignore_index": -1, "weight": np.float32([1, 2])}, "weighted-mean"),
    ],
)
def test_the_doctor_looks_at_arrays_that_make_no_problem_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], logits: list, target: list, options: dict, code: str
) -> None:
    file = tmp_path / "batch.npz"
    arrays = {"logits": np.float32(logits), "target": np.array(target), **options}
    np.savez(file, **arrays)

    assert main(["doctor", str(file)]) == 1
    out = capsys.readouterr().out
    assert code in out
    assert "    >>> " in out


def test_notes_alone_leave_the_exit_code_at_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batch.npz"
    np.savez(file, logits=np.float32([[30, 0], [0, 30]]), target=np.array([0, 1]))

    assert "note saturated" in printed(capsys, "doctor", str(file))


def test_the_doctor_sees_the_logits_over_the_temperature(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batch.npz"
    np.savez(file, logits=np.float32([[30, 0], [0, 30]]), target=np.array([0, 1]), temperature=10.0)

    assert "Nothing found" in printed(capsys, "doctor", str(file))


def test_the_doctor_refuses_what_is_no_file_of_arrays(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "batch.npz"
    file.write_bytes(b"nothing")

    assert "cannot be read as NPZ" in refused(capsys, "doctor", str(file))
    assert "There is no file" in refused(capsys, "doctor", str(tmp_path / "none.npz"))


@pytest.mark.parametrize("command", ["show", "script", "notebook", "doctor", "analyse"])
@pytest.mark.parametrize("name", ["hf1", "missing", "missing.csv", "folder/missing"])
def test_a_file_that_is_not_there_is_no_link(capsys: pytest.CaptureFixture[str], command: str, name: str) -> None:
    said = refused(capsys, command, name)

    assert name in said
    assert "link" not in said
    assert "Errno" not in said


@pytest.mark.parametrize("command", ["show", "script", "notebook", "doctor", "analyse"])
def test_a_folder_of_shards_is_one_file_to_every_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    folder = tmp_path / "hf1"
    folder.mkdir()
    for number in range(2):
        np.savez(folder / f"part-{number}.npz", logits=np.float32([[1, 2, 3]] * 20), labels=np.array([number] * 20))

    assert main([command, str(folder)]) in (0, 1)
    if command == "show":
        expected = F.cross_entropy(torch.tensor([[1.0, 2, 3]] * 2), torch.tensor([0, 1]))
        assert f"loss         {expected:.4f}" in capsys.readouterr().out


def test_an_empty_folder_is_told_by_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("show", "doctor", "analyse"):
        assert f"the folder {tmp_path} holds" in refused(capsys, command, str(tmp_path))


def test_the_doctor_reads_a_table_by_the_command_that_it_prints(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "batch.csv"
    np.savetxt(file, np.c_[np.random.default_rng(0).normal(size=(20, 3)), np.arange(20) % 3], delimiter=",", fmt="%.6g")

    assert main(["doctor", str(file)]) == 2
    (command,) = printed_commands(capsys.readouterr().err)
    assert command[0] == "doctor"
    assert main(command) in (0, 1)
    assert "3 classes: 0, 1, 2; label: 3" in capsys.readouterr().out


@pytest.mark.parametrize("kind", [".csv", ".parquet"])
def test_a_table_of_scores_is_told_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str) -> None:
    chance = np.random.default_rng(0)
    logits, labels = chance.normal(size=(60, 4)), chance.integers(0, 4, 60)
    np.savez(tmp_path / "dump.npz", logits=logits, labels=labels, ids=np.arange(60).astype(str))
    scores = str(tmp_path / f"scores{kind}")
    assert main(["analyse", str(tmp_path / "dump.npz"), "--scores", scores]) == 0
    capsys.readouterr()

    for command in ("analyse", "show", "doctor"):
        said = refused(capsys, command, scores)
        assert "is a table of scores, as analyse --scores writes it" in said
        assert "--classes" not in said


@pytest.mark.parametrize("mark", [255, -1])
def test_a_label_that_may_be_ignored_is_answered_by_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], mark: int
) -> None:
    logits, labels = np.random.default_rng(0).normal(size=(40, 4)), np.arange(40) % 4
    labels[3] = mark
    np.savez(tmp_path / "dump.npz", logits=logits, labels=labels)

    assert main(["analyse", str(tmp_path / "dump.npz"), "--json"]) == 2
    said = capsys.readouterr().err
    assert "ignore_index=" not in said
    (command,) = printed_commands(said)
    assert main(command) == 0

    expected = F.cross_entropy(torch.tensor(logits), torch.tensor(labels), ignore_index=mark)
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(float(expected))


def test_a_package_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "batch.safetensors"
    file.write_bytes(to_safetensors(BATCH))
    monkeypatch.setitem(sys.modules, "safetensors", None)

    assert "pip install safetensors" in refused(capsys, "doctor", str(file))
