"""Opens what lm-eval writes of each question: the log-likelihoods of its choices, and which of them is right."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np

from xent_core.columns import LABELS_ARE, LabelsAre, Reading, choices_of, few
from xent_core.dump.formats.arrays import MemoryArray, OpenFile, RawFile
from xent_core.dump.formats.checks import InvalidDump
from xent_core.language import _

MOST_DIGITS = 9  # of the number of a choice


class _Right(NamedTuple):
    """The right choice of a question: its number as the target is a number, and as it is a text; None if it is none."""

    target: Any
    choices: int
    line: int
    indices: int | None
    names: int | None


def is_lm_eval(one: dict[str, Any]) -> bool:
    """Whether lm-eval wrote this of a question."""
    return "doc_id" in one and ("filtered_resps" in one or "resps" in one)


def open_lm_eval(raw: RawFile, questions: Iterable[dict[str, Any]]) -> OpenFile:
    """The log-likelihoods of the choices of each question, which are logits of a problem of so many classes.

    Of a file that has each question once for each filter, the questions of one filter are read.
    Raises: InvalidDump, also where nothing tells whether the targets are numbers of the choices or their texts.
    """
    logits: list[list[float]] = []
    right: list[_Right] = []
    ids: list[str] = []
    filters: list[str] = []
    widest = 0
    for line, one in enumerate(questions, 1):
        choices = _choices_of(one, raw.name, line)
        logits.append(choices)
        right.append(_right_choices(one, len(choices), line))
        ids.append(str(one.get("doc_id", line))[:200])
        filters.append(str(one.get("filter", ""))[:80])
        if raw.limits is not None:
            widest = max(widest, len(choices))
            raw.limits.check(len(logits), widest)  # each row becomes as wide as the widest
    kept, notes = _of_one_filter(ids, filters)
    logits, right, ids = [logits[row] for row in kept], [right[row] for row in kept], [ids[row] for row in kept]
    widths = {len(row) for row in logits}
    values = np.full((len(logits), max(widths)), -np.inf)
    for index, row in enumerate(logits):
        values[index, : len(row)] = row
    if len(widths) > 1:
        words = _("questions have {least} to {most} choices, and −inf where there is none")
        notes.append(words.format(least=min(widths), most=max(widths)))
    field = "filtered_resps"
    arrays = {
        "logits": MemoryArray(f"{raw.name}: {field}", values),
        "target": MemoryArray(f"{raw.name}: target", np.array(_targets(right, raw.choices.labels_are, raw.name))),
        "ids": MemoryArray(f"{raw.name}: doc_id", np.array(ids)),
    }
    notes.insert(0, _("log-likelihoods of the choices"))
    reading = Reading((field,), ("target",), ids="doc_id", notes=tuple(notes), count=values.shape[1])
    raw.file.close()
    return OpenFile(raw.name, dict(arrays), close=lambda: None, reading=reading)


def _of_one_filter(ids: list[str], filters: list[str]) -> tuple[list[int], list[str]]:
    """The rows of the filter "none", or else of the first, where questions come again under others; and what to say."""
    names = list(dict.fromkeys(filters))
    if len(names) < 2 or len(set(ids)) == len(ids):
        return list(range(len(ids))), []
    chosen = "none" if "none" in names else names[0]
    others = [name for name in names if name != chosen]
    note = _("of each question the answers behind the filter {chosen}; not used: those behind {others}").format(
        chosen=chosen, others=few(others)
    )
    return [row for row, name in enumerate(filters) if name == chosen], [note]


def _choices_of(one: dict[str, Any], name: str, line: int) -> list[float]:
    answers = one.get("filtered_resps", one.get("resps"))
    try:
        if not isinstance(answers, list):
            raise TypeError
        found = []
        for answer in answers:
            pair = answer[0] if isinstance(answer[0], list) else answer
            if not isinstance(pair, list) or len(pair) != 2:
                raise ValueError
            found.append(float(pair[0]))
        if len(found) < 2:
            raise ValueError
        return found
    except (TypeError, ValueError, IndexError, KeyError, OverflowError) as error:
        raise InvalidDump(
            "lm-eval-choices",
            _("line {line} of {name} holds no log-likelihoods of choices").format(line=line, name=name),
            _("the samples of a task of multiple choice: for each choice its log-likelihood"),
            _("Take a task whose output_type is multiple_choice; generated texts have no classes."),
        ) from error


def _right_choices(one: dict[str, Any], choices: int, line: int) -> _Right:
    """The right choice by both readings of the target: as a number, and as one of the texts that were asked about."""
    target = one.get("target")
    text = str(target).strip()
    is_number = text.isdecimal() and len(text) <= MOST_DIGITS and not isinstance(target, bool)
    index = int(text) if is_number and int(text) < choices else None
    arguments = one.get("arguments")
    asked_about = list(arguments.values()) if isinstance(arguments, dict) else arguments
    texts = []
    for argument in asked_about if isinstance(asked_about, list) else []:
        last = argument.get("arg_1") if isinstance(argument, dict) else None
        if isinstance(argument, list) and argument:
            last = argument[-1]
        texts.append(str(last).strip())
    place = texts.index(text) if texts.count(text) == 1 else choices
    return _Right(target, choices, line, index, place if place < choices else None)


def _targets(right: list[_Right], said: LabelsAre | None, name: str) -> list[int]:
    """All targets read in one way: the only one that fits every question, or what is said.

    Raises: InvalidDump for a target that fits in no way, and where both ways fit and differ.
    """
    readings = {way: [getattr(one, way) for one in right] for way in (LABELS_ARE if said is None else (said,))}
    fitting = {way: found for way, found in readings.items() if None not in found}
    if not fitting:
        odd = next((one for one in right if one.indices is None and one.names is None), None)
        odd = odd or next(one for one in right if None in (one.indices, one.names))
        raise InvalidDump(
            "lm-eval-target",
            _("the target in line {line} of {name} is {target}").format(
                line=odd.line, name=name, target=repr(odd.target)[:80]
            ),
            _("the number of one of the {count} choices, or its text, and the same in every line").format(
                count=odd.choices
            ),
            _("Take the samples of a task with one right choice."),
        )
    if len({tuple(found) for found in fitting.values()}) > 1:
        answers: list[dict[str, str]] = [{"labels_are": way} for way in LABELS_ARE]
        raise InvalidDump(
            "labels-are",
            _(
                "the targets of {name}, such as {target}, may be texts of the choices, or their numbers from 0 on"
            ).format(name=name, target=repr(right[0].target)[:80]),
            _("to be told which"),
            _("Say which: {choices} (in Python, labels_are=…).").format(choices=choices_of(answers)),
            answers,
        )
    return next(iter(fitting.values()))
