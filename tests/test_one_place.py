"""What has one place in the program: Plotly in figures, colours in the theme, Streamlit's insides in one module.

The last tests break each rule on purpose and expect to be told.
"""

import ast
import importlib.util
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.program import PAGES, ROOT, Source, Violation, imports, loaded_after, sources, texts, write

THEME = "xent_ui/figures/theme.py"
COLOUR = re.compile(r"(?<![&\w])#(?:[0-9a-fA-F]{8}|[0-9a-fA-F]{6}|[0-9a-fA-F]{3,4})\b|\b(?:rgb|hsl)a?\(")
OWN_COLOURS = {
    "xent_core/dump/report.py": "a page of its own, read without the app; the core knows no theme",
}

INSIDES = "xent_ui/streamlit_internals.py"
# what Streamlit documents, or what its documented functions return
STREAMLIT_PROMISES = (
    *("column_config", "components", "dataframe", "delta_generator"),
    *("errors", "navigation", "testing", "typing"),
)
# what is looked up by name in Streamlit's objects, or read from its words
STREAMLIT_INSIDES = ("file_storage", "uploaded_file_mgr", "uses_pages_directory")
LOOKED_UP = re.compile(r"streamlit(\.\w+)+:\w")  # what `pkgutil.resolve_name` takes
STREAMLIT_WORDS = ("Uncaught app execution",)
NAMEDTUPLE_METHODS = ("_asdict", "_fields", "_make", "_replace")


def draws(source: Source) -> bool:
    """Whether this is a module of figures, the only ones that know Plotly."""
    *folders, name = source.path.split("/")
    if folders[:2] == ["xent_ui", "figures"]:
        return True
    own = folders[:1] == ["xent_ui"] and len(folders) > 1 and folders[1] in PAGES
    return own and (name == "figures.py" or name.endswith("_figures.py") or "figures" in folders[2:])


def violations(root: Path) -> list[Violation]:
    """Where something stands that has its place elsewhere."""
    found = [Violation(f"{source.path}:{line}", rule) for source in sources(root) for line, rule in _broken(source)]
    return found + _colours_of_components(root)


def _broken(source: Source) -> Iterator[tuple[int, str]]:
    yield from _figures_elsewhere(source)
    yield from _colours_elsewhere(source)
    if not source.under(INSIDES, "xent_host"):
        for line, name in streamlit_insides(source):
            yield line, _not_promised(name)


def _not_promised(name: str) -> str:
    return f"{name} is not promised by Streamlit; it is for {INSIDES} and xent_host/"


def _figures_elsewhere(source: Source) -> Iterator[tuple[int, str]]:
    if draws(source):
        for line, name in imports(source):
            if name.split(".")[0] == "streamlit":
                yield line, f"imports {name} into figures"
    elif not source.under("xent_core"):
        for line, name in imports(source):
            if name.split(".")[0] == "plotly":
                yield line, f"imports {name}, which is for figures alone"


def _colours_elsewhere(source: Source) -> Iterator[tuple[int, str]]:
    """Written colours, Plotly's scales by name, and in figures also colours by name."""
    if source.under(THEME, *OWN_COLOURS):
        return
    for line, text in texts(source.tree):
        if colour := COLOUR.search(text):
            yield line, f"the colour {colour.group()} is for {THEME}"
    for name, value in _named_values(source.tree):
        if "colorscale" in name or (name.endswith("color") and draws(source)):
            match value:
                case ast.Constant(value=str(text)) if not COLOUR.search(text):
                    yield value.lineno, f"the colour {text} is for {THEME}"
    for line, name in imports(source):
        if name.startswith("plotly.colors.") and not name.endswith(
            ".sample_colorscale"
        ):  # mixes those that it is given
            yield line, f"{name} is for {THEME}"


def _named_values(tree: ast.Module) -> Iterator[tuple[str, ast.expr]]:
    """Arguments by name and entries of dicts."""
    for node in ast.walk(tree):
        match node:
            case ast.keyword(arg=str(name), value=value):
                yield name, value
            case ast.Dict(keys=keys, values=values):
                for key, value in zip(keys, values, strict=True):
                    if isinstance(key, ast.Constant) and isinstance(key.value, str):
                        yield key.value, value


def _colours_of_components(root: Path) -> list[Violation]:
    """Styles and scripts of components take their colours from Streamlit's variables or are sent them.

    A picture, such as the favicon, has its own.
    """
    return [
        Violation(f"{file.relative_to(root).as_posix()}:{number}", f"the colour {colour.group()} is for {THEME}")
        for kind in ("css", "js", "html")
        for file in sorted((root / "xent_ui").rglob(f"*.{kind}"))
        for number, line in enumerate(file.read_text("utf-8").splitlines(), 1)
        if (colour := COLOUR.search(line))
    ]


def streamlit_insides(source: Source) -> Iterator[tuple[int, str]]:
    """Modules of Streamlit that it does not document, private attributes of others, and what is read from its words."""
    if source.under("xent_core"):
        return
    for line, name in imports(source):
        match name.split("."):
            case ["streamlit", part, *parts] if (
                _is_inside(part) or any(map(_is_private, parts)) or _is_deep(part, parts)
            ):
                yield line, name
    own = set(_defined(source.tree))
    aliases = {"st", "streamlit", *_aliases_of_streamlit(source.tree)}
    for node in ast.walk(source.tree):
        match node:
            case ast.Attribute(value=ast.Name(id=name), attr=part) if name in aliases and _is_inside(part):
                yield node.lineno, f"st.{part}"
            case ast.Attribute(attr=name) if _is_private(name) and name not in own:
                yield node.lineno, ast.unparse(node)
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
                args=[_, ast.Constant(value=str(name)), *_],
            ) if _is_private(name) or name in STREAMLIT_INSIDES:
                yield node.lineno, name
            case ast.Call(
                func=ast.Name(id="getattr" | "setattr" | "hasattr" | "delattr"),
                args=[ast.Name(id=module), ast.Constant(value=str(name)), *_],
            ) if module in aliases and _is_inside(name):
                yield node.lineno, f"st.{name}"
            case ast.Constant(value=str(text)) if LOOKED_UP.match(text):
                yield node.lineno, text
            case ast.Attribute(attr=name) if name in STREAMLIT_INSIDES:
                yield node.lineno, name
    yield from ((line, words) for line, text in texts(source.tree) for words in STREAMLIT_WORDS if words in text)


def _aliases_of_streamlit(tree: ast.Module) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (one.asname for one in node.names if one.name == "streamlit" and one.asname)


def _is_deep(part: str, rest: list[str]) -> bool:
    """Whether this is something within components.v2, of which `component` alone is promised."""
    return part == "components" and len(rest) > 1 and rest != ["v2", "component"]


def _defined(tree: ast.Module) -> Iterator[str]:
    """The names of functions, classes, fields and attributes that this file gives its own objects."""
    for node in ast.walk(tree):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield name
            case ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.Attribute(value=ast.Name(id="self" | "cls"), attr=name, ctx=ast.Store()):
                yield name


def _is_inside(part: str) -> bool:
    if part == "__version__":
        return False
    return part.startswith("_") or (part in _streamlit_modules() and part not in STREAMLIT_PROMISES)


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in NAMEDTUPLE_METHODS


def _streamlit_modules() -> frozenset[str]:
    """The modules and packages that lie in Streamlit's own folder."""
    spec = importlib.util.find_spec("streamlit")
    assert spec is not None
    assert spec.origin is not None
    return frozenset(module.name for module in pkgutil.iter_modules([str(Path(spec.origin).parent)]))


# The program


def test_everything_stands_in_its_place() -> None:
    broken = violations(ROOT)

    assert not broken, "\n".join(map(str, broken))


def test_every_exception_is_still_needed() -> None:
    every = {source.path: source for source in sources(ROOT)}

    for path in OWN_COLOURS:
        assert any(COLOUR.search(text) for _, text in texts(every[path].tree)), f"{path} has no colours of its own"
    assert set(STREAMLIT_PROMISES) <= _streamlit_modules()


@pytest.mark.long
def test_figures_are_made_without_streamlit() -> None:
    figures = [source.module for source in sources(ROOT) if draws(source)]

    assert loaded_after(f"import {', '.join(figures)}", ("streamlit",), root=ROOT) == []


# The checks can fail


@pytest.mark.parametrize(
    ("path", "code", "rule"),
    [
        ("xent_ui/figures/heatmap.py", "from streamlit import cache_data", "imports streamlit.cache_data into figures"),
        ("xent_ui/widgets/a.py", "import plotly.io", "imports plotly.io, which is for figures alone"),
        ("xent_ui/batch/view.py", "import plotly.io", "imports plotly.io, which is for figures alone"),
        ("xent_ui/batch/figures.py", "import streamlit as st", "imports streamlit into figures"),
        ("xent_ui/batch/row_figures.py", "import streamlit as st", "imports streamlit into figures"),
        ("xent_ui/batch/figures/path.py", "import streamlit as st", "imports streamlit into figures"),
        ("xent_ui/figures/a.py", "INK = '#E8871E'", f"the colour #E8871E is for {THEME}"),
        ("xent_ui/figures/a.py", "INK = '#abc'", f"the colour #abc is for {THEME}"),
        ("xent_ui/widgets/a.py", "f'color: rgba({red}, 0, 0, 0)'", f"the colour rgba( is for {THEME}"),
        ("xent_core/a.py", "ink = 'hsl(0 0% 0%)'", f"the colour hsl( is for {THEME}"),
        ("xent_ui/figures/a.py", "go.Heatmap(colorscale='RdBu')", f"the colour RdBu is for {THEME}"),
        ("xent_ui/figures/a.py", "{'plot_bgcolor': 'white'}", f"the colour white is for {THEME}"),
        (
            "xent_ui/figures/a.py",
            "from plotly.colors import sequential",
            f"plotly.colors.sequential is for {THEME}",
        ),
        ("xent_ui/a.py", "from streamlit.runtime import get_instance", _not_promised("streamlit.runtime.get_instance")),
        ("hosted.py", "from streamlit import config", _not_promised("streamlit.config")),
        ("app.py", "st.runtime.exists()", _not_promised("st.runtime")),
        ("xent_ui/a.py", "st.__file__", _not_promised("st.__file__")),
        ("xent_ui/a.py", "import streamlit as sl\nsl.runtime.exists()", _not_promised("st.runtime")),
        ("xent_ui/a.py", "getattr(st, 'runtime')", _not_promised("st.runtime")),
        (
            "xent_ui/a.py",
            "resolve_name('streamlit.runtime:get_instance')",
            _not_promised("streamlit.runtime:get_instance"),
        ),
        (
            "xent_ui/a.py",
            "from streamlit.components.v2.bidi_component.main import _make_trigger_id",
            _not_promised("streamlit.components.v2.bidi_component.main._make_trigger_id"),
        ),
        ("xent_ui/a.py", "state._new_widget_state", _not_promised("state._new_widget_state")),
        ("xent_ui/a.py", "setattr(runner, '_run_script', f)", _not_promised("_run_script")),
        ("xent_ui/a.py", "runtime.uploaded_file_mgr", _not_promised("uploaded_file_mgr")),
        ("xent_ui/a.py", "'Uncaught app execution' in text", _not_promised("Uncaught app execution")),
        ("pages/explore/a.py", "from plotly import express", "imports plotly.express, which is for figures alone"),
    ],
)
def test_what_stands_elsewhere_is_found(tmp_path: Path, path: str, code: str, rule: str) -> None:
    write(tmp_path / path, code)

    assert [found.rule for found in violations(tmp_path)] == [rule]


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("xent_ui/figures/a.py", "import plotly.graph_objects as go\nfrom plotly.colors import sample_colorscale"),
        ("xent_ui/batch/figures.py", "import plotly.graph_objects as go"),
        ("xent_ui/figures/theme.py", "INK, CLEAR, SCALE = '#E8871E', 'rgba(0,0,0,0)', {'colorscale': 'RdBu'}"),
        ("xent_ui/figures/a.py", '"""Not #E8871E."""\nnote = "#12 and &#8202;"'),
        ("xent_ui/widgets/a.py", "st.metric(label, value, delta_color='off')"),
        ("xent_ui/streamlit_internals.py", "from streamlit.runtime import get_instance\nmanager._pages"),
        ("xent_host/a.py", "from streamlit.proto.BackMsg_pb2 import BackMsg"),
        ("xent_ui/a.py", "st.dataframe(rows)\nst.__version__\nfrom streamlit.components.v2 import component"),
        ("xent_ui/a.py", "class A:\n    def _span(self, other): return other._span() or self.rows._replace(a=1)"),
    ],
)
def test_what_stands_in_its_place_is_left_alone(tmp_path: Path, path: str, code: str) -> None:
    write(tmp_path / path, code)

    assert violations(tmp_path) == []


def test_a_colour_in_the_style_of_a_component_is_found(tmp_path: Path) -> None:
    write(tmp_path / "xent_ui/one_example/live/live.css", ".a { color: var(--st-text-color);\n background: #fff; }")

    assert violations(tmp_path) == [Violation("xent_ui/one_example/live/live.css:2", f"the colour #fff is for {THEME}")]
