import json
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

import xent_core

PATH = Path(xent_core.__file__).parent / "data" / "digits.json"


@pytest.fixture
def digits() -> dict:
    return json.loads(PATH.read_text(encoding="utf-8"))


@pytest.fixture
def logits(digits) -> torch.Tensor:
    return torch.tensor(digits["logits"], dtype=torch.float64)


def test_logits_are_ten_finite_rows_of_ten(logits):
    assert logits.shape == (10, 10)
    assert logits.isfinite().all()


def test_every_target_is_a_digit(digits):
    assert all(type(label) is int and 0 <= label <= 9 for label in digits["target"])


def test_rows_have_one_label_and_one_name_each_and_classes_one_name_each(digits):
    assert len(digits["target"]) == len(digits["logits"])
    assert len(set(digits["row_names"])) == len(digits["logits"])
    assert digits["class_names"] == [f"digit {digit}" for digit in range(10)]


def test_between_two_and_four_rows_are_wrong(digits, logits):
    n_wrong = (logits.argmax(dim=1) != torch.tensor(digits["target"])).sum()

    assert 2 <= n_wrong <= 4


def test_at_least_seven_digits_are_among_the_labels(digits):
    assert len(set(digits["target"])) >= 7


def test_logits_have_three_decimals_at_most(digits):
    assert all(value == round(value, 3) for row in digits["logits"] for value in row)


def test_the_file_has_one_row_of_logits_per_line():
    lines = [line.strip().removesuffix(",") for line in PATH.read_text(encoding="utf-8").splitlines()]
    rows = [json.loads(line) for line in lines if line.startswith("[")]

    assert rows == json.loads(PATH.read_text(encoding="utf-8"))["logits"]


def test_the_dump_of_the_example_has_the_pictures_of_its_rows():
    digits = load_digits()
    with np.load(PATH.with_name("digits_dump.npz")) as dump:
        images, target = dump["images"], dump["target"]

    assert images.dtype == np.uint8
    assert np.abs((255 - images.astype(float)) / 255 * 16 - digits.images).max() < 0.04
    assert 0.89 < (target == digits.target).mean() < 0.91  # a tenth of the labels is wrong on purpose
