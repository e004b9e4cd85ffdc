"""Epochs on the page Your logits: asked about, then mapped, listed and told of each row, all as the core has them."""

import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from harness.app_test import run
from tests.test_your_logits_page import npz, open_page, said, value
from xent_core.dump import Choice, Epochs, InvalidDump, analyse, select
from xent_core.dump.statistics import ClassGroups
from xent_ui.widgets import job_progress
from xent_ui.your_logits import data_map
from xent_ui.your_logits.figures import data_map as map_figure

ROWS = 90


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    monkeypatch.delenv("XENT_PUBLIC", raising=False)


def log() -> tuple[list[np.ndarray], np.ndarray]:
    """Three epochs; the first ten labels are wrong, and the last epoch has learnt them."""
    chance = np.random.default_rng(5)
    true = chance.integers(0, 4, ROWS)
    target = np.where(np.arange(ROWS) < 10, (true + 1) % 4, true)
    shown = (true, true, target)
    return [(chance.normal(size=(ROWS, 4)) + 3 * np.eye(4)[labels]).astype(np.float32) for labels in shown], target


def uploaded(numbers: tuple[int, ...] = (10, 1, 2)) -> AppTest:
    logits, target = log()
    app = open_page()
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    order = sorted(numbers)
    for number in numbers:
        data = npz(logits=logits[order.index(number)], target=target)
        app.file_uploader[0].upload(f"epoch_{number}.npz", data)
    return run(app)


def map_of(app: AppTest) -> dict[str, Any]:
    return next(
        figure
        for figure in (json.loads(chart.proto.spec) for chart in app.get("plotly_chart"))
        if "variability" in str(figure["layout"].get("xaxis", {}).get("title"))
    )


def test_uploads_that_count_epochs_are_asked_about_and_then_mapped() -> None:
    app = uploaded()
    assert "3 files came, and their names count epochs" in said(app)
    app.button(key="dump_columns_0").click()
    app = run(app)

    logits, target = log()
    summary = analyse(logits, target, epochs=True)
    found = summary.epochs
    assert found is not None
    assert app.button_group(key="dump_several").value == "epochs"
    assert value(app, "rows") == str(ROWS)
    assert "3 epochs in this order: epoch_1.npz, epoch_2.npz, epoch_10.npz" in said(app)
    table = app.dataframe[0].value
    assert table["row"].tolist() == summary.suspects.row.tolist()
    assert set(table["row"][:10]) == set(range(10))
    assert table["AUM"].tolist() == found.aum[table["row"]].tolist()
    assert table["forgotten, times"].tolist() == found.forgetting[table["row"]].tolist()
    marks = map_of(app)["data"][0]
    assert marks["x"] == pytest.approx(found.variability.tolist())
    assert marks["y"] == pytest.approx(found.confidence.tolist())
    assert marks["marker"]["color"] == pytest.approx(found.correctness.tolist())
    first = table["row"][0]
    assert f"Over 3 epochs: right in {found.correctness[first]:.0%} of them" in said(app)
    assert f"{found.never_learnt} never learnt" in said(app)


def test_the_order_by_aum_and_the_ranges_of_the_map_choose_rows() -> None:
    app = uploaded()
    app.button_group(key="dump_several").set_value("epochs")
    app = run(app)
    found = analyse(*log(), epochs=True).epochs
    assert found is not None
    app.button_group(key="dump_rank_by_epochs").set_value("aum")
    app.number_input(key="dump_confidence_to").set_value(0.5)
    app.number_input(key="dump_variability_from").set_value(0.1)
    app = run(app)

    wanted = np.flatnonzero((found.confidence <= 0.5) & (found.variability >= 0.1))
    assert 0 < len(wanted) < ROWS
    assert app.dataframe[0].value["row"].tolist() == wanted[np.argsort(found.aum[wanted])].tolist()
    assert f"{len(wanted)} of {ROWS} rows are chosen" in said(app)


def test_parts_are_one_dump_without_a_map() -> None:
    app = uploaded()
    app.button(key="dump_columns_1").click()
    app = run(app)

    assert value(app, "rows") == str(3 * ROWS)
    assert "AUM" not in app.dataframe[0].value
    assert not any("Data map" in element.value for element in app.markdown)


def test_a_single_row_is_read_again_from_the_last_epoch() -> None:
    app = uploaded()
    app.button_group(key="dump_several").set_value("epochs")
    app = run(app)
    app.number_input(key="dump_row").set_value(7)
    app = run(app)

    logits, target = log()
    row = logits[-1][7].astype(float)
    loss = np.log(np.exp(row - row.max()).sum()) + row.max() - row[target[7]]
    assert value(app, "loss") == f"{loss:.4f}"


def test_many_rows_are_thinned_evenly_and_ignored_ones_are_not_drawn() -> None:
    confidence = np.linspace(0, 1, 10_000)
    confidence[::4] = np.nan
    epochs = Epochs(("a",), *[np.where(np.isnan(confidence), np.nan, 0.0)] * 2, confidence, confidence / 2, confidence)

    rows, known = data_map.drawn_rows(epochs)

    assert (len(rows), known) == (data_map.MAX_POINTS, 7500)
    assert not np.isnan(confidence[rows]).any()
    assert (np.diff(rows) > 0).all()
    assert np.diff(rows).max() <= 5  # 2.5 of those that are known, 4/3 rows apart
    drawn = map_figure(rows, epochs, looked_at=3, variability="v", confidence="c", correctness="r").to_dict()
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


def test_ranges_of_epochs_are_refused_for_a_table_without_them(tmp_path) -> None:
    logits, target = log()
    analyse(logits[0], target, scores=tmp_path / "s.parquet", fit_temperature=False)

    with pytest.raises(InvalidDump, match="no column 'confidence'"):
        select(tmp_path / "s.parquet", Choice(confidence=(0.0, 0.5)), ClassGroups.of(4))
