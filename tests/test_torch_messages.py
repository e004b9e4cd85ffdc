"""Messages are made by calling F.cross_entropy wrongly, so that they stay PyTorch's own."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.doctor_cases import ERRORS
from xent_core.doctor.findings import TITLES
from xent_core.doctor.torch_messages import PATTERNS, recognise

# what only a GPU or an older version writes
QUOTED = [
    ("RuntimeError: CUDA error: device-side assert triggered", "target-out-of-range"),
    (
        "../aten/src/ATen/native/cuda/Loss.cu:250: nll_loss_forward_reduce_cuda_kernel_2d: block: [0,0,0], thread: "
        "[1,0,0] Assertion `t >= 0 && t < n_classes` failed.",
        "target-out-of-range",
    ),
    ("RuntimeError: \"nll_loss_out_frame\" not implemented for 'Int'", "target-dtype"),
    ("RuntimeError: \"nll_loss_forward_reduce_cuda_kernel_2d_index\" not implemented for 'Int'", "target-dtype"),
    ("RuntimeError: expected scalar type Long but found Float", "target-dtype"),
    ("RuntimeError: weight tensor should be defined either for all or no classes", "weight-shape"),
]


def message_of(arguments, options):
    """What PyTorch says to this call, forward and backward; None if it takes it."""
    try:
        loss = F.cross_entropy(*arguments, **options)
        if loss.requires_grad:
            loss.sum().backward()
    except Exception as error:
        return f"{type(error).__name__}: {error}"
    return None


@pytest.mark.parametrize(
    ("code", "arguments", "options"),
    [(case.code, call[:2], call.options) for case in ERRORS for call in (*case.raises, *case.stays)],
)
def test_what_pytorch_says_leads_to_the_code(code, arguments, options):
    leaf = arguments[0]
    if isinstance(leaf, torch.Tensor) and leaf.is_floating_point():
        leaf = leaf.clone().requires_grad_()
    takes_lists = [isinstance(one, torch.Tensor) for one in arguments[1:]]
    target = arguments[1] if all(takes_lists) or code == "target-type" else torch.as_tensor(arguments[1])
    if not isinstance(leaf, torch.Tensor) and code != "logits-type":
        leaf = torch.as_tensor(leaf)
    if "weight" in options and code != "weight-type":
        options = {**options, "weight": torch.as_tensor(options["weight"], dtype=None)}
        if code == "weight-shape":
            options["weight"] = options["weight"].float()
    message = message_of((leaf, target), options)

    assert message is not None
    assert code in recognise(message), message


@pytest.mark.parametrize(("message", "code"), QUOTED)
def test_what_only_a_gpu_or_an_older_version_writes_is_known(message, code):
    assert recognise(message)[0] == code


def test_a_whole_traceback_with_odd_line_breaks_is_read():
    text = 'Traceback (most recent call last):\n  File "train.py", line 3\nIndexError: Target 3\n  is out of\nbounds.\n'

    assert recognise(text)[0] == "target-out-of-range"


@pytest.mark.parametrize("text", ["", "all is well", "KeyError: 'loss'", "Target reached"])
def test_other_text_is_not_recognised(text):
    assert recognise(text) == ()


def test_every_pattern_leads_to_known_codes():
    assert {code for _, codes in PATTERNS for code in codes} <= set(TITLES)


@given(st.text())
def test_any_text_is_read(text):
    assert set(recognise(text)) <= set(TITLES)


def test_the_case_of_a_message_does_not_matter() -> None:
    quoted, code = QUOTED[0]

    assert code in recognise(quoted)
    assert recognise(quoted.upper()) == recognise(quoted.lower()) == recognise(quoted)
