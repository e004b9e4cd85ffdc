"""Tensors as Python source, laid out as ruff format lays it out."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from xent_core.codec.tensors import DTYPE_NAMES
from xent_core.decimals import shortest_decimals

WIDTH = 88


def assignment(name: str, call: str, values: Tensor, arguments: Sequence[str], *, module: str) -> str:
    """`name = call(values, *arguments)`: on one line, else a row on each, else with rows that are wrapped.

    Args:
      module: where nan and inf live, such as "torch".
    """
    texts = _texts(values, module)
    shape = list(values.shape)
    line = f"{name} = {call}({', '.join([_nested(texts, shape), *arguments])})"
    if len(shape) < 2 and len(line) <= WIDTH:
        return line
    block = _block(texts, shape, " " * 4)
    is_wide = max(map(len, block.splitlines())) > WIDTH
    if is_wide:
        block = _block(texts, shape, " " * 4, wraps=True)
    inside = "".join(f"    {argument},\n" for argument in arguments)
    comma = "," if arguments else ""
    text = f"{name} = {call}(\n{block}{comma}\n{inside})"
    return f"# fmt: off\n{text}\n# fmt: on" if is_wide else text


def number(text: str, module: str = "") -> str:
    """The text of a float as ruff format leaves it; NaN and infinities by their names in the module."""
    return text.replace("e+", "e").replace("inf", f"{module}.inf").replace("nan", f"{module}.nan")


def dtype_argument(tensor: Tensor, module: str) -> list[str]:
    """`dtype=…` as an argument, unless the values alone say it."""
    says_itself = tensor.dtype in (torch.float32, torch.int64, torch.bool) and tensor.numel() > 0
    if says_itself or (tensor.dtype == torch.float32 and not tensor.numel()):
        return []
    return [f"dtype={module}.{DTYPE_NAMES[tensor.dtype]}"]


def _texts(values: Tensor, module: str) -> list[str]:
    if not values.is_floating_point():
        return [repr(value) for value in values.reshape(-1).tolist()]
    return [number(text, module) for text in shortest_decimals(values)]


def _nested(texts: Sequence[str], shape: Sequence[int]) -> str:
    if not shape:
        return texts[0]
    return f"[{', '.join(_nested(part, shape[1:]) for part in _parts(texts, shape))}]"


def _parts(texts: Sequence[str], shape: Sequence[int]) -> list[Sequence[str]]:
    step = math.prod(shape[1:])
    return [texts[index * step : (index + 1) * step] for index in range(shape[0])]


def _block(texts: Sequence[str], shape: Sequence[int], indent: str, *, wraps: bool = False) -> str:
    """Nested lists with the innermost ones on a line each."""
    if len(shape) < 2:
        line = indent + _nested(texts, shape)
        return line if not wraps or len(line) < WIDTH else _wrapped(texts, indent)
    inner = [_block(part, shape[1:], indent + " " * 4, wraps=wraps) for part in _parts(texts, shape)]
    return f"{indent}[\n" + "".join(f"{part},\n" for part in inner) + f"{indent}]"


def _wrapped(texts: Sequence[str], indent: str) -> str:
    """One list over as many lines as its numbers need."""
    lines = [f"{indent}["]
    for text in texts:
        if len(lines[-1]) + len(text) + 2 > WIDTH:
            lines.append(f"{indent} ")
        lines[-1] += f"{'' if lines[-1].endswith('[') or lines[-1].isspace() else ' '}{text},"
    return "\n".join(lines)[:-1] + "]"
