"""Imports point one way, app.py, pages and xent_host → xent_ui → xent_core, and what must not be in it is not.

Every rule reads the syntax tree, so that a word in a docstring or in exported code does not count.
The last tests break each rule on purpose and expect to be told.
"""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ("app.py", "hosted.py", "pages", "xent_host", "xent_ui", "xent_core")
SCREEN = ("streamlit", "plotly", "pandas")  # what the core does without
UNSAFE_MODULES = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")


class Source(NamedTuple):
    """One Python file of the program."""

    path: str  # from the root, with slashes: xent_ui/figures/heatmap.py
    tree: ast.Module

    def under(self, *places: str) -> bool:
        return any(self.path == place or self.path.startswith(place + "/") for place in places)


class Violation(NamedTuple):
    """Where a rule is broken, and which."""

    place: str
    rule: str

    def __str__(self) -> str:
        return f"{self.place}: {self.rule}"


def sources(root: Path) -> list[Source]:
    """Every Python file of the program below `root`."""
    files = [
        file
        for place in PROGRAM
        for file in ([root / place] if place.endswith(".py") else sorted((root / place).rglob("*.py")))
        if file.is_file()
    ]
    return [Source(file.relative_to(root).as_posix(), ast.parse(file.read_text("utf-8"))) for file in files]


def imports(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """The line and the full name of everything imported, by statement or by name; relative imports stay inside."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=str(module), names=names, level=0):
                yield from ((node.lineno, f"{module}.{name.name}") for name in names)
            case ast.Call(
                func=ast.Name(id="__import__" | "import_module") | ast.Attribute(attr="import_module"),
                args=[ast.Constant(value=str(module)), *_],
            ):
                yield node.lineno, module


def mentions(tree: ast.Module, *names: str) -> Iterator[tuple[int, str]]:
    """Where one of the names is used: as st.name, as an imported or a bare name, or as a keyword argument."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) if name in names:
                yield node.lineno, name
            case ast.keyword(arg=str(name)) if name in names:
                yield node.value.lineno, name


def unsafe_uses(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """What runs a stranger's code or markup: eval, exec, pickles in any clothes, raw HTML."""
    yield from mentions(tree, "unsafe_allow_html", "read_pickle", "to_pickle")
    yield from ((line, name) for line, name in imports(tree) if name.split(".")[0] in UNSAFE_MODULES)
    yield from ((line, name) for line, name in imports(tree) if name in ("torch.load", "torch.jit.load"))
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                yield node.lineno, name
            case ast.Attribute(value=ast.Name(id="torch"), attr="load"):
                yield node.lineno, "torch.load"
            case ast.keyword(arg="allow_pickle", value=value) if not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                yield value.lineno, "allow_pickle"


def violations(root: Path) -> list[Violation]:
    """Every rule that the program below `root` breaks, and where."""
    return [Violation(f"{source.path}:{line}", rule) for source in sources(root) for line, rule in _broken(source)]


def _broken(source: Source) -> Iterator[tuple[int, str]]:
    if source.under("xent_core"):
        yield from _imports_of(source, *SCREEN, "xent_ui", "xent_host", "pages", "app", "hosted")
    if source.under("xent_ui"):
        yield from _imports_of(source, "xent_host", "pages", "app", "hosted")
    if source.under("xent_ui/figures"):
        yield from _imports_of(source, "streamlit")
    if source.under("pages"):
        yield from _imports_of(source, "torch", "plotly")
        if source.path.count("/") == 1:
            yield 1, "lies directly in pages/, where Streamlit would run it without app.py; move it into a section"
    if not source.under("xent_ui/state/session.py"):
        for line, name in mentions(source.tree, "session_state", "query_params"):
            yield line, f"{name} is for xent_ui/state/session.py alone"
    for line, name in unsafe_uses(source.tree):
        yield line, f"{name} is not safe"


def _imports_of(source: Source, *packages: str) -> Iterator[tuple[int, str]]:
    for line, name in imports(source.tree):
        if name.split(".")[0] in packages:
            yield line, f"imports {name}"


def loaded_after(statement: str, packages: tuple[str, ...], *, root: Path) -> list[str]:
    """Which of the packages a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {packages!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1].split()


IMPORT_THE_WHOLE_CORE = """
import importlib, pkgutil, xent_core
for module in pkgutil.walk_packages(xent_core.__path__, "xent_core."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
"""


# The program


def test_there_is_a_program_to_check() -> None:
    paths = [source.path for source in sources(ROOT)]

    for place in PROGRAM:
        assert any(path == place or path.startswith(place + "/") for path in paths), f"no Python file in {place}"


def test_the_program_keeps_every_rule() -> None:
    broken = violations(ROOT)

    assert not broken, "\n".join(map(str, broken))


def test_the_core_loads_nothing_that_draws() -> None:
    assert loaded_after(IMPORT_THE_WHOLE_CORE, SCREEN, root=ROOT) == []


def test_the_core_loads_a_reader_of_files_only_when_it_reads_one() -> None:
    # safetensors is for one kind of file; whoever evaluates a Problem does not wait for it
    assert loaded_after("import xent_core.codec, xent_core.__main__", ("safetensors",), root=ROOT) == []


def test_figures_are_made_without_streamlit() -> None:
    assert loaded_after("import xent_ui.figures.heatmap", ("streamlit",), root=ROOT) == []


# The checks can fail


@pytest.mark.parametrize(
    ("path", "code", "rule"),
    [
        ("xent_core/a.py", "import streamlit as st", "imports streamlit"),
        ("xent_core/a.py", "def f():\n    import plotly.graph_objects", "imports plotly.graph_objects"),
        ("xent_core/a.py", "from pandas import DataFrame", "imports pandas.DataFrame"),
        ("xent_core/deep/a.py", "from xent_ui import figures", "imports xent_ui.figures"),
        ("xent_core/a.py", "import importlib\nimportlib.import_module('pandas')", "imports pandas"),
        ("xent_core/a.py", "__import__('streamlit')", "imports streamlit"),
        ("xent_ui/a.py", "import app", "imports app"),
        ("xent_ui/a.py", "from xent_host import connection_limits", "imports xent_host.connection_limits"),
        ("xent_ui/a.py", "from pages.explore import batch", "imports pages.explore.batch"),
        ("xent_ui/figures/heatmap.py", "from streamlit import cache_data", "imports streamlit.cache_data"),
        ("pages/explore/a.py", "import torch.nn.functional as F", "imports torch.nn.functional"),
        ("pages/explore/a.py", "from plotly import express", "imports plotly.express"),
        ("pages/explore/a.py", "st.session_state['x'] = 1", "session_state is for xent_ui/state/session.py alone"),
        (
            "pages/explore/a.py",
            "from streamlit import query_params",
            "query_params is for xent_ui/state/session.py alone",
        ),
        ("xent_ui/a.py", "st.query_params.clear()", "query_params is for xent_ui/state/session.py alone"),
        ("app.py", "st.session_state", "session_state is for xent_ui/state/session.py alone"),
        ("app.py", "st.markdown(text, unsafe_allow_html=True)", "unsafe_allow_html is not safe"),
        ("xent_core/a.py", "import pickle", "pickle is not safe"),
        ("xent_core/a.py", "from joblib import load", "joblib.load is not safe"),
        ("xent_core/a.py", "torch.load(path)", "torch.load is not safe"),
        ("xent_core/a.py", "from torch import load", "torch.load is not safe"),
        ("xent_core/a.py", "numpy.load(path, allow_pickle=True)", "allow_pickle is not safe"),
        ("xent_ui/a.py", "pandas.read_pickle(path)", "read_pickle is not safe"),
        ("xent_ui/a.py", "eval(text)", "eval is not safe"),
        ("pages/explore/a.py", "exec(text)", "exec is not safe"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, path: str, code: str, rule: str) -> None:
    _write(tmp_path / path, code)

    assert [found.rule for found in violations(tmp_path)] == [rule]


def test_a_page_directly_in_pages_is_found(tmp_path: Path) -> None:
    _write(tmp_path / "pages/batch.py", "")

    assert [found.place for found in violations(tmp_path)] == ["pages/batch.py:1"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("xent_ui/state/session.py", "import streamlit as st\nst.session_state, st.query_params"),
        ("xent_core/a.py", "'import streamlit, never pickle, exec(text)'"),
        ("xent_core/a.py", "from . import problem\nfrom .problem import Problem"),
        ("xent_core/a.py", "model.eval()\nnumpy.load(path, allow_pickle=False)"),
        ("tests/a.py", "import pickle"),
    ],
)
def test_what_keeps_the_rules_is_left_alone(tmp_path: Path, path: str, code: str) -> None:
    _write(tmp_path / path, code)

    assert violations(tmp_path) == []


def test_a_core_that_loads_streamlit_is_found(tmp_path: Path) -> None:
    _write(tmp_path / "streamlit.py", "")
    _write(tmp_path / "helper.py", "import streamlit")
    _write(tmp_path / "xent_core/__init__.py", "")
    _write(tmp_path / "xent_core/deep/__init__.py", "import helper")

    assert loaded_after(IMPORT_THE_WHOLE_CORE, SCREEN, root=tmp_path) == ["streamlit"]


def _write(file: Path, code: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code, "utf-8")
