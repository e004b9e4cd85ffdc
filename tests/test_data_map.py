"""The data map: which rows are drawn, and what a point or an area of it chooses."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from xent_core.dump import Epochs
from xent_ui.your_logits import data_map
from xent_ui.your_logits.figures import data_map as map_figure


def test_many_rows_are_thinned_evenly_and_ignored_ones_are_not_drawn() -> None:
    confidence = np.linspace(0, 1, 10_000)
    confidence[::4] = np.nan
    epochs = Epochs(("a",), *[np.where(np.isnan(confidence), np.nan, 0.0)] * 2, confidence, confidence / 2, confidence)

    rows, known = data_map.drawn_rows(epochs)

    assert (len(rows), known) == (data_map.MAX_POINTS, 7500)
    assert not np.isnan(confidence[rows]).any()
    assert (np.diff(rows) > 0).all()
    assert np.diff(rows).max() <= 5  # 2.5 of those that are known, 4/3 rows apart
    drawn = map_figure(
        rows, epochs, looked_at=3, by_area=False, variability="v", confidence="c", correctness="r"
    ).to_dict()
    assert drawn["data"][1]["y"] == [confidence[3]]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        ({"points": [{"point_index": 2, "curve_number": 0}], "box": []}, {"dump_row": 40}),
        ({"points": [{"point_index": 0, "curve_number": 1}], "box": []}, {}),
        ({"points": [{"point_index": 9, "curve_number": 0}], "box": []}, {}),
        (
            {"points": [{"point_index": 2}], "box": [{"x": [0.4, 0.1], "y": [0.2, 0.6]}]},
            {
                "dump_variability_from": 0.1,
                "dump_variability_to": 0.4,
                "dump_confidence_from": 0.2,
                "dump_confidence_to": 0.6,
            },
        ),
    ],
)
def test_a_point_is_a_row_and_an_area_two_ranges(
    monkeypatch: pytest.MonkeyPatch, selection: dict[str, Any], expected: dict[str, float]
) -> None:
    kept: dict[str, Any] = {}
    given = SimpleNamespace(selection=SimpleNamespace(**selection))
    monkeypatch.setattr(data_map.session, "kept", lambda entry: given)
    monkeypatch.setattr(data_map.session, "keep", lambda entry, value: kept.update({entry.name: value}))

    data_map._take([20, 30, 40])

    assert kept == expected
