"""The batch page, driven through Streamlit's AppTest: what is typed, ticked and chosen, and what it shows."""

import json
import math
import re
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import TextInput

from harness.app_test import (
    choose,
    editor_key,
    heatmap,
    hidden_data,
    loss,
    open_app,
    open_page,
    press,
    run,
    table,
    type_cell,
    type_cells,
    warnings,
)
from tests.tolerances import assert_agree
from xent_core import evaluate
from xent_core.presets import PRESETS
from xent_ui.batch.view import notes
from xent_ui.figures.heatmap import Cell
from xent_ui.server.limits import limits
from xent_ui.state.sheet import sheet_of_preset
from xent_ui.table import edit_watch, layout


@pytest.mark.parametrize(
    ("preset", "shown"),
    [
        ("worked-batch", "1.4076"),
        ("worked-row-0", "2.4076"),
        ("worked-row-1", "1.4076"),
        ("worked-row-2", "0.4076"),
    ],
)
def test_a_link_to_a_worked_example_shows_its_loss(preset: str, shown: str) -> None:
    at = open_app(preset=preset)

    assert at.metric[0].label == "loss (nats)"
    assert loss(at) == shown


def test_a_first_visit_shows_the_worked_batch_and_its_gradient() -> None:
    at = open_app()

    expected = [[0.0300, 0.0816, -0.1116], [0.0300, -0.2518, 0.2217], [-0.3033, 0.0816, 0.2217]]
    np.testing.assert_allclose(heatmap(at, "gradient"), expected, atol=5e-5)
    np.testing.assert_allclose(heatmap(at, "probability"), [[0.0900, 0.2447, 0.6652]] * 3, atol=5e-5)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_opens_and_shows_what_pytorch_computes(preset: str) -> None:
    at = open_app(preset=preset)
    problem = PRESETS[preset].problem
    logits = problem.logits.clone().requires_grad_()
    F.cross_entropy(logits, problem.target, weight=problem.weight, ignore_index=problem.ignore_index).backward()

    assert_agree(torch.tensor(heatmap(at, "gradient")), logits.grad)
    assert_agree(torch.tensor(heatmap(at, "probability")), logits.detach().softmax(1))


def test_an_unknown_preset_opens_the_worked_batch_and_says_so() -> None:
    at = open_app(preset="<b>nonsense</b>")

    assert loss(at) == "1.4076"
    assert "nonsense" in warnings(at)


@pytest.mark.parametrize("typed", ["-3.25", "1e-3", ".5", "5.", "+2", " 7 ", "\u22124"])
def test_a_typed_number_is_taken_as_typed(typed: str) -> None:
    at = type_cell(open_app(), 0, "class 1", typed)
    value = float(typed.replace("\u2212", "-"))

    expected = F.softmax(torch.tensor([1.0, value, 3.0]), 0)
    assert_agree(torch.tensor(heatmap(at, "probability")[0]), expected)
    assert not at.warning


def test_a_masked_class_has_probability_zero_and_the_loss_stays_finite() -> None:
    at = type_cell(open_app(), 0, "class 0", "-inf")

    assert heatmap(at, "probability")[0, 0] == 0
    assert math.isfinite(float(loss(at)))


@pytest.mark.parametrize("typed", ["nan", "inf"])
def test_nan_and_infinity_are_shown_as_such(typed: str) -> None:
    at = type_cell(open_app(), 0, "class 0", typed)

    assert loss(at) == "NaN"
    assert np.isnan(heatmap(at, "probability")[0]).all()
    assert not np.isnan(heatmap(at, "probability")[1:]).any()


@pytest.mark.parametrize(
    ("typed", "said"),
    [("7,5", "7.5"), ("abc", "abc"), ("", "empty"), (None, "empty"), ("1e400", "overflows"), (3, "3")],
)
def test_what_is_no_number_is_refused_by_cell_and_the_former_stays(typed: object, said: str) -> None:
    at = type_cell(open_app(), 1, "class 2", "4")
    at = type_cells(at, {1: {"class 2": "4", "class 0": typed}})
    if typed == 3:
        assert "row 1" not in warnings(at)  # the text of a number is a number
        return

    assert "row 1, class 0" in warnings(at)
    assert said in warnings(at)
    assert table(at, "logits")[1] == ["row 1", "1", "2", "4"]
    assert_agree(torch.tensor(heatmap(at, "probability")[1]), F.softmax(torch.tensor([1.0, 2, 4]), 0))


def test_a_pasted_block_keeps_its_good_cells_and_names_its_bad_ones() -> None:
    at = type_cells(open_app(), {0: {"class 0": "9", "class 1": "x"}, 2: {"class 2": "8"}})

    assert table(at, "logits") == [["row 0", "9", "2", "3"], ["row 1", "1", "2", "3"], ["row 2", "1", "2", "8"]]
    assert "row 0, class 1" in warnings(at)


def test_typing_a_cell_back_to_what_it_was_takes_the_edit_back() -> None:
    at = open_app()
    at = type_cell(at, 2, "class 0", "5")
    changed = loss(at)
    # the browser drops an edit that equals the table
    at = type_cells(at, {})

    assert changed != "1.4076"
    assert loss(at) == "1.4076"


def test_edits_in_rows_and_columns_that_do_not_exist_change_nothing() -> None:
    at = open_app()
    at.session_state[editor_key(at, "target")] = {
        "edited_rows": {0: {"nowhere": True}, 7: {"class 0": True}},
        "added_rows": [],
        "deleted_rows": [],
    }

    assert loss(run(at)) == "1.4076"


@pytest.mark.parametrize("label", [0, 1])
def test_a_tick_moves_the_label(label: int) -> None:
    at = type_cell(open_app(), 0, f"class {label}", True, "target")

    assert [row.count(True) for row in table(at, "target")] == [1, 1, 1]
    assert table(at, "target")[0][label] is True
    assert at.session_state["visit"].sheet.labels == (label, 1, 0)


def test_unticking_the_label_leaves_it() -> None:
    at = type_cell(open_app(), 0, "class 2", False, "target")

    assert table(at, "target")[0] == [False, False, True, False]
    assert loss(at) == "1.4076"


def test_an_ignored_row_has_no_loss_and_no_gradient() -> None:
    at = type_cell(open_app(), 0, "ignored", True, "target")

    assert not heatmap(at, "gradient")[0].any()
    assert loss(at) == f"{(1.4076059 + 2.4076059) / 2:.4f}"
    assert "kept = 2" in [metric.value for metric in at.metric]


def test_with_all_rows_ignored_the_loss_is_nan_and_the_page_says_why() -> None:
    at = open_app()
    for row in range(3):
        at = type_cell(at, row, "ignored", True, "target")

    assert loss(at) == "NaN"
    assert not heatmap(at, "gradient").any()
    assert ["divides 0 by 0" in warning.value for warning in at.warning] == [True]  # said once
    assert not at.info


def test_a_preset_over_pending_edits_shows_the_preset_alone() -> None:
    at = type_cell(open_app(), 0, "class 1", "9")
    at = choose(at, "Preset", "uniform")

    assert table(at, "logits") == [[f"row {i}", "0", "0", "0", "0"] for i in range(4)]
    assert loss(at) == f"{math.log(4):.4f}"


def test_undo_brings_back_what_was_typed_before() -> None:
    at = type_cell(open_app(), 0, "class 1", "9")
    at = type_cell(at, 0, "class 0", True, "target")
    at = press(at, "Undo")
    after_one = at.session_state["visit"].sheet
    at = press(at, "Undo")

    assert after_one.logits[0] == ("1", "9", "3")
    assert after_one.labels == (2, 1, 0)
    assert loss(at) == "1.4076"


def test_reset_goes_back_to_the_preset_and_can_be_undone() -> None:
    at = type_cell(open_app(preset="uniform"), 0, "class 1", "9")
    edited = loss(at)
    at = press(at, "Reset")
    reset = loss(at)
    at = press(at, "Undo")

    assert (reset, loss(at)) == (f"{math.log(4):.4f}", edited)


def test_switching_to_class_indices_and_back_keeps_the_labels() -> None:
    at = choose(open_app(), "target", "class index")
    as_index = table(at, "target")
    at = choose(at, "target", "one-hot")

    assert as_index == [["class 2"], ["class 1"], ["class 0"]]
    assert at.session_state["visit"].sheet.labels == (2, 1, 0)


def test_one_hot_probabilities_give_the_same_loss_and_can_be_softened() -> None:
    at = choose(open_app(), "target", "probabilities")
    same = loss(at)
    at = type_cells(at, {0: {"class 2": "0.5", "class 0": "0.5"}}, "target")

    expected = F.cross_entropy(torch.tensor([[1.0, 2, 3]] * 3), torch.tensor([[0.5, 0, 0.5], [0, 1, 0], [1, 0, 0]]))
    assert same == "1.4076"
    assert loss(at) == f"{float(expected):.4f}"


def test_soft_labels_that_class_labels_cannot_hold_are_announced() -> None:
    at = choose(open_app(preset="soft-labels"), "target", "one-hot")

    assert at.session_state["visit"].sheet.labels == (0, 1, 2)
    assert "largest class" in warnings(at)


@pytest.mark.parametrize(("reduction", "label"), [("sum", "loss (nats)"), ("none", "sum of the row losses (nats)")])
def test_other_reductions_show_the_sum(reduction: str, label: str) -> None:
    at = choose(open_app(), "reduction", reduction)

    assert (at.metric[0].label, loss(at)) == (label, "4.2228")
    assert heatmap(at, "gradient")[2, 0] == pytest.approx(-0.9100, abs=5e-5)


def test_every_option_reaches_pytorch() -> None:
    at = open_app(preset="class-weights")
    at.slider[0].set_value(0.2)
    at = run(at)
    temperature = next(box for box in at.number_input if box.label.startswith("temperature"))
    temperature.set_value(2.0)
    at = run(at)
    at = choose(at, "dtype", "float64")
    problem = PRESETS["class-weights"].problem
    expected = F.cross_entropy(
        problem.logits.double() / 2, problem.target, weight=problem.weight.double(), label_smoothing=0.2
    )

    assert loss(at) == f"{float(expected):.4f}"


def weights(at: AppTest) -> TextInput:
    [box] = [box for box in at.text_input if box.label.startswith("weight per class")]
    return box


def type_weights(at: AppTest, text: str) -> AppTest:
    weights(at).set_value(text)
    return run(at)


@pytest.mark.parametrize(
    ("text", "why"),
    [("1, 2", "2 weights came, expected 3"), ("1, heavy, 3", "heavy"), ("1, 2, 3, 4", "4 weights came, expected 3")],
)
def test_weights_are_typed_in_a_line_and_stay_where_they_cannot_be_read(text: str, why: str) -> None:
    at = open_app(preset="class-weights")
    assert weights(at).value == "1, 0.5, 4"
    type_weights(at, "1, 0.5, 1")
    assert at.session_state["visit"].sheet.weight == ("1", "0.5", "1")
    type_weights(at, text)

    assert at.session_state["visit"].sheet.weight == ("1", "0.5", "1")
    assert weights(at).value == text
    assert "The weights could not be read" in warnings(at)
    assert any(why in error.value for error in at.error)
    type_weights(at, "")
    assert at.session_state["visit"].sheet.weight is None
    assert not at.error


def test_the_line_of_weights_follows_the_table() -> None:
    at = open_app(preset="class-weights")
    type_weights(at, "1, 2")  # which stays, until the table is another one
    next(box for box in at.number_input if box.label == "Classes").set_value(4)
    run(at)
    assert weights(at).value == "1, 0.5, 4, 1"
    assert not at.error

    choose(at, "Preset", "worked-batch")
    assert weights(at).value == ""


def test_the_denominator_is_said_in_words() -> None:
    at = open_app(preset="class-weights")

    assert "Σw = 9.5" in [metric.value for metric in at.metric]
    assert any("Mean divides by Σw = 9.5" in info.value.replace("\\", "") for info in at.info)


def unfold(at: AppTest, key: str = "more_of_the_loss") -> AppTest:
    """Open a folded part of the page."""
    at.session_state[f"{key}_is_open"] = True
    return run(at)


def test_a_loss_that_is_infinite_has_an_infinite_perplexity() -> None:
    at = unfold(type_cell(open_app(preset="worked-row-0"), 0, "class 0", "-inf"))

    shown = {metric.label: metric.value for metric in at.metric}
    assert (shown["loss (nats)"], shown["perplexity"]) == ("inf", "inf")


def test_a_large_loss_has_its_own_perplexity_and_not_a_limit() -> None:
    at = unfold(type_cell(open_app(preset="worked-row-0"), 0, "class 0", "-700"))

    assert {metric.label: metric.value for metric in at.metric}["perplexity"] == "2.8e+305"


def test_the_effective_target_is_shown_where_it_is_not_the_target() -> None:
    plain, weighted = open_app(), open_app(preset="class-weights")

    np.testing.assert_allclose(
        heatmap(weighted, "effective_target"), [[1, 0, 0], [0, 0.5, 0], [0, 0, 4], [0, 0, 4]], atol=1e-6
    )
    with pytest.raises(AssertionError, match="no heatmap"):
        heatmap(plain, "effective_target")


def test_random_logits_come_from_the_shown_seed() -> None:
    first, second = press(open_app(), "Fill with random logits"), press(open_app(), "Fill with random logits")

    assert table(first, "logits") == table(second, "logits")
    assert table(first, "logits") != table(open_app(), "logits")


def test_pasted_text_becomes_logits_of_its_size() -> None:
    at = open_app()
    next(area for area in at.text_area if area.label == "Logits").set_value("tensor([[1., 2.], [3., -inf]])")
    at = press(run(at), "Use these logits")

    assert [row[1:] for row in table(at, "logits")] == [["1.", "2."], ["3.", "-inf"]]
    assert at.session_state["visit"].sheet.labels == (None, 1)


def test_pasted_text_that_is_no_matrix_changes_nothing() -> None:
    at = open_app()
    next(area for area in at.text_area if area.label == "Logits").set_value("__import__('os').getcwd()")
    at = press(run(at), "Use these logits")

    assert loss(at) == "1.4076"
    assert warnings(at)


def test_64_by_64_is_the_largest_table_and_works() -> None:
    at = open_app()
    for label in ("Rows", "Classes"):
        next(box for box in at.number_input if box.label == label).set_value(64)
        at = run(at)
    at = press(at, "Fill with random logits")

    assert heatmap(at, "probability").shape == (64, 64)
    np.testing.assert_allclose(heatmap(at, "probability").sum(1), 1, atol=1e-5)


def test_one_class_and_one_row_have_no_loss_to_lose() -> None:
    at = open_app(preset="worked-row-0")
    next(box for box in at.number_input if box.label == "Classes").set_value(1)
    at = run(at)

    assert loss(at) == "0.0000"
    assert heatmap(at, "probability").tolist() == [[1.0]]


def test_removing_a_class_ignores_its_rows_and_says_so() -> None:
    at = open_app()
    next(box for box in at.number_input if box.label == "Classes").set_value(2)
    at = run(at)

    assert at.session_state["visit"].sheet.labels == (None, 1, 0)
    assert "row 0" in warnings(at)


HOSTILE = "![x](http://127.0.0.1:9/a.png) <img src=http://127.0.0.1:9/b.png>"[:40]


def test_names_with_markup_are_shown_as_text() -> None:
    at = open_app()
    area = next(area for area in at.text_area if area.label.startswith("Class names"))
    area.set_value(f"{HOSTILE}\n<b>bold</b>\n**strong** $x$")
    at = run(at)

    assert at.session_state["visit"].sheet.class_names[0] == HOSTILE
    for element in at.markdown:
        assert not re.search(r"(?<!\\)!\[|(?<!\\)<b>|(?<!\\)\*\*strong", element.value), element.value
    for chart in at.get("plotly_chart"):
        assert "<b>" not in chart.proto.spec
        assert "<img" not in chart.proto.spec


@pytest.mark.parametrize("names", ["a\na\nb", "a\nb", "row\na\nb", "a\nb\n" + 41 * "c", "a\n" * 950_000])
def test_names_that_cannot_be_are_refused(names: str) -> None:
    at = open_app()
    next(area for area in at.text_area if area.label.startswith("Class names")).set_value(names)
    at = run(at)

    assert at.session_state["visit"].sheet.class_names == ("class 0", "class 1", "class 2")
    assert warnings(at)


def test_the_check_says_that_three_ways_agree() -> None:
    at = open_app(preset="digits")

    assert any(e.label.startswith("Checked: three ways to the gradient agree, largest") for e in at.expander)


def test_why_explains_the_cell_that_is_chosen() -> None:
    at = open_app()
    first = at.latex[0].value
    at = choose(choose(at, "row", 0), "class", 1)

    assert r"\frac{0.0900 - 1}{3} = -0.3033" in first
    assert r"\frac{0.2447 - 0}{3} = 0.0816" in at.latex[0].value


def test_a_number_too_large_for_its_dtype_is_inf_and_the_page_says_so() -> None:
    at = type_cell(open_app(), 0, "class 0", "1e308")

    assert loss(at) == "NaN"
    assert any("float32, where they become inf" in info.value.replace("\\", "") for info in at.info)


# What no browser sends

CRAFTED = {
    "a row that is not there": {"edited_rows": {999: {"class 0": "1"}}, "added_rows": [], "deleted_rows": []},
    "a row before the first": {"edited_rows": {-1: {"class 0": "1"}}, "added_rows": [], "deleted_rows": []},
    "a row beyond any integer": {"edited_rows": {10**30: {"class 0": "1"}}, "added_rows": [], "deleted_rows": []},
    "a row by a word": {"edited_rows": {"x": {"class 0": "1"}}, "added_rows": [], "deleted_rows": []},
    "a column that is not there": {"edited_rows": {0: {"nope": "1"}}, "added_rows": [], "deleted_rows": []},
    "a list in a cell": {"edited_rows": {0: {"class 0": [1]}}, "added_rows": [], "deleted_rows": []},
    "no cells": {"edited_rows": {0: None}, "added_rows": [], "deleted_rows": []},
    "no rows": {"edited_rows": None, "added_rows": [], "deleted_rows": []},
    "a row more": {"edited_rows": {}, "added_rows": [{"class 0": "1"}], "deleted_rows": []},
    "a row less": {"edited_rows": {}, "added_rows": [], "deleted_rows": [0, 99]},
    "nothing": {},
    "a list": [],
    "a word": "x",
    "null": None,
}


@pytest.mark.parametrize("editor", ["logits", "target"])
@pytest.mark.parametrize("state", CRAFTED.values(), ids=CRAFTED)
def test_a_state_that_no_browser_sends_is_refused_and_the_table_goes_on(editor: str, state: object) -> None:
    at = open_app(preset="worked-batch")
    before = at.session_state["visit"].sheet
    at.session_state[editor_key(at, editor)] = state
    run(at)

    assert at.session_state["visit"].sheet == before
    assert any("could not be read" in warning.value for warning in at.warning)
    type_cell(at, 0, "class 0", "2.5")
    assert at.session_state["visit"].sheet.logits[0][0] == "2.5"
    assert not any("could not be read" in warning.value for warning in at.warning)


@pytest.mark.parametrize("value", [math.nan, None, True, 5, 1e400, "\0", "5\n6", "9" * 100_000])
def test_a_value_that_no_cell_holds_is_refused_by_name_or_shown_as_it_is(value: object) -> None:
    at = open_app()
    type_cell(at, 0, "class 0", value)

    text = at.session_state["visit"].sheet.logits[0][0]
    assert text in ("1", str(value))  # refused, or a number as Python writes it
    if text == "1":
        assert "row 0, class 0" in at.warning[0].value
        assert len(at.warning[0].value) < 500


@pytest.mark.parametrize("value", [None, 5, "", "x" * 100_000, "a\nb"])
def test_a_name_that_no_row_can_have_leaves_the_row_its_name(value: object) -> None:
    at = open_app()
    type_cell(at, 0, "row", value)

    assert at.session_state["visit"].sheet.row_names[0] in ("row 0", "5")


@pytest.mark.parametrize(
    ("name", "value"),
    [("reduction", "average"), ("dtype", "int8"), ("label_smoothing", 5.0), ("target_kind", "no such kind")],
)
def test_an_option_that_no_widget_offers_is_refused_and_the_table_stays(name: str, value: object) -> None:
    def crafted(name: str, value: object) -> None:
        from xent_ui.state import session
        from xent_ui.state.kept import Kept
        from xent_ui.table import options

        entry = Kept[object]("crafted", None)
        session.keep(entry, value)
        options._take_option(name, entry)

    at = run(AppTest.from_function(crafted, args=(name, value), default_timeout=60))

    visit = at.session_state["visit"]
    assert len(visit.refused) == 1
    assert visit.sheet == visit.start
    assert visit.revision["options"] == 1


def test_a_preset_that_does_not_exist_leaves_the_table() -> None:
    def crafted() -> None:
        from xent_ui.state import session
        from xent_ui.table import options

        session.visit()
        session.keep(options.PRESET, "no such preset")
        options._take_preset()

    visit = run(AppTest.from_function(crafted, default_timeout=60)).session_state["visit"]

    assert visit.sheet == visit.start
    assert not visit.undo


def test_undo_remembers_as_many_tables_as_the_limit_says() -> None:
    def crafted() -> None:
        from xent_ui.server.limits import limits
        from xent_ui.state import session

        first = session.visit().sheet
        for number in range(limits().undo + 5):
            session.edit(first.with_logits(((str(number), *first.logits[0][1:]), *first.logits[1:])))

    visit = run(AppTest.from_function(crafted, default_timeout=60)).session_state["visit"]

    assert len(visit.undo) == limits().undo
    assert visit.undo[0].logits[0][0] == "4"  # of the first table and 0 to 104, the last is shown


def test_a_column_is_as_wide_as_its_longest_number() -> None:
    """A cell cuts a number at its sign: -1.23456 would read .23456. A digit is 6.96 px wide, sign and point 3.9."""
    at = type_cells(open_app(), {0: {"class 0": "-1.23456"}, 1: {"class 1": "123456789"}})

    columns = next(json.loads(grid.proto.columns) for grid in at.dataframe if "logits_editor" in grid.proto.id)
    narrow = columns["class 2"]["width"]
    assert columns["class 0"]["width"] >= max(narrow, 8 + 6 * 6.96 + 2 * 3.9)
    assert columns["class 1"]["width"] >= max(narrow, 8 + 9 * 6.96)
    assert narrow < 60


def test_boxes_and_choices_that_are_gone_change_nothing() -> None:
    def crafted() -> None:
        from xent_ui.batch import why
        from xent_ui.state import session
        from xent_ui.state.kept import Kept
        from xent_ui.table import editors

        gone = Kept[int | None]("gone", None)
        session.visit()
        session.keep(gone, 3)  # of three rows and classes, those after the last
        editors._take_size(gone, Kept("and this one too", None))
        editors._remove_row(gone)
        editors._remove_class(gone)
        why._take_choice()

    at = run(AppTest.from_function(crafted, default_timeout=60))

    visit = at.session_state["visit"]
    assert visit.sheet == visit.start
    assert not visit.undo
    assert "selected_cell" not in at.session_state


@pytest.mark.parametrize(("classes", "columns"), [(3, [5]), (4, [5]), (5, [4, 2]), (6, [3, 3])])
def test_the_losses_of_the_rows_stand_beside_a_table_that_leaves_room(
    monkeypatch: pytest.MonkeyPatch, classes: int, columns: list[int]
) -> None:
    made: list[int] = []

    def make(widths: list[float], **_how: object) -> list[object]:
        made.append(len(widths))
        return [object() for _ in widths]

    monkeypatch.setattr(layout, "st", SimpleNamespace(columns=make))

    assert len(set(layout.five_panels(classes, has_boxes=True))) == 5
    assert made == columns


def test_of_many_labels_that_go_with_their_class_five_are_named() -> None:
    def crafted() -> None:
        from dataclasses import replace

        from xent_ui.state import session
        from xent_ui.table import editors

        visit = session.visit()
        sheet = visit.sheet.resized(7, 3)
        visit.sheet = replace(sheet, labels=(0, 2, 2, 2, 2, 2, 2))
        editors._put_smaller(visit.sheet.resized(7, 2))

    visit = run(AppTest.from_function(crafted, default_timeout=60)).session_state["visit"]

    assert visit.sheet.labels == (0, *[None] * 6)
    (words,) = visit.refused
    assert "label of row 1, row 2, row 3, row 4, row 5 is gone" in words


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, []),
        (
            {"label_smoothing": 0.25, "temperature": 2.0},
            ["In use: label_smoothing=0.25, temperature=2.", "By coincidence"],
        ),
        ({"dtype": "float64", "ignore_index": 7}, ["In use: ignore_index=7, dtype=float64."]),
        ({"reduction": "sum", "weight": ("1", "2", "4")}, []),
        ({"weight": ("1", "2", "4")}, ["Mean divides by Σw = 7"]),
        ({"ignore_index": 2}, ["In use: ignore_index=2.", "ignore_index is 2, which is also a class"]),
    ],
    ids=str,
)
def test_of_the_options_those_that_are_in_use_and_may_surprise_are_named(options: dict, said: list[str]) -> None:
    sheet = replace(sheet_of_preset(PRESETS["worked-batch"]), **options)

    found = notes(sheet, evaluate(sheet.to_problem()))

    assert len(found) == len(said)
    assert all(words in note for words, note in zip(said, found, strict=True)), found


def test_editors_that_cannot_be_watched_are_drawn_at_once_in_another_way(monkeypatch: pytest.MonkeyPatch) -> None:
    kept, told = list[tuple[object, object]](), list[str]()
    monkeypatch.setattr(edit_watch.session, "keep", lambda *pair: kept.append(pair))

    edit_watch._take_slow(lambda: told.append("slow"))

    assert (kept, told) == ([(edit_watch.IS_SLOW, True)], ["slow"])


def test_a_cell_that_is_not_there_is_not_the_one_that_is_asked_about() -> None:
    at = open_app(preset="worked-batch")
    at.session_state["selected_cell"] = ("gradient", Cell(-1, 0))
    run(at)

    # but the largest gradient: (0.0900 - 1) / 3 where the label is the smallest of 1, 2 and 3
    assert (at.selectbox(key="why_row").value, at.selectbox(key="why_class").value) == (2, 0)


@pytest.mark.parametrize("junk", [None, -1, 2**60, True, 1.5, "x", [], {"number": 1.5}, {"number": "<b>"}])
def test_a_hostile_request_for_an_answer_shows_no_exception(junk: object) -> None:
    at = open_page("pages/explore/batch.py")
    at.session_state["edit_watch"] = {"edited": junk, "ended": junk, "rested": junk}
    at = type_cell(at, 0, "class 1", "-3.25")

    assert loss(at) == "1.3146"
    assert all(frame["asked"] == 0 for frame in hidden_data(at) if "asked" in frame)


@pytest.mark.parametrize(
    ("chosen", "cell"),
    [
        ({"row": 2, "label": 1}, ("gradient", Cell(2, 1))),
        (None, None),
        (7, None),
        ({"row": 3, "label": 0}, None),
        ({"row": 0, "label": "0"}, None),
        ({"row": True, "label": 0}, None),
    ],
)
def test_a_click_chooses_a_cell_that_there_is_and_no_other(chosen: object, cell: object) -> None:
    def page() -> None:
        import streamlit as st

        from xent_ui.batch import why
        from xent_ui.state import session

        session.visit()
        st.button("click", on_click=lambda: why.select_clicked("gradient"))

    at = run(AppTest.from_function(page, default_timeout=60))
    at.session_state["gradient_matrix"] = {"chosen": chosen}
    at.button[0].click()
    at = run(at)

    assert ("selected_cell" in at.session_state) == (cell is not None)
    assert cell is None or at.session_state["selected_cell"] == cell


@pytest.mark.parametrize(("typed", "is_coincidence"), [("1", True), ("1.5", False)])
def test_a_loss_that_smoothing_does_not_move_is_called_a_coincidence(typed: str, is_coincidence: bool) -> None:
    """Over the three labels of the worked batch the mean loss is that of a uniform target, so that no ε moves it."""
    sheet = replace(sheet_of_preset(PRESETS["worked-batch"]), label_smoothing=0.2)
    sheet = sheet.with_logits(((typed, "2", "3"), *sheet.logits[1:]))
    found = " ".join(notes(sheet, evaluate(sheet.to_problem())))

    assert ("coincidence" in found) == is_coincidence


def guides(at: AppTest) -> list[str]:
    return [element.value for element in at.markdown if element.value.startswith("Each row is one example")]


def test_a_newcomer_reads_what_the_page_is_until_something_was_changed_and_can_again() -> None:
    at = open_app()
    first, title = guides(at), at.title[0].help
    at = type_cell(at, 0, "class 1", "9")
    edited = guides(at)
    at = press(at, "Undo")

    assert first == [title]
    assert edited == []
    assert guides(at) == first
    assert at.title[0].help == title


def test_a_newcomer_sees_three_numbers_and_no_more() -> None:
    at = open_app()

    assert {metric.label: metric.value for metric in at.metric} == {
        "loss (nats)": "1.4076",
        "divides by": "N = 3",
        "accuracy": "1 of 3",
    }
    assert not any("softmax twice" in element.proto.body for element in at.get("html"))


def test_what_was_unfolded_stays_so_over_edits_and_other_pages() -> None:
    at = unfold(open_app())
    at = type_cell(at, 0, "class 1", "9")
    at.switch_page("pages/understand/step_by_step.py")
    at = run(at)
    at.switch_page("pages/explore/batch.py")
    at = run(at)

    assert {"in bits", "perplexity"} <= {metric.label for metric in at.metric}
    assert any("softmax twice" in element.proto.body for element in at.get("html"))


def row_loss_columns(at: AppTest) -> dict[str, list[str]]:
    (frame,) = [one for one in hidden_data(at) if "row_losses" in one.get("texts", {})]
    columns: dict[str, list[str]] = frame["texts"]["row_losses"]["columns"]
    return columns


@pytest.mark.parametrize(
    ("changes", "formula"),
    [
        ({}, "−log p(label)"),
        ({"label_smoothing": 0.1}, "−Σ v·log p"),
        ({"weight": ("1", "2", "3")}, "−Σ v·log p"),
    ],
    ids=str,
)
def test_the_column_of_row_losses_is_headed_by_its_formula(changes: dict[str, object], formula: str) -> None:
    at = open_page("pages/explore/batch.py", sheet=replace(sheet_of_preset(PRESETS["worked-batch"]), **changes))

    assert next(iter(row_loss_columns(at))) == formula


def words(at: AppTest) -> str:
    return " ".join(element.value for element in at.markdown).replace("\\", "")


def test_why_begins_with_the_reason_in_a_sentence() -> None:
    at = open_app()
    label = words(at)
    other = words(choose(choose(at, "row", 0), "class", 1))

    assert (
        "The model gives class 0 a probability of 0.09, and class 0 is the label of row 2: that is too little, "
        "so the gradient pulls its logit up, by 0.91/3."
    ) in label
    assert (
        "class 1 is not the label of row 0: that is too much, so the gradient pulls its logit down, by 0.2447/3."
        in other
    )


def test_why_answers_for_a_row_loss_and_for_the_loss() -> None:
    at = choose(open_app(), "quantity", "row loss")
    row_words, row_formula = words(at), at.latex[0].value
    at = choose(at, "quantity", "loss")

    assert "The model gives the label of row 2, class 0, a probability of 0.0900." in row_words
    assert r"-\log p_{2,0} = -\log 0.0900 = 2.4076" in row_formula
    assert "The row losses add up to 4.2228, and the mean divides them by 3." in words(at)
    assert r"\frac{0.4076 + 1.4076 + 2.4076}{3} = 1.4076" in at.latex[0].value


def test_a_target_of_halves_says_why_its_floor_is_not_0() -> None:
    """Of three rows one is halves: −2·½·ln ½ = ln 2 = 0.6931, a third of which is 0.2310."""
    at = choose(open_app(), "target", "probabilities")
    at = type_cells(at, {0: {"class 0": "0.5", "class 1": "0.5", "class 2": "0"}}, "target")
    at = unfold(at)
    said = " ".join(caption.value for caption in at.caption)

    assert "The floor is 0.2310" in said
    assert "row 0 0.6931. Added, and divided by 3" in said
