"""diagnose: what is wrong with logits, target and options of F.cross_entropy, in words, with the fix as code."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import fields
from functools import partial
from typing import Any

from torch import Tensor

from xent_core.advice import for_the_caller
from xent_core.array_types import ArrayLike, Reduction
from xent_core.codec import Document, read_file
from xent_core.codec.refusals import RefusedProblem
from xent_core.columns import ColumnChoices
from xent_core.doctor.findings import SEVERITIES, TITLES, Finding, finding
from xent_core.doctor.fixes import fix_of, fix_of_unreadable
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.context import Context
from xent_core.doctor.symptoms.search import find_symptoms
from xent_core.doctor.symptoms.sequences import find_in_sequences
from xent_core.errors import InvalidProblem
from xent_core.language import _
from xent_core.loss_options import LossOptions
from xent_core.validation import (
    as_ignore_index,
    as_label_smoothing,
    as_logits,
    as_target,
    as_weight,
    violations,
)

__all__ = ["TITLES", "Finding", "diagnose", "diagnose_document", "diagnose_file"]


def diagnose(
    logits: ArrayLike,
    target: ArrayLike,
    *,
    weight: ArrayLike | None = None,
    ignore_index: int = -100,
    reduction: Reduction = "mean",
    label_smoothing: float = 0.0,
    tokens: ArrayLike | None = None,
    prompt_mask: ArrayLike | None = None,
    separator: int | None = None,
    micro_batch_counts: Sequence[int] | None = None,
    trained: bool = False,
    ignore: Collection[str] = (),
) -> list[Finding]:
    """What goes wrong in F.cross_entropy with these arguments, and what is worth knowing; errors come first.

    Errors are what PyTorch refuses, forward or backward; where there is one, nothing else is looked for.
    A clean input gives no error and no warning; it may give notes. What only many rows together show is said where
    chance explains it in less than one of a million inputs; of many rows a fixed sample is looked at.

    Args:
      logits, target, weight, ignore_index, reduction, label_smoothing: as for `Problem`, but valid or not, of any shape
        and dtype; nothing is changed, and tensors are not copied.
      tokens: that went into a language model, (B, T), for a target (B, T) or (B·T,).
      prompt_mask: shaped like the target, true where a place belongs to the prompt.
      separator: the token that ends each text of packed rows.
      micro_batch_counts: how many rows each micro-batch of the optimizer step keeps.
      trained: whether the model should know something by now; predictions without any relation to the labels, or equal
        in every row, are then warnings.
      ignore: codes that are not to be found.

    Returns: findings, the worst first; see `Finding` and TITLES.
    Raises: ValueError for a code in `ignore` that there is not, and for what is known of a batch that does not fit it.
    Example:
      >>> [one.code for one in diagnose([[1, 2, 3]], [7])]
      ['target-out-of-range']
    """
    if unknown := set(ignore) - TITLES.keys():
        raise ValueError(f"ignore holds {', '.join(map(repr, sorted(map(str, unknown))))}, expected codes of TITLES")
    known = partial(
        Context.of,
        trained=trained,
        tokens=tokens,
        prompt_mask=prompt_mask,
        separator=separator,
        micro_batch_counts=micro_batch_counts,
    )
    found = _found(logits, target, weight, ignore_index, reduction, label_smoothing, known)
    return [one for one in found if one.code not in ignore]


def _found(
    logits: ArrayLike,
    target: ArrayLike,
    weight: ArrayLike | None,
    ignore_index: int,
    reduction: Reduction,
    label_smoothing: float,
    known: Callable[[Tensor], Context],
) -> list[Finding]:
    try:
        z = _as_tensor("logits", logits, as_logits)
        y = _as_tensor("target", target, lambda data: as_target(data, z.dtype))
        w = None if weight is None else _as_tensor("weight", weight, lambda data: as_weight(data, z.dtype))
        index, smoothing = as_ignore_index(ignore_index), as_label_smoothing(label_smoothing)
    except InvalidProblem as error:
        came = {"logits-type": logits, "target-type": target, "weight-type": weight}.get(error.code)
        return [_of_error(error, fix_of_unreadable(error.code, came))]
    options = LossOptions(w, index, reduction, smoothing)
    errors = list(violations(z, y, options)) or list(_refused_by_backward(z, y))
    if errors:
        errors = [for_the_caller(error, logits=logits, target=target, weight=weight) for error in errors]
        found = [_of_error(error, fix_of(error.code, z, y, w, ignore_index=index)) for error in errors]
        if {one.code for one in found} == {"class-axis"} and z.dim() == 3 and y.shape == z.shape[:2]:
            # (B, T, V) as models give it: what its labels show is the same
            found += find_in_sequences(Call.of(z.movedim(-1, 1), y, options), known(y))
        return found
    symptoms = find_symptoms(Call.of(z, y, options), known(y))
    return sorted(symptoms, key=lambda one: SEVERITIES.index(one.severity))


def _as_tensor(name: str, data: Any, read: Callable[[Any], Tensor]) -> Tensor:
    """A tensor itself, without a copy; anything else as `Problem` reads it."""
    if isinstance(data, Tensor) and data.device.type == "cpu" and not data.is_nested:
        return data.detach()
    tensor = read(data)
    if isinstance(data, list | tuple) and any(isinstance(one, Tensor) and one.dim() for one in data):
        # Problem stacks them; PyTorch refuses a list
        raise InvalidProblem(
            f"{name}-type",
            _("{name} is a {type} of tensors").format(name=name, type=type(data).__name__),
            _("one tensor"),
            _("Stack them: torch.stack({name}).").format(name=name),
        )
    return tensor


def _refused_by_backward(logits: Tensor, target: Tensor) -> Iterator[InvalidProblem]:
    if logits.dim() == 1 and target.shape == (1,) and logits.shape != (1,):
        yield InvalidProblem(
            "target-shape",
            _("target has shape (1,) for logits of shape {shape}").format(shape=tuple(logits.shape)),
            _("a target of shape (): PyTorch takes (1,) forward and refuses it in backward()"),
            _("Drop the axis of one."),
        )


def _of_error(error: InvalidProblem, fix: str) -> Finding:
    return finding(error.code, "error", str(error), fix)


def diagnose_file(
    name: str, data: bytes, *, read: Callable[[str, bytes, ColumnChoices], Document] = read_file
) -> list[Finding]:
    """What is wrong with the arrays in a file, of the kinds that `codec.read_file` reads; the loss is of logits / T.

    What came as logits is taken for logits: that it looks like probabilities is a finding.

    Args:
      name: its ending says what kind of file it is.
      read: `codec.read_file`, or one that reads in another process.

    Raises: codec.InvalidFile for what cannot be read as arrays.
    """
    return diagnose_document(lambda: read(name, data, ColumnChoices(logits_are="logits")))[0]


def diagnose_document(read: Callable[[], Document]) -> tuple[list[Finding], str]:
    """The same of whatever `read` reads, and what was taken for what."""
    try:
        document = read()
    except RefusedProblem as refused:
        return _of_arrays({**refused.tensors, **refused.options}), refused.reading
    problem = document.problem
    return _of_arrays({field.name: getattr(problem, field.name) for field in fields(problem)}), document.reading


def _of_arrays(arrays: dict[str, Any]) -> list[Finding]:
    logits, temperature = arrays.pop("logits"), arrays.pop("temperature", 1.0)
    return diagnose(logits if temperature == 1 else logits / temperature, arrays.pop("target"), **arrays)
