"""What only many rows together show: bounds against simulations and exact sums, silence on clean data, the cost."""

import math
import time
from collections.abc import Callable
from itertools import combinations, groupby, permutations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from tests.doctor_cases import EVIDENCE, FRESH_LOGITS, LEARNT, NEXT, NEXT_LOGITS, PADDED, TOKENS, TRUE
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


@pytest.mark.parametrize("count", range(2, 7))
def test_so_few_pairs_in_the_other_order_are_as_rare_as_permutations_say(count: int) -> None:
    orders = list(permutations(range(count)))
    others = [sum(a > b for a, b in combinations(one, 2)) for one in orders]
    for most in range(count * (count - 1) // 4):
        share = sum(number <= most for number in others) / len(orders)
        assert chance.order(most, count) == pytest.approx(math.log10(share), abs=1e-9)


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
    assert not found - {"unrelated", "padding-columns"}  # notes: sure before it has learnt anything; a small batch
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
    assert f"the label − 1 in {seen} of 400 rows, and the label itself in" in found.explanation
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


def said(code: str, *arguments: torch.Tensor, **options: object) -> str:
    (found,) = [one for one in diagnose(*arguments, **options) if one.code == code]
    return found.explanation


def test_the_numbers_in_the_words_are_those_of_pytorch_and_of_counting() -> None:
    relu = LEARNT.relu()
    zeros = 100 * float((relu == 0).double().mean())
    assert f"{zeros:.0f} % of them are exactly 0 (of 400 rows)" in said("outputs-non-negative", relu, TRUE)

    tanh = (2 * LEARNT).tanh()
    different = {round(float(z), 9) for z in tanh.flatten()}
    near = sum(abs(z) > 0.9 for z in different)
    assert f"{near} of {len(different)} different ones beyond ±0.9" in said("outputs-bounded", tanh, TRUE)

    smallest, largest = (int((LEARNT.argmax(1) == TRUE).sum()), int((LEARNT.argmin(1) == TRUE).sum()))
    words = f"the smallest logit in {smallest} and the largest in {largest} of 400 rows"
    assert words in said("logits-negated", -LEARNT, TRUE)

    masked = LEARNT.clone()
    masked[5, TRUE[5]] = masked[9, TRUE[9]] = -1e9
    loss = F.cross_entropy(masked[[5, 9]].double(), TRUE[[5, 9]])
    words = said("finite-mask-at-label", masked, TRUE)
    assert "in 2 of 400 rows" in words
    assert f"The mean loss of these rows is {float(loss):.4g}" in words

    smoothed = LEARNT.clone()
    smoothed[:, 0] = smoothed[:, 0].where(TRUE == 0, -1e5)
    losses = [F.cross_entropy(logits, TRUE, label_smoothing=0.1) for logits in (smoothed.double(), LEARNT.double())]
    words = said("finite-mask-with-smoothing", smoothed, TRUE, label_smoothing=0.1)
    nats = float(words.split("too: ")[1].split(" nats")[0].replace("−", "-"))
    assert nats == pytest.approx(float(losses[0] - losses[1]), rel=0.01)

    weak = 0.3 * LEARNT
    padded = F.pad(weak, (0, 1))
    cost = F.cross_entropy(padded.double(), TRUE) - F.cross_entropy(weak.double(), TRUE)
    words = said("padding-columns", padded, TRUE)
    assert "Classes 5 to 5 are never labels" in words
    assert f"get {100 * float(padded.double().softmax(1)[:, 5].mean()):.1f} % of the probability" in words
    assert float(words.split("They cost ")[1].split(" nats")[0]) == pytest.approx(float(cost), rel=1e-3)

    target = torch.repeat_interleave(torch.arange(10), torch.arange(1, 11))
    words = said("weight-proportional-to-counts", F.one_hot(target) * 2.0, target, weight=torch.arange(1, 11) / 55.0)
    assert "class 9 has 10 rows and a weight of 0.1818, class 0 has 1 and 0.01818." in words


def test_the_loss_against_each_offset_is_that_of_pytorch() -> None:
    words = said("labels-not-shifted", FRESH_LOGITS, TOKENS, tokens=TOKENS)
    told = dict(one.split(": ") for one in words.split("against each: ")[1].split(". ")[0].split(", "))

    logits = FRESH_LOGITS.double()
    length = TOKENS.shape[1]
    for offset in (-2, -1, 0, 1, 2):
        inside = slice(max(-offset, 0), length - max(offset, 0))
        other = slice(max(offset, 0), length - max(-offset, 0))
        loss = float(F.cross_entropy(logits[:, :, inside], TOKENS[:, other]))
        assert float(told[f"t{offset:+d}".replace("-", "−")]) == pytest.approx(loss, rel=1e-3)


def test_logits_with_the_classes_last_keep_their_error_and_get_the_same_evidence() -> None:
    found = diagnose(NEXT_LOGITS.movedim(1, -1), TOKENS)

    assert [(one.code, one.severity) for one in found] == [("class-axis", "error"), ("labels-not-shifted", "warning")]


@given(seed=st.integers(0, 2**32), rows=st.integers(1, 12), length=st.integers(1, 60), classes=st.integers(2, 60))
@settings(max_examples=200, deadline=None)
def test_clean_text_raises_nothing(seed: int, rows: int, length: int, classes: int) -> None:
    """Texts of frequent and rare words that often repeat themselves, each with one token that ends it."""
    draw = torch.Generator().manual_seed(seed)
    words = torch.multinomial(1 / torch.arange(1.0, classes + 1), rows * length, replacement=True, generator=draw)
    tokens = words.view(rows, length)
    repeats = torch.rand(rows, length, generator=draw) < 0.3
    tokens[:, 1:] = tokens[:, :-1].where(repeats[:, 1:], tokens[:, 1:])
    tokens[:, -1] = classes - 1
    target = F.pad(tokens[:, 1:], (0, 1), value=-100)
    logits = torch.randn(rows, classes, length, generator=draw)
    logits += 3 * torch.rand(rows, 1, length, generator=draw) * F.one_hot(target.clamp(min=0), classes).movedim(-1, 1)

    for known in ({}, {"tokens": tokens}):
        assert not codes(logits, target, **known) - {"unrelated", "padding-columns"}


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"tokens": TOKENS[:, :5]}, r"tokens has shape \(8, 5\) and target \(8, 60\)"),
        ({"tokens": [0.5]}, "tokens has dtype torch.float32, expected whole numbers"),
        ({"tokens": "words"}, "tokens of type str cannot be read as a tensor"),
        ({"prompt_mask": [True]}, r"prompt_mask has shape \(1,\) and target \(8, 60\)"),
        ({"separator": 0.5}, "separator is 0.5, expected the number of a token"),
        ({"micro_batch_counts": [3, -1]}, "micro_batch_counts holds -1"),
    ],
)
def test_what_is_known_has_to_fit(known: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        diagnose(NEXT_LOGITS, NEXT, **known)


def test_padding_is_as_rare_as_the_order_of_its_run() -> None:
    (found,) = [one for one in diagnose(FRESH_LOGITS, PADDED) if one.code == "padding-counted"]
    runs = [len(list(groupby(row))) for row in PADDED.tolist()]
    ends = len({row[-1] for row in PADDED.tolist()})

    assert found.evidence == pytest.approx(math.log10(2 * ends) - sum(map(math.log10, runs)))
    count = int((PADDED == 0).sum())
    share = 100 * count / PADDED.numel()
    assert f"at one end of 8 rows and nowhere else: {count} times, {share:.0f} % of all." in found.explanation


@pytest.mark.parametrize("way", ["shifted", "ignored at the end", "on the left", "flat"])
def test_padding_is_found_where_the_labels_are_shifted_and_on_either_side(way: str) -> None:
    labels = {
        "shifted": F.pad(PADDED[:, 1:], (0, 1), value=0),
        "ignored at the end": F.pad(PADDED[:, 1:], (0, 1), value=-100),
        "on the left": PADDED.flip(1),
        "flat": PADDED,
    }[way]
    logits, known = FRESH_LOGITS, {}
    if way == "flat":
        logits, labels, known = logits.movedim(1, -1).reshape(-1, 20), labels.flatten(), {"tokens": TOKENS}

    assert "padding-counted" in codes(logits, labels, **known)


@pytest.mark.parametrize("persistence", [0.9, 0.95, 0.98])
def test_labels_that_last_are_no_padding(persistence: float) -> None:
    draw = torch.Generator().manual_seed(0)
    for _ in range(50):
        labels = torch.randint(0, 30, (8, 64), generator=draw)
        for place in range(1, 64):
            stays = torch.rand(8, generator=draw) < persistence
            labels[:, place] = labels[:, place - 1].where(stays, labels[:, place])
        assert "padding-counted" not in codes(torch.randn(8, 30, 64, generator=draw), labels)


def test_one_row_that_ends_in_a_line_of_signs_is_no_padding() -> None:
    labels = torch.randint(3, 30, (8, 64), generator=torch.Generator().manual_seed(0))
    labels[3, -20:] = 1

    assert "padding-counted" not in codes(torch.randn(8, 30, 64), labels)


def test_what_a_head_begins_with_is_no_warning() -> None:
    """It maps each of a few groups of inputs to some class, often another one than theirs."""
    target = torch.arange(512) % 3
    found = list[str]()
    for seed in range(60):
        torch.manual_seed(seed)
        inputs = (torch.randn(3, 32) * 2)[target] + torch.randn(512, 32)
        logits = torch.nn.Linear(32, 3)(inputs).detach()
        found += [one.severity for one in diagnose(logits, target) if one.code in CODES]

    assert set(found) == {"note"}


@pytest.mark.parametrize("moved", [2, 8])
def test_some_classes_that_keep_their_number_hide_no_permutation(moved: int) -> None:
    permutation = torch.arange(10)
    permutation[:moved] = permutation[:moved].roll(1)
    target = torch.randint(10, (4000,), generator=torch.Generator().manual_seed(0))
    logits = torch.randn(4000, 10, generator=torch.Generator().manual_seed(1)) + 6 * F.one_hot(target, 10)

    words = said("labels-permuted", logits, permutation[target])
    assert "Only labels that have another number are counted." in words
    assert not codes(logits, target)


def test_the_order_of_the_names_as_texts_is_found() -> None:
    order = torch.tensor(sorted(range(100), key=str))
    target = torch.randint(100, (4000,), generator=torch.Generator().manual_seed(0))
    logits = torch.randn(4000, 100, generator=torch.Generator().manual_seed(1)) + 8 * F.one_hot(target, 100)

    assert codes(logits, order[target], trained=True) == {"labels-permuted"}


def test_a_mask_in_one_column_makes_no_rows_alike() -> None:
    logits = torch.cat([LEARNT, torch.full((400, 1), -1e9)], 1)

    assert "constant-logits" not in codes(logits, TRUE, trained=True)


def test_many_columns_beyond_the_classes_are_found_where_every_class_is_seen() -> None:
    target = torch.arange(600) % 10
    logits = torch.randn(600, 10, generator=torch.Generator().manual_seed(0)) + 3 * F.one_hot(target, 10)

    assert "padding-columns" in codes(torch.cat([logits, torch.zeros(600, 54)], 1), target, trained=True)


def test_weights_that_are_the_counts_are_found_for_few_classes() -> None:
    target = torch.repeat_interleave(torch.arange(4), torch.tensor([5, 20, 300, 1000]))
    logits = torch.randn(len(target), 4, generator=torch.Generator().manual_seed(0))

    assert "weight-proportional-to-counts" in codes(logits, target, weight=torch.bincount(target).float())
    assert "weight-proportional-to-counts" not in codes(logits, target, weight=1 / torch.bincount(target))
    for odd in (0.0, math.nan, math.inf):
        assert "weight-proportional-to-counts" not in codes(logits, target, weight=torch.full((4,), odd))


@pytest.mark.parametrize("offset", [-2, -1, 0])
def test_labels_that_the_tokens_show_to_be_earlier_ones_are_found(offset: int) -> None:
    labels = TOKENS.roll(-offset, 1)
    labels[:, : -offset or None] = labels[:, : -offset or None].where(torch.tensor(offset == 0), -100)

    words = said("labels-not-shifted", FRESH_LOGITS, labels, tokens=TOKENS)
    assert f"token {f't{offset}'.replace('-', '−') if offset else 't'} in 100.0 % of the places" in words


def test_the_fix_of_numbers_takes_an_ignored_label_beyond_the_classes() -> None:
    target = (TRUE + 1) % 5
    target[::9] = 255
    (found,) = [one for one in diagnose(LEARNT, target, ignore_index=255) if one.code == "labels-permuted"]
    names = {"torch": torch, "target": target, "ignore_index": 255}
    exec(found.fix, names)

    kept = target != 255
    assert names["target"][kept].tolist() == TRUE[kept].tolist()
    assert (names["target"][~kept] == 255).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_a_sigmoid_and_a_tanh_are_undone_in_every_dtype(dtype: torch.dtype) -> None:
    for code, logits in (
        ("outputs-in-unit-interval", (4 * LEARNT).sigmoid()),
        ("outputs-bounded", torch.linspace(-4, 4, 2000).view(400, 5).tanh()),
    ):
        found = [one for one in diagnose(logits.to(dtype), TRUE) if one.code == code]
        if dtype != torch.bfloat16 or found:  # tanh leaves few different numbers there
            names = {"torch": torch, "logits": logits.to(dtype)}
            exec(found[0].fix, names)
            assert names["logits"].isfinite().all()


def test_predictions_that_avoid_the_label_are_not_called_unrelated() -> None:
    target = torch.arange(119) % 2
    logits = 4.0 * F.one_hot(1 - target, 2)

    assert "unrelated" not in codes(logits, target)


def test_no_micro_batches_tell_nothing() -> None:
    assert codes(LEARNT, TRUE, micro_batch_counts=[]) == set()


def test_logits_that_fit_their_labels_have_no_doubtful_axis() -> None:
    target = torch.randint(20, (8, 20), generator=torch.Generator().manual_seed(0))
    logits = 5 * F.one_hot(target, 20).movedim(-1, 1) + torch.randn(8, 20, 20)

    assert "class-axis-ambiguous" not in {one.code for one in diagnose(logits, target)}
    assert "class-axis-ambiguous" in {one.code for one in diagnose(torch.randn(8, 20, 20), target)}


def test_a_row_of_the_smallest_micro_batch_counts_as_often_as_the_sizes_say() -> None:
    words = said("micro-batch-denominators", LEARNT, TRUE, micro_batch_counts=(100, 8, 0))

    assert "keep 0 to 100 rows. The mean of one without a row is NaN." in words
    assert "a row of the smallest counts 12.5 times as much. Add up the sums, and divide by all 108 rows." in words
