"""The fix of each error as code: what to do to the tensors so that F.cross_entropy takes them.

The code runs on variables named as the arguments of F.cross_entropy.
Where nobody but the user can know what was meant, it prints what to look at.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from xent_core.validation import FLOATING_DTYPES, USUAL_IGNORE_VALUES, are_swapped, class_axis_of

LOOK_AT_SHAPES = "print(logits.shape, target.shape)"
FIX_OF_OPTION = {
    "reduction": 'reduction = "mean"',
    "label-smoothing": "label_smoothing = 0.1",
    "ignore-index": "ignore_index = -100",
}


def fix_of_unreadable(code: str, data: Any) -> str:
    """The fix where an argument cannot even be read: codes such as "logits-type"; data: what came."""
    if code in FIX_OF_OPTION:
        return FIX_OF_OPTION[code]
    name = code.removesuffix("-type")
    is_list = isinstance(data, list | tuple) and all(isinstance(one, Tensor) for one in data)
    if is_list and len({one.shape for one in data}) == 1:
        # factors of the classes, each in a tensor of its own, stay one axis
        return f"{name} = torch.{'cat' if name == 'weight' else 'stack'}({name})"
    return f"print({name})  # what torch.tensor takes: numbers, in rows of equal length"


def fix_of(code: str, logits: Tensor, target: Tensor, weight: Tensor | None, *, ignore_index: int) -> str:
    """The fix of an error of `violations` in these arguments."""
    if code in ("logits-dtype", "target-shape") and are_swapped(logits, target):
        return "logits, target = target, logits"
    match code:
        case "logits-dtype":
            return f"logits = logits{_to_dense(logits)}{'.real' if logits.is_complex() else _to_floating(logits)}"
        case "logits-shape":
            if logits.dim():
                return LOOK_AT_SHAPES
            return f"logits = logits.reshape({'1, -1' if target.dim() else -1})"
        case "target-dtype":
            return f"target = target{_to_dense(target) or '.long()'}"
        case "target-shape":
            return _target_shape(logits, target)
        case "target-out-of-range":
            return _range(logits, target, ignore_index)
        case "class-axis":
            return "logits = logits.movedim(-1, 1)"
        case "batch-mismatch":
            return _batch(logits, target)
        case "int-one-hot":
            return "target = target.to(logits.dtype)"
        case "soft-target-ignore-index":
            return _soft_ignore(logits, ignore_index)
        case "weight-shape" if weight is not None:
            return _weight_shape(logits, weight)
        case "weight-dtype" if weight is not None:
            return f"weight = weight{_to_dense(weight)}.to(logits.dtype)"
    return FIX_OF_OPTION[code]


def keep_rows(logits: Tensor) -> str:
    """The line that leaves out rows of both, by a mask `keep` shaped like the row losses."""
    if logits.dim() == 2:
        return "logits, target = logits[keep], target[keep]"
    # in more dimensions the mask flattens the rows: (N, C, d1, …) → (rows, C)
    return "logits, target = logits.movedim(1, -1)[keep], target[keep]"


def keep_soft_rows(logits: Tensor) -> str:
    """The same for a target of probabilities."""
    if logits.dim() == 2:
        return "logits, target = logits[keep], target[keep]"
    return "logits, target = logits.movedim(1, -1)[keep], target.movedim(1, -1)[keep]"


def _to_dense(tensor: Tensor) -> str:
    if tensor.is_quantized:
        return ".dequantize()"
    return "" if tensor.layout == torch.strided else ".to_dense()"


def _to_floating(tensor: Tensor) -> str:
    return "" if tensor.dtype in FLOATING_DTYPES else ".float()"


def _row_shape(logits: Tensor) -> list[int]:
    shape = list(logits.shape)
    del shape[class_axis_of(logits)]
    return shape


def _target_shape(logits: Tensor, target: Tensor) -> str:
    came, expected = list(target.shape), _row_shape(logits)
    for axis in range(len(came)):
        if came[axis] == 1 and came[:axis] + came[axis + 1 :] == expected:
            return f"target = target.squeeze({axis})"
    if logits.dim() > 2 and came == [*expected, logits.shape[1]]:
        return "target = target.movedim(-1, 1)"
    if target.numel() == math.prod(expected) and target.numel() > 0:
        return f"target = target.reshape({tuple(expected)})"
    return LOOK_AT_SHAPES


def _batch(logits: Tensor, target: Tensor) -> str:
    if logits.dim() == 2 and target.dim() == 1 and logits.shape[1] == len(target):
        return "logits = logits.T"  # classes first
    if logits.dim() == 2 and target.shape == logits.T.shape:
        return "target = target.T"
    if logits.dim() == 2 and target.dim() > 1 and target.numel() == len(logits):
        return "target = target.reshape(-1)"  # the logits were flattened, the target was not
    if logits.dim() > 2 and target.shape == logits.shape[1:]:
        return "logits, target = logits.unsqueeze(0), target.unsqueeze(0)"  # one example without its batch
    if logits.dim() > 2 and target.dim() == 1 and len(target) == math.prod(_row_shape(logits)):
        return f"target = target.reshape({tuple(_row_shape(logits))})"
    if logits.dim() == 3 and target.dim() == 1 and len(target) == logits.shape[0] * logits.shape[1]:
        return "logits = logits.reshape(-1, logits.shape[-1])"  # (B, T, V): the classes are last
    return LOOK_AT_SHAPES


def _range(logits: Tensor, target: Tensor, ignore_index: int) -> str:
    num_classes = logits.shape[class_axis_of(logits)]
    values = target.long()
    is_int64 = -(2**63) <= ignore_index < 2**63  # another is an error of its own, and ignores no row
    kept = values[values != ignore_index] if is_int64 else values
    ignores = kept.numel() < values.numel()
    if kept.numel() > 1 and kept.min() >= 1 and kept.max() == num_classes:
        return f"target = target.where(target == {ignore_index}, target - 1)" if ignores else "target = target - 1"
    outside = kept[(kept < 0) | (kept >= num_classes)].unique().tolist()
    if len(outside) == 1 and outside[0] in USUAL_IGNORE_VALUES:
        value = outside[0]
        return f"target = target.where(target != {value}, {ignore_index})" if ignores else f"ignore_index = {value}"
    wrong = f"(target < 0) | (target >= {num_classes})"
    if ignores:
        wrong = f"({wrong}) & (target != {ignore_index})"
    return f"print(({wrong}).nonzero())  # which rows"


def _soft_ignore(logits: Tensor, ignore_index: int) -> str:
    axis = class_axis_of(logits)
    default = "ignore_index = -100  # PyTorch's default, which probabilities never reach"
    if logits.dim() == 1 or ignore_index >= logits.shape[axis]:
        return default
    return f"keep = target.argmax(dim=1) != {ignore_index}\n{keep_soft_rows(logits)}\nignore_index = -100"


def _weight_shape(logits: Tensor, weight: Tensor) -> str:
    num_classes = logits.shape[class_axis_of(logits)]
    if weight.numel() == num_classes:
        return "weight = weight.reshape(-1)"
    if weight.numel() == 1:
        return f"weight = weight.reshape(1).expand({num_classes})"
    return f"print(weight.shape)  # one factor for each of the {num_classes} classes"
