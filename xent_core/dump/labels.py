"""Labels as class indices: out of names, of numbers that are names, of one-hot rows, and of probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from xent_core.columns import are_names, called_by_numbers, names_or_indices, whole_number
from xent_core.dump.formats import Array, InvalidDump
from xent_core.dump.formats.checks import asked
from xent_core.language import _
from xent_core.logits_question import rounding_of
from xent_core.probability_tolerances import MOST_TOLERANCE_TO_ASK, NEGATIVE_TOLERANCE, SUM_TOLERANCE

_LABELS_AT_A_TIME = 2**19
NO_LABEL = ("", "nan", "none", "null", "na", "<na>")
TRUTH = {"false": 0, "true": 1}
NEAR_ONE_HOT = 1e-6
NEAR_ONE = 1e-4  # sums of probabilities that differ by more are told


@dataclass(frozen=True)
class Labels:
    """The labels of a dump; made by `labels_of`.

    Attributes:
      indices: class indices, of the shape of the logits without the class axis.
      probs: the probabilities that the labels are, of the shape of the logits; None where they are single classes.
      note: what should be said of how they were read, if anything.
    """

    indices: Array
    probs: Array | None = None
    note: str | None = None


def labels_of(
    target: Array,
    logits: Array,
    class_names: Sequence[str] | None,
    ignore_index: int,
    *,
    numbers: Sequence[str] | None = None,
    labels_are: str | None = None,
) -> Labels:
    """The labels as class indices, whatever they are written as, and the probabilities, if they are these.

    Args:
      target: whole numbers; truth values; text, each the name of a class or its number, or "true" and "false" beside
        two classes; or one number for each class: one-hot rows, or probabilities, of which the most probable class is
        the index.
      class_names: of the classes, if they have names.
      numbers: what the classes are called where that may be numbers; by default their names.
      labels_are: "names" or "indices" where a number can be both; None to ask then.

    Raises: InvalidDump, now or where the labels are read, for a label that is no class, for rows that are no
    probabilities, and for numbers of which nothing tells whether they are names.
    """
    if target.shape == logits.shape and target.is_floating:
        note = _probabilities_note(target)
        return Labels(OneHotLabels(target)) if note is None else Labels(MostProbable(target), target, note)
    if target.shape == logits.shape and (target.is_integer or target.dtype == "bool"):
        return Labels(OneHotLabels(target))
    note = None
    if target.is_floating and target.shape[1:] in (logits.shape[1:-1], ()):
        note = _("labels are whole numbers stored as {dtype}").format(dtype=target.dtype)
        target = WholeLabels(target)
    if target.dtype == "bool" and logits.shape[-1] != 2:
        raise InvalidDump(
            "target-dtype",
            _("the labels in {name} are truth values, and there are {classes} classes").format(
                name=target.name, classes=logits.shape[-1]
            ),
            _("class indices, or two classes"),
            _("Check that this is the column of labels, not of what was right: --target names another."),
        )
    if target.dtype == "bool" or (logits.shape[-1] == 2 and _is_truth(target, class_names or ())):
        return Labels(TruthLabels(target), note=_("labels are truth values: true is class 1, false class 0"))
    return Labels(_as_indices(target, class_names, ignore_index, numbers or class_names or (), labels_are), note=note)


def _as_indices(
    target: Array,
    class_names: Sequence[str] | None,
    ignore_index: int,
    numbers: Sequence[str],
    labels_are: str | None,
) -> Array:
    """One label for each row: numbers that are names of classes, and texts, as indices."""
    is_text = target.dtype == "text"
    called = called_by_numbers(numbers)
    if not is_text and not (called and target.is_integer):
        return target
    if called and labels_are is None:
        found = _numbers_in(target, ignore_index)
        told = are_names(found, numbers)
        if told is None:
            with asked():
                raise names_or_indices(target.name, found, numbers)
        labels_are = "names" if told else "indices"
    if labels_are != "names":
        called = {}
    if not is_text and not called:
        return target
    return NamedLabels(target, class_names or (), called, ignore_index)


def _is_truth(target: Array, class_names: Sequence[str]) -> bool:
    """Whether the first label is written as a truth value, and is the name of no class."""
    if target.dtype != "text" or not len(target):
        return False
    first = str(target.values(0, 1).reshape(-1)[0]).strip()
    return first.lower() in TRUTH and first not in class_names


def _numbers_in(target: Array, ignore_index: int) -> set[int]:
    """The different whole labels, but for the one that is ignored."""
    rows = target.as_rows(0)
    seen: set[object] = set()
    for start in range(0, len(rows), _LABELS_AT_A_TIME):
        labels = rows.values(start, min(start + _LABELS_AT_A_TIME, len(rows))).reshape(-1)
        seen.update(labels.tolist() if target.dtype == "text" else np.unique(labels).tolist())
    numbers = {whole_number(str(label)) for label in seen if label is not None}
    return {number for number in numbers if number is not None and number != ignore_index}


class NamedLabels(Array):
    """Labels that are the names of classes, or else their numbers."""

    def __init__(self, labels: Array, class_names: Sequence[str], called: dict[int, int], ignore_index: int) -> None:
        super().__init__(labels.name, labels.shape, "int64")
        self._labels, self._class_names, self._called, self._ignore_index = labels, class_names, called, ignore_index
        self._names: dict[str, int] = {}
        for index, class_name in enumerate(map(str.strip, class_names)):
            if class_name in self._names:
                raise InvalidDump(
                    "class-names",
                    _("two classes are called {name}").format(name=repr(class_name)[:80]),
                    _("different names, as the labels are names"),
                    _("Give each class its own name."),
                )
            self._names[class_name] = index
        self._known: dict[object, int] = {}

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1."""
        labels = self._labels.values(start, stop)
        known = self._known
        flat = labels.reshape(-1).tolist()
        try:
            found = [known[label] for label in flat]
        except KeyError:
            for row, label in enumerate(flat):
                if label not in known:
                    known[label] = self._index("" if label is None else str(label).strip(), start, row)
            found = [known[label] for label in flat]
        return np.array(found, np.int64).reshape(labels.shape)

    def _index(self, label: str, start: int, row: int) -> int:
        number = whole_number(label)
        if number is not None and (number == self._ignore_index or not self._called):
            return number
        if number is not None and number in self._called:
            return self._called[number]
        if number is None and label in self._names:
            return self._names[label]
        if label.lower() in NO_LABEL:
            raise _missing(self.name, start + row)
        if all(whole_number(name) is not None for name in self._names):
            raise InvalidDump(
                "label-names",
                _("the label of row {row} is {label}, and the classes have no names but numbers").format(
                    row=start + row, label=repr(label)[:80]
                ),
                _("the number of a class, or names for the classes too"),
                _(
                    "Correct the label, or give the names in the order of the classes: --class-names FILE "
                    "(in Python, class_names=[…])."
                ),
            )
        names = ", ".join(list(self._names)[:8]) + (", …" if len(self._names) > 8 else "")
        raise InvalidDump(
            "label-unknown",
            _("the label of row {row} is {label}").format(row=start + row, label=repr(label)[:80]),
            _("one of the classes {names}").format(names=names),
            _("Correct the label, or say which columns are the classes: --classes."),
        )

    def as_rows(self, axes: int) -> Array:
        """The same labels with all axes but the last `axes` counted as rows."""
        return NamedLabels(self._labels.as_rows(axes), self._class_names, self._called, self._ignore_index)


class TruthLabels(Array):
    """Class indices that are written as true and false, in letters of any size."""

    def __init__(self, labels: Array) -> None:
        super().__init__(labels.name, labels.shape, "int64")
        self._labels = labels

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1. Raises: InvalidDump for a label that is neither, with its row."""
        labels = self._labels.values(start, stop)
        if labels.dtype == np.bool_:
            return labels.astype(np.int64)
        found = [TRUTH.get(str(label).strip().lower()) for label in labels.reshape(-1).tolist()]
        if None in found:
            at = found.index(None)
            label = str(labels.reshape(-1)[at]).strip()
            row = start + at // max(math.prod(self.shape[1:]), 1)
            if label.lower() in NO_LABEL:
                raise _missing(self.name, row)
            raise InvalidDump(
                "label-unknown",
                _("the label of row {row} is {label}").format(row=row, label=repr(label)[:80]),
                _("true or false, as in the first row"),
                _("Correct the label, or write all of them as 0 and 1."),
            )
        return np.array(found, np.int64).reshape(labels.shape)

    def as_rows(self, axes: int) -> Array:
        """The same labels with all axes but the last `axes` counted as rows."""
        return TruthLabels(self._labels.as_rows(axes))


class WholeLabels(Array):
    """Class indices that are stored as fractions, 3.0 for 3."""

    def __init__(self, labels: Array) -> None:
        super().__init__(labels.name, labels.shape, "int64")
        self._labels = labels

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1. Raises: InvalidDump for a label that is not whole, with its row."""
        labels = self._labels.tensor(start, stop).double().numpy()
        is_odd = ~(np.isfinite(labels) & (labels == np.round(labels)) & (np.abs(labels) < 2**53))
        if is_odd.any():
            at = np.argwhere(is_odd)[0].tolist()
            row = ", ".join(map(str, [start + at[0], *at[1:]]))
            value = float(labels[tuple(at)])
            if np.isnan(value):
                raise _missing(self.name, row)
            raise InvalidDump(
                "target-dtype",
                _("the label of row {row} is {value}").format(row=row, value=value),
                _("whole numbers, though they are stored as {dtype}").format(dtype=self._labels.dtype),
                _("Check that this is the column of labels, not of scores: --target names another."),
            )
        return labels.astype(np.int64)

    def as_rows(self, axes: int) -> Array:
        """The same labels with all axes but the last `axes` counted as rows."""
        return WholeLabels(self._labels.as_rows(axes))


class MostProbable(Array):
    """The class of the largest number of each row, the first of equals."""

    def __init__(self, rows: Array) -> None:
        super().__init__(rows.name, rows.shape[:-1], "int64")
        self._rows = rows

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1."""
        found = [self._classes(values, first) for first, values in _windows(self._rows, start, stop)]
        return np.concatenate(found) if found else np.empty((0, *self.shape[1:]), np.int64)

    def _classes(self, values: np.ndarray, start: int) -> np.ndarray:
        return np.asarray(values.argmax(-1), np.int64)

    def as_rows(self, axes: int) -> Array:
        """The same labels with all axes but the last `axes` counted as rows."""
        return type(self)(self._rows.as_rows(axes + 1))


class OneHotLabels(MostProbable):
    """Labels as rows of zeros with a single 1, at the class."""

    def _classes(self, values: np.ndarray, start: int) -> np.ndarray:
        """Raises: InvalidDump for a row that is not one-hot."""
        is_odd = ~is_one_hot(values)
        if is_odd.any():
            raise _no_label(self.name, values, is_odd, start)
        return super()._classes(values, start)


def is_one_hot(rows: np.ndarray) -> np.ndarray:
    """Which rows (…, C) are zeros with a single 1."""
    classes = rows.argmax(-1)[..., None]
    largest = np.take_along_axis(rows, classes, -1)[..., 0]
    others = np.abs(rows).sum(-1) - np.abs(largest)
    return np.asarray((np.abs(largest - 1) < NEAR_ONE_HOT) & (others < NEAR_ONE_HOT))


def _windows(rows: Array, start: int, stop: int) -> Iterator[tuple[int, np.ndarray]]:
    """Rows start … stop − 1 in float64, as many at a time as cost little memory, each with its first row."""
    step = max(_LABELS_AT_A_TIME // max(math.prod(rows.shape[1:]), 1), 1)
    for first in range(start, stop, step):
        yield first, rows.tensor(first, min(first + step, stop)).double().numpy()


def _probabilities_note(target: Array) -> str | None:
    """What is to be said of rows of probabilities; None if all are one-hot. Raises: InvalidDump for other rows."""
    soft = ties = 0
    low = high = 1.0
    for first, values in _windows(target, 0, len(target)):
        is_hard = is_one_hot(values)
        if is_hard.all():
            continue
        sums = values.sum(-1)
        tolerance = max(SUM_TOLERANCE, min(values.shape[-1] * rounding_of(values), MOST_TOLERANCE_TO_ASK))
        is_odd = ~((values >= -NEGATIVE_TOLERANCE).all(-1) & (np.abs(sums - 1) <= tolerance))
        if is_odd.any():
            raise _no_label(target.name, values, is_odd, first)
        soft += int((~is_hard).sum())
        ties += int(((values == values.max(-1, keepdims=True)).sum(-1) > 1).sum())
        low, high = min(low, float(sums.min())), max(high, float(sums.max()))
    if not soft:
        return None
    said = _(
        "labels are probabilities: the loss and its gradient are of all of them, all else of the most probable class"
    )
    if ties:
        said += " " + _("(of equals the first, in {count} rows)").format(count=ties)
    if high - low > NEAR_ONE:
        said += "; " + _("their sums, from {low:.6g} to {high:.6g}, are left as they are").format(low=low, high=high)
    return said


def _no_label(name: str, values: np.ndarray, is_odd: np.ndarray, start: int) -> InvalidDump:
    """Why the first odd row of (n, …, C) is no label."""
    at = np.argwhere(is_odd)[0].tolist()
    row, place = values[tuple(at)], ", ".join(map(str, [start + at[0], *at[1:]]))
    if set(np.unique(row).tolist()) <= {0.0, 1.0}:
        return InvalidDump(
            "multi-label",
            _("row {row} of {name} has {count} ones").format(row=place, name=name, count=int(row.sum())),
            _("one class for each row: cross-entropy over a softmax knows no several labels"),
            _("For several labels in a row, each class is a problem of its own: BCEWithLogitsLoss."),
        )
    total = float(row.sum())
    if not np.isfinite(total):
        fix = _("Leave such rows out, or write the labels again.")
    elif (row < 0).any():
        fix = _("If they are the scores of a teacher, take their probabilities: target.softmax(-1).")
    elif total:
        fix = _("If they are votes or weights, make them probabilities: target / target.sum(-1, keepdims=True).")
    else:
        fix = _("Leave rows without a label out.")
    return InvalidDump(
        "soft-target",
        _("row {row} of {name} is {numbers}, and sums to {total}").format(
            row=place,
            name=name,
            numbers=", ".join(f"{value:.4g}" for value in row[:4].tolist()) + (", …" if len(row) > 4 else ""),
            total=f"{total:.6g}",
        ),
        _("a class index for each row, a one-hot row, or probabilities: none below 0, and their sum 1"),
        fix,
    )


def _missing(name: str, row: object) -> InvalidDump:
    return InvalidDump(
        "label-missing",
        _("{name} has no label in row {row}").format(name=name, row=row),
        _("the number or the name of a class in every row"),
        _("Write −100 (ignore_index) where a row has no label."),
    )
