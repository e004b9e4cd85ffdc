"""The parts of an exported program, and the lines of which they are made, as ruff format leaves them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from xent_core.codec.literals import WIDTH, assignment, dtype_argument


@dataclass(frozen=True)
class Program:
    """Python source in the order in which it runs; no part ends with a line end."""

    imports: str
    data: str
    loss: str
    gradient: str
    check: str


def call(function: str, arguments: Sequence[str], *, indent: str = "") -> str:
    """The call on one line, or with its arguments on the next, or on a line each."""
    line = f"{indent}{function}({', '.join(arguments)})"
    if len(line) <= WIDTH:
        return line
    inside = f"{indent}    {', '.join(arguments)}"
    if len(inside) <= WIDTH:
        return f"{indent}{function}(\n{inside}\n{indent})"
    return f"{indent}{function}(\n" + "".join(f"{indent}    {argument},\n" for argument in arguments) + f"{indent})"


def tensor(name: str, values: Tensor, *arguments: str, module: str = "torch", function: str = "tensor") -> str:
    """`name = torch.tensor(…)`, with a dtype where the numbers alone do not say it."""
    arguments = (*dtype_argument(values, module), *arguments)
    if values.numel() == 0:
        return call(f"{name} = {module}.empty", [str(tuple(values.shape)), *arguments])
    return assignment(name, f"{module}.{function}", values, arguments, module=module)
