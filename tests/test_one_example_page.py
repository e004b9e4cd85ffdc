"""The one example page through AppTest: what it shows of a row, and what of it goes into the batch."""

import base64
import json
import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest

from harness.app_test import columns, hidden_data, open_app, run, tables
from xent_core.presets import PRESETS
from xent_ui.one_example import live
from xent_ui.one_example.figures import Line, sweep_lines
from xent_ui.one_example.state import DRAFT, EXPERIMENT, FRESH_CLASSES, LIVE_ROW
from xent_ui.state.sheet import PROBABILITIES, Sheet
from xent_ui.text import number
from xent_ui.widgets import row_chooser

PAGE = "pages/explore/one_example.py"


def open_page(preset: str = "worked-batch", change: Callable[[Sheet], Sheet] | None = None, row: int = 0) -> AppTest:
    app = open_app(preset=preset)
    if change is not None:
        app.session_state["visit"].sheet = change(app.session_state["visit"].sheet)
    app.session_state[row_chooser.ROW.name] = row
    app.switch_page(PAGE)
    return run(app)


def frame(app: AppTest) -> dict[str, Any]:
    """What the component was sent."""
    sent: dict[str, Any]
    (sent,) = [one for one in hidden_data(app) if "generation" in one]
    return sent


def send(app: AppTest, **changes: Any) -> AppTest:
    """Let the hand change the row."""
    kept = app.session_state[DRAFT.name]
    state = live.frame(kept)["state"]
    message = {"generation": kept.generation, "sequence": kept.sequence + 1, "moved": None, "share": "0", **state}
    app.session_state[LIVE_ROW.name] = {"edit": {**message, **changes}}
    return run(app)


def sheet(app: AppTest) -> Sheet:
    result: Sheet = app.session_state["visit"].sheet
    return result


def table(app: AppTest) -> dict[str, list[str]]:
    found = [columns(app, index) for index in range(len(tables(app)))]
    (result,) = [table for table in found if list(table)[-1] == "∂ℓ/∂z"]
    return result


@pytest.mark.parametrize("row", [0, 1, 2])
def test_a_row_of_the_worked_batch_has_its_own_loss(row: int) -> None:
    app = open_page(row=row)

    assert frame(app)["loss"] == ["0.4076", "1.4076", "2.4076"][row]
    assert "divided by 3" in " ".join(caption.value for caption in app.caption)


def test_the_numbers_stand_in_a_plain_table_too() -> None:
    app = open_page(row=2)

    assert table(app)["p"] == ["0.0900", "0.2447", "0.6652"]
    assert table(app)["∂ℓ/∂z"] == ["−0.9100", "+0.2447", "+0.6652"]


def test_the_three_labels_stand_side_by_side() -> None:
    app = open_page()

    shown = [metric.value for metric in app.metric if metric.label.startswith("loss if the label were")]
    assert shown == ["2.4076", "1.4076", "0.4076"]


def test_what_the_hand_does_changes_the_row_and_not_the_batch() -> None:
    app = open_page()
    before = sheet(app)

    app = send(app, logits=["2.5", "2", "3"])

    assert frame(app)["loss"] == number(F.cross_entropy(torch.tensor([[2.5, 2, 3]]), torch.tensor([2])).item())
    assert table(app)["z"][0] == "2.5000"
    assert sheet(app) == before


def experiment(app: AppTest, name: str) -> list[np.ndarray]:
    """The lines of one picture of the section What labels do."""
    chart = next(chart for chart in app.get("plotly_chart") if f"experiment_{name}" in chart.proto.id)
    lines = [trace["y"] for trace in json.loads(chart.proto.spec)["data"]]
    return [np.frombuffer(base64.b64decode(line["bdata"]), dtype=line["dtype"]) for line in lines]


@pytest.mark.parametrize("name", ["smoothing", "mix", "flip", "weight", "temperature"])
@pytest.mark.parametrize("shares", [None, ["0.25", "0.5", "0.25"]])
def test_what_labels_do_is_about_the_row_as_it_was_left(name: str, shares: list[str] | None) -> None:
    """Each experiment, where it has the row's own value, shows the loss that stands above it."""
    app = open_page()
    app.session_state[EXPERIMENT.name] = name
    label = {} if shares is None else {"soft": True, "probabilities": shares}
    app = send(app, logits=["4", "2", "1"], **label)
    target = torch.tensor([2]) if shares is None else torch.tensor([[0.25, 0.5, 0.25]])
    expected = F.cross_entropy(torch.tensor([[4.0, 2, 1]]), target).item()

    assert frame(app)["loss"] == number(expected)
    if name == "flip":
        was = next(metric.value for metric in app.metric if metric.label == "loss")
        moved = next(metric.value for metric in app.metric if metric.label == "change of the loss")
        assert float(was) - float(moved.replace("−", "-")) == pytest.approx(expected, abs=2e-4)
    elif name == "mix" and shares is not None:
        assert len(experiment(app, "gradient")) == 3  # mixed of two classes, a soft label is another one
    else:
        place = {"smoothing": 0, "mix": -1, "weight": 4, "temperature": 16}[name]  # no ε, λ = 1, w = 1, T = 1
        assert experiment(app, "loss")[0][place] == pytest.approx(expected, abs=1e-5)


def test_the_row_goes_into_the_batch_on_request_and_undo_takes_it_back() -> None:
    app = open_page(row=1)
    before = sheet(app)
    app = send(app, logits=["-1.5", "2", "3"], label=0, probabilities=["1", "0", "0"])

    app.button(key="use_row").click()
    app = run(app)
    used, shown = sheet(app), frame(app)
    app.button(key="undo_row").click()
    app = run(app)

    assert used == replace(before, logits=(before.logits[0], ("-1.5", "2", "3"), before.logits[2]), labels=(2, 0, 0))
    assert shown["state"]["logits"] == ["-1.5", "2", "3"]
    assert sheet(app) == before


def test_a_soft_row_makes_the_batch_soft_and_says_so() -> None:
    app = send(open_page(), soft=True, probabilities=["0.2", "0.3", "0.5"])

    app.button(key="use_row").click()
    app = run(app)

    assert sheet(app).target_kind == PROBABILITIES
    assert sheet(app).probabilities[0] == ("0.2", "0.3", "0.5")
    assert any("probabilities now" in warning.value for warning in app.warning)


def test_start_again_goes_back_to_the_row_of_the_batch() -> None:
    app = send(open_page(), logits=["9", "9", "9"])

    app.button(key="restart_row").click()
    app = run(app)

    assert frame(app)["loss"] == "0.4076"
    assert frame(app)["state"]["logits"] == ["1", "2", "3"]


def test_the_row_survives_a_look_at_another_page() -> None:
    app = send(open_page(), logits=["2.5", "2", "3"])

    app.switch_page("pages/understand/step_by_step.py")
    app = run(app)
    app.switch_page(PAGE)
    app = run(app)

    assert frame(app)["state"]["logits"] == ["2.5", "2", "3"]


def test_a_hand_that_rests_when_the_page_has_gone_shows_no_error() -> None:
    def another_page() -> None:
        import streamlit as st

        from xent_ui.one_example import view
        from xent_ui.one_example.state import LIVE_ROW
        from xent_ui.state import session

        session.keep(LIVE_ROW, {"rested": {"label": 0, "number": 1}})
        st.button("rested", on_click=view._take_rest)

    app = run(AppTest.from_function(another_page, default_timeout=60))
    app.button[0].click()

    assert run(app).button[0].label == "rested"


def test_another_row_begins_anew_and_late_messages_of_the_former_are_left_out() -> None:
    app = open_page()
    late = {**live.frame(app.session_state[DRAFT.name])["state"], "logits": ["9", "9", "9"]}
    app.session_state[LIVE_ROW.name] = {"edit": {"generation": 0, "sequence": 7, "moved": None, "share": "0", **late}}
    app.session_state[row_chooser.ROW.name] = 2
    app = run(app)

    assert frame(app)["loss"] == "2.4076"


def test_a_fresh_row_has_as_many_classes_as_asked_for_and_can_become_the_batch() -> None:
    app = open_page()
    app.session_state[row_chooser.SOURCE.name] = row_chooser.FRESH
    app.session_state[FRESH_CLASSES.name] = 5
    app = run(app)
    fresh = frame(app)

    app.button(key="use_row").click()
    app = run(app)

    assert fresh["logit"] == ["0.0000"] * 5
    assert fresh["loss"] == number(torch.tensor(5.0).log().item())
    assert (sheet(app).num_rows, sheet(app).num_classes) == (1, 5)
    assert frame(app)["loss"] == fresh["loss"]


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_opened(preset: str) -> None:
    app = open_page(preset)

    assert len(table(app)["z"]) == PRESETS[preset].problem.num_classes


ODD: dict[str, Callable[[Sheet], Sheet]] = {
    "NaN": lambda one: one.with_logits((("nan", "2", "3"),) * 3),
    "masked": lambda one: one.with_logits((("-inf", "2", "3"),) * 3),
    "masked soft": lambda one: one.with_logits((("-inf", "2", "3"),) * 3).with_target_kind(PROBABILITIES),
    "all masked": lambda one: one.with_logits((("-inf",) * 3,) * 3),
    "infinite": lambda one: one.with_logits((("inf", "2", "3"),) * 3),
    "huge": lambda one: replace(one.with_logits((("1e308", "-1e308", "3"),) * 3), dtype="float64"),
    "ignored": lambda one: one.with_labels((None,) * 3),
    "weightless": lambda one: replace(one, weight=("0", "0", "0")),
    "negative weight": lambda one: replace(one, weight=("-1", "0", "2")),
    "hot half": lambda one: replace(one, temperature=1e6, dtype="float16", label_smoothing=1.0),
    "negative soft": lambda one: replace(one, probabilities=(("-1", "nan", "2"),) * 3, target_kind=PROBABILITIES),
    "one class": lambda one: one.resized(1, 1),
    "64 classes": lambda one: one.resized(2, 64).with_random_logits(5, 0),
    "sum": lambda one: replace(one, reduction="sum"),
    "a class is ignore_index": lambda one: replace(one, ignore_index=2),
    "names": lambda one: one.with_names(("![x](http://127.0.0.2/a)", "<b>b</b> $x$", "| _c_"), ("<i>", "`r`", ":s:")),
}


@pytest.mark.parametrize("name", ODD)
def test_odd_rows_are_shown(name: str) -> None:
    app = open_page(change=ODD[name])

    assert frame(app)["names"] == list(sheet(app).class_names)


def test_the_curve_reaches_as_far_as_the_sliders() -> None:
    """Along the first logit, between −10 and 10; the other two are 2 and 3, and the label is 2."""
    (chart,) = [one for one in open_page().get("plotly_chart") if "loss_curve" in one.proto.id]
    curve = json.loads(chart.proto.spec)["data"][0]
    rest = math.exp(2) + math.exp(3)

    assert (curve["x"][0], curve["x"][-1]) == (-10, 10)
    assert curve["y"][0] == pytest.approx(math.log(math.exp(-10) + rest) - 3)
    assert curve["y"][-1] == pytest.approx(math.log(math.exp(10) + rest) - 3)


def test_what_is_tried_out_is_said_in_the_digits_of_its_dtype() -> None:
    app = send(open_page(change=lambda one: replace(one, dtype="float64")), logits=["0.1", "2", "3"])

    assert "Tried out: [0.1, 2, 3]" in " ".join(caption.value for caption in app.caption)


def test_logits_too_large_for_a_picture_have_their_curve_as_numbers() -> None:
    app = open_page(change=ODD["huge"])

    assert any("too large for a picture" in info.value for info in app.info)
    assert "numbers of the curve" in " ".join(one.label for one in app.expander).lower()


@pytest.mark.parametrize("junk", [None, 7, "x", [], {}, {"generation": 0}, {"generation": 0, "logits": ["1"] * 10_000}])
def test_a_hostile_state_of_the_component_shows_no_exception(junk: Any) -> None:
    app = open_page()
    app.session_state[LIVE_ROW.name] = {"edit": junk, "rested": junk}

    assert frame(run(app))["loss"] == "0.4076"


def test_names_are_plain_text_in_the_table() -> None:
    app = open_page(change=ODD["names"])

    assert table(app)[""][0].startswith("![x](")


def test_a_legend_cuts_names_that_what_one_points_at_gives_whole() -> None:
    name = "a class of many words"
    (line, limit) = sweep_lines([1.0, 2.0], [Line(name, (3.0, 4.0)), Line("0", (5.0, 5.0), is_limit=True)]).data

    assert line.name == name[:14]
    assert line.hovertemplate.startswith(name)
    assert (line.line.dash, limit.line.dash) == ("solid", "dot")
    assert line.line.color == limit.line.color
