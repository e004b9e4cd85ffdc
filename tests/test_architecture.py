"""Imports point one way, app.py, pages and xent_host → xent_ui → xent_core, and what must not be in it is not.

No circles, nothing borrowed from a neighbour: a page's package is private to it.
The last tests break each rule on purpose and expect to be told.
"""

import ast
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.program import (
    AROUND,
    PAGES,
    PROGRAM,
    ROOT,
    Source,
    Violation,
    circles,
    graph,
    imports,
    loaded_after,
    mentions,
    modules_imported,
    sources,
    write,
)

SCREEN = ("streamlit", "plotly", "pandas")  # what the core does without
READS_TENSORS = "xent_core/dump/formats/torch_process.py"  # in a process of its own, without what could run code
UNSAFE_MODULES = ("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve")

FUNCTIONS_THAT_HIDE_THEIR_MODULE = ("check_loss", "watch")  # what one calls most; the modules stay within reach


def _has_weights_only(call: ast.Call) -> bool:
    return any(
        word.arg == "weights_only" and isinstance(word.value, ast.Constant) and word.value.value is True
        for word in call.keywords
    )


def unsafe_uses(source: Source) -> Iterator[tuple[int, str]]:
    """What runs a stranger's code or markup: eval, exec, pickles in any clothes, raw HTML."""
    yield from mentions(source.tree, "unsafe_allow_html", "read_pickle", "to_pickle")
    yield from ((line, name) for line, name in imports(source) if name.split(".")[0] in UNSAFE_MODULES)
    yield from ((line, name) for line, name in imports(source) if name in ("torch.load", "torch.jit.load"))
    for node in ast.walk(source.tree):
        match node:
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                yield node.lineno, name
            case ast.Call(func=ast.Attribute(value=ast.Name(id="torch"), attr="load")) if not (
                source.path == READS_TENSORS and _has_weights_only(node)
            ):
                yield node.lineno, "torch.load"
            case ast.keyword(arg="allow_pickle", value=value) if not (
                isinstance(value, ast.Constant) and value.value is False
            ):
                yield value.lineno, "allow_pickle"


def violations(root: Path) -> list[Violation]:
    """Every rule that one file of the program below `root` breaks, and where."""
    return [Violation(f"{source.path}:{line}", rule) for source in sources(root) for line, rule in _broken(source)]


def _broken(source: Source) -> Iterator[tuple[int, str]]:
    if source.under("xent_core"):
        yield from _imports_of(source, *SCREEN, "xent_ui", "xent_host", "pages", "app", "hosted")
    if source.under("xent_ui"):
        yield from _imports_of(source, "xent_host", "pages", "app", "hosted")
    if source.under("pages"):
        yield from _imports_of(source, "torch")
        if source.path.count("/") == 1:
            yield 1, "lies directly in pages/, where Streamlit would run it without app.py; move it into a section"
    if not source.under("xent_ui/state/session.py"):
        for line, name in mentions(source.tree, "session_state", "query_params"):
            yield line, f"{name} is for xent_ui/state/session.py alone"
    for line, name in unsafe_uses(source):
        yield line, f"{name} is not safe"
    yield from _pages_of_others(source)


def _imports_of(source: Source, *packages: str) -> Iterator[tuple[int, str]]:
    for line, name in imports(source):
        if name.split(".")[0] in packages:
            yield line, f"imports {name}"


def _pages_of_others(source: Source) -> Iterator[tuple[int, str]]:
    """A page's package is imported by its file in pages/ and by itself."""
    own = source.name if source.under("pages") else source.path.split("/")[1] if source.under("xent_ui") else ""
    for line, name in imports(source):
        match name.split("."):
            case ["xent_ui", page, *_] if page in PAGES and page != own:
                yield line, f"imports {name}, which is private to the page {page}"


# Rules about several files


def import_circles(root: Path) -> list[str]:
    """Modules of the program that import each other, in functions and for types only included."""
    return [" → ".join(way) for way in circles(graph(sources(root)))]


def hidden_modules(root: Path) -> list[str]:
    """Modules of the core that cannot be reached through their package, which has something else of that name."""
    found = [source for source in sources(root) if source.under("xent_core")]
    modules = {source.module for source in found}
    return [
        f"{source.path}: {alias.asname or alias.name} hides the module of that name"
        for source in found
        if source.name == "__init__"
        for node in ast.walk(source.tree)
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
        if f"{source.module}.{alias.asname or alias.name}" in modules - {f"{node.module}.{alias.name}"}
        and alias.name not in FUNCTIONS_THAT_HIDE_THEIR_MODULE
    ]


def borrowed(root: Path) -> list[str]:
    """Tests, benchmarks and the harness importing from where they must not: each other, or another test file."""
    forbidden = {
        "tests": ("benchmarks",),
        "benchmarks": ("tests",),
        "harness": ("tests", "benchmarks", "scripts"),
        "scripts": ("tests", "benchmarks"),
    }
    found = []
    around = sources(root, AROUND)
    test_files = [source.module for source in around if source.name.startswith("test_")]
    for source in around:
        room = source.path.split("/")[0]
        for line, name in imports(source):
            if name.split(".")[0] in forbidden[room]:
                found.append(f"{source.path}:{line}: imports {name}")
        for line, module in set(modules_imported(source, test_files)):
            found.append(f"{source.path}:{line}: imports the test file {module}")
    for source in sources(root):
        found += [f"{source.path}:{line}: {rule}" for line, rule in _imports_of(source, *AROUND)]
    return found


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


@pytest.mark.parametrize("rule", [import_circles, hidden_modules, borrowed])
def test_no_circle_no_hidden_module_and_nothing_borrowed(rule: Callable[[Path], list[str]]) -> None:
    broken = rule(ROOT)

    assert not broken, "\n".join(broken)


def test_the_core_loads_nothing_that_draws() -> None:
    assert loaded_after(IMPORT_THE_WHOLE_CORE, SCREEN, root=ROOT) == []


def test_the_core_loads_a_reader_of_files_only_when_it_reads_one() -> None:
    # safetensors is for one kind of file; whoever evaluates a Problem does not wait for it
    assert loaded_after("import xent_core.codec, xent_core.__main__", ("safetensors",), root=ROOT) == []


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
        ("pages/explore/a.py", "import torch.nn.functional as F", "imports torch.nn.functional"),
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
        ("xent_core/a.py", "torch.load(path, weights_only=True)", "torch.load is not safe"),
        (READS_TENSORS, "torch.load(path)", "torch.load is not safe"),
        ("xent_core/a.py", "from torch import load", "torch.load is not safe"),
        ("xent_core/a.py", "numpy.load(path, allow_pickle=True)", "allow_pickle is not safe"),
        ("xent_ui/a.py", "pandas.read_pickle(path)", "read_pickle is not safe"),
        ("xent_ui/a.py", "eval(text)", "eval is not safe"),
        ("pages/explore/a.py", "exec(text)", "exec is not safe"),
        (
            "pages/explore/batch.py",
            "from xent_ui.doctor import view",
            "imports xent_ui.doctor.view, which is private to the page doctor",
        ),
        (
            "xent_ui/batch/view.py",
            "def f():\n    from ..export import view",
            "imports xent_ui.export.view, which is private to the page export",
        ),
        ("xent_ui/table/a.py", "import xent_ui.batch", "imports xent_ui.batch, which is private to the page batch"),
        ("app.py", "import xent_ui.batch.view", "imports xent_ui.batch.view, which is private to the page batch"),
    ],
)
def test_a_broken_rule_is_found(tmp_path: Path, path: str, code: str, rule: str) -> None:
    write(tmp_path / path, code)

    assert [found.rule for found in violations(tmp_path)] == [rule]


def test_a_page_directly_in_pages_is_found(tmp_path: Path) -> None:
    write(tmp_path / "pages/batch.py", "")

    assert [found.place for found in violations(tmp_path)] == ["pages/batch.py:1"]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("xent_ui/state/session.py", "import streamlit as st\nst.session_state, st.query_params"),
        ("xent_core/a.py", "'import streamlit, never pickle, exec(text)'"),
        ("xent_core/a.py", "from . import problem\nfrom .problem import Problem"),
        ("xent_core/a.py", "model.eval()\nnumpy.load(path, allow_pickle=False)"),
        ("tests/a.py", "import pickle"),
        ("pages/explore/batch.py", "from xent_ui.batch import view\nfrom xent_ui.table import editors"),
        ("xent_ui/batch/view.py", "from . import figures\nfrom xent_ui.batch.state import row"),
    ],
)
def test_what_keeps_the_rules_is_left_alone(tmp_path: Path, path: str, code: str) -> None:
    write(tmp_path / path, code)

    assert violations(tmp_path) == []


def test_a_core_that_loads_streamlit_is_found(tmp_path: Path) -> None:
    write(tmp_path / "streamlit.py", "")
    write(tmp_path / "helper.py", "import streamlit")
    write(tmp_path / "xent_core/__init__.py", "")
    write(tmp_path / "xent_core/deep/__init__.py", "import helper")

    assert loaded_after(IMPORT_THE_WHOLE_CORE, SCREEN, root=tmp_path) == ["streamlit"]


@pytest.mark.parametrize(
    ("first", "second", "third"),
    [
        ("import xent_ui.b", "from xent_ui import c", "from xent_ui.a import name"),
        (
            "def f():\n    from . import b",
            "from .c import name",
            "import importlib\nimportlib.import_module('xent_ui.a')",
        ),
        ("from xent_ui.b import name", "if TYPE_CHECKING:\n    from xent_ui.c import T", "import xent_ui.a as a"),
    ],
)
def test_a_circle_of_imports_is_found(tmp_path: Path, first: str, second: str, third: str) -> None:
    for name, code in {"__init__": "", "a": first, "b": second, "c": third, "d": "import xent_ui.a"}.items():
        write(tmp_path / f"xent_ui/{name}.py", code)

    assert import_circles(tmp_path) == ["xent_ui.a → xent_ui.b → xent_ui.c → xent_ui.a"]


def test_a_module_that_imports_from_its_own_package_is_a_circle(tmp_path: Path) -> None:
    write(tmp_path / "xent_core/__init__.py", "from xent_core.problem import Problem")
    write(tmp_path / "xent_core/problem.py", "from xent_core import DTYPES")

    assert import_circles(tmp_path) == ["xent_core → xent_core.problem → xent_core"]


def test_a_module_behind_a_function_of_its_name_is_found(tmp_path: Path) -> None:
    write(tmp_path / "xent_core/__init__.py", "from xent_core.trace import trace\nfrom xent_core.watch import watch")
    write(tmp_path / "xent_core/trace.py", "def trace(): ...")
    write(tmp_path / "xent_core/watch/__init__.py", "def watch(): ...")
    write(tmp_path / "xent_core/doctor/__init__.py", "from xent_core.doctor import fixes")
    write(tmp_path / "xent_core/doctor/fixes.py", "")

    assert hidden_modules(tmp_path) == ["xent_core/__init__.py: trace hides the module of that name"]


@pytest.mark.parametrize(
    ("path", "code", "found"),
    [
        ("tests/test_a.py", "from benchmarks import bench_a", "imports benchmarks.bench_a"),
        ("tests/test_a.py", "from tests.test_b import run", "imports the test file tests.test_b"),
        ("tests/browser/test_a.py", "from tests import test_b", "imports the test file tests.test_b"),
        ("tests/problems.py", "import tests.test_b", "imports the test file tests.test_b"),
        ("benchmarks/bench_a.py", "from tests import problems", "imports tests.problems"),
        ("harness/a.py", "def f():\n    import tests.problems", "imports tests.problems"),
        ("harness/a.py", "import benchmarks", "imports benchmarks"),
        ("xent_core/a.py", "from harness import browser", "imports harness.browser"),
    ],
)
def test_what_is_borrowed_is_found(tmp_path: Path, path: str, code: str, found: str) -> None:
    write(tmp_path / "tests/test_b.py", "from tests.problems import x\nfrom harness import y\nfrom scripts import z")
    write(tmp_path / path, code)

    assert [line.split(": ", 1)[1] for line in borrowed(tmp_path)] == [found]
