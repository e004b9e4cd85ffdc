"""What `pip install .` would install: the wheel is built and looked at."""

import subprocess
import sys
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

pytest.importorskip("setuptools")

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel of a copy of what git knows, so that nothing is left in the tree."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        (source / name).write_bytes((ROOT / name).read_bytes())
    for folder in ("xent_core", "xent_ui", "pages", "tests", "benchmarks"):
        for file in (ROOT / folder).rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                target = source / file.relative_to(ROOT)
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(file.read_bytes())
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    ran = subprocess.run(
        [sys.executable, "-c", build, str(out)], cwd=source, capture_output=True, text=True, timeout=300
    )
    assert ran.returncode == 0, ran.stderr
    return zipfile.ZipFile(next(out.glob("*.whl")))


def test_only_the_core_is_in_it(wheel: zipfile.ZipFile) -> None:
    folders = {name.split("/")[0] for name in wheel.namelist()}

    assert {folder for folder in folders if not folder.endswith(".dist-info")} == {"xent_core"}


def test_every_file_of_the_core_is_in_it(wheel: zipfile.ZipFile) -> None:
    known = {path.relative_to(ROOT).as_posix() for path in (ROOT / "xent_core").rglob("*") if path.is_file()}

    assert {name for name in known if "__pycache__" not in name} <= set(wheel.namelist())
    assert "xent_core/data/digits.json" in wheel.namelist()
    assert "xent_core/py.typed" in wheel.namelist()  # so that others' mypy reads our types


def test_it_needs_torch_and_numpy_alone(wheel: zipfile.ZipFile) -> None:
    metadata = Parser().parsestr(_member(wheel, "METADATA"))
    needs = metadata.get_all("Requires-Dist")

    plain = {need.split(">")[0].split("<")[0] for need in needs if "extra ==" not in need}
    assert plain == {"torch", "numpy"}
    assert set(metadata.get_all("Provides-Extra")) >= {"app", "files"}


def test_the_ranges_hold_the_pinned_versions(wheel: zipfile.ZipFile) -> None:
    requirements = pytest.importorskip("packaging.requirements")
    lines = (ROOT / "requirements.txt").read_text("utf-8").splitlines()
    pinned = dict(line.split("#")[0].strip().split("==") for line in lines if "==" in line)
    for need in map(requirements.Requirement, Parser().parsestr(_member(wheel, "METADATA")).get_all("Requires-Dist")):
        assert need.specifier.contains(pinned[need.name]), need


def test_the_command_is_the_command_line(wheel: zipfile.ZipFile) -> None:
    assert "xent = xent_core.__main__:main" in _member(wheel, "entry_points.txt")


def _member(wheel: zipfile.ZipFile, name: str) -> str:
    return wheel.read(next(one for one in wheel.namelist() if one.endswith(f".dist-info/{name}"))).decode("utf-8")
