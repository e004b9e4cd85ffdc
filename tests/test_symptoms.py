"""What PyTorch takes in silence: no alarm without a reason, and none forgotten; the table is in doctor_cases."""

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.doctor_cases import NAN, T
from tests.problems import valid_calls
from xent_core import diagnose
from xent_core.doctor.symptoms.half_precision import VANISHED_SHARE


def clean_calls() -> st.SearchStrategy[Any]:
    """Calls as a training loop makes them: two classes or more, several kept rows, normalised targets."""

    def build(seed: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
        generator = torch.Generator().manual_seed(seed)

        def pick(choices: list[Any]) -> Any:
            return choices[int(torch.randint(len(choices), (), generator=generator))]

        dtype = pick([torch.float32, torch.float32, torch.float64, torch.float16, torch.bfloat16])
        # with smoothing PyTorch sums over rows and classes: a hundred of each do overflow float16
        C, N = pick([2, 3, 10] if dtype == torch.float16 else [2, 3, 10, 100]), pick([3, 8, 50])
        shape = pick([[N, C], [N, C], [N, C, C + 1], [2, C, C + 3, 2]])
        logits = (torch.randn(shape, generator=generator) * pick([0.5, 1.0, 3.0])).to(dtype)
        options = {"reduction": pick(["mean", "sum", "none"]), "label_smoothing": pick([0.0, 0.1])}
        if pick([True, False]):
            options["weight"] = torch.rand(C, generator=generator).to(logits.dtype) + 0.5
        if pick([True, False]):
            target = torch.randn(shape, generator=generator).softmax(1)
        else:
            target = torch.randint(C, [shape[0], *shape[2:]], generator=generator)
            target.view(-1)[0] = pick([0, -100])
        return logits, target, options

    return st.integers(0, 2**62).map(build)


@given(clean_calls())
@settings(max_examples=300)
def test_a_clean_input_gives_no_alarm(arguments: tuple[Any, ...]) -> None:
    logits, target, options = arguments

    assert {one.severity for one in diagnose(logits, target, **options)} <= {"note"}


@given(valid_calls(odd=True, min_size=0))
@settings(max_examples=200)
def test_a_loss_that_is_not_finite_is_never_clean(call) -> None:
    loss = F.cross_entropy(call.logits, call.target, **call.options)
    alarms = [one for one in diagnose(call.logits, call.target, **call.options) if one.severity == "warning"]
    huge = bool((call.logits[call.logits.isfinite()].abs() > 1e30).any())  # 1e308 · p overflows float64 itself

    assert bool(loss.isfinite().all()) or alarms or huge


@pytest.mark.parametrize("shape", [(50_000, 100), (3, 2, 1_500_000)])
def test_pieces_give_the_same_as_the_whole(shape: tuple[int, ...]) -> None:
    logits = torch.zeros(shape)
    logits[-1].fill_(NAN)
    target = torch.zeros([shape[0], *shape[2:]], dtype=torch.int64)
    found = next(one for one in diagnose(logits, target) if one.code == "non-finite-logits")

    assert f"Logits that are NaN: {logits[-1].numel()}." in found.explanation
    assert f"row {shape[0] - 1}" in found.explanation or f"row [{shape[0] - 1}, 0]" in found.explanation


@pytest.mark.parametrize("filled", [-100.0, -1.0, 0.0])
def test_a_row_of_probabilities_that_is_left_out_is_not_called_negative_or_off_its_sum_as_well(filled: float) -> None:
    target = T([[0.5, 0.3, 0.2], [filled] * 3, [0.1, 0.1, 0.8]])
    found = {one.code for one in diagnose(T([[2.0, 1.0, 0.1], [0.5, 2.5, -1.0], [1.0, 1.5, 3.0]]), target)}

    assert found == {"soft-target-masked-rows"}


def test_the_floor_of_a_double_softmax_is_the_right_one() -> None:
    found = diagnose(torch.eye(10)[:4], T([0, 1, 2, 3]))[0]

    assert "here (C = 10) 1.461 and 2.461" in found.explanation  # ln(e + 9) − 1 and ln(e + 9)


def test_the_share_that_vanishes_is_the_one_of_the_threshold() -> None:
    right, wrong = T([8.0, 0.0, 0.0]), T([0.0, 0.0, 0.0])
    exact = [  # Σ|p − y| of a right row of which the label's entry is lost, and of a wrong row
        2 * (1 - float(right.double().softmax(0)[0])),
        4 / 3,
    ]
    rows = next(n for n in range(1, 10_000) if n * exact[0] / 2 > VANISHED_SHARE * (n * exact[0] + exact[1]))

    def codes(count: int) -> set[str]:
        logits = torch.stack([wrong, *[right] * count]).bfloat16()
        found = diagnose(logits, torch.zeros(count + 1, dtype=torch.int64), reduction="sum")
        return {one.code for one in found}

    assert "half-precision-vanishing-gradient" not in codes(rows - 20)
    assert "half-precision-vanishing-gradient" in codes(rows + 20)
