"""The rule that tells columns apart: classes, labels and names of rows; nothing is guessed."""

from __future__ import annotations

import csv
import fnmatch
from collections.abc import Callable, Collection, Sequence

from xent_core.column_names import (
    ID,
    NO_CLASS,
    PLAIN,
    SOFT_STEMS,
    Family,
    affixes_of,
    families_of,
    is_key,
    is_no_class,
    is_score_stem,
    label_candidates,
    numbered_twice,
    numbers_of,
    plain_name,
    score_groups,
)
from xent_core.column_questions import best_few, check_best_few, check_numbers, is_score, which_classes
from xent_core.columns import (
    MARK,
    TARGET_MARK,
    Column,
    ColumnChoices,
    Reading,
    UnclearColumns,
    choices_of,
    few,
    is_index,
    whole_number,
)
from xent_core.language import _
from xent_core.scores_columns import check_no_scores

NAMES_OF_ROWS = ("integer", "index", "text")  # kinds of columns
ROWS_THAT_TELL = 16  # in fewer, whole numbers say nothing about what a column is


def decide(
    columns: Sequence[Column],
    choices: ColumnChoices,
    labels_of: Callable[[str], Collection[str]],
    *,
    rows_seen: int,
    file: str,
) -> Reading:
    """What each column is, by what is said of it, by its name, and by the labels that occur; nothing is guessed.

    The classes are the columns that were named; or those with one prefix and the numbers 0 … C − 1 or 1 … C; or
    those whose names occur as labels; or all others, if none of them is odd, which the labels must then confirm:
    see `doubt`.

    Args:
      columns: in the order of the file.
      choices: what the user says.
      labels_of: the different texts in a column; is asked where that decides something.
      rows_seen: on which the kinds of the columns rest.
      file: its name, for messages.

    Raises: UnclearColumns.
    """
    if choices.classes is None:
        check_no_scores([column.name for column in columns], file)
    return _Decision(columns, choices, labels_of, rows_seen, file).reading()


class _Decision:
    def __init__(
        self,
        columns: Sequence[Column],
        choices: ColumnChoices,
        labels_of: Callable[[str], Collection[str]],
        rows_seen: int,
        file: str,
    ) -> None:
        self._columns, self._choices, self._labels_of, self._file = columns, choices, labels_of, file
        self._names = [column.name for column in columns]
        self._kind = dict(columns)
        self._kinds_tell = rows_seen >= ROWS_THAT_TELL
        self._taken: set[str] = set()
        self._is_assumed = False

    def reading(self) -> Reading:
        """Each part in turn, from what is surest on."""
        choices = self._choices
        if choices.classes in (None, (), []):
            check_best_few(self._kind, self._file)
        chosen = None if choices.classes in (None, (), []) else self._classes_chosen(choices.classes)
        self._taken.update(chosen or ())
        target = self._target()
        self._taken.update(target)
        given = {role: self._one(getattr(choices, role), role) for role in ("ids", "text", "image")}
        self._taken.update(name for name in given.values() if name is not None)
        if given["text"] is None:
            given["text"] = self._named("text", ("text",))
        shown = self._shown()
        numbers = {"sample_weight": ("integer", "number"), "features": ("list",)}
        named = {role: self._named(role, kinds) for role, kinds in numbers.items()}
        self._taken.update(name for name in named.values() if name is not None)
        if given["ids"] is None:
            given["ids"] = found = self._ids()
            self._taken.update(() if found is None else (found,))
        classes, class_names = self._classes(target) if chosen is None else (chosen, self._names_of(chosen, target))
        used = {*classes, *target, *given.values(), *shown, *named.values()}
        which = best_few(self._kind)
        unused = tuple(name for name in self._names if name not in used)
        keys = tuple(filter(self._may_be_key, unused)) if choices.has_target else ()
        if len(target) > 1:
            target = self._in_the_order_of(classes, target)
        return Reading(
            tuple(classes),
            tuple(target),
            ids=given["ids"],
            text=given["text"],
            image=given["image"],
            shown=shown,
            sample_weight=named["sample_weight"],
            features=named["features"],
            unused=unused,
            class_names=tuple(class_names),
            count=0 if self._kind[classes[0]] == "list" else len(classes),
            keys=keys,
            is_assumed=self._is_assumed,
            may_be_target=label_candidates(
                [name for name in unused if self._kind[name] in ("integer", "bool", "text") and not is_index(name)]
            ),
            which_class=few(which[1]) if which is not None and set(which[0]) == set(classes) else None,
        )

    def _may_be_key(self, name: str) -> bool:
        is_odd = is_no_class(name) or plain_name(name) in PLAIN["target"]
        return self._kind[name] in NAMES_OF_ROWS and (not is_odd or is_key(name))

    # what is chosen

    def _matching(self, choice: str, role: str) -> list[str]:
        """A column's name, or else a shell pattern, or several of both between commas."""
        if choice in self._kind:
            return [choice]
        found = [name for name in self._names if fnmatch.fnmatchcase(name, choice)]
        if not found and "," in choice:
            parts = next(csv.reader([choice], skipinitialspace=True))  # a name with a comma stands between quotes
            parts = [part if part in self._kind else part.strip() for part in parts]
            return list(dict.fromkeys(name for part in parts if part for name in self._matching(part, role)))
        if not found:
            raise UnclearColumns(
                _("no column of {file} is called {name}").format(file=self._file, name=choice[:80]),
                _("a file, a column or a pattern such as 'logit_*'; the columns are {names}").format(
                    names=few(self._names, 12)
                ),
                _("Correct what --{role} says.").format(role=role),
            )
        return found

    def _one(self, choice: str | None, role: str) -> str | None:
        if choice is None:
            return None
        found = self._matching(choice, role)
        if len(found) > 1:
            answers = [{role: name} for name in found[:2]]
            raise UnclearColumns(
                _("{choice} stands for {count} columns of {file}").format(
                    choice=choice[:80], count=len(found), file=self._file
                ),
                _("one of them"),
                _("Say which: {choices}.").format(choices=choices_of(answers)),
                answers,
            )
        return found[0]

    def _shown(self) -> tuple[str, ...]:
        choice = self._choices.show
        parts = [choice] if isinstance(choice, str) else list(choice or ())
        return tuple(dict.fromkeys(name for part in parts for name in self._matching(part, "show")))

    def _classes_chosen(self, choice: str | tuple[str, ...]) -> list[str]:
        parts = [choice] if isinstance(choice, str) else list(choice)
        found = list(dict.fromkeys(name for part in parts for name in self._in_order(part, "classes")))
        odd = [name for name in found if self._kind[name] in ("text", "empty")]
        if odd:
            raise UnclearColumns(
                _("{name} of {file} holds no numbers").format(name=odd[0], file=self._file),
                _("a column of numbers for each class"),
                _("Choose others by --classes."),
            )
        return found

    def _in_order(self, choice: str, role: str) -> list[str]:
        """The columns of one choice; those of a pattern in the order of their numbers, if they have all of them."""
        found = self._matching(choice, role)
        is_pattern = choice not in self._kind and "," not in choice
        if is_pattern and (twice := numbered_twice(found)) is not None:
            raise UnclearColumns(
                _("{choice} stands for {one} and {other}, which give one class two columns").format(
                    choice=choice[:80], one=repr(twice[0])[:80], other=repr(twice[1])[:80]
                ),
                _("one column for each class"),
                _("Remove one of them, or name the columns between commas."),
            )
        families = families_of(found) if is_pattern else []
        return families[0].names if len(families) == 1 and len(families[0].names) == len(found) else found

    # the labels and the names of the rows

    def _target(self) -> list[str]:
        choice = self._choices.target
        if choice is not None:
            return self._in_order(choice, "target")
        if self._choices.has_target:
            return []
        marked = [name for name in self._names if name.startswith(TARGET_MARK)]
        found = [
            name
            for name in self._free()
            if plain_name(name) in PLAIN["target"]
            and self._kind[name] in ("integer", "index", "bool", "text", "list", "empty")
        ]
        if not found and not marked:  # a fraction is told to be none where the labels are read
            found = [
                name for name in self._free() if plain_name(name) in PLAIN["target"] and self._kind[name] != "list"
            ]
        if marked and not found:
            return marked
        if len(found) + bool(marked) > 1:
            answers = [{"target": name} for name in [*found, *([TARGET_MARK + "*"] if marked else [])][:3]]
            raise UnclearColumns(
                _("the labels of {file} may be {names}").format(file=self._file, names=few([*found, *marked[:1]])),
                _("one column of labels"),
                _("Say which: {choices}.").format(choices=choices_of(answers)),
                answers,
            )
        if found:
            return found
        families = [(plain_name(family.stem), family.names) for family in families_of(self._free())]
        by_class = [names for stem, names in families if stem in PLAIN["target"] or SOFT_STEMS.fullmatch(stem)]
        return by_class[0] if len(by_class) == 1 else []

    def _named(self, role: str, kinds: Collection[str]) -> str | None:
        """The column of one of these kinds that is called as this part of a dump is."""
        return next(
            (name for name in self._free() if plain_name(name) in PLAIN[role] and self._kind[name] in kinds), None
        )

    def _ids(self) -> str | None:
        if self._choices.ids is not None:
            return None
        named = [name for name in self._free() if self._kind[name] in NAMES_OF_ROWS]
        exact = [name for name in named if plain_name(name) in PLAIN["ids"]]
        found = exact or [name for name in named if ID.fullmatch(name)]
        if not found and self._choices.match_rows:
            found = [name for name in named if is_key(name)]
        return next(iter(found), None)

    def _free(self) -> list[str]:
        return [name for name in self._names if name not in self._taken and not name.startswith(MARK)]

    # the classes

    def _classes(self, target: list[str]) -> tuple[list[str], Sequence[str]]:
        marked = [name for name in self._names if name.startswith(MARK) and self._kind[name] != "text"]
        if marked:
            return marked, [name.removeprefix(MARK) for name in marked]
        lists = self._lists()
        if lists:
            return lists, ()
        free = [name for name in self._free() if self._kind[name] in ("integer", "number", "empty")]
        free = [name for name in free if not is_index(name) and not name.startswith("__")]
        texts = [name for name in self._free() if self._kind[name] == "text"]
        given = [name for name in self._choices.class_names if name in free]
        if given and len(given) == len(self._choices.class_names):
            return given, given
        named = self._named_by_labels(free, target)
        if named is not None:
            return named
        families = [
            family
            for family in families_of([*free, *texts])  # a bad cell is told where it is read
            if any(name in free for name in family.names)
            and (is_score_stem(family.stem) or not self._counts_no_classes(family))
            and plain_name(family.stem) not in PLAIN["features"] | PLAIN["target"]
        ]
        stems = {plain_name(family.stem) for family in families}
        check_numbers(free, stems, self._names, self._file)
        if len(families) > 1:
            raise self._unclear([family.names for family in families])
        if families:
            names = families[0].names
            members, odd = set(names), self._odd(free)
            others = [name for name in free if name not in members and name not in odd]
            if not is_score_stem(families[0].stem):
                if others:
                    raise self._unclear([names, others if len(others) > 1 else [*names, *others]])
                self._is_assumed = True
            return names, self._names_of(names, target)
        # a text beside a single column is rather one of logits with a bad cell, which is told where it is read
        return self._everything([*free, *(name for name in texts if not is_key(name))] if len(free) == 1 else free)

    @staticmethod
    def _counts_no_classes(family: Family) -> bool:
        is_measure = bool(family.behind) and is_no_class(family.stem)
        return is_measure or NO_CLASS.fullmatch(plain_name(family.stem)) is not None

    def _lists(self) -> list[str]:
        free = [name for name in self._free() if self._kind[name] == "list"]
        named = [name for name in free if plain_name(name) in PLAIN["logits"]]
        ours = [name for name in named if plain_name(name) in ("logits", "logit")]
        found = ours or named or free
        if len(found) > 1:
            raise self._unclear([[name] for name in found])
        self._is_assumed = bool(found) and not named
        return found

    def _named_by_labels(self, free: list[str], target: list[str]) -> tuple[list[str], Sequence[str]] | None:
        """The columns whose names occur as labels, and those with the same before and behind."""
        if len(target) != 1 or self._kind[target[0]] != "text":
            return None
        labels = {label.strip() for label in self._labels_of(target[0]) if whole_number(label) is None}
        if not labels:
            return None
        readings = []
        for affix in affixes_of(free, labels):
            bare = {affix.bare(name): name for name in free if affix.fits(name)}
            if labels <= set(bare):
                readings.append((any(affix), bare))
        if len(readings) > 1:
            raise self._unclear(
                [[bare[name] for name in bare if is_inside or name in labels] for is_inside, bare in readings]
            )
        if not readings:
            return None
        [(is_inside, bare)] = readings
        odd = self._odd(free)
        if is_inside:
            sure = [name for name in bare if name in labels or not is_no_class(name)]
            if len(sure) < len(bare):
                raise self._unclear([[bare[name] for name in sure], list(bare.values())])
            return list(bare.values()), list(bare)
        found = [name for name in free if name in labels]
        others = [name for name in free if name not in labels and name not in odd]
        both = [name for name in free if name in labels or name not in odd]
        if others and self._kinds_tell:
            first = [name for name in both if name in labels or name == others[0]]
            raise self._unclear([found, *([first] if len(others) > 1 else []), both])
        return both, both  # in a few rows not every class occurs

    def _everything(self, free: list[str]) -> tuple[list[str], Sequence[str]]:
        if not free:
            raise UnclearColumns(
                _("{file} is a table without a column of logits; its columns are {names}").format(
                    file=self._file, names=few(self._names, 12)
                ),
                _("a column of numbers for each class"),
                _("Add the logits."),
            )
        odd = self._odd(free)
        plain = [name for name in free if name not in odd]
        surely = {name for name in odd if is_no_class(name) and name in self._whole_among_fractions(free)}
        groups = score_groups(plain)
        if groups and (len(groups) > 1 or len(groups[0]) < len(plain)):
            raise self._unclear([*groups, *([plain] if sum(map(len, groups)) < len(plain) else [])])
        if len(free) == 1:
            raise UnclearColumns(
                _("{file} has one column of numbers for its classes, {name}").format(
                    file=self._file, name=free[0][:80]
                ),
                _("a column of numbers for each class"),
                _("For two classes and one logit z write a column of zeros before it: their softmax is its sigmoid."),
            )
        if len(surely) < len(odd) or not plain:
            raise self._unclear([plain, free] if plain else [free])
        self._is_assumed = not groups
        return plain, plain

    def _odd(self, free: list[str]) -> set[str]:
        """Those that are hardly classes: by name, because they are empty, or whole where others have fractions."""
        together = {name for group in score_groups(free) for name in group}
        odd = {name for name in free if name not in together and is_no_class(name)}
        odd |= {name for name in free if self._kinds_tell and self._kind[name] == "empty"}
        return odd | self._whole_among_fractions(free)

    def _whole_among_fractions(self, free: list[str]) -> set[str]:
        if not self._kinds_tell or all(self._kind[name] != "number" for name in free):
            return set()
        return {name for name in free if self._kind[name] == "integer"}

    def _names_of(self, classes: list[str], target: list[str]) -> Sequence[str]:
        """Of the classes; none where they are numbered from 0 on."""
        if self._kind[classes[0]] == "list":
            return ()
        if (numbers := numbers_of(classes)) is not None and (is_score(classes[0]) or families_of(classes)):
            return () if [int(number) for number in numbers] == list(range(len(numbers))) else numbers
        if len(target) == 1 and self._kind[target[0]] == "text":
            labels = {label.strip() for label in self._labels_of(target[0]) if whole_number(label) is None}
            affixes = [affix for affix in affixes_of(classes, labels) if all(map(affix.fits, classes))]
            bare = [[affix.bare(name) for name in classes] for affix in affixes]
            if bare:
                return max(bare, key=lambda names: len(labels.intersection(names)))
        return classes

    def _in_the_order_of(self, classes: list[str], target: list[str]) -> list[str]:
        """One column of the target for each class, matched by name or number."""
        if all(name.startswith(TARGET_MARK) for name in target):
            by_class = {name.removeprefix(TARGET_MARK).removeprefix("'"): name for name in target}
            bare = [name.removeprefix(MARK).removeprefix("'") for name in classes]
            if set(by_class) == set(bare):
                return [by_class[name] for name in bare]
        elif self._kind[classes[0]] == "list" or len(target) == len(classes):
            found = _in_the_order_of_names(classes, target)
            if found is not None:
                return found
        raise UnclearColumns(
            _("{file} has {count} columns of labels for {classes} classes").format(
                file=self._file, count=len(target), classes=len(classes)
            ),
            _("one for each class, or one with the number of the class"),
            _("Say which columns are classes and which labels: --classes, --target."),
        )

    def _unclear(self, readings: list[list[str]]) -> UnclearColumns:
        return which_classes(readings, self._names, self._file, are_lists=self._kind[readings[0][0]] == "list")


def _in_the_order_of_names(classes: list[str], target: list[str]) -> list[str] | None:
    """The columns of labels in the order of the classes, by the names behind a prefix of their own, or by number."""
    prefixes = [_common_start(names) for names in (classes, target)]
    bare = {name.removeprefix(prefixes[1]): name for name in target}
    names = [name.removeprefix(prefixes[0]) for name in classes]
    if set(bare) == set(names):
        return [bare[name] for name in names]
    families = families_of(target)
    return families[0].names if len(families) == 1 and len(families[0].names) == len(target) else None


def _common_start(names: list[str]) -> str:
    first, last = min(names), max(names)
    length = next((at for at, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return first[:length]
