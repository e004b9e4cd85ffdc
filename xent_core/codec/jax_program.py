"""A Problem as a program in JAX and optax, where these give the numbers of PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor

from xent_core.codec.literals import assignment, number
from xent_core.codec.program import Program, call, tensor
from xent_core.codec.refusals import UnsupportedInJax
from xent_core.cross_entropy import Evaluation
from xent_core.decimals import shortest_decimals
from xent_core.language import _
from xent_core.problem import Problem

# how far two libraries may differ: a few rounding errors of the dtype
_TOLERANCES = {torch.float64: 1e-10, torch.float32: 1e-5, torch.float16: 4e-3, torch.bfloat16: 2e-2}


def jax_program(result: Evaluation) -> Program:
    """The parts of the program; `loss` is a function of the logits.

    Raises: UnsupportedInJax for numbers that are not finite, for tensors without a number,
      for a weight of integers, and for a uint8 target with label_smoothing.
    """
    problem = result.problem
    _check_supported(result)
    needs_float64 = torch.float64 in {value.dtype for value in _tensors(problem).values()}
    data = ['jax.config.update("jax_enable_x64", True)\n'] if needs_float64 else []
    for name, values in _tensors(problem).items():
        # with float64 switched on, plain numbers become float64
        explicit = ["dtype=jnp.float32"] if needs_float64 and values.dtype == torch.float32 else []
        data.append(tensor(name, values, *explicit, module="jnp", function="array"))
    if result.loss.dim():
        gradient = ["loss = cross_entropy(logits)"]
        gradient.append("gradient = jax.grad(lambda logits: cross_entropy(logits).sum())(logits)")
    else:
        gradient = ["loss, gradient = jax.value_and_grad(cross_entropy)(logits)"]
    gradient += ['print("loss:", loss)', 'print("gradient:", gradient)']
    return Program(
        "import jax\nimport jax.numpy as jnp\nimport numpy as np\nimport optax",
        "\n".join(data),
        "\n".join(["def cross_entropy(logits):", *_body(problem)]),
        "\n".join(gradient),
        "\n".join([*_check("loss", result.loss, result), *_check("gradient", result.grad_logits, result)]),
    )


def _check_supported(result: Evaluation) -> None:
    problem = result.problem
    # the label's logit alone enters the loss of a plain label, so that −inf elsewhere is harmless in both libraries
    is_plain = not problem.has_probabilities and not problem.smoothing
    logits = problem.logits.where(~problem.logits.isneginf(), 0.0) if is_plain else problem.logits
    came = ""
    if not problem.logits.numel():
        came = _("logits of shape {shape}").format(shape=tuple(problem.logits.shape))
    elif not all(bool(values.isfinite().all()) for values in (logits, result.loss, result.grad_logits)):
        came = _("numbers that are not finite")
    elif problem.weight is not None and not problem.weight.is_floating_point():
        came = _("a weight of integers")
    elif problem.smoothing and problem.target.dtype == torch.uint8:
        came = _("a uint8 target with label_smoothing")
    if came:
        raise UnsupportedInJax(
            came,
            _("a Problem for which JAX and PyTorch give the same numbers"),
            _("Take the program in PyTorch."),
        )


def _body(problem: Problem) -> list[str]:
    axis = [] if problem.logits.dim() < 3 else ["axis=1"]
    logits = "logits" if problem.temperature == 1 else f"logits / {number(repr(problem.temperature))}"
    if problem.has_probabilities:
        return [
            *_soft_losses(problem, "target", logits, axis),
            _returned(problem, f"losses.{problem.reduction}()"),
        ]
    lines = []
    ignores = problem.ignore_index != -100 or not bool(problem.kept().all())
    labels = "labels" if ignores else "target"
    if ignores:
        lines.append(f"    kept = target != {problem.ignore_index}")
        lines.append("    labels = jnp.where(kept, target, 0)  # any class will do")
    if problem.smoothing:
        # JAX makes float32 of its own accord
        dtype = ["dtype=logits.dtype"] if problem.logits.dtype != torch.float32 else []
        one_hot = call("one_hot = jax.nn.one_hot", [labels, str(problem.num_classes), *axis, *dtype], indent="    ")
        lines += [one_hot, *_soft_losses(problem, "one_hot", logits, axis)]
    else:
        function = "losses = optax.softmax_cross_entropy_with_integer_labels"
        lines.append(call(function, [logits, labels, *axis], indent="    "))
        if problem.weight is not None:
            lines.append(f"    losses = weight[{labels}] * losses")
    if ignores:
        lines.append("    losses = jnp.where(kept, losses, 0)")
    mean = "losses.mean()"
    if problem.weight is not None:
        mean = f"losses.sum() / {f'jnp.where(kept, weight[{labels}], 0)' if ignores else f'weight[{labels}]'}.sum()"
    elif ignores:
        mean = "losses.sum() / kept.sum()"
    return [*lines, _returned(problem, mean if problem.reduction == "mean" else "losses.sum()")]


def _soft_losses(problem: Problem, labels: str, logits: str, axis: list[str]) -> list[str]:
    """The losses of rows of probabilities, smoothed and weighted."""
    lines = []
    if problem.smoothing:
        smoothing = number(repr(problem.label_smoothing))
        lines.append(call("smooth = optax.smooth_labels", [labels, smoothing, *axis], indent="    "))
        labels = "smooth"
    if problem.weight is not None:
        axes = ", None" * (problem.logits.dim() - 2)
        labels = f"weight[:{axes}] * {labels}" if axes else f"weight * {labels}"
    return [*lines, call("losses = optax.softmax_cross_entropy", [logits, labels, *axis], indent="    ")]


def _returned(problem: Problem, reduced: str) -> str:
    return "    return losses" if problem.reduction == "none" else f"    return {reduced}"


def _check(name: str, values: Tensor, result: Evaluation) -> list[str]:
    # NumPy compares no bfloat16
    is_half = values.dtype in (torch.float16, torch.bfloat16)
    came = f"{name}.astype(np.float32)" if is_half else name
    wide = values.float() if is_half else values
    # the coarsest tensor decides, and the gradient is a difference of numbers as large as its bound
    dtypes = [tensor.dtype for tensor in _tensors(result.problem).values() if tensor.is_floating_point()]
    tolerance = max(_TOLERANCES[dtype] for dtype in dtypes)
    atol = tolerance * max(1.0, result.gradient_bound)
    arguments = [came, f"expected_{name}", f"rtol={tolerance:.0e}", f"atol={number(f'{atol:.0e}')}"]
    if values.dim():
        expected = assignment(f"expected_{name}", "np.array", wide, [], module="np")
    else:
        expected = f"expected_{name} = {number(shortest_decimals(wide)[0])}"
    return [expected, call("np.testing.assert_allclose", arguments)]


def _tensors(problem: Problem) -> dict[str, Tensor]:
    found = {"logits": problem.logits, "target": problem.target, "weight": problem.weight}
    return {name: values for name, values in found.items() if values is not None}
