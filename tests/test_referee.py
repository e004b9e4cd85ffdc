"""The referee: each property has a wrong loss that it alone catches, each known mistake is told by its name."""

import json
import math
import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import tests.problems  # noqa: F401  # one thread: many small problems
from xent_core.__main__ import main
from xent_core.check_loss import (
    MISTAKES,
    PROPERTIES,
    Verdict,
    check_loss,
    classes_last,
    from_value_and_gradient,
    properties,
)
from xent_core.check_loss.child import NotLoaded, conform, load

QUICK = tuple(name for name in properties() if name != "compile")


# Wrong losses, each by one property of F.cross_entropy


class _OfFirstRow(torch.autograd.Function):
    """Its gradient takes what comes from above for the first row's, for all rows, as a kernel with a scalar would."""

    @staticmethod
    def forward(ctx, logits, target):
        probs = logits.softmax(1)
        ctx.save_for_backward(probs, target)
        return F.cross_entropy(logits, target, reduction="none")

    @staticmethod
    def backward(ctx, upstream):
        probs, target = ctx.saved_tensors
        return (probs - F.one_hot(target, probs.shape[1])) * upstream[0], None


def upstream_of_first_row(logits, target, *, reduction="mean"):
    losses = _OfFirstRow.apply(logits, target)
    return {"none": losses, "sum": losses.sum(), "mean": losses.mean()}[reduction]


def normalises_weight(logits, target, *, weight=None):
    """The mean does not change by it; the caller's weight does."""
    if target.is_floating_point():
        raise ValueError("labels alone")
    if weight is not None:
        weight /= weight.sum()
    return F.cross_entropy(logits, target, weight)


class _Replacing(torch.autograd.Function):
    """Puts its gradient into .grad by itself, in the place of what is there."""

    @staticmethod
    def forward(ctx, logits, target):
        ctx.leaf = logits
        ctx.save_for_backward(logits, target)
        return F.cross_entropy(logits, target)

    @staticmethod
    def backward(ctx, upstream):
        logits, target = ctx.saved_tensors
        grad = (logits.softmax(1) - F.one_hot(target, logits.shape[1])) / len(logits) * upstream
        if ctx.leaf.is_leaf and ctx.leaf.grad is not None:
            ctx.leaf.grad.zero_()
        return grad, None


def replaces_grad(logits, target):
    return _Replacing.apply(logits, target)


class _ConstantSlope(torch.autograd.Function):
    """Its gradient has a gradient of its own, and that is wrong: p is taken for a constant."""

    @staticmethod
    def forward(ctx, logits, target):
        ctx.save_for_backward(logits, target)
        return F.cross_entropy(logits, target)

    @staticmethod
    def backward(ctx, upstream):
        logits, target = ctx.saved_tensors
        grad = (logits.detach().softmax(1) - F.one_hot(target, logits.shape[1])) / len(logits)
        return (grad + 0 * logits.clamp(-50, 50)) * upstream, None


def constant_slope(logits, target):
    return _ConstantSlope.apply(logits, target)


def drops_a_block(logits, target):
    """Rows beyond the last whole block of 256, once there is one."""
    whole = len(logits) // 256 * 256 or len(logits)
    return F.cross_entropy(logits[:whole], target[:whole])


def reads_strides_wrongly(logits, target):
    """Takes every matrix for one row after the other in memory."""
    if logits.dim() == 2 and not logits.is_contiguous():
        logits = logits.as_strided(logits.shape, (logits.shape[1], 1)) if 0 not in logits.stride() else logits * 2
    return F.cross_entropy(logits, target)


def takes_any_label(logits, target):
    if logits.dim() != 2:
        raise ValueError("logits of shape (N, C) alone")
    inside = target.reshape(-1).long().clamp(-logits.shape[1], logits.shape[1] - 1)
    return -logits.log_softmax(1)[range(len(inside)), inside].mean()


def counts_calls(logits, target, calls=[0]):  # noqa: B006  # that is what is wrong with it
    calls[0] += 1
    return (
        F.cross_entropy(logits, target) * (1 + 1e-6 * calls[0])
        if logits.shape == (257, 129)
        else F.cross_entropy(logits, target)
    )


def ignores_255_only(logits, target, *, ignore_index=-100):
    if ignore_index == 255:
        target = target.where(target != 255, 0)
        return F.cross_entropy(logits, target)
    return F.cross_entropy(logits, target, ignore_index=ignore_index)


def wrong_when_compiled(logits, target):
    loss = F.cross_entropy(logits, target)
    return loss * 2 if torch.compiler.is_compiling() else loss


def wrong_under_autocast(logits, target):
    loss = F.cross_entropy(logits, target)
    return loss * 2 if torch.is_autocast_enabled("cpu") else loss


def wrong_under_vmap(logits, target):
    loss = F.cross_entropy(logits, target)
    return loss * 2 if torch._C._functorch.is_batchedtensor(logits) else loss


def z_loss_without_square(logits, target, *, z_loss=0.0):
    return F.cross_entropy(logits, target) + z_loss * logits.logsumexp(-1).mean()


def matrix_without_gradient(hidden, linear_weight, target):
    return F.cross_entropy(hidden @ linear_weight.detach().T, target)


CAUGHT_BY_ONE = {
    "sizes": drops_a_block,
    "upstream": upstream_of_first_row,
    "accumulation": replaces_grad,
    "double-backward": constant_slope,
    "inputs-unchanged": normalises_weight,
    "layouts": reads_strides_wrongly,
    "refusals": takes_any_label,
    "determinism": counts_calls,
    "ignore-index": ignores_255_only,
    "compile": wrong_when_compiled,
    "autocast": wrong_under_autocast,
    "func": wrong_under_vmap,
    "extensions": z_loss_without_square,
    "fused": matrix_without_gradient,
}


@pytest.mark.parametrize("name", CAUGHT_BY_ONE)
@pytest.mark.long
def test_each_property_catches_what_no_other_does(name):
    report = check_loss(CAUGHT_BY_ONE[name], properties=properties() if name == "compile" else QUICK)

    assert [one for one, verdict in report.verdicts.items() if verdict == "wrong"] == [name], str(report)


@pytest.mark.parametrize("name", [one for one in properties() if one not in ("extensions", "fused")])
def test_f_cross_entropy_has_every_property(name):
    assert check_loss(F.cross_entropy, properties=[name]).verdicts == {name: "right"}


def test_extensions_and_a_fused_loss_that_are_right():
    def extended(logits, target, *, lse_square_scale=0.0, softcap=0.0):
        logits = softcap * (logits / softcap).tanh() if softcap else logits
        return F.cross_entropy(logits, target) + lse_square_scale * logits.logsumexp(1).square().mean()

    assert check_loss(extended, properties=["extensions"]).verdicts == {"extensions": "right"}
    assert check_loss(F.linear_cross_entropy, properties=["values", "fused"]).verdicts == {
        "values": "right",
        "fused": "right",
    }


# What is right, or another convention


def in_float32(logits, target):
    return F.cross_entropy(logits.float(), target).to(logits.dtype)


def two_axes_alone(logits, target):
    if logits.dim() != 2:
        raise ValueError("logits of shape (N, C) alone")
    return F.cross_entropy(logits, target)


def nothing_is_zero(logits, target, *, ignore_index=-100):
    if target.is_floating_point():
        raise ValueError("labels alone")
    kept = (target != ignore_index).sum().clamp(min=1)
    return F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="sum") / kept


def loss_in_float32(logits, target):
    return F.cross_entropy(logits.float(), target)


@pytest.mark.parametrize(
    ("fn", "name", "verdict", "words"),
    [
        (in_float32, "values", "right to float32", "digits of float64"),
        (two_axes_alone, "values", "right", "not supported: one example without a batch axis"),
        (nothing_is_zero, "ignore-index", "convention differs", "0 where every row is ignored; PyTorch gives NaN"),
        (nothing_is_zero, "values", "convention differs", "every row ignored"),
        (loss_in_float32, "dtype-device", "convention differs", "the loss of float64 logits is float32"),
    ],
)
def test_what_is_no_fault_is_said_by_its_name(fn, name, verdict, words):
    report = check_loss(fn, properties=QUICK)

    assert report.verdicts[name] == verdict
    assert words in str(next(one for one in report.findings if one.property == name))
    assert report.passed, str(report)


def test_the_digits_are_those_of_float32():
    (finding,) = check_loss(in_float32, properties=["values"]).findings

    digits = int(finding.reason.split()[0])
    assert 3 <= digits <= 7  # float32 has 7.2, and logits of 1000 take three of them


def test_a_module_an_instance_and_a_class():
    assert check_loss(torch.nn.CrossEntropyLoss(), properties=["values"]).verdicts == {"values": "right"}
    of_class = check_loss(torch.nn.CrossEntropyLoss, properties=["values"])
    assert of_class.verdicts == {"values": "right"}
    assert of_class.skipped == ()


def test_a_loss_that_flattens_by_itself():
    def flattens(logits, target):
        return F.cross_entropy(logits.reshape(-1, logits.shape[-1]), target.reshape(-1))

    (as_it_is,) = check_loss(flattens, properties=["values"]).findings
    (adapted,) = check_loss(classes_last(flattens), properties=["values"]).findings
    assert [name.split(",")[0] for name in as_it_is.refused if "probabilities" not in name] == ["pixels"]
    assert [name for name in adapted.refused if "probabilities" not in name] == []
    assert as_it_is.verdict == adapted.verdict == "right"


def test_a_loss_of_arrays_that_gives_its_gradient():
    def of_arrays(logits, target):
        import numpy as np

        exps = np.exp(logits - logits.max(-1, keepdims=True))
        probs = exps / exps.sum(-1, keepdims=True)
        rows = np.arange(len(target))
        grad = probs.copy()
        grad[rows, target] -= 1
        return -np.log(probs[rows, target]).mean(), grad / len(target)

    def of_arrays_wrongly(logits, target):
        loss, grad = of_arrays(logits, target)
        return loss, grad * len(target)

    plain = ["values", "gradients", "upstream", "inputs-unchanged"]
    assert (
        check_loss(from_value_and_gradient(of_arrays), properties=["gradients", "upstream"]).verdicts["upstream"]
        == "right"
    )
    report = check_loss(from_value_and_gradient(of_arrays_wrongly), properties=plain)
    finding = next(one for one in report.findings if one.property == "gradients")
    assert (finding.verdict, finding.mistake) == ("wrong", "gradient-not-divided")


# Known mistakes


@pytest.mark.parametrize(
    "mistake",
    [
        pytest.param(one, marks=[pytest.mark.long] if place % 8 else [], id=one.code)
        for place, one in enumerate(MISTAKES)
    ],
)
def test_each_known_mistake_is_told_by_its_name(mistake):
    def wrong(logits, target, *, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        return mistake(
            logits,
            target,
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )

    for name in ("values", "gradients", "sizes", "ignore-index"):
        (finding,) = check_loss(wrong, properties=[name]).findings
        if finding.mistake == mistake.code:
            assert f"behaves exactly as if {mistake} (" in finding.as_if
            return
        # blocks of any power of 2 leave the same rest of the sizes that are tried
        if mistake.code.startswith("last-") and finding.mistake.rstrip("0123456789") == mistake.code.rstrip(
            "0123456789"
        ):
            return
    pytest.fail(str(finding))


def test_there_are_forty_mistakes_or_more_and_no_code_twice():
    codes = [one.code for one in MISTAKES]

    assert len({code.rstrip("0123456789-") for code in codes}) >= 40
    assert len(codes) == len(set(codes))
    assert all("{" not in str(one) for one in MISTAKES)


# What is printed


def test_the_smallest_input_is_small_and_shows_it():
    def divides_by_rows(logits, target, *, ignore_index=-100):
        return F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="sum") / target.numel()

    (finding,) = check_loss(divides_by_rows, properties=["values"]).findings

    assert finding.shape[0] == 2  # one row that is ignored and one that is not
    found = {"torch": torch, "float": float}
    *lines, last = finding.example.splitlines()
    exec("\n".join(lines), found)
    name = divides_by_rows.__qualname__
    # the lines that the referee prints to be pasted
    came, expected = eval(last.replace(name, "mine"), {**found, "mine": divides_by_rows})
    assert math.isclose(float(came) * 2, float(expected))


def test_one_reason_is_one_line():
    def broken(logits, target, *, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        raise KeyError("logits")

    report = check_loss(broken)

    assert not report.passed
    assert report.verdicts["values"] == "wrong"
    assert str(report).count("KeyError") <= 2 + len(PROPERTIES)
    assert "33 cases, the first of them six rows, float64: it raises KeyError: 'logits'" in str(report)


def test_a_verdict_survives_json():
    (finding,) = check_loss(drops_a_block, properties=["sizes"]).findings

    assert Verdict.from_json("sizes", json.loads(json.dumps(finding.as_json()))) == finding


def test_a_property_that_is_none_is_named():
    with pytest.raises(ValueError, match="there is no property speed, expected some of values, gradients"):
        check_loss(F.cross_entropy, properties=["speed"])


# In a process of its own


@pytest.fixture
def module(tmp_path: Path) -> Path:
    path = tmp_path / "losses.py"
    path.write_text(
        textwrap.dedent(
            """
            import os, time
            import torch.nn.functional as F

            print("hello from the module")

            def right(logits, target):
                print("called")
                return F.cross_entropy(logits, target)

            def doubled(logits, target):
                return 2 * F.cross_entropy(logits, target)

            def endless(logits, target):
                while target.dtype.is_floating_point or len(target) == 257:
                    time.sleep(0.01)  # without an end, and without taking a processor from others
                return F.cross_entropy(logits, target)

            def crashes(logits, target):
                if len(target) == 257:
                    os.abort()
                return F.cross_entropy(logits, target)
            """
        )
    )
    return path


@pytest.mark.long
def test_the_command_says_right_and_wrong(module: Path, capfd: pytest.CaptureFixture[str]):
    few = ["--properties", "gradients,accumulation"]

    assert main(["conform", f"{module}:right", *few]) == 0
    assert "right              gradients" in capfd.readouterr().out
    assert main(["conform", f"{module}:doubled", *few, "--json"]) == 1
    found = json.loads(capfd.readouterr().out)
    assert found["schema"] == 1
    assert {name: one["verdict"] for name, one in found["verdicts"].items()} == {
        "gradients": "wrong",
        "accumulation": "right",  # its own gradients are added up
    }
    assert main(["conform", f"{module}:missing"]) == 2
    assert "cannot be loaded: it raises AttributeError" in capfd.readouterr().err
    assert main(["conform", f"{module}:right", "--properties", "speed"]) == 2
    assert "there is no property speed" in capfd.readouterr().err


@pytest.mark.long
def test_an_endless_loop_and_a_crash_are_wrong_and_the_rest_is_tried(module: Path):
    wanted = ["sizes", "accumulation"]
    endless = conform(f"{module}:endless", wanted, seconds=20)
    crashed = conform(f"{module}:crashes", wanted, seconds=60)

    assert endless.verdicts == crashed.verdicts == {"sizes": "wrong", "accumulation": "right"}
    assert endless.findings[0].reason == "it takes more than 20 s"
    assert crashed.findings[0].reason == f"the process ended with {-signal.SIGABRT}"


@pytest.mark.parametrize("name", ["", "torch", ":f", "torch:", "no.such.module:f", "missing.py:f"])
def test_what_names_no_loss_is_said(name):
    with pytest.raises(NotLoaded, match=r"expected MODULE:FUNCTION|cannot be loaded"):
        load(name)


@pytest.mark.long
def test_a_loss_in_the_current_folder_is_found_by_its_module(module: Path):
    ran = subprocess.run(
        [sys.executable, "-m", "xent_core", "conform", "losses:right", "--properties", "accumulation"],
        cwd=module.parent,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).resolve().parents[1])},
        capture_output=True,
        text=True,
        timeout=300,
    )

    assert ran.returncode == 0, ran.stderr
    assert "right" in ran.stdout
