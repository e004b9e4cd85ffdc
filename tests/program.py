"""The Python files as syntax trees, and what each imports: what the rules of architecture and of rooms are read from.

Every rule reads the syntax tree, so that a word in a docstring or in exported code does not count.
"""

import ast
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PROGRAM = ("app.py", "hosted.py", "pages", "xent_host", "xent_ui", "xent_core")
AROUND = ("tests", "benchmarks", "harness", "scripts")  # what is not the program
PAGES = tuple(path.stem for path in sorted(ROOT.glob("pages/*/*.py")))


class Source(NamedTuple):
    """One Python file."""

    path: str  # from the root, with slashes: xent_ui/figures/heatmap.py
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """Its name in an import: xent_ui.figures.heatmap; a package has that of its folder."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def name(self) -> str:
        """The last part of its path: heatmap, or __init__."""
        return self.path.rpartition("/")[2].removesuffix(".py")

    def under(self, *places: str) -> bool:
        return any(self.path == place or self.path.startswith(place + "/") for place in places)


class Violation(NamedTuple):
    """Where a rule is broken, and which."""

    place: str
    rule: str

    def __str__(self) -> str:
        return f"{self.place}: {self.rule}"


def sources(root: Path, places: Iterable[str] = PROGRAM) -> list[Source]:
    """Every Python file below `root` in these places; those of the program unless told otherwise."""
    files = [
        file
        for place in places
        for file in ([root / place] if place.endswith(".py") else sorted((root / place).rglob("*.py")))
        if file.is_file()
    ]
    return [_source(root, file, file.stat().st_mtime_ns) for file in files]


@cache
def _source(root: Path, file: Path, _changed: int) -> Source:
    text = file.read_text("utf-8")
    return Source(file.relative_to(root).as_posix(), text, ast.parse(text))


def write(file: Path, code: str) -> None:
    """A file with its folders: how a test breaks a rule on purpose."""
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(code, "utf-8")


def imports(source: Source) -> Iterator[tuple[int, str]]:
    """The line and the full name of everything imported: by statement, by name, in a function, for types only."""
    package = source.module if source.name == "__init__" else source.module.rpartition(".")[0]
    for node in ast.walk(source.tree):
        match node:
            case ast.Import(names=names):
                yield from ((node.lineno, name.name) for name in names)
            case ast.ImportFrom(module=module, names=names, level=level):
                base = package.split(".")[: package.count(".") + 2 - level] if level else []
                full = ".".join([*base, *([module] if module else [])])
                yield from ((node.lineno, f"{full}.{name.name}") for name in names)
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


def texts(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every string of the code, docstrings left out."""
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value


def modules_imported(source: Source, modules: Iterable[str]) -> Iterator[tuple[int, str]]:
    """Which of these modules it imports, itself left out; a name taken from a package is the package."""
    known = frozenset(modules)
    for line, name in imports(source):
        module = name if name in known else name.rpartition(".")[0]
        if module in known and module != source.module:
            yield line, module


def graph(found: Iterable[Source]) -> dict[str, frozenset[str]]:
    """For each module, those that it imports."""
    every = list(found)
    names = frozenset(source.module for source in every)
    return {source.module: frozenset(name for _, name in modules_imported(source, names)) for source in every}


def circles(imported: Mapping[str, frozenset[str]]) -> list[list[str]]:
    """A shortest way around for each group of names that import each other: [a, b, a]."""
    reach = {name: _reachable(name, imported) for name in imported}
    groups = {
        frozenset(other for other in reach[name] if name in reach[other]) for name in imported if name in reach[name]
    }
    return sorted(_way_around(min(group), imported) for group in groups)


def _reachable(start: str, imported: Mapping[str, frozenset[str]]) -> frozenset[str]:
    seen: set[str] = set()
    waiting = [start]
    while waiting:
        for name in imported[waiting.pop()] - seen:
            seen.add(name)
            waiting.append(name)
    return frozenset(seen)


def _way_around(start: str, imported: Mapping[str, frozenset[str]]) -> list[str]:
    ways = [[start]]
    for way in ways:
        for name in sorted(imported[way[-1]]):
            if name == start:
                return [*way, start]
            if all(name not in other for other in ways):
                ways.append([*way, name])
    raise AssertionError(f"no way around from {start}")


def loaded_after(statement: str, packages: tuple[str, ...], *, root: Path) -> list[str]:
    """Which of the packages a fresh interpreter has loaded after the statement."""
    code = f"{statement}\nimport sys\nprint(*[name for name in {packages!r} if name in sys.modules])"
    ran = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, timeout=120)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.splitlines()[-1].split()
