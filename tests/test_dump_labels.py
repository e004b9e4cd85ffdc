"""Labels are class indices, whatever they are written as; what they cannot be gets one sentence."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from xent_core.dump import InvalidDump, analyse, open_dump

ROWS, CLASSES = 30, 3
CHANCE = np.random.default_rng(3)
LOGITS = CHANCE.normal(size=(ROWS, CLASSES))
TARGET = np.arange(ROWS) % CLASSES
NAMES = ["cat", "dog", "bird"]


def labels(target: object, **options: object) -> list[int]:
    with open_dump(LOGITS, target, **options) as dump:
        return dump.read(0, dump.rows).target.tolist()


def test_names_numbers_and_one_hot_rows_are_the_same_labels() -> None:
    words = np.array([NAMES[label] for label in TARGET])

    assert labels(words, class_names=NAMES) == TARGET.tolist()
    assert labels(TARGET.astype(str)) == TARGET.tolist()
    assert labels(np.eye(CLASSES)[TARGET]) == TARGET.tolist()
    assert labels(np.eye(CLASSES, dtype=np.uint8)[TARGET].reshape(ROWS, CLASSES)) == TARGET.tolist()


@pytest.mark.parametrize("kind", [np.int64, str, float], ids=["integers", "texts", "texts of fractions"])
def test_numbers_that_are_names_are_told_by_the_labels_or_asked_about(kind: type) -> None:
    def written(target: np.ndarray) -> np.ndarray:
        return target.astype(float).astype(str) if kind is float else target.astype(kind)

    def read(target: np.ndarray, names: list[str], **options: object) -> list[int]:
        return labels(written(target), class_names=names, **options)

    one_to_three = ["1", "2", "3"]
    lacking = np.where(TARGET == 0, -100, TARGET)

    assert read(TARGET + 1, one_to_three) == TARGET.tolist()
    assert read(TARGET, one_to_three) == TARGET.tolist()
    assert read(np.array([7, 3, 5])[TARGET], ["7", "3", "5"]) == TARGET.tolist()
    with pytest.raises(InvalidDump, match="the labels 1, 2 of target may be names of the classes 1, 2, 3"):
        read(lacking, one_to_three)
    assert read(lacking, one_to_three, labels_are="names")[:3] == [-100, 0, 1]
    assert read(lacking, one_to_three, labels_are="indices")[:3] == [-100, 1, 2]


def test_no_two_classes_become_one() -> None:
    words = np.array([["cat", "dog", "cat"][label] for label in TARGET])

    with pytest.raises(InvalidDump, match="two classes are called 'cat'"):
        labels(words, class_names=["cat", "dog", "cat"])
    with pytest.raises(InvalidDump, match="3"):
        labels((np.arange(ROWS) % 4).astype(str), class_names=["1", "2", "3"])


@pytest.mark.parametrize("two", ["2", "2.0", "2.", "+2", "2.000e+00", "2.000000000000000000e+00", "0.2e1", "20e-1"])
def test_a_whole_number_is_a_label_however_it_is_written(two: str) -> None:
    assert labels(np.array(["0", "1", two] * (ROWS // 3))) == TARGET.tolist()


@pytest.mark.parametrize("half", ["2.5", "1e400", "2.0000000001", "0x2", "2_0", "٢"])
def test_what_is_not_whole_is_no_label(half: str) -> None:
    with pytest.raises(InvalidDump):
        labels(np.array(["0", "1", half] * (ROWS // 3)))


def test_an_ignored_row_may_stand_among_names() -> None:
    words = np.array(["-100", *[NAMES[label] for label in TARGET[1:]]])

    summary = analyse(LOGITS, words, class_names=NAMES, fit_temperature=False)

    expected = F.cross_entropy(torch.tensor(LOGITS[1:]), torch.tensor(TARGET[1:]))
    assert (summary.kept, summary.loss) == (ROWS - 1, pytest.approx(float(expected)))


@pytest.mark.parametrize(
    ("target", "code", "came"),
    [
        (np.array(["cat"] * ROWS), "label-names", "'cat', and the classes have no names"),
        (np.full((ROWS, CLASSES), 1 / CLASSES), "soft-target", "0.3333"),
        (np.ones((ROWS, CLASSES), np.int64), "multi-label", "3 ones"),
        (np.zeros((ROWS, CLASSES), np.int64), "multi-label", "0 ones"),
    ],
)
def test_labels_that_name_no_class_are_refused(target: np.ndarray, code: str, came: str) -> None:
    with pytest.raises(InvalidDump, match=came) as caught:
        analyse(LOGITS, target)

    assert caught.value.code == code


def test_a_label_that_is_no_name_is_named_with_its_row() -> None:
    with pytest.raises(InvalidDump, match="row 4 is 'fish', expected one of the classes cat, dog, bird"):
        labels(np.array([*["cat"] * 4, "fish", *["cat"] * (ROWS - 5)]), class_names=NAMES)


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
def test_probabilities_are_asked_about_within_what_their_decimals_allow(decimals: int) -> None:
    probs = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)

    with pytest.raises(InvalidDump) as caught:
        analyse(probs.round(decimals), TARGET)

    assert caught.value.code == "looks-like-probabilities"


def test_logits_of_zeros_and_ones_are_no_probabilities() -> None:
    for logits in (np.zeros((ROWS, 200)), np.ones((ROWS, 3)), np.full((ROWS, 1), 0.5)):
        assert analyse(logits, np.zeros(ROWS, np.int64)).loss == pytest.approx(np.log(logits.shape[1]), abs=1e-9)


def test_outputs_of_a_sigmoid_are_refused_with_the_reason_and_read_when_they_are_said_to_be_logits() -> None:
    sigmoid = 1 / (1 + np.exp(-LOGITS))

    with pytest.raises(InvalidDump, match="sigmoid") as caught:
        analyse(sigmoid, TARGET)

    assert caught.value.code == "looks-like-sigmoid"
    expected = F.cross_entropy(torch.tensor(sigmoid), torch.tensor(TARGET))
    assert analyse(sigmoid, TARGET, logits_are="logits").loss == pytest.approx(float(expected))
