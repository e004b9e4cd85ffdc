"""The page about a model's logits, driven through AppTest: its numbers are PyTorch's, and bad files get one message."""

import base64
import io
import json
import re
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Event
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest

from harness.app_test import open_app, run
from xent_core.dump import Choice, Progress, analyse, open_dump, pair_detail
from xent_core.dump import analysis as core_analysis
from xent_core.dump.calibration_words import calibration_verdict, main_calibration_numbers
from xent_core.dump.histogram import histogram_of
from xent_core.dump.report import wrong_labels_words
from xent_core.loss_options import LossOptions
from xent_ui import glossary
from xent_ui.server import job_pool, limits
from xent_ui.server.job_pool import Pool
from xent_ui.state.sheet import InvalidSheet
from xent_ui.widgets import job_progress
from xent_ui.your_logits import analysis as dump_run
from xent_ui.your_logits import pairs as dump_pairs
from xent_ui.your_logits import suspects as dump_suspects
from xent_ui.your_logits import view as your_logits
from xent_ui.your_logits.analysis import AnalysisRequest, DumpAnalysis
from xent_ui.your_logits.figures import bars, reliability
from xent_ui.your_logits.single_rows import MAX_WIDE_ROWS, row_detail, sheet_of_rows

PAGE = "pages/apply/your_logits.py"
EPOCH_ROWS = 90


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine gets the time it needs."""
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    monkeypatch.delenv("XENT_PUBLIC", raising=False)


def draw(rows: int, classes: int, *, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(seed)
    return chance.normal(scale=2.0, size=(rows, classes)).astype(np.float32), chance.integers(0, classes, rows)


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def open_page() -> AppTest:
    return run(open_app().switch_page(PAGE))


def upload(data: bytes, name: str = "dump.npz", *, target: tuple[str, bytes] | None = None) -> AppTest:
    app = open_page()
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    app.file_uploader[0].upload(name, data)
    if target is not None:
        app.file_uploader[1].upload(*target)
    return run(app)


def value(app: AppTest, label: str) -> str:
    return next(metric.value for metric in app.metric if metric.label == label)


def said(app: AppTest) -> str:
    kinds = (app.markdown, app.info, app.warning, app.error, app.caption)
    return "\n".join(element.value for kind in kinds for element in kind).replace("\\", "")


def test_the_example_is_there_at_once_with_pytorchs_loss() -> None:
    app = open_page()
    with np.load(your_logits.DIGITS) as digits:
        logits, target = torch.tensor(digits["logits"]), torch.tensor(digits["target"]).long()

    assert value(app, "rows") == str(len(target)) == "1797"
    assert value(app, "loss (nats)") == f"{float(F.cross_entropy(logits.double(), target)):.4f}"
    assert value(app, "accuracy") == f"{float((logits.argmax(1) == target).double().mean()):.2%}"


def test_most_of_the_first_suspects_of_the_example_are_labels_that_were_flipped() -> None:
    """180 of 1797 labels were flipped by the script that made the dump; scikit-learn has the true ones."""
    true = pytest.importorskip("sklearn.datasets").load_digits().target
    summary = analyse(your_logits.DIGITS)
    with np.load(your_logits.DIGITS) as digits:
        flipped = digits["target"] != true

    assert flipped.sum() == 180
    assert flipped[summary.suspects.row[:100]].mean() > 0.9
    assert summary.wrong_labels is not None
    assert summary.wrong_labels.low < 180 < summary.wrong_labels.high
    assert summary.wrong_labels.expected == pytest.approx(180, rel=0.2)


def test_the_page_says_how_many_labels_are_likely_wrong_and_how_likely_each_is() -> None:
    app = open_page()
    wrong = analyse(your_logits.DIGITS).wrong_labels
    assert wrong is not None

    low, high = round(wrong.low), round(wrong.high)
    assert f"Wrong labels, estimated: about {wrong.expected:.0f} of 1797, from {low} to {high}. Honest doubt" in said(
        app
    )
    assert value(app, "wrong labels, estimated") == f"{low} – {high}"
    table = app.dataframe[0].value
    assert table["label wrong"].is_monotonic_decreasing
    assert 0 <= table["label wrong"].min() <= table["label wrong"].max() <= 1


def test_an_uploaded_dump_gives_pytorchs_numbers() -> None:
    logits, target = draw(300, 5)
    target[::7] = -100
    app = upload(npz(logits=logits, target=target))
    z, y = torch.tensor(logits).double(), torch.tensor(target)

    assert value(app, "rows") == f"{int((y != -100).sum())} / 300"
    assert value(app, "loss (nats)") == f"{float(F.cross_entropy(z, y)):.4f}"


def test_the_page_says_what_one_and_ten_percent_carry_and_which_rows_carry_nothing() -> None:
    """Of a hundred rows of p = 3/4 and 1/4 one is wrong: norms of 3 and 1; one more row is NaN."""
    logits = np.array([[0.0, np.log(3)], *[[np.log(3), 0.0]] * 99, [np.nan, 0.0]])
    app = upload(npz(logits=logits, target=np.zeros(101, np.int64)))

    assert "1 % of the examples carry 3 % of the gradient, 10 % carry 12 %." in said(app)  # 3/102, 12/102
    assert "The gradient of 1 row is not finite" in said(app)
    assert value(app, "rows") == "101"
    assert value(app, "accuracy") == "98.02%"  # 99 of 101


@pytest.mark.parametrize(
    ("stage", "rows", "total", "shown"),
    [
        ("rows", 30, 120, (0.25, "row 30 of 120")),
        ("temperature", 60, 120, (0.5, "best temperature: row 60 of 120")),
        ("rows", 0, 0, (0.0, "row 0 of 0")),
    ],
)
def test_the_bar_says_which_part_of_the_rows_is_read(
    stage: str, rows: int, total: int, shown: tuple[float, str]
) -> None:
    progress = Progress(stage, rows, total, 1.0, pytest.fail)

    assert your_logits._progress(SimpleNamespace(progress=progress)) == shown
    assert your_logits._progress(SimpleNamespace(progress=None))[0] == 0


def test_a_picture_of_shares_goes_from_0_to_1_with_room_for_whole_marks() -> None:
    summary = analyse(*draw(40, 3), fit_temperature=False)
    figure = reliability(summary.calibration.reliability, confidence="p", accuracy="right")

    for low, high in (figure.layout.xaxis.range, figure.layout.yaxis.range):
        assert -0.1 < low < 0
        assert 1 < high < 1.1


def test_where_every_value_is_0_there_is_nothing_to_draw_on_a_logarithmic_axis() -> None:
    assert bars(histogram_of(torch.zeros(3))) == []
    assert sum(count for _low, _high, count in bars(histogram_of(torch.tensor([0.0, 1.0, 9.0])))) == 3


def test_labels_may_lie_in_another_file() -> None:
    logits, target = draw(60, 4)
    files = io.BytesIO(), io.BytesIO()
    np.save(files[0], logits)
    np.save(files[1], target)
    app = upload(files[0].getvalue(), "logits.npy", target=("target.npy", files[1].getvalue()))

    expected = F.cross_entropy(torch.tensor(logits).double(), torch.tensor(target))
    assert value(app, "loss (nats)") == f"{float(expected):.4f}"


def test_the_options_are_those_of_pytorch() -> None:
    logits, target = draw(80, 3)
    app = upload(npz(logits=logits, target=target))
    app.number_input(key="dump_label_smoothing").set_value(0.1)
    app.number_input(key="dump_temperature").set_value(2.0)
    app.text_input(key="dump_weight").set_value("1, 2, 0.5")
    app = run(app)

    weight = torch.tensor([1, 2, 0.5], dtype=torch.float64)
    z = torch.tensor(logits).double() / 2
    expected = F.cross_entropy(z, torch.tensor(target), weight, label_smoothing=0.1)
    assert value(app, "loss (nats)") == f"{float(expected):.4f}"


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"hello", "hello.bin", "hello.bin starts with"),
        (b"PK\x03\x04 nothing", "dump.npz", "dump.npz"),
        (b"\x80\x02}q\x00.", "model.pt", "torch.save"),
        (npz(logits=np.zeros((3, 4), np.float32)), "dump.npz", "holds no labels"),
        (npz(logits=np.zeros((3, 4), np.float32), target=np.array([0, 1, 9])), "dump.npz", "9"),
        (npz(logits=np.zeros((3, 4), np.float32), target=np.array([0, 1])), "dump.npz", "target has shape"),
    ],
)
def test_a_bad_file_gets_one_message_and_the_page_goes_on(data: bytes, name: str, words: str) -> None:
    app = upload(data, name)

    assert [words in error.value.replace("\\", "") for error in app.error] == [True]
    assert not app.metric
    app.button_group(key="dump_source").set_value("example")
    assert value(run(app), "rows") == "1797"


def test_probabilities_are_asked_about_and_their_logarithm_is_taken() -> None:
    logits, target = draw(50, 4)
    probs = torch.tensor(logits).double().softmax(1)
    app = upload(npz(logits=probs.numpy(), target=target))
    assert not app.metric
    app.button(key="dump_are_probabilities").click()
    app = run(app)

    expected = F.nll_loss(probs.log(), torch.tensor(target))
    assert value(app, "loss (nats)") == f"{float(expected):.4f}"


def test_rows_that_are_all_ignored_are_said_to_be() -> None:
    app = upload(npz(logits=np.ones((4, 3), np.float32), target=np.full(4, -100)))

    assert "All 4 rows are ignored" in said(app)


@pytest.mark.parametrize(
    "logits",
    [
        np.array([[np.nan, 1, 2], [np.inf, 0, 1], [-np.inf, 3, 1]], np.float64),
        np.array([[1e308, -1e308, 0]] * 3, np.float64),
        np.zeros((3, 1), np.float32),
        np.ones((3, 3), np.float16),
    ],
    ids=["non-finite", "huge", "one class", "half"],
)
def test_odd_logits_are_shown(logits: np.ndarray) -> None:
    target = np.arange(3) % logits.shape[1]
    app = upload(npz(logits=logits, target=target))
    for row in range(3):
        app.number_input(key="dump_row").set_value(row)
        app = run(app)

    assert value(app, "rows") == "3"


def test_names_are_shown_as_they_are() -> None:
    logits, target = draw(40, 3)
    names = np.array(["<b>a</b>", "![x](http://127.0.0.1:9/x.png)", "$c$"])
    app = upload(npz(logits=logits, target=target, class_names=names))

    assert all("](http" not in element.value for element in app.markdown)
    assert set(app.dataframe[0].value["label"]) <= set(names)


def grad_norms(logits: np.ndarray, target: np.ndarray) -> np.ndarray:
    """‖p − y‖ of every row."""
    gradient = torch.tensor(logits).double().softmax(1).numpy()
    gradient[np.arange(len(target)), target] -= 1
    return np.linalg.norm(gradient, axis=1)


def test_the_suspects_are_ranked_as_chosen() -> None:
    logits, target = draw(200, 6)
    app = upload(npz(logits=logits, target=target))
    own = logits[np.arange(200), target]
    others = logits.copy()
    others[np.arange(200), target] = -np.inf
    margin = own - others.max(1)
    assert app.dataframe[0].value["rank"].tolist() == list(range(1, 201))

    app.button_group(key="dump_rank_by").set_value("margin")
    app = run(app)

    table = app.dataframe[0].value
    assert table["row"].tolist() == np.argsort(margin, kind="stable").tolist()
    np.testing.assert_allclose(table["margin"], np.sort(margin), rtol=1e-6)
    app.button_group(key="dump_rank_by").set_value("loss")
    app = run(app)
    assert app.dataframe[0].value["loss"].is_monotonic_decreasing


def test_a_large_dump_is_searched_for_wrong_labels_when_the_visitor_wants_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(core_analysis, "SAMPLE_ELEMENTS", 100)
    logits, target = draw(200, 6)
    logits[np.arange(200), target] += 4  # right in most rows
    app = upload(npz(logits=logits, target=target))

    assert "Wrong labels were not looked for" in said(app)
    assert "Ranked by the margin" in said(app)
    assert not [metric for metric in app.metric if metric.label.startswith("wrong labels")]
    table = app.dataframe[0].value
    assert "label wrong" not in table
    assert table["margin"].is_monotonic_increasing
    assert app.button_group(key="dump_rank_by_without").options == ["Margin", "Loss", "Gradient norm"]

    app.button(key="dump_look_for_wrong").click()
    app = run(app)

    summary = app.session_state["dump_run"].summary
    assert summary.rank_by == "suspicion"
    assert "not looked for" not in said(app)
    assert wrong_labels_words(summary) in said(app)
    assert app.dataframe[0].value["label wrong"].is_monotonic_decreasing


def test_a_filter_keeps_the_suspects_of_a_pair() -> None:
    logits, target = draw(200, 4)
    app = upload(npz(logits=logits, target=target))
    app.selectbox(key="dump_label").set_value(2)
    app.selectbox(key="dump_prediction").set_value(1)
    app = run(app)

    expected = np.flatnonzero((target == 2) & (logits.argmax(1) == 1))
    assert sorted(app.dataframe[0].value["row"]) == expected.tolist()


def test_the_fields_offer_the_labels_and_the_predictions_that_occur() -> None:
    """Labels 0 and 1, predictions 1 and 2; the first suspect is told by how much the model prefers another class."""
    logits = np.array([[0, 2, 1], [0, 1, 2], [0, 1.5, 1]], np.float32)
    app = upload(npz(logits=logits, target=np.array([0, 1, 1])))

    assert app.selectbox(key="dump_label").options == ["0", "1"]
    assert app.selectbox(key="dump_prediction").options == ["1", "2"]
    assert "the model prefers 1: e^2.00 = 7.4 times as probable" in said(app)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weight", [None, (1.0, 2.0, 0.5, 3.0)])
@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_what_a_change_of_a_row_would_do_is_what_pytorch_gives(
    reduction: str, weight: tuple[float, ...] | None, smoothing: float
) -> None:
    logits, target = draw(30, 4)
    z, y = torch.tensor(logits).double(), torch.tensor(target)
    options: dict[str, Any] = {"reduction": reduction, "label_smoothing": smoothing}
    summary = analyse(z, y, weight=weight, **options)
    row = int(summary.suspects.row[0])
    detail = row_detail(open_dump(z, y), row, summary)
    assert detail is not None
    if weight is not None:
        options["weight"] = torch.tensor(weight, dtype=torch.float64)

    relabelled = y.clone()
    relabelled[row] = z[row].argmax()
    rest = torch.arange(30) != row
    assert detail.whole_relabelled == pytest.approx(float(F.cross_entropy(z, relabelled, **options)), rel=1e-12)
    assert detail.whole_dropped == pytest.approx(float(F.cross_entropy(z[rest], y[rest], **options)), rel=1e-12)
    one = z[row : row + 1].clone().requires_grad_()
    F.cross_entropy(one, y[row : row + 1], **{**options, "reduction": "sum"}).backward()
    assert detail.scores.grad[0].tolist() == pytest.approx(one.grad[0].tolist(), abs=1e-12)


def test_a_row_opens_in_one_example() -> None:
    logits, target = draw(50, 4)
    app = upload(npz(logits=logits, target=target))
    app.number_input(key="dump_row").set_value(17)
    app = run(app)
    app.button(key="dump_open_example").click()
    app = run(app)

    sheet = app.session_state["visit"].sheet
    assert sheet.labels == (int(target[17]),)
    assert sheet.to_problem().logits.tolist() == logits[17:18].tolist()
    assert app.session_state["visit"].page == "one-example"


def test_the_first_suspects_open_in_batch() -> None:
    logits, target = draw(100, 4)
    app = upload(npz(logits=logits, target=target))
    rows = app.dataframe[0].value["row"][:64]
    app.button(key="dump_open_batch").click()
    app = run(app)

    problem = app.session_state["visit"].sheet.to_problem()
    assert torch.equal(problem.logits, torch.tensor(logits[rows]))
    assert problem.target.tolist() == target[rows].tolist()
    assert app.session_state["visit"].page == "batch"


def test_a_table_of_many_classes_keeps_the_loss() -> None:
    """What is left out becomes one logit, T·ln Σ e^{z/T}, so the losses of the rows stay."""
    logits, target = draw(20, 500)
    summary = analyse(logits, target, temperature=2.0)
    sheet, is_cut = sheet_of_rows(open_dump(logits, target), list(range(20)), summary)
    problem = sheet.to_problem()

    assert is_cut
    assert problem.logits.shape == (20, 64)
    shown = F.cross_entropy(problem.logits / problem.temperature, problem.target)
    whole = F.cross_entropy(torch.tensor(logits) / 2, torch.tensor(target))
    assert float(shown) == pytest.approx(float(whole), rel=1e-5)
    with pytest.raises(InvalidSheet):
        sheet_of_rows(open_dump(logits, target), list(range(20)) * 2, summary)
    assert MAX_WIDE_ROWS == 32


def test_rows_with_probabilities_as_labels_go_on_the_table_as_they_are() -> None:
    logits, _target = draw(12, 4)
    probs = np.random.default_rng(1).dirichlet(np.ones(4), 12)
    summary = analyse(logits, probs, temperature=2.0)

    with open_dump(logits, probs) as dump:
        sheet, is_cut = sheet_of_rows(dump, list(range(12)), summary)
        detail = row_detail(dump, 3, summary)

    problem = sheet.to_problem()
    shown = F.cross_entropy(problem.logits / problem.temperature, problem.target)
    others = F.cross_entropy(torch.tensor(logits) / 2, torch.tensor(probs), reduction="none")[np.arange(12) != 3]
    assert not is_cut
    assert float(shown) == pytest.approx(summary.loss, rel=1e-6)
    assert detail.whole_dropped == pytest.approx(float(others.mean()))
    assert float(detail.scores.target_prob) == probs[3].max()
    with (
        open_dump(np.tile(logits, 30), np.tile(probs / 30, 30)) as wide,
        pytest.raises(InvalidSheet, match="120 classes"),
    ):
        sheet_of_rows(wide, [0], analyse(np.tile(logits, 30), np.tile(probs / 30, 30), fit_temperature=False))


def test_files_of_the_server_are_not_offered_to_strangers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XENT_PUBLIC", "1")
    public = open_page().button_group(key="dump_source").options
    monkeypatch.delenv("XENT_PUBLIC")

    assert len(open_page().button_group(key="dump_source").options) == len(public) + 1


def test_strangers_may_not_load_more_than_the_server_can_bear(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "PUBLIC", replace(limits.PUBLIC, dump_rows=25, dump_logits=59, dump_classes=4))
    draws = draw(20, 3), draw(4, 5), draw(26, 2)
    files = [npz(logits=logits, target=target) for logits, target in draws]
    for file in files:
        assert value(upload(file), "rows")

    monkeypatch.setenv("XENT_PUBLIC", "1")
    first, second, third = (upload(file) for file in files)
    assert "20 rows of 3 classes came, expected at most 59 logits here" in first.error[0].value
    assert "at most 4 classes here" in second.error[0].value
    assert "26 rows of 2 classes came, expected at most 25 rows here" in third.error[0].value
    assert not first.metric


def test_an_analysis_that_takes_too_long_is_stopped_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    impatient = replace(limits.PUBLIC, work_seconds=0.0)
    monkeypatch.setattr(job_pool, "POOL", Pool(impatient))
    monkeypatch.setattr(limits, "OWN", impatient)
    monkeypatch.setattr(dump_run, "analyse", partial(analyse, batch_rows=10))

    assert "the first 10 of 1797 rows. An analysis may take 0 seconds on this server." in said(open_page())


def test_who_waits_reads_how_many_come_first(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, go_on = Pool(replace(limits.PUBLIC, workers=1)), Event()
    others = [pool.submit(lambda job: go_on.wait(60)) for _ in range(2)]
    monkeypatch.setattr(job_pool, "POOL", pool)
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 0.0)
    app = open_page()
    run(app)
    bar = app.get("progress")[0].proto

    assert bar.text == "2 others are before you."

    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    go_on.set()
    assert value(run(app), "rows") == "1797"
    assert [other.result() for other in others] == [True, True]


def test_who_comes_when_too_many_wait_is_told_to_come_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, go_on = Pool(replace(limits.PUBLIC, workers=1, waiting=0)), Event()
    busy = pool.submit(lambda job: go_on.wait(60))
    monkeypatch.setattr(job_pool, "POOL", pool)
    app = open_page()

    assert "Try again in a minute" in app.warning[0].value
    assert not app.metric

    go_on.set()
    assert busy.is_done(60)
    assert value(run(app), "rows") == "1797"


def test_who_stops_before_their_turn_may_begin_again(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, go_on = Pool(replace(limits.PUBLIC, workers=1)), Event()
    pool.submit(lambda job: go_on.wait(60))
    monkeypatch.setattr(job_pool, "POOL", pool)
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 0.0)
    app = open_page()
    app.button(key="dump_stop").click()
    run(app)
    assert app.info[0].value == "Stopped before it began."

    go_on.set()
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    app.button(key="dump_start").click()
    assert value(run(app), "rows") == "1797"


def test_a_file_on_this_computer_is_read_by_its_path(tmp_path: Path) -> None:
    logits, target = draw(30, 3)
    (tmp_path / "dump.npz").write_bytes(npz(logits=logits, target=target))
    app = open_page()
    app.button_group(key="dump_source").set_value("path")
    app = run(app)
    app.text_input(key="dump_logits_path").set_value(str(tmp_path / "dump.npz"))
    app = run(app)

    expected = F.cross_entropy(torch.tensor(logits).double(), torch.tensor(target))
    assert value(app, "loss (nats)") == f"{float(expected):.4f}"


@pytest.mark.parametrize("classes", [1000, 2500])
def test_many_classes_reach_the_browser_aggregated(classes: int) -> None:
    logits, target = draw(400, classes)
    app = upload(npz(logits=logits, target=target))
    sizes = [len(chart.proto.spec) for chart in app.get("plotly_chart")]

    assert len(sizes) == 6
    assert max(sizes) < 200_000
    assert value(app, "classes") == str(classes)


def test_sums_of_what_is_left_out_keep_the_total() -> None:
    matrix = np.arange(36.0).reshape(6, 6)
    small = dump_pairs.condensed(matrix, [1, 4], rows_too=True)

    assert small.shape == (3, 3)
    assert small.sum() == matrix.sum()
    assert small[:2, :2].tolist() == matrix[np.ix_([1, 4], [1, 4])].tolist()
    assert dump_pairs.condensed(matrix, [1, 4], rows_too=False).sum(1).tolist() == matrix[[1, 4]].sum(1).tolist()


def test_a_long_run_shows_how_far_it_is_and_can_be_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    """The analysis waits after its first batch of ten rows until the test has seen the bar; then it is stopped."""
    waits, go_on = Event(), Event()

    def slow(*parts: Any, progress: Any, **options: Any) -> Any:
        def held(told: Progress) -> object:
            progress(told)
            waits.set()
            go_on.wait(60)
            return progress(told)

        return analyse(*parts, progress=held, batch_rows=10, **options)

    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 0.0)
    monkeypatch.setattr(dump_run, "SECONDS_BETWEEN_SUMMARIES", 0.0)
    monkeypatch.setattr(dump_run, "analyse", slow)
    app = open_page()
    assert waits.wait(60)
    run(app)
    with np.load(your_logits.DIGITS) as digits:
        first = torch.tensor(digits["logits"][:10]).double(), torch.tensor(digits["target"][:10]).long()
    assert app.button(key="dump_stop").label == "Stop"
    assert value(app, "loss (nats)") == f"{float(F.cross_entropy(*first)):.4f}"
    assert not app.get("plotly_chart")

    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    app.session_state["dump_run"].job.stop()
    go_on.set()
    run(app)
    assert "Stopped: these are the first 10 of 1797 rows" in said(app)


def test_the_suspects_as_csv_run_no_formula() -> None:
    logits, target = draw(20, 3)
    summary = analyse(logits, target, class_names=["=1+1", "b", "c"])
    table = dump_suspects.suspect_table(summary, summary.suspects, np.arange(1, 21))
    text = dump_suspects.csv_of(table)

    assert len(text.splitlines()) == 21
    assert "'=1+1" in text
    assert ",=1+1" not in text
    row = dict(zip(text.splitlines()[0].split(","), text.splitlines()[1].split(","), strict=True))
    assert float(row["loss"]) == float(table["loss"][0])
    assert int(row["row"]) == table["row"][0]


def test_several_uploaded_shards_are_read_in_the_order_of_their_names() -> None:
    logits, target = draw(90, 4)
    app = open_page()
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    for name, part in (("b.npz", slice(30, 90)), ("a.npz", slice(0, 30))):
        app.file_uploader[0].upload(name, npz(logits=logits[part], target=target[part]))
    app = run(app)
    app.number_input(key="dump_row").set_value(30)
    app = run(app)

    expected = F.cross_entropy(torch.tensor(logits).double(), torch.tensor(target))
    assert value(app, "rows") == "90"
    assert value(app, "loss (nats)") == f"{float(expected):.4f}"
    own = F.cross_entropy(torch.tensor(logits[30:31]).double(), torch.tensor(target[30:31]))
    assert value(app, "loss") == f"{float(own):.4f}"


def upload_all(*files: tuple[str, bytes]) -> AppTest:
    app = open_page()
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    for name, data in files:
        app.file_uploader[0].upload(name, data)
    return run(app)


def test_several_files_are_said_to_be_parts_of_one_dump_and_in_which_order() -> None:
    parts = [draw(20, 3, seed=seed) for seed in (1, 2)]
    files = [npz(logits=logits, target=target) for logits, target in parts]
    app = upload_all(("part-10.npz", files[1]), ("part-9*.npz", files[0]))

    assert "Read in this order: part-9*.npz, part-10.npz." in said(app)
    assert "Read: parts of one dump, one below the other" in said(app)
    assert value(app, "rows") == "40"
    app.button_group(key="dump_several").set_value("shards")
    app = run(app)
    assert "Read as parts of one dump, one below the other: part-9*.npz, part-10.npz." in said(app)


def test_while_it_is_asked_what_files_are_nothing_says_that_it_is_known() -> None:
    chance = np.random.default_rng(0)
    target = chance.integers(0, 3, 40)
    files = [npz(logits=chance.normal(size=(40, 3)), target=target) for _epoch in range(2)]
    app = upload_all(("epoch_1.npz", files[0]), ("epoch_2.npz", files[1]))

    assert app.button(key="dump_columns_0")
    assert "Read in this order: epoch_1.npz, epoch_2.npz." in said(app)
    assert "parts of one dump, one below" not in said(app)


def test_an_upload_is_still_there_after_another_page_or_the_example_until_it_is_closed() -> None:
    logits, target = draw(24, 3)
    app = upload(npz(logits=logits, target=target))
    before = app.session_state["dump_run"]
    app = run(app.switch_page("pages/explore/batch.py"))
    app = run(app.switch_page("pages/apply/your_logits.py"))
    assert app.session_state["dump_run"] is before
    assert value(app, "rows") == "24"
    assert "Still open: dump.npz" in said(app)

    app.button_group(key="dump_source").set_value("example")
    app = run(app)
    assert value(app, "rows") == "1797"
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    assert value(app, "rows") == "24"
    app.button(key="dump_logits_close").click()
    app = run(app)
    assert not app.metric
    assert app.session_state["dump_run"] is None


def test_a_file_that_comes_after_another_page_takes_the_place_of_what_was_open() -> None:
    app = upload(npz(logits=draw(24, 3)[0], target=draw(24, 3)[1]))
    app = run(app.switch_page("pages/explore/batch.py"))
    app = run(app.switch_page("pages/apply/your_logits.py"))
    logits, target = draw(7, 3)
    app.file_uploader[0].upload("other.npz", npz(logits=logits, target=target))
    app = run(app)
    assert value(app, "rows") == "7"
    assert "Still open" not in said(app)


def test_names_of_classes_are_typed_and_a_refusal_names_the_fields_of_the_page() -> None:
    logits, _target = draw(12, 3)
    app = upload(npz(logits=logits, target=np.array(["cat", "dog", "eel"] * 4)))
    [words] = [error.value.replace("\\", "") for error in app.error]
    assert "--" not in words
    assert "“Names of the classes” under “Columns of a table”" in words

    app.text_input(key="dump_class_names").set_value("cat, dog,eel")
    app = run(app)
    assert not app.error
    assert app.session_state["dump_run"].summary.class_names == ("cat", "dog", "eel")
    expected = F.cross_entropy(torch.tensor(logits).double(), torch.tensor([0, 1, 2] * 4))
    assert value(app, "loss (nats)") == f"{float(expected):.4f}"


def test_a_file_of_another_dump_is_named_and_what_to_do_in_the_words_of_the_upload() -> None:
    first, second = (npz(logits=draw(20, classes)[0], target=draw(20, 3)[1]) for classes in (3, 4))
    app = upload_all(("new.npz", first), ("and.npz", second))
    [words] = [error.value.replace("\\", "") for error in app.error]

    assert "new.npz: logits has shape (…, 3) and dtype float32, expected the same as and.npz: logits has:" in words
    assert "and.npz came last. Remove what is of another dump (×)." in words
    assert "shard" not in words


def test_a_file_that_is_there_twice_is_refused_before_its_rows_count_twice() -> None:
    logits, target = draw(20, 3)
    data = npz(logits=logits, target=target)
    app = upload_all(("a.npz", data), ("copy.npz", data))
    [words] = [error.value.replace("\\", "") for error in app.error]

    assert words.startswith("copy.npz holds the same as a.npz")
    assert not app.metric


def test_of_one_row_one_speaks_of_one() -> None:
    logits, _target = draw(8, 3)
    app = upload(npz(logits=logits, target=np.array([0, 0, 0, 2, 0, 0, 0, 0])))
    app.selectbox(key="dump_label").set_value(2)
    app = run(app)
    assert "1 of 8 rows is chosen; it carries" in said(app)
    assert app.button(key="dump_open_batch").label == "Open the first row in Batch"

    app = upload(npz(logits=logits[:1], target=np.array([-100])))
    assert "The only row is ignored" in said(app)
    logits[3] = np.nan
    app = upload(npz(logits=logits, target=np.zeros(8, np.int64)))
    assert "The gradient of 1 row is not finite; it is left out of its sums." in said(app)


def test_no_field_looks_as_if_it_were_filled_in() -> None:
    logits, target = draw(8, 3)
    app = upload(npz(logits=logits, target=target))
    placeholders = [field.placeholder for field in app.text_input if field.placeholder]

    assert len(placeholders) > 5
    assert [text for text in placeholders if not text.startswith("such as ")] == []


def test_the_chance_of_a_wrong_label_is_written_in_percent() -> None:
    [table] = [table for table in open_page().dataframe if "label wrong" in table.value]
    columns = json.loads(table.proto.columns)

    assert columns["label wrong"]["type_config"]["format"] == "percent"
    assert columns["label wrong"]["help"] == "The estimated probability that the label is wrong"


def test_the_fields_choose_among_all_rows_not_among_the_first_suspects() -> None:
    """Rows that are right have the largest margins: the last of 4000, of which a thousand are kept as suspects."""
    logits, target = draw(4000, 4)
    own = logits[np.arange(4000), target]
    others = logits.copy()
    others[np.arange(4000), target] = -np.inf
    margin = own - others.max(1)
    app = upload(npz(logits=logits, target=target))
    app.number_input(key="dump_margin_from").set_value(2.5)
    app.selectbox(key="dump_label").set_value(1)
    app = run(app)

    wanted = np.flatnonzero((margin >= 2.5) & (target == 1))
    assert 0 < len(wanted) < 1000
    table = app.dataframe[0].value
    assert sorted(table["row"]) == wanted.tolist()
    assert table["rank"].is_monotonic_increasing
    shares = grad_norms(logits, target)
    share = 100 * shares[wanted].sum() / shares.sum()
    assert f"{len(wanted)} of 4000 rows are chosen; they carry {share:.1f} % of the gradient." in said(app)
    choice = Choice(range(1, 2), margin=(2.5, np.inf))
    exported = dump_suspects._csv_of_choice(app.session_state["dump_run"], choice, "suspicion")
    assert len(exported.splitlines()) == 1 + len(wanted)
    app.button(key="dump_all_rows").click()
    assert len(run(app).dataframe[0].value) == 1000


def test_a_chosen_pair_is_as_many_rows_as_its_cell_says() -> None:
    logits, target = draw(500, 3)
    app = upload(npz(logits=logits, target=target))
    app.button_group(key="dump_quantity").set_value("confusion")
    app.selectbox(key="dump_label").set_value(2)
    app.selectbox(key="dump_prediction").set_value(2)
    app = run(app)

    count = int(((target == 2) & (logits.argmax(1) == 2)).sum())
    assert f"{count} of 500 rows are chosen" in said(app)
    pair = app.dataframe[1].value
    assert pair[(pair["label"] == "2") & (pair["prediction"] == "2")]["rows"].tolist() == [count]


def test_names_of_examples_and_norms_of_the_last_layer_stand_in_the_table() -> None:
    logits, target = draw(40, 3)
    names = np.array([f"image {row}.png" for row in range(40)])
    features = np.random.default_rng(1).normal(size=(40, 5))
    app = upload(npz(logits=logits, target=target, ids=names, features=features))

    table = app.dataframe[0].value
    assert table["example"].tolist() == [f"image {row}.png" for row in table["row"]]
    norms = table["gradient norm"] * np.sqrt((features[table["row"]] ** 2).sum(1) + 1)
    np.testing.assert_allclose(table["norm of the last layer"], norms, rtol=1e-6)
    assert "norm of the last layer" in [metric.label for metric in app.metric]


def test_a_pair_of_groups_is_looked_into_class_by_class(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    logits, target = draw(600, 2100)
    target[:] = np.arange(600) % 5  # groups of three: labels 0 to 4 lie in the first two
    guess = np.arange(600) // 5 % 7 % 3  # the rows of a pair differ: 52, 34 and 34 of each label
    logits[np.arange(600), guess] = 20
    app = upload(npz(logits=logits, target=target))
    app.selectbox(key="dump_label").set_value(1)
    app.selectbox(key="dump_prediction").set_value(0)
    app = run(app)
    app.button(key="dump_look").click()
    app = run(app)

    table = next(frame.value for frame in app.dataframe if "mean gradient" in frame.value)
    found = {(row["label"], row["prediction"]): row["rows"] for _, row in table.iterrows()}
    assert found == {
        (str(label), str(k)): int(((target == label) & (guess == k)).sum()) for label in (3, 4) for k in range(3)
    }
    detail = pair_detail(
        open_dump(logits, target), range(3, 6), range(0, 3), app.session_state["dump_run"].summary.options
    )
    assert table["rows"].tolist() == sorted(table["rows"], reverse=True)
    first = table.iloc[0]
    assert first["mean gradient"] == detail.mean_gradient[int(first["label"]) - 3, int(first["prediction"])]


def test_what_a_run_has_written_goes_with_it() -> None:
    logits, target = draw(30, 3)
    analysis = DumpAnalysis(AnalysisRequest("dump", ("dump",), logits, target, None, LossOptions()))
    assert analysis.selection(Choice(label=range(0, 1)), "suspicion").rows == (target == 0).sum()
    folder = Path(analysis._folder.name)
    assert folder.exists()
    analysis.end()

    assert not folder.exists()


def _table(*prefixes: str) -> bytes:
    logits, target = draw(30, 3)
    names = [f"{prefix}{c}" for prefix in prefixes for c in range(3)]
    rows = [",".join(map(str, [*(logits[i].tolist() * len(prefixes)), target[i]])) for i in range(30)]
    return "\n".join([",".join([*names, "target"]), *rows]).encode()


def test_what_was_made_of_the_columns_is_said() -> None:
    app = upload(_table("prob_"), "t.csv")

    said = [caption.value.replace("\\", "") for caption in app.caption]
    assert "Read: 3 classes: prob_0, prob_1, prob_2; label: target" in said


def test_columns_that_can_be_read_in_two_ways_are_asked_about_and_the_answer_is_kept() -> None:
    app = upload(_table("a_", "b_"), "t.csv")

    assert any("more than one way" in warning.value for warning in app.warning)
    app.button(key="dump_columns_1").click()
    app = run(app)
    assert not app.exception
    assert app.session_state["dump_run"].summary.reading.classes == ("b_0", "b_1", "b_2")


def test_columns_can_be_named_in_the_fields() -> None:
    app = upload(_table("a_", "b_"), "t.csv")

    app.text_input(key="dump_column_classes").set_value("a_*")
    app = run(app)

    assert app.session_state["dump_run"].summary.reading.classes == ("a_0", "a_1", "a_2")


def test_the_noise_matrices_of_this_project_and_of_cleanlab_stand_side_by_side() -> None:
    app = open_page()
    app.session_state["dump_noise"] = True
    app = run(app)
    summary = analyse(your_logits.DIGITS)

    figures = [json.loads(chart.proto.spec)["data"] for chart in app.get("plotly_chart")]
    drawn = [_array(trace["z"]) for figure in figures for trace in figure if trace["type"] == "heatmap"]
    for expected in (summary.noise_matrix, summary.cleanlab_noise_matrix):
        assert expected is not None
        assert any(np.allclose(shown, 100 * expected.ravel(), atol=1e-9) for shown in drawn)
    assert "overlap counts as noise" in said(app)


def _array(value: dict[str, str]) -> np.ndarray:
    return np.frombuffer(base64.b64decode(value["bdata"]), dtype=np.dtype(value["dtype"]).newbyteorder("<"))


def test_the_verdict_on_calibration_comes_before_its_numbers() -> None:
    app = open_page()
    summary = analyse(your_logits.DIGITS)

    assert calibration_verdict(summary) in said(app)
    table = app.table[0].value
    assert table["value"].tolist() == [value for _name, value, _within in main_calibration_numbers(summary)]


def epochs_of_wrong_labels() -> tuple[list[np.ndarray], np.ndarray]:
    """Three epochs; the first ten labels are wrong, and the last epoch has learnt them."""
    chance = np.random.default_rng(5)
    true = chance.integers(0, 4, EPOCH_ROWS)
    target = np.where(np.arange(EPOCH_ROWS) < 10, (true + 1) % 4, true)
    shown = (true, true, target)
    return [
        (chance.normal(size=(EPOCH_ROWS, 4)) + 3 * np.eye(4)[labels]).astype(np.float32) for labels in shown
    ], target


def upload_epochs(numbers: tuple[int, ...] = (10, 1, 2)) -> AppTest:
    logits, target = epochs_of_wrong_labels()
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
    app = upload_epochs()
    assert "3 files came, and their names count epochs" in said(app)
    app.button(key="dump_columns_0").click()
    app = run(app)

    logits, target = epochs_of_wrong_labels()
    summary = analyse(logits, target, epochs=True)
    found = summary.epochs
    assert found is not None
    assert app.button_group(key="dump_several").value == "epochs"
    assert value(app, "rows") == str(EPOCH_ROWS)
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
    app = upload_epochs()
    app.button_group(key="dump_several").set_value("epochs")
    app = run(app)
    found = analyse(*epochs_of_wrong_labels(), epochs=True).epochs
    assert found is not None
    app.button_group(key="dump_rank_by_epochs").set_value("aum")
    app.number_input(key="dump_confidence_to").set_value(0.5)
    app.number_input(key="dump_variability_from").set_value(0.1)
    app = run(app)

    wanted = np.flatnonzero((found.confidence <= 0.5) & (found.variability >= 0.1))
    assert 0 < len(wanted) < EPOCH_ROWS
    assert app.dataframe[0].value["row"].tolist() == wanted[np.argsort(found.aum[wanted])].tolist()
    assert f"{len(wanted)} of {EPOCH_ROWS} rows are chosen" in said(app)


def test_parts_are_one_dump_without_a_map() -> None:
    app = upload_epochs()
    app.button(key="dump_columns_1").click()
    app = run(app)

    assert value(app, "rows") == str(3 * EPOCH_ROWS)
    assert "AUM" not in app.dataframe[0].value
    assert not any("Data map" in element.value for element in app.markdown)


def test_a_single_row_is_read_again_from_the_last_epoch() -> None:
    app = upload_epochs()
    app.button_group(key="dump_several").set_value("epochs")
    app = run(app)
    app.number_input(key="dump_row").set_value(7)
    app = run(app)

    logits, target = epochs_of_wrong_labels()
    row = logits[-1][7].astype(float)
    loss = np.log(np.exp(row - row.max()).sum()) + row.max() - row[target[7]]
    assert value(app, "loss") == f"{loss:.4f}"


def test_nan_in_a_row_is_named_beside_the_loss_and_what_it_is_without() -> None:
    logits, target = draw(30, 3)
    rest = np.arange(30) != 7
    expected = F.cross_entropy(torch.tensor(logits[rest]).double(), torch.tensor(target[rest]))
    logits[7, 1] = np.nan
    app = upload(npz(logits=logits, target=target))

    assert value(app, "loss (nats)") == "NaN"
    assert f"1 row has a loss of NaN: row 7. Without it the loss is {float(expected):.4f}." in said(app)
    assert app.dataframe[0].value["row"].iloc[-1] == 7
    assert app.dataframe[0].value["rank"].iloc[-1] == 30


def test_of_a_single_row_nothing_is_made_up() -> None:
    app = upload(npz(logits=np.array([[0.2, 0.0]]), target=np.array([0])))

    assert "Too few rows to say: it says 0.55 on average, and is right 1.00 of the time." in said(app)
    assert "It is the only row: without it nothing is left to average." in said(app)
    assert not re.search(r"\bnan\b|without this row", said(app), re.IGNORECASE)


def test_the_columns_of_the_suspects_are_explained() -> None:
    app = open_page()
    columns = json.loads(app.dataframe[0].proto.columns)

    for name in ("EL2N", "entropy", "margin", "loss", "gradient norm"):
        assert glossary.explained({"loss": "row loss"}.get(name, name)) in columns[name]["help"]
