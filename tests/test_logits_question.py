"""Probabilities, percentages and outputs of a sigmoid in place of logits: every command asks, and every answer runs."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from tests.printed_advice import printed_commands
from xent_core.__main__ import main
from xent_core.codec import InvalidFile, read_file
from xent_core.columns import ColumnChoices
from xent_core.dump import InvalidDump, analyse
from xent_core.logits_question import question_about

CHANCE = np.random.default_rng(1)
LOGITS = (CHANCE.normal(size=(60, 4)) * 2).astype(np.float32).astype(float)
LABELS = np.where(CHANCE.random(60) < 0.3, CHANCE.integers(0, 4, 60), LOGITS.argmax(1))
PROBS = torch.tensor(LOGITS).softmax(1).numpy()
PADDED = np.where(np.arange(60) < 56, LABELS, -100)
ODD = 5  # a row, before the padding


def with_rows(probs: np.ndarray, value: float, rows: slice | int) -> np.ndarray:
    changed = probs.copy()
    changed[rows] = value
    return changed


def loss_of(labels: np.ndarray = LABELS) -> float:
    return float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(labels)))


def write_npz(path: Path, scores: np.ndarray, labels: np.ndarray) -> Path:
    np.savez(path / "dump.npz", probs=scores, labels=labels)
    return path / "dump.npz"


def write_sequences(path: Path, scores: np.ndarray, labels: np.ndarray) -> Path:
    np.savez(path / "dump.npz", logits=scores.reshape(6, 10, 4), labels=labels.reshape(6, 10))
    return path / "dump.npz"


def write_npz_with_our_names(path: Path, scores: np.ndarray, labels: np.ndarray) -> Path:
    np.savez(path / "dump.npz", logits=scores, target=labels)
    return path / "dump.npz"


def write_csv(path: Path, scores: np.ndarray, labels: np.ndarray) -> Path:
    table = pd.DataFrame(scores, columns=[f"prob_{label}" for label in range(4)])
    table.assign(fold=7, target=labels).to_csv(path / "dump.csv", index=False, na_rep="nan")
    return path / "dump.csv"


def write_parquet(path: Path, scores: np.ndarray, labels: np.ndarray) -> Path:
    pd.DataFrame({"logits": list(scores), "label": labels}).to_parquet(path / "dump.parquet")
    return path / "dump.parquet"


WRITERS = [write_npz, write_sequences, write_npz_with_our_names, write_csv, write_parquet]
STAYS_ASKED = {
    "as they are": (PROBS, LABELS),
    "the padding is zeros": (with_rows(PROBS, 0.0, slice(56, None)), PADDED),
    "the padding is NaN": (with_rows(PROBS, np.nan, slice(56, None)), PADDED),
    "percentages": (PROBS * 100, LABELS),
    "one row sums to 1.4": (PROBS * np.where(np.arange(60) == ODD, 1.4, 1.0)[:, None], LABELS),
}


def loss_in(out: str) -> float:
    if out.startswith("{"):
        return float(json.loads(out)["loss"])
    return float(re.findall(r"^loss +([-\d.]+)$", out, re.MULTILINE)[0])


@pytest.mark.long
@pytest.mark.parametrize("write", WRITERS)
@pytest.mark.parametrize("case", STAYS_ASKED)
def test_every_command_asks_and_the_printed_answer_has_the_loss_of_the_logits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], case: str, write: Callable[..., Path]
) -> None:
    scores, labels = STAYS_ASKED[case]
    file = str(write(tmp_path, scores, labels))

    for command in ("analyse", "show"):
        assert main([command, file, *(["--json"] if command == "analyse" else [])]) == 2
        answers = printed_commands(capsys.readouterr().err)
        assert [answer[-1] for answer in answers] == ["probabilities", "logits"]
        assert main(answers[1]) == 0
        assert loss_in(capsys.readouterr().out) != pytest.approx(loss_of(labels), abs=1e-2)
        assert main(answers[0]) == 0
        assert loss_in(capsys.readouterr().out) == pytest.approx(loss_of(labels), abs=1e-4)


@pytest.mark.parametrize("command", ["analyse", "show", "script", "notebook", "doctor"])
@pytest.mark.parametrize(
    ("scores", "said"),
    [
        (1 / (1 + np.exp(-LOGITS)), "as the outputs of a sigmoid do"),
        (with_rows(1 / (1 + np.exp(-LOGITS)), np.nan, ODD), "as the outputs of a sigmoid do"),
        (PROBS * 100, "sum to 100, as percentages do"),
        (PROBS * 255 // 1, "sum to 255, as probabilities times 255 do"),
    ],
)
def test_every_command_refuses_in_the_same_words_and_reads_what_is_said_to_be_logits(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, scores: np.ndarray, said: str
) -> None:
    file = str(write_csv(tmp_path, scores, LABELS))

    assert main([command, file]) == 2
    assert said in capsys.readouterr().err
    assert main([command, file, "--logits-are", "logits"]) in (0, 1)


def test_the_doctor_answers_with_its_finding_where_it_has_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = str(write_csv(tmp_path, PROBS, LABELS))

    assert main(["doctor", file]) == 1
    out = capsys.readouterr().out
    assert "softmax-applied-twice" in out
    assert out.startswith("read  4 classes: prob_0, prob_1, prob_2, prob_3; label: target; not used: fold\n")
    assert main(["doctor", file, "--logits-are", "probabilities"]) == 0
    assert "logarithms of these probabilities" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("odd", "said"),
    [
        (PROBS[ODD] * 1.4, "row 5 sums to 1.4"),
        (np.zeros(4), "row 5 sums to 0"),
        (np.array([0.1, np.nan, 0.5, 0.4]), "row 5 holds NaN"),
        (np.array([1.25, -0.25, 0.0, 0.0]), "row 5 holds -0.25"),
    ],
)
def test_a_row_unlike_the_others_is_named_and_does_not_end_the_question(odd: np.ndarray, said: str) -> None:
    scores = PROBS.copy()
    scores[ODD] = odd

    with pytest.raises(InvalidDump) as caught:
        analyse(scores, LABELS)

    assert caught.value.code == "looks-like-probabilities"
    assert f"in 1 of the 60 rows looked at: {said}" in caught.value.came
    assert [answer["logits_are"] for answer in caught.value.answers] == ["probabilities", "logits"]


def test_what_is_below_0_by_rounding_is_a_probability_of_0() -> None:
    scores = PROBS.copy()
    scores[ODD, (LABELS[ODD] + 1) % 4] = -1e-9
    expected = F.nll_loss(
        torch.tensor(scores.clip(0) / scores.clip(0).sum(1, keepdims=True)).log(), torch.tensor(LABELS)
    )

    with pytest.raises(InvalidDump, match="as probabilities do"):
        analyse(scores, LABELS)
    assert analyse(scores, LABELS, logits_are="probabilities").loss == pytest.approx(float(expected))


def test_scattered_rows_of_padding_do_not_end_the_question() -> None:
    is_padding = np.random.default_rng(0).random(50_000) < 0.001
    scores = np.where(is_padding[:, None], 0.0, np.resize(PROBS, (50_000, 4)))
    labels = np.where(is_padding, -100, np.resize(LABELS, 50_000))

    with pytest.raises(InvalidDump) as caught:
        analyse(scores, labels)

    assert caught.value.code == "looks-like-probabilities"
    assert "not so" not in caught.value.came


def test_rows_are_looked_at_where_the_labels_begin() -> None:
    """As where a prompt of 3000 tokens has no labels, and rows that are no probabilities."""
    scores = np.concatenate([np.resize(LOGITS, (3000, 4)), PROBS])
    labels = np.concatenate([np.full(3000, -100), LABELS])

    with pytest.raises(InvalidDump, match="as probabilities do"):
        analyse(scores, labels)


@pytest.mark.parametrize("name", ["prob_{}", "probs.{}", "pred_proba_{}", "softmax {}", "Prob{}"])
def test_columns_that_are_called_probabilities_are_asked_about_where_they_lie_in_0_to_1(name: str) -> None:
    few_classes_of_many = PROBS[:, :3] / 2

    names = [name.format(number) for number in range(3)]
    assert question_about(few_classes_of_many[:8], names) is not None
    assert question_about(few_classes_of_many[:8], ["logit_0", "logit_1", "logit_2"]) is None
    assert question_about(few_classes_of_many[:8].round(1) - 1, names) is None
    assert question_about(few_classes_of_many[:8], [f"log_{one}" for one in names]) is None


@pytest.mark.parametrize(
    "logits",
    [
        LOGITS,
        np.abs(LOGITS),
        LOGITS - LOGITS.mean(1, keepdims=True),
        np.maximum(LOGITS, 0),
        100 * np.eye(4)[LABELS],
        7 * np.eye(4)[LABELS] + 1,
        np.where(np.eye(4)[LABELS] == 1, 3.0, -np.inf),
        np.full((60, 4), 25.0),
        np.resize([[3.0, 1.0, 0.5, 0.0], [0.0, 3.0, 0.5, 1.0]], (60, 4)),
        np.zeros((60, 4)),
        np.where(np.arange(60)[:, None] % 2, np.eye(4)[LABELS], 0.0),
        np.full((60, 4), np.nan),
        np.full((60, 4), np.finfo(float).max),
    ],
)
def test_logits_are_not_asked_about(logits: np.ndarray) -> None:
    assert question_about(logits) is None


def test_a_common_sum_of_any_size_is_asked_about() -> None:
    votes = np.random.default_rng(2).multinomial(37, PROBS)

    question = question_about(votes.astype(float))

    assert question is not None
    assert "sum to 37" in question.came


def test_an_import_asks_and_takes_the_logarithm_of_what_was_said_to_be_probabilities(tmp_path: Path) -> None:
    data = write_csv(tmp_path, PROBS, LABELS).read_bytes()

    with pytest.raises(InvalidFile) as caught:
        read_file("dump.csv", data)
    assert caught.value.answers == ({"logits_are": "probabilities"}, {"logits_are": "logits"})
    document = read_file("dump.csv", data, ColumnChoices(logits_are="probabilities"))

    torch.testing.assert_close(document.problem.logits.softmax(1).double(), torch.tensor(PROBS), atol=1e-6, rtol=0)
    assert "logarithms" in document.reading
