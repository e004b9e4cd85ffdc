"""The options of the loss of a dump: what the caller says, and what he does not, as the files say it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields, replace
from typing import cast

import torch
from torch import Tensor

from xent_core.columns import few
from xent_core.dump.formats import InvalidDump
from xent_core.dump.readers import Dump, of_problem
from xent_core.errors import InvalidProblem
from xent_core.language import _
from xent_core.loss_options import LossKeywords, LossOptions
from xent_core.validation import as_loss_options, check_options
from xent_core.values import same_bits


def given_options(options: LossOptions | None, keywords: LossKeywords) -> LossKeywords:
    """What the caller said of the loss, as keywords. Raises: InvalidDump."""
    if options is None:
        return keywords
    if keywords:
        raise InvalidDump(
            "options-twice",
            _("options came, and {names} besides").format(names=", ".join(keywords)),
            _("the one or the other"),
            _("Put them into options."),
        )
    return LossKeywords(
        weight=options.weight,
        ignore_index=options.ignore_index,
        reduction=options.reduction,
        label_smoothing=options.label_smoothing,
        temperature=options.temperature,
    )


def checked_options(keywords: LossKeywords, classes: int | None = None) -> LossOptions:
    """The options as a value, the weight in float64; without a number of classes, as many as the weight has."""
    try:
        options = as_loss_options(keywords, torch.float64).to(torch.float64)
        check_options(options, classes or (1 if options.weight is None else options.weight.numel()))
    except InvalidProblem as error:
        raise of_problem(error) from error
    return options


def with_those_of_files(dump: Dump, given: LossKeywords) -> LossOptions:
    """What was said, and what was not as the files say it, which is noted. Raises: InvalidDump."""
    files = cast(LossKeywords, dump.options)
    options = checked_options(cast(LossKeywords, {**files, **given}), dump.classes)
    if files:
        theirs = checked_options(files, dump.classes)
        notes = (
            (_("options from the file: {options}"), _differences(theirs, LossOptions(), leaving=given)),
            (_("not as in the file: {options}"), _differences(options, theirs)),
        )
        said = tuple(words.format(options=", ".join(found)) for words, found in notes if found)
        dump.reading = replace(dump.reading, notes=(*dump.reading.notes, *said))
    return options


def _differences(options: LossOptions, others: LossOptions, leaving: Collection[str] = ()) -> list[str]:
    """Each option that is another than in the others, under PyTorch's name, with its value."""
    found = []
    for one in fields(LossOptions):
        value, other = getattr(options, one.name), getattr(others, one.name)
        if one.name in leaving or (same_bits(value, other) if one.name == "weight" else value == other):
            continue
        if isinstance(value, Tensor):
            value = few([f"{number:g}" for number in value.tolist()])
        found.append(f"{one.name} {value}")
    return found
