"""The section of label experiments, alone on a page: every experiment on the first row of every kind of batch."""

import base64
import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest

from tests.problems import call_of
from tests.tolerances import assert_agree
from xent_core import Problem
from xent_core.presets import PRESETS
from xent_ui.state.sheet import Sheet, sheet_of_preset
from xent_ui.text import number

EXPERIMENTS = ("smoothing", "mix", "flip", "weight", "temperature")


def page() -> None:
    from xent_ui.one_example import label_experiments
    from xent_ui.state import session

    session.enter("experiments", {"experiments": "Experiments"})
    label_experiments.section(session.visit().sheet.only_row(0))


def open_section(experiment: str, sheet: Sheet | None = None) -> AppTest:
    app = AppTest.from_function(page, default_timeout=60)
    app.run()
    if sheet is not None:
        app.session_state["visit"].sheet = sheet
    app.button_group(key="experiment").set_value(experiment).run()
    assert not app.exception, app.exception[0].message
    return app


def curves(app: AppTest, name: str) -> list[tuple[np.ndarray, np.ndarray]]:
    """x and y of every line as the browser gets them."""
    chart = next(chart for chart in app.get("plotly_chart") if f"experiment_{name}" in chart.proto.id)
    return [(_array(trace["x"]), _array(trace["y"])) for trace in json.loads(chart.proto.spec)["data"]]


def marked(app: AppTest) -> list[float]:
    """Where the vertical lines of the pictures stand."""
    layouts = [json.loads(chart.proto.spec)["layout"] for chart in app.get("plotly_chart")]
    return [line["x0"] for layout in layouts for line in layout.get("shapes", []) if line["x0"] == line["x1"]]


def _array(value: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]).newbyteorder("<"))


def loss_of(experiment: str, problem: Problem, value: float, app: AppTest) -> float:
    """The loss by PyTorch alone where the experiment has this value; NaN where it is not finite, as in the picture."""
    call = call_of(problem)
    match experiment:
        case "smoothing":
            call = replace(call, options={**call.options, "label_smoothing": value})
        case "temperature":
            call = replace(call, temperature=value)
        case "weight":
            ones = torch.ones(problem.num_classes, dtype=problem.logits.dtype)
            weight = (ones if problem.weight is None else problem.weight).clone()
            weight[int(app.selectbox(key="weight_of").value)] = value
            call = replace(call, options={**call.options, "weight": weight})
        case _mix:
            kept, target = problem.kept(), problem.target
            if not problem.has_probabilities:
                target = F.one_hot(target.where(kept, 0), problem.num_classes).to(problem.logits.dtype)
            mixed = torch.zeros(problem.num_classes, dtype=problem.logits.dtype)
            for key, share in (("mix_first", value), ("mix_second", 1 - value)):
                mixed[int(app.selectbox(key=key).value)] += share
            target = torch.where(kept.unsqueeze(1), target, 0).index_copy(0, torch.tensor([0]), mixed.unsqueeze(0))
            options = {name: option for name, option in call.options.items() if name != "ignore_index"}
            call = replace(call, target=target, options=options)
    loss = float(call.torch()[0].sum())
    return loss if np.isfinite(loss) else np.nan


def words(app: AppTest) -> str:
    return "\n".join(element.value for element in app.markdown)


def test_the_smoothed_loss_and_its_floor_are_those_of_pytorch() -> None:
    app = open_section("smoothing")
    (epsilons, losses), (_same, floors) = curves(app, "loss")
    logits, target = torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([2])
    expected = [float(F.cross_entropy(logits, target, label_smoothing=float(epsilon))) for epsilon in epsilons]

    np.testing.assert_allclose(losses, expected, atol=1e-6)
    assert floors[0] == 0
    assert floors[-1] == pytest.approx(np.log(3))
    assert "3.3322 above" in words(app)  # ln 28, for ε = 0.1


@pytest.mark.parametrize(("logits", "is_flat"), [(("1", "3", "2"), True), (("1", "3", "2.5"), False)])
def test_a_loss_that_no_smoothing_moves_is_called_a_coincidence(logits: tuple[str, ...], is_flat: bool) -> None:
    """Of the logits 1, 3, 2 with label 2 the loss is lse − 2, and 2 is the mean of the logits."""
    sheet = sheet_of_preset(PRESETS["worked-batch"])
    app = open_section("smoothing", sheet.with_logits((logits, *sheet.logits[1:])))

    assert [("1.4076 for every ε" in info.value) for info in app.info] == [True] * is_flat


def test_a_mixed_label_goes_straight_from_one_loss_to_the_other() -> None:
    ((shares, losses),) = curves(open_section("mix"), "loss")

    # row 0 has label 2 (loss 0.4076); of the others class 1 (loss 1.4076) is the most probable
    expected = shares * 0.4076 + (1 - shares) * 1.4076
    np.testing.assert_allclose(losses, expected, atol=1e-4)


def test_a_flip_says_how_the_loss_changes() -> None:
    """Row 0 from label 2 to 1: its loss rises from 0.4076 to 1.4076."""
    app = open_section("flip")
    chart = next(chart for chart in app.get("plotly_chart") if "flip_gradient" in chart.proto.id)
    drawn = json.loads(chart.proto.spec)["data"][0]

    assert [metric.value for metric in app.metric] == ["1.4076", "+1.0000"]
    assert drawn["zmax"] == -drawn["zmin"] == 2
    assert _array(drawn["z"]).tolist() == pytest.approx([0, -1, 1])


def test_the_gradient_times_the_temperature_comes_near_its_limit() -> None:
    drawn = curves(open_section("temperature"), "gradient")
    expected = torch.tensor([1 / 3, 1 / 3, -2 / 3])  # 1/C − y of row 0, whose label is 2

    assert len(drawn) == 6
    for k in range(3):
        (temperatures, grads), (_x, limit) = drawn[2 * k], drawn[2 * k + 1]
        assert temperatures[-1] == pytest.approx(100)
        assert limit[0] == pytest.approx(float(expected[k]))
        assert grads[-1] == pytest.approx(limit[-1], abs=6e-3)


def test_the_weight_of_the_label_is_swept() -> None:
    drawn = curves(open_section("weight"), "gradient")
    logits = torch.tensor([[1.0, 2.0, 3.0]], requires_grad=True)
    F.cross_entropy(logits, torch.tensor([2]), weight=torch.tensor([1.0, 1.0, 10.0]), reduction="sum").backward()

    assert drawn[0][0][-1] == 10
    assert_agree(torch.tensor([y[-1] for _x, y in drawn]), logits.grad[0], dtype=torch.float32)


@pytest.mark.parametrize(("weight", "here"), [(None, 1.0), (("1", "2", "5"), 5.0)])
def test_the_weight_in_use_is_marked(weight: tuple[str, ...] | None, here: float) -> None:
    app = open_section("weight", replace(sheet_of_preset(PRESETS["worked-batch"]), weight=weight))

    assert set(marked(app)) == {here}  # row 0 has label 2


@pytest.mark.parametrize("experiment", EXPERIMENTS)
@pytest.mark.parametrize(
    "changes",
    [
        {"labels": (None, None, None)},
        {"target_kind": "probabilities", "probabilities": (("0.5", "0.5", "0"),) * 3},
        {"reduction": "none", "weight": ("0", "1", "2"), "dtype": "bfloat16"},
        {"logits": (("-inf", "nan", "inf"),) * 3},
        {"ignore_index": 1, "label_smoothing": 0.3, "temperature": 2.0},
        {"class_names": ("<b>a</b>", "![x](http://127.0.0.1:9/x.png)", "$c$")},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(3, 3), *(pytest.param(one, marks=pytest.mark.long) for one in [(1, 1), (2, 12)])])
def test_every_experiment_shows_the_loss_of_pytorch_on_odd_batches(
    experiment: str, changes: dict[str, object], shape: tuple[int, int]
) -> None:
    sheet = replace(sheet_of_preset(PRESETS["worked-batch"]), **changes).resized(*shape)

    app = open_section(experiment, sheet)
    problem = sheet.only_row(0).to_problem()
    if experiment == "flip":
        label = torch.tensor(app.selectbox(key="flip_to").value)
        target = problem.target.clone()
        target[0] = F.one_hot(label, problem.num_classes) if problem.has_probabilities else label
        loss, _grad = replace(call_of(problem), target=target).torch()

        assert app.metric[0].value == number(float(loss.sum()))
    else:
        x, y = curves(app, "loss")[0]
        expected = [loss_of(experiment, problem, value, app) for value in x.tolist()]

        np.testing.assert_allclose(y, expected, rtol=0.02, atol=1e-3)
