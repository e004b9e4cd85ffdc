"""What is asked where logits may be probabilities, perhaps times 100 or 255, or outputs of a sigmoid."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from torch import Tensor

from xent_core.columns import few
from xent_core.language import N_, _
from xent_core.probability_tolerances import (
    MOST_TOLERANCE_TO_ASK,
    NEGATIVE_TOLERANCE,
    SHARE_TO_ASK,
    SUM_TOLERANCE_TO_ASK,
)

ROWS_LOOKED_AT = 256
ROWS_THAT_TELL = 16  # fewer may have a property by chance
OFF_OF_SIGMOID = 0.1
SHARE_OF_ONE_SUM = 0.9  # of rows that sum to a number nobody expects
_FACTORS = (100.0, 255.0)
_PROBABILITY = re.compile(r"probs?|probas?|probabilit(y|ies)|softmax|pct|perc|percents?|percentages?")
_PARTS = re.compile(r"[\s_.:/-]+|(?<=[a-z])(?=[A-Z])")
_SAY = N_(
    "Say what they are: --logits-are probabilities (in Python, logits_are=…) takes their logarithm, "
    "--logits-are logits keeps them."
)


class LogitsQuestion(NamedTuple):
    """What is said of rows that may be no logits: the parts of an InvalidInput, a code, and the possible answers."""

    code: str
    came: str
    expected: str
    fix: str
    answers: tuple[dict[str, str], ...] = ()


@np.errstate(invalid="ignore", over="ignore")  # of infinite and of the largest logits
def question_about(
    rows: np.ndarray, names: Sequence[str] = (), numbers: Sequence[int] | None = None
) -> LogitsQuestion | None:
    """What to ask of these rows; None for logits.

    Rows of NaN and of zeros say nothing, and neither do a few rows unlike the others. Columns that are called
    probabilities are asked about where their numbers lie in 0…1, whatever they sum to.

    Args:
      rows: scores of rows whose labels are not ignored, float64, shape (n, C).
      names: of their columns, or of their array.
      numbers: of the rows, for what is said; 0, 1, … unless given.
    """
    if rows.shape[1] < 2:
        return None
    numbers = range(len(rows)) if numbers is None else numbers
    told = rows[~np.isnan(rows).any(1) & rows.any(1)]
    if not len(told):
        return None
    is_called = bool(names) and all(map(_is_called_probability, names))
    fits = _sum_to(told, 1.0)
    # rows of a 1 and zeros, beside others, may be logits that somebody made up
    if _share(fits) > SHARE_TO_ASK and (_is_inside(told[fits]).any() or _sum_to(np.nan_to_num(rows), 1.0).all()):
        return _probabilities(_("the rows of logits lie in 0…1 and sum to 1, as probabilities do"), rows, numbers)
    if (factor := _factor(told)) is not None:
        return _multiplied(factor, rows, numbers)
    is_within = _is_within(told, 1.0)
    if _share(is_within) > SHARE_TO_ASK and _is_of_sigmoid(told[is_within]):
        return _sigmoid()
    if is_called and _share(is_within) > SHARE_TO_ASK:
        came = _("the numbers of {names} lie in 0…1, and are called probabilities").format(names=few(list(names)))
        return _probabilities(came, rows, numbers)
    return None


def taken_as_logarithm() -> str:
    """What is said of logits that came as probabilities."""
    return _("the logits are the logarithms of these probabilities")


def log_of_probabilities(probs: Tensor) -> Tensor:
    """Logits whose softmax these are; what is below 0 by rounding counts as 0."""
    is_rounding = (probs < 0) & (probs >= -NEGATIVE_TOLERANCE)
    return probs.masked_fill(is_rounding, 0.0).log()


def rounding_of(rows: np.ndarray, share: float = 1.0) -> float:
    """How far numbers of so few decimals may be from what was rounded; 0 where they have more than four.

    Args: share: of the rows that must have no more decimals.
    """
    for decimals in range(1, 5):
        scaled = rows * 10**decimals
        is_rounded = np.abs(scaled - np.round(scaled)) < 1e-3  # float32 holds them to 1e-7
        if is_rounded.reshape(len(rows), -1).all(1).mean() >= share:
            return 0.5 * 10.0**-decimals
    return 0.0


def _is_called_probability(name: str) -> bool:
    parts = [part.lower().rstrip("0123456789") for part in _PARTS.split(name)]
    return "log" not in parts and any(_PROBABILITY.fullmatch(part) for part in parts)


def _share(mask: np.ndarray) -> float:
    return float(mask.mean())


def _is_within(rows: np.ndarray, factor: float) -> np.ndarray:
    """Which rows lie in 0…factor."""
    least, most = rows.min(1), rows.max(1)
    return np.asarray((least >= -NEGATIVE_TOLERANCE * factor) & (most <= factor * (1 + SUM_TOLERANCE_TO_ASK)))


def _sum_to(rows: np.ndarray, factor: float) -> np.ndarray:
    """Which rows are probabilities times this factor, as far as their decimals tell."""
    is_whole = factor > 1 and rounding_of(rows / 10, SHARE_OF_ONE_SUM) == 0.05
    off = 1.0 if is_whole else rounding_of(rows, SHARE_OF_ONE_SUM)  # whole numbers are often cut, not rounded
    tolerance = max(SUM_TOLERANCE_TO_ASK, min(rows.shape[1] * off / factor, MOST_TOLERANCE_TO_ASK))
    return np.asarray(_is_within(rows, factor) & (np.abs(rows.sum(1) / factor - 1) < tolerance))


def _factor(rows: np.ndarray) -> float | None:
    """What all numbers were multiplied by, if they are probabilities: 100, 255, or what nearly all rows sum to."""
    varied = rows[rows.min(1) < rows.max(1)]
    if not len(varied) or not ((varied != 0).sum(1) > 1).any():  # zeros and a number are often made up
        return None
    for factor in _FACTORS:
        if len(varied) > 1 and _share(_sum_to(varied, factor)) > SHARE_TO_ASK:
            return factor
    factor = float(np.median(varied.sum(1)))
    if len(varied) < ROWS_THAT_TELL or not np.isfinite(factor) or factor <= 0:
        return None
    kinds = len(np.unique(np.sort(varied, axis=1), axis=0))
    is_one_sum = _share(_sum_to(varied, factor)) >= SHARE_OF_ONE_SUM and 2 * kinds > len(varied)
    return factor if is_one_sum else None


def _is_of_sigmoid(rows: np.ndarray) -> bool:
    """Whether rows in 0…1 are hardly logits, and hardly probabilities of one class."""
    off = np.abs(rows.sum(1) - 1)
    return (
        len(rows) >= ROWS_THAT_TELL and _share(_is_inside(rows)) > SHARE_TO_ASK and bool((off > OFF_OF_SIGMOID).any())
    )


def _is_inside(rows: np.ndarray) -> np.ndarray:
    """Which rows have a number between 0 and 1."""
    return np.asarray(((rows > 0) & (rows < 1)).any(1))


def _probabilities(came: str, rows: np.ndarray, numbers: Sequence[int]) -> LogitsQuestion:
    odd = _odd_rows(rows, 1.0, numbers)
    return _question(came + odd, _(_SAY))


def _multiplied(factor: float, rows: np.ndarray, numbers: Sequence[int]) -> LogitsQuestion:
    came = _("the rows of logits hold no number below 0 and sum to {sum}, as percentages do")
    if factor != _FACTORS[0]:
        came = _("the rows of logits hold no number below 0 and sum to {sum}, as probabilities times {sum} do")
    total = f"{factor:.6g}"
    fix = _("The factor {factor} need not be divided out: the softmax of a logarithm does not see it.")
    odd = _odd_rows(rows, factor, numbers)
    return _question(came.format(sum=total) + odd, f"{_(_SAY)} {fix.format(factor=total)}")


def _question(came: str, fix: str) -> LogitsQuestion:
    answers = tuple({"logits_are": answer} for answer in ("probabilities", "logits"))
    return LogitsQuestion("looks-like-probabilities", came, _("logits, from before the softmax"), fix, answers)


def _odd_rows(rows: np.ndarray, factor: float, numbers: Sequence[int]) -> str:
    """How many rows are unlike the others, and the first of them."""
    odd = np.flatnonzero(~_sum_to(np.nan_to_num(rows, nan=-1.0), factor))
    if not len(odd):
        return ""
    row = rows[odd[0]]
    if np.isnan(row).any():
        why = _("row {row} holds NaN")
    elif row.min() < -NEGATIVE_TOLERANCE * factor:
        why = _("row {row} holds {least}")
    else:
        why = _("row {row} sums to {sum}")
    words = _(" (not so in {odd} of the {count} rows looked at: {why})")
    return words.format(
        odd=len(odd),
        count=len(rows),
        why=why.format(row=numbers[int(odd[0])], least=f"{float(row.min()):.6g}", sum=f"{float(row.sum()):.6g}"),
    )


def _sigmoid() -> LogitsQuestion:
    return LogitsQuestion(
        "looks-like-sigmoid",
        _("the rows of logits lie in 0…1 and do not sum to 1, as the outputs of a sigmoid do"),
        _("logits of classes of which each row has one"),
        _(
            "For several labels in a row, each class is a problem of its own: BCEWithLogitsLoss. "
            "If they are logits, say so: --logits-are logits (in Python, logits_are='logits')."
        ),
    )
