"""Labels as class indices: out of names of classes, out of numbers that are such names, and out of one-hot rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from xent_core.columns import are_names, called_by_numbers, names_or_indices, whole_number
from xent_core.dump.formats import Array, InvalidDump
from xent_core.dump.formats.checks import asked
from xent_core.language import _

_LABELS_AT_A_TIME = 2**19
NEAR_ONE_HOT = 1e-6


def as_indices(
    target: Array,
    logits: Array,
    class_names: Sequence[str] | None,
    ignore_index: int,
    *,
    numbers: Sequence[str] | None = None,
    labels_are: str | None = None,
) -> Array:
    """The labels as class indices, whatever they are written as.

    Args:
      target: integers; text, each the name of a class or its number; or one number for each class, one of which is 1.
      class_names: of the classes, if they have names.
      numbers: what the classes are called where that may be numbers; by default their names.
      labels_are: "names" or "indices" where a number can be both; None to ask then.

    Raises: InvalidDump, now or where the labels are read, for a label that is no class, for soft labels, and for
    numbers of which nothing tells whether they are names.
    """
    if target.shape == logits.shape and (target.is_floating or target.is_integer):
        return OneHotLabels(target)
    is_text = target.dtype == "text"
    called = called_by_numbers(numbers or class_names or ())
    if not is_text and not (called and target.is_integer):
        return target
    if called and labels_are is None:
        found = _numbers_in(target, ignore_index)
        told = are_names(found, numbers or class_names or ())
        if told is None:
            with asked():
                raise names_or_indices(target.name, found, numbers or class_names or ())
        labels_are = "names" if told else "indices"
    if labels_are != "names":
        called = {}
    if not is_text and not called:
        return target
    return NamedLabels(target, class_names or (), called, ignore_index)


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
        if label.lower() in ("", "nan", "none", "null", "na", "<na>"):
            raise InvalidDump(
                "label-missing",
                _("{name} has no label in row {row}").format(name=self.name, row=start + row),
                _("the number or the name of a class in every row"),
                _("Write −100 (ignore_index) where a row has no label."),
            )
        if not self._names:
            raise InvalidDump(
                "label-names",
                _("the label of row {row} is {label}, and the classes have no names").format(
                    row=start + row, label=repr(label)[:80]
                ),
                _("the number of a class, or names for the classes too"),
                _("Give the names in the order of the classes: --class-names FILE (in Python, class_names=[…])."),
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


class OneHotLabels(Array):
    """Labels as rows of zeros with a single 1, at the class."""

    def __init__(self, rows: Array) -> None:
        super().__init__(rows.name, rows.shape[:-1], "int64")
        self._rows = rows

    def values(self, start: int, stop: int) -> np.ndarray:
        """Rows start … stop − 1. Raises: InvalidDump for a row that is not one-hot."""
        rows = self._rows.tensor(start, stop).double().numpy()
        labels = rows.argmax(-1)
        others = np.abs(rows).sum(-1) - np.abs(np.take_along_axis(rows, labels[..., None], -1))[..., 0]
        largest = np.take_along_axis(rows, labels[..., None], -1)[..., 0]
        is_odd = ~((np.abs(largest - 1) < NEAR_ONE_HOT) & (others < NEAR_ONE_HOT))
        if is_odd.any():
            raise self._refusal(rows.reshape(-1, rows.shape[-1])[int(np.flatnonzero(is_odd.reshape(-1))[0])], start)
        return np.asarray(labels, np.int64)

    def _refusal(self, row: np.ndarray, start: int) -> InvalidDump:
        if set(np.unique(row).tolist()) <= {0.0, 1.0}:
            return InvalidDump(
                "multi-label",
                _("{name} has a row with {count} ones, from row {start} on").format(
                    name=self.name, count=int(row.sum()), start=start
                ),
                _("one class for each row: cross-entropy over a softmax knows no several labels"),
                _("For several labels in a row, each class is a problem of its own: BCEWithLogitsLoss."),
            )
        return InvalidDump(
            "soft-target",
            _("target has the shape of logits and holds {numbers}: probabilities").format(
                numbers=", ".join(f"{value:.4g}" for value in row[:4].tolist())
            ),
            _("one class index for each row, or one-hot rows"),
            _("Take the most probable class: target.argmax(-1)."),
        )

    def as_rows(self, axes: int) -> Array:
        """The same labels with all axes but the last `axes` counted as rows."""
        return OneHotLabels(self._rows.as_rows(axes + 1))
