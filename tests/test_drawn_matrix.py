"""What the browser is told of a matrix: exact numbers, texts up to 20×20, Plotly's colours, and where targets are."""

import json
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from plotly.colors import sample_colorscale, unlabel_rgb

from xent_ui.figures import drawn_matrix
from xent_ui.figures.heatmap import Cell
from xent_ui.figures.theme import GRADIENT, PROBABILITY, Scale


def described(values: torch.Tensor, scale: Scale = GRADIENT, **options: object) -> dict:
    return drawn_matrix.matrix(values, scale, label="", **options)


@given(arrays.arrays(np.float64, arrays.array_shapes(min_dims=2, max_dims=2, max_side=25)))
def test_numbers_arrive_to_the_last_bit(values: np.ndarray) -> None:
    sent = json.loads(json.dumps(described(torch.tensor(values)), allow_nan=False))

    assert drawn_matrix.numbers_of(sent).tobytes() == values.tobytes()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_numbers_of_other_dtypes_arrive_as_the_same_float64(dtype: torch.dtype) -> None:
    values = torch.tensor([[0.1, -math.inf], [math.nan, 1e-4]], dtype=dtype)

    assert np.array_equal(drawn_matrix.numbers_of(described(values)), values.double().numpy(), equal_nan=True)


def test_cells_say_their_numbers_and_nan_and_infinities_their_names() -> None:
    values = torch.tensor([[0.25, -3e-6, math.nan], [math.inf, -math.inf, 0.0]], dtype=torch.float64)

    assert described(values, decimals=2)["texts"] == [["+0.25", "−3.0e−06", "NaN"], ["inf", "−inf", "0.00"]]
    assert described(values, PROBABILITY, decimals=2)["texts"][0][0] == "0.25"


@pytest.mark.parametrize(("shape", "has_texts"), [((20, 20), True), ((21, 20), False), ((20, 21), False)])
def test_up_to_20_by_20_every_cell_has_its_text(shape: tuple[int, int], has_texts: bool) -> None:
    texts = described(torch.zeros(shape))["texts"]

    assert (texts is not None) == has_texts
    if has_texts:
        assert [len(row) for row in texts] == [shape[1]] * shape[0]


@pytest.mark.parametrize(("bound", "end"), [(2.5, 2.5), (0.0, 1.0), (math.nan, 1.0), (math.inf, 1.0)])
def test_a_scale_has_an_end(bound: float, end: float) -> None:
    assert described(torch.zeros(1, 1), bound=bound)["bound"] == end


def test_targets_are_named_with_their_share() -> None:
    assert described(torch.zeros(2, 2), outlines=[(Cell(0, 1), 1.0), (Cell(1, 0), 0.5)])["outlines"] == [
        [0, 1, 1.0],
        [1, 0, 0.5],
    ]


@pytest.mark.parametrize("scale", [PROBABILITY, GRADIENT])
def test_the_colours_are_those_of_the_saved_pictures(scale: Scale) -> None:
    stops = drawn_matrix.drawing(scale)["colours"]

    assert stops[0][0] == 0
    assert stops[-1][0] == 1
    for place, colour in stops:
        assert list(colour) == pytest.approx(unlabel_rgb(sample_colorscale(scale.colours, [place])[0]), abs=1)


@given(st.lists(st.text(max_size=40), min_size=1, max_size=3))
def test_names_arrive_as_they_are_and_make_room_for_the_rows(names: list[str]) -> None:
    page = drawn_matrix.frame(
        {"a": described(torch.zeros(len(names), 1))},
        row_names=names,
        class_names=["<b>"],
        chosen=("a", Cell(0, 0)),
        asked=7,
    )
    frame = json.loads(page.removeprefix("<p hidden>").removesuffix("</p>"))

    assert frame["rows"] == names
    assert frame["classes"] == ["<b>"]
    assert frame["chosen"] == {"name": "a", "row": 0, "label": 0}
    assert frame["asked"] == 7
    assert 0 < frame["rows_width"] <= 92
