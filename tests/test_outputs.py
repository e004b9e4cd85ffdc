"""What a command writes: over no input, over nothing that is not ours, whole or not at all."""

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xent_core.__main__ import main
from xent_core.codec import to_notebook
from xent_core.dump import InvalidDump, analyse
from xent_core.outputs import InvalidOutput, checked_output, is_ours, written_whole
from xent_core.presets import PRESETS

LOGITS = np.float32([[1, 2, 3], [3, 1, 2], [2, 3, 1], [1, 3, 2]])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    np.save(tmp_path / "l2.npy", LOGITS)
    np.save(tmp_path / "labels.npy", np.array([2, 0, 1, 1]))
    lines = ["a,b,c,label", *(",".join(map(str, [*row, label])) for row, label in zip(LOGITS, "cabb", strict=True))]
    (tmp_path / "dump.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (tmp_path / "names.txt").write_text("a\nb\nc\n", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


@pytest.mark.parametrize(
    "arguments",
    [
        ["l2.npy", "labels.npy", "--report", "l2.npy"],
        ["l2.npy", "labels.npy", "--report", "labels.npy"],
        ["l2.npy", "labels.npy", "--report", "./x.html"],  # a hard link to the logits
        ["l2.npy", "labels.npy", "--report", "y.html"],  # a symbolic one
        ["l*.npy", "labels.npy", "--report", "x.html"],
        ["dump.csv", "--classes", "a,b,c", "--scores", "dump.csv"],
        ["d*.csv", "--classes", "a,b,c", "--scores", "dump.csv"],
        ["l2.npy", "labels.npy", "--class-names", "names.txt", "--report", "n.html"],
        ["l2.npy", "labels.npy", "--report", "report.txt"],
        ["l2.npy", "labels.npy", "--report", "report"],
        ["l2.npy", "labels.npy", "--scores", "scores.npy"],
        ["l2.npy", "labels.npy", "--scores", "my.csv"],
        ["l2.npy", "labels.npy", "--report", "my.html"],
        ["l2.npy", "labels.npy", "--scores", "my.parquet"],
        ["l2.npy", "labels.npy", "--report", "folder.html"],
        ["l2.npy", "labels.npy", "--report", "none/report.html"],
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_what_is_read_or_is_none_of_ours_is_not_replaced(
    folder: Path, arguments: list[str], force: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    os.link("l2.npy", "x.html")
    os.symlink("l2.npy", "y.html")
    os.link("names.txt", "n.html")
    (folder / "folder.html").mkdir()
    for name in ("my.csv", "my.html", "my.parquet"):
        (folder / name).write_text("mine", encoding="utf-8")
    before = contents(folder)
    is_forced = force and any(part.startswith("my.") for part in arguments)

    code = main(["analyse", *arguments, "--no-temperature", *(["--force"] if force else [])])

    assert code == (0 if is_forced else 2), capsys.readouterr()
    changed = {name for name, data in contents(folder).items() if before.get(name) != data}
    assert changed == ({arguments[-1]} if is_forced else set())


@pytest.mark.parametrize("name", ["scores.csv", "scores.parquet", "report.html"])
def test_an_earlier_output_is_replaced_without_being_asked(folder: Path, name: str) -> None:
    command = ["analyse", "l2.npy", "labels.npy", "--no-temperature", f"--{Path(name).stem}", name]
    assert main(command) == 0
    assert is_ours(folder / name)
    first = (folder / name).read_bytes()
    np.save(folder / "labels.npy", np.array([2, 0, 1, 0]))

    assert main(command) == 0
    assert (folder / name).read_bytes() != first


def test_a_table_of_scores_that_is_read_again_is_not_replaced(folder: Path) -> None:
    """It is ours, and yet an input."""
    assert main(["analyse", "l2.npy", "labels.npy", "--no-temperature", "--scores", "s.csv"]) == 0

    with pytest.raises(InvalidDump, match="which is read"):
        analyse("l2.npy", "labels.npy", sample_weight="s.csv", scores="s.csv", overwrite=True)


def test_python_asks_with_a_word_of_its_own(folder: Path) -> None:
    (folder / "s.csv").write_text("mine", encoding="utf-8")
    with pytest.raises(InvalidDump, match="overwrite=True"):
        analyse("l2.npy", "labels.npy", scores="s.csv")

    analyse("l2.npy", "labels.npy", scores="s.csv", overwrite=True)
    assert is_ours(folder / "s.csv")


def test_a_notebook_of_ours_is_told_from_others(tmp_path: Path) -> None:
    ours, other = tmp_path / "ours.ipynb", tmp_path / "other.ipynb"
    ours.write_text(to_notebook(PRESETS["worked-batch"].problem), encoding="utf-8")
    other.write_text('{"cells": [], "metadata": {}, "nbformat": 4}', encoding="utf-8")

    assert checked_output(ours, "--out", (".ipynb",)) == ours
    with pytest.raises(InvalidOutput, match="did not write"):
        checked_output(other, "--out", (".ipynb",))


def test_the_rest_of_a_stopped_run_is_as_little_replaced(folder: Path) -> None:
    (folder / "s.partial.csv").write_text("mine", encoding="utf-8")

    with pytest.raises(InvalidDump, match=r"s\.partial\.csv"):
        analyse("l2.npy", "labels.npy", scores="s.csv")


def test_a_file_is_there_whole_or_as_it_was_and_keeps_its_rights(tmp_path: Path) -> None:
    path = tmp_path / "r.html"
    path.write_text("before", encoding="utf-8")
    path.chmod(0o640)

    def written(text: str, error: Any = None) -> None:
        with written_whole(path) as file:
            file.write_text(text, encoding="utf-8")
            if error is not None:
                raise error

    with pytest.raises(OSError, match="No space left") as caught:
        written("half", OSError(28, "No space left on device"))
    assert caught.value.filename == str(path)
    assert contents(tmp_path) == {"r.html": b"before"}

    written("whole")
    assert contents(tmp_path) == {"r.html": b"whole"}
    assert path.stat().st_mode & 0o777 == 0o640
