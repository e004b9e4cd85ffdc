"""What a message says in its own numbers; the messages are PyTorch's, raised here."""

import pytest
import torch
import torch.nn.functional as F

from xent_core.doctor.message_words import message_words
from xent_core.doctor.torch_messages import recognise


def raised(logits: torch.Tensor, target: torch.Tensor, **options: object) -> str:
    with pytest.raises((RuntimeError, ValueError, IndexError, TypeError)) as caught:
        F.cross_entropy(logits, target, **options)
    return f"{caught.type.__name__}: {caught.value}"


@pytest.mark.parametrize("label", [10, 12, -1, 255])
def test_a_label_out_of_range_is_named_and_bounds_the_classes(label: int) -> None:
    words = message_words(raised(torch.zeros(1, 10), torch.tensor([label])), "target-out-of-range")

    assert f"names the label {label}:" in words
    assert (f"logits have {label} classes or fewer" in words) == (label > 0)
    assert (f"ignore_index={label}" in words) == (label in (-1, 255))


def test_rows_and_labels_are_counted_and_their_ratio_is_told() -> None:
    words = message_words(raised(torch.zeros(12, 3), torch.zeros(4, 3).long()), "batch-mismatch")

    assert "12 rows of logits and 4 labels. 3 times as many in the logits" in words
    assert "times" not in message_words(raised(torch.zeros(3, 2), torch.tensor([0, 1])), "batch-mismatch")


def test_sizes_give_the_shape_of_the_logits_and_what_it_should_be() -> None:
    words = message_words(raised(torch.zeros(2, 5, 4), torch.zeros(2, 5).long()), "class-axis")

    assert "shape (2, 4); it has (2, 5)" in words
    assert "(N, T, C) = (2, 5, 4) and should be (N, C, T) = (2, 4, 5)" in words


def test_names_and_values_are_told_as_they_came() -> None:
    Z, Y = torch.zeros(2, 3), torch.tensor([0, 1])

    assert "came: Float" in message_words(raised(Z, Y.float()), "target-dtype")
    assert "3 classes and a weight of shape [2]" in message_words(raised(Z, Y, weight=torch.ones(2)), "weight-shape")
    assert "came, Double, and the one expected: Float" in message_words(
        raised(Z, Y, weight=torch.ones(3).double()), "weight-dtype"
    )
    assert "came: average" in message_words(raised(Z, Y, reduction="average"), "reduction")
    assert "came: 7" in message_words(raised(Z, Y, label_smoothing=7.0), "label-smoothing")
    assert "came, list, and what was expected: Tensor" in message_words(raised(Z, [0, 1]), "target-type")


def test_a_message_says_nothing_of_a_mistake_that_it_does_not_come_from() -> None:
    assert message_words("Target 10 is out of bounds.", "class-axis") == ""
    assert message_words("all is well", "target-out-of-range") == ""


@pytest.mark.parametrize("shape", [(3, 3), (2, 3, 4), (3, 2, 2), (4, 4, 4), (2, 3, 3), (2, 2, 3, 3)])
def test_a_label_out_of_range_never_comes_from_a_swapped_axis(shape: tuple[int, ...]) -> None:
    """Where the shape fits with the classes on another axis, that axis is as long, so that every label is in range."""
    for axis, num_classes in enumerate(shape):
        target = torch.full([size for place, size in enumerate(shape) if place != axis], num_classes - 1)
        if target.shape == (shape[0], *shape[2:]):
            assert bool(F.cross_entropy(torch.zeros(shape), target).isfinite())
        else:
            assert "out of bounds" not in raised(torch.zeros(shape), target)
    assert "class-axis" not in recognise("Target 3 is out of bounds.")
