"""Weights typed as text, as every page that has a line for them reads them."""

import pytest

from harness.app_test import open_app
from xent_core.parse import InvalidText
from xent_ui.table.loss_options_form import MAX_WEIGHT_CHARACTERS, loss_option_entries, weights_of


@pytest.mark.parametrize(
    ("text", "weights"),
    [
        ("1, 2, 0.5", ("1", "2", "0.5")),
        ("1 2 0.50", ("1", "2", "0.50")),
        ("[1, 2]", ("1", "2")),
        ("tensor([1., 2.], dtype=torch.float64)", ("1.", "2.")),
        ("1\t2\n3\t4", ("1", "2", "3", "4")),
        ("", None),
        ("  ", None),
    ],
)
def test_weights_are_taken_as_they_were_typed(text: str, weights: tuple[str, ...] | None) -> None:
    assert weights_of(text) == weights


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1, x, 3", "column 1: 'x' is not a number"),
        ("1, 2", "2 weights came, expected 3, one per class."),
        ("1, 2, 3, 4", "4 weights came, expected 3, one per class."),
    ],
)
def test_weights_that_cannot_be_are_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidText, match=said):
        weights_of(text, num_classes=3)


def test_weights_without_end_are_not_even_read() -> None:
    longest = "1," * (MAX_WEIGHT_CHARACTERS // 2 - 1) + "1"
    weights = weights_of(longest)

    assert weights is not None
    assert len(weights) == MAX_WEIGHT_CHARACTERS // 2
    with pytest.raises(InvalidText, match="1,900,001 characters, expected at most 100,000"):
        weights_of("1," * 950_000 + "1")


def test_the_slider_of_smoothing_moves_by_a_hundredth() -> None:
    (slider,) = [one for one in open_app().slider if one.label == "label_smoothing ε"]

    assert (slider.min, slider.max, slider.step) == (0, 1, 0.01)


def test_the_options_begin_with_the_defaults_of_pytorch() -> None:
    entries = loss_option_entries("some_", "reduction", "label_smoothing", "ignore_index")

    assert {entry.name: entry.default for entry in entries.values()} == {
        "some_reduction": "mean",
        "some_label_smoothing": 0.0,
        "some_ignore_index": -100,
    }
