import math

import pytest
import torch
import torch.nn.functional as F

from xent_core import diagnose
from xent_core.doctor.findings import TITLES
from xent_core.doctor.pitfalls import PITFALLS, PitfallCall

# what says something other than a finite loss that was meant
ERRORS = [code for code in TITLES if list(TITLES).index(code) <= list(TITLES).index("ignore-index")]
NOT_FINITE = [
    "all-ignored", "non-finite-logits", "neg-inf-with-smoothing", "neg-inf-with-soft-target", "weight-value",
    "zero-total-weight", "half-precision-overflow",
]  # fmt: skip
EACH = pytest.mark.parametrize("pitfall", PITFALLS.values(), ids=PITFALLS)


def ran(call: PitfallCall) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Loss and gradient of the code that is shown, run as a program of its own."""
    names = {"torch": torch, "F": F}
    lines = call.code.split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("target = ")) + 1
    exec("\n".join(lines[:start]), names)
    leaf = names["logits"]
    if leaf.is_floating_point():
        leaf.requires_grad_()
    exec("\n".join(lines[start:]), names)
    if names["loss"].requires_grad:
        names["loss"].sum().backward()
    return names["loss"].detach(), leaf.grad


def test_every_code_has_a_pitfall():
    assert set(PITFALLS) == set(TITLES)


@EACH
def test_the_wrong_call_is_diagnosed_under_its_code(pitfall):
    logits, target, options = pitfall.wrong.arguments

    # lists are read like tensors here: PyTorch alone refuses them
    unread = {"logits-type", "target-type", "weight-type"}
    assert pitfall.code in {one.code for one in diagnose(logits, target, **options)} | unread


@EACH
def test_the_right_call_is_free_of_it(pitfall):
    if pitfall.right.arguments is not None:
        logits, target, options = pitfall.right.arguments
        left = {one.code for one in diagnose(logits, target, **options) if one.severity != "note"}

        assert not left - {"all-ignored", "zero-total-weight"} & {pitfall.code}
    assert pitfall.right.message == ""
    assert bool(pitfall.right.loss.isfinite().all())


@EACH
def test_the_code_that_is_shown_gives_the_numbers_that_are_shown(pitfall):
    for call in (pitfall.wrong, pitfall.right):
        if call.message:
            with pytest.raises((RuntimeError, ValueError, IndexError, TypeError)) as caught:
                ran(call)
            assert call.message == f"{caught.type.__name__}: {caught.value}"
        else:
            loss, grad = ran(call)
            torch.testing.assert_close(call.loss, loss, equal_nan=True, rtol=0, atol=0)
            if grad is not None:
                torch.testing.assert_close(call.grad_logits, grad, equal_nan=True, rtol=0, atol=0)


@pytest.mark.parametrize("code", ERRORS)
def test_the_wrong_call_of_an_error_is_refused_by_pytorch(code):
    assert PITFALLS[code].wrong.message
    assert PITFALLS[code].wrong.loss is None


@pytest.mark.parametrize("code", [code for code in TITLES if code not in ERRORS])
def test_elsewhere_pytorch_is_silent(code):
    wrong = PITFALLS[code].wrong

    assert wrong.message == ""
    assert math.isfinite(float(wrong.loss)) == (code not in NOT_FINITE)


def test_a_double_softmax_hardly_pulls_on_a_wrong_and_certain_row():
    pitfall = PITFALLS["softmax-applied-twice"]
    wrong, right = pitfall.wrong.grad_logits[1].norm(), pitfall.right.grad_logits[1].norm()

    assert right / wrong > 100


def test_what_a_pitfall_shows_is_made_anew_in_inference_mode_too():
    with torch.inference_mode():
        call = PITFALLS["saturated"].wrong

    assert call.grad_logits is not None
