"""Files as people write them: each is read as what it is, or refused with commands that work; never read as another."""

import json
import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from xent_core.__main__ import main
from xent_core.dump import InvalidDump, analyse

CHANCE = np.random.default_rng(1)
ROWS, CLASSES = 60, 4
LOGITS = (CHANCE.normal(size=(ROWS, CLASSES)) * 2).astype("f4").astype("f8")
LABELS = np.where(CHANCE.random(ROWS) < 0.3, CHANCE.integers(0, CLASSES, ROWS), LOGITS.argmax(1))
NAMES = np.array(["cat", "dog", "owl", "fox"])
TRUTH = float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(LABELS)))
PROBS = torch.tensor(LOGITS).softmax(1).numpy()
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

    assert "the labels of t.csv are 1 to 4, and 5 columns are left" in said
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
def test_a_header_without_a_name_for_the_names_of_rows_is_read(tmp_path: Path, delimiter: str) -> None:
    rows = [[f'"{name}"' for name in (*NAMES, "y")]]
    rows += [[f'"{row + 1}"', *map(str, LOGITS[row]), f'"{NAMES[LABELS[row]]}"'] for row in range(ROWS)]
    (tmp_path / "t.txt").write_text("".join(delimiter.join(row) + "\n" for row in rows))

    assert loss_of(tmp_path / "t.txt") == pytest.approx(TRUTH)


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
