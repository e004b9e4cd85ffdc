"""check_loss: one's own cross-entropy against F.cross_entropy in float64, over a table of cases.

In a test: `assert_cross_entropy(my_loss)`.
"""

from __future__ import annotations

import inspect
import math
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.autograd import loss_and_perhaps_gradient
from xent_core.distance import distance, largest
from xent_core.language import _
from xent_core.values import Value

KEYWORDS = ("weight", "ignore_index", "reduction", "label_smoothing")
# eps of the dtype times the size of what is summed; honest routes in other orders stay within 16 of these
ALLOWED_ROUNDING_IN_EPS = 32.0
# however coarse the dtype is, a gradient may not be off by more than this part of its largest entry
LARGEST_GRAD_ERROR = 0.1

Loss = Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Case(Value):
    """One call of F.cross_entropy, under a name.

    Attributes:
      options: by PyTorch's names. A function that does not take all of them skips the case, except that it may leave
        out reduction where it is "mean".
    """

    name: str
    logits: Tensor
    target: Tensor
    options: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Result(Value):
    """How one case went.

    Attributes:
      name: of the case.
      loss_difference, grad_difference: the largest distance from F.cross_entropy in float64; 0 where both are NaN or
        the same infinity, inf where only one is, and where nothing came.
      loss_tolerance, grad_tolerance: the largest distances that pass.
      message: what is wrong other than a number: an exception, a shape, a gradient that is missing; or empty.
    """

    name: str
    loss_difference: float
    grad_difference: float
    loss_tolerance: float
    grad_tolerance: float
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether loss and gradient are right."""
        return (
            not self.message
            and self.loss_difference <= self.loss_tolerance
            and self.grad_difference <= self.grad_tolerance
        )

    def __str__(self) -> str:
        if self.passed:
            return _("{name}: passed").format(name=self.name)
        if self.message:
            return f"{self.name}: {self.message}"
        return _("{name}: loss off by {loss:.3g} (allowed {loss_tolerance:.1g}), gradient off by {grad:.3g}").format(
            name=self.name, loss=self.loss_difference, loss_tolerance=self.loss_tolerance, grad=self.grad_difference
        ) + _(" (allowed {grad_tolerance:.1g})").format(grad_tolerance=self.grad_tolerance)


@dataclass(frozen=True, eq=False)
class Report(Value):
    """What `check_loss` found; as text, one line for each failure.

    Attributes:
      results: one for each case that ran.
      skipped: names of the cases whose options the function does not take.
    """

    results: tuple[Result, ...]
    skipped: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether every case that ran passed, and at least one ran."""
        return bool(self.results) and not self.failures

    @property
    def failures(self) -> tuple[Result, ...]:
        """The cases that failed, in the order of the table."""
        return tuple(result for result in self.results if not result.passed)

    def __str__(self) -> str:
        head = _("{passed} of {count} cases agree with F.cross_entropy").format(
            passed=len(self.results) - len(self.failures), count=len(self.results)
        )
        skipped = _("; {count} skipped, as the function does not take their options").format(count=len(self.skipped))
        return "\n".join([head + (skipped if self.skipped else "") + ".", *(f"  {one}" for one in self.failures)])


def check_loss(fn: Loss, *, cases: Iterable[Case] | None = None) -> Report:
    """Run fn(logits, target, **options) over the cases and compare loss and gradient with F.cross_entropy in float64.

    The gradient is that of `backward()`, for reduction "none" of the sum.
    Where F.cross_entropy in the dtype of the case is itself further off, as in float16, its distance is allowed too.

    Args:
      fn: takes logits and target, and as keywords those of weight, ignore_index, reduction and label_smoothing that it
        knows; which, is read from its signature.
      cases: the default is `standard_cases()`.
    Returns: a Report; an exception of fn is a failure with its message.
    Example:
      >>> check_loss(F.cross_entropy).passed
      True
    """
    known = _known_options(fn)
    results, skipped = [], []
    for case in standard_cases() if cases is None else cases:
        needed = {name: value for name, value in case.options.items() if name in KEYWORDS}
        if needed.get("reduction") == "mean" and "reduction" not in known:
            del needed["reduction"]
        if set(needed) <= known:
            results.append(_run(fn, case, needed))
        else:
            skipped.append(case.name)
    return Report(tuple(results), tuple(skipped))


def assert_cross_entropy(fn: Loss, *, cases: Iterable[Case] | None = None) -> None:
    """For pytest: AssertionError with the report unless `check_loss(fn)` passes.

    Example:
      >>> assert_cross_entropy(lambda logits, target: F.cross_entropy(logits, target))
    """
    report = check_loss(fn, cases=cases)
    if not report.passed:
        raise AssertionError(str(report))


def standard_cases() -> tuple[Case, ...]:
    """Shapes, dtypes, every option alone and together, probabilities, and logits where naive formulas break."""
    draw = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(6, 5, generator=draw, dtype=torch.float64)
    target = torch.tensor([0, 4, 2, 2, 1, 3])
    some_ignored = torch.tensor([0, -100, 2, 2, -100, 3])
    soft = torch.randn(6, 5, generator=draw, dtype=torch.float64).softmax(1)
    weight = torch.tensor([1.0, 0.2, 3.0, 0.7, 2.5], dtype=torch.float64)
    pixels = torch.randn(2, 4, 3, 2, generator=draw, dtype=torch.float64)
    pixel_target = torch.randint(4, (2, 3, 2), generator=draw)
    everything = {"weight": weight, "ignore_index": 2, "label_smoothing": 0.1}
    masked = torch.tensor([[2.0, 1.0, -math.inf], [0.5, -math.inf, 1.5]], dtype=torch.float64)
    cases = [
        Case("six rows, float64", logits, target),
        Case("one row", logits[:1], target[:1]),
        Case("one example without a batch axis, (C,)", logits[0], target[0]),
        Case("pixels, (N, C, d1, d2)", pixels, pixel_target),
        Case("float32", logits.float(), target),
        Case("bfloat16", logits.bfloat16(), target),
        Case("float16", logits.half(), target),
        Case("logits of 1000", logits * 1000, target),
        Case("logits of −1000", logits - 1000, target),
        Case("logits of 100 in float32", logits.float() * 100, target),
        Case("logits of 100 in float16", (logits * 20).half(), target),
        Case("a class masked with −∞", masked, torch.tensor([0, 2])),
        Case("reduction sum", logits, target, {"reduction": "sum"}),
        Case("reduction none", logits, target, {"reduction": "none"}),
        Case("pixels, reduction none", pixels, pixel_target, {"reduction": "none"}),
        Case("ignored rows", logits, some_ignored, {"ignore_index": -100}),
        Case("a class that is ignored", logits, target, {"ignore_index": 2}),
        Case("ignored rows, reduction sum", logits, some_ignored, {"ignore_index": -100, "reduction": "sum"}),
        Case("every row ignored: NaN", logits[:2], torch.tensor([-100, -100]), {"ignore_index": -100}),
        Case("weight", logits, target, {"weight": weight}),
        Case("weight, reduction sum", logits, target, {"weight": weight, "reduction": "sum"}),
        Case("weight and ignored rows", logits, some_ignored, {"weight": weight, "ignore_index": -100}),
        Case("label smoothing 0.1", logits, target, {"label_smoothing": 0.1}),
        Case("label smoothing 1", logits, target, {"label_smoothing": 1.0}),
        Case("label smoothing and ignored rows", logits, some_ignored, {"label_smoothing": 0.1, "ignore_index": -100}),
        Case("weight and label smoothing", logits, target, {"weight": weight, "label_smoothing": 0.1}),
        *(
            Case(f"everything at once, reduction {reduction}", logits, target, {**everything, "reduction": reduction})
            for reduction in ("mean", "sum", "none")
        ),
        Case("probabilities", logits, soft),
        Case("probabilities, reduction none", logits, soft, {"reduction": "none"}),
        Case("probabilities and weight: divided by N", logits, soft, {"weight": weight}),
        Case("probabilities and label smoothing", logits, soft, {"label_smoothing": 0.1}),
    ]
    return tuple(cases)


def _known_options(fn: Loss) -> set[str]:
    """Which of KEYWORDS fn takes as keywords; all of them if its signature cannot be read."""
    try:
        parameters = inspect.signature(fn).parameters.values()
    except (TypeError, ValueError):
        return set(KEYWORDS)
    if any(one.kind is one.VAR_KEYWORD for one in parameters):
        return set(KEYWORDS)
    return {one.name for one in parameters if one.kind in (one.POSITIONAL_OR_KEYWORD, one.KEYWORD_ONLY)} & set(KEYWORDS)


def _run(fn: Loss, case: Case, given: dict[str, Any]) -> Result:
    exact_loss, exact_grad = _forward_and_backward(F.cross_entropy, case, case.options, torch.float64)
    assert exact_grad is not None
    own_loss, own_grad = _forward_and_backward(F.cross_entropy, case, case.options, case.logits.dtype)
    assert own_grad is not None
    eps = ALLOWED_ROUNDING_IN_EPS * torch.finfo(case.logits.dtype).eps
    # a logit of 1000 is itself rounded by 1000·eps; entries of the gradient are at most 1, times the largest weight
    size = 1 + largest(case.logits[case.logits.isfinite()].double().abs())
    loss_tolerance = eps * size + _finite_distance(own_loss, exact_loss)
    grad_error = min(eps * size, LARGEST_GRAD_ERROR) * max(1.0, largest(exact_grad[exact_grad.isfinite()].abs()))
    grad_tolerance = grad_error + _finite_distance(own_grad, exact_grad)

    def result(message: str, loss: float = math.inf, grad: float = math.inf) -> Result:
        return Result(case.name, loss, grad, loss_tolerance, grad_tolerance, message)

    try:
        loss, grad = _forward_and_backward(fn, case, given, case.logits.dtype)
    except Exception as error:  # the function is somebody's own and may raise anything
        lines = str(error).splitlines() or [""]
        return result(_("it raises {error}").format(error=f"{type(error).__name__}: {lines[0][:200]}"))
    if loss.shape != exact_loss.shape:
        return result(
            _("the loss has shape {came}, expected {expected}").format(
                came=tuple(loss.shape), expected=tuple(exact_loss.shape)
            )
        )
    loss_difference = largest(distance(loss, exact_loss))
    if grad is None:
        return result(_("no gradient reaches the logits"), loss_difference)
    return result("", loss_difference, largest(distance(grad, exact_grad)))


def _forward_and_backward(
    fn: Loss, case: Case, options: Mapping[str, Any], dtype: torch.dtype
) -> tuple[Tensor, Tensor | None]:
    """Loss and gradient in float64 on the CPU, of copies; the gradient None if none reaches the logits."""
    target = case.target.to(dtype, copy=True) if case.target.is_floating_point() else case.target.clone()
    values = {
        name: value.to(dtype, copy=True) if isinstance(value, Tensor) else value for name, value in options.items()
    }

    def loss_of(leaf: Tensor) -> Tensor:
        loss = fn(leaf, target, **values)
        if not isinstance(loss, Tensor):
            raise TypeError(_("the loss is no tensor, but of type {type}").format(type=type(loss).__name__))
        return loss

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loss, grad = loss_and_perhaps_gradient(case.logits, loss_of, dtype=dtype)
    return loss.cpu().double(), None if grad is None else grad.double()


def _finite_distance(one: Tensor, other: Tensor) -> float:
    """How far F.cross_entropy is off in the dtype; 0 where it overflows, which nobody else need do."""
    apart = largest(distance(one, other))
    return apart if math.isfinite(apart) else 0.0
