"""JSON Lines are read field by field; what a line says once of many rows is said of each, but a label is not."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from xent_core.dump import InvalidDump, analyse
from xent_core.dump.formats import text_stream

ROWS, CLASSES = 24, 3
CHANCE = np.random.default_rng(5)
LOGITS = CHANCE.normal(size=(ROWS, CLASSES))
TARGET = np.arange(ROWS) % CLASSES
LOSS = float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(TARGET)))


def written(path: Path, rows: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_one_label_for_many_rows_of_logits_is_not_repeated(tmp_path: Path) -> None:
    nested = LOGITS.reshape(ROWS // 4, 4, CLASSES)
    once = [{"logits": rows.tolist(), "label": 1} for rows in nested]
    each = [{"logits": rows.tolist(), "label": TARGET[4 * i : 4 * i + 4].tolist()} for i, rows in enumerate(nested)]
    single = [{"logits": [row.tolist()], "label": int(label)} for row, label in zip(LOGITS, TARGET, strict=True)]

    with pytest.raises(InvalidDump, match="one label for 4 rows of logits"):
        analyse(written(tmp_path / "once.jsonl", once))
    for name, rows in (("each", each), ("single", single)):
        summary = analyse(written(tmp_path / f"{name}.jsonl", rows), fit_temperature=False)
        assert (summary.rows, summary.loss) == (ROWS, pytest.approx(LOSS, rel=1e-6))


def test_a_class_whose_first_hundred_numbers_are_whole_may_have_a_fraction_later(tmp_path: Path) -> None:
    rows = [{"cat": 1, "dog": row % 2, "label": row % 2} for row in range(100)]

    summary = analyse(
        written(tmp_path / "t.jsonl", [*rows, {"cat": 0.25, "dog": 1.5, "label": 0}]), fit_temperature=False
    )

    logits = torch.tensor([[1.0, row % 2] for row in range(100)] + [[0.25, 1.5]], dtype=torch.float64)
    target = torch.tensor([row % 2 for row in range(100)] + [0])
    assert summary.loss == pytest.approx(float(F.cross_entropy(logits, target)), rel=1e-9)


PLAIN = [
    {"name": f'{{"é" [{row}', "cat": a, "dog": b, "owl": c, "label": int(TARGET[row])}
    for row, (a, b, c) in enumerate(LOGITS)
]
LAID_OUT = {
    "one list": json.dumps(PLAIN),
    "one list in UTF-8": json.dumps(PLAIN, ensure_ascii=False),
    "a list over many lines": json.dumps(PLAIN, indent=2),
    "objects over many lines": "\n".join(json.dumps(row, indent=1) for row in PLAIN),
    "a list with an object a line": "[\n" + ",\n".join(map(json.dumps, PLAIN)) + "\n]\n",
    "one object over many lines": json.dumps({"logits": LOGITS.tolist(), "label": TARGET.tolist()}, indent=2),
}


@pytest.mark.parametrize("block_bytes", [2**20, 16])
@pytest.mark.parametrize("case", LAID_OUT)
def test_objects_are_read_however_they_are_laid_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: str, block_bytes: int
) -> None:
    monkeypatch.setattr(text_stream, "BLOCK_BYTES", block_bytes)
    (tmp_path / "t.json").write_text(LAID_OUT[case], "utf-8")

    summary = analyse(tmp_path / "t.json", fit_temperature=False)

    assert (summary.rows, summary.loss) == (ROWS, pytest.approx(LOSS, rel=1e-9))


@pytest.mark.parametrize("case", LAID_OUT)
@pytest.mark.parametrize("share", [0.2, 0.9, 0.99])
def test_a_json_text_that_was_cut_off_is_no_shorter_dump(tmp_path: Path, case: str, share: float) -> None:
    (tmp_path / "t.json").write_text(LAID_OUT[case][: int(share * len(LAID_OUT[case]))], "utf-8")

    with pytest.raises(InvalidDump) as caught:
        analyse(tmp_path / "t.json", fit_temperature=False)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[1, 2]", "[", "[]", "{}", "[[1.0, 2.0]]", "{", "null", "[{}", '[{"a": 1} {]', "[" * 3000]
)
def test_what_is_no_list_of_objects_gets_one_sentence(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)

    with pytest.raises(InvalidDump) as caught:
        analyse(tmp_path / "t.json")

    assert "\n" not in str(caught.value)
