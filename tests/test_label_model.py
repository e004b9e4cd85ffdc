"""How suspicious a label is: against sums written out by hand, and flows between classes that are made on purpose."""

import math

import numpy as np
import pytest
import torch

from xent_core.dump import analyse
from xent_core.dump.label_model import LabelCounts, LabelModel, count_labels, one_way_flow, usual_gaps

LN2, LN3 = math.log(2), math.log(3)


def counts(far: list[list[int]], predicted: list[int], labelled: list[int]) -> LabelCounts:
    zeros = torch.zeros(len(predicted))
    parts = (torch.tensor(part) for part in (predicted, labelled, far))
    return LabelCounts(zeros.long(), zeros.double(), *parts, zeros.double())


def test_the_suspicion_is_the_norm_of_the_others_over_the_label() -> None:
    # p = 1/2, 1/4, 1/4: for label 0 the others weigh √(1/16 + 1/16), for label 1 √(1/4 + 1/16)
    log_probs = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log().expand(2, 3)
    model = LabelModel.neutral(3)

    found = model.suspicion(log_probs, log_probs.exp(), torch.tensor([0, 1]))

    assert found.tolist() == pytest.approx([math.log(math.sqrt(2 / 16) / 0.5), math.log(math.sqrt(5 / 16) / 0.25)])


def test_a_class_is_measured_by_its_usual_confidence_and_labels_by_how_they_go() -> None:
    # 0.5/1, 0.25/0.5, 0.25/0.5 weigh 1/2 each; for label 1, class 0 weighs three times as much, class 2 a third
    usual = torch.tensor([1.0, 0.5, 0.5], dtype=torch.float64).log()
    flow = torch.zeros(3, 3, dtype=torch.float64)
    flow[0, 1], flow[2, 1] = LN3, -LN3
    log_probs = torch.tensor([[0.5, 0.25, 0.25]], dtype=torch.float64).log()

    found = LabelModel(usual, flow, None, 0).suspicion(log_probs, log_probs.exp(), torch.tensor([1]))

    assert float(found) == pytest.approx(math.log(math.hypot(3, 1 / 3)))


def test_a_row_with_nan_has_no_suspicion_and_an_impossible_label_the_largest() -> None:
    log_probs = torch.tensor([[math.nan, math.nan], [-math.inf, 0.0], [-math.inf, 0.0]])

    found = LabelModel.neutral(2).suspicion(log_probs, log_probs.exp(), torch.tensor([0, 0, 1]))

    assert found[0].isnan()
    assert found[1:].tolist() == [math.inf, -math.inf]


@pytest.mark.parametrize("with_flow", [False, True])
@pytest.mark.parametrize("scale", [1.0, 30.0, 300.0])  # with 300, squares of the probabilities vanish in float32
def test_the_suspicion_of_float32_is_that_of_the_formula_in_float64(with_flow: bool, scale: float) -> None:
    chance = torch.Generator().manual_seed(0)
    logits = scale * torch.randn((500, 7), generator=chance)
    label = torch.randint(7, (500,), generator=chance)
    usual = torch.rand(7, generator=chance, dtype=torch.float64).log()
    skew = torch.randn((7, 7), generator=chance, dtype=torch.float64)
    flow = skew - skew.T if with_flow else None

    log_probs = logits.log_softmax(1)
    found = LabelModel(usual, flow, None, 0).suspicion(log_probs, logits.softmax(1), label)

    a = logits.double().log_softmax(1) - usual + (0 if flow is None else flow.T[label])
    others = [(2 * row[torch.arange(7) != y]).logsumexp(0) / 2 for row, y in zip(a, label, strict=True)]
    expected = torch.stack(others) - (logits.double().log_softmax(1) - usual).gather(1, label[:, None]).squeeze(1)
    torch.testing.assert_close(found.double(), expected, rtol=1e-5, atol=1e-5)


def test_what_is_counted_of_four_rows() -> None:
    logits = torch.tensor([[LN2, 0.0], [3.0, 3.0 + LN3], [LN3, 0.0], [math.nan, 1.0]])

    found = count_labels(logits, torch.tensor([0, 1, 1, 0]), 1.0, torch.full((2, 2), -1.0))

    assert found.agreed.tolist() == [1, 1]
    assert found.confidence.tolist() == pytest.approx([2 / 3, 3 / 4])
    assert (found.predicted.tolist(), found.labelled.tolist()) == ([2, 1], [1, 2])
    assert found.far.tolist() == [[0, 1], [0, 0]]  # the third row: ln 3 below the largest is beyond 1


def test_the_usual_gap_is_a_median_and_that_of_all_where_a_class_is_rare() -> None:
    below = [-1.0, -2.0, -3.0, -4.0, -5.0, -6.0, -7.0, -8.0, -9.0]
    logits = torch.tensor([[0.0, gap] for gap in below] + [[-20.0, 0.0]])

    gaps = usual_gaps(logits)

    assert gaps.tolist() == [[0.0, -5.0], [-6.0, -6.0]]  # of all ten gaps, the lower of the two in the middle


def test_the_usual_confidence_is_drawn_to_that_of_all() -> None:
    zeros = torch.zeros(2, 2, dtype=torch.int64)
    agreed, confidence = torch.tensor([15, 0]), torch.tensor([13.5, 0.0], dtype=torch.float64)

    usual = LabelCounts(agreed, confidence, agreed, agreed, zeros, confidence).model().usual

    assert usual.exp().tolist() == pytest.approx([0.9, 0.9])


def test_labels_that_go_one_way_are_noticed_and_those_that_go_both_ways_are_not() -> None:
    both_ways = [[0, 30, 30], [30, 0, 30], [30, 30, 0]]
    in_a_ring = [[0, 60, 2], [1, 0, 55], [58, 3, 0]]
    rows = torch.tensor([400, 400, 400])

    assert one_way_flow(torch.tensor(both_ways), rows, rows) is None
    flow = one_way_flow(torch.tensor(in_a_ring), rows, rows)

    assert flow is not None
    assert torch.equal(flow, -flow.T)
    assert min(flow[0, 1], flow[1, 2], flow[2, 0]) > 2


def test_unequal_sizes_alone_are_no_flow() -> None:
    # a tenth of each class gets each other label: more rows of the large class than of the small ones
    far = torch.tensor([[0, 100, 100], [10, 0, 10], [10, 10, 0]])
    rows = torch.tensor([2000, 200, 200])

    assert one_way_flow(far, rows, rows) is None


def test_a_class_predicted_too_often_alone_is_no_flow() -> None:
    far = torch.tensor([[0, 90, 90], [30, 0, 10], [30, 10, 0]])

    assert one_way_flow(far, torch.tensor([300, 100, 100]), torch.tensor([150, 150, 150])) is None


def test_two_classes_have_no_flow() -> None:
    rows = torch.tensor([100, 100])

    assert one_way_flow(torch.tensor([[0, 50], [1, 0]]), rows, rows) is None


def test_the_noise_matrix_counts_what_is_labelled_otherwise_in_the_far_half() -> None:
    matrix = counts([[0, 5, 0], [1, 0, 0], [0, 0, 0]], [100, 40, 0], [90, 50, 0]).noise_matrix

    assert matrix is not None
    assert matrix[:2].tolist() == [[pytest.approx(0.9), pytest.approx(0.1), 0.0], [0.05, pytest.approx(0.95), 0.0]]
    assert matrix[2].isnan().all()


@pytest.mark.parametrize("far", [None, [[0, 9, 0], [0, 0, 9], [9, 0, 0]]])
def test_a_pretended_label_is_never_the_class_itself(far: list[list[int]] | None) -> None:
    rows = 3000
    true = torch.arange(rows) % 3
    log_probs = torch.nn.functional.one_hot(true, 3).double().mul(8).log_softmax(1)
    model = LabelModel.neutral(3)
    wrong = None if far is None else counts(far, [9] * 3, [9] * 3).model().wrong
    model = LabelModel(model.usual, None, wrong, 1)

    found = model.pretended(torch.arange(rows), log_probs, log_probs.exp())

    assert len(found) == rows
    assert float(found.min()) == pytest.approx(8.0, abs=1e-3)  # the label of the class itself would give −8 or so


def test_one_row_in_every_stride_gets_a_pretended_label() -> None:
    log_probs = torch.zeros(10, 4).log_softmax(1)
    model = LabelModel(torch.zeros(4), None, None, 3)

    assert len(model.pretended(torch.arange(10), log_probs, log_probs.exp())) == 4
    assert len(model.pretended(torch.arange(10, 20), log_probs, log_probs.exp())) == 3
    assert not len(LabelModel.neutral(4).pretended(torch.arange(10), log_probs, log_probs.exp()))


def test_labels_that_go_astray_one_way_come_before_hard_rows() -> None:
    """300 labels of class k became k + 1; of 600 other rows the logits say little."""
    chance = np.random.default_rng(0)
    true = np.arange(3000) % 5
    logits = 4.0 * np.eye(5)[true] + chance.normal(size=(3000, 5))
    logits[300:900] = 1.5 * chance.normal(size=(600, 5))
    target = true.copy()
    target[:300] = (true[:300] + 1) % 5

    precision = {}
    for rank_by in ("suspicion", "margin", "loss"):
        first = analyse(logits, target, fit_temperature=False, rank_by=rank_by).suspects.row[:300]
        precision[rank_by] = np.mean(first < 300)

    assert precision["suspicion"] > max(precision["margin"], precision["loss"]) + 0.05
