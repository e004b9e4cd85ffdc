"""A Problem with its names, and its JSON: the schema is in docs/format.md."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import torch
from torch import Tensor

from xent_core.codec.refusals import InvalidFile, RefusedProblem
from xent_core.codec.tensors import DTYPE_NAMES, DTYPES_BY_NAME, MAX_AXES, MAX_NUMBERS, is_shape, range_of
from xent_core.decimals import shortest_decimals
from xent_core.language import _
from xent_core.own_format import DOCUMENT_OPTIONS, FORMAT, FORMAT_VERSION, NAMES, TENSORS
from xent_core.problem import InvalidProblem, Problem

MAX_JSON = 16 * 2**20  # characters
MAX_NAME = 200  # characters of one name

_KEYS = {"format", "version", *TENSORS, *DOCUMENT_OPTIONS, *NAMES}
_WORDS = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}


@dataclass(frozen=True)
class Document:
    """A Problem and what its classes and rows are called.

    Attributes:
      class_names: C different names, or none.
      row_names: one name for each row, in the order of the row losses flattened, or none.
      reading: what was taken for what in a file that another program wrote; empty for one of ours.

    Raises: InvalidFile for names that do not fit the Problem.
    """

    problem: Problem
    class_names: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()
    reading: str = ""

    def __post_init__(self) -> None:
        for kind, names, count in (
            ("class_names", self.class_names, self.problem.num_classes),
            ("row_names", self.row_names, self.problem.num_rows),
        ):
            _check_names(kind, names, count)
        if len(set(self.class_names)) < len(self.class_names):
            twice = next(name for name, count in Counter(self.class_names).items() if count > 1)
            raise InvalidFile(
                _("two classes are named {name!r}").format(name=twice),
                _("a different name for each class"),
                _("Rename one of them."),
            )


def to_json(problem: Problem, *, class_names: Sequence[str] = (), row_names: Sequence[str] = ()) -> str:
    """Everything as JSON, every number with the fewest digits that give it back exactly.

    NaN and the infinities are the strings "nan", "inf" and "-inf", as JSON has no numbers for them.
    Raises: InvalidFile if the names do not fit, or if the Problem is larger than `from_json` reads.
    """
    document = Document(problem, tuple(class_names), tuple(row_names))
    if not is_shape(problem.logits.shape):
        raise too_large(tuple(problem.logits.shape))
    entries = {"format": json.dumps(FORMAT), "version": str(FORMAT_VERSION)}
    for name in TENSORS:
        tensor = getattr(problem, name)
        entries[name] = "null" if tensor is None else _tensor_json(tensor)
    for name in DOCUMENT_OPTIONS:
        entries[name] = _scalar_json(getattr(problem, name))
    for name in NAMES:
        entries[name] = json.dumps(getattr(document, name), ensure_ascii=False)
    return "{\n" + ",\n".join(f'  "{name}": {text}' for name, text in entries.items()) + "\n}\n"


def from_json(text: str) -> Document:
    """What `to_json` wrote; options and names that are left out have their defaults.

    Raises: InvalidFile for anything else: unknown or repeated keys, other types, sizes that do not agree.
    """
    data = parsed_json(text)
    if not isinstance(data, dict):
        raise _not_json(_("JSON without an object around it"))
    if data.get("format") != FORMAT:
        raise InvalidFile(
            _("JSON whose format is {came}").format(came=shown(data.get("format"))),
            f'"format": "{FORMAT}"',
            _("Open a file that was saved as JSON here, or see docs/format.md."),
        )
    if data.get("version") is True or data.get("version") != FORMAT_VERSION:
        raise InvalidFile(
            _("version {came}").format(came=shown(data.get("version"))),
            _("version {version}").format(version=FORMAT_VERSION),
            _("Open the file where it was made, or save it again in this version."),
        )
    _check_keys(data, _KEYS)
    tensors = {name: _tensor_from(name, data[name]) for name in TENSORS if data.get(name) is not None}
    return document_from(tensors, {name: data[name] for name in (*DOCUMENT_OPTIONS, *NAMES) if name in data})


def json_is_of_others(text: str) -> bool:
    """Whether this is a list of objects, lines of objects, or an object with lists that names no format."""
    bare = text.lstrip()
    if bare.startswith("["):
        return bare[1:65].lstrip().startswith("{")
    try:
        data = parsed_json(text)
    except InvalidFile:
        return bare.startswith("{") and _begins_with_an_object(bare)
    return (
        isinstance(data, dict)
        and "format" not in data
        and any(isinstance(value, list | dict) for value in data.values())
    )


def _begins_with_an_object(text: str) -> bool:
    """Whether the first line is an object that names no format, as in JSON Lines."""
    try:
        first = json.loads(text.partition("\n")[0])
        return isinstance(first, dict) and "format" not in first
    except (ValueError, RecursionError):
        return False


def document_from(tensors: Mapping[str, Any], options: Mapping[str, Any]) -> Document:
    """The Document of tensors or arrays under the names in TENSORS, and of values under the others.

    Raises: InvalidFile, for a Problem that PyTorch would refuse too.
    """
    for name in ("logits", "target"):
        if name not in tensors:
            raise InvalidFile(
                _("a file without {name}").format(name=name),
                _("logits and target, that is, the labels"),
                _("Save both under these names."),
            )
    values: dict[str, Any] = {}
    for name in DOCUMENT_OPTIONS:
        if name in options:
            values[name] = (_text if name == "reduction" else _whole if name == "ignore_index" else _real)(
                name, options[name]
            )
    names = {name: _names(name, options[name]) for name in NAMES if name in options}
    for tensor in tensors.values():
        if not is_shape(tensor.shape):
            raise too_large(tuple(tensor.shape))
    try:
        problem = Problem(tensors["logits"], tensors["target"], weight=tensors.get("weight"), **values)
    except InvalidProblem as error:
        raise RefusedProblem(error, tensors, values) from error
    return Document(problem, names.get("class_names", ()), names.get("row_names", ()))


def parsed_json(text: str) -> Any:
    """What stands in JSON text from outside. Raises: InvalidFile, for a key twice and a number beyond float64 too."""
    if not isinstance(text, str) or len(text) > MAX_JSON:
        raise InvalidFile(
            _("a text of {length} characters").format(length=f"{len(text):,}"),
            _("at most {limit}").format(limit=f"{MAX_JSON:,}"),
            _("Save fewer rows, or use NPZ."),
        )
    # lists and objects cost far more memory than the characters that open them
    if sum(map(text.count, "[{,")) > 8 * MAX_NUMBERS:
        raise too_large(_("more numbers than that"))
    try:
        return json.loads(
            text, object_pairs_hook=_object, parse_float=_parse_float, parse_int=_parse_int, parse_constant=_no_constant
        )
    except RecursionError as error:
        raise _not_json(_("brackets nested too deep")) from error
    except json.JSONDecodeError as error:
        came = _("text that is not JSON (line {line}, column {column}: {why})")
        raise _not_json(came.format(line=error.lineno, column=error.colno, why=error.msg)) from error


def too_large(came: object) -> InvalidFile:
    """The refusal of a Problem with too many numbers."""
    return InvalidFile(
        _("logits of shape {came}").format(came=came),
        _("at most {limit} numbers and {axes} axes").format(limit=f"{MAX_NUMBERS:,}", axes=MAX_AXES),
        _("Take fewer rows; for a large dump use: python -m xent_core analyse."),
    )


def shown(value: object) -> str:
    """repr, cut short."""
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def float_text(value: float) -> str:
    """A Python float as JSON holds it."""
    return repr(value) if math.isfinite(value) else f'"{value!r}"'


def nested(texts: Sequence[str], shape: Sequence[int]) -> str:
    """Nested lists of this shape, written out on one line."""
    if not shape:
        return texts[0]
    step = math.prod(shape[1:])
    parts = (nested(texts[index * step : (index + 1) * step], shape[1:]) for index in range(shape[0]))
    return f"[{', '.join(parts)}]"


def _tensor_json(tensor: Tensor) -> str:
    if tensor.is_floating_point():
        texts = [f'"{text}"' if text[-1] in "fn" else text for text in shortest_decimals(tensor)]
    else:
        texts = [json.dumps(value) for value in tensor.reshape(-1).tolist()]
    shape = list(tensor.shape)
    values = nested(texts, shape)
    if len(shape) > 1 and tensor.numel():  # a row on each line
        step = math.prod(shape[1:])
        rows = (nested(texts[index * step : (index + 1) * step], shape[1:]) for index in range(shape[0]))
        values = "[\n      " + ",\n      ".join(rows) + "\n    ]"
    return f'{{\n    "dtype": "{DTYPE_NAMES[tensor.dtype]}",\n    "shape": {shape},\n    "values": {values}\n  }}'


def _scalar_json(value: int | str | float) -> str:
    return float_text(value) if isinstance(value, float) else json.dumps(value)


def _tensor_from(name: str, data: Any) -> Tensor:
    if not isinstance(data, dict):
        raise _mistyped(name, data, _("an object with dtype, shape and values"))
    _check_keys(data, {"dtype", "shape", "values"}, inside=name)
    for key in ("dtype", "shape", "values"):
        if key not in data:
            raise _mistyped(name, data, _("dtype, shape and values"))
    dtype = DTYPES_BY_NAME.get(data["dtype"]) if isinstance(data["dtype"], str) else None
    if dtype is None:
        raise _mistyped(f"{name}.dtype", data["dtype"], _("one of {names}").format(names=", ".join(DTYPES_BY_NAME)))
    shape = data["shape"]
    if not isinstance(shape, list) or not all(type(size) is int for size in shape):
        raise _mistyped(f"{name}.shape", shape, _("a list of whole numbers"))
    if not is_shape(shape):
        raise too_large(shown(shape))
    flat: list[Any] = []
    _flatten(name, data["values"], shape, flat)
    if dtype.is_floating_point:
        numbers = [_real(name, value) for value in flat]
        return torch.tensor(numbers, dtype=torch.float64).to(dtype).reshape(shape)
    least, largest = range_of(dtype)
    for value in flat:
        if type(value) is not (bool if dtype == torch.bool else int) or not least <= value <= largest:
            raise _mistyped(name, value, _("a value of {dtype}").format(dtype=data["dtype"]))
    return torch.tensor(flat, dtype=dtype).reshape(shape)


def _flatten(name: str, values: Any, shape: Sequence[int], into: list[Any]) -> None:
    if not shape:
        into.append(values)
        return
    if not isinstance(values, list) or len(values) != shape[0]:
        came = _("a list of {count}").format(count=len(values)) if isinstance(values, list) else shown(values)
        raise InvalidFile(
            _("{name} holds {came}").format(name=name, came=came),
            _("a list of {count}, as its shape says").format(count=shape[0]),
            _("Correct the shape, or complete the values."),
        )
    for value in values:
        _flatten(name, value, shape[1:], into)


def _check_keys(data: Mapping[str, Any], known: Iterable[str], *, inside: str = "") -> None:
    for key in data:
        if key not in known:
            raise InvalidFile(
                _("{where} has {key}").format(where=inside or _("the file"), key=shown(key)),
                _("only {names}").format(names=", ".join(sorted(known))),
                _("Remove it, or correct its spelling."),
            )


def _check_names(kind: str, names: Sequence[str], count: int) -> None:
    if names and len(names) != count:
        raise InvalidFile(
            _("{kind} has {came} names").format(kind=kind, came=len(names)),
            _("{count} names, or none").format(count=count),
            _("Give each its name."),
        )
    for name in names:
        if not isinstance(name, str) or not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise InvalidFile(
                _("{kind} has the name {name}").format(kind=kind, name=shown(name)),
                _("1 to {limit} printable characters").format(limit=MAX_NAME),
                _("Rename it."),
            )


def _names(name: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise _mistyped(name, value, _("a list of names"))
    return tuple(value)


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _mistyped(name, value, _("a text"))
    return value


def _whole(name: str, value: Any) -> int:
    if type(value) is not int:
        raise _mistyped(name, value, _("a whole number"))
    return value


def _real(name: str, value: Any) -> float:
    if type(value) is float:
        return value
    if isinstance(value, str) and value in _WORDS:
        return _WORDS[value]
    if type(value) is int and abs(value) < 2**1024:
        try:
            return float(value)
        except OverflowError:
            pass
    raise _mistyped(name, value, _('a number, "nan", "inf" or "-inf"'))


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result: dict[str, Any] = {}
    for key, value in pairs:
        if key in result:
            raise InvalidFile(
                _("the key {key} twice").format(key=shown(key)),
                _("each key once"),
                _("Remove one of the two."),
            )
        result[key] = value
    return result


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise _mistyped(_("a number"), text, _("at most about 1.8e308 in size"))
    return value


def _parse_int(text: str) -> int:
    if len(text) > 400:  # Python takes quadratic time for longer ones, and no float is larger
        raise _mistyped(_("a number"), text, _("at most about 1.8e308 in size"))
    return int(text)


def _no_constant(text: str) -> NoReturn:
    raise _not_json(_("the word {text}").format(text=text))


def _not_json(came: str) -> InvalidFile:
    return InvalidFile(
        came,
        _('a JSON object, with "nan", "inf" and "-inf" in quotes'),
        _("Open a file that was saved as JSON here, or see docs/format.md."),
    )


def _mistyped(name: str, value: object, expected: str) -> InvalidFile:
    return InvalidFile(
        _("{name} is {came}").format(name=name, came=shown(value)), expected, _("Correct it in the file.")
    )
