"""The columns of a table as values: what is said of them, what was made of them, and where that is not clear."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

from xent_core.errors import InvalidInput
from xent_core.language import _, ngettext

# the names under which the parts of a dump are looked for, the first of them ours
ROLES = {
    "logits": (
        "logits",
        "logit",
        "outputs",
        "output",
        "scores",
        "score",
        "prob",
        "preds",
        "predictions",
        "y_score",
        "decision_function",
        "probs",
        "proba",
        "probabilities",
        "y_prob",
        "y_proba",
        "pred_probs",
        "predict_proba",
        "y_pred",
    ),
    "target": (
        "target",
        "targets",
        "label",
        "labels",
        "y",
        "y_true",
        "label_ids",
        "true_label",
        "given_label",
        "gt",
        "targs",
        "soft_labels",
        "soft_label",
        "soft_targets",
        "soft_target",
    ),
    "features": ("features", "feature", "embeddings", "hidden", "h"),
    "sample_weight": ("sample_weight", "sample_weights"),
    "ids": ("id", "ids", "example_id", "example_ids", "name", "row"),
    "text": ("text", "texts"),
    "image": ("image", "images"),
    "class_names": ("class_names", "classes", "classes_", "names"),
}
MARK = "logit:"  # before the name of a class, where our own export could be read otherwise
TARGET_MARK = "target:"
SHOWN = "shown:"  # before the name of a column that is only shown, among the parts of a dump
NAMES_SHOWN = 4
LabelsAre = Literal["names", "indices"]
LogitsAre = Literal["logits", "probabilities"]
LABELS_ARE: tuple[LabelsAre, ...] = get_args(LabelsAre)
LOGITS_ARE: tuple[LogitsAre, ...] = get_args(LogitsAre)

_NUMBER = re.compile(r"[+-]?\d{1,18}(\.\d{0,30})?([eE][+-]?\d{1,2})?", re.ASCII)
_INDEX = re.compile(r"|unnamed: ?\d+|index|level_\d+|__index_level_\d+__", re.IGNORECASE)


class Column(NamedTuple):
    """A column as far as it is known before anything is decided.

    Attributes:
      kind: "integer" where every value seen is whole, "number", "bool", "list" of numbers, "text", "empty", or "other";
        "index" where they count the rows, which no class does.
    """

    name: str
    kind: str


@dataclass(frozen=True)
class ColumnChoices:
    """What the user says of the columns; each a column's name or a shell pattern, None where nothing is said.

    Attributes:
      no_header: the first line of a text file is a row; the columns are called 0, 1, …
      class_names: those that were given, if any.
      has_target: whether the labels lie elsewhere.
      labels_are: "names" or "indices" where the classes are called by numbers; None if that is not said.
      logits_are: "logits" or "probabilities"; None if that is not said.
      rows: how many there are, for a file that belongs to logits that have been opened.
      match_rows: whether rows will be looked for in other files, so that a column of paths or keys names them.
    """

    classes: str | tuple[str, ...] | None = None
    target: str | None = None
    ids: str | None = None
    text: str | None = None
    image: str | None = None
    show: str | tuple[str, ...] | None = None
    no_header: bool = False
    class_names: tuple[str, ...] = ()
    has_target: bool = False
    labels_are: LabelsAre | None = None
    logits_are: LogitsAre | None = None
    rows: int | None = None
    match_rows: bool = False


@dataclass(frozen=True)
class Reading:
    """What was made of the columns of a table, or of the arrays in a file.

    Attributes:
      classes: the columns of the logits in the order of the classes, or the one array or list of them.
      target: the column of the labels, or one column for each class; empty if they lie elsewhere.
      ids, text, image: the columns of names, texts and pictures.
      shown: other columns that were asked for, to be shown beside them.
      sample_weight, features: the columns of those.
      unused: columns that are none of these.
      class_names: empty where the classes are only numbered.
      notes: what else should be known, such as that there is no header line.
      target_file, ids_file, text_file, image_file: the file in which they lie, if it is another one.
      count: of the classes.
      keys: of the columns that are unused, those by which a file of labels may name the same rows.
      is_assumed: whether the classes are what was left, so that the labels must speak for it.
      may_be_target: of the columns that are unused, those that may hold labels, the likeliest first.
      which_class: what may say of which class each score is, so that the scores are in an order of their own.
    """

    classes: tuple[str, ...] = ()
    target: tuple[str, ...] = ()
    ids: str | None = None
    text: str | None = None
    image: str | None = None
    shown: tuple[str, ...] = ()
    sample_weight: str | None = None
    features: str | None = None
    unused: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    target_file: str | None = None
    ids_file: str | None = None
    text_file: str | None = None
    image_file: str | None = None
    count: int = 0
    keys: tuple[str, ...] = ()
    is_assumed: bool = False
    which_class: str | None = None
    may_be_target: tuple[str, ...] = ()

    @property
    def shows_examples(self) -> bool:
        """Whether an example is more than its name and its numbers."""
        shown = (self.text, self.text_file, self.image, self.image_file, *self.shown)
        return any(name is not None for name in shown)

    @property
    def columns_of_numbers(self) -> tuple[str, ...]:
        """Those that hold a number for each class: of the logits, and of labels with a column for each class."""
        return self.classes if len(self.target) < 2 else (*self.classes, *self.target)

    @property
    def label(self) -> str | None:
        """The column or file of the labels."""
        return self.target_file if not self.target else few(self.target)

    def sentence(self) -> str:
        """As one line: 10 classes: prob_0 … prob_9; label: target; not used: fold."""
        count = self.count or len(self.classes)
        classes = ngettext("{count} class", "{count} classes", count).format(count=count)
        # the array of a .npy file has no name
        said = [f"{classes}: {few(self.classes)}" if any(self.classes) else classes]
        named = (
            (_("label"), self.label),
            (_("sample weight"), self.sample_weight),
            (_("features"), self.features),
            (_("ids"), self.ids or self.ids_file),
            (_("text"), self.text or self.text_file),
            (_("image"), self.image or self.image_file),
        )
        said += [f"{role}: {name}" for role, name in named if name is not None]
        if self.shown:
            said.append(_("shown: {names}").format(names=few(self.shown, 12)))
        if self.unused:
            said.append(_("not used: {names}").format(names=few(self.unused, 12)))
        return "; ".join([*said, *self.notes])

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "classes": [name for name in self.classes if name],
            "target": self.label,
            "ids": self.ids or self.ids_file,
            "text": self.text or self.text_file,
            "image": self.image or self.image_file,
            **({"shown": list(self.shown)} if self.shown else {}),
            "unused": list(self.unused),
            "notes": list(self.notes),
        }


class UnclearColumns(InvalidInput):
    """Columns that can be read in more than one way, or in none.

    Attributes:
      answers: what could be said, each a name of ColumnChoices and its value; the most likely first.
    """

    def __init__(self, came: str, expected: str, fix: str, answers: Sequence[dict[str, str]] = ()) -> None:
        super().__init__(came, expected, fix)
        self.answers = tuple(answers)


def options_of(answer: Mapping[str, str]) -> list[str]:
    """What says this on the command line."""
    options = []
    for name, value in answer.items():
        option = f"--{name.replace('_', '-')}"
        options += [f"{option}={value}"] if value.startswith("-") else [option, value] if value else [option]
    return options


def choices_of(answers: Sequence[Mapping[str, str]]) -> str:
    """The same for a sentence, as a shell takes it."""
    return _(" or ").join(shlex.join(options_of(answer)) for answer in answers)


def whole_number(text: str) -> int | None:
    """The number of a label such as 2, 2.0 or 2.000e+00; None for what is not whole."""
    text = text.strip()
    if _NUMBER.fullmatch(text) is None:
        return None
    try:
        return int(text)
    except ValueError:
        number = float(text)
        return int(number) if number.is_integer() and abs(number) < 2**53 else None


def called_by_numbers(names: Sequence[str]) -> dict[int, int]:
    """The classes that are called by a number, by that number; none where each is its own index."""
    found = {number: index for index, name in enumerate(names) if (number := whole_number(name)) is not None}
    return {} if all(number == index for number, index in found.items()) else found


def are_names(numbers: Collection[int], names: Sequence[str]) -> bool | None:
    """Whether these labels are what the classes are called, not indices; None where they can be both."""
    called = called_by_numbers(names)
    if not called or all(called.get(number) == number for number in numbers):
        return False
    if not all(number in called for number in numbers):
        return False
    return None if all(0 <= number < len(names) for number in numbers) else True


def names_or_indices(name: str, numbers: Collection[int], names: Sequence[str]) -> UnclearColumns:
    """What to ask where these labels of `name` can be both."""
    answers: list[dict[str, str]] = [{"labels_are": answer} for answer in LABELS_ARE]
    return UnclearColumns(
        _("the labels {labels} of {name} may be names of the classes {classes}, or their numbers from 0 on").format(
            labels=few([str(number) for number in sorted(numbers)]), name=name, classes=few(list(names))
        ),
        _("to be told which"),
        _("Say which: {choices} (in Python, labels_are=…).").format(choices=choices_of(answers)),
        answers,
    )


def is_index(name: str) -> bool:
    """Whether this is what pandas calls the column that numbers the rows."""
    return _INDEX.fullmatch(name) is not None


def few(names: Sequence[str], most: int = NAMES_SHOWN) -> str:
    """The names for a sentence: all of them, or of many the first and the last."""
    shown = [(name if name.strip() else _("(nameless)"))[:60] for name in names]
    return ", ".join(shown) if len(shown) <= most else f"{shown[0]} … {shown[-1]}"
