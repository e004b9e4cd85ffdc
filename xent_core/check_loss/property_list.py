"""The properties that a cross-entropy has, each tried on small cases of its own.

A new one is a function of a Subject that gives trials, and an entry of PROPERTIES.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.check_loss.cases import Case, standard_cases
from xent_core.check_loss.measure import (
    CONVENTION,
    PLAIN,
    REFUSED,
    RIGHT,
    WRONG,
    Result,
    Way,
    compared,
    measured,
    raised,
)
from xent_core.check_loss.subject import Subject
from xent_core.check_loss.trials import (
    Trial,
    drawn,
    generator,
    given_options,
    like_itself,
    trial_of,
    tried,
)
from xent_core.distance import distance, largest
from xent_core.language import N_, _

ROUNDING = 1e-5  # of numbers near 1 that may have been computed in float32
WIDE_CLASSES = 4096  # beyond, a fused loss gets no identity for its matrix


@dataclass(frozen=True)
class Property:
    """Something that holds of F.cross_entropy.

    Attributes:
      name: its key in a report.
      title: what holds, in words.
      trials: tries it; nothing comes of what the loss does not take.
    """

    name: str
    title: str
    trials: Callable[[Subject], Iterator[Trial]]


# What is compared with numbers


def standard_trials(subject: Subject, cases: Sequence[Case] | None = None, *, of_gradient: bool) -> Iterator[Trial]:
    """These cases, or the standard ones, and what they say of the loss or of the gradient."""
    for case in standard_cases() if cases is None else cases:
        given = given_options(subject, case)
        if given is None:
            continue
        result = compared(subject, case, given)
        yield of_part(case, result, of_gradient=of_gradient)


def of_part(case: Case, result: Result, *, of_gradient: bool) -> Trial:
    """What a comparison says of the loss, or of the gradient, alone."""
    verdict = result.grad_verdict if of_gradient else result.loss_verdict
    if result.message and verdict != RIGHT:
        return Trial(case, verdict, result.message, result)
    difference = result.grad_difference if of_gradient else result.loss_difference
    words = (_("gradient off by {found:.3g}") if of_gradient else _("loss off by {found:.3g}")).format(found=difference)
    return Trial(case, verdict, "" if verdict == RIGHT else words, result)


def _sizes(subject: Subject) -> Iterator[Trial]:
    """Classes and rows around the sizes of blocks."""
    for classes in (1, 2, 127, 128, 129, 1000, 4097, 32_769, 131_073):
        if subject.order is None or classes <= WIDE_CLASSES:
            yield from tried(subject, drawn(_("{count} classes").format(count=classes), 3, classes))
    for rows in (1, 255, 256, 257, 4097):
        yield from tried(subject, drawn(_("{count} rows").format(count=rows), rows, 5))
    ignored = drawn(_("4097 rows, of which the first 1500 are ignored"), 4097, 5, ignore_index=-100)
    ignored.target[:1500] = -100
    yield from tried(subject, ignored)


def _upstream(subject: Subject) -> Iterator[Trial]:
    """What backward starts from, twice in one graph, twice backward, and without a gradient at all."""
    case = drawn(_("six rows"), 6, 5, dtype=torch.float64)
    for factor in (2.5, -1.5, 0.0):
        name = _("backward from {factor}").format(factor=factor)
        yield from tried(subject, replace(case, name=name), Way(upstream=factor))
    single = replace(case, name=_("reduction none, backward from a random vector"), options={"reduction": "none"})
    yield from tried(subject, single, Way(upstream=torch.randn(6, generator=generator(), dtype=torch.float64)))
    for name, change in (
        (
            _("the loss twice in one graph"),
            lambda fn, *given, **options: fn(*given, **options) * 2 + fn(*given, **options),
        ),
        (_("the loss through a square"), lambda fn, *given, **options: fn(*given, **options).square()),
    ):
        way = Way(reference=partial(change, F.cross_entropy))
        yield from tried(subject, replace(case, name=name), way, partial(change, subject))
    yield from _twice_backward(subject, replace(case, name=_("backward twice with retain_graph")))
    yield from _without_gradient(subject, replace(case, name=_("under no_grad, and logits that need no gradient")))


def _twice_backward(subject: Subject, case: Case) -> Iterator[Trial]:
    def twice(logits: Tensor, target: Tensor) -> Trial:
        leaf = logits.clone().requires_grad_()
        loss = subject(leaf, target.clone())
        (first,) = torch.autograd.grad(loss, leaf, retain_graph=True)
        first = first.clone()
        (second,) = torch.autograd.grad(loss, leaf)
        if not bool(torch.equal(first, second)):
            off = largest(distance(second, first))
            return Trial(case, WRONG, _("the second backward differs from the first by {off:.3g}").format(off=off))
        return Trial(case, RIGHT)

    yield _or_refused(case, twice)


def _without_gradient(subject: Subject, case: Case) -> Iterator[Trial]:
    def without(logits: Tensor, target: Tensor) -> Trial:
        expected = subject(logits.clone().requires_grad_(), target.clone()).detach()
        with torch.no_grad():
            losses = [subject(logits.clone().requires_grad_(), target.clone())]
        losses.append(subject(logits.clone(), target.clone()))
        off = max(largest(distance(loss.detach(), expected)) for loss in losses)
        if off > 1e-12:
            return Trial(case, WRONG, _("the loss is another without a gradient: off by {off:.3g}").format(off=off))
        return Trial(case, RIGHT)

    yield _or_refused(case, without)


def _or_refused(case: Case, trial: Callable[[Tensor, Tensor], Trial]) -> Trial:
    """A trial; "not supported" where the loss raises."""
    try:
        return trial(case.logits, case.target)
    except Exception as error:
        return Trial(case, REFUSED, raised(error))


def _near(case: Case, found: Tensor | None, expected: Tensor | None, words: str) -> Trial:
    """Whether two results are the same but for rounding, in float32 at worst."""
    if found is None or expected is None:
        return Trial(case, WRONG, _("no gradient reaches the logits"))
    off = largest(distance(found.detach(), expected))
    return Trial(case, RIGHT) if off <= ROUNDING else Trial(case, WRONG, words.format(off=off))


def _accumulation(subject: Subject) -> Iterator[Trial]:
    """The loss's own gradients are added to what is in .grad already."""
    case = drawn(_("six rows, .grad full of ones"), 6, 5, dtype=torch.float64)

    def accumulated(logits: Tensor, target: Tensor) -> Trial:
        once = measured(subject, case, {}, torch.float64).grad
        leaf = logits.clone().requires_grad_()
        leaf.grad = torch.ones_like(leaf)
        for _step in range(2):
            subject(leaf, target.clone()).backward()
        expected = None if once is None else 1 + 2 * once
        return _near(case, leaf.grad, expected, _("1 + twice the gradient is off by {off:.3g}"))

    yield _or_refused(case, accumulated)


def _double_backward(subject: Subject) -> Iterator[Trial]:
    """The gradient of v·∂L/∂z; nothing is said of it where the loss or the gradient is wrong already."""
    case = drawn(_("six rows, the gradient of v·∂L/∂z"), 6, 5, dtype=torch.float64)
    direction = torch.randn(6, 5, generator=generator(), dtype=torch.float64)

    if compared(subject, case, {}).is_wrong:
        return

    def product_of(fn: Callable[..., Any]) -> Tensor:
        leaf = case.logits.clone().requires_grad_()
        (grad,) = torch.autograd.grad(fn(leaf, case.target.clone()), leaf, create_graph=True)
        (found,) = torch.autograd.grad((grad * direction).sum(), leaf)
        return found

    def twice(_logits: Tensor, _target: Tensor) -> Trial:
        expected = product_of(F.cross_entropy)
        return _near(case, product_of(subject), expected, _("the second derivative is off by {off:.3g}"))

    yield _or_refused(case, twice)


# What the loss leaves as it is


def _inputs_unchanged(subject: Subject) -> Iterator[Trial]:
    """Logits, target and weight hold the same bits afterwards."""
    cases = [
        drawn(_("six rows"), 6, 5),
        drawn(_("six rows, weight"), 6, 5, weight=torch.tensor([1.0, 2.0, 0.5, 3.0, 1.5])),
        drawn(_("six rows, ignore_index"), 6, 5, ignore_index=2),
    ]
    for case in cases:
        given = given_options(subject, case)
        if given is not None:
            yield _or_refused(case, partial(_unchanged, subject, case, given))


def _unchanged(subject: Subject, case: Case, given: dict[str, Any], logits: Tensor, target: Tensor) -> Trial:
    parts = {"logits": logits.clone(), "target": target.clone()}
    parts |= {name: value.clone() for name, value in given.items() if isinstance(value, Tensor)}
    before = {name: value.clone() for name, value in parts.items()}
    options = {name: parts.get(name, value) for name, value in given.items()}
    parts["logits"].requires_grad_()
    loss = subject(parts["logits"], parts["target"], **options)
    for when in (_("by the call"), _("by backward")):
        changed = [name for name, value in parts.items() if not _same_bits(value.detach(), before[name])]
        if changed:
            words = _("{names} changed {when}").format(names=", ".join(changed), when=when)
            return Trial(case, WRONG, words)
        if loss.requires_grad:
            loss.backward(retain_graph=True)
    return Trial(case, RIGHT)


def _same_bits(one: Tensor, other: Tensor) -> bool:
    return bool(torch.equal(one.contiguous().view(torch.uint8), other.contiguous().view(torch.uint8)))


def _layouts(subject: Subject) -> Iterator[Trial]:
    """Views of all kinds, and logits that another operation made."""
    case = drawn(_("six rows"), 6, 5, dtype=torch.float64)
    views: dict[str, Callable[[Tensor], Tensor]] = {
        _("a transposed view"): lambda leaf: leaf.t().contiguous().t(),
        _("every other column of a wider tensor"): lambda leaf: leaf.repeat_interleave(2, 1)[:, ::2],
        _("a view with an offset"): lambda leaf: F.pad(leaf, (3, 2, 1, 0))[1:, 3:-2],
        _("expanded rows"): lambda leaf: leaf[:1].expand(6, -1),
        _("not a leaf: twice the leaf"): lambda leaf: leaf * 2,
    }
    for name, view in views.items():
        yield from tried(subject, replace(case, name=name), Way(view=view))
    draw = generator()
    pixels = torch.randn(2, 4, 3, 2, generator=draw, dtype=torch.float64)
    images = Case(_("channels last"), pixels, torch.randint(4, (2, 3, 2), generator=draw))
    yield from tried(subject, images, Way(view=lambda leaf: leaf.contiguous(memory_format=torch.channels_last)))


def _dtype_device(subject: Subject) -> Iterator[Trial]:
    """The loss has the dtype and the device of the logits."""
    for dtype in (torch.float64, torch.float32, torch.bfloat16, torch.float16):
        case = drawn(str(dtype).removeprefix("torch."), 6, 5, dtype=dtype)

        def kept(logits: Tensor, target: Tensor, case: Case = case) -> Trial:
            loss = subject(logits.clone().requires_grad_(), target.clone())
            came, expected = (loss.dtype, loss.device), (logits.dtype, logits.device)
            if came == expected:
                return Trial(case, RIGHT)
            words = _("the loss of {logits} logits is {loss}").format(
                logits=f"{expected[0]}".removeprefix("torch."), loss=f"{came[0]}".removeprefix("torch.")
            )
            return Trial(case, CONVENTION, words if came[0] != expected[0] else f"{came[1]}")

        yield _or_refused(case, kept)


def _determinism(subject: Subject) -> Iterator[Trial]:
    """The same input gives the same bits, also with other sizes in between."""
    case = drawn(_("257 rows, 129 classes, twice"), 257, 129)

    def same(_logits: Tensor, _target: Tensor) -> Trial:
        first = measured(subject, case, {}, torch.float32)
        measured(subject, drawn("", 3, 7), {}, torch.float32)
        second = measured(subject, case, {}, torch.float32)
        parts = [(_("the loss"), first.loss, second.loss)]
        if first.grad is not None and second.grad is not None:
            parts.append((_("the gradient"), first.grad, second.grad))
        for name, one, other in parts:
            off = largest(distance(one, other))
            if off:
                words = _("{name} of the same input differs by {off:.3g}").format(name=name, off=off)
                return Trial(case, WRONG, words)
        return Trial(case, RIGHT)

    yield _or_refused(case, same)


# What the loss does not take


def _refusals(subject: Subject) -> Iterator[Trial]:
    """What F.cross_entropy raises for is raised for."""
    logits = drawn("", 4, 5).logits
    target = torch.tensor([0, 4, 2, 1])
    broken = {
        _("a label of C"): (logits, torch.tensor([0, 5, 2, 1])),
        _("a label of C + 2"): (logits, torch.tensor([0, 7, 2, 1])),
        _("a label of −1 that is not ignore_index"): (logits, torch.tensor([0, -1, 2, 1])),
        _("a label less than there are rows"): (logits, target[:3]),
        _("one label for four rows"): (logits, target[:1]),
        _("labels of shape (N, 1)"): (logits, target.unsqueeze(1)),
        _("labels in float32"): (logits, target.float()),
        _("labels of (2, 2) for four rows"): (logits, target.reshape(2, 2)),
    }
    for name, (scores, labels) in broken.items():
        case = Case(name, scores, labels)

        def refused(scores: Tensor, labels: Tensor, case: Case = case) -> Trial:
            loss = subject(scores.clone().requires_grad_(), labels.clone())
            if not bool(loss.isfinite().all()):
                return Trial(case, CONVENTION, _("the loss is {loss}; PyTorch raises").format(loss=float(loss.sum())))
            return Trial(case, WRONG, _("it gives {loss:.4g}; PyTorch raises").format(loss=float(loss.detach().sum())))

        trial = _or_refused(case, refused)
        yield Trial(case, RIGHT) if trial.verdict == REFUSED else trial


def _ignore_index(subject: Subject) -> Iterator[Trial]:
    """Each usual ignore_index, with none, all but one, and all of the rows ignored."""
    if "ignore_index" not in subject.options:
        return
    for index, share in product((-100, -1, 0, 4, 255), ("none", "all but one", "all")):
        words = {
            "none": _("no row ignored"),
            "all but one": _("all rows but one ignored"),
            "all": _("all rows ignored"),
        }
        case = drawn(f"ignore_index={index}: {words[share]}", 6, 5, dtype=torch.float64, ignore_index=index)
        case.target.copy_(torch.tensor([1, 2, 3, 1, 2, 3]))
        if share != "none":
            case.target[0 if share == "all" else 1 :] = index
        yield from tried(subject, case)


# Under other machinery


def _compile(subject: Subject, backends: tuple[str, ...] = ("eager", "aot_eager")) -> Iterator[Trial]:
    """torch.compile gives the same, each case compiled anew."""
    cases = [drawn(_("six rows"), 6, 5), drawn(_("257 rows, 129 classes"), 257, 129)]
    if "ignore_index" in subject.options:
        ignored = drawn(_("six rows, two ignored"), 6, 5, ignore_index=-100)
        ignored.target[1:3] = -100
        cases.append(ignored)
    for backend, case in product(backends, cases):
        named = replace(case, name=f"{case.name}, {backend}")
        torch._dynamo.reset()
        try:
            yield from like_itself(subject, named, PLAIN, torch.compile(subject, backend=backend))
        finally:
            torch._dynamo.reset()


def _autocast(subject: Subject) -> Iterator[Trial]:
    """Under torch.autocast of bfloat16 the loss is right to bfloat16 at least."""
    case = drawn(_("six rows under autocast"), 6, 5)

    def under(logits: Tensor, target: Tensor) -> Tensor:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            return subject(logits, target)

    yield from tried(subject, case, Way(dtype=torch.bfloat16), under)


def _func(subject: Subject) -> Iterator[Trial]:
    """torch.func.grad gives what backward gives, and vmap over problems what one after the other gives."""
    case = drawn(_("torch.func.grad"), 6, 5, dtype=torch.float64)

    def by_func(logits: Tensor, target: Tensor) -> Trial:
        found = torch.func.grad(lambda scores: subject(scores, target))(logits)
        return _near(
            case, found, measured(subject, case, {}, torch.float64).grad, _("the gradient is off by {off:.3g}")
        )

    yield _or_refused(case, by_func)
    several = replace(case, name=_("vmap over three problems"))

    def by_vmap(logits: Tensor, target: Tensor) -> Trial:
        batch, labels = torch.stack([logits, -logits, logits / 2]), torch.stack([target, target, target.flip(0)])
        found = torch.func.vmap(lambda scores, one: subject(scores, one))(batch, labels)
        singly = torch.stack([subject(scores, one) for scores, one in zip(batch, labels, strict=True)])
        return _near(several, found, singly, _("the losses are off by {off:.3g}"))

    yield _or_refused(several, by_vmap)


# Beyond F.cross_entropy


def _extensions(subject: Subject) -> Iterator[Trial]:
    """Options that kernels add, each against its formula."""
    formulas: dict[str, tuple[float, Callable[[float, Tensor, Tensor], Tensor]]] = {
        "lse_square_scale": (0.1, _with_square),
        "z_loss": (0.1, _with_square),
        "softcap": (5.0, _capped),
    }
    for name in sorted(subject.extensions):
        size, formula = formulas[name]
        case = drawn(f"{name}={size}", 6, 5, dtype=torch.float64)

        option: dict[str, Any] = {name: size}
        way = Way(reference=partial(formula, size))
        yield trial_of(case, compared(partial(subject, **option), case, {}, way))


def _with_square(scale: float, logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(logits, target) + scale * logits.logsumexp(1).square().mean()


def _capped(cap: float, logits: Tensor, target: Tensor) -> Tensor:
    return F.cross_entropy(cap * (logits / cap).tanh(), target)


def _fused(subject: Subject) -> Iterator[Trial]:
    """Gradients of the hidden states, of the matrix and of the bias of a loss that multiplies by itself."""
    if subject.order is None:
        return
    for rows, hidden_size, classes in ((6, 4, 5), (257, 16, 129), (3, 8, 32_769)):
        draw = generator()
        hidden = torch.randn(rows, hidden_size, generator=draw)
        case = Case(
            _("{rows} rows, {hidden} hidden, {classes} classes").format(rows=rows, hidden=hidden_size, classes=classes),
            hidden,
            torch.randint(classes, (rows,), generator=draw),
        )
        matrix = torch.randn(classes, hidden_size, generator=draw)
        bias = torch.randn(classes, generator=draw) if subject.bias is not None else None
        yield _or_refused(case, partial(_fused_trial, subject, case, matrix, bias))


def _fused_trial(
    subject: Subject, case: Case, matrix: Tensor, bias: Tensor | None, hidden: Tensor, target: Tensor
) -> Trial:
    def gradients(dtype: torch.dtype, fn: Callable[..., Tensor]) -> list[Tensor]:
        leaves = [
            part.to(dtype).clone().requires_grad_() for part in (hidden, matrix, *(() if bias is None else (bias,)))
        ]
        loss = fn(leaves[0], leaves[1], target.clone(), *leaves[2:])
        loss.backward()
        return [loss.detach(), *(torch.zeros_like(leaf) if leaf.grad is None else leaf.grad for leaf in leaves)]

    def plain(states: Tensor, weights: Tensor, labels: Tensor, offset: Tensor | None = None) -> Tensor:
        return F.cross_entropy(F.linear(states, weights, offset), labels)

    exact = gradients(torch.float64, plain)
    own = gradients(torch.float32, plain)
    came = gradients(torch.float32, subject.fused)
    names = [_("loss"), _("gradient of hidden"), _("gradient of the matrix"), _("gradient of the bias")]
    for name, one, right, rounded in zip(names, came, exact, own, strict=False):
        size = 1 + largest(right.abs())
        off = largest(distance(one, right))
        if off > 32 * torch.finfo(torch.float32).eps * size * hidden.shape[1] + largest(distance(rounded, right)):
            return Trial(case, WRONG, _("{name} off by {off:.3g}").format(name=name, off=off))
    return Trial(case, RIGHT)


PROPERTIES = (
    Property("values", N_("the loss, over shapes, dtypes and options"), partial(standard_trials, of_gradient=False)),
    Property("gradients", N_("the gradient, over the same"), partial(standard_trials, of_gradient=True)),
    Property("sizes", N_("1 to 131 073 classes, 1 to 4097 rows"), _sizes),
    Property("upstream", N_("whatever backward starts from, and without a gradient"), _upstream),
    Property("accumulation", N_("gradients are added to those that are there"), _accumulation),
    Property("double-backward", N_("the gradient has a gradient"), _double_backward),
    Property("inputs-unchanged", N_("logits, target and weight stay as they are"), _inputs_unchanged),
    Property("layouts", N_("views, strides and channels last"), _layouts),
    Property("dtype-device", N_("the loss has the dtype and device of the logits"), _dtype_device),
    Property("determinism", N_("the same input gives the same bits"), _determinism),
    Property("refusals", N_("labels and shapes that are wrong are refused"), _refusals),
    Property("ignore-index", N_("each ignore_index, from no row to all"), _ignore_index),
    Property("compile", N_("torch.compile gives the same"), _compile),
    Property("autocast", N_("right under autocast of bfloat16"), _autocast),
    Property("func", N_("torch.func: grad and vmap"), _func),
    Property("extensions", N_("lse_square_scale, z_loss, softcap by their formulas"), _extensions),
    Property("fused", N_("gradients of hidden states, matrix and bias"), _fused),
)
