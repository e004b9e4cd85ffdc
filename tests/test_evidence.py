"""What only many rows together show: bounds against simulations and exact sums, silence on clean data, the cost."""

import math
import time
from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tests.doctor_cases import EVIDENCE, LEARNT, TRUE
from xent_core import diagnose
from xent_core.doctor.symptoms import chance

CODES = {case.code for case in EVIDENCE}


def codes(*arguments: torch.Tensor, **options: object) -> set[str]:
    return {one.code for one in diagnose(*arguments, **options)} & CODES


@given(st.integers(1, 400), st.data(), st.floats(0.01, 0.9))
def test_so_many_events_are_no_more_probable_than_the_bound(count: int, data: st.DataObject, share: float) -> None:
    seen = data.draw(st.integers(0, count))

    assert binom.logsf(seen - 1, count, share) / math.log(10) <= chance.at_least(seen, count, share) + 1e-9


@pytest.mark.parametrize(("rows", "classes"), [(30, 2), (60, 3), (200, 10)])
def test_shuffled_columns_match_no_more_often_than_the_bound(rows: int, classes: int) -> None:
    draw = np.random.default_rng(0)
    labels, other = (np.minimum(draw.geometric(0.4, rows) - 1, classes - 1) for _ in range(2))
    counts = [np.bincount(one, minlength=classes) for one in (labels, other)]
    expected = float(counts[0] @ counts[1]) / rows
    seen = np.array([(labels == draw.permutation(other)).sum() for _ in range(4000)])

    assert seen.mean() == pytest.approx(expected, abs=5 * seen.std() / 60)
    for level in np.unique(seen):
        share = (seen >= level).mean() if level > expected else (seen <= level).mean()
        assert share <= 10 ** chance.matches(int(level), expected) + 3 * math.sqrt(share / 4000)


def test_a_calibrated_model_is_right_no_less_often_than_the_bound() -> None:
    draw = np.random.default_rng(1)
    said = draw.uniform(0.5, 1.0, 100)
    seen = (draw.uniform(size=(4000, 100)) < said).sum(1)

    for level in np.unique(seen):
        share = (seen <= level).mean()
        assert share <= 10 ** chance.below_said(int(level), float(said.sum()), 100) + 3 * math.sqrt(share / 4000)


def test_none_of_so_many_numbers_is_negative_as_often_as_a_coin_says() -> None:
    assert 10 ** chance.signs(20) == pytest.approx(0.5**20)
    assert chance.signs(20) <= chance.LEVEL < chance.signs(19)


def test_the_words_never_say_too_little() -> None:
    assert chance.in_words(-6.7).endswith("at most 10^−6.")


def of_language(draw: torch.Generator, rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Few frequent words and many rare ones, with logits that lean towards the frequent ones."""
    frequency = 1 / torch.arange(1, classes + 1)
    target = torch.multinomial(frequency, rows, replacement=True, generator=draw)
    learnt = 3 * torch.rand(rows, 1, generator=draw) * F.one_hot(target, classes)
    return frequency.log() + torch.randn(rows, classes, generator=draw) + learnt, target


def of_training(strength: float) -> Callable[[torch.Generator, int, int], tuple[torch.Tensor, torch.Tensor]]:
    def make(draw: torch.Generator, rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
        target = torch.randint(0, classes, (rows,), generator=draw)
        return torch.randn(rows, classes, generator=draw) + strength * F.one_hot(target, classes), target

    return make


def imbalanced(draw: torch.Generator, rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """A thousand to one; the model leans towards the frequent class."""
    target = torch.where(torch.rand(rows, generator=draw) < 1e-3, classes - 1, 0)
    logits = torch.randn(rows, classes, generator=draw)
    logits[:, 0] += 4
    return logits + F.one_hot(target, classes), target


def of_images(draw: torch.Generator, rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Segmentation: large areas of one class."""
    target = torch.randint(0, classes, (1, 4, 4), generator=draw).repeat_interleave(8, 1).repeat_interleave(8, 2)
    return 2 * torch.randn(1, classes, 32, 32, generator=draw) + F.one_hot(target, classes).movedim(-1, 1), target


def masked(draw: torch.Generator, rows: int, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    logits, target = of_training(2.0)(draw, rows, classes)
    mask = (torch.rand(rows, classes, generator=draw) < 0.3) & (F.one_hot(target, classes) == 0)
    return logits.masked_fill(mask, -math.inf), target


CLEAN = {
    "early in training": of_training(0.0),
    "weak": of_training(0.5),
    "late in training": of_training(8.0),
    "language": of_language,
    "imbalanced": imbalanced,
    "segmentation": of_images,
    "masked": masked,
}


@pytest.mark.parametrize("kind", CLEAN)
@given(seed=st.integers(0, 2**32), rows=st.integers(1, 300), classes=st.integers(2, 40))
@settings(max_examples=60)
def test_clean_data_raises_nothing(kind: str, seed: int, rows: int, classes: int) -> None:
    logits, target = CLEAN[kind](torch.Generator().manual_seed(seed), rows, classes)

    found = codes(logits, target)
    assert not found - {"unrelated"}  # a note, of a model that is sure before it has learnt anything
    if kind not in ("early in training", "weak", "language", "segmentation"):
        assert not found


def test_evidence_is_the_bound_that_is_told() -> None:
    (found,) = [one for one in diagnose(LEARNT, (TRUE + 1) % 5) if one.code == "labels-permuted"]
    seen = int((LEARNT.argmax(1) == TRUE).sum())
    counts = [torch.bincount(one, minlength=5).double() for one in (LEARNT.argmax(1), TRUE)]
    expected = float(counts[0] @ counts[1]) / 400

    apart = seen - expected
    bound = math.log10(2) - apart**2 / (4 * expected + 2 * apart) / math.log(10) + math.log10(4)
    assert found.evidence == pytest.approx(bound, rel=1e-9)
    assert f"the label − 1 in {seen}, and the label itself in" in found.explanation
    assert found.explanation.endswith(f"By chance: at most 10^−{math.floor(-bound)}.")


def test_a_model_that_is_said_to_be_trained_is_warned_about() -> None:
    shuffled = TRUE[torch.randperm(400, generator=torch.Generator().manual_seed(0))]
    for logits, target in ((LEARNT, shuffled), (LEARNT[:1].expand(400, 5), TRUE)):
        severity = [
            one.severity
            for flag in (False, True)
            for one in diagnose(logits, target, trained=flag)
            if one.code in CODES
        ]
        assert severity == ["note", "warning"]


def test_codes_can_be_ignored_and_unknown_ones_are_named() -> None:
    assert codes(-LEARNT, TRUE) == {"logits-negated"}
    assert codes(-LEARNT, TRUE, ignore=("logits-negated",)) == set()
    with pytest.raises(ValueError, match="ignore holds 'logits-negatd', expected codes of TITLES"):
        diagnose(LEARNT, TRUE, ignore=["logits-negatd"])


def test_of_many_rows_a_sample_is_looked_at_and_that_is_said() -> None:
    target = torch.arange(20_000) % 7
    logits = torch.randn(20_000, 7, generator=torch.Generator().manual_seed(0)) + 5 * F.one_hot((target + 2) % 7, 7)

    (found,) = [one for one in diagnose(logits, target) if one.code == "labels-permuted"]
    assert "of 4096 rows, evenly taken from 20000" in found.explanation


@pytest.mark.long
def test_it_costs_little_beside_a_softmax() -> None:
    logits = torch.randn(4096, 32_000)
    target = logits.argmax(1)

    def seconds(work: Callable[[], object]) -> float:
        begin = time.perf_counter()
        work()
        return time.perf_counter() - begin

    for work in (lambda: logits.softmax(1), lambda: diagnose(logits, target)):
        work()
    ratios = [seconds(lambda: diagnose(logits, target)) / seconds(lambda: logits.softmax(1)) for _ in range(3)]
    assert min(ratios) < 10  # the aim is 2
