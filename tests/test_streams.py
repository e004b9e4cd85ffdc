"""The command line on any stdin, stdout and stderr: other encodings, narrow, closed, full, or none at all."""

import argparse
import ast
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import nbformat
import numpy as np
import pytest
import torch

import xent_core
from xent_core.__main__ import main
from xent_core.cli import terminal
from xent_core.cli.main import COMMANDS
from xent_core.codec import to_csv, to_json, to_notebook, to_npz, to_safetensors, to_token
from xent_core.dump import InvalidDump, analyse, cluster
from xent_core.presets import PRESETS

BATCH = PRESETS["worked-batch"].problem
ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    logits = np.float32([[3, 1, 2], [1, 2, 3], [2, 3, 1]] * 20)
    np.savez(tmp_path / "dump.npz", logits=logits, target=[0, 2, 1] * 20, class_names=["Käse", "犬", "o"])
    (tmp_path / "batch.csv").write_bytes(to_csv(BATCH, class_names=["Käse", "犬", "o"]))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def ran(folder: Path, command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A line for the shell, in which `xent` is this program."""
    program = f'xent() {{ {sys.executable} -m xent_core "$@"; }}\n'
    return subprocess.run(
        ["bash", "-c", f"{program}{command}"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        pytest.param("xent analyse dump.npz", 0, "accuracy", marks=pytest.mark.long),
        pytest.param("xent analyse dump.npz --json", 0, '"accuracy"', marks=pytest.mark.long),
        ("xent show batch.csv", 0, "\\u72ac"),  # the class, in characters that ASCII has
        pytest.param("xent analyse --help", 0, "--rank-by", marks=pytest.mark.long),
        ("xent show none-é.csv", 2, ""),
    ],
)
def test_every_command_speaks_ascii(folder: Path, command: str, code: int, said: str) -> None:
    done = ran(folder, command, PYTHONIOENCODING="ascii", COLUMNS="20", LC_ALL="C")

    assert done.returncode == code, done.stderr
    assert (done.stdout + done.stderr).isascii()
    assert said in done.stdout
    assert "Traceback" not in done.stderr
    if "--json" in command:
        assert json.loads(done.stdout)["accuracy"] == 1.0


@pytest.mark.parametrize(
    ("command", "code"),
    [
        ("xent show batch.csv | head -n 1; exit ${PIPESTATUS[0]}", 141),
        pytest.param("xent analyse --help | true; exit ${PIPESTATUS[0]}", 141, marks=pytest.mark.long),
        pytest.param("xent analyse dump.npz >&- 2>&-", 0, marks=pytest.mark.long),
        pytest.param("xent analyse dump.npz 2>&-", 0, marks=pytest.mark.long),
        pytest.param("xent show none.csv >&- 2>&-", 2, marks=pytest.mark.long),
        ("xent show batch.csv > /dev/full", 2),
        pytest.param("xent show batch.csv <&-", 0, marks=pytest.mark.long),
    ],
)
def test_nothing_ends_in_a_traceback(folder: Path, command: str, code: int) -> None:
    for _ in range(2 if "true" in command else 1):  # whether the pipe is closed in time is a matter of luck
        done = ran(folder, command)

        assert done.returncode in ({code, 0} if "|" in command else {code}), done.stderr
        assert "Traceback" not in done.stderr
        assert "Exception ignored" not in done.stderr
        if "/dev/full" in command:
            assert "stdout could not be written: No space left on device" in done.stderr


@pytest.mark.parametrize("columns", [1, 2, 5, 11, 20, 79])
def test_help_fits_any_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", str(columns))
    for name in COMMANDS:
        with pytest.raises(SystemExit) as caught:
            main([name, "--help"])
        assert caught.value.code == 0
        assert f"usage: {terminal.program_name()}" in " ".join(capsys.readouterr().out.split())


@pytest.mark.parametrize(
    ("started_as", "called"),
    [("/usr/bin/xent", "xent"), ("xent.exe", "xent"), ("/x/xent_core/__main__.py", "python -m xent_core")],
)
def test_usage_names_what_was_typed(
    started_as: str, called: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [started_as])

    with pytest.raises(SystemExit):
        main(["--help"])
    assert capsys.readouterr().out.startswith(f"usage: {called} ")
    assert main(["show", "none.csv"]) == 2
    assert capsys.readouterr().err.startswith(f"{called}: ")


def test_the_version_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])

    assert caught.value.code == 0
    assert capsys.readouterr().out == f"xent {xent_core.__version__}\n"


def inputs() -> Iterator[bytes]:
    yield to_csv(BATCH)
    yield to_json(BATCH).encode()
    yield to_npz(BATCH)
    yield to_safetensors(BATCH)
    yield to_token(BATCH).encode() + b"\n"


@pytest.mark.parametrize("data", list(inputs()), ids=["csv", "json", "npz", "safetensors", "token"])
def test_show_reads_standard_input(
    data: bytes, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))

    assert main(["show", "-"]) == 0
    assert "loss         1.4076" in capsys.readouterr().out


def test_analyse_and_the_doctor_read_standard_input(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = (folder / "dump.npz").read_bytes()
    for command in (["analyse", "-", "--no-temperature", "--report", "r.html"], ["doctor", "-"]):
        monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
        assert main(command) == 0, capsys.readouterr()
    assert "<h1>standard input</h1>" in (folder / "r.html").read_text("utf-8")
    assert main(["analyse", "-", "-"]) == 2
    assert "can be read once" in capsys.readouterr().err


def test_a_notebook_is_printed_or_written(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["notebook", to_token(BATCH)]) == 0
    assert capsys.readouterr().out == to_notebook(BATCH)

    assert main(["notebook", "batch.csv", "--out", "batch.ipynb"]) == 0
    assert "batch.ipynb is written" in capsys.readouterr().out
    nbformat.validate(nbformat.read(folder / "batch.ipynb", as_version=4))
    assert main(["notebook", "batch.csv", "--out", "batch.ipynb"]) == 0  # over an earlier one
    assert main(["notebook", "batch.csv", "--out", "batch.csv"]) == 2
    os.link("batch.csv", "linked.ipynb")
    assert main(["notebook", "batch.csv", "--out", "linked.ipynb", "--force"]) == 2
    assert "which is read" in capsys.readouterr().err


class FailedTask:
    """A future of Dask whose worker raised."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def result(self) -> None:
        raise self._error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            InvalidDump("file-unreadable", "l.npy cannot be opened", "a file", "Check."),
            "on a worker of the cluster l.npy",
        ),
        (MemoryError("so much"), "a worker of the cluster failed (MemoryError: so much)"),
        (ModuleNotFoundError("No module named 'xent_core'"), "a worker of the cluster failed (ModuleNotFoundError"),
    ],
)
def test_a_workers_error_says_that_it_is_a_workers(error: Exception, words: str) -> None:
    with pytest.raises(InvalidDump) as caught:
        cluster._result(FailedTask(error))

    assert words in str(caught.value)


def test_paths_go_to_workers_as_this_computer_sees_them(folder: Path) -> None:
    (folder / "shards").mkdir()
    source = cluster.DumpSource("dump.npz", ["a-*.npy", "s3://b/c"], ids="shards", text="caption", classes="logit_*")
    work = cluster._seen_from_anywhere(cluster.Work(source, xent_core.dump.LossOptions(), 1, "cpu", "margin"))

    seen = work.source
    assert seen.logits == str(folder / "dump.npz")
    assert seen.target == [str(folder / "a-*.npy"), "s3://b/c"]
    assert seen.ids == f"{folder / 'shards'}{os.sep}"
    assert (seen.text, seen.classes, seen.features) == ("caption", "logit_*", None)
    assert analyse("dump.npz").loss == analyse(seen.logits).loss


def test_the_name_of_a_refused_file_becomes_no_code(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The program below the refusal holds the name as a literal, whatever is in it."""
    name = "a');\nimport os\nprint('b.pkl"
    torch.save({"run": argparse.Namespace(lr=1)}, folder / name)

    assert main(["analyse", name]) == 2
    sentence, *program = capsys.readouterr().err.rstrip("\n").split("\n")
    assert "may run any code" in sentence
    tree = ast.parse("\n".join(program))
    assert [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names] == [
        *("numpy", "torch")
    ]
    assert name in [
        str(Path(node.value).name)
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value != 0 and isinstance(node.value, str)
    ]
