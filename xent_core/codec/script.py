"""A Problem as a program that runs alone and asserts the numbers that PyTorch gave here."""

from __future__ import annotations

from typing import Literal

import torch

from xent_core.codec.jax_program import jax_program
from xent_core.codec.literals import number
from xent_core.codec.program import Program, call, tensor
from xent_core.cross_entropy import Evaluation, evaluate
from xent_core.language import _
from xent_core.problem import Problem

FRAMEWORKS = ("torch", "jax")

# rtol and atol; the half types round so coarsely that another processor may give a neighbouring number
_TOLERANCES = {torch.float16: "4e-3", torch.bfloat16: "2e-2"}


Framework = Literal["torch", "jax"]


def to_script(problem: Problem, *, framework: Framework = "torch") -> str:
    """A program that computes the loss and its gradient, prints both, and asserts the numbers that `evaluate` gives.

    It needs PyTorch alone, or JAX, optax and NumPy.
    Options at their default do not appear, and ruff format leaves it as it is.

    Args:
      framework: "torch" or "jax".
    Raises: UnsupportedInJax where JAX and PyTorch give different numbers; ValueError for another framework.
    """
    if framework not in FRAMEWORKS:
        raise ValueError(f"framework is {framework!r}, expected 'torch' or 'jax'. Choose one of the two.")
    result = evaluate(problem)
    program = torch_program(result) if framework == "torch" else jax_program(result)
    title = _("The loss and the gradient of a softmax cross-entropy, and the numbers to expect.")
    space = "\n\n" if framework == "torch" else "\n\n\n"  # around a function
    parts = [f"{program.imports}\n\n{program.data}", f"{program.loss}\n{program.gradient}", program.check]
    if framework == "jax":
        parts = [parts[0], program.loss, f"{program.gradient}\n\n{program.check}"]
    return f'"""{title}"""\n\n' + space.join(parts) + "\n"


def torch_program(result: Evaluation) -> Program:
    """The parts of the program in PyTorch."""
    problem = result.problem
    data = [tensor("logits", problem.logits, "requires_grad=True"), tensor("target", problem.target)]
    if problem.weight is not None:
        data.append(tensor("weight", problem.weight))
    logits = "logits" if problem.temperature == 1 else f"logits / {number(repr(problem.temperature))}"
    is_scalar = result.loss.dim() == 0
    loss = [
        call("loss = F.cross_entropy", [logits, "target", *_options(problem)]),
        'print("loss:", loss.item())' if is_scalar else 'print("loss:", loss)',
    ]
    gradient = ["loss.backward()" if is_scalar else "loss.sum().backward()", 'print("gradient:", logits.grad)']
    return Program(
        "import torch\nimport torch.nn.functional as F",
        "\n".join(data),
        "\n".join(loss),
        "\n".join(gradient),
        _check(result),
    )


def _options(problem: Problem) -> list[str]:
    """The arguments of F.cross_entropy that change something."""
    options = [] if problem.weight is None else ["weight=weight"]
    if problem.ignore_index != -100 and not problem.has_probabilities:  # of probabilities PyTorch ignores no row
        options.append(f"ignore_index={problem.ignore_index}")
    if problem.reduction != "mean":
        options.append(f'reduction="{problem.reduction}"')
    if problem.smoothing:
        options.append(f"label_smoothing={number(repr(problem.label_smoothing))}")
    return options


def _check(result: Evaluation) -> str:
    lines = [tensor("expected_loss", result.loss), tensor("expected_gradient", result.grad_logits)]
    for name, expected, values in (
        ("loss", "expected_loss", result.loss),
        ("logits.grad", "expected_gradient", result.grad_logits),
    ):
        arguments = [name, expected]
        if values.dtype in _TOLERANCES:
            arguments += [f"rtol={_TOLERANCES[values.dtype]}", f"atol={_TOLERANCES[values.dtype]}"]
        if values.isnan().any():
            arguments.append("equal_nan=True")
        lines.append(call("torch.testing.assert_close", arguments))
    return "\n".join(lines)
