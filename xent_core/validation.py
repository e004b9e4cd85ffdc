"""What PyTorch takes as logits, target and options: reading a caller's values, and finding what would be refused."""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.advice import unreadable_advice
from xent_core.arrays import is_numbers, to_tensor
from xent_core.errors import InvalidProblem
from xent_core.language import N_, _
from xent_core.loss_options import REDUCTIONS, LossKeywords, LossOptions

# what people fill unlabelled rows with when they do not know PyTorch's −100: Caffe and segmentation masks, scikit-learn
USUAL_IGNORE_VALUES = (-1, 255, -100)
DTYPES = {
    "float64": torch.float64,
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}
FLOATING_DTYPES = tuple(DTYPES.values())
_NO_OPTIONS = LossOptions()


def violations(logits: Tensor, target: Tensor, options: LossOptions) -> Iterator[InvalidProblem]:
    """Everything for which PyTorch would refuse these tensors, one InvalidProblem for each mistake.

    Later checks are left out where an earlier mistake makes them meaningless.
    """
    if _are_usual(logits, target, options):
        return
    option_errors = list(_option_violations(options))
    yield from option_errors
    if are_swapped(logits, target):
        yield InvalidProblem(
            "target-shape" if logits.is_floating_point() else "logits-dtype",
            _("logits of shape {logits_shape} hold whole numbers, and target of shape {shape} fractions").format(
                logits_shape=_shape(logits), shape=_shape(target)
            ),
            _("the logits first and the class indices second"),
            _("Swap the two: logits, target = target, logits"),
        )
        return
    if not _is_int64(options.ignore_index):
        options = replace(options, ignore_index=-100)  # no tensor could be compared with it
    if logits.dtype not in FLOATING_DTYPES or logits.layout != torch.strided:
        what = dtype_name(logits) if logits.layout == torch.strided else f"{logits.layout}"
        yield InvalidProblem(
            "logits-dtype",
            _("logits are {what}").format(what=what),
            _("a dense floating tensor (float64, float32, bfloat16 or float16)"),
            _("Convert them: {code}.").format(code=f"logits{_to_floating(logits)}"),
        )
        return
    if logits.dim() == 0:
        yield InvalidProblem(
            "logits-shape",
            _("logits have shape ()"),
            _("a class axis: (C,), (N, C) or (N, C, d1, …)"),
            _("Add the axis of the classes: {code}.").format(code=f"logits.reshape({'1, -1' if target.dim() else -1})"),
        )
        return
    target_errors = list(_target_violations(logits, target, options))
    yield from target_errors
    if options.weight is not None:
        yield from _weight_violations(logits, target, options.weight, options, checked=not target_errors)
    if logits.numel() == 0 and not target_errors and not option_errors:
        yield from _empty_violations(logits, target, options)


def _are_usual(logits: Tensor, target: Tensor, options: LossOptions) -> bool:
    """Whether this is the usual case, rows of logits with a class each and no options, of which all is well."""
    if not (logits.dtype in FLOATING_DTYPES and target.dtype == torch.int64 and logits.layout == torch.strided):
        return False
    if not (logits.dim() == 2 and target.layout == torch.strided and target.shape == logits.shape[:1] != (0,)):
        return False
    if options.weight is not None or type(options.reduction) is not str or options != _NO_OPTIONS:
        return False
    least, most = target.aminmax()  # no mask of the size of the target
    return int(least) >= 0 and int(most) < logits.shape[1]


def are_swapped(logits: Tensor, target: Tensor) -> bool:
    """Whether the logits would do as class indices of the target, and the target as logits of these."""
    if target.dim() != logits.dim() + 1 or not target.is_floating_point() or logits.is_complex():
        return False
    shape = list(target.shape)
    del shape[class_axis_of(target)]
    if list(logits.shape) != shape or logits.layout != torch.strided or logits.is_meta:
        return False
    return bool((logits == logits.floor()).all()) if logits.is_floating_point() else logits.dtype != torch.bool


def _to_floating(logits: Tensor) -> str:
    dense = ".dequantize()" if logits.is_quantized else "" if logits.layout == torch.strided else ".to_dense()"
    if logits.is_complex():
        return f"{dense}.real"
    return dense or ".float()"


def check_options(options: LossOptions, num_classes: int) -> None:
    """Raises: InvalidProblem if PyTorch would refuse these options for so many classes."""
    logits = torch.empty((), dtype=torch.float64).expand(1, num_classes)
    for error in violations(logits, torch.zeros(1, dtype=torch.int64), options):
        raise error


def class_axis_of(logits: Tensor) -> int:
    """0 for logits of shape (C,), otherwise 1, as in `torch.nn.functional.cross_entropy`."""
    return 0 if logits.dim() == 1 else 1


def as_logits(data: Any) -> Tensor:
    """Logits as a CPU tensor of their own; numbers in lists, and integers in NumPy arrays, become float32."""
    return _as_tensor(data, "logits", fractions=torch.float32, integers=torch.float32)


def as_target(data: Any, dtype: torch.dtype) -> Tensor:
    """The target as a CPU tensor of its own; fractions in lists get the dtype of the logits."""
    return _as_tensor(data, "target", fractions=dtype)


def as_weight(data: Any, dtype: torch.dtype) -> Tensor:
    """The weight as a CPU tensor of its own; numbers in lists get the dtype of the logits."""
    return _as_tensor(data, "weight", fractions=dtype, integers=dtype if isinstance(data, list | tuple) else None)


def as_ignore_index(value: Any) -> int:
    """An integer, but no bool."""
    return int(_as_number(value, "ignore_index", operator.index, N_("an integer")))


def as_label_smoothing(value: Any) -> float:
    """A number as a float."""
    return float(_as_number(value, "label_smoothing", float, N_("a number in 0…1")))


def as_loss_options(keywords: LossKeywords, dtype: torch.dtype) -> LossOptions:
    """The options as a caller gave them, with numbers as numbers; a weight in a list gets this dtype."""
    weight = keywords.get("weight")
    return LossOptions(
        weight=None if weight is None else as_weight(weight, dtype),
        ignore_index=as_ignore_index(keywords.get("ignore_index", -100)),
        reduction=keywords.get("reduction", "mean"),
        label_smoothing=as_label_smoothing(keywords.get("label_smoothing", 0.0)),
        temperature=_as_number(keywords.get("temperature", 1.0), "temperature", float, N_("a finite number above 0")),
    )


def _as_tensor(data: Any, name: str, *, fractions: torch.dtype, integers: torch.dtype | None = None) -> Tensor:
    """A copy on the CPU: tensors as they are, fractions in lists and integers anywhere else in these dtypes."""
    if _is_plain(data):
        copied: Tensor = data.clone()
        return copied
    try:
        # an inference tensor could not take part in backward(); a copy made outside inference mode can
        with torch.inference_mode(False):
            if isinstance(data, Tensor):
                return to_tensor(data)
            has_no_dtype = is_numbers(data)
            tensor = torch.tensor(data, device="cpu") if has_no_dtype else to_tensor(data)
            if tensor.is_floating_point():
                # read a list anew: the first reading has rounded it to PyTorch's default dtype
                return torch.tensor(data, dtype=fractions, device="cpu") if has_no_dtype else tensor
            is_of_torch = isinstance(data, list | tuple) and isinstance(data[0], Tensor)
            if tensor.dtype == torch.bool or tensor.is_complex() or is_of_torch:
                return tensor
            if integers is None and tensor.dtype not in (torch.int64, torch.uint8):
                integers = torch.int64  # the int32 of NumPy on Windows, of JAX, TensorFlow and pandas
            return tensor if integers is None else tensor.to(integers)
    except Exception as error:  # reading a stranger's object may raise anything
        raise InvalidProblem(
            f"{name}-type",
            _("{name} of type {type} cannot be read as a tensor ({error})").format(
                name=name, type=type(data).__name__, error=_first_line(error)
            ),
            _("a tensor, an array or nested lists of numbers with rows of equal length"),
            unreadable_advice(data, name),
        ) from error


def _is_plain(data: Any) -> bool:
    """Whether `clone` gives what a Problem keeps, as of most tensors."""
    return (
        type(data) is Tensor
        and data.is_cpu
        and data.layout == torch.strided
        and not (data.requires_grad or data.is_nested or torch.is_inference_mode_enabled())
    )


def _as_number(value: Any, name: str, convert: Any, expected: str) -> Any:
    if type(value) is (int if convert is operator.index else float):
        return value
    try:
        if isinstance(value, str | bytes) or (isinstance(value, bool) and convert is operator.index):
            raise TypeError
        return convert(value)
    except Exception as error:  # converting a stranger's object may raise anything
        raise InvalidProblem(
            name.replace("_", "-"),
            _("{name} is {value}").format(name=name, value=_shown(value)),
            _(expected),
            _("Pass {expected}.").format(expected=_(expected)),
        ) from error


def _option_violations(options: LossOptions) -> Iterator[InvalidProblem]:
    if not isinstance(options.reduction, str) or options.reduction not in REDUCTIONS:
        yield InvalidProblem(
            "reduction",
            _("reduction is {value}").format(value=_shown(options.reduction)),
            _("'none', 'mean' or 'sum'"),
            _("Choose one of the three."),
        )
    if options.label_smoothing > 1:
        yield InvalidProblem(
            "label-smoothing",
            _("label_smoothing is {label_smoothing}").format(label_smoothing=options.label_smoothing),
            _("a number in 0…1"),
            _("Usual values are 0 to 0.2."),
        )
    if not (math.isfinite(options.temperature) and options.temperature > 0):
        yield InvalidProblem(
            "temperature",
            _("temperature is {temperature}").format(temperature=options.temperature),
            _("a finite number above 0"),
            _("1 leaves the logits as they are."),
        )
    if not _is_int64(options.ignore_index):
        yield InvalidProblem(
            "ignore-index",
            _("ignore_index is {value}").format(value=_shown(options.ignore_index)),
            _("an integer of 64 bits"),
            _("PyTorch's default is −100."),
        )


def _target_violations(logits: Tensor, target: Tensor, options: LossOptions) -> Iterator[InvalidProblem]:
    if target.layout != torch.strided:
        yield InvalidProblem(
            "target-dtype",
            _("target is {layout}").format(layout=target.layout),
            _("a dense tensor"),
            _("Use target.to_dense()."),
        )
    elif logits.shape == target.shape:
        yield from _probability_violations(target, options.ignore_index)
    else:
        yield from _index_violations(logits, target, options)


def _probability_violations(target: Tensor, ignore_index: int) -> Iterator[InvalidProblem]:
    # a target in the shape of the logits holds probabilities, whatever its dtype
    if target.dtype not in FLOATING_DTYPES:
        yield InvalidProblem(
            "int-one-hot",
            _("target has the shape of logits {shape} and dtype {dtype}").format(
                shape=_shape(target), dtype=dtype_name(target)
            ),
            _("floating probabilities in that shape, or int64 class indices without the class axis"),
            _("Use target.float(), or {code} for class indices.").format(
                code=f"target.argmax({class_axis_of(target)})"
            ),
        )
    elif ignore_index >= 0:
        yield InvalidProblem(
            "soft-target-ignore-index",
            _("ignore_index is {ignore_index} with a target of probabilities").format(ignore_index=ignore_index),
            _("no ignore_index: PyTorch cannot ignore rows of probabilities"),
            _("Drop the rows before the loss: logits[keep], target[keep]."),
        )


def _index_violations(logits: Tensor, target: Tensor, options: LossOptions) -> Iterator[InvalidProblem]:
    shape_error = _index_shape_violation(logits, target, options.label_smoothing)
    if shape_error is not None:
        yield shape_error
        return
    byte_is_refused = target.dtype == torch.uint8 and logits.dim() > 2  # by backward() even if it is empty
    if target.dtype not in (torch.int64, torch.uint8) or byte_is_refused:
        kind = _("class indices with values such as 2.0") if target.is_floating_point() else _("class indices")
        yield InvalidProblem(
            "target-dtype",
            _("target has dtype {dtype} and shape {shape}").format(dtype=dtype_name(target), shape=_shape(target)),
            _("int64 {kind}, or floating probabilities of shape {logits_shape}").format(
                kind=kind, logits_shape=_shape(logits)
            ),
            _("Convert the class indices: target.long()."),
        )
        return
    yield from _range_violations(logits, target, options.ignore_index)


def _index_shape_violation(logits: Tensor, target: Tensor, label_smoothing: float) -> InvalidProblem | None:
    expected = list(logits.shape)
    del expected[class_axis_of(logits)]
    came = list(target.shape)
    # (C,) logits with a target of one element: PyTorch takes (1,) for (), though not together with label_smoothing
    if came == expected or (logits.dim() == 1 and came == [1] and not label_smoothing > 0):
        return None
    words = f"({', '.join(map(str, expected))}{',' if len(expected) == 1 else ''})"
    wanted = _("class indices of shape {words} or probabilities of shape {logits_shape}").format(
        words=words, logits_shape=_shape(logits)
    )
    message = _("target has shape {shape} for logits of shape {logits_shape}").format(
        shape=_shape(target), logits_shape=_shape(logits)
    )
    if logits.dim() >= 3 and came == list(logits.shape[:-1]):
        return InvalidProblem(
            "class-axis",
            _("{message}, as if the classes were the last axis of logits").format(message=message),
            _("the classes on axis 1, so that target has shape {words}").format(words=words),
            _("Move the axis: logits.movedim(-1, 1)."),
        )
    if came == [*expected, 1] or (
        target.dim() == logits.dim() and 1 in came and math.prod(came) == math.prod(expected)
    ):
        code = f"target.squeeze({_axis_of_one(came, expected)})"
        return InvalidProblem("target-shape", message, wanted, _("Drop the axis of one: {code}.").format(code=code))
    if logits.dim() > 2 and came == list(logits.shape[1:]):
        fix = _("Add the axis of the batch to both: logits.unsqueeze(0) and target.unsqueeze(0).")
        return InvalidProblem("batch-mismatch", message, wanted, fix)
    if logits.dim() == 2 and came == [logits.shape[1]]:
        return InvalidProblem("batch-mismatch", message, wanted, _("Put the rows first: logits.T."))
    if math.prod(came) == math.prod(expected) > 0:
        fix = _("Bring it into that shape: {code}.").format(code=f"target.reshape({', '.join(map(str, expected))})")
        if not expected:
            fix = _("Bring it into that shape: {code}.").format(code="target.reshape(())")
        is_other_batch = bool(came) and logits.dim() > 1 and came[0] != expected[0]
        return InvalidProblem("batch-mismatch" if is_other_batch else "target-shape", message, wanted, fix)
    if came and logits.dim() > 1 and came[0] != expected[0]:
        return InvalidProblem(
            "batch-mismatch",
            _("{message}: {rows} rows against {expected_rows}").format(
                message=message, rows=came[0], expected_rows=expected[0]
            ),
            wanted,
            _("Take both from the same batch; the first axis of each counts the rows."),
        )
    fix = _("Look where the shapes part: print(logits.shape, target.shape).")
    return InvalidProblem("target-shape", message, wanted, fix)


def _axis_of_one(came: list[int], expected: list[int]) -> int:
    return next((i for i, size in enumerate(came) if size == 1 and came[:i] + came[i + 1 :] == expected), 1)


def _range_violations(logits: Tensor, target: Tensor, ignore_index: int) -> Iterator[InvalidProblem]:
    num_classes = logits.shape[class_axis_of(logits)]
    values = target.long()
    kept = values[values != ignore_index]
    # two reductions, no mask of the size of the target, for the usual case that all is well
    if kept.numel() == 0 or (kept.min() >= 0 and kept.max() < num_classes):
        return
    outside = (values != ignore_index) & ((values < 0) | (values >= num_classes))
    place = outside.nonzero()[0].tolist()
    value = int(values[tuple(place)])
    where = _("target row {row}").format(row=place[0]) if len(place) == 1 else f"target{place or ''}"
    count = int(outside.sum())
    others = _(" ({count} rows are outside)").format(count=count) if count > 1 else ""
    fix = _("Correct the label, or add a class.")
    if kept.numel() > 1 and kept.min() >= 1 and kept.max() == num_classes:
        fix = _("The labels look like 1…C: use target - 1.")
    elif bool(((kept == value) | ((kept >= 0) & (kept < num_classes))).all()) and value in USUAL_IGNORE_VALUES:
        fix = _("If {value} marks rows to leave out, pass ignore_index={value}.").format(value=value)
    ignored = f"ignore_index {str(ignore_index).replace('-', '−')}"
    yield InvalidProblem(
        "target-out-of-range",
        _("{where} is {value}{others}").format(where=where, value=value, others=others),
        _("a class in 0…{last} or {ignored}").format(last=num_classes - 1, ignored=ignored)
        if num_classes
        else _("{ignored}, as there are no classes").format(ignored=ignored),
        fix,
    )


def _weight_violations(
    logits: Tensor, target: Tensor, weight: Tensor, options: LossOptions, *, checked: bool
) -> Iterator[InvalidProblem]:
    num_classes = logits.shape[class_axis_of(logits)]
    if list(weight.shape) != [num_classes]:
        entries = (
            _("{count} entries").format(count=len(weight))
            if weight.dim() == 1
            else _("shape {shape}").format(shape=_shape(weight))
        )
        fix = _("Give one factor for each class.")
        if weight.dim() == 1:
            more = len(weight) - num_classes
            fix = (
                _("Remove {more}, or add {classes}.").format(more=more, classes=_classes(more))
                if more > 0
                else _("Add {count}, or remove {classes}.").format(count=-more, classes=_classes(-more))
            )
        yield InvalidProblem(
            "weight-shape",
            _("weight has {entries}").format(entries=entries),
            _("{num_classes}, one per class").format(num_classes=num_classes),
            fix,
        )
        return
    is_index = checked and logits.shape != target.shape
    if weight.layout != torch.strided:
        yield InvalidProblem(
            "weight-dtype",
            _("weight is {layout}").format(layout=weight.layout),
            _("a dense tensor"),
            _("Use weight.to_dense()."),
        )
    elif (is_index and weight.dtype != logits.dtype) or weight.is_complex():
        yield InvalidProblem(
            "weight-dtype",
            _("weight has dtype {dtype}").format(dtype=dtype_name(weight)),
            _("the dtype of logits, {dtype}").format(dtype=dtype_name(logits)),
            _("Convert it: weight.to(logits.dtype)."),
        )
    gathers = options.label_smoothing > 0 and isinstance(options.reduction, str) and options.reduction == "mean"
    if is_index and gathers and target.dtype == torch.uint8 and bool((target != options.ignore_index).any()):
        yield InvalidProblem(
            "target-dtype",
            _("target has dtype uint8 together with weight, label_smoothing and reduction 'mean'"),
            _("int64 class indices"),
            _("Convert the class indices: target.long()."),
        )


def _empty_violations(logits: Tensor, target: Tensor, options: LossOptions) -> Iterator[InvalidProblem]:
    # which empty shapes PyTorch takes follows no rule that one could state; asking it costs nothing
    try:
        F.cross_entropy(logits, target, **options.torch_keywords())
    except (RuntimeError, ValueError, IndexError) as error:
        yield InvalidProblem(
            "logits-shape",
            _("logits of shape {logits_shape} hold no number and PyTorch refuses them ({error})").format(
                logits_shape=_shape(logits), error=_first_line(error)
            ),
            _("at least one row and one class"),
            _("Check where the batch became empty."),
        )


def _classes(count: int) -> str:
    return _("a class") if count == 1 else _("{count} classes").format(count=count)


def _shape(tensor: Tensor) -> str:
    return str(tuple(tensor.shape))


def dtype_name(tensor: Tensor) -> str:
    """float32, for torch.float32."""
    return str(tensor.dtype).removeprefix("torch.")


def _is_int64(value: int) -> bool:
    return -(2**63) <= value < 2**63


def _shown(value: object) -> str:
    """repr, cut short; Python itself refuses to write out an integer of thousands of digits."""
    try:
        text = repr(value)
    except Exception:
        text = f"a value of type {type(value).__name__}"
    return text if len(text) <= 80 else f"{text[:79]}…"


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0] if len(lines[0]) <= 200 else f"{lines[0][:199]}…"
