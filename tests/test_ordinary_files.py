"""Files as people write them: each is read as what it is, or refused with commands that work; never read as another."""

import json
import shlex
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from xent_core.__main__ import main
from xent_core.dump import InvalidDump, analyse, open_dump
from xent_core.dump.formats import DumpLimits

CHANCE = np.random.default_rng(1)
ROWS, CLASSES = 60, 4
LOGITS = (CHANCE.normal(size=(ROWS, CLASSES)) * 2).astype("f4").astype("f8")
LABELS = np.where(CHANCE.random(ROWS) < 0.3, CHANCE.integers(0, CLASSES, ROWS), LOGITS.argmax(1))
NAMES = np.array(["cat", "dog", "owl", "fox"])
TRUTH = float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(LABELS)))
PROBS = torch.tensor(LOGITS).softmax(1).numpy()
WORDS = pd.Series(NAMES[LABELS])
IMAGES = [f"im{row}.png" for row in range(ROWS)]


def frame(names: Any = None) -> pd.DataFrame:
    return pd.DataFrame(LOGITS, columns=list(names if names is not None else [f"logit_{c}" for c in range(CLASSES)]))


def labelled(names: Any = None, **labels: Any) -> pd.DataFrame:
    return frame(names).assign(**(labels or {"label": LABELS}))


def loss_of(*sources: Any, **said: Any) -> float:
    return analyse(*sources, fit_temperature=False, shown_suspects=0, **said).loss


def read(capsys: pytest.CaptureFixture[str], *said: object) -> dict[str, Any]:
    """What the command says in JSON."""
    assert main(["analyse", *map(str, said), "--no-temperature", "--json"]) == 0, capsys.readouterr().err
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def advice(capsys: pytest.CaptureFixture[str], *said: object) -> tuple[str, list[list[str]]]:
    """Why a command is refused, and the commands that it prints, as a shell parts them."""
    assert main(["analyse", *map(str, said), "--no-temperature"]) == 2
    text = capsys.readouterr().err
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("python -m xent_core analyse")]
    return text, [shlex.split(line)[4:] for line in lines]


def losses(capsys: pytest.CaptureFixture[str], commands: list[list[str]]) -> list[float | None]:
    """What each command says; None where it is refused."""
    found: list[float | None] = []
    for command in commands:
        code = main(["analyse", *command, "--json"])
        out = capsys.readouterr().out
        found.append(float(json.loads(out)["loss"]) if code == 0 else None)
    return found


TWELVE = (CHANCE.normal(size=(80, 12)) * 2).astype("f4").astype("f8")
TWELVE_LABELS = np.where(CHANCE.random(80) < 0.25, CHANCE.integers(0, 12, 80), TWELVE.argmax(1))


@pytest.mark.parametrize(
    "pattern", ["{}_logit", "class {} logit", "Logit[{}]", "{}", "c{}", "logit_{}_v2", "model2_{}_p"]
)
def test_classes_that_are_numbered_anywhere_stand_in_the_order_of_their_numbers(tmp_path: Path, pattern: str) -> None:
    names = [pattern.format(number) for number in range(12)]
    table = pd.DataFrame(TWELVE, columns=names)[sorted(names)].assign(label=TWELVE_LABELS)
    table.to_csv(tmp_path / "t.csv", index=False)

    summary = analyse(tmp_path / "t.csv", fit_temperature=False)

    assert summary.loss == pytest.approx(float(F.cross_entropy(torch.tensor(TWELVE), torch.tensor(TWELVE_LABELS))))
    assert summary.reading.classes == tuple(names)


@pytest.mark.parametrize(
    ("numbers", "said"),
    [(("0", "1", "3"), "2_logit is missing"), (("0", "1", "01"), "'1_logit' and '01_logit', which give one class two")],
)
def test_a_number_before_a_suffix_that_lacks_or_comes_twice_is_told(tmp_path: Path, numbers: Any, said: str) -> None:
    table = pd.DataFrame(LOGITS[:, :3], columns=[f"{number}_logit" for number in numbers]).assign(label=LABELS % 2)
    table.to_csv(tmp_path / "t.csv", index=False)

    with pytest.raises(InvalidDump, match=said) as caught:
        analyse(tmp_path / "t.csv")

    for answer in caught.value.answers:
        assert analyse(tmp_path / "t.csv", labels_are="indices", fit_temperature=False, **answer).classes >= 2


def questions(texts: list[str], targets: list[Any], **more: Any) -> list[dict[str, Any]]:
    """As lm-eval writes them, with the log-likelihoods of LOGITS."""
    return [
        {
            "doc_id": row,
            "target": targets[row],
            "arguments": {f"gen_args_{c}": {"arg_0": "q", "arg_1": text} for c, text in enumerate(texts)},
            "filtered_resps": [[str(value), "False"] for value in LOGITS[row].tolist()],
        }
        | more
        for row in range(ROWS)
    ]


def lines(path: Path, objects: list[Any]) -> Path:
    path.write_text("".join(json.dumps(one) + "\n" for one in objects))
    return path


def test_targets_of_questions_are_all_numbers_or_all_texts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [" 1", " 2", " 3", " 4"]
    by_text = lines(tmp_path / "texts.jsonl", questions(texts, [str(label + 1) for label in LABELS]))
    by_number = lines(tmp_path / "numbers.jsonl", questions(texts, [str(label) for label in LABELS]))

    assert loss_of(by_text) == pytest.approx(TRUTH)  # 4 is no index
    assert loss_of(by_number) == pytest.approx(TRUTH)  # 0 is no text

    few_labels = np.where(LABELS == 3, 0, LABELS)
    unclear = lines(tmp_path / "unclear.jsonl", questions(texts, [str(label + 1) for label in few_labels]))
    said, commands = advice(capsys, unclear)
    truths = [float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(few_labels + one))) for one in (0, 1)]

    assert "may be texts of the choices, or their numbers" in said
    assert losses(capsys, commands) == pytest.approx(truths, rel=1e-5)


def test_targets_that_fit_in_two_ways_which_agree_are_not_asked_about(tmp_path: Path) -> None:
    path = lines(tmp_path / "s.jsonl", questions([" 0", " 1", " 2", " 3"], [str(label) for label in LABELS]))

    assert loss_of(path) == pytest.approx(TRUTH)


def test_of_questions_behind_several_filters_those_of_one_are_read_and_that_is_said(tmp_path: Path) -> None:
    targets = [str(label) for label in LABELS]
    both = zip(*(questions([*"abcd"], targets, filter=name) for name in ("maj", "none")), strict=True)

    summary = analyse(lines(tmp_path / "s.jsonl", [one for pair in both for one in pair]), fit_temperature=False)

    assert (summary.rows, summary.loss) == (ROWS, pytest.approx(TRUTH))
    assert "behind the filter none; not used: those behind maj" in summary.reading.sentence()


def test_labels_from_one_on_beside_one_column_too_many_are_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blur = CHANCE.random(ROWS)
    table = frame("abcd").assign(blur=blur, label=LABELS + 1)
    table.to_csv(tmp_path / "t.csv", index=False)

    said, commands = advice(capsys, tmp_path / "t.csv")
    five = F.cross_entropy(torch.tensor(np.c_[LOGITS, blur]), torch.tensor(LABELS + 1))

    assert "the labels of t.csv are 1 to 4, so that they may count from 1, and 5 columns" in said
    assert losses(capsys, commands) == pytest.approx([float(five)], rel=1e-5)


@pytest.mark.parametrize("columns", [(0, 1), (1, 0)], ids=["labels last", "labels first"])
def test_without_a_header_a_column_that_counts_rows_is_no_class_and_whole_numbers_are_the_labels(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], columns: tuple[int, int]
) -> None:
    parts = [LOGITS, LABELS[:, None]]
    np.savetxt(tmp_path / "t.csv", np.c_[np.arange(ROWS), parts[columns[0]], parts[columns[1]]], delimiter=",")

    _said, commands = advice(capsys, tmp_path / "t.csv")

    assert losses(capsys, commands) == pytest.approx([TRUTH], rel=1e-5)
    assert read(capsys, *commands[0])["read"]["unused"] == ["0"]


def test_labels_in_front_are_offered_where_there_is_no_header(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    np.savetxt(tmp_path / "t.csv", np.c_[LABELS, LOGITS], delimiter=",")

    _said, commands = advice(capsys, tmp_path / "t.csv")

    assert losses(capsys, commands) == pytest.approx([TRUTH], rel=1e-5)


def test_a_column_that_counts_rows_as_fractions_is_no_class_beside_a_header(tmp_path: Path) -> None:
    table = frame("abcd").assign(n=np.arange(ROWS) + 0.0, label=LABELS)
    table.to_csv(tmp_path / "t.csv", index=False)

    assert loss_of(tmp_path / "t.csv") == pytest.approx(TRUTH)


def test_labels_that_count_rows_are_labels_all_the_same(tmp_path: Path) -> None:
    square = CHANCE.normal(size=(20, 20))
    pd.DataFrame(square).add_prefix("logit_").assign(label=np.arange(20)).to_csv(tmp_path / "t.csv", index=False)

    expected = float(F.cross_entropy(torch.tensor(square), torch.arange(20)))

    assert loss_of(tmp_path / "t.csv") == pytest.approx(expected)


@pytest.mark.parametrize("kind", ["csv", "parquet", "npz"])
def test_epochs_are_matched_by_a_column_of_paths(tmp_path: Path, kind: str) -> None:
    orders = [np.arange(ROWS), CHANCE.permutation(ROWS)]
    for epoch, order in enumerate(orders):
        table = labelled().assign(image_path=IMAGES).iloc[order]
        path = tmp_path / f"epoch_{epoch}.{kind}"
        if kind == "npz":
            names = np.array(IMAGES)[order]
            np.savez(path, logits=LOGITS[order], labels=np.zeros_like(LABELS), image_path=names)
        elif kind == "csv":
            table.assign(label=0).to_csv(path, index=False)
        else:
            table.assign(label=0).to_parquet(path, index=False)

    summary = analyse(str(tmp_path / f"epoch_*.{kind}"), epochs=True, fit_temperature=False, labels_are="indices")

    logits = torch.tensor(LOGITS[orders[1]])
    assert summary.epochs is not None
    assert summary.epochs.variability == pytest.approx(0, abs=1e-7)  # the same logits in both, row by row
    assert summary.epochs.confidence == pytest.approx(logits.softmax(1)[:, 0].numpy())
    assert summary.reading.ids == "image_path"


def test_paths_that_each_epoch_has_of_its_own_match_no_rows(tmp_path: Path) -> None:
    for epoch in range(2):
        paths = [f"epoch_{epoch}/{name}" for name in IMAGES]
        labelled().assign(image_path=paths).to_csv(tmp_path / f"epoch_{epoch}.csv", index=False)

    summary = analyse(str(tmp_path / "epoch_*.csv"), epochs=True, fit_temperature=False)

    assert summary.epochs is not None
    assert summary.epochs.variability == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize("names", [IMAGES, [*range(500, 500 + ROWS)]], ids=["texts", "numbers"])
@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_rows_that_two_columns_of_other_names_give_another_order_are_refused(
    tmp_path: Path, names: Any, kind: str
) -> None:
    order = CHANCE.permutation(ROWS)
    of_logits = frame().assign(image_file=names)
    of_labels = pd.DataFrame({"filename": names, "label": LABELS})
    for name, table in (("z", of_logits), ("same", of_labels), ("other", of_labels.iloc[order])):
        path = tmp_path / f"{name}.{kind}"
        table.to_csv(path, index=False) if kind == "csv" else table.to_parquet(path, index=False)
    z, same, other = (tmp_path / f"{name}.{kind}" for name in ("z", "same", "other"))

    with pytest.raises(InvalidDump, match="in the same order in both files") as caught:
        analyse(z, other)
    summary = analyse(z, same, fit_temperature=False)

    assert caught.value.code == "order"
    assert "by the column image_file, filename" in str(caught.value)
    assert summary.loss == pytest.approx(TRUTH)
    assert summary.reading.sentence().endswith("; not used: image_file, filename")


@pytest.mark.parametrize("name", ["image", "filename", "text"])
def test_arrays_of_texts_tell_the_order_of_a_second_file_too(tmp_path: Path, name: str) -> None:
    np.savez(tmp_path / "z.npz", logits=LOGITS, **{name: IMAGES})
    labels = pd.DataFrame({"filename": IMAGES, "label": LABELS})
    labels.to_csv(tmp_path / "same.csv", index=False)
    labels[::-1].to_csv(tmp_path / "other.csv", index=False)

    assert loss_of(tmp_path / "z.npz", tmp_path / "same.csv") == pytest.approx(TRUTH)
    with pytest.raises(InvalidDump, match="in the same order in both files"):
        analyse(tmp_path / "z.npz", tmp_path / "other.csv")


def test_a_second_file_that_is_used_twice_has_both_columns_used(tmp_path: Path) -> None:
    labels = pd.DataFrame({"name": IMAGES, "label": LABELS, "weather": IMAGES[::-1]})
    np.save(tmp_path / "z.npy", LOGITS)
    labels.to_csv(tmp_path / "y.csv", index=False)

    summary = analyse(tmp_path / "z.npy", tmp_path / "y.csv", ids=tmp_path / "y.csv", fit_temperature=False)

    assert summary.loss == pytest.approx(TRUTH)
    assert summary.reading.unused == ("weather",)


def test_columns_of_a_second_file_that_name_no_rows_are_no_order(tmp_path: Path) -> None:
    side = np.where(np.arange(ROWS) % 2, "left", "right")
    frame().assign(side=side).to_csv(tmp_path / "z.csv", index=False)
    pd.DataFrame({"hand": side[::-1], "label": LABELS}).to_csv(tmp_path / "y.csv", index=False)

    assert loss_of(tmp_path / "z.csv", tmp_path / "y.csv") == pytest.approx(TRUTH)


def test_an_index_of_pandas_in_another_order_is_refused_and_one_of_other_labels_is_not() -> None:
    labels = pd.Series(LABELS)
    shuffled = labels.sample(frac=1, random_state=0)

    with pytest.raises(InvalidDump, match="the index of target has the labels of that of logits in another order"):
        analyse(frame(), shuffled)

    elsewhere = frame().set_index(np.arange(ROWS) + 100)
    by_name = (frame().set_index(np.array(IMAGES)), labels.set_axis(IMAGES))
    for logits, target in ((frame(), labels), (elsewhere, labels), by_name, (LOGITS, shuffled.sort_index())):
        assert loss_of(logits, target) == pytest.approx(TRUTH)
    assert loss_of(frame(), shuffled.loc[frame().index]) == pytest.approx(TRUTH)


def test_names_of_classes_before_a_suffix_are_read_as_those_behind_a_prefix(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logits = labelled([f"{name}_logit" for name in NAMES], label=NAMES[LABELS])
    both = logits.assign(**{f"{name}_prob": PROBS[:, c] for c, name in enumerate(NAMES)})
    logits.to_csv(tmp_path / "one.csv", index=False)
    both.to_csv(tmp_path / "both.csv", index=False)

    summary = analyse(tmp_path / "one.csv", fit_temperature=False)
    _said, commands = advice(capsys, tmp_path / "both.csv")
    _said, probabilities = advice(capsys, *commands[1])

    assert (summary.loss, summary.class_names) == (pytest.approx(TRUTH), tuple(NAMES))
    assert len(commands) == 2
    assert losses(capsys, commands[:1]) == pytest.approx([TRUTH], rel=1e-5)
    assert losses(capsys, probabilities[:1]) == pytest.approx([TRUTH], rel=1e-5)


def test_a_class_that_is_no_label_beside_a_measure_is_offered_without_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = LABELS != 3
    table = labelled(NAMES, label=NAMES[LABELS]).assign(brightness=CHANCE.random(ROWS))[rows]
    table.to_csv(tmp_path / "t.csv", index=False)

    _said, commands = advice(capsys, tmp_path / "t.csv")
    four = float(F.cross_entropy(torch.tensor(LOGITS[rows]), torch.tensor(LABELS[rows])))

    assert "cat,dog,owl,fox" in [command[-1] for command in commands]
    assert pytest.approx(four, rel=1e-5) in losses(capsys, commands)


def test_numbered_columns_with_labels_that_are_names_need_the_names(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    labelled([f"X{c + 1}" for c in range(CLASSES)], y=NAMES[LABELS]).to_csv(tmp_path / "t.csv", index=False)
    (tmp_path / "names.txt").write_text("\n".join(NAMES))

    said, _commands = advice(capsys, tmp_path / "t.csv")

    assert "--class-names FILE" in said
    assert loss_of(tmp_path / "t.csv", class_names=tmp_path / "names.txt") == pytest.approx(TRUTH)


ORDER = np.argsort(-LOGITS, 1)
SORTED = np.take_along_axis(LOGITS, ORDER, 1)


def by_row(**columns: Any) -> list[dict[str, Any]]:
    return [{name: np.asarray(column)[row].tolist() for name, column in columns.items()} for row in range(ROWS)]


BEST_FEW = {
    "zero-shot": by_row(sequence=IMAGES, labels=NAMES[ORDER], scores=SORTED, true_label=NAMES[LABELS]),
    "zero-shot by number": by_row(labels=NAMES[ORDER], scores=SORTED, true_label=LABELS),
    "classes": by_row(scores=SORTED, classes=ORDER, label=LABELS),
    "indices": by_row(scores=SORTED, indices=ORDER, label=LABELS),
    "torch.topk": by_row(values=SORTED, indices=ORDER, label=LABELS),
    "columns": by_row(
        **{f"score_{c}": SORTED[:, c] for c in range(CLASSES)},
        **{f"class_{c}": ORDER[:, c] for c in range(CLASSES)},
        label=LABELS,
    ),
    "top columns": by_row(
        **{f"top{c + 1}_score": SORTED[:, c] for c in range(CLASSES)},
        **{f"top{c + 1}_class": ORDER[:, c] for c in range(CLASSES)},
        label=LABELS,
    ),
}


@pytest.mark.parametrize("case", BEST_FEW)
def test_scores_in_the_order_of_their_size_are_refused_also_by_what_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    said, commands = advice(capsys, lines(tmp_path / "t.jsonl", BEST_FEW[case]))

    assert "Write those of all classes, in the order of the classes" in said
    assert losses(capsys, commands) == [None] * len(commands)


@pytest.mark.parametrize("names", [("scores", "indices"), ("scores", "classes"), ("values", "indices")])
def test_sorted_scores_in_arrays_are_refused_and_the_line_that_is_told_puts_them_in_order(
    tmp_path: Path, names: tuple[str, str]
) -> None:
    np.savez(tmp_path / "t.npz", **{names[0]: SORTED, names[1]: ORDER}, labels=LABELS)

    with pytest.raises(InvalidDump, match=f"{names[1]} says of which class each is") as caught:
        analyse(tmp_path / "t.npz")
    line = str(caught.value).partition("logits = ")[2].partition(", where")[0]
    logits = eval(line, {"np": np, "scores": SORTED, "indices": ORDER})

    assert loss_of(logits, LABELS) == pytest.approx(TRUTH)


def test_the_arrays_of_one_part_of_the_data_are_offered_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = CHANCE.permutation(ROWS)
    np.savez(tmp_path / "t.npz", train_logits=LOGITS[other], val_logits=LOGITS, train_labels=LABELS, val_labels=LABELS)

    _said, commands = advice(capsys, tmp_path / "t.npz")
    train = float(F.cross_entropy(torch.tensor(LOGITS[other]), torch.tensor(LABELS)))

    assert losses(capsys, commands) == pytest.approx([train, TRUTH], rel=1e-5)


@pytest.mark.parametrize("delimiter", [" ", "\t", ","])
def test_a_header_without_a_name_for_the_names_of_rows_is_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], delimiter: str
) -> None:
    rows = [[f'"{name}"' for name in (*NAMES, "y")]]
    rows += [[f'"{row + 1}"', *map(str, LOGITS[row]), f'"{NAMES[LABELS[row]]}"'] for row in range(ROWS)]
    (tmp_path / "t.csv").write_text("".join(delimiter.join(row) + "\n" for row in rows))

    assert loss_of(tmp_path / "t.csv") == pytest.approx(TRUTH)
    assert main(["show", str(tmp_path / "t.csv")]) == 0
    assert f"{TRUTH:.4f}" in capsys.readouterr().out


def test_a_header_that_lacks_the_name_of_a_class_is_no_such_header(tmp_path: Path) -> None:
    rows = ["logit_0,logit_1,label", *(f"{row[0]},{row[1]},{row[2]},{row[3] > 0:d}" for row in LOGITS)]
    (tmp_path / "t.csv").write_text("\n".join(rows))

    with pytest.raises(InvalidDump, match="line 2 has 4 cells, the first has 3"):
        analyse(tmp_path / "t.csv")


def test_texts_in_bytes_in_a_column_are_texts(tmp_path: Path) -> None:
    labelled(NAMES, label=[name.encode() for name in WORDS]).to_parquet(tmp_path / "t.parquet", index=False)

    assert loss_of(tmp_path / "t.parquet") == pytest.approx(TRUTH)


@pytest.mark.parametrize("sandboxed", [False, True])
def test_labels_in_lines_of_text_are_as_many_as_rows_with_a_header_or_without(tmp_path: Path, sandboxed: bool) -> None:
    frame(NAMES).to_csv(tmp_path / "z.csv", index=False)
    (tmp_path / "bare.txt").write_text("\n".join(NAMES[LABELS]) + "\n")
    (tmp_path / "named.txt").write_text("\n".join(["species", *NAMES[LABELS]]) + "\n")

    def source(name: str) -> Any:
        return (tmp_path / name).open("rb") if sandboxed else tmp_path / name

    summary = analyse(source("z.csv"), source("bare.txt"), fit_temperature=False, sandboxed=sandboxed)

    assert summary.loss == pytest.approx(TRUTH)
    assert summary.reading.sentence().endswith("no header line in bare.txt")
    assert loss_of(source("z.csv"), source("named.txt"), sandboxed=sandboxed) == pytest.approx(TRUTH)


BYTES = NAMES[LABELS].astype("S")
WRITTEN_OTHERWISE = [("1.0", ""), ("+1", ""), ("1.5", "'1.5' is no whole number"), ("cat", "'cat' is no")]


@pytest.mark.parametrize(
    "labels",
    [WORDS, pd.Categorical(WORDS), WORDS.astype("category"), WORDS.to_numpy(object), WORDS.to_list(), BYTES],
    ids=["Series", "Categorical", "categories", "objects", "list", "bytes"],
)
@pytest.mark.parametrize("columns", [NAMES, [f"logit_{name}" for name in NAMES]], ids=["names", "prefix"])
def test_labels_in_memory_are_names_of_the_columns(labels: Any, columns: Any) -> None:
    summary = analyse(frame(columns), labels, fit_temperature=False)

    assert summary.loss == pytest.approx(TRUTH)
    assert summary.class_names == tuple(NAMES)


@pytest.mark.parametrize("logits", [LOGITS, frame()], ids=["array", "numbered columns"])
def test_names_without_names_of_classes_are_told_what_to_pass(logits: Any) -> None:
    with pytest.raises(InvalidDump, match=r"class_names=\[") as caught:
        analyse(logits, WORDS)

    assert caught.value.code == "label-names"
    assert loss_of(logits, WORDS, class_names=list(NAMES)) == pytest.approx(TRUTH)


def test_numbers_in_objects_and_in_a_column_of_their_own_are_labels() -> None:
    assert loss_of(LOGITS, pd.Series(LABELS, dtype=object)) == pytest.approx(TRUTH)
    assert loss_of(LOGITS, pd.Series(LABELS, dtype="Int64")) == pytest.approx(TRUTH)
    assert loss_of(LOGITS, LABELS[:, None]) == pytest.approx(TRUTH)  # as Keras has them


@pytest.mark.parametrize(("cell", "said"), WRITTEN_OTHERWISE)
def test_a_label_near_the_end_that_is_written_otherwise_is_read_or_named(tmp_path: Path, cell: str, said: str) -> None:
    rows = 60_000
    labels = np.resize(LABELS, rows)
    labels[-5] = 1
    table = pd.DataFrame(np.resize(LOGITS, (rows, CLASSES)), columns=[f"logit_{c}" for c in range(CLASSES)])
    table["label"] = labels.astype(str)
    table.loc[rows - 5, "label"] = cell
    table.to_csv(tmp_path / "t.csv", index=False)
    expected = F.cross_entropy(torch.tensor(np.resize(LOGITS, (rows, CLASSES))), torch.tensor(labels))

    if said:
        with pytest.raises(InvalidDump, match=f"line {rows - 3}, column label: {said}"):
            loss_of(tmp_path / "t.csv")
    else:
        assert loss_of(tmp_path / "t.csv") == pytest.approx(float(expected))


@pytest.mark.parametrize(("cell", "number"), [("+1.5", 1.5), ("\u22121.5", -1.5), ("None", np.nan), ("+0", 0.0)])
def test_a_number_that_is_written_otherwise_is_that_number(tmp_path: Path, cell: str, number: float) -> None:
    table = labelled().astype({"logit_1": str})
    table.loc[7, "logit_1"] = cell
    table.to_csv(tmp_path / "t.csv", index=False)
    logits = LOGITS.copy()
    logits[7, 1] = number

    expected = float(F.cross_entropy(torch.tensor(logits), torch.tensor(LABELS)))

    assert loss_of(tmp_path / "t.csv") == pytest.approx(expected, nan_ok=True)


def test_commas_and_strokes_between_cells_and_decimals_in_parquet_are_read(tmp_path: Path) -> None:
    labelled().to_csv(tmp_path / "quoted.csv", decimal=",", index=False)
    labelled().to_csv(tmp_path / "strokes.csv", sep="|", index=False)
    exact = frame().map(lambda value: Decimal(f"{value:.9f}")).assign(label=LABELS)
    exact.to_parquet(tmp_path / "decimals.parquet", index=False)

    for name in ("quoted.csv", "strokes.csv", "decimals.parquet"):
        assert loss_of(tmp_path / name) == pytest.approx(TRUTH)


def test_quoted_thousands_are_no_fractions(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("a,b,label\n" + '"1,234","2,500",0\n' * 20)

    with pytest.raises(InvalidDump):
        loss_of(tmp_path / "t.csv")


@pytest.mark.parametrize(("ending", "command"), [("zip", "unzip t.csv.zip"), ("xz", "xz -dk t.csv.xz")])
def test_a_table_that_is_packed_otherwise_is_told_how_to_unpack_it(tmp_path: Path, ending: str, command: str) -> None:
    labelled().to_csv(tmp_path / f"t.csv.{ending}", index=False)

    with pytest.raises(InvalidDump, match=f"Unpack it: {command}"):
        analyse(tmp_path / f"t.csv.{ending}")


def test_names_of_classes_in_an_array_are_those_of_scikit_learn_and_bytes_are_texts(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", logits=LOGITS, labels=NAMES[LABELS].astype("S"), classes_=NAMES)

    summary = analyse(tmp_path / "t.npz", fit_temperature=False)

    assert (summary.loss, summary.class_names) == (pytest.approx(TRUTH), tuple(NAMES))


@pytest.mark.parametrize("column", ["Ground Truth", "actual", "class", "gold", "answer", "category", "what"])
@pytest.mark.parametrize("kind", ["numbers", "names", "arrays"])
def test_without_labels_the_columns_that_may_be_labels_are_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], column: str, kind: str
) -> None:
    path = tmp_path / "t.csv"
    if kind == "arrays":
        path = tmp_path / "t.npz"
        np.savez(path, logits=LOGITS, **{column: LABELS, "other": LABELS.astype(float), "fold": LABELS})
    elif kind == "numbers":
        labelled(**{"fold": np.arange(ROWS) % 5, column: LABELS}).to_csv(path, index=False)
    else:
        labelled(NAMES, **{column: NAMES[LABELS]}).to_csv(path, index=False)

    _said, commands = advice(capsys, path)

    assert losses(capsys, commands) == pytest.approx([TRUTH], rel=1e-5)


@pytest.mark.long
def test_a_tuple_of_predictions_labels_and_decoded_ones_is_asked_about(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save((torch.tensor(LOGITS), torch.tensor(LABELS), torch.tensor(LOGITS).argmax(1)), tmp_path / "t.pt")

    _said, commands = advice(capsys, tmp_path / "t.pt")

    assert commands[0][-2:] == ["--target", "1"]
    assert losses(capsys, commands[:1]) == pytest.approx([TRUTH], rel=1e-5)


def test_predictions_are_no_scores(tmp_path: Path) -> None:
    np.savez(tmp_path / "t.npz", y_pred=LOGITS.argmax(1), y_true=LABELS)

    with pytest.raises(InvalidDump, match=r"y_pred in t.npz has shape \(60,\), as predictions have"):
        analyse(tmp_path / "t.npz")


def test_what_lies_beside_the_logits_is_said_even_if_it_is_not_used(tmp_path: Path) -> None:
    more = {"features": CHANCE.random((ROWS, 8)), "embeddings": CHANCE.random((ROWS, 5)), "video": np.zeros([2] * 5)}
    np.savez(tmp_path / "t.npz", logits=LOGITS, labels=LABELS, **more)
    labelled(label=LABELS.astype(float)).to_csv(tmp_path / "t.csv", index=False)

    said = analyse(tmp_path / "t.npz", fit_temperature=False).reading.sentence()

    assert said == "4 classes: logits; label: labels; features: features; not used: embeddings; not read: video"
    assert "labels are whole numbers written as fractions" in analyse(tmp_path / "t.csv").reading.notes


def test_a_mask_is_not_dropped() -> None:
    mask = np.zeros_like(LOGITS, bool)
    assert loss_of(np.ma.array(LOGITS, mask=mask), LABELS) == pytest.approx(TRUTH)

    mask[3, 2] = True
    with pytest.raises(InvalidDump, match="logits is masked in row 3"):
        analyse(np.ma.array(LOGITS, mask=mask), LABELS)


def test_of_two_axes_of_one_length_it_is_said_which_holds_the_classes() -> None:
    logits, labels = LOGITS[:48].reshape(12, 4, 4), LABELS[:48].reshape(12, 4)
    expected = float(F.cross_entropy(torch.tensor(LOGITS[:48]), torch.tensor(LABELS[:48])))

    summary = analyse(logits, labels, fit_temperature=False)

    assert summary.loss == pytest.approx(expected)
    assert "the classes are on their last axis" in summary.reading.sentence()


ROWS_THAT_ARE_NAMED = {
    "short": ([{"logits": [1.0, 2.0, 3.0], "label": 0}], "logits has a list of 3 in row 5"),
    "without a label": ([{"logits": [1.0, 2.0, 3.0, 4.0]}], "target has 1 empty cell, in row 5"),
}


@pytest.mark.parametrize("case", ROWS_THAT_ARE_NAMED)
def test_the_row_that_is_odd_is_named(tmp_path: Path, case: str) -> None:
    odd, said = ROWS_THAT_ARE_NAMED[case]
    objects = by_row(logits=LOGITS, label=LABELS)
    path = lines(tmp_path / "t.jsonl", [*objects[:5], *odd, *objects[6:]])

    with pytest.raises(InvalidDump, match=said):
        analyse(path)


def test_columns_of_one_name_and_files_without_text_are_told_as_what_they_are(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("logit_0,logit_1,logit_1,label\n1,2,3,0\n")
    (tmp_path / "t.jsonl").write_text("")

    with pytest.raises(InvalidDump, match="4 names, and 'logit_1' more than once"):
        analyse(tmp_path / "t.csv")
    with pytest.raises(InvalidDump, match=r"^t.jsonl is empty"):
        analyse(tmp_path / "t.jsonl")


@pytest.mark.parametrize(
    "odd",
    [
        {"doc_id": 1, "target": "9" * 5000, "resps": [[-1.0, True], [-2.0, False]]},
        {"doc_id": 1, "target": "1" + "0" * 20, "resps": [[-1.0, True], [-2.0, False]]},
        {"doc_id": 1, "target": "x", "arguments": [5, None, "", [], {}], "resps": [[-1.0, True], [-2.0, False]]},
        {"doc_id": 1, "target": 0, "resps": 5},
        {"doc_id": 1, "target": 0, "resps": [[10**400, True], [-2.0, False]]},
        {"doc_id": 1, "target": 0, "resps": [[-1.0], [-2.0]]},
        {"doc_id": 1, "resps": [[-1.0, True], [-2.0, False]]},
        {"target": 2, "resps": [[-1.0, True], [-2.0, False]]},
    ],
)
def test_an_odd_question_of_lm_eval_gets_one_sentence(tmp_path: Path, odd: dict[str, object]) -> None:
    good = {"doc_id": 0, "target": 0, "resps": [[-1.0, True], [-2.0, False]]}
    (tmp_path / "samples.jsonl").write_text("\n".join(json.dumps(one) for one in (good, odd)))

    with pytest.raises(InvalidDump):
        analyse(tmp_path / "samples.jsonl")


def test_a_question_with_many_choices_makes_no_other_question_wide_beyond_the_limits(tmp_path: Path) -> None:
    wide = {"doc_id": 0, "target": 0, "resps": [[-1.0, True]] * 900}
    small = {"doc_id": 1, "target": 0, "resps": [[-1.0, True], [-2.0, False]]}
    (tmp_path / "samples.jsonl").write_text("\n".join(json.dumps(one) for one in (wide, *[small] * 200)))

    with (tmp_path / "samples.jsonl").open("rb") as file, pytest.raises(InvalidDump) as caught:
        open_dump(file, limits=DumpLimits(rows=10_000, logits=50_000))
    assert "logits" in str(caught.value)
