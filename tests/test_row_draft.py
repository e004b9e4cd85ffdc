"""A row that is tried out: what it takes from friendly browsers and hostile ones, and how it enters the batch."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from tests.row_drafts import after, draft_of, message
from xent_core.presets import PRESETS
from xent_ui.one_example import live, row_draft
from xent_ui.one_example.row_draft import Draft
from xent_ui.state.sheet import PROBABILITIES, Sheet, sheet_of_preset
from xent_ui.text import number


def test_sliders_end_at_a_round_number_and_do_not_shrink() -> None:
    draft = draft_of()
    typed = after(draft, logits=["37", "2", "3"])
    back = after(typed, logits=["1", "2", "3"])

    assert [one.bound for one in (draft, typed, back)] == [10, 50, 50]


def test_a_moved_logit_changes_every_number() -> None:
    draft = after(draft_of(), logits=["2.5", "2", "3"])
    expected = F.cross_entropy(torch.tensor([[2.5, 2, 3]]), torch.tensor([0]))

    assert live.frame(draft)["loss"] == number(float(expected))
    assert live.frame(draft)["sequence"] == 1


def test_a_logit_that_is_no_number_is_refused_by_name_and_the_former_stays() -> None:
    draft = after(draft_of(), logits=["abc", "7", "3"])

    assert draft.sheet.logits == (("1", "7", "3"),)
    assert [label for label, _said in draft.refused] == [0]
    assert "class 0" in draft.refused[0][1]
    assert not after(draft).refused


def test_a_chosen_label_is_the_target() -> None:
    draft = after(draft_of(), label=2, probabilities=["0", "0", "1"])

    assert live.frame(draft)["loss"] == "0.4076"
    assert live.frame(draft)["target"] == ["0.0000", "0.0000", "1.0000"]


def test_a_dragged_share_takes_from_the_others_in_proportion() -> None:
    draft = after(draft_of(), soft=True, probabilities=["0.5", "0.3", "0.2"], moved=0, share="0.8")
    expected = F.cross_entropy(torch.tensor([[1.0, 2, 3]]), torch.tensor([[0.8, 0.12, 0.08]]))

    assert draft.sheet.probabilities == (("0.8", "0.12", "0.08"),)
    assert live.frame(draft)["loss"] == number(float(expected))


def test_shares_that_float32_cannot_hold_keep_their_proportion() -> None:
    draft = after(draft_of(), soft=True, probabilities=["0.5", "1e-50", "3e-50"], moved=0, share="0.2")

    assert draft.sheet.probabilities == (("0.2", "0.2", "0.6"),)


def test_back_to_a_hard_label_keeps_the_largest_share() -> None:
    soft = after(draft_of(), soft=True, probabilities=["0.1", "0.6", "0.3"])
    hard = after(soft, soft=False)

    assert hard.sheet.labels == (1,)
    assert live.frame(hard)["loss"] == "1.4076"


def test_smoothing_reaches_the_target_and_the_floor() -> None:
    frame = live.frame(after(draft_of(), smoothing="0.3"))
    expected = F.cross_entropy(torch.tensor([[1.0, 2, 3]]), torch.tensor([0]), label_smoothing=0.3)

    assert frame["loss"] == number(float(expected))
    assert frame["target"] == ["0.8000", "0.1000", "0.1000"]
    assert frame["gauge"]["marks"][0]["text"] == number(-(0.8 * math.log(0.8) + 0.2 * math.log(0.1)))


def test_an_ignored_class_is_not_ignored_as_a_soft_label() -> None:
    draft = draft_of(ignore_index=0)
    soft = after(draft, soft=True, probabilities=["1", "0", "0"])

    assert "ignored" in live.frame(draft)["note"]
    assert live.frame(soft)["loss"] == "2.4076"
    assert after(soft, soft=False).sheet.ignore_index == 0


def test_a_typed_share_stays_and_so_do_the_others() -> None:
    """−0.5·log p₀ − 0.5·log p₁ of the logits 1, 2, 3: half of 2.4076 + 1.4076."""
    draft = after(draft_of(), soft=True, probabilities=["0.5", "0", "0"])
    half = live.frame(draft)
    draft = after(draft, probabilities=["0.5", "0.5", "0"])

    assert half["loss"] == "1.2038"
    assert "sum to 0.5, not to 1" in half["note"]
    assert draft.sheet.probabilities == (("0.5", "0.5", "0"),)
    assert live.frame(draft)["loss"] == "1.9076"
    assert live.frame(draft)["note"] == ""


def test_a_share_that_is_no_number_is_refused_by_name_and_the_former_stays() -> None:
    draft = after(draft_of(), soft=True, probabilities=["0.5", "half", "0"])

    assert draft.sheet.probabilities == (("0.5", "0", "0"),)
    assert [label for label, _said in draft.refused_shares] == [1]
    assert "class 1" in live.frame(draft)["refused_shares"]["1"]
    assert not after(draft).refused_shares


def test_taking_a_message_twice_is_taking_it_once() -> None:
    draft = draft_of()
    sent = message(draft, soft=True, logits=["1e400", "4", "x"], moved=1, share="0.25")
    once = row_draft.take(draft, sent)

    assert row_draft.take(once, sent) == once


def test_what_was_meant_for_the_former_row_is_left_out() -> None:
    draft = draft_of()
    late = message(draft, logits=["9", "9", "9"])
    new = row_draft.begin(draft.origin, after=draft)

    assert row_draft.take(new, late) is new


HOSTILE: list[dict[str, Any]] = [
    {"sequence": "1"},
    {"sequence": -1},
    {"sequence": True},
    {"sequence": 2**60},
    {"generation": "0"},
    {"logits": None},
    {"logits": ["1", "2"]},
    {"logits": ["1", "2", 3]},
    {"logits": [["1"], "2", "3"]},
    {"logits": ["1"] * 1_000_000},
    {"probabilities": ["1", 0.5, "0"]},
    {"probabilities": {"0": "1"}},
    {"soft": 1},
    {"label": 3},
    {"label": -1},
    {"label": True},
    {"label": "0"},
    {"smoothing": "nan"},
    {"smoothing": "1.1"},
    {"smoothing": 0.1},
    {"soft": True, "moved": 3, "share": "0.5"},
    {"soft": True, "moved": 0, "share": "nan"},
    {"soft": True, "moved": 0, "share": "2"},
    {"soft": True, "moved": "0", "share": "0.5"},
]


@pytest.mark.parametrize("changes", HOSTILE, ids=lambda changes: str(changes)[:60])
def test_a_message_that_makes_no_sense_changes_nothing(changes: dict[str, Any]) -> None:
    draft = draft_of()

    assert row_draft.take(draft, {**message(draft), **changes}) is draft


@pytest.mark.parametrize("name", list(message(draft_of())))
def test_a_message_that_lacks_something_changes_nothing(name: str) -> None:
    draft = draft_of()
    sent = message(draft, soft=True, moved=0, share="0.5")
    del sent[name]

    assert row_draft.take(draft, sent) is draft


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)


@given(JSON, st.data())
def test_no_json_in_the_world_raises(junk: Any, data: st.DataObject) -> None:
    draft = draft_of()
    sent = message(draft)
    name = data.draw(st.sampled_from(sorted(sent)))

    assert isinstance(row_draft.take(draft, junk), Draft)
    taken = row_draft.take(draft, {**sent, name: junk})
    json.dumps(live.frame(taken), allow_nan=False)


def test_a_row_goes_into_the_batch_and_the_other_rows_stay() -> None:
    batch = sheet_of_preset(PRESETS["worked-batch"])
    row = after(draft_of("worked-batch", 1), logits=["-inf", "0.10", "3"], label=2, probabilities=["0", "0", "1"])

    changed = batch.with_row(1, row.sheet)

    assert changed == replace(batch, logits=(batch.logits[0], ("-inf", "0.10", "3"), batch.logits[2]), labels=(2, 2, 0))


def test_a_soft_row_makes_the_batch_soft_and_a_hard_row_fits_a_soft_batch() -> None:
    hard, soft = sheet_of_preset(PRESETS["worked-batch"]), sheet_of_preset(PRESETS["soft-labels"])
    shares = ("0.2", "0.3", "0.5")
    row = after(draft_of("worked-batch", 1), soft=True, probabilities=list(shares))

    softened = hard.with_row(1, row.sheet)
    mixed = soft.with_row(0, draft_of("worked-batch", 1).sheet)

    assert softened.target_kind == PROBABILITIES
    assert softened.probabilities == (("0", "0", "1"), shares, ("1", "0", "0"))
    assert mixed.probabilities == (("0", "1", "0"), *soft.probabilities[1:])


def test_a_soft_row_that_is_hard_after_all_leaves_the_labels_of_the_batch() -> None:
    batch: Sheet = sheet_of_preset(PRESETS["worked-batch"])
    row = after(draft_of("worked-batch", 0), soft=True, probabilities=["0", "1", "0"])

    assert batch.with_row(0, row.sheet) == replace(batch, labels=(1, 1, 0))
