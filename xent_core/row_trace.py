"""The loss of one row as a chain of small steps: forward values, and the gradient of the loss at every one of them.

`trace` runs the chain twice, each time as a real autograd graph with `backward()` through it.
Unfused it goes through softmax and log, as one would write it by hand;
fused it goes through log_softmax, as PyTorch does.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.cross_entropy import TOLERANCE_IN_EPS, Evaluation, evaluate
from xent_core.distance import distance
from xent_core.language import N_
from xent_core.one_row import every_label
from xent_core.problem import Problem
from xent_core.values import Value


@dataclass(frozen=True, eq=False)
class Step(Value):
    r"""One quantity of the chain: how it is made, and how the gradient arrives at it.

    Attributes:
      name: a stable name, such as "softmax"; unique in its chain.
      symbol: LaTeX of the quantity, with the class as index k where it has one.
      formula: LaTeX of how it is made from the quantities in `uses`.
      value: shape (C,), or () for a single number.
      gradient: ∂L/∂value from `backward()`, shaped like value.
      uses: names of the steps that it is made from.
      rule: in words, how the gradient comes back from what was made of it; in English, to be shown through gettext.
      gradient_formula: LaTeX of the same, and after the last = what it comes to.
      gradient_uses: names of the steps whose gradients that rule takes.
      gradient_values: names of the steps whose values that rule takes.
    """

    name: str
    symbol: str
    formula: str
    value: Tensor
    gradient: Tensor
    uses: tuple[str, ...]
    rule: str
    gradient_formula: str
    gradient_uses: tuple[str, ...]
    gradient_values: tuple[str, ...] = ()

    @property
    def is_scalar(self) -> bool:
        """Whether the step is one number, not one per class."""
        return self.value.dim() == 0


@dataclass(frozen=True, eq=False)
class Trace(Value):
    r"""The chain of one row, forward and backward; made by `trace`. Iterating gives the unfused steps.

    .. math:: z \to a = z/T \to s = a - \max_j a_j \to e = \exp s \to p = e/\textstyle\sum_j e_j
              \to \log p \to t = v \odot \log p \to \ell = -\textstyle\sum_k t_k \to \ell/D

    Attributes:
      evaluation: of the whole Problem.
      row: which row, counted along `evaluation.row_loss.flatten()`.
      steps: logits, scaled, max, shifted, exp, sum, softmax, log, weighted, row_loss, contribution.
      fused_steps: logits, scaled, log_softmax, weighted, row_loss, contribution.
      target: v, the effective target of the row, shape (C,); 0 if the row is ignored.
      label: the class of a kept row with a class index, else None.
      kept: False if the row is ignored.
    """

    evaluation: Evaluation
    row: int
    steps: tuple[Step, ...]
    fused_steps: tuple[Step, ...]
    target: Tensor
    label: int | None
    kept: bool

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, name: str) -> Step:
        """The unfused step of that name."""
        return next(step for step in self.steps if step.name == name)

    @property
    def denominator(self) -> float:
        """D."""
        return float(self.evaluation.denominator)

    @property
    def temperature(self) -> float:
        """T."""
        return self.evaluation.problem.temperature

    @cached_property
    def mass(self) -> float:
        """S = Σ_k v_k: 1 for the plain loss, 0 if the row is ignored."""
        return float(_rows(self.evaluation.row_mass, self.evaluation.problem.class_axis)[self.row, 0])

    @cached_property
    def masked(self) -> Tensor:
        """Classes whose logit is −inf: their probability is 0, truly. Bool, shape (C,)."""
        return self["logits"].value == -torch.inf

    @cached_property
    def underflowed(self) -> Tensor:
        """Classes whose probability is too small for the dtype: 0 or subnormal, though the logit is finite.

        Bool, shape (C,).

        Example:
          >>> trace(Problem([200, 0, 0], 0)).underflowed
          tensor([False,  True,  True])
        """
        probs = self["softmax"].value
        too_small = (probs < torch.finfo(probs.dtype).tiny) & self["logits"].value.isfinite()
        # beside +inf or NaN no probability is a number
        return too_small & probs.isfinite()

    @cached_property
    def unfused_agrees(self) -> bool:
        """Whether both chains give the same gradient of the logits, within the rounding of the dtype.

        NaN agrees with NaN. Where a probability underflowed, the unfused chain has 0/0 or 1/0 in it and does not agree.
        """
        difference = self.route_difference
        return bool(((difference == 0) | (difference <= self.route_tolerance)).all())

    @cached_property
    def route_difference(self) -> Tensor:
        """|unfused − fused| of ∂L/∂z, shape (C,), float64: 0 where both are NaN or both the same infinity."""
        return distance(self.steps[0].gradient, self.fused_steps[0].gradient)

    @cached_property
    def route_tolerance(self) -> float:
        """How far the two may lie apart: a few eps of the largest entry the row's gradient can have."""
        scale = float(self.target.double().abs().sum()) / max(abs(self.denominator) * self.temperature, 1e-300)
        info = torch.finfo(self.evaluation.problem.logits.dtype)
        return 2 * TOLERANCE_IN_EPS * info.eps * scale + 4 * info.tiny

    @cached_property
    def unshifted_exp(self) -> Tensor:
        """exp(z/T) without the shift by the maximum, which overflows early; shape (C,).

        Example:
          >>> trace(Problem([1, 2, 3], 0)).unshifted_exp
          tensor([ 2.7183,  7.3891, 20.0855])
        """
        return self["scaled"].value.exp()

    @cached_property
    def jacobian(self) -> Tensor:
        r"""The Jacobian of softmax, shape (C, C): ∂p_k/∂a_j = p_k(δ_kj − p_j).

        .. math:: J = \mathrm{diag}(p) - p\,p^\top
        """
        probs = self["softmax"].value
        return torch.diag(probs) - torch.outer(probs, probs)

    @cached_property
    def jacobian_product(self) -> Tensor:
        """J·∂L/∂p, shape (C,): the gradient of a = z/T by way of the Jacobian; (S·p − v)/D if nothing underflows."""
        return self.jacobian @ self["softmax"].gradient

    @cached_property
    def gradient_by_label(self) -> Tensor:
        """The gradient of the row loss by z/T if the label were k, in row k; shape (C, C), from `backward()`.

        The plain loss has p[k] − 1 at the label and p elsewhere. Divided by D·T, it is the gradient of L by the logits.
        Weight and label smoothing are the Problem's own; a row whose label is ignore_index is 0.
        """
        problem = every_label(self.evaluation.problem, self["scaled"].value)
        return evaluate(replace(problem, temperature=1.0)).grad_logits


def trace(problem: Problem, row: int = 0, *, evaluation: Evaluation | None = None) -> Trace:
    r"""The loss of one row, step by step: forward values, and the gradient of the whole loss at each of them.

    Every gradient is what `backward()` left at that place of the graph.
    The maximum stays in the graph. What flows back through it is −Σ_k ∂L/∂s_k, which is 0 up to rounding,
    because the shift changes no probability; a detached maximum would give the same gradient of the logits.

    Args:
      problem: logits of shape (C,), (N, C) or (N, C, d1, …).
      row: counted along `evaluate(problem).row_loss.flatten()`; 0 for logits of shape (C,).
      evaluation: of the same Problem, if it is at hand.
    Returns: a Trace; the gradient of its first step is that row of `evaluate(problem).grad_logits`.
    Raises: IndexError if there is no such row.
    Example:
      >>> steps = trace(Problem([1, 2, 3], 0))
      >>> steps["softmax"].value, steps["logits"].gradient
      (tensor([0.0900, 0.2447, 0.6652]), tensor([-0.9100,  0.2447,  0.6652]))
    """
    if not 0 <= row < problem.num_rows:
        raise IndexError(
            f"row is {row}, expected 0…{problem.num_rows - 1}. The Problem has {problem.num_rows} rows, counted from 0."
        )
    evaluation = evaluation or evaluate(problem)
    axis = problem.class_axis
    kept = bool(problem.kept().flatten()[row])
    label = None
    if kept and not problem.has_probabilities:
        label = int(problem.target.flatten()[row])
    logits = _rows(problem.logits, axis)[row]
    chosen = _Row(
        problem,
        probabilities=_rows(problem.target, axis)[row] if problem.has_probabilities else None,
        label=label,
        # a python number leaves the dtype of the row loss as it is
        denominator=float(evaluation.denominator),
    )
    with torch.inference_mode(False), torch.enable_grad():
        unfused = _unfused(logits, chosen)
        fused = _fused(logits, chosen)
    target = _rows(evaluation.effective_target, axis)[row]
    return Trace(evaluation, row, _steps(unfused), _steps(fused), target, label, kept)


@dataclass(frozen=True, eq=False)
class _Row:
    """What the end of the chain needs to know of a row; neither probabilities nor label means ignored."""

    problem: Problem
    probabilities: Tensor | None
    label: int | None
    denominator: float

    def weighted(self, log_probs: Tensor) -> Tensor:
        """v ⊙ log p, shape (C,), in the order in which PyTorch multiplies.

        PyTorch takes only the label's term of a class index, so that −inf elsewhere does no harm;
        with probabilities or smoothing it takes them all, and 0·(−inf) is NaN.
        """
        problem = self.problem
        weight = problem.weight
        if self.probabilities is not None:
            target = self.probabilities
            if problem.smoothing > 0:
                target = target * (1 - problem.smoothing) + problem.smoothing / max(problem.num_classes, 1)
            terms = log_probs * target
            return terms if weight is None else terms * weight
        terms = log_probs if weight is None else log_probs * weight
        is_label = torch.zeros(problem.num_classes, dtype=torch.bool)
        if self.label is not None:
            is_label[self.label] = True
        nll = terms.where(is_label, 0.0)
        if problem.smoothing == 0 or self.label is None:
            return nll
        return problem.smoothing / problem.num_classes * terms + (1 - problem.smoothing) * nll


def _unfused(logits: Tensor, row: _Row) -> dict[str, Tensor]:
    chain = {"logits": logits.detach().clone().requires_grad_()}
    chain["scaled"] = chain["logits"] / row.problem.temperature
    chain["max"] = chain["scaled"].max() if logits.numel() else chain["scaled"].sum() - torch.inf
    chain["shifted"] = chain["scaled"] - chain["max"]
    chain["exp"] = chain["shifted"].exp()
    chain["sum"] = chain["exp"].sum()
    chain["softmax"] = chain["exp"] / chain["sum"]
    chain["log"] = chain["softmax"].log()
    return _to_the_loss(chain, row)


def _fused(logits: Tensor, row: _Row) -> dict[str, Tensor]:
    chain = {"logits": logits.detach().clone().requires_grad_()}
    chain["scaled"] = chain["logits"] / row.problem.temperature
    chain["log_softmax"] = F.log_softmax(chain["scaled"], dim=0)
    return _to_the_loss(chain, row)


def _to_the_loss(chain: dict[str, Tensor], row: _Row) -> dict[str, Tensor]:
    """From the log-probabilities, the last of the chain, to the row's contribution; then back with `backward()`."""
    chain["weighted"] = row.weighted(list(chain.values())[-1])
    chain["row_loss"] = -chain["weighted"].sum()
    chain["contribution"] = chain["row_loss"] / row.denominator
    for value in chain.values():
        value.retain_grad()
    # the rows do not mix before they are added, so the gradient of this part is the gradient of the whole
    chain["contribution"].backward()
    return chain


def _steps(chain: Mapping[str, Tensor]) -> tuple[Step, ...]:
    steps = []
    words_of = _FUSED_WORDS if "log_softmax" in chain else _WORDS
    for name, tensor in chain.items():
        assert tensor.grad is not None
        words = words_of[name]
        steps.append(Step(name=name, value=tensor.detach(), gradient=tensor.grad, **words._asdict()))
    return tuple(steps)


def _rows(values: Tensor, axis: int) -> Tensor:
    """One row per distribution: (N, C, d1, …) -> (N·d1·…, C), in the order of the flattened row losses."""
    return values.movedim(axis, -1).unsqueeze(0).flatten(0, -2)


class _Words(NamedTuple):
    """What does not depend on the numbers; the fields are those of a Step."""

    symbol: str
    formula: str
    uses: tuple[str, ...]
    rule: str
    gradient_formula: str
    gradient_uses: tuple[str, ...]
    gradient_values: tuple[str, ...] = ()


def _tex(text: str) -> str:
    r"""A formula in which <z_k> stands for the derivative \frac{\partial L}{\partial z_k}."""
    return re.sub("<([^<>]*)>", r"\\frac{\\partial L}{\\partial \1}", text)


_WORDS = {
    "logits": _Words(
        symbol="z_k",
        formula=r"z_k",
        uses=(),
        rule=N_("Divided by T on the way in, so divided by T on the way back."),
        gradient_formula=_tex(r"<z_k> = \frac{1}{T}\,<a_k> = \frac{S\,p_k - v_k}{D\,T}"),
        gradient_uses=("scaled",),
    ),
    "scaled": _Words(
        symbol="a_k",
        formula=r"a_k = \frac{z_k}{T}",
        uses=("logits",),
        rule=N_("Comes back from the difference; the largest one also gets what came through the maximum, which is 0."),
        gradient_formula=_tex(r"<a_k> = <s_k> + [a_k{=}m]\,<m> = \frac{S\,p_k - v_k}{D}"),
        gradient_uses=("shifted", "max"),
        gradient_values=("scaled", "max"),
    ),
    "max": _Words(
        symbol="m",
        formula=r"m = \max_j a_j",
        uses=("scaled",),
        rule=N_(
            "Taken off every class, so it gets minus the sum: 0 but for rounding, as the shift changes no probability."
        ),
        gradient_formula=_tex(r"<m> = -\sum_j <s_j> = 0"),
        gradient_uses=("shifted",),
    ),
    "shifted": _Words(
        symbol="s_k",
        formula=r"s_k = a_k - m",
        uses=("scaled", "max"),
        rule=N_(
            "The slope of exp is exp itself. What was divided by p is multiplied by it again: p − y is left, weighted."
        ),
        gradient_formula=_tex(r"<s_k> = <e_k>\,e_k = \frac{S\,p_k - v_k}{D}"),
        gradient_uses=("exp",),
        gradient_values=("exp",),
    ),
    "exp": _Words(
        symbol="e_k",
        formula=r"e_k = e^{s_k}",
        uses=("shifted",),
        rule=N_("It stands above the line in its own p, and inside Σ below the line in every p."),
        gradient_formula=_tex(r"<e_k> = \frac{1}{\Sigma}\,<p_k> + <\Sigma> = \frac{S - v_k/p_k}{D\,\Sigma}"),
        gradient_uses=("softmax", "sum"),
        gradient_values=("sum",),
    ),
    "sum": _Words(
        symbol=r"\Sigma",
        formula=r"\Sigma = \sum_j e_j",
        uses=("exp",),
        rule=N_("Every probability divides by it, so the loss depends on it through all of them."),
        gradient_formula=_tex(r"<\Sigma> = -\sum_j <p_j>\,\frac{e_j}{\Sigma^2} = \frac{S}{D\,\Sigma}"),
        gradient_uses=("softmax",),
        gradient_values=("exp", "sum"),
    ),
    "softmax": _Words(
        symbol="p_k",
        formula=r"p_k = \frac{e_k}{\Sigma}",
        uses=("exp", "sum"),
        rule=N_(
            "The slope of log is 1/p: the less probable the label, the larger the gradient. Where v is 0, nothing."
        ),
        gradient_formula=_tex(r"<p_k> = \frac{1}{p_k}\,<\log p_k> = -\frac{v_k}{D\,p_k}"),
        gradient_uses=("log",),
        gradient_values=("softmax",),
    ),
    "log": _Words(
        symbol=r"\log p_k",
        formula=r"\log p_k = \ln(p_k)",
        uses=("softmax",),
        rule=N_("Multiplied by v on the way in, so multiplied by v on the way back."),
        gradient_formula=_tex(r"<\log p_k> = v_k\,<t_k> = -\frac{v_k}{D}"),
        gradient_uses=("weighted",),
    ),
    "weighted": _Words(
        symbol="t_k",
        formula=r"t_k = v_k\,\log p_k",
        uses=("log",),
        rule=N_("A sum hands its gradient to every term; the sign turns."),
        gradient_formula=_tex(r"<t_k> = -<\ell> = -\frac{1}{D}"),
        gradient_uses=("row_loss",),
    ),
    "row_loss": _Words(
        symbol=r"\ell",
        formula=r"\ell = -\sum_j t_j",
        uses=("weighted",),
        rule=N_("Divided by D on the way in, so divided by D on the way back."),
        gradient_formula=_tex(r"<\ell> = \frac{1}{D}\,<c> = \frac{1}{D}"),
        gradient_uses=("contribution",),
    ),
    "contribution": _Words(
        symbol="c",
        formula=r"c = \frac{\ell}{D}",
        uses=("row_loss",),
        rule=N_("The loss L is the sum of the contributions of all rows, so each counts once."),
        gradient_formula=_tex(r"<c> = 1"),
        gradient_uses=(),
    ),
}
_FUSED_WORDS = {
    **_WORDS,
    "scaled": _WORDS["scaled"]._replace(
        rule=N_("The Jacobian of log_softmax in one go: no division by p, so nothing to underflow."),
        gradient_formula=_tex(r"<a_k> = <\log p_k> - p_k \sum_j <\log p_j> = \frac{S\,p_k - v_k}{D}"),
        gradient_uses=("log_softmax",),
        gradient_values=("log_softmax",),
    ),
    "log_softmax": _WORDS["log"]._replace(
        formula=r"\log p_k = a_k - m - \ln \sum_j e^{a_j - m}",
        uses=("scaled",),
    ),
    "weighted": _WORDS["weighted"]._replace(uses=("log_softmax",)),
}
