"""What is asked or refused where the columns of a table can be classes in more than one way, or in none."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping, Sequence

from xent_core.column_names import (
    PLAIN,
    WHICH_CLASS,
    families_of,
    is_no_class,
    is_score_stem,
    missing_number,
    numbered_twice,
    plain_name,
    score_groups,
    stem_without_number,
)
from xent_core.columns import Reading, UnclearColumns, choices_of, few
from xent_core.language import N_, _

WRITE_ALL_SCORES = N_(
    "Write those of all classes, in the order of the classes; timm's inference.py does it with "
    "--topk 0 --output-type logit --results-format parquet."
)


def best_few(kinds: Mapping[str, str]) -> tuple[list[str], list[str]] | None:
    """The scores that may be those of the best few classes, and the columns that say of which classes; or None.

    Args: kinds: of the columns, by name, in the order of the file.
    """
    families = families_of([name for name in kinds if kinds[name] != "list"])
    which = [one.names for one in families if _says_which(one.stem, {kinds[name] for name in one.names})]
    scores = [one.names for one in families if _without_top(one.stem) in PLAIN["logits"]]
    lists = [name for name, kind in kinds.items() if kind == "list"]
    which += [[name] for name in lists if WHICH_CLASS.fullmatch(plain_name(name))]
    which += [[name] for name, kind in kinds.items() if kind == "other" and plain_name(name) in PLAIN["target"]]
    scores += [[name] for name in lists if _without_top(name) in PLAIN["logits"] | {"values"}]
    which += [[name] for name in lists if scores and plain_name(name) in PLAIN["class_names"]]
    found = [(one, other) for one in scores for other in which if len(one) == len(other)]
    return found[0] if found else None


def _says_which(stem: str, kinds: set[str]) -> bool:
    plain = plain_name(stem)
    if WHICH_CLASS.fullmatch(plain):
        return True
    return (plain in PLAIN["target"] and kinds == {"text"}) or (
        plain in ("class", "cls", "pred") and "number" not in kinds
    )


def _without_top(name: str) -> str:
    plain = plain_name(name)
    return next((plain.removeprefix(top) for top in ("topk", "top") if plain.startswith(top)), plain)


def check_best_few(kinds: Mapping[str, str], file: str) -> None:
    """Raises: UnclearColumns for the best few scores of each row, beside columns that say of which classes.

    Args: kinds: of the columns, by name, in the order of the file.
    """
    if (found := best_few(kinds)) is None:
        return
    one, other = found
    answers = [{"classes": pattern_of(one, list(kinds))}]
    if kinds[other[0]] in ("text", "other"):  # each row has them in an order of its own
        answers = []
    fix = _(WRITE_ALL_SCORES)
    if answers:
        words = _("If these are all, in the order of the classes, say so: {choices}.")
        fix = f"{fix} {words.format(choices=choices_of(answers))}"
    raise UnclearColumns(
        _("{names} of {file} are scores of the best few classes, and {which} says of which").format(
            names=few(one), file=file, which=few(other)
        ),
        _("the scores of all classes in every row, without which no softmax is known"),
        fix,
        answers,
    )


def check_numbers(free: list[str], stems: set[str], among: Sequence[str], file: str) -> None:
    """Raises: UnclearColumns where a class is numbered twice, or is missing among columns that are numbered.

    Args:
      stems: of the columns that are numbered throughout; where there are some, others do not matter.
      among: all columns, of the table file.
    """
    if stems:
        names = [name for name in free if plain_name(stem_without_number(name)) in stems]
    else:
        names = [name for name in free if not is_no_class(name) or is_score(name)]
    if (twice := numbered_twice(names)) is not None:
        readings = [[name for name in names if name != other] for other in reversed(twice)]
        answers = [{"classes": pattern_of(reading, among)} for reading in readings]
        raise UnclearColumns(
            _("{file} has the columns {one} and {other}, which give one class two columns").format(
                file=file, one=repr(twice[0])[:80], other=repr(twice[1])[:80]
            ),
            _("one column for each class"),
            _("Remove one of them, or say which columns are classes: {choices}.").format(choices=choices_of(answers)),
            answers,
        )
    if not stems and (gap := missing_number(names)) is not None:
        missing, numbered = gap
        answers = [{"classes": pattern_of(numbered, among)}]
        raise UnclearColumns(
            _("the columns {names} of {file} are numbered, and {missing} is missing").format(
                names=few(numbered), file=file, missing="".join(missing)[:80]
            ),
            _("a column for each class"),
            _("Add it; or say that these are all, called by their numbers: {choices}.").format(
                choices=choices_of(answers)
            ),
            answers,
        )


def is_score(name: str) -> bool:
    """Whether this is a word for a score with a number."""
    stem = stem_without_number(name)
    return stem != name and is_score_stem(stem)


def which_classes(
    readings: list[list[str]], among: Sequence[str], file: str, *, are_lists: bool = False, highest: int | None = None
) -> UnclearColumns:
    answers = [{"classes": pattern_of(names, among)} for names in readings][:3]
    shown = []
    for answer, names in zip(answers, readings, strict=False):
        words = "" if are_lists else f" ({_('{count} classes: {names}').format(count=len(names), names=few(names))})"
        shown.append(choices_of([answer]) + words)
    came = _("the classes of {file} can be read in more than one way: its columns are {names}").format(
        file=file, names=few(among, 12)
    )
    if highest is not None:
        came += " " + _("and no label is above {highest}").format(highest=highest)
    return UnclearColumns(
        came,
        _("to be told which"),
        _("Say which: {choices}.").format(choices=_(" or ").join(shown)),
        answers,
    )


def doubt(reading: Reading, lowest: int, highest: int, file: str) -> UnclearColumns | None:
    """What to ask where the classes are all that was left, and no label is that of the last, or of the first.

    Args: lowest, highest: of the labels.
    """
    classes, count = list(reading.classes), highest + 1
    others = (reading.ids, reading.text, reading.image, reading.sample_weight, reading.features)
    names = [*classes, *reading.target, *(name for name in others if name is not None), *reading.unused]
    if not reading.is_assumed or reading.count < count or (reading.count == count and lowest != 1):
        return None
    if reading.count == count:
        return _counted_from_one(reading, names, file, highest)
    if len(classes) != reading.count:  # lists
        return which_classes([classes], names, file, are_lists=True, highest=highest)
    likely = [group for group in score_groups(classes) if len(group) == count]
    if not likely and count > 1:
        likely = [classes[:count], classes[-count:]]
    return which_classes([*likely[:2], classes], names, file, highest=highest)


def _counted_from_one(reading: Reading, names: Sequence[str], file: str, highest: int) -> UnclearColumns:
    """What to ask where labels from 1 on are as many as all classes but one."""
    answers = [{"classes": pattern_of(reading.classes, names)}]
    return UnclearColumns(
        _(
            "the labels of {file} are 1 to {highest}, so that they may count from 1, and {count} columns are left "
            "for its classes: {names}"
        ).format(file=file, highest=highest, count=reading.count, names=few(reading.classes, 12)),
        _("labels from 0 on, or to be told that all of these are classes"),
        _(
            "If the labels count from 1, one column is no class: take 1 from each label, and name the {highest} "
            "columns of the classes by --classes. If all are classes, and none has the label 0: {choices}."
        ).format(highest=highest, choices=choices_of(answers)),
        answers,
    )


def pattern_of(names: Sequence[str], among: Sequence[str]) -> str:
    """What --classes takes for these columns: a name, a pattern that means no other column, or a list of names."""
    if len(names) == 1:
        return names[0] if names[0] != "--" else "[-]-"  # which no option can have for its value
    families = families_of(list(names))
    if len(families) == 1 and (families[0].before or families[0].behind):
        pattern = f"{families[0].before}*{families[0].behind}"
        found = [name for name in among if fnmatch.fnmatchcase(name, pattern)]
        if sorted(found) == sorted(names) and pattern not in among:
            return pattern
    listed = ",".join(map(_quoted, names))
    return listed if listed not in among else ",".join(f'"{name}"' for name in names)


def _quoted(name: str) -> str:
    """A name in a list: between quotes where it could be taken for several, or for another one."""
    is_plain = name and name == name.strip() and not {",", '"'} & set(name)
    return name if is_plain else '"' + name.replace('"', '""') + '"'
