"""The step by step page without a browser: what it shows of every step, and that nothing odd breaks it."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from streamlit.testing.v1 import AppTest

from harness.app_test import lines, tables
from xent_core import trace
from xent_core.presets import PRESETS
from xent_ui.state.sheet import PROBABILITIES, Sheet, sheet_of_preset
from xent_ui.step_by_step import stage as stages
from xent_ui.step_by_step.figures import Node, graph
from xent_ui.step_by_step.state import PLAYING, STAGE
from xent_ui.step_by_step.step_formulas import step_formula
from xent_ui.text import number
from xent_ui.widgets import row_chooser

PAGE = Path(__file__).parents[1] / "pages" / "understand" / "step_by_step.py"
LAST = 21


def opened(preset: str = "worked-batch", *, stage: int = 0, row: int = 0) -> AppTest:
    page = AppTest.from_file(str(PAGE), default_timeout=60)
    page.query_params["preset"] = preset
    page.session_state[STAGE.name] = stage
    page.session_state[row_chooser.ROW.name] = row
    return page.run()


def opened_with(change: Callable[[Sheet], Sheet], *, stage: int = 0, preset: str = "worked-batch") -> AppTest:
    page = opened(preset)
    page.session_state["visit"].sheet = change(page.session_state["visit"].sheet)
    page.session_state[STAGE.name] = stage
    return page.run()


def place(page: AppTest) -> str:
    return str(page.get("progress")[0].proto.text)


def shown_words(page: AppTest) -> str:
    """What is said of the step at hand: of the words that share a place, those that are seen."""
    found = [element.proto.body for element in page.get("html") if "grid-area" in element.proto.body]
    [text] = [one.text for one in ElementTree.fromstring(found[0]) if "visibility:visible" in str(one.get("style"))]
    return str(text)


def test_the_page_begins_with_the_logits() -> None:
    page = opened()

    assert not page.exception
    assert place(page) == "step 1 of 22 · forward 1 of 11"
    buttons = [button for button in page.button if button.key.startswith("step_")]
    assert len({button.icon for button in buttons if button.icon}) == len(buttons) == 5


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_can_be_opened_at_its_gradient(preset: str) -> None:
    page = opened(preset, stage=LAST)

    assert not page.exception


def test_the_chain_shows_the_numbers_of_the_trace() -> None:
    table = lines(opened(row=2, stage=LAST), 0)
    chain_of_row = trace(PRESETS["worked-batch"].problem, 2)
    values, gradients = table[1:12], table[13:]

    for value, gradient, step in zip(values, gradients, chain_of_row, strict=True):
        for (_name, *cells), tensor, sign in ((value, step.value, False), (gradient, step.gradient, True)):
            expected = [number(x, sign=sign) for x in tensor.reshape(-1).tolist()]
            assert (cells[1:2] if step.is_scalar else cells) == expected, step.name


def test_what_is_made_and_what_is_used_are_marked() -> None:
    page = opened(stage=6)
    _header, *cells = tables(page)[0]
    marks = {
        name: [(one.tag, one.text) for one in cells[line][column]]
        for name, line, column in (
            ("made", 6, 1),
            ("used", 4, 1),
            ("its sum", 5, 2),
            ("there", 3, 1),
            ("yet to come", 7, 1),
        )
    }

    assert marks["made"] == [("strong", "0.0900")]
    assert marks["used"] == [("span", "0.1353")]
    assert marks["its sum"] == [("span", "1.5032")]
    assert marks["there"] == []
    ((tag, _text),) = marks["yet to come"]
    assert tag == "span"
    assert "opacity" in str(cells[7][1][0].get("style"))
    assert "background" in str(cells[4][1][0].get("style"))
    assert [line for line, (name, *_rest) in enumerate(lines(page, 0)[1:]) if name.startswith("▶")] == [6]


def test_the_article_s_exponentials_are_shown_beside_the_shifted_ones() -> None:
    words = shown_words(opened(stage=4))

    assert "2.7183, 7.3891, 20.0855" in words
    assert "30.1929" in words


def test_next_and_back_walk_along_the_chain() -> None:
    page = opened()

    page.button(key="step_next").click().run()
    page.button(key="step_next").click().run()
    page.button(key="step_back").click().run()

    assert place(page) == "step 2 of 22 · forward 2 of 11"


def test_end_and_start_lead_to_the_ends() -> None:
    page = opened()

    page.button(key="step_last").click().run()
    at_the_end = place(page)
    page.button(key="step_first").click().run()

    assert at_the_end == "step 22 of 22 · backward 11 of 11"
    assert place(page) == "step 1 of 22 · forward 1 of 11"


def test_play_begins_anew_at_the_end_and_can_be_paused() -> None:
    page = opened(stage=LAST)

    page.button(key="step_play").click().run()
    label = page.button(key="step_play").label
    page.button(key="step_play").click().run()

    assert label == "Pause"
    assert page.button(key="step_play").label == "Play"
    assert place(page) == "step 1 of 22 · forward 1 of 11"


def test_playing_stops_at_the_end() -> None:
    page = opened()
    page.session_state[PLAYING.name] = True
    page.session_state[STAGE.name] = LAST
    page.run()

    assert page.button(key="step_play").label == "Play"


def test_another_row_is_traced_when_it_is_chosen() -> None:
    page = opened()

    page.selectbox(key="trace_row").select_index(2).run()

    assert lines(page, 0)[10][2] == "2.4076"


def test_another_class_puts_its_numbers_into_the_formula() -> None:
    page = opened(stage=6)

    page.selectbox(key="trace_class").select_index(0).run()

    assert any(r"p_{0} = \frac{0.1353}{1.5032} = 0.0900" in formula.value for formula in page.latex)


@pytest.mark.parametrize(
    ("stage", "formula"),
    [
        (1, r"a_{2} = \frac{3}{1} = 3.0000"),
        (2, r"m = \max(1.0000, 2.0000, 3.0000) = 3.0000"),
        (3, r"s_{2} = 3.0000 - 3.0000 = 0.0000"),
        (5, r"\Sigma = 0.1353 + 0.3679 + 1.0000 = 1.5032"),
        (7, r"\log p_{2} = \ln 0.6652 = -0.4076"),
        (8, r"t_{2} = 1 \cdot (-0.4076) = -0.4076"),
        (10, r"c = \frac{0.4076}{3} = 0.1359"),
        (15, r"= \frac{(-0.3333)}{0.6652} = -0.5011"),
        (16, r"= -\frac{(-0.5011) \cdot 1.0000}{1.5032^2} = 0.2217"),
        (LAST, r"= \frac{0.6652 - 1}{3 \cdot 1} = -0.1116"),
    ],
)
def test_the_formula_carries_the_numbers_of_its_class(stage: int, formula: str) -> None:
    assert any(formula in shown.value for shown in opened(stage=stage).latex)


ODD = {
    "not finite": lambda sheet: replace(sheet, logits=(("nan", "inf", "-inf"),) * 3),
    "only -inf": lambda sheet: replace(sheet, logits=(("-inf",) * 3,) * 3, dtype="float16"),
    "all ignored": lambda sheet: replace(sheet, labels=(None, None, None)),
    "one class": lambda sheet: sheet.resized(3, 1),
    "no weight": lambda sheet: replace(sheet, weight=("0", "0", "0"), label_smoothing=0.2),
    "soft and cold": lambda sheet: replace(sheet.with_target_kind(PROBABILITIES), temperature=1e-6, dtype="bfloat16"),
    "64 classes": lambda sheet: sheet.resized(2, 64).with_random_logits(50, 0),
}


@pytest.mark.parametrize("stage", [5, 15])
@pytest.mark.parametrize("name", ODD)
def test_odd_problems_are_shown(name: str, stage: int) -> None:
    page = opened_with(ODD[name], stage=stage)

    assert not page.exception


@pytest.mark.parametrize("name", ODD)
def test_odd_problems_have_a_formula_with_numbers_at_every_step(name: str) -> None:
    sheet = ODD[name](sheet_of_preset(PRESETS["worked-batch"]))
    chain_of_row = trace(sheet.to_problem())

    for index in range(LAST + 1):
        stage = stages.stage_at(chain_of_row, index)
        for k in range(sheet.num_classes):
            formula = step_formula(chain_of_row, stage.step, k, backward=stage.backward)
            assert formula.count("{") == formula.count("}"), formula
            assert "nan" not in formula
            assert "inf" not in formula.replace(r"\infty", "")


@pytest.mark.parametrize(
    ("preset", "words"),
    [
        ("masked", "p of class 2 is 0"),
        ("saturated", None),
    ],
)
def test_a_broken_route_is_explained(preset: str, words: str | None) -> None:
    warnings = " ".join(warning.value for warning in opened(preset).warning)

    assert (words in warnings) if words else not warnings


def test_an_ignored_row_is_explained() -> None:
    assert "ignored" in opened("ignored-row", row=1).info[0].value


def test_names_reach_the_page_as_plain_text() -> None:
    hostile = ("![x](http://a.example/x.png)", "| **b** <b>", "$\\frac{1}{2}$ :red[c]")
    page = opened_with(lambda sheet: sheet.with_names(hostile, ("<i>", "`r`", ":smile:")))

    assert not page.exception
    names = [hostile[0], hostile[1], f"{hostile[2]} = y"]
    table = lines(page, 0)
    assert table[0] == ["value ↓", *names]
    assert table[12] == ["gradient ↑", *names]


def test_many_classes_are_cut_to_the_label_and_the_most_probable() -> None:
    sheet = sheet_of_preset(PRESETS["worked-row-0"]).resized(1, 64).with_random_logits(3, 1)
    steps_of_row = trace(sheet.to_problem())

    shown = stages.shown_classes(steps_of_row)

    assert len(shown) == stages.MAX_SHOWN
    assert 0 in shown
    assert int(steps_of_row["softmax"].value.argmax()) in shown


@pytest.mark.parametrize(
    ("side", "line", "label", "numbers"),
    [
        # row 0 is [1, 2, 3] with label 2: e = exp(−2), p = 0.1353/1.5032, ∂L/∂z = 0.0900/3
        (False, "exp", 0, ["0.1353"]),
        (False, "softmax", 0, ["0.1353", "1.5032", "0.0900"]),
        (False, "row_loss", 0, ["0.4076"]),
        (True, "logits", 0, ["0.0300"]),
        (True, "softmax", 2, ["0.5011"]),
    ],
)
def test_a_cell_opens_its_own_sum_wherever_the_stepper_stands(
    side: bool, line: str, label: int, numbers: list[str]
) -> None:
    page = opened(stage=3)
    before = {element.value for element in page.latex}
    page.button_group(key="sum_side").set_value(side)
    page.selectbox(key="sum_line").set_value(line)
    page.run()
    if line != "row_loss":
        page.selectbox(key="sum_class").set_value(label)
        page.run()

    opened_now = {element.value for element in page.latex} - before
    assert not page.exception
    assert len(opened_now) == 1
    formula = opened_now.pop()
    assert all(one in formula for one in numbers)
    assert place(page).startswith("step 4 of 22")


@pytest.mark.parametrize("has_side", [False, True])
def test_the_boxes_of_the_graph_lie_within_it_side_by_side_or_below_each_other(has_side: bool) -> None:
    nodes = [Node(str(level), "z", "1", "2", level) for level in range(3)]
    nodes += [Node("side", "y", "1", "2", 1, side=True)] if has_side else []
    edges = [("0", "1"), ("1", "2")] + [("0", "side"), ("side", "2")] * has_side

    figure = graph(nodes, edges, backward=False, levels=3)

    (left, right), (bottom, top) = figure.layout.xaxis.range, figure.layout.yaxis.range
    boxes = [box for box in figure.layout.shapes if box.type == "rect"]
    assert len(boxes) == len(nodes)
    assert all(left <= box.x0 < box.x1 <= right for box in boxes)
    assert all(top <= min(box.y0, box.y1) < max(box.y0, box.y1) <= bottom for box in boxes)
    for place, one in enumerate(boxes):
        for other in boxes[:place]:
            beside = one.x0 >= other.x1 or other.x0 >= one.x1
            below = min(one.y0, one.y1) >= max(other.y0, other.y1) or min(other.y0, other.y1) >= max(one.y0, one.y1)
            assert beside or below
    sides = [
        end
        for box in boxes
        for end in (
            ((box.x0 + box.x1) / 2, box.y0),
            ((box.x0 + box.x1) / 2, box.y1),
            (box.x0, (box.y0 + box.y1) / 2),
            (box.x1, (box.y0 + box.y1) / 2),
        )
    ]
    arrows = [note for note in figure.layout.annotations if note.showarrow]
    assert len(arrows) == len(edges)
    for x, y in [(arrow.x, arrow.y) for arrow in arrows] + [(arrow.ax, arrow.ay) for arrow in arrows]:
        assert min(math.dist((x, y), side) for side in sides) < 1e-9  # in the middle of a side of a box


def test_both_routes_to_the_gradient_stand_below_each_other() -> None:
    """p of 1, 2 and 3 is 0.0900, 0.2447 and 0.6652; the label of row 0 is 2, and of three rows D is 3."""
    _header, *shown = lines(opened(row=0, stage=LAST), -1)

    p = [math.exp(z) / (math.exp(1) + math.exp(2) + math.exp(3)) for z in (1, 2, 3)]
    gradient = [number((share - label) / 3, sign=True) for share, label in zip(p, (0, 0, 1), strict=True)]
    assert [numbers for _name, *numbers in shown] == [
        [number(-0.0), number(-0.0), number(-1 / (3 * p[2]))],
        *[gradient] * 4,
    ]


@pytest.mark.parametrize("stage", range(11, LAST + 1))
def test_a_step_back_is_titled_by_the_quantity_that_it_is_the_gradient_of(stage: int) -> None:
    titles = [element.value for element in opened(stage=stage).markdown if "backward" in element.value]
    letter = ("c", "ℓ", "t", "log p", "p", "Σ", "e", "s", "m", "a", "z")[stage - 11]

    assert len(titles) == 1
    assert f"∂L/∂{letter}: gradient by " in titles[0]
    assert " divide" not in titles[0]


def test_the_letters_of_the_chain_are_said_in_words_before_its_numbers() -> None:
    (words,) = [caption.value for caption in opened().caption if caption.value.startswith("From top to bottom")]

    for letter, meaning in {
        "z": "logits",
        "a": "scaled logits",
        "m": "the largest",
        "s": "shifted logits",
        "e": "exponentials",
        "Σ": "their sum",
        "p": "probabilities",
        "t": "target times log p",
        "ℓ": "row loss",
        "c": "share of the loss",
    }.items():
        assert f"**{letter}** {meaning}" in words
    assert "is the target" in words
    assert "D = 3 is what the reduction divides by, T = 1 the temperature" in words


def test_the_row_of_the_gradient_says_why_it_sums_to_0() -> None:
    said = " ".join(caption.value for caption in opened().caption)

    assert "Each row sums to 0, since p and y both sum to 1." in said
