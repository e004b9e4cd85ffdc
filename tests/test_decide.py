"""Decide on the page: what the browser sends is checked, files of decisions are joined, disputes are resolved."""

import io
from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from streamlit.testing.v1 import AppTest

from harness.app_test import hidden_data, open_app, run
from xent_core.dump import analyse
from xent_core.dump.decisions import Decision, Decisions, FoundRows, InvalidDecisions, to_csv, to_json
from xent_core.loss_options import LossOptions
from xent_ui.widgets import job_progress
from xent_ui.your_logits.analysis import AnalysisRequest, DumpAnalysis
from xent_ui.your_logits.desk import (
    MAX_FILES,
    Desk,
    fingerprint,
    joined_by,
    open_again,
    open_disputes,
    resolved,
    resolved_rows,
    taken,
    told_apart,
)
from xent_ui.your_logits.flipped_digits import DIGITS
from xent_ui.your_logits.merging import files_to_keep, with_kept_files

PAGE = "pages/apply/your_logits.py"
KNOWN = FoundRows({1: 4, 2: 5}, {1: "=a"}, None)
TIME = "2026-01-02T03:04:05Z"


@pytest.fixture(autouse=True)
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine gets the time it needs."""
    monkeypatch.setattr(job_progress, "FIRST_WAIT_SECONDS", 60.0)
    monkeypatch.delenv("XENT_PUBLIC", raising=False)


def message(desk: Desk, *changes: Any, **others: Any) -> dict[str, Any]:
    return {
        "dump": desk.dump,
        "generation": desk.generation,
        "sequence": 7,
        "all": False,
        "changes": list(changes),
        **others,
    }


def take(desk: Desk, sent: Any) -> Desk:
    return taken(desk, sent, lambda _rows: KNOWN, 10)


def test_what_the_browser_sends_is_taken_and_taken_back() -> None:
    desk = take(Desk("d"), None)
    desk = take(desk, message(desk, [1, "relabel", 9, TIME], [2, "keep", None, TIME]))

    assert desk.decisions.entries == (
        Decision(1, "=a", 4, 9, "relabel", TIME),
        Decision(2, "", 5, None, "keep", TIME),
    )
    assert desk.sequence == 7
    desk = take(desk, message(desk, [1, "", None, ""]))
    assert [one.row for one in desk.decisions] == [2]
    desk = take(desk, message(desk, [1, "drop", None, TIME], all=True))
    assert [one.row for one in desk.decisions] == [1]


@pytest.mark.parametrize(
    "change",
    [
        [3, "keep", None, TIME],  # a row that is not there
        [1, "relabel", 10, TIME],  # no such class
        [1, "relabel", 4, TIME],  # its own label
        [1, "relabel", "9", TIME],
        [1, "destroy", None, TIME],
        [1, "keep", None, "x" * 100],
        [True, "keep", None, TIME],
        [1, "keep", None],
        [1, ["keep"], None, TIME],
        "keep",
    ],
)
def test_what_our_script_would_not_send_decides_nothing(change: Any) -> None:
    desk = Desk("d")

    assert not take(desk, message(desk, change)).decisions.entries


@pytest.mark.parametrize(
    "other", [{"dump": "x"}, {"generation": "x"}, {"sequence": "7"}, {"changes": None}, {"changes": [[1]] * 30_000}]
)
def test_a_message_of_another_dump_or_another_shape_changes_nothing(other: dict[str, Any]) -> None:
    desk = Desk("d")

    assert take(desk, message(desk, [1, "keep", None, TIME]) | other) == desk


def one(row: int, kind: str) -> Decision:
    return Decision(row, "", KNOWN.labels[row], 6 if kind == "relabel" else None, kind, TIME)


def test_a_dispute_leaves_mine_until_it_is_resolved() -> None:
    desk = Desk("d")
    desk = take(desk, message(desk, [1, "keep", None, TIME]))
    joined = joined_by(desk, {"theirs.csv": Decisions((one(1, "drop"), one(2, "relabel")))})

    assert {found.row: found.decision for found in joined.decisions} == {1: "keep", 2: "relabel"}
    assert [found.row for found in joined.disputes] == [1]
    assert joined.generation != desk.generation, "the browser would not take the new set over"
    taken_over = resolved(joined, {1}, "theirs.csv").decisions
    assert {found.row: found.decision for found in taken_over} == {1: "drop", 2: "relabel"}
    kept = resolved(joined, {1}, None)
    assert kept.decisions == joined.decisions
    assert not open_disputes(kept)


def test_a_resolution_that_is_taken_back_opens_its_dispute_again() -> None:
    files = {"b": Decisions((one(1, "drop"),)), "c": Decisions((one(1, "unsure"),))}
    for mine in ([], [one(1, "keep")]):
        desk = joined_by(Desk("d", decisions=Decisions(tuple(mine))), files)
        after = resolved(desk, {1}, "b")
        assert not open_disputes(after)
        assert resolved_rows(after) == {1}

        back = [1, "keep", None, TIME] if mine else [1, "", None, ""]
        undone = take(after, message(after, back))
        assert [(found.row, found.others) for found in open_disputes(undone)] == [(1, desk.disputes[0].others)]
        other = take(after, message(after, [1, "relabel", 6, TIME]))
        assert not open_disputes(other), "a later decision of mine is not asked about"


def test_a_dispute_that_was_resolved_for_mine_opens_again_when_asked() -> None:
    desk = joined_by(Desk("d", decisions=Decisions((one(1, "keep"),))), {"b": Decisions((one(1, "drop"),))})
    after = resolved(desk, {1}, None)
    assert not open_disputes(after)
    assert resolved_rows(after) == {1}
    assert open_disputes(open_again(after)) == open_disputes(desk)


def test_another_file_opens_what_was_resolved_only_if_it_differs() -> None:
    desk = joined_by(Desk("d", decisions=Decisions((one(1, "keep"),))), {"b": Decisions((one(1, "drop"),))})
    after = resolved(desk, {1}, None)

    assert not open_disputes(joined_by(after, {"c": Decisions((one(1, "keep"), one(2, "drop")))}))
    [again] = open_disputes(joined_by(after, {"c": Decisions((one(1, "unsure"),))}))
    assert dict(again.others) == {"b": one(1, "drop"), "c": one(1, "unsure")}


def test_what_is_resolved_does_not_count_among_the_files_that_one_can_look_at() -> None:
    desk = Desk("d", decisions=Decisions((one(1, "keep"),)))
    for number in range(2 * MAX_FILES):
        desk = resolved(joined_by(desk, {f"file {number}": Decisions((one(1, "drop"),))}), {1}, None)

    assert not open_disputes(desk)


def test_what_was_kept_on_an_earlier_visit_about_another_label_is_not_taken() -> None:
    desk = Desk("d")

    assert [found.row for found in take(desk, message(desk, [1, "keep", None, TIME, 4])).decisions] == [1]
    assert not take(desk, message(desk, [1, "keep", None, TIME, 3])).decisions.entries
    assert not take(desk, message(desk, [1, "keep", None, TIME, "4"])).decisions.entries


@pytest.mark.parametrize("at_once", [True, False])
def test_no_opinion_is_lost_however_the_files_come(at_once: bool) -> None:
    desk = Desk("d", decisions=Decisions((one(1, "keep"),)))
    files = {"b": Decisions((one(1, "drop"),)), "c": Decisions((one(1, "unsure"), one(2, "drop")))}
    for some in [files] if at_once else [{name: decisions} for name, decisions in files.items()]:
        desk = joined_by(desk, some)

    assert [dict(dispute.others) for dispute in desk.disputes] == [{"b": one(1, "drop"), "c": one(1, "unsure")}]
    assert set(resolved(desk, {1, 2}, "b").decisions) == {one(1, "drop"), one(2, "drop")}
    assert set(resolved(desk, {1, 2}, "c").decisions) == {one(1, "unsure"), one(2, "drop")}


def test_what_nobody_of_mine_decided_stays_undecided_until_one_file_is_chosen() -> None:
    desk = joined_by(Desk("d"), {"b": Decisions((one(1, "drop"),)), "c": Decisions((one(1, "keep"),))})

    assert not desk.decisions.entries
    assert resolved(desk, {1}, "c").decisions == Decisions((one(1, "keep"),))
    assert not resolved(desk, {1}, None).decisions.entries


def test_what_i_decide_meanwhile_is_mine_and_taken_back_opens_the_dispute_again() -> None:
    desk = joined_by(Desk("d", decisions=Decisions((one(1, "keep"),))), {"b": Decisions((one(1, "drop"),))})
    desk = take(desk, message(desk, [1, "drop", None, TIME]))
    assert not open_disputes(desk)

    desk = take(desk, message(desk, [1, "unsure", None, TIME]))
    [dispute] = open_disputes(desk)
    assert dispute.mine is not None
    assert dispute.mine.decision == "unsure"


def test_files_of_one_name_are_told_apart_and_one_that_comes_again_is_the_same() -> None:
    first, second = Decisions((one(1, "drop"),)), Decisions((one(1, "unsure"),))
    named = told_apart(Desk("d"), [("decisions.csv", first), ("decisions.csv", second)])
    assert named == {"decisions.csv": first, "decisions.csv (2)": second}

    desk = joined_by(Desk("d", decisions=Decisions((one(1, "keep"),))), named)
    assert told_apart(desk, [("decisions.csv", second)]) == {"decisions.csv (2)": second}
    assert list(told_apart(desk, [("decisions.csv", Decisions((one(1, "keep"),)))])) == ["decisions.csv (3)"]
    assert told_apart(resolved(desk, {1}, None), [("decisions.csv", second)]) == {"decisions.csv (2)": second}


def test_the_opinions_of_more_files_than_one_can_look_at_are_refused() -> None:
    desk = Desk("d", decisions=Decisions((one(1, "keep"),)))
    many = {f"{number}.csv": Decisions((one(1, "drop"),)) for number in range(MAX_FILES + 1)}

    with pytest.raises(InvalidDecisions, match=f"{MAX_FILES + 1} files differ, expected at most {MAX_FILES}"):
        joined_by(desk, many)


@pytest.mark.parametrize("row", [-1, 2**70])
def test_a_row_that_no_table_can_hold_is_not_looked_up(row: int) -> None:
    desk, asked = Desk("d"), set[int]()
    taken(desk, message(desk, [row, "keep", None, TIME]), lambda rows: asked.update(rows) or KNOWN, 10)

    assert not asked


def test_the_same_dump_has_the_same_fingerprint_and_another_one_has_not() -> None:
    chance = np.random.default_rng(0)
    logits, target = chance.normal(size=(30, 3)), chance.integers(0, 3, 30)
    other = target.copy()
    other[0] = (other[0] + 1) % 3
    prints = [fingerprint(analyse(logits, labels, fit_temperature=False)) for labels in (target, target, other)]

    assert prints[0] == prints[1] != prints[2]


def open_page() -> AppTest:
    return run(open_app().switch_page(PAGE))


def upload(app: AppTest, *files: tuple[str, bytes]) -> AppTest:
    field = next(field for field in app.file_uploader if "decisions" in field.label)
    for name, data in files:
        field.upload(name, data)
    return run(app)


def said(app: AppTest) -> str:
    return "\n".join(element.value for kind in (app.markdown, app.caption) for element in kind).replace("\\", "")


def test_a_file_of_decisions_is_opened_and_its_effect_is_pytorchs() -> None:
    with np.load(DIGITS) as digits:
        z, y = torch.tensor(digits["logits"]).double(), torch.tensor(digits["target"]).long()
    first, second = int(y[3]), int(y[8])
    decisions = Decisions(
        (Decision(3, "", first, (first + 1) % 10, "relabel", TIME), Decision(8, "", second, None, "drop", TIME))
    )
    app = upload(open_page(), ("mine.json", to_json(decisions).encode()))
    new, keep = y.clone(), torch.ones(len(y), dtype=torch.bool)
    new[3], keep[8] = (first + 1) % 10, False

    metrics = {metric.label: metric.value for metric in app.metric}
    assert metrics["loss after (nats)"] == f"{float(F.cross_entropy(z[keep], new[keep])):.4f}"
    assert metrics["accuracy after"] == f"{float((z.argmax(1) == new)[keep].double().mean()):.2%}"
    assert metrics["rows counted"] == "1796"
    before = float((z.argmax(1) == y).double().mean())
    printed = Decimal(f"{100 * float((z.argmax(1) == new)[keep].double().mean()):.2f}") - Decimal(f"{100 * before:.2f}")
    [change] = [metric.delta for metric in app.metric if metric.label == "accuracy after"]
    assert Decimal(change) == printed != 0
    assert "The class whose share changes most stands first." in said(app)
    assert [button.proto.label for button in app.get("download_button")][-1] == "Save the example, digits_dump.npz"
    assert "mine.json: 2 of 2 decisions taken." in said(app)
    assert any("np.load" in code.value for code in app.code)


def test_a_file_that_does_not_fit_says_what_was_left_out_and_a_damaged_one_where() -> None:
    with np.load(DIGITS) as digits:
        y = digits["target"].tolist()
    rows = [(3, y[3], 5000 % 10), (5, (y[5] + 1) % 10, None), (99_999, 1, None)]
    entries = [Decision(row, "", old, None, "keep", TIME) for row, old, _new in rows]
    entries.append(Decision(6, "", y[6], 77, "relabel", TIME))
    app = open_page()
    app = upload(app, ("=bad*.csv", b"id,row,old,new,decision,time\n,1,x,,keep,\n"))
    assert "=bad*.csv: Line 2, column 3: old is 'x'" in said(app)

    app = upload(app, ("theirs.csv", to_csv(Decisions(tuple(entries))).encode()))
    words = said(app)
    assert "1 of 4 decisions taken." in words
    assert "1 left out, since the row is not in this dump, or is ignored: row 99999." in words
    assert "1 left out, since the row has another label here than was decided about: row 5." in words
    assert "1 left out, since this dump does not have the new class: row 6." in words


def decided(*kinds: str) -> bytes:
    """A file of decisions about rows 3, 5 and 7 of the digits."""
    with np.load(DIGITS) as digits:
        y = digits["target"].tolist()
    rows = (3, 5, 7)[: len(kinds)]
    entries = [Decision(row, "", y[row], None, kind, TIME) for row, kind in zip(rows, kinds, strict=True)]
    return to_csv(Decisions(tuple(entries))).encode()


def test_three_people_differ_and_each_is_shown_by_the_name_of_the_file() -> None:
    app = upload(open_page(), ("mine.csv", decided("keep", "keep", "keep")))
    app = upload(app, ("bo*b.csv", decided("drop", "drop", "keep")), ("carol.csv", decided("unsure", "keep", "unsure")))
    words = said(app)
    assert "The decisions about 3 rows differ." in words
    assert "bo*b.csv: 0 of 3 decisions taken. 3 differ from yours or from another file's" in words
    assert "carol.csv: 0 of 3 decisions taken. 3 differ from yours or from another file's" in words
    labels = [button.label.replace("\\", "") for button in app.button]
    for label in ("mine: keep", "bo*b.csv: drop", "carol.csv: unsure", "carol.csv: keep", "bo*b.csv: keep"):
        assert label in labels
    assert "All of bo*b.csv (3)" in labels
    shown = [image.proto.imgs[0].alt for image in app.get("image")]
    assert {f"Picture of row {row}" for row in (3, 5, 7)} <= set(shown)

    app.button(key="dispute_3_file_1").click()
    app = run(app)
    assert "The decisions about 2 rows differ." in said(app)
    app.button(key="disputes_file_0").click()
    app = run(app)
    desk = app.session_state["dump_desk"]
    assert {found.row: found.decision for found in desk.decisions} == {3: "unsure", 5: "drop", 7: "keep"}
    assert not open_disputes(desk)


@pytest.fixture(name="digits", scope="module")
def _digits() -> Iterator[DumpAnalysis]:
    analysis = DumpAnalysis(AnalysisRequest("digits", ("digits",), DIGITS, None, None, LossOptions()))
    assert analysis.job.is_done(60)
    yield analysis
    analysis.end()


def test_a_reload_keeps_what_differs_as_the_tab_sends_it_back(digits: DumpAnalysis) -> None:
    app = upload(open_page(), ("mine.csv", decided("keep", "keep")))
    app = upload(app, ("bo*b.csv", decided("drop", "keep")), ("carol.csv", decided("keep", "unsure")))
    before = app.session_state["dump_desk"]
    kept = files_to_keep(before)
    assert set(kept["files"]) == {"bo*b.csv", "carol.csv"}

    after = with_kept_files(digits, replace(Desk(before.dump), decisions=before.decisions), kept)
    assert after.disputes == before.disputes
    assert after.decisions == before.decisions
    assert not after.is_fresh
    assert files_to_keep(after) == kept
    resolved_one = resolved(after, {3}, "bo*b.csv")
    assert {one.row: one.decision for one in resolved_one.decisions} == {3: "drop", 5: "keep"}
    assert [one.row for one in open_disputes(resolved_one)] == [5]

    reloaded = with_kept_files(
        digits, replace(Desk(before.dump), decisions=resolved_one.decisions), files_to_keep(resolved_one)
    )
    assert open_disputes(reloaded) == open_disputes(resolved_one)
    back = message(reloaded, [3, "keep", None, TIME])
    undone = taken(reloaded, back, lambda _rows: FoundRows({3: 3}, {}, None), 10)
    assert [one.row for one in open_disputes(undone)] == [3, 5]


@pytest.mark.parametrize(
    "kept",
    [
        None,
        [],
        {"files": 3},
        {"files": {"a": "not decisions"}},
        {"files": {"a": "\ud800"}, "settled": 3},
        {"files": {}, "settled": [[3, "keep", None]]},
        {
            "files": {
                str(place): to_csv(Decisions((Decision(3, "", 3, None, "drop", TIME),)))
                for place in range(MAX_FILES + 1)
            }
        },
    ],
)
def test_what_a_browser_makes_up_as_kept_files_changes_nothing(digits: DumpAnalysis, kept: object) -> None:
    desk = Desk("x" * 32)

    assert with_kept_files(digits, desk, kept) is desk


def test_what_a_browser_makes_up_as_resolved_is_nothing(digits: DumpAnalysis) -> None:
    files = {
        name: to_csv(Decisions((Decision(3, "", 3, None, kind, TIME),)))
        for name, kind in (("a", "drop"), ("b", "keep"))
    }
    odd = [None, 3, [3], ["3", "keep", None], [3, ["keep"], None], [3, "keep", "x"], [True, "keep", None]]

    after = with_kept_files(digits, Desk("x" * 32), {"files": files, "settled": odd})
    assert not after.settled
    assert [one.row for one in open_disputes(after)] == [3]


def test_a_name_that_several_rows_have_is_said_to_be_ambiguous_and_not_to_be_missing() -> None:
    chance = np.random.default_rng(0)
    held = io.BytesIO()
    np.savez(held, logits=chance.normal(size=(6, 3)), target=np.zeros(6, np.int64), ids=np.array(list("aabcde")))
    app = open_page()
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    app.file_uploader[0].upload("dump.npz", held.getvalue())
    app = run(app)
    entries = (Decision(4, "a", 0, None, "drop", TIME), Decision(0, "z", 0, None, "drop", TIME))
    app = upload(app, ("theirs.csv", to_csv(Decisions(entries)).encode()))

    assert "0 of 2 decisions taken." in said(app)
    assert "1 left out, since several rows have its name, or an earlier decision is about its row: a." in said(app)
    assert "1 left out, since the row is not in this dump, or is ignored: z." in said(app)


def test_a_page_of_cards_is_sent_and_never_all() -> None:
    app = open_page()
    frames = hidden_data(app)
    cards = next(frame["cards"] for frame in frames if "cards" in frame)

    assert len(cards) == 24


@pytest.mark.parametrize("names", [False, True])
def test_the_lines_for_numpy_write_the_labels_of_a_table_first(tmp_path, monkeypatch, names: bool) -> None:
    chance = np.random.default_rng(0)
    logits, target = chance.normal(size=(40, 3)), chance.integers(0, 3, 40)
    called = [f"c{c}" if names else str(c) for c in range(3)]
    head = ",".join([*(f"logit_{name}" for name in called), "label"])
    lines = [",".join(map(str, [*row, called[label]])) for row, label in zip(logits.tolist(), target, strict=True)]
    data = "\n".join([head, *lines]).encode()
    app = open_page()
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    app.file_uploader[0].upload("dump.csv", data)
    app = run(app)
    old = int(target[3])
    decisions = Decisions(
        (Decision(3, "", old, (old + 1) % 3, "relabel", TIME), Decision(5, "", int(target[5]), None, "drop", TIME))
    )
    app = upload(app, ("mine.csv", to_csv(decisions).encode()))
    app.button_group(key="decision_snippet").set_value("NumPy")
    app = run(app)
    [code] = [block.value for block in app.code if "np.load" in block.value]

    monkeypatch.chdir(tmp_path)
    (tmp_path / "dump.csv").write_bytes(data)
    (tmp_path / "decisions.csv").write_text(to_csv(decisions), encoding="utf-8")
    exec(compile(code, "snippet", "exec"), found := {})
    expected = target.copy()
    expected[3] = (old + 1) % 3
    assert found["target"].tolist() == np.delete(expected, 5).tolist()


def test_where_the_only_row_is_dropped_nothing_is_made_up_of_what_is_left() -> None:
    held = io.BytesIO()
    np.savez(held, logits=np.array([[0.2, 0.0]]), target=np.array([0]))
    app = open_page()
    app.button_group(key="dump_source").set_value("upload")
    app = run(app)
    app.file_uploader[0].upload("dump.npz", held.getvalue())
    app = run(app)
    app = upload(app, ("mine.csv", to_csv(Decisions((Decision(0, "", 0, None, "drop", TIME),))).encode()))

    app.button(key="decide_count").click()
    app = run(app)
    assert "Loss 0.5981 → –, accuracy 100.00% → –. No row is left." in said(app)
    assert "nan" not in said(app).lower()
    assert not [metric for metric in app.metric if "nan" in str(metric.value).lower()]
