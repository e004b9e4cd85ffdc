"""Every pitfall shows its mistake, and the right call beside it does not make it."""

import pytest
import torch
import torch.nn.functional as F

from xent_core.findings import TITLES
from xent_core.pitfalls import PITFALLS

# what right calls keep on purpose: the ambiguity stays whatever the axis, the mean over N is probabilities' own
ALSO_RIGHT = {"class-axis-ambiguous", "all-ignored", "ignored-class-still-competes", "weighted-mean-denominator"}


@pytest.mark.parametrize("code", PITFALLS)
def test_the_doctor_finds_the_mistake_in_the_wrong_call(code: str) -> None:
    assert code in TITLES
    assert code in [finding.code for finding in PITFALLS[code].wrong.findings()]


@pytest.mark.parametrize("code", [code for code in PITFALLS if code not in ALSO_RIGHT])
def test_the_doctor_does_not_find_it_in_the_right_call(code: str) -> None:
    assert code not in [finding.code for finding in PITFALLS[code].right.findings()]


@pytest.mark.parametrize("code", PITFALLS)
def test_errors_raise_in_the_wrong_call_and_nothing_raises_in_the_right_one(code: str) -> None:
    worst = PITFALLS[code].wrong.findings()[0]
    wrong, right = PITFALLS[code].wrong, PITFALLS[code].right

    assert bool(wrong.message) == (worst.severity == "error")
    assert not right.message
    assert right.grad_logits is not None


@pytest.mark.parametrize("code", PITFALLS)
def test_the_code_shown_is_the_call_that_ran(code: str) -> None:
    for call in (PITFALLS[code].wrong, PITFALLS[code].right):
        program, _newline, last = call.code.rpartition("\n")
        names = {"torch": torch, "F": F}
        exec(program, names)
        for tensor, shown in ((call.logits, names["logits"]), (call.target, names["target"])):
            assert (shown.dtype, shown.shape) == (tensor.dtype, tensor.shape)  # type: ignore[attr-defined]
        if not call.message:
            loss = eval(last, names)
            torch.testing.assert_close(loss, call.loss, equal_nan=True, rtol=1e-4, atol=1e-4)
