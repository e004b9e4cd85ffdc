"""Labels are class indices, whatever they are written as; what they cannot be gets one sentence."""

import io
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from safetensors.numpy import save_file
from scipy.optimize import minimize_scalar

from xent_core.dump import InvalidDump, analyse, open_dump
from xent_core.dump.decisions import Decision, effect

ROWS, CLASSES = 30, 3
CHANCE = np.random.default_rng(3)
LOGITS = CHANCE.normal(size=(ROWS, CLASSES))
TARGET = np.arange(ROWS) % CLASSES
NAMES = ["cat", "dog", "bird"]


SOFT = CHANCE.dirichlet(np.ones(CLASSES), ROWS)


def with_row(row: list[float]) -> np.ndarray:
    """Probabilities, but for row 7."""
    return np.concatenate([SOFT[:7], [row], SOFT[8:]])


def labels(target: object, **options: object) -> list[int]:
    with open_dump(LOGITS, target, **options) as dump:
        return dump.read(0, dump.rows).target.tolist()


def test_names_numbers_and_one_hot_rows_are_the_same_labels() -> None:
    words = np.array([NAMES[label] for label in TARGET])

    assert labels(words, class_names=NAMES) == TARGET.tolist()
    assert labels(TARGET.astype(str)) == TARGET.tolist()
    assert labels(np.eye(CLASSES)[TARGET]) == TARGET.tolist()
    assert labels(np.eye(CLASSES, dtype=np.uint8)[TARGET].reshape(ROWS, CLASSES)) == TARGET.tolist()


@pytest.mark.parametrize("kind", [np.int64, str, float], ids=["integers", "texts", "texts of fractions"])
def test_numbers_that_are_names_are_told_by_the_labels_or_asked_about(kind: type) -> None:
    def written(target: np.ndarray) -> np.ndarray:
        return target.astype(float).astype(str) if kind is float else target.astype(kind)

    def read(target: np.ndarray, names: list[str], **options: object) -> list[int]:
        return labels(written(target), class_names=names, **options)

    one_to_three = ["1", "2", "3"]
    lacking = np.where(TARGET == 0, -100, TARGET)

    assert read(TARGET + 1, one_to_three) == TARGET.tolist()
    assert read(TARGET, one_to_three) == TARGET.tolist()
    assert read(np.array([7, 3, 5])[TARGET], ["7", "3", "5"]) == TARGET.tolist()
    with pytest.raises(InvalidDump, match="the labels 1, 2 of target may be names of the classes 1, 2, 3"):
        read(lacking, one_to_three)
    assert read(lacking, one_to_three, labels_are="names")[:3] == [-100, 0, 1]
    assert read(lacking, one_to_three, labels_are="indices")[:3] == [-100, 1, 2]


def test_no_two_classes_become_one() -> None:
    words = np.array([["cat", "dog", "cat"][label] for label in TARGET])

    with pytest.raises(InvalidDump, match="two classes are called 'cat'"):
        labels(words, class_names=["cat", "dog", "cat"])
    with pytest.raises(InvalidDump, match="3"):
        labels((np.arange(ROWS) % 4).astype(str), class_names=["1", "2", "3"])


@pytest.mark.parametrize("two", ["2", "2.0", "2.", "+2", "2.000e+00", "2.000000000000000000e+00", "0.2e1", "20e-1"])
def test_a_whole_number_is_a_label_however_it_is_written(two: str) -> None:
    assert labels(np.array(["0", "1", two] * (ROWS // 3))) == TARGET.tolist()


@pytest.mark.parametrize("half", ["2.5", "1e400", "2.0000000001", "0x2", "2_0", "٢"])
def test_what_is_not_whole_is_no_label(half: str) -> None:
    with pytest.raises(InvalidDump):
        labels(np.array(["0", "1", half] * (ROWS // 3)))


def test_an_ignored_row_may_stand_among_names() -> None:
    words = np.array(["-100", *[NAMES[label] for label in TARGET[1:]]])

    summary = analyse(LOGITS, words, class_names=NAMES, fit_temperature=False)

    expected = F.cross_entropy(torch.tensor(LOGITS[1:]), torch.tensor(TARGET[1:]))
    assert (summary.kept, summary.loss) == (ROWS - 1, pytest.approx(float(expected)))


@pytest.mark.parametrize(
    ("target", "code", "came"),
    [
        (np.array(["cat"] * ROWS), "label-names", "'cat', and the classes have no names"),
        (np.ones((ROWS, CLASSES), np.int64), "multi-label", "3 ones"),
        (np.zeros((ROWS, CLASSES), np.int64), "multi-label", "0 ones"),
        (with_row([0.0, 0.0, 0.0]), "multi-label", "row 7 of target has 0 ones"),
        (with_row([0.5, 0.7, -0.2]), "soft-target", r"row 7 of target is 0\.5, 0\.7, -0\.2, .*softmax"),
        (with_row([3.0, 1.0, 0.0]), "soft-target", "sums to 4.*sum\\(-1, keepdims=True\\)"),
        (with_row([0.4, 0.4, 0.1]), "soft-target", "sums to 0.9"),
        (with_row([np.nan, 0.5, 0.5]), "soft-target", "sums to nan"),
        (np.array([[2, 1, 0]] * ROWS), "soft-target", "votes or weights"),
        (np.where(TARGET == 1, 2.5, 0.0), "target-dtype", "row 1 is 2.5, expected whole numbers.*float64"),
        (np.where(TARGET == 1, np.nan, 0.0), "label-missing", "no label in row 1"),
        (np.where(TARGET == 1, np.inf, 0.0), "target-dtype", "row 1 is inf"),
    ],
)
def test_labels_that_name_no_class_are_refused(target: np.ndarray, code: str, came: str) -> None:
    with pytest.raises(InvalidDump, match=came) as caught:
        analyse(LOGITS, target)

    assert caught.value.code == code


def test_a_label_that_is_no_name_is_named_with_its_row() -> None:
    with pytest.raises(InvalidDump, match="row 4 is 'fish', expected one of the classes cat, dog, bird"):
        labels(np.array([*["cat"] * 4, "fish", *["cat"] * (ROWS - 5)]), class_names=NAMES)


@pytest.mark.parametrize("decimals", [1, 2, 3, 4])
def test_probabilities_are_asked_about_within_what_their_decimals_allow(decimals: int) -> None:
    probs = np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True)

    with pytest.raises(InvalidDump) as caught:
        analyse(probs.round(decimals), TARGET)

    assert caught.value.code == "looks-like-probabilities"


def test_logits_of_zeros_and_ones_are_no_probabilities() -> None:
    for logits in (np.zeros((ROWS, 200)), np.ones((ROWS, 3)), np.full((ROWS, 1), 0.5)):
        assert analyse(logits, np.zeros(ROWS, np.int64)).loss == pytest.approx(np.log(logits.shape[1]), abs=1e-9)


def test_outputs_of_a_sigmoid_are_refused_with_the_reason_and_read_when_they_are_said_to_be_logits() -> None:
    sigmoid = 1 / (1 + np.exp(-LOGITS))

    with pytest.raises(InvalidDump, match="sigmoid") as caught:
        analyse(sigmoid, TARGET)

    assert caught.value.code == "looks-like-sigmoid"
    expected = F.cross_entropy(torch.tensor(sigmoid), torch.tensor(TARGET))
    assert analyse(sigmoid, TARGET, logits_are="logits").loss == pytest.approx(float(expected))


SOFT_OPTIONS = [
    {},
    {"weight": [0.5, 1.0, 3.0]},
    {"label_smoothing": 0.2, "temperature": 0.7},
    {"weight": [0.5, 1.0, 3.0], "label_smoothing": 0.1, "reduction": "sum", "temperature": 1.7},
]


def by_torch(options: dict, target: np.ndarray, reduction: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss, and the gradient of its sum by autograd."""
    options = {**options, "reduction": reduction}
    temperature = options.pop("temperature", 1.0)
    if "weight" in options:
        options["weight"] = torch.tensor(options["weight"], dtype=torch.float64)
    leaf = torch.tensor(LOGITS, requires_grad=True)
    loss = F.cross_entropy(leaf / temperature, torch.tensor(target), **options)
    loss.sum().backward()
    return loss.detach(), leaf.grad


@pytest.mark.parametrize("options", SOFT_OPTIONS)
def test_probabilities_as_labels_have_the_loss_and_the_gradients_of_pytorch(tmp_path: Path, options: dict) -> None:
    loss, _ = by_torch(options, SOFT, options.get("reduction", "mean"))
    rows, grad = by_torch(options, SOFT, "none")

    whole = analyse(LOGITS, SOFT, scores=tmp_path / "s.parquet", **options)
    parts = analyse(LOGITS, SOFT, batch_rows=7, fit_temperature=False, **options)

    table = {name: np.array(column) for name, column in pq.read_table(tmp_path / "s.parquet").to_pydict().items()}
    probs = torch.tensor(LOGITS / options.get("temperature", 1.0)).softmax(1).numpy()
    assert (whole.loss, parts.loss) == (pytest.approx(float(loss)), pytest.approx(float(loss)))
    np.testing.assert_allclose(table["loss"], rows)
    np.testing.assert_allclose(table["grad_norm"], grad.norm(dim=1))
    np.testing.assert_allclose(table["el2n"], np.sqrt(((probs - SOFT) ** 2).sum(1)))
    assert table["target"].tolist() == SOFT.argmax(1).tolist()
    np.testing.assert_array_equal(table["target_prob"], SOFT.max(1))
    assert whole.accuracy == (LOGITS.argmax(1) == SOFT.argmax(1)).mean()
    np.testing.assert_allclose(whole.net_push, grad.sum(0) / whole.denominator, atol=1e-15)
    hard = analyse(LOGITS, SOFT.argmax(1), fit_temperature=False, temperature=options.get("temperature", 1.0))
    assert whole.calibration.brier == hard.calibration.brier
    assert "labels are probabilities" in whole.reading.sentence()


def test_the_best_temperature_of_probabilities_is_that_of_their_loss() -> None:
    logits = 3 * np.log(SOFT) + 0.3 * LOGITS

    def loss(beta: float) -> float:
        return float(F.cross_entropy(torch.tensor(beta * logits), torch.tensor(SOFT)))

    best = minimize_scalar(loss, bounds=(0.01, 100), method="bounded", options={"xatol": 1e-9})

    summary = analyse(logits, SOFT)

    assert summary.best_temperature == pytest.approx(1 / best.x, rel=0.01)
    assert summary.temperature_gain == pytest.approx(loss(1) - best.fun, rel=1e-3)


def test_weights_of_samples_multiply_the_losses_of_probabilities() -> None:
    weights = CHANCE.uniform(0.5, 2, ROWS)
    rows, _ = by_torch({}, SOFT, "none")

    summary = analyse(LOGITS, SOFT, sample_weight=weights)

    assert summary.loss == pytest.approx(float((rows * torch.tensor(weights)).sum() / weights.sum()))


def test_equal_probabilities_and_sums_that_are_not_1_are_told() -> None:
    tie = analyse(LOGITS, with_row([0.4, 0.4, 0.2]), fit_temperature=False)
    rounded = SOFT.round(2)

    assert "of equals the first, in 1 rows" in tie.reading.sentence()
    loss, _ = by_torch({}, rounded, "mean")
    summary = analyse(LOGITS, rounded, fit_temperature=False)
    assert summary.loss == pytest.approx(float(loss))
    assert f"from {rounded.sum(1).min():.6g} to {rounded.sum(1).max():.6g}" in summary.reading.sentence()


def test_one_row_of_probabilities_among_one_hot_rows_is_one() -> None:
    target = np.eye(CLASSES)[TARGET]
    target[3] = [0.5, 0.25, 0.25]
    loss, _ = by_torch({}, target, "mean")

    assert analyse(LOGITS, target, fit_temperature=False).loss == pytest.approx(float(loss))


def test_rows_of_probabilities_cannot_be_ignored_as_in_pytorch() -> None:
    with pytest.raises(InvalidDump, match="ignore_index is 1 with a target of probabilities"):
        analyse(LOGITS, SOFT, ignore_index=1)


def tables(folder: Path) -> dict[str, tuple[Path, dict[str, str]]]:
    """The same logits with the same probabilities as labels, as tables write them."""
    logits = {f"logit_{c}": LOGITS[:, c].tolist() for c in range(CLASSES)}
    soft = {f"soft_{c}": SOFT[:, c].tolist() for c in (2, 0, 1)}
    by_name = {f"logit_{name}": LOGITS[:, c].tolist() for c, name in enumerate(NAMES)}
    by_name |= {f"votes_{NAMES[c]}": SOFT[:, c].tolist() for c in (2, 0, 1)}
    lists = {"logits": LOGITS.tolist(), "target_probs": SOFT.tolist()}
    pd.DataFrame(logits | soft).to_csv(folder / "columns.csv", index=False)
    pd.DataFrame(by_name).to_csv(folder / "names.csv", index=False)
    pd.DataFrame(logits | soft).to_parquet(folder / "columns.parquet")
    pd.DataFrame(lists).rename(columns={"target_probs": "label"}).to_parquet(folder / "lists.parquet")
    pd.DataFrame(lists | soft).drop(columns="target_probs").to_feather(folder / "both.feather")
    pd.DataFrame(lists).rename(columns={"target_probs": "label"}).to_json(
        folder / "lists.jsonl", orient="records", lines=True, double_precision=15
    )
    pd.DataFrame(logits | soft).to_json(folder / "columns.jsonl", orient="records", lines=True, double_precision=15)
    np.savez(folder / "arrays.npz", logits=LOGITS, soft_labels=SOFT)
    said: dict[str, dict[str, str]] = {"names.csv": {"target_column": "votes_*", "classes": "logit_*"}}
    return {path.name: (path, said.get(path.name, {})) for path in folder.iterdir()}


@pytest.mark.parametrize(
    "name",
    [
        "arrays.npz",
        "both.feather",
        "columns.csv",
        "columns.jsonl",
        "columns.parquet",
        "lists.jsonl",
        "lists.parquet",
        "names.csv",
    ],
)
def test_tables_hold_probabilities_as_labels_in_lists_and_in_columns(tmp_path: Path, name: str) -> None:
    path, said = tables(tmp_path)[name]
    loss, _ = by_torch({}, SOFT, "mean")

    summary = analyse(path, fit_temperature=False, **said)

    assert summary.loss == pytest.approx(float(loss), rel=1e-6)
    assert summary.accuracy == (LOGITS.argmax(1) == SOFT.argmax(1)).mean()


def test_columns_of_probabilities_that_are_called_otherwise_than_the_classes_are_refused(tmp_path: Path) -> None:
    columns = {name: LOGITS[:, c].tolist() for c, name in enumerate(NAMES)}
    columns |= {f"q_{name}": SOFT[:, c].tolist() for c, name in enumerate(("dog", "bird", "fish"))}
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)

    with pytest.raises(InvalidDump, match="3 columns of labels for 3 classes"):
        analyse(tmp_path / "t.csv", classes="cat,dog,bird", target_column="q_*")


@pytest.mark.parametrize("sandboxed", [False, True])
def test_probabilities_in_an_upload_are_read(sandboxed: bool) -> None:
    upload = io.BytesIO()
    np.savez(upload, logits=LOGITS.reshape(3, 10, CLASSES), target=SOFT.reshape(3, 10, CLASSES).astype(np.float32))

    with open_dump(io.BytesIO(upload.getvalue()), sandboxed=sandboxed) as dump:
        np.testing.assert_array_equal(dump.read(0, ROWS).target_probs, SOFT.astype(np.float32))
        assert dump.read_rows([9, 4]).target.tolist() == SOFT.argmax(1)[[9, 4]].tolist()


def test_a_new_label_takes_the_place_of_the_probabilities_of_its_row() -> None:
    summary = analyse(LOGITS, SOFT, fit_temperature=False)
    old, new = int(SOFT[5].argmax()), int(SOFT[5].argmin())
    target = SOFT.copy()
    target[5] = np.eye(CLASSES)[new]
    loss, _ = by_torch({}, target, "none")
    decisions = [
        Decision(5, "", old, new, "relabel"),
        Decision(8, "", int(SOFT[8].argmax()), None, "drop"),
    ]

    with open_dump(LOGITS, SOFT) as dump:
        after = effect(dump, summary, decisions).after

    assert after.loss == pytest.approx(float(np.delete(loss.numpy(), 8).mean()))


@pytest.mark.parametrize("kind", ["npy", "npz", "parquet", "list", "jsonl", "safetensors", "json", "feather"])
def test_whole_labels_that_are_stored_as_fractions_are_read_and_this_is_said(tmp_path: Path, kind: str) -> None:
    path, target = tmp_path / f"dump.{'parquet' if kind == 'list' else kind}", TARGET.astype(float)
    columns = {f"logit_{c}": LOGITS[:, c].tolist() for c in range(CLASSES)}
    labels: str | None = None
    match kind:
        case "npy":
            np.save(path, LOGITS)
            labels = str(tmp_path / "target.npy")
            np.save(labels, target.astype(np.float32))
        case "npz":
            np.savez(path, logits=LOGITS, y=target)
        case "safetensors":
            save_file({"logits": LOGITS, "target": target}, str(path))
        case "parquet":
            pd.DataFrame(columns | {"label": target}).to_parquet(path)
        case "feather":
            pd.DataFrame(columns | {"label": target}).to_feather(path)
        case "list":
            pd.DataFrame({"logits": LOGITS.tolist(), "label": target}).to_parquet(path)
        case _:
            text = [
                json.dumps({"logits": row, "label": label}) for row, label in zip(LOGITS.tolist(), target, strict=True)
            ]
            path.write_text("\n".join(text) if kind == "jsonl" else f"[{','.join(text)}]")

    summary = analyse(str(path), labels, fit_temperature=False)

    assert summary.loss == pytest.approx(float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(TARGET))))
    dtype = "float32" if kind == "npy" else "float64"
    assert f"labels are whole numbers stored as {dtype}" in summary.reading.sentence()


TRUTH_KINDS = ["parquet", "feather", "jsonl", "csv", "upper.csv", "npz", "safetensors", "pt", "second.parquet"]


def truth_values(folder: Path, kind: str, logits: np.ndarray, target: np.ndarray) -> tuple[Path, Path | None]:
    """A dump whose labels are truth values, and the file of its labels, if they lie in one of their own."""
    path = folder / f"dump.{kind}"
    frame = pd.DataFrame({"logits": logits.tolist(), "label": target, "correct": ~target})
    columns = pd.DataFrame(logits).add_prefix("logit_").assign(label=target)
    arrays = {"logits": logits, "label": target}
    match kind:
        case "parquet":
            frame.to_parquet(path)
        case "feather":
            frame.to_feather(path)
        case "jsonl":
            frame.to_json(path, orient="records", lines=True, double_precision=15)
        case "csv":
            columns.to_csv(path, index=False)
        case "upper.csv":  # as R writes them
            columns.assign(label=np.where(target, "TRUE", "FALSE")).to_csv(path, index=False)
        case "npz":
            np.savez(path, **arrays)
        case "safetensors":
            save_file(arrays, path)
        case "pt":
            torch.save({name: torch.tensor(array) for name, array in arrays.items()}, path)
        case _:
            labels = path
            frame[["label"]].to_parquet(labels)
            path = folder / "logits.parquet"
            frame[["logits"]].to_parquet(path)
            return path, labels
    return path, None


@pytest.mark.parametrize("kind", TRUTH_KINDS)
def test_truth_values_are_the_labels_0_and_1(tmp_path: Path, kind: str) -> None:
    target = TARGET == 1

    summary = analyse(*truth_values(tmp_path, kind, LOGITS[:, :2].copy(), target), fit_temperature=False)

    loss = F.cross_entropy(torch.tensor(LOGITS[:, :2]), torch.tensor(target).long())
    assert summary.loss == pytest.approx(float(loss))
    assert "labels are truth values: true is class 1, false class 0" in summary.reading.sentence()


@pytest.mark.parametrize("kind", TRUTH_KINDS)
def test_truth_values_beside_more_than_two_classes_are_no_labels(tmp_path: Path, kind: str) -> None:
    with pytest.raises(InvalidDump) as refused:
        analyse(*truth_values(tmp_path, kind, LOGITS, TARGET == 1), fit_temperature=False)

    assert refused.value.code == ("label-names" if kind.endswith("csv") else "target-dtype")


def test_one_hot_rows_of_truth_values_are_labels(tmp_path: Path) -> None:
    np.savez(tmp_path / "dump.npz", logits=LOGITS, target=np.eye(CLASSES, dtype=bool)[TARGET])

    assert analyse(tmp_path / "dump.npz", fit_temperature=False).loss == pytest.approx(
        float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(TARGET)))
    )
    assert labels(torch.tensor(np.eye(CLASSES, dtype=bool)[TARGET])) == TARGET.tolist()


def test_other_bytes_than_0_and_1_are_true_and_a_text_that_is_neither_is_named(tmp_path: Path) -> None:
    path = tmp_path / "target.npy"
    np.save(path, np.array([2, 0, 255], np.uint8).view(bool))
    words = np.array(["true", "False", "maybe"])

    with open_dump(LOGITS[:3, :2].copy(), path) as dump:
        assert dump.read(0, 3).target.tolist() == [1, 0, 1]
    with pytest.raises(InvalidDump, match="the label of row 2 is 'maybe', expected true or false"):
        analyse(LOGITS[:3, :2].copy(), words)
    with pytest.raises(InvalidDump, match="has no label in row 1"):
        analyse(LOGITS[:2, :2].copy(), np.array(["true", ""]))


def test_a_table_with_two_columns_of_one_name_says_so(tmp_path: Path) -> None:
    columns = [pa.array(LOGITS[:, 0]), pa.array(LOGITS[:, 1]), pa.array(TARGET)]
    pq.write_table(pa.Table.from_arrays(columns, names=["logit_0", "logit_0", "label"]), tmp_path / "t.parquet")

    with pytest.raises(InvalidDump, match="two of its columns have one name"):
        analyse(tmp_path / "t.parquet")
