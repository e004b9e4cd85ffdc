"""What the documents say is true: README's code runs, its commands too, and every file that is named is there."""

import contextlib
import io
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.program import AROUND, PROGRAM, ROOT
from xent_core.__main__ import main
from xent_core.codec import to_json
from xent_core.presets import PRESETS

FOLDERS = ("deploy", "docs", *AROUND, *(place for place in PROGRAM if "." not in place))
DOCUMENTS = ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile", "Dockerfile", "compose.yaml", "docs", "deploy")
FILE = re.compile(r"(?<![\w/.<>*-])(?:[\w.-]+/)*[\w-]+\.(?:py|md|css|js|toml|yaml|template|png|svg|pot)\b(?![/(<])")
FOLDER = re.compile(rf"(?<![\w/.<>*-])(?:{'|'.join(FOLDERS)})/(?:[\w.-]+/)*(?![\w.<*])")
DECISION = re.compile(r"docs/decisions/(\d{4})-[\w-]+\.md")


def code_blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def documents(root: Path) -> Iterator[Path]:
    """Every document below `root`."""
    for name in DOCUMENTS:
        place = root / name
        yield from sorted(file for file in place.rglob("*") if file.suffix != ".png") if place.is_dir() else [place]


def missing_files(root: Path) -> list[str]:
    """Files and folders that a document names and that are not there.

    A name may begin at the root, at the document's folder or in tests/; one without a folder may lie anywhere.
    """
    everywhere = {file.name for place in (*FOLDERS, ".") for file in (root / place).rglob("*") if place != "."}
    everywhere |= {file.name for file in root.iterdir()}
    found = []
    for document in documents(root):
        if document.is_dir():
            continue
        text = document.read_text("utf-8")
        for name in sorted({match.group() for match in [*FILE.finditer(text), *FOLDER.finditer(text)]}):
            there = any((start / name).exists() for start in (root, root / "tests", document.parent))
            if not there and not ("/" not in name and name in everywhere):
                found.append(f"{document.relative_to(root).as_posix()} names {name}")
    return found


def test_the_python_of_the_readme_runs_and_prints_what_it_says() -> None:
    names = {"logits": torch.tensor([[1.0, 2.0, 3.0]] * 3), "target": torch.tensor([3, 2, 1])}
    blocks = code_blocks((ROOT / "README.md").read_text("utf-8"), "python")

    assert blocks
    for block in blocks:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(block, names)
        promised = "".join(line[2:] for line in block.splitlines(keepends=True) if line.startswith("# "))
        assert output.getvalue().startswith(promised)


def test_the_python_of_the_library_by_task_runs_and_prints_what_it_says() -> None:
    names: dict[str, object] = {}
    blocks = code_blocks((ROOT / "docs" / "library.md").read_text("utf-8"), "python")

    assert len(blocks) >= 7
    for block in blocks:
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(block, names)
        assert output.getvalue() == "".join(line[2:] for line in block.splitlines(keepends=True) if line[:2] == "# ")


def test_the_commands_of_the_readme_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chance = np.random.default_rng(0)
    (tmp_path / "FILE.json").write_text(to_json(PRESETS["worked-batch"].problem), "utf-8")
    np.save(tmp_path / "LOGITS.npy", chance.normal(size=(50, 4)).astype(np.float32))
    np.save(tmp_path / "TARGET.npy", chance.integers(0, 4, 50))
    blocks = code_blocks((ROOT / "README.md").read_text("utf-8"), "bash")
    commands = [
        line.split("python -m xent_core ")[1] for line in "".join(blocks).splitlines() if "-m xent_core" in line
    ]

    assert len(commands) >= 4
    for command in commands:
        words = ["FILE.json" if word == "FILE" else word for word in shlex.split(command)]
        arguments = [str(tmp_path / word) if "." in word and not word.startswith("-") else word for word in words]
        assert main(arguments) == 0, command
        assert capsys.readouterr().out
    assert {"scores.parquet", "report.html"} <= {file.name for file in tmp_path.iterdir()}


def test_every_file_that_a_document_names_is_there() -> None:
    missing = missing_files(ROOT)

    assert not missing, "\n".join(missing)


def test_every_function_that_contributing_names_is_in_its_file() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    named = re.findall(r"(?:`(\w+)` and )?`(\w+)` in `([\w/.]+)`", text)
    places = [(name, file) for *names, file in named for name in names if name]

    absent = []
    for name, file in places:
        text = (ROOT / file).read_text("utf-8")
        if not re.search(rf"^(?:def |class )?(?:\w+ = )*{name}\b", text, re.MULTILINE):
            absent.append((name, file))

    assert len(places) > 20
    assert absent == []


def test_every_command_of_make_is_there() -> None:
    text = (ROOT / "Makefile").read_text("utf-8")
    modules = [name.replace(".", "/") for name in re.findall(r"-m ((?:scripts|benchmarks)[\w.]*)", text)]

    assert modules
    for module in modules:
        assert (ROOT / f"{module}.py").is_file() or (ROOT / module / "__main__.py").is_file()


def test_source_files_are_watched_by_make_run_alone() -> None:
    options = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text("utf-8"))
    started = re.findall(r"streamlit run app\.py(.*)", (ROOT / "Makefile").read_text("utf-8"))

    assert options["server"]["fileWatcherType"] == "none"
    assert started == [" --server.fileWatcherType=auto"]


def test_readme_installs_the_small_build_as_the_container_does() -> None:
    [wheels] = re.findall(r"^ARG TORCH_WHEELS=(\S+)", (ROOT / "Dockerfile").read_text("utf-8"), re.MULTILINE)

    assert f"\npip install --find-links {wheels} -r requirements.txt && streamlit run app.py\n" in (
        ROOT / "README.md"
    ).read_text("utf-8")


def test_decisions_bear_their_number_and_stand_in_the_index() -> None:
    folder = ROOT / "docs" / "decisions"
    index = (folder / "README.md").read_text("utf-8")
    files = sorted(file for file in folder.glob("*.md") if file.name != "README.md")
    numbers = [int(file.name[:4]) for file in files]

    for file in files:
        assert file.read_text("utf-8").startswith(f"# {file.name[:4]}: ")
        assert f"]({file.name})" in index
    for number in range(1, max(numbers) + 1):
        assert f"{number:04}" in index


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("see `xent_ui/gone.py`", ["README.md names xent_ui/gone.py"]),
        ("in [docs](docs/gone.md)", ["README.md names docs/gone.md"]),
        ("the room `xent_core/gone/`", ["README.md names xent_core/gone/"]),
        ("tests/test_<module>.py, `pages/*.py`, https://example.org/tests/gone.py", []),
        ("`there.py`, `xent_ui/there.py` and xent_ui/", []),
    ],
)
def test_a_name_of_a_file_that_is_gone_is_found(tmp_path: Path, text: str, found: list[str]) -> None:
    (tmp_path / "xent_ui").mkdir()
    (tmp_path / "xent_ui" / "there.py").touch()
    for name in DOCUMENTS:
        (tmp_path / name).write_text(text if name == "README.md" else "", "utf-8")

    assert missing_files(tmp_path) == found
