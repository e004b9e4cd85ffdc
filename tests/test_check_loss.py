import inspect
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

import tests.problems  # noqa: F401  # one thread: many small problems
from xent_core.check_loss import Case, assert_cross_entropy, check_loss, standard_cases
from xent_core.implementations.routes import log_softmax_and_nll_loss, log_softmax_at_label, logsumexp_minus_logit

ROOT = Path(__file__).resolve().parents[1]


def picked(values, target, fill=0.0):
    """The entry of each row's label, along axis 1."""
    inside = (target >= 0) & (target < values.shape[1])
    return values.gather(1, target.where(inside, 0).unsqueeze(1)).squeeze(1)


def reduced(row_loss, divisor, reduction):
    return {"none": row_loss, "sum": row_loss.sum(), "mean": row_loss.sum() / divisor}[reduction]


def own(logits, target, *, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
    """Everything by hand, along axis 1; a row alone gets a batch axis. The broken ones below each change one thing."""
    if logits.dim() == 1:
        loss = own(
            logits[None],
            target[None],
            weight=weight,
            ignore_index=ignore_index,
            reduction=reduction,
            label_smoothing=label_smoothing,
        )
        return loss[0] if reduction == "none" else loss
    log_p = logits - logits.logsumexp(1, keepdim=True)
    w = torch.ones(logits.shape[1], dtype=logits.dtype) if weight is None else weight
    w = w.reshape([1, -1] + [1] * (logits.dim() - 2))
    if target.is_floating_point():
        y = target * (1 - label_smoothing) + label_smoothing / logits.shape[1]
        return reduced(-(w * y * log_p).sum(1), target.numel() / logits.shape[1], reduction)
    kept = target != ignore_index
    if target.shape != (logits.shape[0], *logits.shape[2:]) or bool(
        (kept & ((target < 0) | (target >= logits.shape[1]))).any()
    ):
        raise ValueError("labels")
    row_weight = picked(w.expand_as(logits), target)
    row_loss = -(1 - label_smoothing) * row_weight * picked(log_p, target)
    if label_smoothing:
        row_loss = row_loss - label_smoothing / logits.shape[1] * (w * log_p).sum(1)
    return reduced(row_loss.where(kept, 0.0), row_weight.where(kept, 0.0).sum(), reduction)


def module(logits, target, **options):
    return torch.nn.CrossEntropyLoss(**options)(logits, target)


@pytest.mark.parametrize("fn", [F.cross_entropy, own, module])
def test_a_right_one_passes_every_case(fn):
    report = check_loss(fn)

    assert report.passed, report
    assert report.skipped == ()
    assert len(report.results) == len(standard_cases())


@pytest.mark.parametrize("fn", [log_softmax_at_label, log_softmax_and_nll_loss, logsumexp_minus_logit])
def test_a_right_one_with_fewer_options_passes_what_it_takes(fn):
    def on_batches(logits, target, **options):
        return fn(logits, target, **options)

    on_batches.__signature__ = inspect.signature(fn)
    two_axes = [one for one in standard_cases() if one.logits.dim() == 2 and not one.target.is_floating_point()]
    report = check_loss(on_batches, cases=two_axes)

    assert report.passed, report
    assert "label smoothing 0.1" in report.skipped


def test_what_a_loss_does_to_its_arguments_is_its_own_affair():
    def careless(logits, target, *, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0):
        loss = F.cross_entropy(logits.clone(), target.clone(), weight, reduction=reduction)
        target.zero_()
        if weight is not None:
            weight.zero_()
        return loss

    options = {"weight": torch.tensor([1.0, 2.0, 4.0], dtype=torch.float64), "reduction": "sum"}
    logits = torch.tensor([[1.0, 2.0, 3.0], [0.5, 0.0, -1.0]], dtype=torch.float64)
    cases = [Case("labels", logits, torch.tensor([2, 1]), options), Case("probabilities", logits, logits.softmax(1))]
    check_loss(careless, cases=cases)

    assert cases[0].target.tolist() == [2, 1]
    assert options["weight"].tolist() == [1, 2, 4]
    assert torch.equal(cases[1].target, logits.softmax(1))


def without_max(logits, target):
    exps = logits.exp()
    return -(picked(exps, target) / exps.sum(1)).log().mean()


def divides_by_rows(logits, target, *, weight=None, reduction="mean"):
    row_loss = F.cross_entropy(logits, target, weight=weight, reduction="none")
    return reduced(row_loss, row_loss.numel(), reduction)


def counts_ignored(logits, target, *, ignore_index=-100, reduction="mean"):
    row_loss = F.cross_entropy(logits, target, ignore_index=ignore_index, reduction="none")
    return reduced(row_loss, row_loss.numel(), reduction)


def smooths_the_others_only(logits, target, *, label_smoothing=0.0):
    y = F.one_hot(target.clamp(min=0), logits.shape[1]).to(logits.dtype)
    y = y * (1 - label_smoothing) + (1 - y) * label_smoothing / (logits.shape[1] - 1)
    return F.cross_entropy(logits, y)


def detached(logits, target):
    return F.cross_entropy(logits.detach(), target)


def detached_partly(logits, target):
    return F.nll_loss(logits - logits.detach().logsumexp(1, keepdim=True), target)


def softmax_twice(logits, target):
    return F.cross_entropy(logits.softmax(-1), target)


def wrong_axis(logits, target):
    return F.nll_loss(logits.log_softmax(-1), target)


def forgets_reduction(logits, target, *, reduction="mean"):
    return F.cross_entropy(logits, target)


def clamps(logits, target):
    return F.nll_loss(logits.softmax(1).clamp(min=1e-7).log(), target)


def gives_a_float(logits, target):
    return float(F.cross_entropy(logits, target))


def writes_into_its_input(logits, target):
    with torch.no_grad():
        logits.sub_(logits.max())
        target.clamp_(max=1)
    return F.cross_entropy(logits, target)


@pytest.mark.parametrize(
    ("fn", "case"),
    [
        (without_max, "logits of 1000"),
        (divides_by_rows, "weight"),
        (counts_ignored, "ignored rows"),
        (smooths_the_others_only, "label smoothing 0.1"),
        (detached, "six rows, float64"),
        (detached_partly, "six rows, float64"),
        (softmax_twice, "six rows, float64"),
        (wrong_axis, "pixels, (N, C, d1, d2)"),
        (forgets_reduction, "reduction none"),
        (clamps, "logits of 100 in float32"),
        (gives_a_float, "six rows, float64"),
        (writes_into_its_input, "six rows, float64"),
    ],
)
def test_a_broken_one_is_caught_by_the_case_that_shows_it(fn, case):
    report = check_loss(fn)

    assert case in {failure.name for failure in report.failures}
    assert not report.passed


def test_only_the_cases_that_break_are_reported():
    names = {failure.name for failure in check_loss(divides_by_rows).failures}

    assert names == {"weight"}  # weight and ignored rows need an option more


def test_the_report_says_how_far_off_in_words():
    case = Case("two rows", torch.zeros(2, 2, dtype=torch.float64), torch.tensor([0, 1]))
    report = check_loss(lambda logits, target: 2 * F.cross_entropy(logits, target), cases=[case])
    result = report.failures[0]

    assert math.isclose(result.loss_difference, math.log(2))
    assert math.isclose(result.grad_difference, 0.25)  # (p − y)/N = ±0.25
    assert str(report).startswith("0 of 1 cases agree with F.cross_entropy.\n  two rows: loss off by 0.693")


def test_an_exception_is_a_failure_with_its_message():
    def broken(logits, target):
        raise KeyError("logits")

    report = check_loss(broken)

    assert all("it raises KeyError: 'logits'" in str(failure) for failure in report.failures)
    assert len(report.failures) == len(report.results) > 0


def test_the_helper_for_pytest_passes_or_raises_the_report():
    assert_cross_entropy(F.cross_entropy)
    with pytest.raises(AssertionError, match="no gradient reaches the logits"):
        assert_cross_entropy(detached)


def test_an_option_that_takes_no_keyword_is_not_given():
    def by_place(logits, target, reduction="mean", /, *weight):
        return F.cross_entropy(logits, target)

    report = check_loss(by_place)

    assert report.passed, report
    assert {"reduction none", "weight"} <= set(report.skipped)


def test_a_function_that_runs_nowhere_has_not_passed():
    assert not check_loss(F.cross_entropy, cases=[]).passed


def test_the_cases_stay_as_they_are():
    cases = standard_cases()
    before = [(one.logits.clone(), one.target.clone()) for one in cases]
    check_loss(writes_into_its_input, cases=cases)

    for one, (logits, target) in zip(cases, before, strict=True):
        assert torch.equal(one.logits, logits)
        assert torch.equal(one.target, target)


@pytest.mark.long
@pytest.mark.parametrize(
    "imports",
    [
        "from xent_core import check_loss as named\nfrom xent_core.check_loss import assert_cross_entropy, check_loss",
        "from xent_core.check_loss import assert_cross_entropy, check_loss\nfrom xent_core import check_loss as named",
        "import xent_core.check_loss\nfrom xent_core import check_loss as named\ncheck_loss = named",
    ],
    ids=["package first", "module first", "module by its name"],
)
def test_the_function_is_found_in_the_package_and_in_the_module(imports: str) -> None:
    code = f"{imports}\nassert named is check_loss and callable(named)"

    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 0, ran.stderr
