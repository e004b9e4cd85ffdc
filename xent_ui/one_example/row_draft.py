"""A row that is tried out apart from the batch, and the checks of what the browser sends to change it."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from xent_core.one_row import with_share
from xent_core.parse import InvalidText, parse_number
from xent_ui.state.sheet import LARGEST_WHOLE, ONE_HOT, PROBABILITIES, Sheet, number_text
from xent_ui.text import _

MIN_BOUND = 10.0  # of the sliders, at least


@dataclass(frozen=True)
class Draft:
    """A row that is being tried out, apart from the batch.

    Attributes:
      origin: the row as it began: a Sheet of one row, under reduction "sum".
      sheet: the row as it is now.
      generation: rises whenever the program replaces the row; what the browser still sends of the old one is left out.
      sequence: number of the last message that was taken.
      bound: where the sliders of the logits end; it does not shrink, so that no bar jumps.
      refused, refused_shares: classes whose typed logit, or share of the target, was refused, and why.
    """

    origin: Sheet
    sheet: Sheet
    generation: int = 0
    sequence: int = 0
    bound: float = MIN_BOUND
    refused: tuple[tuple[int, str], ...] = ()
    refused_shares: tuple[tuple[int, str], ...] = ()


def begin(origin: Sheet, *, after: Draft | None = None) -> Draft:
    """A Draft of a row as it is in the batch."""
    return Draft(origin, origin, 0 if after is None else after.generation + 1, bound=_bound(origin, MIN_BOUND))


def rebased(draft: Draft, origin: Sheet) -> Draft:
    """The same Draft over what the batch holds now: nothing on screen changes."""
    return replace(draft, origin=origin)


def take(draft: Draft, message: object) -> Draft:
    """The Draft with what the browser sent; the same Draft if that makes no sense, or was meant for another row.

    A logit or a share that is no number keeps its former text and is named in `refused` or `refused_shares`.
    The message is a stranger's until it is checked: nothing in it raises. Taking it twice is taking it once.
    """
    try:
        return _taken(draft, message)
    except (TypeError, ValueError, KeyError, OverflowError):
        return draft


def _taken(draft: Draft, message: object) -> Draft:
    if not isinstance(message, dict) or message.get("generation") != draft.generation:
        return draft
    names = draft.sheet.class_names
    logits, refused = _numbers(message["logits"], draft.sheet.logits[0], names)
    # of a soft label what is typed is kept as it is: the other shares stay where they were put
    shares, refused_shares = _numbers(message["probabilities"], draft.sheet.probabilities[0], names)
    soft, label = message["soft"], message["label"]
    if not isinstance(soft, bool):
        raise TypeError
    if label is not None and _whole(label) not in range(len(names)):
        raise ValueError
    smoothing = parse_number(message["smoothing"])
    if not 0 <= smoothing <= 1:
        raise ValueError
    if soft and message["moved"] is not None:
        shares = _with_share(shares, _whole(message["moved"]), parse_number(message["share"]))
    origin = draft.origin
    sheet = replace(
        draft.sheet,
        logits=(tuple(logits),),
        labels=(label,),
        probabilities=(tuple(shares),),
        target_kind=PROBABILITIES if soft else origin.target_kind if origin.has_boxes else ONE_HOT,
        # PyTorch ignores no rows of probabilities
        ignore_index=-100 if soft and origin.ignore_index >= 0 else origin.ignore_index,
        label_smoothing=smoothing,
    )
    sheet.to_problem()
    return replace(
        draft,
        sheet=sheet,
        sequence=_whole(message["sequence"]),
        bound=_bound(sheet, draft.bound),
        refused=tuple(refused),
        refused_shares=tuple(refused_shares),
    )


def _numbers(sent: object, former: Sequence[str], names: Sequence[str]) -> tuple[list[str], list[tuple[int, str]]]:
    """The texts that are numbers, the former ones in place of the others, and why these were refused."""
    numbers, refused = list(former), []
    for label, text in enumerate(_texts(sent, len(names))):
        try:
            parse_number(text)
            numbers[label] = text.strip()
        except InvalidText as error:
            refused.append((label, _("{name}: {error}").format(name=names[label], error=error)))
    return numbers, refused


def _texts(value: object, count: int) -> list[str]:
    if not isinstance(value, list) or len(value) != count or not all(isinstance(text, str) for text in value):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_WHOLE:
        raise TypeError
    return value


def _with_share(shares: Sequence[str], label: int, share: float) -> list[str]:
    if label >= len(shares) or not 0 <= share <= 1:
        raise ValueError
    values = torch.tensor([parse_number(text) for text in shares], dtype=torch.float64)
    return [number_text(value) for value in with_share(values, label, share).tolist()]


def _bound(sheet: Sheet, least: float) -> float:
    """The next of 10, 20, 50, 100, … that holds every finite logit, and not less than `least`."""
    finite = [abs(value) for value in map(parse_number, sheet.logits[0]) if math.isfinite(value)]
    largest = max(finite, default=0.0)
    if largest <= least:
        return least
    power = 10.0 ** math.floor(math.log10(largest))
    fitting = (factor * power for factor in (1, 2, 5, 10) if factor * power >= largest)
    return min(next(fitting, math.inf), sys.float_info.max / 4)  # twice as much must be a number, too
