"""A matrix as a heatmap: scales, printed numbers, outlines, and what is not finite."""

import math

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from plotly.colors import sample_colorscale

from xent_core import Evaluation, Problem, evaluate
from xent_core.presets import PRESETS
from xent_ui.figures import heatmap, theme
from xent_ui.figures.heatmap import Cell
from xent_ui.figures.theme import GRADIENT, PROBABILITY


def names(n: int) -> list[str]:
    return [str(i) for i in range(n)]


def draw(values: torch.Tensor, scale: theme.Scale, **options: object) -> go.Figure:
    n, c = values.shape
    return heatmap.matrix(values, scale, row_names=names(n), class_names=names(c), **options)


@given(st.integers(1, 8), st.integers(1, 8), st.floats(1e-3, 1e3))
def test_gradients_have_a_scale_symmetric_about_zero_and_probabilities_from_zero_to_one(
    n: int, c: int, bound: float
) -> None:
    gradient = draw(torch.randn(n, c), GRADIENT, bound=bound).data[0]
    probability = draw(torch.rand(n, c), PROBABILITY).data[0]

    assert (gradient.zmin, gradient.zmax) == (-bound, bound)
    assert (probability.zmin, probability.zmax) == (0, 1)


def test_the_scale_of_the_gradient_does_not_move_while_a_logit_is_edited() -> None:
    def evaluated(logit: float) -> Evaluation:
        return evaluate(Problem([[logit, 2, 3], [1, 2, 3]], [0, 1]))

    assert {evaluated(logit).gradient_bound for logit in (-50.0, 0.0, 1e4)} == {0.5}


@pytest.mark.parametrize("bound", [0.0, math.nan, math.inf])
def test_a_bound_that_is_no_bound_gives_a_scale_all_the_same(bound: float) -> None:
    heatmap = draw(torch.zeros(2, 2), GRADIENT, bound=bound).data[0]

    assert (heatmap.zmin, heatmap.zmax) == (-1, 1)


def test_cells_carry_their_numbers_and_the_picture_carries_the_values() -> None:
    evaluation = evaluate(PRESETS["worked-batch"].problem)
    heatmap, numbers = draw(evaluation.grad_logits, GRADIENT).data

    assert list(numbers.text[-3:]) == ["−0.3033", "+0.0816", "+0.2217"]
    np.testing.assert_array_equal(heatmap.z, evaluation.grad_logits.numpy())


@pytest.mark.parametrize("shape", [(3, 11), (50, 10)])
def test_large_matrices_carry_no_numbers(shape: tuple[int, int]) -> None:
    assert [trace.type for trace in draw(torch.zeros(shape), PROBABILITY).data] == ["heatmap"]


@pytest.mark.parametrize(("shape", "gap"), [((32, 2), 1), ((2, 32), 1), ((33, 2), 0), ((2, 33), 0)])
def test_cells_are_parted_as_long_as_they_are_wide(shape: tuple[int, int], gap: int) -> None:
    trace = draw(torch.zeros(shape), GRADIENT, bound=1.0).data[0]

    assert (trace.xgap, trace.ygap) == (gap, gap)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_drawn(dtype: torch.dtype) -> None:
    z = draw(torch.tensor([[0.5, 0.25]], dtype=dtype), PROBABILITY).data[0].z

    assert z.tolist() == [[0.5, 0.25]]


def test_nan_and_infinities_are_named_in_their_cells() -> None:
    traces = draw(torch.tensor([[math.nan, 1.0], [-math.inf, math.inf]]), GRADIENT).data
    words = traces[-1]

    assert list(words.text) == ["NaN", "−inf", "inf"]
    assert list(zip(words.y, words.x, strict=True)) == [(0, 0), (1, 0), (1, 1)]
    assert list(traces[1].text) == ["", "+1.0000", "", ""]


@pytest.mark.parametrize(("scale", "least"), [(PROBABILITY, 0.0), (GRADIENT, -1.0)])
def test_every_number_can_be_read_on_its_colour(scale: theme.Scale, least: float) -> None:
    values = torch.linspace(least, 1, 101)
    numbers = heatmap.matrix(values.reshape(-1, 1), scale, row_names=names(101), class_names=["0"]).data[1]
    colours = sample_colorscale(scale.colours, ((values - least) / (1 - least)).tolist(), colortype="tuple")

    for colour, ink in zip(colours, numbers.textfont.color, strict=True):
        lights = sorted([luminance(colour), luminance(tuple(int(ink[i : i + 2], 16) / 255 for i in (1, 3, 5)))])
        assert (lights[1] + 0.05) / (lights[0] + 0.05) > 4, (colour, ink)


def luminance(rgb: tuple[float, ...]) -> float:
    """Of WCAG 2, for the contrast between two colours."""
    red, green, blue = (x / 12.92 if x <= 0.04045 else ((x + 0.055) / 1.055) ** 2.4 for x in rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_the_target_is_outlined_and_row_zero_is_on_top() -> None:
    layout = draw(torch.zeros(3, 3), PROBABILITY, outlines=[(Cell(0, 2), 1.0), (Cell(1, 1), 1.0)]).layout

    assert len(layout.shapes) == 1
    assert layout.shapes[0].path.count("M") == 2
    assert layout.yaxis.range[0] > layout.yaxis.range[1]


def test_every_cell_can_be_clicked_where_it_lies() -> None:
    points = draw(torch.zeros(2, 3), PROBABILITY).data[1]

    assert list(zip(points.y, points.x, strict=True)) == [(i, k) for i in range(2) for k in range(3)]


def test_names_and_hover_texts_are_no_markup() -> None:
    figure = heatmap.matrix(
        torch.zeros(1, 1), PROBABILITY, row_names=["<i>"], class_names=["<b>"], hover=[["<a href='x'>\nsecond line"]]
    )
    text = figure.to_json()

    assert "<b>" not in text.replace("\\u003c", "<")
    assert "<a" not in text.replace("\\u003c", "<")
    assert figure.data[1].customdata[0] == "&lt;a href='x'&gt;<br>second line"
