"""Texts that a spreadsheet would run as formulas."""

import csv
from pathlib import Path

import numpy as np
import pytest

from xent_core.codec import read_file, to_csv
from xent_core.dump import analyse
from xent_core.presets import PRESETS
from xent_core.spreadsheets import harmless


@pytest.mark.parametrize(
    "text", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "=", "-", "＝1+1", "＋1", "－1", "＠SUM(A1)"]
)
def test_a_text_that_begins_like_a_formula_gets_an_apostrophe(text: str) -> None:
    assert harmless(text) == "'" + text


@pytest.mark.parametrize("text", ["", " ", "cat", "a=b", "1-1", "'", "−1", "\n=1"])
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert harmless(text) == text


@pytest.mark.parametrize(
    ("text", "safe"),
    [("a;=1+1", "a;'=1+1"), ("a;-1;+2", "a;'-1;'+2"), ("=a;＝b", "'=a;'＝b"), ("a; b", "a; b"), ("a;'=b", "a;'=b")],
)
def test_a_formula_after_a_semicolon_gets_one_too(text: str, safe: str) -> None:
    """Where commas are decimal, Excel parts the cells of a line at semicolons."""
    assert harmless(text) == safe


@pytest.mark.parametrize("text", ["=1+1", "@x", "\r", "a;=1", "＝x;＝y"])
def test_what_has_an_apostrophe_gets_no_second_one(text: str) -> None:
    assert harmless(harmless(text)) == harmless(text)


@pytest.mark.parametrize(
    "name",
    ["=1+1", "'=1+1", "''=1+1", "'", "-", "a;=1", "a;'=1", "=a;''＝1", "＝1", "label", "'label", "target:cat", "cat"],
)
def test_a_row_name_in_a_table_is_harmless_and_reads_back(name: str) -> None:
    names = ("first", name, "last")

    table = to_csv(PRESETS["worked-batch"].problem, row_names=names)

    assert read_file("batch.csv", table).row_names == names
    assert all(harmless(line) == line for line in table.decode().splitlines())


def test_the_names_in_a_table_of_scores_are_harmless(tmp_path: Path) -> None:
    path = tmp_path / "scores.csv"
    names = ["=1+1", "", "@x", "cat"]

    analyse([[2.0, 1.0]] * 4, [0, 1, 0, 1], ids=np.array(names), scores=path, fit_temperature=False)

    assert [row["id"] for row in csv.DictReader(path.open(encoding="utf-8"))] == ["'=1+1", "", "'@x", "cat"]
