"""message_words: what an error message of PyTorch says in its own numbers, and what follows from them."""

from __future__ import annotations

import re
from collections.abc import Callable

from xent_core.doctor.torch_messages import one_line
from xent_core.language import _
from xent_core.validation import USUAL_IGNORE_VALUES

_Words = Callable[[re.Match[str]], str]


def message_words(message: str, code: str) -> str:
    """What the numbers and names in a message say about a mistake that it comes from; "" where there are none.

    Args: message: as for `recognise`; code: one of those that it gives.
    Example:
      >>> message_words("IndexError: Target 10 is out of bounds.", "target-out-of-range").split(":")[0]
      'The message names the label 10'
    """
    text = one_line(message)
    for pattern, known, words in _WORDS:
        if known == code and (found := pattern.search(text)):
            return words(found)
    return ""


def _label(found: re.Match[str]) -> str:
    label = int(found[1])
    said = _("The message names the label {label}: labels of C classes are 0…C − 1.").format(label=label)
    if label < 0:
        return f"{said} " + _(
            "No class has a negative number. If {label} marks rows that do not count, pass ignore_index={label}."
        ).format(label=label)
    if label in USUAL_IGNORE_VALUES:
        said += " " + _("If {label} marks what does not count, pass ignore_index={label}.").format(label=label)
    return f"{said} " + _(
        "So the logits have {label} classes or fewer. With exactly {label}, the labels count from 1, or the last "
        "layer has one output too few: label {label} needs at least {needed}."
    ).format(label=label, needed=label + 1)


def _batch(found: re.Match[str]) -> str:
    rows, labels = int(found[1]), int(found[2])
    said = _("The message counts {rows} rows of logits and {labels} labels.").format(rows=rows, labels=labels)
    if min(rows, labels) > 1 and max(rows, labels) % min(rows, labels) == 0:
        many = _("logits") if rows > labels else _("target")
        factor = max(rows, labels) // min(rows, labels)
        said += " " + _(
            "{factor} times as many in the {many}: an axis was flattened into the rows there alone."
        ).format(factor=factor, many=many)
    return said


def _sizes(found: re.Match[str]) -> str:
    expected, came = (tuple(int(size) for size in found[group].split(",")) for group in (1, 2))
    said = _("By the logits the target should have shape {expected}; it has {came}.").format(
        expected=expected, came=came
    )
    if len(expected) == len(came) == 2 and expected[0] == came[0]:
        said += " " + _(
            "If there are {classes} classes, the logits are (N, T, C) = {last} and should be (N, C, T) = {first}."
        ).format(classes=expected[1], last=(*came, expected[1]), first=(came[0], expected[1], came[1]))
    return said


def _weight(found: re.Match[str]) -> str:
    return _("The message counts {classes} classes and a weight of shape [{shape}].").format(
        classes=found[1], shape=found[2]
    )


def _dtype(found: re.Match[str]) -> str:
    return _("The message names the dtype that came: {came}.").format(came=found[1])


def _scalar_types(found: re.Match[str]) -> str:
    return _("The message names the dtype that came, {came}, and the one expected: {expected}.").format(
        came=found[2], expected=found[1]
    )


def _value(found: re.Match[str]) -> str:
    return _("The message names the value that came: {came}.").format(came=found[1])


def _kind(found: re.Match[str]) -> str:
    return _("The message names what came, {came}, and what was expected: {expected}.").format(
        came=found[2], expected=found[1]
    )


_NAME, _COUNT, _SIZES = r"([A-Za-z_]\w{0,60})", r"(\d{1,18})", r"\[(\d{1,18}(?:, \d{1,18}){0,9})\]"
_KIND = rf"\(position \d{{1,2}}\) must be {_NAME}, not ([\w.]{{1,60}})"
_SCALAR_TYPES = rf"expected scalar type {_NAME} but found {_NAME}"
# they meet one line with single spaces, in any case; whatever repeats is bounded
_WORDS: tuple[tuple[re.Pattern[str], str, _Words], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), code, words)
    for pattern, code, words in (
        (r"target (-?\d{1,18}) is out of bounds", "target-out-of-range", _label),
        (
            rf"expected input batch_size \({_COUNT}\) to match target batch_size \({_COUNT}\)",
            "batch-mismatch",
            _batch,
        ),
        (rf"expected target size {_SIZES}, got {_SIZES}", "class-axis", _sizes),
        (
            rf"for all {_COUNT} classes or no classes but got weight tensor of shape: \[([\d, ]{{0,60}})\]",
            "weight-shape",
            _weight,
        ),
        (rf"expected target dtype to be long or byte, but got {_NAME}", "target-dtype", _dtype),
        (rf"target with class probabilities, got {_NAME}", "int-one-hot", _dtype),
        (_SCALAR_TYPES, "target-dtype", _scalar_types),
        (_SCALAR_TYPES, "weight-dtype", _scalar_types),
        (rf'log_softmax\w{{0,60}}"? not implemented for \'{_NAME}\'', "logits-dtype", _dtype),
        (r"(\S{1,40}) is not a valid value for reduction", "reduction", _value),
        (r"label_smoothing must be between 0\.0 and 1\.0\. got: (\S{1,40})", "label-smoothing", _value),
        (rf"argument 'ignore_index' {_KIND}", "ignore-index", _kind),
        (rf"argument 'label_smoothing' {_KIND}", "label-smoothing", _kind),
        (rf"argument 'input' {_KIND}", "logits-type", _kind),
        (rf"argument 'target' {_KIND}", "target-type", _kind),
        (rf"argument 'weight' {_KIND}", "weight-type", _kind),
    )
)
