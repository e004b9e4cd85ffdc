"""Which columns of a table are what: by rule, said in a sentence, and never by a guess."""

import argparse
import contextlib
import gzip
import io
import json
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from xent_core import Problem
from xent_core.__main__ import main
from xent_core.cli.column_options import add_columns
from xent_core.codec import read_file, to_csv
from xent_core.column_rule import decide
from xent_core.columns import Column, ColumnChoices, UnclearColumns, choices_of, few
from xent_core.dump import InvalidDump, analyse

ROWS, CLASSES = 60, 3
CHANCE = np.random.default_rng(7)
TARGET = CHANCE.integers(0, CLASSES, ROWS)
LOGITS = CHANCE.normal(size=(ROWS, CLASSES)).round(3)
LOGITS[:, 0] += 0.0005  # fractions everywhere
LOSS = float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(TARGET)))
NAMES = ("cat", "dog", "bird")


def table(columns: dict[str, object], *, separator: str = ",", header: bool = True) -> bytes:
    """As most programs write it; every value as Python prints it."""
    values = [list(column) if not isinstance(column, str | int) else [column] * ROWS for column in columns.values()]
    lines = [separator.join(columns)] if header else []
    lines += [separator.join(str(value) for value in row) for row in zip(*values, strict=True)]
    return ("\n".join(lines) + "\n").encode()


def scores(pattern: str = "prob_{}") -> dict[str, object]:
    return {pattern.format(c): LOGITS[:, c].tolist() for c in range(CLASSES)}


def named() -> dict[str, object]:
    return {name: LOGITS[:, c].tolist() for c, name in enumerate(NAMES)}


LABELS = TARGET.tolist()
WORDS = [NAMES[label] for label in LABELS]
FOLD = [row % 5 for row in range(ROWS)]

THREE = "3 classes: prob_0, prob_1, prob_2; label: target"
READ = {
    "fold": ({**scores(), "target": LABELS, "fold": FOLD}, f"{THREE}; not used: fold"),
    "index of pandas": ({"": range(ROWS), **scores(), "target": LABELS}, f"{THREE}; not used: (nameless)"),
    "index of pandas, read and written again": (
        {"Unnamed: 0": range(ROWS), **named(), "target": LABELS},
        "3 classes: cat, dog, bird; label: target; not used: Unnamed: 0",
    ),
    "numbers of images": (
        {"image_id": range(1000, 1000 + ROWS), **named(), "label": LABELS},
        "3 classes: cat, dog, bird; label: label; ids: image_id",
    ),
    "epoch and prediction": (
        {**named(), "epoch": 3, "PredictedClass": LOGITS.argmax(1).tolist(), "label": LABELS},
        "3 classes: cat, dog, bird; label: label; not used: epoch, PredictedClass",
    ),
    "row": ({"row": range(ROWS), **named(), "label": LABELS}, "3 classes: cat, dog, bird; label: label; ids: row"),
    "file names": (
        {"file": [f"{row}.png" for row in range(ROWS)], **named(), "label": LABELS},
        "3 classes: cat, dog, bird; label: label; not used: file",
    ),
    "texts": (
        {"text": [f"a review, the {row}th".replace(",", ";") for row in range(ROWS)], **named(), "label": LABELS},
        "3 classes: cat, dog, bird; label: label; text: text",
    ),
    "labels by name": (
        {**named(), "age": FOLD, "label": WORDS},
        "3 classes: cat, dog, bird; label: label; not used: age",
    ),
    "names behind a prefix": (
        {f"prob_{name}": LOGITS[:, c].tolist() for c, name in enumerate(NAMES)}
        | {"loss": LOGITS[:, 0].tolist(), "label": WORDS},
        "3 classes: prob_cat, prob_dog, prob_bird; label: label; not used: loss",
    ),
    "numbers out of order": (
        {f"logit_{c}": LOGITS[:, c].tolist() for c in (2, 0, 1)} | {"label": LABELS},
        "3 classes: logit_0, logit_1, logit_2; label: label",
    ),
    "from 1 on": (
        {f"class_{c + 1}": LOGITS[:, c].tolist() for c in range(CLASSES)} | {"label": [label + 1 for label in LABELS]},
        "3 classes: class_1, class_2, class_3; label: label",
    ),
    "one-hot": (
        {**scores(), **{f"label_{c}": (c == TARGET).astype(int).tolist() for c in range(CLASSES)}},
        "3 classes: prob_0, prob_1, prob_2; label: label_0, label_1, label_2",
    ),
    "one-hot in any order and with a gap in no name": (
        {**scores(), **{f"label_{c}": (c == TARGET).astype(float).tolist() for c in (2, 0, 1)}},
        "3 classes: prob_0, prob_1, prob_2; label: label_0, label_1, label_2",
    ),
    "whole labels as fractions": (
        {**scores(), "target": [float(label) for label in LABELS]},
        f"{THREE}; labels are whole numbers written as fractions",
    ),
    "a column y of fractions": (
        {"x": LOGITS[:, 0].tolist(), "y": LOGITS[:, 1].tolist(), "z": LOGITS[:, 2].tolist(), "label": LABELS},
        "3 classes: x, y, z; label: label",
    ),
}


@pytest.mark.parametrize("case", READ)
def test_a_table_is_read_by_rule_and_the_rule_is_said(tmp_path: Path, case: str) -> None:
    columns, said = READ[case]
    (tmp_path / "t.csv").write_bytes(table(columns))

    summary = analyse(tmp_path / "t.csv", fit_temperature=False)

    assert summary.loss == pytest.approx(LOSS, rel=1e-6)
    assert summary.reading.sentence() == said
    assert json.loads(summary.as_json())["read"]["unused"] == list(summary.reading.unused)


NUMBERED_ODDLY = {
    "two spellings": (["logit_0", "logit_1", "logit_01"], "'logit_1' and 'logit_01', which give one class two columns"),
    "capitals": (["prob_0", "prob_1", "Prob_1"], "'prob_1' and 'Prob_1'"),
    "a fraction": (["prob_0", "prob_1", "prob_1.0"], "'prob_1' and 'prob_1.0'"),
    "a point and a stroke": (["prob_0", "prob_1", "prob.1"], "'prob_1' and 'prob.1'"),
    "twice for pandas": (["logit_0", "logit_1", "logit_1.1"], "'logit_1' and 'logit_1.1'"),
    "a gap": (["logit_0", "logit_1", "logit_3"], "are numbered, and logit_2 is missing"),
    "a gap at one": (["1", "2", "4"], "are numbered, and 3 is missing"),
    "a gap under another name": (["cls0", "cls1", "cls3"], "are numbered, and cls2 is missing"),
}


@pytest.mark.parametrize("case", NUMBERED_ODDLY)
def test_a_class_with_two_columns_or_with_none_is_told(tmp_path: Path, case: str) -> None:
    names, said = NUMBERED_ODDLY[case]
    columns = {name: LOGITS[:, c].tolist() for c, name in enumerate(names)} | {"label": [label % 2 for label in LABELS]}
    (tmp_path / "t.csv").write_bytes(table(columns))
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")

    for file in ("t.csv", "t.parquet"):
        with pytest.raises(InvalidDump, match=re.escape(said)) as caught:
            analyse(tmp_path / file, fit_temperature=False)
        for answer in caught.value.answers:  # either can be said
            assert analyse(tmp_path / file, labels_are="indices", fit_temperature=False, **answer).classes >= 2


def test_columns_with_a_gap_that_are_said_to_be_all_are_called_by_their_numbers(tmp_path: Path) -> None:
    columns = {f"logit_{name}": LOGITS[:, c].tolist() for c, name in enumerate((0, 1, 3))}
    columns["label"] = [(0, 1, 3)[label] for label in LABELS]
    (tmp_path / "t.csv").write_bytes(table(columns))

    summary = analyse(tmp_path / "t.csv", classes="logit_*", fit_temperature=False)

    assert summary.loss == pytest.approx(LOSS, rel=1e-6)
    assert summary.class_names == ("0", "1", "3")


def test_other_columns_may_be_numbered_as_they_like(tmp_path: Path) -> None:
    columns = {**scores(), "pca_0": LOGITS[:, 0].tolist(), "pca_2": LOGITS[:, 1].tolist(), "target": LABELS}
    (tmp_path / "t.csv").write_bytes(table(columns))

    assert analyse(tmp_path / "t.csv", fit_temperature=False).reading.sentence() == f"{THREE}; not used: pca_0, pca_2"


@pytest.mark.parametrize("case", READ)
def test_parquet_is_read_by_the_same_rule(tmp_path: Path, case: str) -> None:
    columns, said = READ[case]
    if case == "whole labels as fractions":
        return
    values = {name: [value] * ROWS if isinstance(value, int | str) else list(value) for name, value in columns.items()}
    pq.write_table(pa.table(values), tmp_path / "t.parquet", row_group_size=17)

    summary = analyse(tmp_path / "t.parquet", fit_temperature=False)

    assert summary.loss == pytest.approx(LOSS, rel=1e-6)
    assert summary.reading.sentence() == said


UNCLEAR = {
    "two kinds of scores": {**scores("prob_{}"), **scores("logit_{}"), "target": LABELS},
    "a column that nobody knows": {**named(), "age": FOLD, "label": LABELS},
    "a class that never occurs, or a feature": {**named(), "fish": LOGITS[:, 0].tolist(), "label": WORDS},
    "inputs beside classes": {
        "x1": LOGITS[:, 0].tolist(),
        "x2": LOGITS[:, 1].tolist(),
        **named(),
        "label": [label % 2 for label in LABELS],
    },
    "a loss among fractions": {**named(), "loss": LOGITS[:, 0].tolist(), "label": LABELS},
    "two of one name and number, and a third": {
        "cat1": LOGITS[:, 0].tolist(),
        "cat2": LOGITS[:, 1].tolist(),
        "dog": LOGITS[:, 2].tolist(),
        "label": [label % 2 for label in LABELS],
    },
    "two prefixes before the names of the labels": {
        f"{kind}_{name}": (LOGITS[:, c] * scale).tolist()
        for scale, kind in enumerate(("prob", "logit"), 1)
        for c, name in enumerate(NAMES)
    }
    | {"label": WORDS},
    "a margin behind the prefix of the names": {f"logit_{name}": LOGITS[:, c].tolist() for c, name in enumerate(NAMES)}
    | {"logit_margin": LOGITS[:, 0].tolist(), "label": WORDS},
}
MEASURES = {f"{part}_{side}": LOGITS[:, 0].tolist() for part in ("sepal", "petal") for side in ("length", "width")}
PROBS = {f"prob_{name}": LOGITS[:, c].tolist() for c, name in enumerate(("setosa", "versicolor", "virginica"))}
UNCLEAR |= {
    "measures beside scores": {**MEASURES, **PROBS, "label": LABELS},
    "measures behind scores": {**PROBS, **MEASURES, "label": LABELS},
    "scores by a suffix": {**MEASURES, **{"_".join(name.split("_")[::-1]): PROBS[name] for name in PROBS}, "y": LABELS},
    "numbered features": {**{f"feature_{c}": LOGITS[:, c].tolist() for c in range(3)}, **named(), "label": LABELS},
} | {
    f"a column {odd}": {**named(), odd: LOGITS[:, 0].tolist(), "label": LABELS}
    for odd in (
        "uncertainty",
        "nll",
        "energy",
        "msp",
        "std",
        "max_prob",
        "ECE",
        "score",
        "val_loss",
        "top1_conf",
        "logProb",
        "entropy_1",
        "what_nobody_knows",
    )
}


@pytest.mark.parametrize("case", UNCLEAR)
def test_where_two_readings_are_possible_both_commands_are_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(table(UNCLEAR[case]))

    assert main(["analyse", str(path), "--no-temperature"]) == 2

    sentence, *commands = capsys.readouterr().err.splitlines()
    assert "more than one way" in sentence
    assert 2 <= len(commands) <= 3
    read = set()
    for command in commands:
        prefix = f"  python -m xent_core analyse {path} --no-temperature --classes "
        assert command.startswith(prefix)
        assert main([*shlex.split(command)[3:], "--json"]) == 0
        read.add(tuple(json.loads(capsys.readouterr().out)["read"]["classes"]))
    assert len(read) == len(commands)


def test_two_columns_that_may_be_the_labels_are_asked_about(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(table({**scores(), "label": FOLD, "target": LABELS}))

    assert main(["analyse", str(path), "--no-temperature"]) == 2
    assert "--target label or --target target" in capsys.readouterr().err
    assert analyse(path, target_column="target", fit_temperature=False).loss == pytest.approx(LOSS, rel=1e-6)


@pytest.mark.parametrize("classes", ["prob_*", ["prob_0", "prob_1", "prob_2"], "prob_0,prob_1,prob_2", "prob_[0-2]"])
def test_the_columns_can_be_chosen(tmp_path: Path, classes: object) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(table({**scores("prob_{}"), **scores("logit_{}"), "name": WORDS, "key": WORDS, "truth": LABELS}))

    summary = analyse(path, classes=classes, target_column="truth", ids="key", fit_temperature=False)

    assert summary.loss == pytest.approx(LOSS, rel=1e-6)
    assert summary.reading.as_dict() | {"unused": []} == {
        "classes": ["prob_0", "prob_1", "prob_2"],
        "target": "truth",
        "ids": "key",
        "text": None,
        "image": None,
        "unused": [],
        "notes": [],
    }


def test_an_existing_file_is_a_file_before_it_is_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_bytes(table({**scores(), "label": FOLD, "key": WORDS}))
    Path("names.txt").write_text("prob_2\nprob_0\nprob_1\n")
    np.save("labels.npy", TARGET)

    summary = analyse("t.csv", target_column="labels.npy", ids="key", fit_temperature=False)
    turned, named_so = (
        analyse("t.csv", target_column="labels.npy", classes="names.txt", labels_are=are, fit_temperature=False)
        for are in ("indices", "names")
    )

    assert summary.loss == pytest.approx(LOSS, rel=1e-6)
    assert summary.reading.target_file == "labels.npy"
    assert turned.class_names == ("prob_2", "prob_0", "prob_1")
    assert turned.loss == pytest.approx(
        float(F.cross_entropy(torch.tensor(LOGITS[:, [2, 0, 1]]), torch.tensor(TARGET)))
    )
    assert named_so.loss == pytest.approx(LOSS, rel=1e-6)


def test_numbered_classes_in_another_order_keep_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(table({**scores("c{}"), "label": LABELS}))

    with pytest.raises(InvalidDump, match="names of the classes 0, 2, 1, or their numbers") as caught:
        analyse(path, classes="c0,c2,c1")

    assert caught.value.answers == ({"labels_are": "names"}, {"labels_are": "indices"})
    summary = analyse(path, classes="c0,c2,c1", labels_are="names", fit_temperature=False)
    assert (summary.class_names, summary.loss) == (("0", "2", "1"), pytest.approx(LOSS, rel=1e-6))


def test_a_letter_is_a_class_and_no_features(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(
        table({**dict(zip("fgh", (LOGITS[:, c].tolist() for c in range(3)), strict=True)), "label": LABELS})
    )

    summary = analyse(tmp_path / "t.csv", fit_temperature=False)

    assert (summary.class_names, summary.loss) == (("f", "g", "h"), pytest.approx(LOSS, rel=1e-6))


def test_a_list_that_nobody_calls_logits_is_believed_when_the_labels_fit(tmp_path: Path) -> None:
    tokens = [[row, 5, 7, 9] for row in range(ROWS)]
    pq.write_table(pa.table({"input_ids": tokens, "label": LABELS}), tmp_path / "tokens.parquet")
    pq.write_table(pa.table({"last": LOGITS.tolist(), "label": LABELS}), tmp_path / "last.parquet")

    with pytest.raises(InvalidDump, match="no label is above 2"):
        analyse(tmp_path / "tokens.parquet")
    assert analyse(tmp_path / "last.parquet", fit_temperature=False).loss == pytest.approx(LOSS, rel=1e-6)


@pytest.mark.parametrize("options", [{"classes": "nothing_*"}, {"target_column": "nothing"}, {"ids": "nothing"}])
def test_a_column_that_is_not_there_is_named(tmp_path: Path, options: dict[str, str]) -> None:
    (tmp_path / "t.csv").write_bytes(table({**scores(), "label": LABELS}))

    with pytest.raises(InvalidDump, match="nothing"):
        analyse(tmp_path / "t.csv", **options)


def test_a_table_without_a_header_is_read_when_that_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(table({**scores(), "label": LABELS}, header=False))

    assert main(["analyse", str(path), "--no-temperature"]) == 2
    assert "--no-header --target 3" in capsys.readouterr().err
    assert main(["analyse", str(path), "--no-temperature", "--no-header"]) == 0
    assert "no header line" in capsys.readouterr().out
    assert analyse(path, no_header=True).loss == pytest.approx(LOSS, rel=1e-6)


def test_what_pandas_counts_is_a_header(tmp_path: Path) -> None:
    (tmp_path / "z.csv").write_bytes(table(scores("{}")))
    (tmp_path / "y.csv").write_bytes(table({"0": LABELS}))

    summary = analyse(tmp_path / "z.csv", tmp_path / "y.csv", fit_temperature=False)

    assert (summary.rows, summary.loss) == (ROWS, pytest.approx(LOSS, rel=1e-6))


LAYOUTS = {
    "semicolons and decimal commas": table(
        {name: [str(value).replace(".", ",") for value in column] for name, column in named().items()}
        | {"label": WORDS},
        separator=";",
    ),
    "tabs": table({**named(), "label": WORDS}, separator="\t"),
    "a byte order mark": b"\xef\xbb\xbf" + table({**named(), "label": WORDS}),
    "blank lines": b"\n  \n" + table({**named(), "label": WORDS}).replace(b"\n", b"\n\n"),
    "lines of Windows": table({**named(), "label": WORDS}).replace(b"\n", b"\r\n"),
    "quoted cells with line feeds": table({**named(), "label": WORDS, "note": ['"a,\nb"'] * ROWS}),
    "lines of an old Macintosh": table({**named(), "label": WORDS}).replace(b"\n", b"\r"),
    "a line for Excel": b"sep=;\r\n" + table({**named(), "label": WORDS}, separator=";").replace(b"\n", b"\r\n"),
    "a comment for a header": b"# written by us, in 2026\n# "
    + table({**named(), "label": [f"{label:.18e}" for label in LABELS]}),
    "one space": table({**named(), "label": WORDS}, separator=" "),
    "a comment before columns of one width": b"# cat  dog  bird  label\n"
    + "".join(
        f"  {a:>12} {b:>12}  {c:>12}   {d} \n" for (a, b, c), d in zip(LOGITS.tolist(), WORDS, strict=True)
    ).encode(),
    "gzip": gzip.compress(table({**named(), "label": WORDS})),
    "gzip in two parts": gzip.compress(table({**named(), "label": WORDS})[:200])
    + gzip.compress(table({**named(), "label": WORDS})[200:]),
}


def packed(data: bytes, codec: str) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, codec) as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


LAYOUTS["bz2"] = packed(table({**named(), "label": WORDS}), "bz2")
LAYOUTS["zstd"] = packed(table({**named(), "label": WORDS}), "zstd")


@pytest.mark.parametrize("case", [case for case in LAYOUTS if LAYOUTS[case].isascii()])
def test_show_reads_the_same_layouts(case: str) -> None:
    document = read_file("t.csv", LAYOUTS[case])

    assert document.class_names == NAMES
    assert document.problem.target.tolist() == LABELS
    np.testing.assert_allclose(document.problem.logits.double().numpy(), LOGITS, rtol=1e-6)


@pytest.mark.parametrize("case", LAYOUTS)
@pytest.mark.parametrize("sandboxed", [False, True], ids=["here", "in a sandbox"])
def test_every_layout_of_a_text_gives_the_same_numbers(case: str, sandboxed: bool) -> None:
    upload = io.BytesIO(LAYOUTS[case])
    upload.name = "t.csv"

    summary = analyse(upload, fit_temperature=False, sandboxed=sandboxed)

    assert (summary.rows, summary.class_names) == (ROWS, NAMES)
    assert summary.loss == pytest.approx(LOSS, rel=1e-6)


DAMAGED = {
    "a word among numbers": (table({**named(), "label": LABELS}).replace(b"\n", b"\n1,x,2,0\n", 1), "column dog"),
    "a cell too few": (table({**named(), "label": LABELS}) + b"1,2,3\n", f"line {ROWS + 2} has 3 cells"),
    "a label that is no class": (table({**named(), "label": [*WORDS[:-1], "fish"]}), "'fish'"),
    "an empty label": (table({**named(), "label": [*WORDS[:-1], ""]}), "no label in row"),
    "gzip cut off": (gzip.compress(table({**named(), "label": LABELS}))[:-30], "unpacked"),
    "UTF-16": ("a,b,label\n1,2,0\n".encode("utf-16"), "UTF-16"),
    "an open quote": (b'a,b,label\n1,"2,0\n' + b"1,2,0\n" * 9, "cannot be read"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_a_damaged_text_gets_one_sentence(tmp_path: Path, case: str) -> None:
    data, came = DAMAGED[case]
    (tmp_path / "t.csv").write_bytes(data)

    with pytest.raises(InvalidDump) as caught:
        analyse(tmp_path / "t.csv")

    assert came in str(caught.value)
    assert "\n" not in str(caught.value)


THREE_LINES = """
import sys
from xent_core.dump import InvalidDump, analyse
try:
    analyse(sys.argv[1])
except InvalidDump as error:
    print("refused:", error)
"""


@pytest.mark.long
def test_a_bad_cell_in_the_first_block_ends_thirty_programs_well_beside_a_busy_process(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(b"a,b,label\n1,x,0\n" + b"1.25,2.5,1\n" * 400_000)
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        for _run in range(30):
            ran = subprocess.run(
                [sys.executable, "-c", THREE_LINES, str(path)], capture_output=True, text=True, timeout=120
            )

            assert (ran.returncode, ran.stderr) == (0, "")
            assert ran.stdout.startswith("refused: t.csv cannot be read (line 2, column b: 'x' is no number)")
    finally:
        busy.kill()
        busy.wait()


def test_show_reads_by_the_same_rule(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(table(READ["fold"][0]))

    assert read_file("t.csv", path.read_bytes()).problem.logits.shape == (ROWS, CLASSES)
    path.write_bytes(table(UNCLEAR["two kinds of scores"]))
    assert main(["show", str(path)]) == 2
    assert capsys.readouterr().err.count("--classes") == 4
    assert main(["show", str(path), "--classes", "prob_*"]) == 0


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_what_we_export_is_read_as_it_was_whatever_the_classes_are_called(data: st.DataObject) -> None:
    words = [
        "row",
        "label",
        "y",
        "epoch",
        "x1",
        "x2",
        "a1",
        "a2",
        "0",
        "1",
        "2",
        "",
        "id",
        "fold",
        "target",
        "cat",
        "=1",
        "'q",
    ]
    names = data.draw(
        st.lists(st.sampled_from(words), min_size=1, max_size=5, unique=True).filter(lambda one: "" not in one)
    )
    rows = data.draw(st.integers(1, 20))
    logits = torch.tensor(
        data.draw(
            st.lists(
                st.lists(st.sampled_from([1.0, 2.0, 0.5]), min_size=len(names), max_size=len(names)),
                min_size=rows,
                max_size=rows,
            )
        )
    )
    target = torch.tensor(data.draw(st.lists(st.integers(0, len(names) - 1), min_size=rows, max_size=rows)))
    row_names = data.draw(st.sampled_from([(), tuple(f"r{row}" for row in range(rows))]))
    soft = data.draw(st.booleans())
    problem = Problem(logits, torch.softmax(logits, 1) if soft else target)

    document = read_file("t.csv", to_csv(problem, class_names=names, row_names=row_names))

    assert document.class_names == tuple(names)
    assert document.row_names == row_names
    assert document.problem == problem


def test_our_own_export_is_a_dump_too(tmp_path: Path) -> None:
    problem = Problem(torch.tensor(LOGITS), torch.tensor(TARGET))
    (tmp_path / "t.csv").write_bytes(
        to_csv(problem, class_names=["epoch", "y", "x1"], row_names=[f"r{i}" for i in range(ROWS)])
    )

    summary = analyse(tmp_path / "t.csv", fit_temperature=False)

    assert summary.loss == pytest.approx(LOSS, rel=1e-6)
    assert (summary.class_names, summary.reading.ids) == (("epoch", "y", "x1"), "row")


def test_logits_that_could_be_probabilities_are_logits_where_we_export_them(tmp_path: Path) -> None:
    problem = Problem(torch.tensor(LOGITS).softmax(1), torch.tensor(TARGET))
    (tmp_path / "t.csv").write_bytes(to_csv(problem, class_names=["a", "b", "c"]))

    assert (tmp_path / "t.csv").read_text().startswith("logit:a,logit:b,logit:c,label")
    assert read_file("t.csv", (tmp_path / "t.csv").read_bytes()).problem == problem
    expected = F.cross_entropy(problem.logits, problem.target)
    assert analyse(tmp_path / "t.csv", fit_temperature=False).loss == pytest.approx(float(expected), rel=1e-6)


def test_no_column_is_used_for_two_things_and_none_is_forgotten() -> None:
    columns = [Column(name, "number") for name in ("a", "b", "c")] + [Column("label", "integer"), Column("id", "text")]

    reading = decide(columns, ColumnChoices(), lambda _column: (), rows_seen=50, file="t")

    parts = [*reading.classes, *reading.target, reading.ids, *reading.unused]
    assert sorted(map(str, parts)) == sorted(column.name for column in columns)
    with pytest.raises(UnclearColumns):
        decide([Column("label", "integer")], ColumnChoices(), lambda _column: (), rows_seen=50, file="t")


def test_rows_that_two_files_name_in_another_order_are_refused(tmp_path: Path) -> None:
    ids = [f"image {row}" for row in range(ROWS)]
    (tmp_path / "z.csv").write_bytes(table({"image_id": ids, **scores()}))
    (tmp_path / "y.csv").write_bytes(table({"image_id": ids, "label": LABELS}))
    (tmp_path / "turned.csv").write_bytes(table({"image_id": ids[::-1], "label": LABELS[::-1]}))

    assert analyse(tmp_path / "z.csv", tmp_path / "y.csv", fit_temperature=False).loss == pytest.approx(LOSS, rel=1e-6)
    with pytest.raises(InvalidDump, match="row 0 is image 0"):
        analyse(tmp_path / "z.csv", tmp_path / "turned.csv")


SHUFFLED = np.random.default_rng(5).permutation(ROWS)
KEYS = {
    "the index of pandas": ("", "", list(range(ROWS))),
    "the index of pandas, read again": ("", "Unnamed: 0", list(range(100, 100 + ROWS))),
    "whole numbers": ("customer", "customer", list(range(7, 7 * ROWS + 7, 7))),
    "file names": ("file", "file", [f"{row}.png" for row in range(ROWS)]),
    "ids": ("image_id", "image_id", list(range(ROWS))),
    "ids by another name": ("image_id", "id", [f"image {row}" for row in range(ROWS)]),
}


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("case", KEYS)
def test_rows_in_another_order_are_refused_whatever_names_them(tmp_path: Path, case: str, kind: str) -> None:
    own, other, keys = KEYS[case]

    def write(name: str, columns: dict[str, list[object]]) -> Path:
        path = tmp_path / f"{name}.{kind}"
        if kind == "csv":
            path.write_bytes(table(columns))
        elif kind == "parquet":
            pq.write_table(pa.table(columns), path)
        else:
            rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
        return path

    z = write("z", {own: keys, **scores()})
    y = write("y", {other: keys, "label": LABELS})
    turned = write("turned", {other: [keys[row] for row in SHUFFLED], "label": [LABELS[row] for row in SHUFFLED]})

    assert analyse(z, y, fit_temperature=False).loss == pytest.approx(LOSS, rel=1e-6)
    with pytest.raises(InvalidDump, match=f"row 0 is {keys[0]} in .* and {keys[SHUFFLED[0]]} in turned"):
        analyse(z, turned)


def test_an_index_that_was_counted_anew_is_no_other_order(tmp_path: Path) -> None:
    (tmp_path / "z.csv").write_bytes(table({"": range(ROWS), **scores()}))
    (tmp_path / "y.csv").write_bytes(table({"": (1000 + 3 * SHUFFLED).tolist(), "label": LABELS}))

    summary = analyse(tmp_path / "z.csv", tmp_path / "y.csv", fit_temperature=False)

    assert summary.loss == pytest.approx(LOSS, rel=1e-6)


@pytest.mark.parametrize("header", ["", "a b c label"])
@pytest.mark.parametrize("delimiter", [" ", ",", "\t"])
def test_what_numpy_writes_is_read(tmp_path: Path, delimiter: str, header: str) -> None:
    values = np.column_stack([LOGITS, TARGET])
    np.savetxt(tmp_path / "t.txt", values, delimiter=delimiter, header=header.replace(" ", delimiter))

    summary = analyse(tmp_path / "t.txt", no_header=not header, target_column=None if header else "3")

    assert summary.loss == pytest.approx(LOSS, rel=1e-6)
    assert summary.class_names == (("a", "b", "c") if header else None)


def test_a_folder_of_the_same_name_does_not_hide_a_column(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_bytes(table({**scores(), "truth": LABELS}))
    Path("truth").mkdir()
    np.save("truth/target.npy", TARGET[::-1])

    assert analyse("t.csv", target_column="truth", fit_temperature=False).loss == pytest.approx(LOSS, rel=1e-6)
    assert analyse("t.csv", target_column="truth/", fit_temperature=False).reading.target_file == "target.npy"


def test_a_folder_says_how_many_files_were_read(tmp_path: Path) -> None:
    for shard in range(3):
        (tmp_path / f"part-{shard}.csv").write_bytes(table({**scores(), "target": LABELS}))

    assert analyse(tmp_path, fit_temperature=False, epochs=False).reading.sentence() == f"{THREE}; 3 files"


ODD_NAMES = st.text(st.sampled_from("ab_1 -,'\"*[]?$;|&x"), min_size=1, max_size=6).filter(
    lambda name: name.strip() == name and not name.startswith("__")
)


@settings(max_examples=100, deadline=None)
@given(st.lists(ODD_NAMES, min_size=1, max_size=5, unique=True), st.sampled_from(["number", "list"]))
def test_every_command_that_is_printed_chooses_the_columns_that_it_names(names: list[str], kind: str) -> None:
    columns = [*(Column(name, kind) for name in names), *(Column(f"{side}_prob", kind) for side in ("left", "right"))]
    target = Column("label", "integer")
    with pytest.raises(UnclearColumns) as caught:
        decide([*columns, target], ColumnChoices(), lambda _column: (), rows_seen=50, file="t")
    unclear = caught.value
    parser = argparse.ArgumentParser()
    add_columns(parser)

    for answer in unclear.answers:
        said = parser.parse_args(shlex.split(choices_of([answer])))
        read = decide(
            [*columns, target], ColumnChoices(classes=said.classes), lambda _column: (), rows_seen=50, file="t"
        )
        assert choices_of([answer]) in unclear.fix
        if kind == "number":
            assert f"({len(read.classes)} classes: {few(read.classes)})" in unclear.fix


def test_the_rule_takes_no_longer_than_the_columns_grow() -> None:
    def seconds(count: int) -> float:
        columns = [Column(f"name {index} x", "integer") for index in range(count)] + [Column("label", "integer")]
        started = time.process_time()
        with contextlib.suppress(UnclearColumns):
            decide(
                [*columns, Column("odd_loss", "integer")], ColumnChoices(), lambda _column: (), rows_seen=9, file="t"
            )
        return time.process_time() - started

    seconds(1000)
    few_columns, many_columns = (min(seconds(count) for _run in range(3)) for count in (2_000, 16_000))

    assert many_columns < 24 * few_columns  # 8 where it is linear, 64 where it is quadratic


@pytest.mark.parametrize("form", ["{:,.2f}", "{:.1%}", "{:.1f} %"])
def test_a_number_in_another_dress_is_told_and_its_column_is_not_left_out(tmp_path: Path, form: str) -> None:
    columns = {**named(), "cat": [f'"{form.format(1000 + value)}"' for value in LOGITS[:, 0]], "label": [0, 1] * 30}
    (tmp_path / "t.csv").write_bytes(table(columns))

    with pytest.raises(InvalidDump, match=r"line \d+, column cat: .* is no number"):
        analyse(tmp_path / "t.csv")


def test_a_single_logit_is_told_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(table({"logit": LOGITS[:, 0].tolist(), "label": [0, 1] * 30}))

    with pytest.raises(InvalidDump, match="one column of numbers for its classes, logit"):
        analyse(tmp_path / "t.csv")


def test_rows_that_are_sorted_are_read_and_that_is_said(tmp_path: Path) -> None:
    prob = -np.sort(-LOGITS, axis=1)
    pq.write_table(pa.table({"prob": prob.tolist(), "label": LABELS}), tmp_path / "top.parquet")

    said = analyse(tmp_path / "top.parquet", fit_temperature=False).reading.sentence()

    assert (
        said == "3 classes: prob; label: label; every row falls from its first class to its last, as if it were sorted"
    )


def test_features_that_are_the_only_matrix_are_asked_about(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", X=np.column_stack([LOGITS, LOGITS]), y=TARGET)

    with pytest.raises(InvalidDump, match="no label is above 2"):
        analyse(tmp_path / "d.npz")
    assert analyse(tmp_path / "d.npz", classes="X", fit_temperature=False).classes == 6


def test_pictures_and_objects_beside_the_logits_do_no_harm(tmp_path: Path) -> None:
    files = np.array([f"{row}.png" for row in range(ROWS)], dtype=object)
    np.savez(tmp_path / "d.npz", logits=LOGITS, labels=TARGET, images=np.zeros((ROWS, 1, 2, 2)), files=files)

    assert analyse(tmp_path / "d.npz", fit_temperature=False).loss == pytest.approx(LOSS, rel=1e-6)


def test_names_behind_a_number_sign_are_no_comment(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes(table({**scores("#{}"), "label": LABELS}))

    assert analyse(tmp_path / "t.csv", fit_temperature=False).reading.classes == ("#0", "#1", "#2")


@pytest.mark.parametrize("choice", ["logit_*", ("logit_*",), ["logit_*"]])
def test_the_classes_of_a_pattern_stand_in_the_order_of_their_numbers(tmp_path: Path, choice: Any) -> None:
    """Sorted as texts, logit_10 would be class 2."""
    generator = np.random.default_rng(0)
    logits, target = generator.normal(size=(40, 12)), generator.integers(0, 12, 40)
    columns = {f"logit_{c}": logits[:, c].tolist() for c in sorted(range(12), key=str)}
    (tmp_path / "t.csv").write_bytes(table({**columns, "label": target.tolist()}))

    summary = analyse(tmp_path / "t.csv", classes=choice, fit_temperature=False)

    assert summary.reading.classes == tuple(f"logit_{c}" for c in range(12))
    assert summary.loss == pytest.approx(F.cross_entropy(torch.tensor(logits), torch.tensor(target)).item(), rel=1e-6)
