"""Writes tests/data/dumps/: small files of logits as other libraries write them, each by that library itself.

    python scripts/make_dump_files.py tests/data/dumps

It writes those whose library is installed, and keeps the others; versions.json names the library and version of each.
The right numbers, by scikit-learn, are in expected.json. Run it again only for a new kind of file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np

ROWS = 40
NAMES = ["cat", "dog", "bird", "fish"]
CHANCE = np.random.default_rng(11)
TARGET = CHANCE.integers(0, len(NAMES), ROWS)
LOGITS = CHANCE.normal(size=(ROWS, len(NAMES)))
LOGITS[np.arange(ROWS), TARGET] += 1.5
LOGITS = LOGITS.astype(np.float32).astype(np.float64)
PROBS = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)
WORDS = [NAMES[label] for label in TARGET]


def by_pandas(folder: Path) -> Iterator[str]:
    import pandas as pd

    frame = pd.DataFrame(LOGITS, columns=[f"logit_{c}" for c in range(len(NAMES))])
    frame["target"], frame["fold"] = TARGET, np.arange(ROWS) % 5
    named = pd.DataFrame(LOGITS, columns=NAMES)
    named.insert(0, "file", [f"images/{row}.png" for row in range(ROWS)])
    named["label"], named["epoch"] = WORDS, 3
    frame.to_csv(folder / "pandas_index.csv")
    named.to_csv(folder / "pandas_names.csv.gz", index=False)
    named.to_csv(folder / "pandas_names.csv.bz2", index=False)
    named.to_csv(folder / "pandas_semicolons.csv", sep=";", decimal=",", index=False, encoding="utf-8-sig")
    frame.to_parquet(folder / "pandas_columns.parquet")
    named.to_feather(folder / "pandas_names.feather")
    named.to_json(folder / "pandas_names.jsonl", orient="records", lines=True, double_precision=15)
    yield from (
        "pandas_index.csv",
        "pandas_names.csv.gz",
        "pandas_names.csv.bz2",
        "pandas_semicolons.csv",
        "pandas_columns.parquet",
        "pandas_names.feather",
        "pandas_names.jsonl",
    )


def by_numpy(folder: Path) -> Iterator[str]:
    np.savez(folder / "numpy_in_order.npz", LOGITS, TARGET)
    np.savez(folder / "numpy_one_hot.npz", logits=LOGITS, labels=np.eye(len(NAMES), dtype=np.float32)[TARGET])
    shape = (5, 8, len(NAMES))
    np.savez(folder / "numpy_trainer.npz", predictions=LOGITS.reshape(shape), label_ids=TARGET.reshape(shape[:2]))
    np.savetxt(
        folder / "numpy_no_header.csv", np.column_stack([LOGITS, TARGET]), delimiter=",", fmt=["%.9g"] * 4 + ["%d"]
    )
    yield from ("numpy_in_order.npz", "numpy_one_hot.npz", "numpy_trainer.npz", "numpy_no_header.csv")


def by_pyarrow(folder: Path) -> Iterator[str]:
    import pyarrow as pa
    import pyarrow.csv as pc
    import pyarrow.parquet as pq

    rows = pa.array(LOGITS.astype(np.float32).reshape(-1))
    fixed = pa.table({"logits": pa.FixedSizeListArray.from_arrays(rows, len(NAMES)), "label": TARGET})
    pq.write_table(fixed, folder / "pyarrow_fixed_lists.parquet", compression="zstd", row_group_size=15)
    lists = pa.table({"scores": LOGITS.tolist(), "label": WORDS, "id": [f"row {row}" for row in range(ROWS)]})
    with pa.OSFile(str(folder / "pyarrow_stream.arrow"), "wb") as file, pa.ipc.new_stream(file, fixed.schema) as stream:
        stream.write_table(fixed, max_chunksize=15)
    pq.write_table(lists.set_column(1, "label", pa.array(TARGET)), folder / "pyarrow_lists.parquet")
    columns = pa.table({**dict(zip(NAMES, LOGITS.T, strict=True)), "label": WORDS})
    with pa.CompressedOutputStream(str(folder / "pyarrow_names.csv.zst"), "zstd") as stream:
        pc.write_csv(columns, stream)
    yield from ("pyarrow_fixed_lists.parquet", "pyarrow_stream.arrow", "pyarrow_lists.parquet", "pyarrow_names.csv.zst")


def by_torch(folder: Path) -> Iterator[str]:
    import torch

    torch.save({"logits": torch.tensor(LOGITS), "target": torch.tensor(TARGET), "epoch": 3}, folder / "torch_saved.pt")
    yield "torch_saved.pt"


def by_safetensors(folder: Path) -> Iterator[str]:
    from safetensors.numpy import save_file

    save_file({"outputs": LOGITS, "labels": TARGET}, folder / "safetensors_outputs.safetensors")
    yield "safetensors_outputs.safetensors"


def by_scikit_learn(folder: Path) -> Iterator[str]:
    """Its names, out of a classifier of its own; the numbers that a right reader finds are in expected.json."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import accuracy_score, log_loss

    expected = {"loss": log_loss(TARGET, PROBS), "accuracy": accuracy_score(TARGET, LOGITS.argmax(1)), "rows": ROWS}
    (folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
    classifier = LogisticRegression().fit(LOGITS, TARGET)
    np.savez(
        folder / "sklearn_decision_function.npz", decision_function=classifier.decision_function(LOGITS), y_true=TARGET
    )
    proba = classifier.predict_proba(LOGITS)
    (folder / "expected_sklearn.json").write_text(json.dumps({"loss": log_loss(TARGET, proba)}) + "\n")
    np.savez(folder / "sklearn_predict_proba.npz", predict_proba=proba, y_true=TARGET)
    yield from ("sklearn_decision_function.npz", "sklearn_predict_proba.npz", "expected.json", "expected_sklearn.json")


def by_polars(folder: Path) -> Iterator[str]:
    import polars as pl

    frame = pl.DataFrame({**{f"prob_{name}": LOGITS[:, c] for c, name in enumerate(NAMES)}, "label": WORDS})
    frame = frame.with_row_index("image_id")
    frame.write_parquet(folder / "polars_names.parquet")
    frame.write_ipc(folder / "polars_names.arrow", compression="lz4")
    frame.write_ndjson(folder / "polars_names.ndjson")
    frame.write_csv(folder / "polars_names.tsv", separator="\t")
    yield from ("polars_names.parquet", "polars_names.arrow", "polars_names.ndjson", "polars_names.tsv")


def by_datasets(folder: Path) -> Iterator[str]:
    from datasets import ClassLabel, Dataset, DatasetDict, Features, List, Value

    features = Features({"logits": List(Value("float32")), "label": ClassLabel(names=NAMES), "text": Value("string")})
    rows = {"logits": LOGITS.tolist(), "label": TARGET.tolist(), "text": [f"text {row}" for row in range(ROWS)]}
    saved = Dataset.from_dict(rows, features=features)
    saved.save_to_disk(folder / "datasets_saved", num_shards=2)
    DatasetDict({"train": saved, "test": saved}).save_to_disk(folder / "datasets_splits")
    yield from ("datasets_saved", "datasets_splits")


def by_lm_eval(folder: Path) -> Iterator[str]:
    """What its tracker writes of samples, from log-likelihoods such as a model gives for the choices."""
    from lm_eval.loggers.evaluation_tracker import EvaluationTracker

    samples = [
        {
            "doc_id": row,
            "doc": {"question": f"Question {row}?", "answer": row if row % 2 else str(row)},
            "target": int(TARGET[row]),
            "arguments": [(f"Question {row}?", f" {name}") for name in NAMES],
            "resps": [[(float(value), False)] for value in LOGITS[row]],
            "filtered_resps": [(float(value), False) for value in LOGITS[row]],
            "acc": float(LOGITS[row].argmax() == TARGET[row]),
        }
        for row in range(ROWS)
    ]
    tracker = EvaluationTracker(output_path=str(folder / "lm_eval"))
    tracker.general_config_tracker = SimpleNamespace(model_name_sanitized="model")
    tracker.date_id = "2026"
    tracker.save_results_samples("animals", samples)
    (folder / "lm_eval" / "model" / "samples_animals_2026.jsonl").rename(folder / "samples_animals.jsonl")
    (folder / "lm_eval" / "model").rmdir()
    (folder / "lm_eval").rmdir()
    yield "samples_animals.jsonl"


def by_keras(folder: Path) -> Iterator[str]:
    """What model.predict gives beside one-hot labels, from a last layer that gives our logits."""
    import keras

    model = keras.Sequential([keras.Input((len(NAMES),)), keras.layers.Dense(len(NAMES), use_bias=False)])
    model.set_weights([np.eye(len(NAMES), dtype=np.float32)])
    y_pred = model.predict(LOGITS.astype(np.float32), verbose=0)
    np.savez(folder / "keras_predict.npz", y_pred=y_pred, y_true=keras.utils.to_categorical(TARGET, len(NAMES)))
    yield "keras_predict.npz"


def by_lightning(folder: Path) -> Iterator[str]:
    """What Trainer.predict gives, a dictionary for each batch, saved by a BasePredictionWriter."""
    import lightning
    import torch
    from lightning.pytorch.callbacks import BasePredictionWriter

    class Writer(BasePredictionWriter):
        def write_on_epoch_end(self, trainer: Any, module: Any, predictions: Any, batch_indices: Any) -> None:
            torch.save(predictions, folder / "lightning_predictions.pt")

    class Model(lightning.LightningModule):
        def predict_step(self, batch: Any, batch_idx: int) -> dict[str, Any]:
            logits, target = batch
            return {"loss": torch.nn.functional.cross_entropy(logits, target), "logits": logits, "target": target}

    rows = torch.utils.data.TensorDataset(torch.tensor(LOGITS), torch.tensor(TARGET))
    trainer = lightning.Trainer(accelerator="cpu", logger=False, enable_progress_bar=False, callbacks=[Writer("epoch")])
    trainer.predict(Model(), torch.utils.data.DataLoader(rows, batch_size=16), return_predictions=False)
    yield "lightning_predictions.pt"


def by_fastai(folder: Path) -> Iterator[str]:
    """What Learner.get_preds gives without its last activation, and tensors of the library's own classes."""
    import torch
    from fastai.data.core import DataLoaders
    from fastai.data.load import DataLoader
    from fastai.learner import Learner
    from fastai.losses import CrossEntropyLossFlat
    from fastai.torch_core import TensorBase, TensorCategory

    rows = [(TensorBase(row).float(), TensorCategory(int(label))) for row, label in zip(LOGITS, TARGET, strict=True)]
    model = torch.nn.Linear(len(NAMES), len(NAMES), bias=False)
    model.weight.data = torch.eye(len(NAMES))
    learner = Learner(DataLoaders(DataLoader(rows, bs=16), DataLoader(rows, bs=16)), model, CrossEntropyLossFlat())
    torch.save(learner.get_preds(act=torch.nn.Identity()), folder / "fastai_preds.pt")
    classes = {"logits": TensorBase(torch.tensor(LOGITS)), "targs": TensorCategory(torch.tensor(TARGET))}
    torch.save(classes, folder / "fastai_classes.pt")
    yield from ("fastai_preds.pt", "fastai_classes.pt")


def by_timm(folder: Path) -> Iterator[str]:
    """What inference.py of timm 1.0 writes, which is a script of its repository: by its calls of pandas.

    The folder has no labels for it; they are in a second table.
    """
    import pandas as pd

    files = [f"{row}.jpg" for row in range(ROWS)]
    logits = LOGITS.astype(np.float32)
    best = np.argsort(-logits, 1)[:, :3]
    best_logits = np.take_along_axis(logits, best, 1)
    everything = pd.DataFrame({"filename": files, "logit": list(logits)})  # --topk 0
    everything.set_index("filename").to_parquet(folder / "timm_lists.parquet")
    everything.to_csv(folder / "timm_lists.csv", index=False)
    everything.set_index("filename").to_json(folder / "timm_lists.json", indent=4, orient="index")
    columns = {f"logit_{c}": logits[:, c] for c in range(len(NAMES))}  # --results-separate-col
    pd.DataFrame({"filename": files, **columns}).to_csv(folder / "timm_columns.csv", index=False)
    words = np.array(NAMES, dtype=object)[best]
    best_columns = {f"label_{i}": words[:, i] for i in range(3)} | {f"logit_{i}": best_logits[:, i] for i in range(3)}
    pd.DataFrame({"filename": files, **best_columns}).to_csv(folder / "timm_top_3_columns.csv", index=False)
    best_lists = {"filename": files, "index": list(best), "logit": list(best_logits)}  # --topk 3 --include-index
    pd.DataFrame(best_lists).set_index("filename").to_parquet(folder / "timm_top_3_lists.parquet")
    bare = {"filename": files, "logit": list(best_logits)}
    pd.DataFrame(bare).set_index("filename").to_parquet(folder / "timm_top_3.parquet")
    pd.DataFrame({"filename": files, "label": TARGET}).to_csv(folder / "timm_labels.csv", index=False)
    yield from TIMM


TIMM = (
    "timm_lists.parquet",
    "timm_lists.csv",
    "timm_lists.json",
    "timm_columns.csv",
    "timm_top_3_columns.csv",
    "timm_top_3_lists.parquet",
    "timm_top_3.parquet",
    "timm_labels.csv",
)
WRITERS: dict[str, Callable[[Path], Iterator[str]]] = {
    "pandas": by_pandas,
    "numpy": by_numpy,
    "pyarrow": by_pyarrow,
    "torch": by_torch,
    "safetensors": by_safetensors,
    "scikit-learn": by_scikit_learn,
    "polars": by_polars,
    "datasets": by_datasets,
    "lm_eval": by_lm_eval,
    "keras": by_keras,
    "lightning": by_lightning,
    "fastai": by_fastai,
}
NO_PACKAGE = {by_timm: "pandas"}  # which writes for them


def main(folder: Path) -> None:
    """Writes what can be written here, and says by which version."""
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "versions.json"
    versions = json.loads(told.read_text()) if told.exists() else {}
    for library, write in WRITERS.items():
        try:
            number = version(library)
            versions |= dict.fromkeys(write(folder), f"{library} {number}")
        except ImportError as error:  # PackageNotFoundError too
            print(f"{library}: not written here ({error})")
    for write, library in NO_PACKAGE.items():
        versions |= dict.fromkeys(write(folder), f"{library} {version(library)}, by the calls of timm's inference.py")
    told.write_text(json.dumps(dict(sorted(versions.items())), indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
