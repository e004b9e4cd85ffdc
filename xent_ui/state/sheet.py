"""Sheet: the texts of the editors and the options beside them, and the Problem that they mean."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, TypeVar, cast

import numpy as np
import torch

from xent_core import Problem, decimals
from xent_core.arrays import Reduction
from xent_core.loss_options import LossOptions
from xent_core.parse import parse_number
from xent_core.presets import Preset
from xent_core.problem import DTYPES, REDUCTIONS
from xent_ui.text import _

MAX_ROWS = MAX_CLASSES = 64
MAX_NAME = 40
MAX_JSON = 1_000_000
ONE_HOT, CLASS_INDEX, PROBABILITIES = TARGET_KINDS = ("one-hot", "class index", "probabilities")
ROW_NAME_COLUMN = "row"
# column names that the editors or Streamlit need for themselves
RESERVED_NAMES = {ROW_NAME_COLUMN, "_index", "ignored"}
LARGEST_WHOLE = 2**53 - 1  # beyond it a browser rounds
# what the widgets of the options can hold
OPTION_RANGES = {
    "label_smoothing": (0.0, 1.0),
    "temperature": (1e-6, 1e6),
    "ignore_index": (-LARGEST_WHOLE, LARGEST_WHOLE),
}

Cells = tuple[tuple[str, ...], ...]
T = TypeVar("T")


class InvalidSheet(ValueError):
    """A Sheet that cannot be; one sentence says why."""


@dataclass(frozen=True)
class Sheet:
    """The table as it was typed, cell by cell; always complete, and all parts of one size.

    Attributes:
      logits: numbers as typed, N rows of C.
      class_names, row_names: C unique names, N names.
      target_kind: which of `labels` and `probabilities` is the target; "one-hot" and "class index" are both `labels`.
      labels: a class for each row, None for an ignored row.
      probabilities: numbers as typed, N rows of C.
      weight: numbers as typed, one per class; None for no weight.
      The others: as in Problem; dtype by name.
    """

    logits: Cells
    class_names: tuple[str, ...]
    row_names: tuple[str, ...]
    labels: tuple[int | None, ...]
    probabilities: Cells
    target_kind: str = ONE_HOT
    weight: tuple[str, ...] | None = None
    ignore_index: int = -100
    reduction: str = "mean"
    label_smoothing: float = 0.0
    temperature: float = 1.0
    dtype: str = "float32"

    def __post_init__(self) -> None:
        n, c = self.num_rows, self.num_classes
        _check_size(n, c)
        same_size = (
            all(len(row) == c for row in self.logits)
            and len(self.probabilities) == n
            and all(len(row) == c for row in self.probabilities)
            and len(self.labels) == len(self.row_names) == n
            and (self.weight is None or len(self.weight) == c)
        )
        if not same_size:
            raise InvalidSheet(_("The tables differ in size, expected {n} × {c} in each.").format(n=n, c=c))
        if any(label is not None and not 0 <= label < c for label in self.labels):
            raise InvalidSheet(_("A label is out of range, expected a class in 0…{last}.").format(last=c - 1))
        _check_names(self.class_names, self.row_names)
        known = (self.target_kind in TARGET_KINDS, self.reduction in REDUCTIONS, self.dtype in DTYPES)
        if not all(known):
            raise InvalidSheet(_("An option has a value that does not exist. Choose one of the list."))
        for name, (least, largest) in OPTION_RANGES.items():
            value = getattr(self, name)
            if not least <= value <= largest:
                raise InvalidSheet(
                    _("{name} is {value}, expected {least} to {largest}.").format(
                        name=name, value=value, least=least, largest=largest
                    )
                )
        for text in (*sum(self.logits, ()), *sum(self.probabilities, ()), *(self.weight or ())):
            parse_number(text)

    @property
    def num_rows(self) -> int:
        return len(self.logits)

    @property
    def num_classes(self) -> int:
        return len(self.class_names)

    @property
    def has_boxes(self) -> bool:
        """Whether the target is a class for each row, or none."""
        return self.target_kind != PROBABILITIES

    def to_problem(self) -> Problem:
        """The Problem that the texts mean, in the chosen dtype. Raises: InvalidProblem."""
        if self.target_kind == PROBABILITIES:
            target: Any = _numbers(self.probabilities)
        else:
            target = [self.ignore_index if label is None else label for label in self.labels]
        return Problem.of(_numbers(self.logits), target, self.loss_options()).to(DTYPES[self.dtype])

    def loss_options(self) -> LossOptions:
        """The options of the loss, the weight in float64."""
        weight = None if self.weight is None else torch.from_numpy(_numbers((self.weight,))[0])
        return LossOptions(
            weight, self.ignore_index, cast(Reduction, self.reduction), self.label_smoothing, self.temperature
        )

    def with_logits(self, logits: Cells) -> Sheet:
        """The same Sheet with other logits of the same size."""
        return replace(self, logits=logits)

    def with_probabilities(self, probabilities: Cells) -> Sheet:
        """The same Sheet with other probabilities of the same size."""
        return replace(self, probabilities=probabilities)

    def with_labels(self, labels: tuple[int | None, ...]) -> Sheet:
        """The same Sheet with other labels; None ignores the row."""
        return replace(self, labels=labels)

    def with_names(self, class_names: tuple[str, ...], row_names: tuple[str, ...]) -> Sheet:
        """The same Sheet under other names."""
        return replace(self, class_names=class_names, row_names=row_names)

    def with_target_kind(self, kind: str) -> Sheet:
        """The same target in another form, as far as the form can hold it.

        Labels become rows of 0 and 1, an ignored row a row of zeros.
        Probabilities become their largest class, a row of zeros an ignored row.
        """
        if kind == PROBABILITIES and self.target_kind != PROBABILITIES:
            kept = (None if label == self.ignore_index else label for label in self.labels)
            rows = tuple(tuple("1" if c == label else "0" for c in range(self.num_classes)) for label in kept)
            # PyTorch ignores no rows of probabilities, so a class as ignore_index cannot stay
            ignore_index = self.ignore_index if self.ignore_index < 0 else -100
            return replace(self, target_kind=kind, probabilities=rows, ignore_index=ignore_index)
        if kind != PROBABILITIES and self.target_kind == PROBABILITIES:
            values = _numbers(self.probabilities)
            labels = tuple(None if not row.any() else int(np.nan_to_num(row, nan=-np.inf).argmax()) for row in values)
            return replace(self, target_kind=kind, labels=labels)
        return replace(self, target_kind=kind)

    def is_soft(self) -> bool:
        """Whether class labels could not hold the probabilities."""
        values = _numbers(self.probabilities)
        return not bool((((values == 0) | (values == 1)).all(1) & (values.sum(1) <= 1)).all())

    def resized(self, num_rows: int, num_classes: int) -> Sheet:
        """Rows and classes added behind (logit 0, label 0, weight 1) or removed from the end."""
        keep_rows, keep_classes = range(min(num_rows, self.num_rows)), range(min(num_classes, self.num_classes))
        cut = self._selected(list(keep_rows), list(keep_classes))
        more_rows, more_classes = num_rows - cut.num_rows, num_classes - cut.num_classes
        new_row = ("0",) * num_classes
        return replace(
            cut,
            logits=tuple(row + ("0",) * more_classes for row in cut.logits) + (new_row,) * more_rows,
            probabilities=tuple(row + ("0",) * more_classes for row in cut.probabilities)
            + (("1", *new_row[1:]),) * more_rows,
            labels=cut.labels + (0,) * more_rows,
            class_names=_extended(cut.class_names, num_classes, "class"),
            row_names=_extended(cut.row_names, num_rows, "row"),
            weight=None if cut.weight is None else cut.weight + ("1",) * more_classes,
        )

    def only_row(self, row: int) -> Sheet:
        """One row alone, under reduction "sum", so that its loss is the row's own."""
        return replace(self._selected([row], list(range(self.num_classes))), reduction="sum")

    def with_row(self, row: int, other: Sheet) -> Sheet:
        """The logits and the target of the only row of another Sheet in place of a row; the options stay.

        A soft label makes the whole target probabilities.
        """
        if other.num_classes != self.num_classes:
            raise InvalidSheet(
                _("The row has {came} classes, expected {count}, as the others have.").format(
                    came=other.num_classes, count=self.num_classes
                )
            )
        if other.has_boxes != self.has_boxes:
            kind = PROBABILITIES if self.target_kind == PROBABILITIES or other.is_soft() else self.target_kind
            return self.with_target_kind(kind).with_row(row, other.with_target_kind(kind))
        changed = replace(self, logits=_with(self.logits, row, other.logits[0]))
        if self.has_boxes:
            return changed.with_labels(_with(self.labels, row, other.labels[0]))
        return changed.with_probabilities(_with(self.probabilities, row, other.probabilities[0]))

    def without_row(self, row: int) -> Sheet:
        """One row less."""
        return self._selected([i for i in range(self.num_rows) if i != row], list(range(self.num_classes)))

    def without_class(self, label: int) -> Sheet:
        """One class less; rows with that label are ignored."""
        return self._selected(list(range(self.num_rows)), [c for c in range(self.num_classes) if c != label])

    def _selected(self, rows: list[int], classes: list[int]) -> Sheet:
        new_label = {label: new for new, label in enumerate(classes)}
        ignores_a_class = 0 <= self.ignore_index < self.num_classes
        return replace(
            self,
            ignore_index=new_label.get(self.ignore_index, -100) if ignores_a_class else self.ignore_index,
            logits=tuple(tuple(self.logits[i][c] for c in classes) for i in rows),
            probabilities=tuple(tuple(self.probabilities[i][c] for c in classes) for i in rows),
            labels=tuple(None if (label := self.labels[i]) is None else new_label.get(label) for i in rows),
            class_names=tuple(self.class_names[c] for c in classes),
            row_names=tuple(self.row_names[i] for i in rows),
            weight=None if self.weight is None else tuple(self.weight[c] for c in classes),
        )

    def with_random_logits(self, scale: float, seed: int) -> Sheet:
        """Normal logits with this standard deviation, to three decimals, the same for the same seed."""
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(self.num_rows, self.num_classes, generator=generator, dtype=torch.float64) * scale
        return replace(self, logits=tuple(tuple(f"{value:.3f}" for value in row) for row in values.tolist()))

    def to_json(self) -> str:
        """Everything, as text."""
        return json.dumps(asdict(self), ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> Sheet:
        """The Sheet that `to_json` wrote. Raises: InvalidSheet for anything else."""
        if len(text) > MAX_JSON:
            raise InvalidSheet(_("The saved table is too long."))
        try:
            data = json.loads(text)
            expected = {field.name for field in fields(cls)}
            if not isinstance(data, dict) or set(data) != expected:
                raise InvalidSheet(_("The saved table has other fields than expected."))
            for name in ("logits", "probabilities"):
                data[name] = tuple(tuple(_text(cell) for cell in _list(row)) for row in _list(data[name]))
            for name in ("class_names", "row_names", "weight"):
                data[name] = None if data[name] is None else tuple(_text(cell) for cell in _list(data[name]))
            data["labels"] = tuple(None if label is None else _whole(label) for label in _list(data["labels"]))
            data["ignore_index"] = _whole(data["ignore_index"])
            data["label_smoothing"] = _real(data["label_smoothing"])
            data["temperature"] = _real(data["temperature"])
            sheet = cls(**data)
            sheet.to_problem()
        except InvalidSheet:
            raise
        except (ValueError, TypeError, OverflowError, RecursionError) as error:
            raise InvalidSheet(_("The saved table cannot be read.")) from error
        return sheet


def sheet_of_preset(preset: Preset) -> Sheet:
    """A preset as a person could have typed it."""
    return sheet_of(preset.problem, preset.class_names, preset.row_names)


def sheet_of(problem: Problem, class_names: tuple[str, ...] = (), row_names: tuple[str, ...] = ()) -> Sheet:
    """A Problem as a person could have typed it; names that are not given are "class 0", "row 0" and so on.

    Logits of shape (C,) become a row.
    Weight and probabilities are read in the dtype of the logits, as a table has only one.

    Raises: InvalidSheet if it has more than two axes or more cells than a table, or for names that cannot be.
    """
    if problem.logits.dim() > 2:
        raise InvalidSheet(
            _("Logits of shape {shape} came, expected (C,) or (N, C). Reshape them to one row per example.").format(
                shape=tuple(problem.logits.shape)
            )
        )
    logits = problem.logits.reshape(-1, problem.num_classes) if problem.num_classes else problem.logits
    n, c = (1, problem.num_classes) if logits.dim() == 1 else logits.shape
    _check_size(n, c)
    target = problem.target.reshape(n, c) if problem.has_probabilities else problem.target.reshape(n).long()
    labels = target.argmax(1) if problem.has_probabilities else target
    dtype = problem.logits.dtype
    return Sheet(
        logits=number_texts(logits),
        class_names=class_names or _extended((), c, "class"),
        row_names=row_names or _extended((), n, "row"),
        labels=tuple(label if 0 <= label < c else None for label in labels.tolist()),
        probabilities=number_texts(target.to(dtype)) if problem.has_probabilities else (("0",) * c,) * n,
        target_kind=PROBABILITIES if problem.has_probabilities else ONE_HOT,
        weight=None if problem.weight is None else number_texts(problem.weight.to(dtype).unsqueeze(0))[0],
        ignore_index=problem.ignore_index,
        reduction=problem.reduction,
        label_smoothing=problem.smoothing,
        temperature=problem.temperature,
        dtype=next(name for name, dtype in DTYPES.items() if dtype == problem.logits.dtype),
    )


def number_text(value: float, dtype: torch.dtype = torch.float64) -> str:
    """The shortest decimal that reads back as this value in this dtype."""
    return number_texts(torch.tensor([[value]], dtype=dtype))[0][0]


def _with(values: tuple[T, ...], index: int, value: T) -> tuple[T, ...]:
    return (*values[:index], value, *values[index + 1 :])


def number_texts(matrix: torch.Tensor) -> Cells:
    """A matrix as cells that read back as its values."""
    return tuple(tuple(text.removesuffix(".0") for text in decimals.shortest_decimals(row)) for row in matrix)


def _numbers(cells: Cells) -> np.ndarray:
    return np.array([[parse_number(text) for text in row] for row in cells], dtype=np.float64)


def _extended(names: tuple[str, ...], length: int, word: str) -> tuple[str, ...]:
    """The names, and as many new ones as are missing: "class 3", or the next number that is free."""
    result = list(names)
    number = len(result)
    while len(result) < length:
        if (name := f"{word} {number}") not in result:
            result.append(name)
        number += 1
    return tuple(result)


def _check_size(n: int, c: int) -> None:
    if not (1 <= n <= MAX_ROWS and 1 <= c <= MAX_CLASSES):
        raise InvalidSheet(
            _("{n} rows and {c} classes came, expected 1 to {max_n} rows and 1 to {max_c} classes.").format(
                n=n, c=c, max_n=MAX_ROWS, max_c=MAX_CLASSES
            )
        )


def _check_names(class_names: tuple[str, ...], row_names: tuple[str, ...]) -> None:
    for name in (*class_names, *row_names):
        if not name.strip() or len(name) > MAX_NAME or not name.isprintable():
            raise InvalidSheet(
                _("A name is {name!r}, expected 1 to {limit} printable characters.").format(
                    name=name[: MAX_NAME + 1], limit=MAX_NAME
                )
            )
    for name in class_names:
        if class_names.count(name) > 1:
            raise InvalidSheet(_("Two classes are named {name!r}. Give each its own name.").format(name=name))
        if name in RESERVED_NAMES:
            raise InvalidSheet(_("A class is named {name!r}, which the table needs itself.").format(name=name))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError
    return value


def _real(value: Any) -> float:
    if type(value) not in (int, float):
        raise TypeError
    return float(value)
