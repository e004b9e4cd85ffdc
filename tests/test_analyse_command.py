"""python -m xent_core analyse, from a dump of real logits to the table of scores, the report and the JSON."""

import base64
import csv
import errno
import io
import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from sklearn.metrics import accuracy_score, average_precision_score

from scripts.make_digits_dump import DigitsDump, make
from xent_core.__main__ import main
from xent_core.cli.analyse_command import summary_text
from xent_core.dump import analyse, scores_table, temperature
from xent_core.dump.report import SHOWN_SUSPECTS, _cell, report_html
from xent_core.dump.temperature import slope_of

torch.set_num_threads(1)  # a second thread only waits for the first on small dumps

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def digits() -> DigitsDump:
    return make(0.1, seed=0)


@pytest.fixture
def dump_path(tmp_path: Path, digits: DigitsDump) -> Path:
    names = np.array([f"<b>digit {digit}</b>" for digit in range(10)])
    path = tmp_path / "digits.npz"
    np.savez(path, logits=digits.logits, target=digits.target, features=digits.features, class_names=names)
    return path


def test_the_digits_go_all_the_way(tmp_path: Path, dump_path: Path, digits: DigitsDump) -> None:
    files = {"scores": tmp_path / "s.parquet", "report": tmp_path / "r.html"}
    arguments = ["--scores", str(files["scores"]), "--report", str(files["report"]), "--json"]
    command = [sys.executable, "-m", "xent_core", "analyse", str(dump_path), *arguments]

    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)

    assert ran.returncode == 0, ran.stderr
    numbers = json.loads(ran.stdout)
    logits, target = torch.tensor(digits.logits), torch.tensor(digits.target)
    assert (numbers["rows"], numbers["kept"], numbers["classes"]) == (len(target), len(target), 10)
    assert numbers["loss"] == pytest.approx(float(F.cross_entropy(logits, target)), rel=1e-6)
    assert numbers["accuracy"] == accuracy_score(digits.target, digits.logits.argmax(1))
    assert 0 < numbers["expected_calibration_error"] < 1
    at_best = F.cross_entropy(logits / numbers["best_temperature"], target)
    assert numbers["loss"] - float(at_best) == pytest.approx(numbers["temperature_gain"], rel=1e-3)
    table = pq.read_table(files["scores"])
    assert table.column_names[:11] == [
        "row",
        "target",
        "prediction",
        "loss",
        "el2n",
        "grad_norm",
        "margin",
        "prob",
        "entropy",
        "suggested",
        "rank",
    ]
    found = average_precision_score(digits.flipped, -table["rank"].to_numpy())
    assert found > 0.95
    page = files["report"].read_text("utf-8")
    assert "<b>digit" not in page
    assert "&lt;b&gt;digit 3&lt;/b&gt;" in page
    assert not re.search(r"<script|https?://|src=|@import|url\(", page)


def test_the_wrong_labels_are_counted_and_the_order_can_be_chosen(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, dump_path: Path, digits: DigitsDump
) -> None:
    scores = tmp_path / "s.parquet"
    arguments = ["analyse", str(dump_path), "--no-temperature", "--rank-by", "loss", "--scores", str(scores)]

    assert main([*arguments, "--json"]) == 0
    numbers = json.loads(capsys.readouterr().out)
    assert main(arguments) == 0
    text = capsys.readouterr().out

    low, high = numbers["wrong_labels_interval"]
    assert low < digits.flipped.sum() < high
    assert numbers["wrong_labels"] == pytest.approx(digits.flipped.sum(), rel=0.15)
    assert f"about {numbers['wrong_labels']:.0f}, between {low:.0f} and {high:.0f}" in text
    matrix = np.array(numbers["noise_matrix"])
    assert matrix.sum(1) == pytest.approx(np.ones(10))
    largest = (matrix * (1 - np.eye(10))).max()
    assert f"in {largest:.1%} of its rows" in text
    table = pq.read_table(scores).sort_by("rank")
    assert np.all(np.diff(table["loss"].to_numpy()) <= 0)
    p_wrong = table["p_wrong"].to_numpy()
    assert p_wrong.sum() == pytest.approx(numbers["wrong_labels"])


def test_scores_as_csv_are_those_of_parquet(tmp_path: Path, dump_path: Path) -> None:
    assert main(["analyse", str(dump_path), "--scores", str(tmp_path / "s.csv"), "--no-temperature"]) == 0
    assert main(["analyse", str(dump_path), "--scores", str(tmp_path / "s.parquet"), "--no-temperature"]) == 0

    with (tmp_path / "s.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for row, expected in zip(rows, pq.read_table(tmp_path / "s.parquet").to_pylist(), strict=True):
        assert {name: float(value) for name, value in row.items()} == expected


def test_the_options_have_pytorchs_names(capsys: pytest.CaptureFixture[str], dump_path: Path) -> None:
    weight = [0.5, *[1.0] * 9]
    options = ["--weight", ",".join(map(str, weight)), "--label-smoothing", "0.1", "--ignore-index", "3"]

    assert main(["analyse", str(dump_path), "--json", *options, "--temperature", "2", "--reduction", "sum"]) == 0

    numbers = json.loads(capsys.readouterr().out)
    dump = np.load(dump_path)
    loss = F.cross_entropy(
        torch.tensor(dump["logits"]).double() / 2,
        torch.tensor(dump["target"]),
        weight=torch.tensor(weight).double(),
        label_smoothing=0.1,
        ignore_index=3,
        reduction="sum",
    )
    assert numbers["loss"] == pytest.approx(float(loss), rel=1e-6)
    assert numbers["kept"] == int((dump["target"] != 3).sum())


def test_what_belongs_to_the_rows_may_lie_in_files_of_its_own(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, digits: DigitsDump
) -> None:
    chance = np.random.default_rng(0)
    parts = {
        "features": digits.features,
        "sample_weight": chance.uniform(0.5, 2, len(digits.target)),
        "ids": np.array([f"image {row}" for row in range(len(digits.target))]),
        "class_names": np.array([f"digit {c}" for c in range(10)]),
        "logits": digits.logits,
        "target": digits.target,
    }
    for name, values in parts.items():
        np.save(tmp_path / f"{name}.npy", values)
    flags = [
        flag for name in list(parts)[:4] for flag in (f"--{name.replace('_', '-')}", str(tmp_path / f"{name}.npy"))
    ]
    files = [str(tmp_path / "logits.npy"), str(tmp_path / "target.npy")]

    arguments = [*flags, "--scores", str(tmp_path / "s.parquet"), "--report", str(tmp_path / "r.html"), "--json"]
    assert main(["analyse", *files, *arguments]) == 0

    weight = torch.tensor(parts["sample_weight"])
    rows = F.cross_entropy(torch.tensor(digits.logits).double(), torch.tensor(digits.target), reduction="none")
    numbers = json.loads(capsys.readouterr().out)
    assert numbers["loss"] == pytest.approx(float((weight * rows).sum() / weight.sum()), rel=1e-6)
    table = pq.read_table(tmp_path / "s.parquet").to_pandas()
    assert table["id"].tolist() == parts["ids"].tolist()
    norm = table["grad_norm"] * np.sqrt((digits.features.astype(float) ** 2).sum(1) + 1)
    np.testing.assert_allclose(table["last_layer_norm"], norm, rtol=1e-6)
    assert "digit 7" in (tmp_path / "r.html").read_text("utf-8")


def test_probabilities_are_asked_about_and_the_answer_is_an_option(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, digits: DigitsDump
) -> None:
    probs = torch.tensor(digits.logits).double().softmax(1)
    np.savez(tmp_path / "p.npz", logits=probs.numpy(), target=digits.target)

    assert main(["analyse", str(tmp_path / "p.npz"), "--json"]) == 2
    assert "--logits-are probabilities" in capsys.readouterr().err
    assert main(["analyse", str(tmp_path / "p.npz"), "--json", "--logits-are", "probabilities"]) == 0
    loss = F.cross_entropy(torch.tensor(digits.logits).double(), torch.tensor(digits.target))
    assert json.loads(capsys.readouterr().out)["loss"] == pytest.approx(float(loss), rel=1e-9)


def test_without_json_the_numbers_are_lines_of_text(capsys: pytest.CaptureFixture[str], dump_path: Path) -> None:
    assert main(["analyse", str(dump_path)]) == 0

    assert re.search(r"^accuracy +0\.\d{4}$", capsys.readouterr().out, re.MULTILINE)


def test_a_mistake_is_one_line_and_exit_code_2(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["analyse", str(tmp_path / "no.npy")]) == 2

    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "no.npy" in error
    assert "Traceback" not in error


@pytest.mark.skipif(os.name == "nt", reason="Ctrl-C is another thing there")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_whoever_is_stopped_prints_what_has_been_read_and_leaves_no_part_under_a_final_name(
    tmp_path: Path, number: signal.Signals, code: int
) -> None:
    rows, classes = 4_000_000, 1000
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({rows}, {classes}), }}".ljust(117) + "\n"
    with (tmp_path / "sparse.npy").open("wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode())
        file.truncate(file.tell() + 4 * rows * classes)
    np.save(tmp_path / "target.npy", np.zeros(rows, np.int64))
    command = [sys.executable, "-m", "xent_core", "analyse", "sparse.npy", "target.npy", "--json"]
    command += ["--scores", "s.parquet", "--report", "r.html"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    running = subprocess.Popen(
        command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    assert running.stderr is not None
    first_progress = running.stderr.readline()  # it has begun to count
    running.send_signal(number)

    out, err = running.communicate(timeout=max(deadline - time.monotonic(), 1))

    assert "rows/s" in first_progress
    assert running.returncode == code, err
    numbers = json.loads(out)
    assert numbers["stopped"] == "rows"
    assert 0 < numbers["rows"] < rows == numbers["total_rows"]
    assert numbers["complete"] is False
    assert numbers["loss"] == pytest.approx(np.log(classes), rel=1e-6)
    assert f"the first {numbers['rows']} of {rows} rows" in err
    assert pq.read_table(tmp_path / "s.partial.parquet").num_rows == numbers["rows"]
    assert "Stopped early" in (tmp_path / "r.partial.html").read_text("utf-8")
    written = {"s.partial.parquet", "r.partial.html"}
    assert {path.name for path in tmp_path.iterdir()} == {"sparse.npy", "target.npy", *written}


ONE_OF_A_HUNDRED_WRONG = np.array([[0.0, np.log(3)], *[[np.log(3), 0.0]] * 99])
"""All rows have p = 0.75 and 0.25; the first is wrong: its norm is 0.75·√2, that of the others 0.25·√2."""


def test_the_report_says_what_one_percent_carries_and_how_confidence_meets_accuracy() -> None:
    summary = analyse(ONE_OF_A_HUNDRED_WRONG, np.zeros(100, np.int64), fit_temperature=False)
    page = report_html(summary, title="x")

    assert "The largest 1 % of the examples carry 2.9% of the gradient." in page  # 0.75 / (0.75 + 99 · 0.25)
    assert re.findall(r"<td>([\d.]+%)</td><td>([\d.]+%)</td>", page) == [
        ("0.1%", "0.3%"),  # a tenth of the row that is wrong
        ("1.0%", "2.9%"),
        ("5.0%", "6.9%"),  # (0.75 + 4 · 0.25) / 25.5, and so on
        ("10.0%", "11.8%"),
        ("25.0%", "26.5%"),
        ("50.0%", "51.0%"),
    ]
    bins = re.findall(
        r"<tr><td>(\d.\d\d … \d.\d\d)</td><td>(\d+)</td><td>(.+?)</td><td>(.+?)</td><td>(.+?)</td></tr>", page
    )
    assert [(place, int(rows), float(p), float(right), within) for place, rows, p, right, within in bins] == [
        ("0.73 … 0.80", 100, 0.75, 0.99, "0.9564 … 0.9978")  # Wilson's, as scipy.stats.binomtest has it
    ]


@pytest.mark.parametrize(
    ("value", "share", "colour"),
    [(0.5, 60, "other"), (-0.25, 30, "bar"), (0.05, 6, "other"), (0.0, 0, "bar"), (math.nan, 0, "bar")],
)
def test_a_cell_of_the_report_is_as_strong_as_its_number(value: float, share: int, colour: str) -> None:
    """60 % for the largest."""
    assert f"var(--{colour}) {share}%" in _cell(value, 0.5)


def test_the_lines_of_text_say_what_the_numbers_are() -> None:
    """The loss is ln 4 in one row and ln 4/3 in 99; of two more rows one is NaN and one ignored."""
    logits = np.concatenate([ONE_OF_A_HUNDRED_WRONG, [[np.nan, 0.0], [0.0, 0.0]]])
    target = np.array([0] * 101 + [-100])
    text = summary_text(analyse(logits, target, fit_temperature=False))

    *texts, verdict, why, words = text.splitlines()
    assert verdict == "Under-confident: it says 0.75 on average, and is right 0.99 of the time."
    assert why.startswith("Equal widths put 100% of the rows into one bin")
    assert words.startswith("Wrong labels, estimated: about 1 of 101, from 0 to 3.")
    lines = dict(re.split("  +", line) for line in texts)
    quantiles = {lines.pop(f"loss below which {share} of the rows lie") for share in ("50.0%", "90.0%")}
    assert [float(one) for one in quantiles] == [pytest.approx(math.log(4 / 3), rel=0.05)] * len(quantiles)
    assert float(lines.pop("loss below which 99.9% of the rows lie")) == pytest.approx(math.log(4), rel=0.05)
    del lines["loss below which 99.0% of the rows lie"]
    # every row says 0.75; one of 100 is wrong
    widths = lines.pop("expected calibration error")
    assert widths.startswith("0.24, 9 times in 10 within 0.2")
    assert lines.pop("the same, bins of as many rows each") == widths
    # the wrong one is the only row of its prediction: 0.99 · 0.25 + 0.01 · 0.75
    assert lines.pop("the same, by predicted class").startswith("0.255, ")
    assert lines.pop("the same, class by class").startswith("0.255, ")
    assert float(lines.pop("Brier score")) == pytest.approx(2 * (0.99 * 0.25**2 + 0.01 * 0.75**2), abs=1e-4)
    assert lines == {
        "read": "2 classes; label: target",
        "rows": "102",
        "kept": "101",
        "classes": "2",
        "loss": "nan",
        "accuracy": "0.9802",
        "gradient carried by the largest 1%": "2.9%",
        "gradient carried by the largest 10%": "11.8%",
        "rows whose gradient is not finite": "1",
        "wrong labels, estimated": "about 1, between 0 and 3",
    }


def test_a_report_without_a_single_finite_number_is_still_a_report() -> None:
    page = report_html(analyse(np.full((3, 2), np.nan), [0, 1, 0]), title="<x>")

    assert "<h1>&lt;x&gt;</h1>" in page
    assert "nan" in page


def test_whoever_is_stopped_while_the_temperature_is_sought_keeps_all_else(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, dump_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slope_then_signal(*arguments: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return slope_of(*arguments)

    monkeypatch.setattr(temperature, "slope_of", slope_then_signal)
    scores, report = tmp_path / "s.csv", tmp_path / "r.html"

    assert main(["analyse", str(dump_path), "--scores", str(scores), "--report", str(report)]) == 130

    captured = capsys.readouterr()
    rows = len(np.load(dump_path)["target"])
    assert re.search(r"^partial +without the best temperature$", captured.out, re.MULTILINE)
    assert re.search(rf"^rows +{rows}$", captured.out, re.MULTILINE)
    assert "Stopped while the best temperature was looked for" in captured.err
    assert len(scores.read_text("utf-8").splitlines()) == 1 + rows
    assert not report.exists()
    assert "the best temperature is missing" in (tmp_path / "r.partial.html").read_text("utf-8")


def full_disk(*_arguments: Any, **_keywords: Any) -> Any:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize(
    ("name", "broken"),
    [("report.html", (Path, "write_text")), ("scores.csv", (scores_table, "_write_csv"))],
)
def test_a_full_disk_names_the_file_and_the_result_is_printed_all_the_same(
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    dump_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    broken: tuple[Any, str],
) -> None:
    monkeypatch.setattr(*broken, full_disk)
    path = tmp_path / name
    option = f"--{path.stem}"

    assert main(["analyse", str(dump_path), "--no-temperature", option, str(path)]) == 2

    captured = capsys.readouterr()
    assert captured.err.splitlines()[-1].endswith(f"{path} could not be written: No space left on device")
    assert re.search(r"^accuracy +0\.", captured.out, re.MULTILINE)
    assert [entry.name for entry in tmp_path.iterdir()] == [dump_path.name]


def test_a_disk_that_fills_up_in_the_midst_of_the_scores_ends_them_alone(
    tmp_path: Path, dump_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores_table.ScoresFile, "_write", full_disk)

    with pytest.raises(scores_table.UnwrittenScores) as caught:
        analyse(dump_path, scores=tmp_path / "s.parquet", batch_rows=100)

    assert caught.value.filename == str(tmp_path / "s.parquet")
    assert caught.value.summary.as_json().split('"seconds"')[0] == analyse(dump_path).as_json().split('"seconds"')[0]
    assert [entry.name for entry in tmp_path.iterdir()] == [dump_path.name]


def test_the_report_shows_the_pictures_and_texts_of_its_suspects_and_holds_no_html_of_theirs(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    rows = 120
    images = chance.integers(0, 256, (rows, 8, 8)).astype(np.uint8)
    table = {f"logit_{c}": chance.normal(size=rows) for c in range(3)}
    table |= {
        "label": chance.integers(0, 3, rows),
        "body": [f"<img src=x onerror=alert(1)> {row}" for row in range(rows)],
        "<b>from</b>": [f"<i>{row}</i>" for row in range(rows)],
    }
    pd.DataFrame(table).to_csv(tmp_path / "dump.csv", index=False)
    np.save(tmp_path / "images.npy", images)
    report = tmp_path / "r.html"
    command = ["analyse", str(tmp_path / "dump.csv"), "--text", "body", "--show", "<b>from</b>"]
    command += ["--image", str(tmp_path / "images.npy"), "--report", str(report), "--no-temperature"]

    assert main(command) == 0

    page = report.read_text("utf-8")
    drawn = re.findall(r'<td><img alt="" src="data:image/png;base64,([^"]+)"></td>', page)
    ranked = analyse(tmp_path / "dump.csv").suspects.row[:SHOWN_SUSPECTS]
    assert len(drawn) == SHOWN_SUSPECTS
    for row, data in zip(ranked, drawn, strict=True):
        pixels = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))[::12, ::12]
        np.testing.assert_array_equal(pixels, images[row])
    assert f"&lt;img src=x onerror=alert(1)&gt; {ranked[0]}" in page
    assert f"&lt;i&gt;{ranked[0]}&lt;/i&gt;" in page
    assert page.count("<img") == SHOWN_SUSPECTS
    assert "<i>" not in page
    assert "<b>from" not in page
