"""The prediction of a row and its margin, with ties."""

import math

import pytest
import torch

from xent_core.dump.scores import predicted


@pytest.mark.parametrize(
    ("logits", "label", "prediction", "margin"),
    [
        ([1.0, 1.0, 0.0], 0, 0, 0.0),
        ([1.0, 1.0, 0.0], 1, 0, 0.0),
        ([0.0, 2.0, 2.0], 1, 1, 0.0),
        ([0.0, 2.0, 2.0], 2, 1, 0.0),
        ([3.0, 1.0, 2.0], 0, 0, 1.0),
        ([3.0, 1.0, 2.0], 2, 0, -1.0),
        ([0.0, -math.inf, -math.inf], 0, 0, math.inf),
    ],
)
def test_of_equal_logits_the_first_class_is_predicted(
    logits: list[float], label: int, prediction: int, margin: float
) -> None:
    found, margins = predicted(torch.tensor([logits]), torch.tensor([[label]]))

    assert (found.tolist(), margins.tolist()) == ([prediction], [margin])
