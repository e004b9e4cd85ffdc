"""How many labels are wrong: mixtures whose share is known, probabilities that scikit-learn pools, and nothing."""

import numpy as np
import pytest
import torch
from sklearn.isotonic import IsotonicRegression

from xent_core.dump import analyse
from xent_core.dump.report import wrong_labels_words
from xent_core.dump.wrong_labels import SUSPICION_BINS, suspicion_bins, wrong_labels


def binned(values: np.ndarray) -> np.ndarray:
    return np.bincount(suspicion_bins(torch.tensor(values)).numpy(), minlength=SUSPICION_BINS)


def mixture(rows: int, share: float, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Suspicions of rows of which a share is wrong, which are wrong, and suspicions of pretended labels."""
    chance = np.random.default_rng(seed)
    wrong = chance.random(rows) < share
    suspicion = np.where(wrong, chance.normal(4, 2, rows), chance.normal(-4, 2, rows))
    return suspicion, wrong, chance.normal(4, 2, rows)


def test_bins_are_an_eighth_of_a_nat_wide() -> None:
    values = torch.tensor([-np.inf, -64.0, -0.001, 0.0, 0.124, 0.125, 63.99, 64.0, np.inf])

    assert suspicion_bins(values).tolist() == [0, 1, 512, 513, 513, 514, 1024, 1025, 1025]


@pytest.mark.parametrize("share", [0.02, 0.1, 0.3])
def test_the_number_of_wrong_labels_is_found(share: float) -> None:
    suspicion, wrong, pretended = mixture(5000, share, seed=1)

    found = wrong_labels(binned(suspicion), binned(pretended))

    assert found is not None
    assert found.expected == pytest.approx(wrong.sum(), rel=0.35)
    assert found.low < wrong.sum() < found.high
    assert found.expected == pytest.approx(found.probability_of(suspicion).sum())


def test_labels_said_to_be_wrong_are_so_at_least_as_often_as_is_said() -> None:
    """The correction is for models that err of themselves: of two clear heaps it says too little, never too much."""
    suspicion, wrong, pretended = mixture(200_000, 0.1, seed=2)

    found = wrong_labels(binned(suspicion), binned(pretended))

    assert found is not None
    p_wrong = found.probability_of(suspicion)
    for low in (0.5, 0.7, 0.9):
        chosen = p_wrong >= low
        assert chosen.sum() > 1_000
        assert p_wrong[chosen].mean() - 0.03 < wrong[chosen].mean() < p_wrong[chosen].mean() + 0.3
    assert wrong[p_wrong < 0.1].mean() < 0.1


def test_more_suspicion_is_never_less_likely_wrong_as_scikit_learn_pools_it() -> None:
    suspicion, _wrong, pretended = mixture(300, 0.2, seed=3)
    rows, drawn = binned(suspicion), binned(pretended)

    found = wrong_labels(rows, drawn)

    assert found is not None
    # what lies in empty bins belongs to the next bin with rows in it, or the last
    used = np.flatnonzero(rows)
    place = np.minimum(np.searchsorted(used, np.arange(SUSPICION_BINS)), len(used) - 1)
    beyond = [int(np.flatnonzero(drawn[::-1].cumsum()[::-1] >= share * 300)[-1]) for share in (0.5, 0.75)]
    counts = [rows[b:].sum() * 300 / drawn[b:].sum() + 0.5 for b in beyond]
    wrong = np.bincount(place, weights=drawn) * np.sqrt(counts[0] * counts[1]) / 300
    pooled = IsotonicRegression().fit_transform(used, wrong / rows[used], sample_weight=rows[used])
    odds = [max(min(share, 0.9975), 0.0025) / (1 - max(min(share, 0.9975), 0.0025)) for share in pooled]
    errors = (suspicion >= 0).mean()
    slope = 0.214 - 0.190 * np.log(errors / (1 - errors))
    corrected = [np.exp(-0.885) * one**slope for one in odds]
    assert found.probability[used] == pytest.approx([one / (1 + one) for one in corrected])


def interval(rows: int, mispredicted: int, tail: int) -> tuple[float, float, float]:
    """Of rows of which so many are mispredicted, most of them hardly, and `tail` as clearly as pretended labels."""
    suspicion = np.repeat([-8.0, 0.1, 8.0], [rows - mispredicted, mispredicted - tail, tail])
    found = wrong_labels(binned(suspicion), binned(np.full(1000, 8.0)))
    assert found is not None
    return found.low, found.expected, found.high


def test_the_interval_ends_a_tenth_beyond_the_predictions_that_are_not_the_label() -> None:
    assert interval(10_000, 1_000, 100)[2] == pytest.approx(1_100 + 1.645 * np.sqrt(101), rel=0.01)
    assert interval(10_000, 1_000, 1_000)[2] == pytest.approx(1_100 + 1.645 * np.sqrt(1_001), rel=0.01)


def test_the_interval_begins_lower_the_more_a_model_errs_of_itself() -> None:
    by_hand = 1_000 * (1_000 / 3_000) ** 0.7 * (1 - 2 * 0.3) ** 0.8 - 1.645 * np.sqrt(1_001)

    assert interval(10_000, 3_000, 1_000)[0] == pytest.approx(by_hand, rel=0.01)
    assert interval(10_000, 1_000, 1_000)[0] > 1.5 * interval(10_000, 1_500, 1_000)[0]
    assert interval(10_000, 4_900, 1_000)[0] == 0


def test_the_expected_number_lies_in_the_interval() -> None:
    for mispredicted in (0, 3, 200, 4_999):
        for tail in (0, mispredicted // 2, mispredicted):
            low, expected, high = interval(10_000, mispredicted, tail)

            assert 0 <= low <= expected <= high <= 10_000


def test_a_row_without_suspicion_has_no_probability() -> None:
    suspicion, _wrong, pretended = mixture(100, 0.2, seed=4)

    found = wrong_labels(binned(suspicion), binned(pretended))

    assert found is not None
    assert np.isnan(found.probability_of(np.array([np.nan, 1.0]))).tolist() == [True, False]


def test_nothing_is_said_of_no_rows_or_one_class() -> None:
    nothing, something = np.zeros(SUSPICION_BINS, np.int64), binned(np.array([1.0]))

    assert wrong_labels(nothing, something) is None
    assert wrong_labels(something, nothing) is None


def test_a_model_that_is_wrong_in_most_rows_tells_no_number() -> None:
    suspicion, _wrong, pretended = mixture(1_000, 0.6, seed=5)

    assert wrong_labels(binned(suspicion), binned(pretended)) is None
    assert analyse(np.zeros((200, 4)), np.arange(200) % 4, fit_temperature=False).wrong_labels is None


def test_honest_doubt_is_counted_which_the_words_say() -> None:
    """The labels are drawn from the probabilities themselves: none is wrong, and the number says otherwise."""
    chance = np.random.default_rng(0)
    logits = chance.normal(size=(4_000, 2)) * 1.5
    p = 1 / (1 + np.exp(logits[:, 0] - logits[:, 1]))
    summary = analyse(logits, (chance.random(4_000) < p).astype(np.int64), fit_temperature=False)

    assert summary.wrong_labels is not None
    assert summary.wrong_labels.low > 50
    assert "Honest doubt is counted too: where classes overlap, no label need be wrong." in wrong_labels_words(summary)
