"""Small faults that a program could have: where each stands, what it says there, and what it would say instead."""

import ast
import random
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

PACKAGES = ("xent_core", "xent_ui", "xent_host")
SWAPS: dict[type[ast.AST], tuple[type[ast.AST], ...]] = {
    ast.Lt: (ast.LtE, ast.Gt), ast.LtE: (ast.Lt,), ast.Gt: (ast.GtE, ast.Lt), ast.GtE: (ast.Gt,),
    ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,), ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,), ast.NotIn: (ast.In,), ast.And: (ast.Or,), ast.Or: (ast.And,),
    ast.Add: (ast.Sub,), ast.Sub: (ast.Add,), ast.Mult: (ast.Div,), ast.Div: (ast.Mult,), ast.FloorDiv: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,), ast.Pow: (ast.Mult,), ast.BitOr: (ast.BitAnd,), ast.BitAnd: (ast.BitOr,),
}  # fmt: skip  # by kind, a line each
OTHERS = {"min": "max", "max": "min", "any": "all", "all": "any", "argmax": "argmin", "argmin": "argmax",
          "amax": "amin", "amin": "amax", "double": "float", "float64": "float32", "int64": "int32", "floor": "ceil",
          "minimum": "maximum", "maximum": "minimum", "isnan": "isinf"}  # fmt: skip  # pairs
STEPS = {"abs", "strip", "lower", "upper", "detach", "double", "float", "clone", "sorted", "round", "clamp", "flatten",
         "contiguous", "cpu", "squeeze", "unsqueeze", "copy", "nan_to_num", "exp", "log", "sqrt", "t", "tolist", "sort",
         "removesuffix", "removeprefix", "rstrip", "lstrip", "casefold", "reversed", "set",
         "bool"}  # fmt: skip  # calls
AXES = {"dim", "axis"}
ALONG = {"sum", "mean", "max", "min", "amax", "amin", "argmax", "softmax", "log_softmax", "any", "all", "size"}
SMALL = 0.05  # a number below it, and above 0, is a tolerance


@dataclass(frozen=True)
class Fault:
    """`was`, the text from byte `start` to byte `end` of a file, would become `now`."""

    path: str
    line: int
    function: str
    kind: str
    start: int
    end: int
    was: str
    now: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line} {self.function} | {self.kind} | `{_short(self.was)}` → `{_short(self.now)}`"


def planted(source: str, fault: Fault) -> str:
    """The source with the fault in it.

    Raises: ValueError if the text that the fault replaces does not stand there.
    """
    text = source.encode()
    if text[fault.start : fault.end].decode() != fault.was:
        raise ValueError(f"{fault.path}:{fault.line} does not read {fault.was!r} any more; look for its faults anew")
    return (text[: fault.start] + fault.now.encode() + text[fault.end :]).decode()


def faults(root: Path, package: str) -> list[Fault]:
    """Every fault that can be planted in a package."""
    paths = sorted((root / package).rglob("*.py"))
    return [one for path in paths for one in faults_in(path.read_text("utf-8"), path.relative_to(root).as_posix())]


def faults_in(source: str, path: str = "") -> list[Fault]:
    """Every fault that can be planted in a source; each still parses."""
    found = list[Fault]()
    starts = [0]
    for line in source.encode().splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    text = source.encode()
    for node, function in _nodes(ast.parse(source), ()):
        for kind, there, changed in _changes(node):
            start = starts[there.lineno - 1] + there.col_offset
            end = starts[(there.end_lineno or 0) - 1] + (there.end_col_offset or 0)
            was = text[start:end].decode(errors="replace")
            if isinstance(there, ast.expr) and not _says(was, there):  # in an f-string Python 3.11 names another place
                continue
            now = ast.unparse(changed)
            now = f"({now})" if isinstance(changed, ast.BoolOp | ast.BinOp | ast.Compare | ast.IfExp) else now
            fault = Fault(path, there.lineno, ".".join(function), kind, start, end, was, now)
            if now != was and _parses(planted(source, fault)):
                found.append(fault)
    return found


def pick(found: list[Fault], count: int, chance: random.Random) -> list[Fault]:
    """So many of them by chance, of each kind as many as there are and as the others leave room for."""
    by_kind = defaultdict[str, list[Fault]](list)
    for fault in found:
        by_kind[fault.kind].append(fault)
    for same in by_kind.values():
        chance.shuffle(same)
    picked = list[Fault]()
    while len(picked) < min(count, len(found)):
        for same in [same for same in by_kind.values() if same]:
            picked.append(same.pop())
    return picked[:count]


def _nodes(node: ast.AST, function: tuple[str, ...]) -> Iterator[tuple[ast.AST, tuple[str, ...]]]:
    """Every node with the function around it; without annotations, decorators and the first texts of functions."""
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "bases", "pattern"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, ast.Import | ast.ImportFrom | ast.Assert):
                yield child, function
                if isinstance(child, ast.FunctionDef | ast.ClassDef | ast.AsyncFunctionDef):
                    yield from _nodes(child, (*function, child.name))
                else:
                    yield from _nodes(child, function)


def _changes(node: ast.AST) -> Iterator[tuple[str, ast.expr | ast.stmt, ast.AST]]:
    """The kinds of changes that begin at a node, each with the node that is replaced, and by what."""
    if isinstance(node, ast.expr):
        for kind, changed in _changed_expressions(node):
            yield kind, node, changed
    if isinstance(node, ast.Call):
        for kind, changed in _changed_calls(node):
            yield kind, node, changed
    if isinstance(node, ast.Raise | ast.AugAssign) or (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        yield "dropped statement", node, ast.Pass()
    if isinstance(node, ast.If | ast.IfExp | ast.While):
        yield "forced branch", node.test, ast.Constant(False)
        if not isinstance(node, ast.While):
            yield "forced branch", node.test, ast.Constant(True)
    if isinstance(node, ast.comprehension):
        for condition in node.ifs:
            yield "forced branch", condition, ast.Constant(True)


def _changed_expressions(node: ast.expr) -> Iterator[tuple[str, ast.AST]]:
    """What else an expression that is no call could say."""
    match node:
        case ast.Compare(left, [operation], [right]):
            for other in SWAPS[type(operation)]:
                kind = "is not" if isinstance(operation, ast.Is | ast.IsNot) else "comparison"
                yield kind, ast.Compare(left, [other()], [right])
        case ast.Compare(left, [first, second], [middle, right]):
            yield "comparison", ast.Compare(left, [SWAPS[type(first)][0](), second], [middle, right])
            yield "comparison", ast.Compare(left, [first, SWAPS[type(second)][0]()], [middle, right])
        case ast.BoolOp(operation, values):
            yield "and/or", ast.BoolOp(SWAPS[type(operation)][0](), values)
            for place in range(len(values)):
                rest = values[:place] + values[place + 1 :]
                yield "dropped condition", rest[0] if len(rest) == 1 else ast.BoolOp(operation, rest)
        case ast.BinOp(left, operation, right) if type(operation) in SWAPS and not (_is_text(left) or _is_text(right)):
            yield "arithmetic", ast.BinOp(left, SWAPS[type(operation)][0](), right)
        case ast.UnaryOp(ast.Not(), operand):
            yield "dropped not", operand
        case ast.UnaryOp(ast.USub(), operand) if not isinstance(operand, ast.Constant):
            yield "arithmetic", operand
        case ast.IfExp(test, body, orelse):
            yield "swapped branch", ast.IfExp(test, orelse, body)
        case ast.Constant(bool(value)):
            yield "True/False", ast.Constant(not value)
        case ast.Constant(int(value)):
            yield "off by one", ast.Constant(value + 1)
            yield "off by one", ast.Constant(value - 1)
        case ast.Constant(float(value)) if 0 < value < SMALL:
            yield "tolerance", ast.Constant(value * 1000)
            yield "tolerance", ast.Constant(value / 1000)
        case ast.Constant(float(value)):
            yield "changed bound", ast.Constant(0.5 if value == 1 else value * 2 or 1.0)
        case ast.Subscript(value, ast.Slice(lower, upper, step)):
            if lower is not None:
                yield "slice", ast.Subscript(value, ast.Slice(None, upper, step), ast.Load())
            if upper is not None:
                yield "slice", ast.Subscript(value, ast.Slice(lower, None, step), ast.Load())
        case ast.Attribute(value, name, ast.Load()) if name in OTHERS:
            yield _kind_of(name), ast.Attribute(value, OTHERS[name], ast.Load())
        case ast.Name(name, ast.Load()) if name in OTHERS:
            yield _kind_of(name), ast.Name(OTHERS[name], ast.Load())


def _changed_calls(call: ast.Call) -> Iterator[tuple[str, ast.AST]]:
    """A call without one of its arguments, with two of them swapped, along another axis, or not made at all."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    for place, keyword in enumerate(call.keywords):
        others = call.keywords[:place] + call.keywords[place + 1 :]
        if keyword.arg in AXES and (axis := _whole_number(keyword.value)) is not None:
            other = ast.keyword(keyword.arg, ast.Constant(0 if axis else 1))
            yield "axis", ast.Call(call.func, call.args, [*others, other])
        elif name not in ("format", "_"):
            yield "dropped argument", ast.Call(call.func, call.args, others)
    for place, (one, other) in enumerate(pairwise(call.keywords)):
        swapped = [ast.keyword(one.arg, other.value), ast.keyword(other.arg, one.value)]
        keywords = [*call.keywords[:place], *swapped, *call.keywords[place + 2 :]]
        yield "neighbouring value", ast.Call(call.func, call.args, keywords)
    if len(call.args) > 1 and isinstance(call.args[-1], ast.Constant | ast.Attribute):
        yield "dropped argument", ast.Call(call.func, call.args[:-1], call.keywords)
    if len(call.args) > 1 and isinstance(call.args[0], ast.Name | ast.Attribute | ast.Subscript):
        yield "swapped arguments", ast.Call(call.func, [call.args[1], call.args[0], *call.args[2:]], call.keywords)
    if name in ALONG and len(call.args) == 1 and (axis := _whole_number(call.args[0])) is not None:
        yield "axis", ast.Call(call.func, [ast.Constant(0 if axis else 1)], call.keywords)
    if name in STEPS and isinstance(call.func, ast.Attribute):
        yield "dropped step", call.func.value
    elif name in STEPS and len(call.args) == 1:
        yield "dropped step", call.args[0]
    if name in ("min", "max") and len(call.args) == 2:
        yield "dropped bound", call.args[0]
        yield "dropped bound", call.args[1]


def _kind_of(name: str) -> str:
    return "dtype" if name in ("double", "float64", "int64") else "min/max"


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Constant) and isinstance(node.value, str))


def _whole_number(node: ast.expr) -> int | None:
    try:
        value = ast.literal_eval(node)  # a node of our own source; also of -1, which is no Constant
    except ValueError:
        return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _says(text: str, node: ast.expr) -> bool:
    """Whether a text is the source of an expression."""
    try:
        return ast.unparse(ast.parse(f"(\n{text}\n)", mode="eval").body) == ast.unparse(node)
    except SyntaxError:
        return False


def _parses(source: str) -> bool:
    try:
        ast.parse(source)
    except SyntaxError:
        return False
    return True


def _short(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 90 else f"{text[:60]} … {text[-25:]}"
