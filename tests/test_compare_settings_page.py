"""The page that compares two settings: the examples, both sides, pinning, micro-batches, and odd problems."""

import json
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest

from harness import app_test
from harness.app_test import open_app, run
from xent_core.presets import PRESETS
from xent_ui.compare_settings import two_gradients
from xent_ui.compare_settings.examples import EXAMPLES
from xent_ui.state.sheet import Sheet, sheet_of_preset
from xent_ui.text import number

PAGE = "pages/explore/compare_settings.py"
WORKED = sheet_of_preset(PRESETS["worked-batch"])


open_page = partial(app_test.open_page, PAGE)


def example(app: AppTest, name: str) -> AppTest:
    app.button(key=f"example_{name}").click()
    return run(app)


def metrics(app: AppTest) -> list[str]:
    return [metric.value for metric in app.metric]


def by_pytorch(sheet: Sheet) -> str:
    """The loss of a table, summed if it is one for each row, as a readout prints it."""
    problem = sheet.to_problem()
    loss = F.cross_entropy(
        problem.logits / problem.temperature,
        problem.target,
        problem.weight,
        ignore_index=problem.ignore_index,
        reduction=problem.reduction,
        label_smoothing=problem.label_smoothing,
    )
    return number(float(loss.double().sum()), 4)


def words(app: AppTest) -> str:
    return "\n".join(info.value for info in app.info).replace("\\", "")


def test_plain_settings_are_alike_on_a_first_visit() -> None:
    app = open_page()

    assert metrics(app)[0] == metrics(app)[3] == "1.4076"
    assert "set alike" in words(app)


def test_indices_divide_by_the_weights_and_probabilities_by_the_rows() -> None:
    """Labels 2, 1, 0 with weights 1, 2, 3: Σw = 6 against N = 3."""
    app = example(open_page(), "encodings")

    assert metrics(app)[:2] == ["1.0743", "Σw = 6"]
    assert metrics(app)[3:5] == ["2.1485", "N = 3"]
    assert "A divides by Σw = 6, B by N = 3." in words(app)
    assert "2 times that of A" in words(app)


def test_smoothing_is_told_by_class_and_row() -> None:
    """Class 2 is pulled by 0.5551 and with smoothing by 0.5106: 8.0 % less."""
    app = example(open_page(), "smoothing")

    assert "8 % less on class 2" in words(app)
    assert "7.3 % less on row 2" in words(app)


def captions(app: AppTest) -> str:
    return "\n".join(caption.value for caption in app.caption)


def test_a_loss_that_stays_because_rows_cancel_out_is_said_to_be_a_coincidence() -> None:
    """Rows [1, 2, 3]: a class's loss is 2.4076, 1.4076, 0.4076, on average 1.4076: ε = 0.1 adds ∓0.1 to two rows."""
    app = example(open_page(), "smoothing")

    assert "The loss is the same: 1.4076." in words(app)
    assert "coincidence of these numbers" in words(app)
    assert "row 0 (0.4076 → 0.5076), row 2 (2.4076 → 2.3076)" in words(app)
    assert "stays the same all the way" in captions(app)


@pytest.mark.parametrize(("preset", "name"), [("ignored-row", "smoothing"), ("worked-batch", "reductions")])
def test_a_loss_that_changes_is_no_coincidence(preset: str, name: str) -> None:
    app = example(open_page(preset), name)

    assert "coincidence" not in words(app)
    assert "all the way" not in captions(app)


def test_rows_that_do_not_change_are_no_coincidence() -> None:
    """Uniform rows with every class as label once: smoothing changes no row."""
    app = example(open_page("uniform"), "smoothing")

    assert "The loss is the same: 1.3863." in words(app)
    assert "coincidence" not in words(app)


def test_micro_batches_of_other_sizes_with_the_same_loss_are_said_to_be_a_coincidence() -> None:
    """Three equal rows in parts of two and one: every mean is 0.4076."""
    app = open_page(sheet=WORKED.with_labels((2, 2, 2)))
    app.button_group(key="compare_view").set_value("micro-batches")

    assert "coincidence of these numbers" in words(run(app))


def test_the_sum_is_the_mean_times_three() -> None:
    app = example(open_page(), "reductions")

    assert [metrics(app)[0], metrics(app)[3]] == ["1.4076", "4.2228"]
    assert "3 times that of A" in words(app)


def test_float16_differs_by_its_rounding_alone() -> None:
    assert "within the rounding of float16" in words(example(open_page(), "dtypes"))


def test_micro_batches_show_the_mean_of_means_and_the_right_way() -> None:
    app = example(open_page(), "micro-batches")

    assert metrics(app) == ["0.4407", "0.5811", "0.4407"]
    assert [metric.delta for metric in app.metric] == ["", "✗ another loss", "✓ the same"]
    assert "divide by 3, 1" in words(app)
    assert 'reduction="sum") / kept' in app.code[0].value


@pytest.mark.parametrize("preset", ["worked-row-0", "masked", "ignored-row", "class-weights", "soft-labels", "digits"])
def test_every_example_works_on_every_kind_of_batch(preset: str) -> None:
    app = open_page(preset)

    for name in EXAMPLES:
        app = example(app, name)
        assert len(metrics(app)) in (3, 6)


def axis_of_steps(app: AppTest) -> dict[str, Any]:
    """The axis below the picture of the loss from A to B."""
    chart = next(chart for chart in app.get("plotly_chart") if "sweep_loss" in chart.proto.id)
    axis: dict[str, Any] = json.loads(chart.proto.spec)["layout"]["xaxis"]
    return axis


def test_an_option_of_either_side_can_be_changed() -> None:
    app = open_page()
    app.selectbox(key="compare_A_reduction").set_value("sum")
    app = run(app)
    app.number_input(key="compare_B_label_smoothing").set_value(0.5)
    app = run(app)

    assert metrics(app)[0] == "4.2228"
    assert app.session_state["visit"].sheet.label_smoothing == 0.5
    assert app.session_state["visit"].sheet.reduction == "mean"
    assert axis_of_steps(app)["ticktext"] == ["sum", "mean"]
    app.button_group(key="compare_option").set_value("label_smoothing")
    assert "ticktext" not in axis_of_steps(run(app))  # a number for each place, not a word


def test_a_weight_that_is_no_number_is_refused_and_stays_as_typed() -> None:
    app = open_page()
    app.text_input(key="compare_A_weight").set_value("1, x, 3")
    app = run(app)

    assert app.text_input(key="compare_A_weight").value == "1, x, 3"
    assert "x" in app.error[0].value

    app.text_input(key="compare_A_weight").set_value("1, 2")
    app = run(app)
    assert "expected 3" in app.error[0].value.replace("\\", "")

    app.text_input(key="compare_A_weight").set_value("1, 2, 3")
    assert metrics(run(app))[:2] == ["1.0743", "Σw = 6"]


def test_the_batch_page_pins_what_is_on_screen() -> None:
    app = open_app(preset="class-weights")
    next(button for button in app.button if button.label == "Pin as A").click()
    run(app)
    next(box for box in app.selectbox if box.label == "reduction").set_value("sum")
    run(app)
    app = run(app.switch_page(PAGE))

    assert metrics(app)[1] == "Σw = 9.5"
    assert metrics(app)[4] == "1 (sum)"
    assert "9.5 times that of A" in words(app)


def test_swapping_twice_changes_nothing() -> None:
    app = example(open_page(), "smoothing")
    before = metrics(app)
    for _ in range(2):
        next(button for button in app.button if button.label == "Swap A and B").click()
        app = run(app)

    assert metrics(app) == before


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": (None, None, None)},
        {"reduction": "none", "label_smoothing": 0.1},
        {"logits": (("-inf", "nan", "inf"),) * 3, "dtype": "bfloat16"},
        {"logits": (("1e308", "0", "-1e308"),) * 3, "temperature": 3.0},
        {"weight": ("0", "0", "0")},
    ],
    ids=str,
)
def test_odd_problems_are_shown(changes: dict[str, object]) -> None:
    sheet = replace(WORKED, **changes)

    for odd in (sheet, sheet.resized(1, 1), sheet.resized(3, 12)):
        app = open_page(sheet=odd)
        assert metrics(app)[3] == by_pytorch(odd)

        app.button_group(key="compare_view").set_value("micro-batches")
        assert metrics(run(app))[0] == by_pytorch(replace(odd, reduction="mean"))


def test_names_are_shown_as_they_are_written() -> None:
    sheet = WORKED.with_names(("![x](http://127.0.0.1:9/x)", "b", "$c$"), ("<b>", "row 1", "row 2"))
    app = example(open_page(sheet=sheet), "smoothing")

    assert "![x](" not in "".join(info.value for info in app.info)


def test_the_losses_beside_the_pulls_keep_all_their_digits(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: dict[str, dict[str, torch.Tensor]] = {}
    monkeypatch.setattr(two_gradients, "_pull_table", lambda _names, _pulls, first, kind: drawn.update({kind: first}))
    losses = (torch.tensor([0.1, 1e-9], dtype=torch.float64), torch.tensor([1 / 3, 2e-9], dtype=torch.float64))

    two_gradients.by_row_and_class(SimpleNamespace(row_pulls=None, class_pulls=None), WORKED, losses)

    assert {name: loss.tolist() for name, loss in drawn["row"].items()} == {
        "loss A": [0.1, 1e-9],
        "loss B": [1 / 3, 2e-9],
    }
    assert drawn["class"] == {}
