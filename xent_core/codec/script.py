"""A Problem as a program that runs alone and asserts the numbers that PyTorch gave here."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from xent_core.codec.literals import WIDTH, assignment, dtype_argument, number
from xent_core.cross_entropy import Evaluation, evaluate
from xent_core.language import _
from xent_core.problem import Problem

# the half types round so coarsely that another processor may give a neighbouring number
_TOLERANCES = {torch.float16: ("4e-3", "4e-3"), torch.bfloat16: ("2e-2", "2e-2")}


@dataclass(frozen=True)
class Program:
    """The parts of a program, in order; each is Python source without a line end."""

    imports: str
    data: str
    loss: str
    gradient: str
    check: str


def to_script(problem: Problem, *, framework: str = "torch") -> str:
    """A program that computes the loss and its gradient, prints both, and asserts the numbers that `evaluate` gives.

    It needs PyTorch alone, or JAX, optax and NumPy; options at their default do not appear; ruff format would not
    change it.

    Args:
      framework: "torch" or "jax".
    Raises: UnsupportedInJax for what JAX computes otherwise; ValueError for another framework.
    """
    if framework != "torch":
        raise ValueError(f"framework is {framework!r}, expected 'torch' or 'jax'. Choose one of the two.")
    program = torch_program(problem)
    title = _("The loss and the gradient of a softmax cross-entropy, and the numbers to expect.")
    parts = [program.imports, program.data, f"{program.loss}\n{program.gradient}", program.check]
    return f'"""{title}"""\n\n' + "\n\n".join(parts) + "\n"


def torch_program(problem: Problem) -> Program:
    """The parts of the program in PyTorch."""
    result = evaluate(problem)
    is_unreduced = problem.reduction == "none"
    data = [_tensor("logits", problem.logits, ["requires_grad=True"]), _tensor("target", problem.target)]
    if problem.weight is not None:
        data.append(_tensor("weight", problem.weight))
    arguments = ["logits" if problem.temperature == 1 else f"logits / {number(repr(problem.temperature))}", "target"]
    arguments += _options(problem)
    loss = _call("loss = F.cross_entropy", arguments)
    loss += '\nprint("loss:", loss)' if is_unreduced else '\nprint("loss:", loss.item())'
    gradient = "loss.sum().backward()" if is_unreduced and result.loss.dim() else "loss.backward()"
    gradient += '\nprint("gradient:", logits.grad)'
    return Program("import torch\nimport torch.nn.functional as F", "\n".join(data), loss, gradient, _check(result))


def _options(problem: Problem) -> list[str]:
    """The arguments of F.cross_entropy that change something."""
    options = [] if problem.weight is None else ["weight=weight"]
    if problem.ignore_index != -100 and not problem.has_probabilities:
        options.append(f"ignore_index={problem.ignore_index}")
    if problem.reduction != "mean":
        options.append(f'reduction="{problem.reduction}"')
    if problem.smoothing:
        options.append(f"label_smoothing={number(repr(problem.label_smoothing))}")
    return options


def _check(result: Evaluation) -> str:
    lines = [_tensor("expected_loss", result.loss), _tensor("expected_gradient", result.grad_logits)]
    for name, values in (("loss", result.loss), ("logits.grad", result.grad_logits)):
        arguments = [name, f"expected_{'loss' if name == 'loss' else 'gradient'}"]
        if values.dtype in _TOLERANCES:
            rtol, atol = _TOLERANCES[values.dtype]
            arguments += [f"rtol={rtol}", f"atol={atol}"]
        if values.isnan().any():
            arguments.append("equal_nan=True")
        lines.append(_call("torch.testing.assert_close", arguments))
    return "\n".join(lines)


def _tensor(name: str, values: Tensor, arguments: list[str] | None = None) -> str:
    arguments = [*dtype_argument(values, "torch"), *(arguments or [])]
    if values.numel() == 0:
        return f"{name} = torch.empty({', '.join([str(tuple(values.shape)), *arguments])})"
    return assignment(name, "torch.tensor", values, arguments, module="torch")


def _call(function: str, arguments: list[str]) -> str:
    """The call on one line, or with its arguments on the next, or on a line each."""
    line = f"{function}({', '.join(arguments)})"
    if len(line) <= WIDTH:
        return line
    inside = f"    {', '.join(arguments)}"
    if len(inside) <= WIDTH:
        return f"{function}(\n{inside}\n)"
    return f"{function}(\n" + "".join(f"    {argument},\n" for argument in arguments) + ")"
