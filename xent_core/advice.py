"""What to do about values of a caller, as code that runs on them in the library that they came from."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor

from xent_core.array_types import library_of
from xent_core.errors import InvalidProblem
from xent_core.language import _

# how a value of another library becomes a NumPy array, whose methods the advice then names
_AS_NUMPY = {"numpy": "{name}", "jax": "{name}", "pandas": "{name}.to_numpy()", "tensorflow": "{name}.numpy()"}
_NUMPY_METHODS = (
    (".long()", '.astype("int64")'),
    (".float()", '.astype("float32")'),
    (".to(logits.dtype)", ".astype(logits.dtype)"),
)
_USE = re.compile(r"\b([a-z_]+)(?=\.[a-z_]+\(|\.T\b|\[|\.real\b| - \d)")
_MOVED = re.compile(r"\b([a-z_]+)\.movedim\(([^()]*)\)")


def in_words_of(data: object, name: str, advice: str) -> str:
    """The advice on a tensor `name` as it is followed where the value came from.

    Example:
      >>> import numpy as np
      >>> in_words_of(np.zeros(3), "target", "Convert the class indices: target.long().")
      'Convert the class indices: target.astype("int64").'
      >>> in_words_of([0.0], "target", "Convert the class indices: target.long().")
      'Convert the class indices: torch.tensor(target).long().'
    """
    library = library_of(data)
    if library == "torch":
        return advice
    if library == "list":
        build = f"torch.stack({name})" if _holds_tensors(data) else f"torch.tensor({name})"
        return _in_place_of(name, build, advice)
    array = _AS_NUMPY.get(library, "np.asarray({name})").format(name=name)
    advice = _MOVED.sub(lambda found: f"np.moveaxis({array}, {found[2]})" if found[1] == name else found[0], advice)
    advice = _in_place_of(name, array, advice).replace(f"{array}.unsqueeze(0)", f"{array}[None]")
    for theirs, ours in _NUMPY_METHODS:
        advice = advice.replace(f"{array}{theirs}", f"{array}{ours}")
    return advice


def _in_place_of(name: str, value: str, advice: str) -> str:
    """The advice with `value` wherever something is done with `name`."""
    return _USE.sub(lambda found: value if found[1] == name else found[0], advice)


def for_the_caller(error: InvalidProblem, **given: Any) -> InvalidProblem:
    """The same, with a fix that runs on the values as they came."""
    fix = error.fix
    for name, data in given.items():
        fix = in_words_of(data, name, fix)
    return InvalidProblem(error.code, error.came, error.expected, fix)


def unreadable_advice(data: Any, name: str) -> str:
    """What to do about a value that cannot be read as numbers at all."""
    library = library_of(data)
    if isinstance(data, Tensor):
        if data.is_nested:
            return _("Pad it: torch.nested.to_padded_tensor({name}, 0.0).").format(name=name)
        return _("Compute it on a device that holds numbers: the tensor is on {device}.").format(device=data.device)
    if isinstance(data, list | tuple) and data and all(isinstance(one, Tensor) for one in data):
        return _("Pad them to one length: torch.nn.utils.rnn.pad_sequence({name}, batch_first=True).").format(name=name)
    if isinstance(data, dict):
        return _("Pass one of its entries, such as {code}.").format(code=f"{name}[{next(iter(data), 'logits')!r}]")
    if library == "pandas" and hasattr(data, "select_dtypes"):
        return _('Keep the columns of numbers: {name}.select_dtypes("number").').format(name=name)
    if library == "list":
        return _("Look at its rows: numbers alone, and in each row as many.")
    return _("Pass numbers, as a tensor, an array or nested lists.")


def _holds_tensors(data: object) -> bool:
    return isinstance(data, list | tuple) and any(isinstance(one, Tensor) for one in data)
