"""The precision page: the four dtypes side by side, the presets, and odd problems."""

import json
import math
from dataclasses import replace
from functools import partial

import pytest
from streamlit.testing.v1 import AppTest

from harness import app_test
from tests.problems import call_of
from xent_core.precision import PRECISION_PRESETS
from xent_core.presets import PRESETS
from xent_core.problem import DTYPES
from xent_ui.precision import view
from xent_ui.precision.figures import Curve, error_curves
from xent_ui.state.sheet import sheet_of_preset
from xent_ui.text import MINUS

PAGE = "pages/understand/precision.py"


open_page = partial(app_test.open_page, PAGE)


def choose(app: AppTest, preset: str) -> AppTest:
    app.button_group(key="precision_preset").set_value(preset).run()
    assert not app.exception
    return app


def lines(app: AppTest) -> dict[str, list[str]]:
    names, *dtypes = app_test.columns(app, 0).items()
    assert [name for name, _texts in dtypes] == list(DTYPES)
    return dict(zip(names[1], map(list, zip(*(texts for _name, texts in dtypes), strict=True)), strict=True))


def warnings(app: AppTest) -> str:
    return "\n".join(warning.value for warning in app.warning)


def test_the_worked_batch_holds_in_every_dtype() -> None:
    app = open_page()

    assert lines(app)["loss"] == ["1.4076", "1.4076", "1.4062", "1.4072"]  # 1.40625 and 1.40723 are their neighbours
    assert "Every dtype holds" in app.success[0].value


@pytest.mark.parametrize("name", ["loss: error", "loss: error in ulp", "gradient: error", "gradient: error in ulp"])
def test_float64_alone_has_no_error_to_itself(name: str) -> None:
    assert [text == "–" for text in lines(open_page())[name]] == [True, False, False, False]


def test_the_mean_of_float16_is_infinite() -> None:
    app = choose(open_page(), "mean-overflows")

    assert lines(app)["loss"] == ["3.9004", "3.9004", "3.9688", "inf"]
    assert "Their sum is 66307, and float16 ends at 65504" in warnings(app)
    assert len(app.get("plotly_chart")) == 1  # the curves; 17 000 rows are not drawn as a matrix


def test_the_gradient_of_bfloat16_is_zero() -> None:
    app = choose(open_page(), "gradient-is-zero")

    assert lines(app)["gradient: cells that became 0"] == ["0", "0", "1 / 3", "0"]
    assert "the largest −0.0006705. Its p is 1 − 0.0006705, rounded to 1." in warnings(app)


def test_log_of_softmax_is_infinite() -> None:
    app = choose(open_page(), "log-of-softmax")

    assert lines(app)["loss"] == ["200.0000"] * 4
    assert lines(app)["loss by log(softmax)"] == ["200.0000", "inf", "inf", "inf"]
    assert "log(softmax) gives inf in float32, bfloat16, float16" in warnings(app)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_of_the_batch_is_shown(preset: str) -> None:
    assert len(lines(open_page(preset))) == 14


@pytest.mark.parametrize("quantity", ["error", "ulps", "gradient", "probability"])
def test_every_matrix_can_be_chosen(quantity: str) -> None:
    app = open_page("masked")

    app.button_group(key="precision_quantity").set_value(quantity).run()

    assert not app.exception
    # the errors are those of the other dtypes to float64, which has none of its own
    matrices = [chart for chart in app.get("plotly_chart") if "precision_" in chart.proto.id]
    assert len(matrices) == (4 if quantity in ("gradient", "probability") else 3)
    if quantity == "probability":
        scales = [json.loads(chart.proto.spec)["data"][0] for chart in matrices]
        assert {(scale["zmin"], scale["zmax"]) for scale in scales} == {(0, 1)}


def test_numbers_are_taken_as_typed_whatever_the_dtype_of_the_batch() -> None:
    """0.1 as a float16 is 0.09998, so a batch in float16 must not be rounded before it is compared."""
    sheet = replace(sheet_of_preset(PRESETS["worked-row-0"]), logits=(("0.1", "0", "0"),))
    texts = [lines(open_page(sheet=replace(sheet, dtype=dtype))) for dtype in ("float64", "float16")]

    assert texts[0] == texts[1]


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": (None, None, None)},
        {"reduction": "none"},
        {"label_smoothing": 0.1, "weight": ("0", "1", "2"), "temperature": 3.0},
        {"logits": (("-inf", "nan", "inf"),) * 3},
        {"logits": (("1e300", "0", "-1e300"),) * 3},
    ],
    ids=str,
)
def test_odd_problems_have_the_loss_of_pytorch_in_float64(changes: dict[str, object]) -> None:
    sheet = replace(sheet_of_preset(PRESETS["worked-batch"]), **changes)
    name = "sum of the row losses" if sheet.reduction == "none" else "loss"

    for shown in (sheet, sheet.resized(1, 1)):
        text = lines(open_page(sheet=shown))[name][0]
        loss, _grad = call_of(replace(shown, dtype="float64").to_problem()).torch()

        assert float(text.replace(MINUS, "-")) == pytest.approx(float(loss.sum()), rel=0.05, abs=5e-5, nan_ok=True)


def test_a_loss_that_no_dtype_has_is_said() -> None:
    sheet = replace(sheet_of_preset(PRESETS["worked-batch"]), labels=(None, None, None))

    assert "not finite, not even in float64" in warnings(open_page(sheet=sheet))


def test_the_presets_have_names_of_their_own() -> None:
    assert not set(PRECISION_PRESETS) & set(PRESETS)


def test_curves_show_what_a_logarithm_has_no_place_for() -> None:
    """0 and what is far too small on the bottom edge, NaN and infinity on top, and nothing of it on a line."""
    errors = (1e-3, 0.0, 1e-200, math.inf, 2e-3)
    curve = Curve("float16, log_softmax", "float16", 0, (1.0, 2.0, 3.0, 4.0, 5.0), errors)

    line, edges = error_curves([curve], zero="0", broken="NaN").data
    low, high = min(edges.y[1:4]), max(edges.y[1:4])

    assert line.y == (1e-3, None, None, None, 2e-3)
    assert edges.y == (None, low, low, high, None)
    assert 0 < low < 1e-20 < 2e-3 < high
    assert edges.customdata[2] == "1·10⁻²⁰⁰"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1.23456, "1.2346"),
        (0.0123456, "0.01235"),
        (-0.00123456, f"{MINUS}0.001235"),
        (1.23456e-6, "0.000001235"),
        (1.23456e-7, "1.235e−07"),
        (0.0, "0.0000"),
    ],
)
def test_four_digits_tell_the_dtypes_apart(monkeypatch: pytest.MonkeyPatch, value: float, text: str) -> None:
    monkeypatch.setattr(view, "decimals", lambda: 4)

    assert view._digits(value) == text
