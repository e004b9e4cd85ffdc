"""Files as other libraries wrote them are read as what they are, and damaged ones get one sentence.

tests/data/dumps/ holds what scripts/make_dump_files.py wrote once, with the versions of the libraries beside.
"""

import contextlib
import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from xent_core import Problem
from xent_core.cli.problem_commands import document_of
from xent_core.codec import Document, InvalidFile, read_file, read_file_in_sandbox
from xent_core.columns import ColumnChoices
from xent_core.dump import InvalidDump, analyse, sources

FILES = Path(__file__).parent / "data" / "dumps"
EXPECTED = json.loads((FILES / "expected.json").read_text())
VERSIONS = json.loads((FILES / "versions.json").read_text())
NAMES = ("cat", "dog", "bird", "fish")

PREFIXED = "4 classes: prob_cat, prob_dog, prob_bird, prob_fish; label: label; ids: image_id"
CASES = {
    "pandas_index.csv": "4 classes: logit_0, logit_1, logit_2, logit_3; label: target; not used: (nameless), fold",
    "pandas_names.csv.gz": "4 classes: cat, dog, bird, fish; label: label; not used: file, epoch",
    "pandas_names.csv.bz2": "4 classes: cat, dog, bird, fish; label: label; not used: file, epoch",
    "pandas_semicolons.csv": "4 classes: cat, dog, bird, fish; label: label; not used: file, epoch; decimal commas",
    "pandas_columns.parquet": "4 classes: logit_0, logit_1, logit_2, logit_3; label: target; not used: fold",
    "pandas_names.feather": "4 classes: cat, dog, bird, fish; label: label; not used: file, epoch",
    "pandas_names.jsonl": "4 classes: cat, dog, bird, fish; label: label; not used: file, epoch",
    "numpy_in_order.npz": "4 classes: arr_0; label: arr_1",
    "numpy_one_hot.npz": "4 classes: logits; label: labels",
    "numpy_trainer.npz": "4 classes: predictions; label: label_ids; 5 × 8 rows",
    "pyarrow_fixed_lists.parquet": "4 classes: logits; label: label",
    "pyarrow_stream.arrow": "4 classes: logits; label: label",
    "pyarrow_lists.parquet": "4 classes: scores; label: label; ids: id",
    "pyarrow_names.csv.zst": "4 classes: cat, dog, bird, fish; label: label",
    "torch_saved.pt": "4 classes: logits; label: target",
    "keras_predict.npz": "4 classes: y_pred; label: y_true",
    "lightning_predictions.pt": "4 classes: logits; label: target; not used: loss",
    "fastai_preds.pt": "4 classes: 0; label: 1",
    "fastai_classes.pt": "4 classes: logits; label: targs",
    "safetensors_outputs.safetensors": "4 classes: outputs; label: labels",
    "polars_names.parquet": PREFIXED,
    "polars_names.arrow": PREFIXED,
    "polars_names.ndjson": PREFIXED,
    "polars_names.tsv": PREFIXED,
    "datasets_saved": "4 classes: logits; label: label; text: text; 2 files",
    "samples_animals.jsonl": ("4 classes: filtered_resps; label: target; ids: doc_id; log-likelihoods of the choices"),
}
SINGLE = [name for name in CASES if name != "datasets_saved"]


def test_every_file_is_tried_and_says_who_wrote_it() -> None:
    others = {name for name in VERSIONS if name.startswith("timm")}
    others |= {"numpy_no_header.csv", "datasets_splits", "sklearn_decision_function.npz", "sklearn_predict_proba.npz"}
    expected = {"expected.json", "expected_sklearn.json"}

    assert set(CASES) | others | expected == set(VERSIONS)
    assert {path.name for path in FILES.iterdir()} == set(VERSIONS) | {"versions.json"}


@pytest.mark.parametrize("name", CASES)
def test_a_file_of_another_library_is_read_and_the_reading_is_said(name: str) -> None:
    summary = analyse(FILES / name, fit_temperature=False)

    assert (summary.rows, summary.classes) == (EXPECTED["rows"], 4)
    assert summary.loss == pytest.approx(EXPECTED["loss"], rel=1e-6)
    assert summary.accuracy == EXPECTED["accuracy"]
    assert summary.reading.sentence() == CASES[name]
    named = "names" in name or "semicolons" in name or "datasets" in name
    assert summary.class_names == (NAMES if named else None)


@pytest.mark.parametrize("name", [name for name in SINGLE if not name.endswith(".pt")])
def test_a_server_for_strangers_reads_the_same(name: str) -> None:
    upload = io.BytesIO((FILES / name).read_bytes())
    upload.name = name

    summary = analyse(upload, fit_temperature=False, sandboxed=True)

    assert summary.loss == pytest.approx(EXPECTED["loss"], rel=1e-6)
    assert summary.reading == analyse(FILES / name, fit_temperature=False).reading


@pytest.mark.parametrize("argument", ["classes", "target_column", "ids", "text", "image"])
@pytest.mark.parametrize("kind", ["file", "pattern", "address"])
def test_what_a_stranger_types_is_a_column_and_no_file_of_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, argument: str, kind: str
) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("hush\n" * 40)
    typed = {"file": str(secret), "pattern": f"{tmp_path}/*.txt", "address": secret.as_uri()}[kind]
    upload = io.BytesIO((FILES / "pandas_index.csv").read_bytes())
    upload.name = "pandas_index.csv"
    monkeypatch.setattr(sources, "open_file", lambda *_: pytest.fail("a file of the server was opened"))

    with pytest.raises(InvalidDump, match=r"no column of pandas_index\.csv is called") as caught:
        analyse(upload, fit_temperature=False, sandboxed=True, **{argument: typed})

    assert "hush" not in str(caught.value)


@pytest.mark.parametrize("name", SINGLE)
@pytest.mark.parametrize("share", [0.3, 0.7, 0.98])
def test_a_file_that_was_cut_off_gets_one_sentence_or_only_whole_rows(tmp_path: Path, name: str, share: float) -> None:
    data = (FILES / name).read_bytes()
    (tmp_path / name).write_bytes(data[: int(share * len(data))])

    if name.endswith((".csv", ".tsv")):  # may be cut between two lines, or inside the last number
        with contextlib.suppress(InvalidDump):
            assert analyse(tmp_path / name, fit_temperature=False).rows <= EXPECTED["rows"]
        return
    with pytest.raises(InvalidDump) as caught:
        analyse(tmp_path / name, fit_temperature=False)

    assert "\n" not in caught.value.came
    assert caught.value.fix


def test_a_file_without_a_header_is_read_when_that_is_said() -> None:
    with pytest.raises(InvalidDump, match="--no-header --target 4"):
        analyse(FILES / "numpy_no_header.csv")

    summary = analyse(FILES / "numpy_no_header.csv", no_header=True, fit_temperature=False)
    assert summary.loss == pytest.approx(EXPECTED["loss"], rel=1e-6)
    assert summary.reading.sentence() == "4 classes: 0, 1, 2, 3; label: 4; no header line"


def test_probabilities_of_scikit_learn_are_asked_about() -> None:
    expected = json.loads((FILES / "expected_sklearn.json").read_text())["loss"]

    with pytest.raises(InvalidDump, match="as probabilities do"):
        analyse(FILES / "sklearn_predict_proba.npz")
    for name, are in (("sklearn_predict_proba", "probabilities"), ("sklearn_decision_function", None)):
        summary = analyse(FILES / f"{name}.npz", logits_are=are, fit_temperature=False)
        assert summary.loss == pytest.approx(expected, rel=1e-6)


def test_of_several_datasets_one_is_asked_for() -> None:
    with pytest.raises(InvalidDump, match="test, train"):
        analyse(FILES / "datasets_splits")

    summary = analyse(FILES / "datasets_splits" / "test", text="text", fit_temperature=False)
    assert summary.loss == pytest.approx(EXPECTED["loss"], rel=1e-6)
    assert summary.reading.text == "text"


@pytest.mark.parametrize("name", ["timm_lists.parquet", "timm_columns.csv"])
def test_all_classes_that_timm_writes_are_read_beside_a_table_of_labels(name: str) -> None:
    summary = analyse(FILES / name, FILES / "timm_labels.csv", target_column=None, fit_temperature=False)

    assert summary.loss == pytest.approx(EXPECTED["loss"], rel=1e-6)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("timm_top_3_columns.csv", "scores of the best few classes, and label_0, label_1, label_2 says of which"),
        ("timm_top_3_lists.parquet", "scores of the best few classes, and index says of which"),
        ("timm_top_3.parquet", "as the best 3 of more classes do"),
        ("timm_lists.csv", "column logit of timm_lists.csv holds lists as text"),
        ("timm_lists.json", "as pandas writes it with orient='index'"),
    ],
)
def test_the_best_few_of_timm_and_what_no_reader_takes_are_refused_with_the_reason(name: str, said: str) -> None:
    with pytest.raises(InvalidDump, match=re.escape(said)) as caught:
        analyse(FILES / name, FILES / "timm_labels.csv", fit_temperature=False)

    assert "--topk 0" in caught.value.fix or "to_" in caught.value.fix


@pytest.mark.long
@pytest.mark.parametrize("name", SINGLE)
def test_show_reads_what_analyse_reads(name: str) -> None:
    problem = document_of(str(FILES / name)).problem

    loss = torch.nn.functional.cross_entropy(problem.logits.double(), problem.target)
    assert float(loss) == pytest.approx(EXPECTED["loss"], rel=1e-6)


@pytest.mark.parametrize("read", [read_file, read_file_in_sandbox])
@pytest.mark.parametrize("name", [name for name in SINGLE if not name.endswith(".pt")])
def test_a_file_that_is_imported_has_the_reading_of_analyse(name: str, read: Callable[..., Document]) -> None:
    document = read(name, (FILES / name).read_bytes())

    loss = torch.nn.functional.cross_entropy(document.problem.logits.double(), document.problem.target)
    assert float(loss) == pytest.approx(EXPECTED["loss"], rel=1e-6)
    assert document.reading in (CASES[name], "")
    assert document.reading or "not used" not in CASES[name]


def test_arrays_are_named_and_labels_may_lie_in_another_file(tmp_path: Path) -> None:
    logits, target = np.array([[1.0, 2.0], [3.0, 0.0]]), np.array([1, 1])
    np.savez(tmp_path / "two.npz", first=logits, second=-logits, y=target)
    np.save(tmp_path / "logits.npy", logits)
    np.save(tmp_path / "y.npy", target)

    named = document_of(str(tmp_path / "two.npz"), ColumnChoices(classes="second"))
    apart = document_of(str(tmp_path / "logits.npy"), ColumnChoices(target=str(tmp_path / "y.npy")))
    with pytest.raises(InvalidFile, match="one array named logits") as caught:
        document_of(str(tmp_path / "two.npz"))

    assert named.problem == Problem(-logits, target)
    assert apart.problem == Problem(logits, target)
    assert caught.value.answers == ({"classes": "first"}, {"classes": "second"})
