"""How probable it is that chance alone shows so much: exact or bounded from above, as log10 of the probability."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from xent_core.doctor.findings import Finding, Severity, finding
from xent_core.language import _

LEVEL = -6.0  # log10 of the most that chance may explain before something is said


def signs(count: int) -> float:
    """That none of so many different numbers is negative, where each is as likely to be: 2^−count."""
    return -count * math.log10(2)


def at_least(seen: int, count: int, share: float) -> float:
    """At least `seen` of `count` independent events, none of which is more probable than `share`.

    exp(−count · KL(seen/count ‖ share)); Chernoff 1952, https://doi.org/10.1214/aoms/1177729330.
    """
    part = seen / count if count else 0.0
    if part <= share:
        return 0.0
    rest = 0.0 if part == 1 else (1 - part) * math.log((1 - part) / (1 - share))
    return -count * (part * math.log(part / share) + rest) / math.log(10)


def matches(seen: int, expected: float) -> float:
    """So many matches, or more, of two columns of which one was shuffled; or so few where `seen` is below `expected`.

    2·exp(−t²/(4·expected + 2·t)) with t = |seen − expected|, for any columns; Chatterjee 2007, proposition 1.1,
    https://doi.org/10.1007/s00440-006-0029-y.
    """
    apart = abs(seen - expected)
    if not apart:
        return 0.0
    return min((math.log(2) - apart**2 / (4 * expected + 2 * apart)) / math.log(10), 0.0)


def below_said(seen: int, said: float, count: int) -> float:
    """At most `seen` of `count` independent events that have `said` as the sum of their probabilities.

    exp(−2·(said − seen)²/count); Hoeffding 1963, https://doi.org/10.1080/01621459.1963.10500830.
    """
    return -2 * (said - seen) ** 2 / count / math.log(10) if said > seen else 0.0


def order(others: int, count: int) -> float:
    """At most so many pairs in the other order, of so many different things in an order drawn by chance; exact.

    The number of permutations with so many inversions, by the product of (1 + x + … + x^k); Mahonian numbers.
    """
    if others < 0 or count < 2 or others >= count * (count - 1) // 4:
        return 0.0
    log_share, shares = 0.0, np.ones(1)
    for size in range(2, count + 1):
        sums = np.cumsum(np.pad(shares, (0, size - 1)))[: others + 1]
        sums[size:] -= sums[:-size].copy() if len(sums) > size else 0.0
        largest = sums.max()
        shares, log_share = sums / largest, log_share + math.log10(largest) - math.log10(size)
    return min(log_share + math.log10(shares.sum()), 0.0)


def in_words(log10: float) -> str:
    """The strength of the evidence, to end an explanation with: a power of ten that is not too small."""
    power = f"10^{math.ceil(log10)}".replace("-", "−")
    return " " + _("By chance: at most {probability}.").format(probability=power)


def where_rare(code: str, severity: Severity, explanation: str, fix: str, evidence: float) -> Iterator[Finding]:
    """The finding with the strength of its evidence, where chance explains it in less than one of a million inputs."""
    if evidence <= LEVEL:
        yield finding(code, severity, explanation + in_words(evidence), fix, evidence)
