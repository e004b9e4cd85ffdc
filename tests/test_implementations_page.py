"""The implementations page: the overview, the code, the factor on the logits, and odd problems."""

import math
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from harness import app_test
from tests.problems import call_of
from xent_core import compare
from xent_core.implementations import IMPLEMENTATIONS
from xent_core.presets import PRESETS
from xent_ui.state.sheet import sheet_of_preset
from xent_ui.text import number

PAGE = "pages/understand/implementations.py"


open_page_as_first_seen = partial(app_test.open_page, PAGE)


def open_page(*arguments: Any, **keywords: Any) -> AppTest:
    """With the logits as they are on the table."""
    app = open_page_as_first_seen(*arguments, **keywords)
    app.select_slider(key="logit_scale").set_value(1)
    return app_test.run(app)


def metrics(app: AppTest) -> list[str]:
    return [metric.value for metric in app.metric]


def markdown(app: AppTest) -> str:
    return "\n".join(one.value for one in app.markdown)


def test_all_routes_agree_on_the_worked_batch() -> None:
    app = open_page()
    count = len(IMPLEMENTATIONS)

    assert metrics(app) == ["1.4076", f"{count} of {count}"]
    assert app_test.columns(app, 0)["loss"] == ["1.4076"] * count
    assert "Why not" not in markdown(app)


@pytest.mark.parametrize("preset", PRESETS)
def test_the_overview_shows_what_compare_finds(preset: str) -> None:
    agreeing = sum(entry.agrees for entry in compare(PRESETS[preset].problem))

    app = open_page(preset)

    assert metrics(app)[1] == f"{agreeing} of {len(IMPLEMENTATIONS)}"
    assert sum("✓" in mark for mark in app_test.columns(app, 0)["agrees"]) == agreeing


def test_the_page_opens_where_the_routes_part_and_says_first_which_to_use() -> None:
    """Logits 100, 200, 300: the mean loss is 200 + 100 + 0 over three rows, 100."""
    app = open_page_as_first_seen()

    assert markdown(app).startswith("**Use `F.cross_entropy(logits, target)`**")
    assert "With the table's logits × 100, 3 of the 10 routes part from it" in app.markdown[0].value
    assert metrics(app) == ["1.4076", "100.0000", f"{len(IMPLEMENTATIONS) - 3} of {len(IMPLEMENTATIONS)}"]
    assert "e^z overflows float32" in markdown(app)


def test_the_row_by_hand_is_that_of_the_table_whatever_the_factor() -> None:
    assert "2.7183 + 7.3891 + 20.0855 = 30.1929" in open_page_as_first_seen().latex[-1].value


def test_a_sign_means_the_same_in_both_tables_and_every_sign_is_explained() -> None:
    """In a batch with an ignored row, routes that cannot run stand beside those that give another number."""
    for preset, scale in (("worked-batch", 100), ("ignored-row", 1), ("masked", 100)):
        app = open_page_as_first_seen(preset)
        app.select_slider(key="logit_scale").set_value(scale)
        app = app_test.run(app)
        entries = compare(replace(PRESETS[preset].problem, logits=PRESETS[preset].problem.logits * scale))
        marks = app_test.columns(app, 0)["agrees"]
        map_marks = app_test.columns(app, 1)
        legend = app.caption[1].value

        assert marks == ["–" if one.loss is None else "✓" if one.agrees else "✗" for one in entries]
        assert [mark == "–" for mark in map_marks[f"×{scale}"]] == [one.loss is None for one in entries]
        used = {mark for name, column in map_marks.items() if name for mark in column} | set(marks)
        assert all(mark in legend for mark in used), (used, legend)
        assert all(mark in app.caption[0].value for mark in marks)


def test_the_code_shown_is_that_of_the_chosen_route() -> None:
    app = open_page()
    names = [implementation.name for implementation in IMPLEMENTATIONS]

    app.selectbox(key="implementation").set_value(names.index("closed form, no autograd")).run()

    assert not app.exception
    assert "def closed_form(" in app.code[0].value
    assert "def by_hand(" not in app.code[0].value


def test_a_row_by_hand_shows_the_numbers_of_the_article() -> None:
    app = open_page()
    softmax, logarithm = app_test.columns(app, -2), app_test.columns(app, -1)

    assert "2.7183 + 7.3891 + 20.0855 = 30.1929" in app.latex[-1].value
    assert softmax["exp / sum"] == softmax["F.softmax"] == ["0.0900", "0.2447", "0.6652"]
    assert logarithm["F.log_softmax"] == ["−2.4076", "−1.4076", "−0.4076"]
    assert all("✓" in mark for mark in (*softmax["equal"], *logarithm["equal"]))


def test_names_are_shown_as_they_are_written() -> None:
    name = "![x](http://127.0.0.1:9/x) $a$ <b>|"
    sheet = sheet_of_preset(PRESETS["ignored-row"])
    sheet = sheet.with_names((name, "b", "c"), ("row 0", name, "row 2"))

    app = open_page(sheet=sheet)

    assert app_test.columns(app, -1)[""] == [name, "b", "c"]
    assert r"\!\[x\]\(http\:" in markdown(app)
    assert "![x](" not in markdown(app)


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": (None, None, None)},
        {"reduction": "none"},
        {"reduction": "sum", "dtype": "float16", "temperature": 3.0},
        {"label_smoothing": 1.0, "weight": ("0", "0", "0")},
        {"logits": (("-inf", "nan", "inf"),) * 3, "dtype": "bfloat16"},
    ],
    ids=str,
)
def test_odd_problems_have_the_loss_of_pytorch_and_a_line_for_every_route(changes: dict[str, object]) -> None:
    sheet = replace(sheet_of_preset(PRESETS["worked-batch"]), **changes)

    for shown in (sheet, sheet.resized(1, 1)):
        app = open_page(sheet=shown)
        loss, _grad = call_of(shown.to_problem()).torch()

        assert metrics(app)[0] == number(float(loss.sum()))
        assert len(app_test.columns(app, 0)["loss"]) == len(IMPLEMENTATIONS)


def test_a_route_that_cannot_run_has_code_and_no_gradient() -> None:
    app = open_page("ignored-row")
    app.selectbox(key="implementation").set_value(0).run()

    assert "def by_hand(" in app.code[0].value
    assert "could not run" in app.info[0].value
    assert math.isclose(float(metrics(app)[0]), 1.3236)
