"""What the live component is sent, against PyTorch."""

import json
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from tests.row_drafts import after, draft_of
from xent_core.presets import PRESETS
from xent_ui.one_example import live, row_draft
from xent_ui.state.sheet import sheet_of_preset
from xent_ui.text import number


def texts(values: torch.Tensor, *, sign: bool = False) -> list[str]:
    return [number(value, sign=sign) for value in values.tolist()]


def test_a_frame_of_the_worked_row_shows_the_article_s_numbers() -> None:
    frame = live.frame(draft_of())

    assert frame["loss"] == "2.4076"
    assert frame["prob"] == ["0.0900", "0.2447", "0.6652"]
    assert frame["grad"] == ["−0.9100", "+0.2447", "+0.6652"]
    assert frame["direction"] == ["rises", "falls", "falls"]
    assert [(mark["name"], mark["text"]) for mark in frame["gauge"]["marks"]] == [
        ("floor", "0.0000"),
        ("uniform guess", "1.0986"),
    ]


def test_a_loss_near_the_largest_number_stands_at_its_end_of_the_gauge() -> None:
    frame = live.frame(draft_of(logits=(("1.7e308", "-1.7e308", "0"),), labels=(2,), dtype="float64"))

    assert frame["loss"] == "1.7e+308"
    assert 0.9 < frame["gauge"]["loss"] <= 1


@pytest.mark.parametrize("preset", PRESETS)
def test_every_number_is_pytorch_s(preset: str) -> None:
    problem = PRESETS[preset].problem
    for row in range(problem.num_rows):
        logits = problem.logits[row : row + 1].clone().requires_grad_()
        loss = F.cross_entropy(logits, problem.target[row : row + 1], weight=problem.weight, reduction="sum")
        loss.backward()

        frame = live.frame(draft_of(preset, row))

        assert frame["loss"] == number(loss.item())
        assert frame["logit"] == texts(logits[0].detach())
        assert frame["prob"] == texts(logits[0].detach().softmax(0))
        assert frame["grad"] == texts(logits.grad[0], sign=True)


@pytest.mark.parametrize("odd", ["nan", "inf", "-inf", "1e308", "-1e308", "1e-320"])
@pytest.mark.parametrize("soft", [False, True])
def test_odd_logits_are_shown_and_go_through_json(odd: str, soft: bool) -> None:
    for dtype in ("float64", "float16"):
        draft = after(draft_of(dtype=dtype), logits=[odd, "2", "3"], soft=soft)

        frame = live.frame(draft)

        assert draft.sheet.logits == ((odd, "2", "3"),)
        json.dumps(frame, allow_nan=False)
        assert math.isfinite(2 * frame["bound"])
        assert frame["logit"][0] == number(float(draft.sheet.to_problem().logits[0, 0]))


@pytest.mark.parametrize("changes", [{"weight": ("0", "0", "0")}, {"labels": (None,)}, {"weight": ("nan", "1", "-1")}])
def test_rows_without_a_loss_are_shown(changes: dict[str, Any]) -> None:
    frame = live.frame(draft_of(**changes))

    json.dumps(frame, allow_nan=False)
    assert ("ignored" in frame["note"]) == ("labels" in changes)


def test_64_classes_and_one_class_have_frames() -> None:
    many = row_draft.begin(sheet_of_preset(PRESETS["worked-row-0"]).resized(1, 64).with_random_logits(4, 0).only_row(0))
    one = row_draft.begin(sheet_of_preset(PRESETS["worked-row-0"]).resized(1, 1).only_row(0))

    assert len(live.frame(many)["grad"]) == 64
    assert live.frame(one)["loss"] == "0.0000"
    assert live.frame(after(one, soft=True, moved=0, share="0.3"))["target"] == ["1.0000"]
