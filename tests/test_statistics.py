"""Sums over rows that were counted in two places."""

import json

import pytest
import torch

from scripts.measure_metrics import CLASSES, RESULT, epoch
from xent_core.dump import Batch, LossOptions, Statistics, score


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("name", ["loss", "norm"])
def test_merged_statistics_keep_the_smallest_and_the_largest_of_both(name: str, first: int) -> None:
    parts = [Statistics(3), Statistics(3)]
    parts[0].extremes[name] = (1.0, 2.0)
    parts[1].extremes[name] = (0.5, 50.0)

    assert parts[first].merge(parts[1 - first]).extremes[name] == (0.5, 50.0)


def updated(whole: Statistics, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> Statistics:
    first = 0
    for logits, target in batches:
        rows = torch.arange(first, first + len(target))
        whole.update(len(rows), score(Batch(rows, logits, target), LossOptions()))
        first += len(rows)
    return whole


@pytest.mark.parametrize("way", ["one", "reset", "merged"])
def test_an_epoch_is_what_torchmetrics_says_of_it(way: str) -> None:
    expected = json.loads(RESULT.read_text())["epochs"]["1"]
    batches = epoch(1)
    whole = Statistics(CLASSES)
    match way:
        case "one":
            updated(whole, batches)
        case "reset":
            updated(whole, epoch(0)).reset()
            updated(whole, batches)
        case _:
            updated(whole, batches[::2]).merge(updated(Statistics(CLASSES), batches[1::2]))
    found = whole.compute(LossOptions())

    assert found.loss == pytest.approx(expected["loss"], rel=1e-12)
    assert found.accuracy == pytest.approx(expected["accuracy"], rel=1e-6)  # torchmetrics computes in float32
    assert (found.correct / found.support).tolist() == pytest.approx(expected["recall"], rel=1e-6)
    assert found.confusion.tolist() == expected["confusion"]
    errors = {one.name: one.value for one in found.calibration.errors}
    assert errors["equal_width"] == pytest.approx(expected["calibration_error"], rel=1e-6)


@pytest.mark.parametrize("options", [{}, {"temperature": 2.0}, {"label_smoothing": 0.1}])
@pytest.mark.parametrize("target", [[2, 0], [2, -100], [1, 1]])
def test_scores_leave_the_logits_as_they_are(options: dict[str, float], target: list[int]) -> None:
    logits = torch.tensor([[torch.nan, -0.0, 2.0], [torch.inf, 1.0, -torch.inf]])
    before = logits.clone()
    score(Batch(torch.arange(2), logits, torch.tensor(target)), LossOptions(**options))

    assert torch.equal(logits.view(torch.int32), before.view(torch.int32))
