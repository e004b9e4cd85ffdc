import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs

import numpy as np
import pytest

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


def test_a_package_that_is_not_installed_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "batch.safetensors"
    file.write_bytes(to_safetensors(BATCH))
    monkeypatch.setitem(sys.modules, "safetensors", None)

    assert "pip install safetensors" in refused(capsys, "doctor", str(file))
