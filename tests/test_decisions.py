"""Decisions about suspects: they travel and come back, two people's are merged, and what they change is PyTorch's."""

import csv
import io
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from xent_core.dump import analyse, open_dump
from xent_core.dump.decisions import (
    MAX_DECISIONS,
    Decision,
    Decisions,
    InvalidDecisions,
    counted_again,
    decisions_from_file,
    effect,
    find_rows,
    match,
    merge,
    merge_all,
    snippet,
    to_csv,
    to_json,
)

TIME = "2026-01-02T03:04:05Z"
# what a file can hold, and what a spreadsheet would run
NAMES = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    st.sampled_from(["=1+1", "'=1", "''@x", "\r\n", 'a,"b";', "<b>", "\ufeffx", "\0", "'", "+1"]),
)


@st.composite
def one_decision(draw: Callable[..., Any], row: int) -> Decision:
    kind = draw(st.sampled_from(["keep", "relabel", "drop", "unsure"]))
    old = draw(st.integers(0, 9))
    new = draw(st.integers(0, 9).filter(lambda c: c != old)) if kind == "relabel" else None
    return Decision(row, draw(NAMES), old, new, kind, draw(st.sampled_from(["", TIME, "2026-02-02T00:00:00Z"])))


@st.composite
def some_decisions(draw: Callable[..., Any]) -> Decisions:
    rows = draw(st.lists(st.integers(0, 12), unique=True, max_size=8))
    return Decisions(tuple(draw(one_decision(row)) for row in rows))


def relabel(row: int, old: int, new: int, name: str = "") -> Decision:
    return Decision(row, name, old, new, "relabel", TIME)


def drop(row: int, old: int) -> Decision:
    return Decision(row, "", old, None, "drop", TIME)


@given(some_decisions())
def test_decisions_come_back_from_both_kinds_of_files_as_they_were(decisions: Decisions) -> None:
    for write in (to_csv, to_json):
        assert decisions_from_file(write(decisions).encode()) == decisions


@given(some_decisions())
def test_no_cell_of_the_csv_is_a_formula(decisions: Decisions) -> None:
    cells = [cell for row in csv.reader(io.StringIO(to_csv(decisions), newline="")) for cell in row]

    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@", "\t", "\r"))]


@given(some_decisions(), st.lists(some_decisions(), max_size=4))
def test_a_merge_of_all_loses_no_opinion(mine: Decisions, others: list[Decisions]) -> None:
    named = {f"{place}.csv": decisions for place, decisions in enumerate(others)}
    together = merge_all(mine, named)
    agreed = {one.row: one for one in together.decisions}
    disputed = {one.row: one for one in together.disputes}

    assert not agreed.keys() & disputed.keys()
    for name, decisions in {"": mine, **named}.items():
        for one in decisions:
            if one.row in agreed:
                assert agreed[one.row].says == one.says
                assert agreed[one.row].time >= one.time
            else:
                dispute = disputed[one.row]
                assert (dispute.others[name] if name else dispute.mine) == one
    for dispute in disputed.values():
        opinions = [*dispute.others.values(), *([dispute.mine] if dispute.mine else [])]
        assert len({one.says for one in opinions}) > 1
        assert len(opinions) == sum(one.of_row(dispute.row) is not None for one in (mine, *others))


@given(some_decisions(), some_decisions())
def test_a_merge_of_all_with_one_other_is_the_merge_of_two(mine: Decisions, theirs: Decisions) -> None:
    two, together = merge(mine, theirs), merge_all(mine, {"b": theirs})

    assert together.decisions == two.decisions
    assert [(one.mine, one.others["b"]) for one in together.disputes] == [(c.mine, c.theirs) for c in two.conflicts]


@given(some_decisions(), some_decisions())
def test_a_merge_keeps_all_that_is_agreed_and_shows_the_rest(mine: Decisions, theirs: Decisions) -> None:
    both, turned = merge(mine, theirs), merge(theirs, mine)
    rows = {one.row for one in both.decisions} | {one.row for one in both.conflicts}

    assert rows == {one.row for one in mine} | {one.row for one in theirs}
    assert turned.decisions == both.decisions
    assert [(one.theirs, one.mine) for one in turned.conflicts] == [(one.mine, one.theirs) for one in both.conflicts]
    assert all(one.mine.says != one.theirs.says for one in both.conflicts)
    assert not {one.row for one in both.decisions} & {one.row for one in both.conflicts}


@given(some_decisions())
def test_a_merge_with_oneself_or_with_nothing_changes_nothing(decisions: Decisions) -> None:
    for other in (decisions, Decisions()):
        both = merge(decisions, other)
        assert set(both.decisions) == set(decisions)
        assert not both.conflicts


@given(some_decisions(), st.integers(0, 12), st.data())
def test_what_is_decided_and_taken_back_leaves_the_others_as_they_were(
    decisions: Decisions, row: int, data: st.DataObject
) -> None:
    before = decisions.of_row(row)
    changed = decisions.having([data.draw(one_decision(row))])
    undone = changed.having([before]) if before else changed.having([], without=[row])

    assert set(undone) == set(decisions)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id,row,old,new,decision,time\na,1,2,3,relabel,\nb,x,2,,keep,\n", "Line 3, column 2: row is 'x'"),
        ("id,row,old,new,decision,time\na,1,2,2,relabel,\n", "Line 2, column 4: new is 2"),
        ("id,row,old,new,decision,time\na,1,2,,perhaps,\n", "Line 2, column 5: decision is 'perhaps'"),
        ("id,row,old,new,decision,time\na,1,2\n", "Line 2, column 4: the line ends too early"),
        (
            "id,row,old,new,decision,time\na,1,2,,keep,02/01/2026 03:04\n",
            "Line 2, column 6: time is '02/01/2026 03:04'",
        ),
        ("id,row,old,new,decision,time\na,1.5,2,,keep,\n", "Line 2, column 2: row is '1.5'"),
        ("id,row,old,new,decision,time\na,1,2,,keep,\nb,1,2,,drop,\n", "Line 3, column 1: row 1 is decided twice"),
        ("a,b\n1,2\n", "Line 1, column 1: row, old, new, decision is missing, expected"),
        ("", "Line 1, column 1: the file is empty"),
        ('{"version": 1,\n "decisions": [}', "Line 2, column 16: it is not JSON"),
        ("[" * 100_000, "Line 1, column 1: the JSON is none that this program writes"),
        ('{"version": 1, "decisions": [{"row": 1}]}', "Decision 1: expected the entries"),
        ('{"version": 2, "decisions": []}', "Line 1, column 1: no decisions"),
        (to_json(Decisions((drop(3, 1),))).replace("3", "NaN", 1), "Decision 1: row is nan"),
    ],
)
def test_a_damaged_file_is_refused_in_one_sentence_with_its_place(text: str, said: str) -> None:
    with pytest.raises(InvalidDecisions) as caught:
        decisions_from_file(text.encode())

    assert str(caught.value).startswith(said)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_and_files_without_end_are_refused() -> None:
    with pytest.raises(InvalidDecisions, match="Line 2, column 3: a byte is not UTF-8"):
        decisions_from_file(b"id,row\nab\xff")
    with pytest.raises(InvalidDecisions, match="bytes, expected at most"):
        decisions_from_file(b" " * 20_000_000)
    many = "id,row,old,new,decision,time\n" + "".join(f",{row},1,,keep,\n" for row in range(MAX_DECISIONS + 1))
    with pytest.raises(InvalidDecisions, match="more than 5000 decisions"):
        decisions_from_file(many.encode())


def test_what_a_spreadsheet_saves_with_semicolons_is_read_too() -> None:
    text = "\ufeffid;row;old;new;decision;time\r\na;1;2;3;relabel;\r\n"

    assert decisions_from_file(text.encode()) == Decisions((Decision(1, "a", 2, 3, "relabel"),))


def test_decisions_find_their_rows_by_name_and_say_what_does_not_fit() -> None:
    decisions = Decisions((relabel(0, 1, 2, "a"), relabel(1, 1, 2, "b"), relabel(2, 1, 9, "c"), relabel(3, 5, 2, "d")))
    found = match(decisions, rows_of_ids={"a": 30, "c": 32, "d": 33}, labels={30: 1, 32: 1, 33: 4}, classes=9)

    assert [one.row for one in found.decisions] == [30]
    assert [one.id for one in found.missing] == ["b"]
    assert [one.id for one in found.no_class] == ["c"]
    assert [one.id for one in found.other_label] == ["d"]
    assert found.by_row == 0
    by_row = match(decisions, rows_of_ids=None, labels={0: 1, 1: 1}, classes=9)
    assert [one.row for one in by_row.decisions] == [0, 1]
    assert by_row.by_row == 2


def test_rows_are_found_in_the_table_of_scores_and_a_name_that_stands_twice_is_not(tmp_path: Path) -> None:
    chance = np.random.default_rng(0)
    target = np.array([0, 1, -100, 2, 1])
    ids = np.array(["a", "b", "c", "twice", "twice"])
    scores = tmp_path / "scores.parquet"
    analyse(chance.normal(size=(5, 3)).astype(np.float32), target, ids=ids, scores=scores)

    found = find_rows(scores, [1, 2, 77], ["a", "twice"])
    assert found.labels[0] == 0
    assert found.labels[1] == 1
    assert 2 not in found.labels
    assert found.ids[1] == "b"
    assert found.rows_of_ids == {"a": 0}
    assert found.repeated == {"twice"}
    assert set(found.labels) == {0, 1, 3}, "what is kept grows with the rows that share a name"


def test_a_name_of_several_rows_is_ambiguous_unless_the_number_of_the_row_tells_which() -> None:
    decisions = Decisions((relabel(3, 1, 2, "twice"), relabel(7, 1, 2, "twice"), relabel(9, 1, 2, "gone")))
    found = match(
        decisions, rows_of_ids={}, labels={3: 1, 4: 1, 7: 1}, classes=9, repeated={"twice"}, ids={3: "twice", 7: "b"}
    )

    assert [one.row for one in found.decisions] == [3]
    assert [one.row for one in found.ambiguous] == [7]
    assert [one.row for one in found.missing] == [9]


def test_of_two_decisions_that_come_to_one_row_the_second_is_ambiguous() -> None:
    decisions = Decisions((relabel(3, 1, 2, "a"), drop(5, 1)))
    found = match(decisions, rows_of_ids={"a": 5}, labels={5: 1}, classes=9)

    assert [one.says for one in found.decisions] == [("relabel", 2)]
    assert found.ambiguous == (drop(5, 1),)
    assert not found.missing


def oracle(z: torch.Tensor, y: torch.Tensor, options: dict[str, Any]) -> tuple[float, float, np.ndarray]:
    """Loss, accuracy and shares of the gradient by autograd; dropped rows are gone."""
    z = z.double().clone().requires_grad_()
    loss = F.cross_entropy(z, y, **options)
    total = F.cross_entropy(z, y, **{**options, "reduction": "sum"})
    [grad] = torch.autograd.grad(total, z)
    norm = torch.linalg.vector_norm(grad, dim=1)
    kept = y != options.get("ignore_index", -100)
    share = torch.zeros(z.shape[1], dtype=torch.float64).index_add_(0, y[kept], norm[kept])
    return float(loss.detach()), float((z.argmax(1) == y)[kept].double().mean()), (share / share.sum()).numpy()


OPTIONS: list[dict[str, Any]] = [
    {},
    {"reduction": "sum"},
    {"weight": [0.5, 2.0, 1.0, 3.0, 0.0]},
    {"label_smoothing": 0.2, "weight": [0.5, 2.0, 1.0, 3.0, 0.1]},
    {"ignore_index": 3},
]


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 2**20), options=st.sampled_from(OPTIONS), infinite=st.booleans())
def test_what_decisions_change_is_pytorchs_over_the_relabelled_tensors(
    seed: int, options: dict[str, Any], infinite: bool
) -> None:
    chance = np.random.default_rng(seed)
    rows, classes = 40, 5
    z = torch.tensor(chance.normal(scale=3, size=(rows, classes)))
    y = torch.tensor(chance.integers(0, classes, rows))
    if infinite:  # the loss of the whole is infinite until that row is dropped: then it is read anew
        z[7, y[7]] = -torch.inf
    entries, new, keep = [], y.clone(), torch.ones(rows, dtype=torch.bool)
    for row in chance.permutation(rows)[:15].tolist():
        if row % 3 == 0:
            entries.append(drop(row, int(y[row])))
            keep[row] = False
        else:
            label = int((y[row] + 1 + row % 4) % classes)
            entries.append(relabel(row, int(y[row]), label))
            new[row] = label
    if infinite and bool(keep[7]) and int(new[7]) == int(y[7]):
        entries.append(drop(7, int(y[7])))
        keep[7] = False
    decisions = Decisions((*entries, Decision(99, "", 0, None, "keep")))
    for_torch = {**options}
    if "weight" in options:
        for_torch["weight"] = torch.tensor(options["weight"], dtype=torch.float64)
    summary = analyse(z, y, fit_temperature=False, **options)
    with open_dump(z, y, ignore_index=options.get("ignore_index", -100)) as dump:
        found = effect(dump, summary, decisions)
        again = counted_again(dump, summary.options, decisions)

    loss, accuracy, share = oracle(z[keep], new[keep], for_torch)
    for whole in (found.after, again):
        assert whole.loss == pytest.approx(loss, rel=1e-9, abs=1e-12, nan_ok=True)
        assert whole.accuracy == pytest.approx(accuracy, nan_ok=True)
        np.testing.assert_allclose(whole.class_share, share, rtol=1e-7, atol=1e-12)
    assert found.before.loss == pytest.approx(summary.loss, nan_ok=True)
    assert (found.relabelled, found.dropped) == (int((new != y).sum()), int((~keep).sum()))


def test_a_dump_of_which_every_row_is_dropped_has_no_loss() -> None:
    z, y = torch.tensor([[1.0, 2.0], [3.0, 1.0]]), torch.tensor([0, 1])
    decisions = Decisions((drop(0, 0), drop(1, 1)))
    with open_dump(z, y) as dump:
        after = effect(dump, analyse(z, y, fit_temperature=False), decisions).after

    assert after.rows == 0
    assert np.isnan(after.loss)
    assert F.cross_entropy(z[:0], y[:0]).isnan()


HOSTILE = "it's \"<b>\" \\ {x} é\n'''"


def run(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    monkeypatch.chdir(folder)
    names: dict[str, Any] = {}
    exec(compile(code, "snippet", "exec"), names)
    return names


def test_the_snippet_applies_the_decisions_with_numpy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    decisions = Decisions((relabel(0, 5, 7, "=x"), drop(2, 6), Decision(3, "", 8, None, "unsure")))
    (tmp_path / "decisions.csv").write_text(to_csv(decisions), encoding="utf-8", newline="")
    target = np.array([5, 5, 6, 8])
    np.savez(tmp_path / "la'bels.npz", **{"y\"'": target})
    code = snippet("NumPy", labels="la'bels.npz", column="y\"'")

    assert run(code, tmp_path, monkeypatch)["target"].tolist() == [7, 5, 8]
    with np.load(tmp_path / "la'bels_decided.npz") as written, np.load(tmp_path / "la'bels.npz") as before:
        assert written["target"].tolist() == [7, 5, 8]
        assert np.flatnonzero(written["keep"]).tolist() == [0, 1, 3]
        assert before["y\"'"].tolist() == target.tolist()
    np.save(tmp_path / "plain.npy", target)
    assert run(snippet("NumPy", labels="plain.npy", column=""), tmp_path, monkeypatch)["target"].tolist() == [7, 5, 8]
    np.save(tmp_path / "plain.npy", target + 1)
    with pytest.raises(ValueError, match="row 0 has another label"):
        run(snippet("NumPy", labels="plain.npy", column=""), tmp_path, monkeypatch)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_the_snippet_applies_the_decisions_with_pandas(
    suffix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decisions = Decisions((relabel(0, 0, 1), drop(2, 1)))
    (tmp_path / "decisions.csv").write_text(to_csv(decisions), encoding="utf-8", newline="")
    names = {0: "cat", 1: HOSTILE}
    for labels, expected in (([0, 0, 1], [1, 0]), (["cat", "cat", HOSTILE], [HOSTILE, "cat"])):
        table = pd.DataFrame({HOSTILE: labels, "other": [1, 2, 3]})
        (table.to_csv if suffix == "csv" else table.to_parquet)(tmp_path / f"labels.{suffix}", index=False)
        code = snippet("pandas", labels=f"labels.{suffix}", column=HOSTILE, names=names)
        after = run(code, tmp_path, monkeypatch)["table"]

        read = pd.read_csv if suffix == "csv" else pd.read_parquet
        for found in (after, read(tmp_path / f"labels_decided.{suffix}")):
            assert found[HOSTILE].tolist() == expected
            assert found["other"].tolist() == [1, 2]
        assert read(tmp_path / f"labels.{suffix}")[HOSTILE].tolist() == labels


class StandIn:
    """As much of `datasets` 5.2 as the snippet asks for; it was run with the library itself once, on files like these.

    There `load_dataset(kind, data_files=…, split="train")` gives rows as dicts of plain values, `map` calls the
    function with such a dict and the row's number, and `to_csv` writes no index.
    """

    def __init__(self, rows: list[dict[str, Any]]) -> None:
        self.rows = rows

    @classmethod
    def load_dataset(cls, kind: str, *, data_files: str, split: str) -> "StandIn":
        assert (kind, split) == ("csv", "train")
        return cls(pd.read_csv(data_files).to_dict("records"))

    def __len__(self) -> int:
        return len(self.rows)

    def map(self, function: Callable[[dict[str, Any], int], dict[str, Any]], *, with_indices: bool) -> "StandIn":
        assert with_indices
        return StandIn([function(dict(one), row) for row, one in enumerate(self.rows)])

    def select(self, rows: list[int]) -> "StandIn":
        return StandIn([self.rows[row] for row in rows])

    def to_csv(self, path: str) -> None:
        pd.DataFrame(self.rows).to_csv(path, index=False)


@pytest.mark.parametrize(
    ("labels", "expected"), [([0, 0, 1], [1, 0]), (["cat", "cat", HOSTILE], [HOSTILE, "cat"])], ids=["numbers", "names"]
)
def test_the_snippet_applies_the_decisions_with_datasets_and_refuses_other_labels(
    labels: list[Any], expected: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=StandIn.load_dataset))
    pd.DataFrame({HOSTILE: labels, "other": [1, 2, 3]}).to_csv(tmp_path / "labels.csv", index=False)
    code = snippet("datasets", labels="labels.csv", column=HOSTILE, names={0: "cat", 1: HOSTILE})

    def decided(*decisions: Decision) -> None:
        (tmp_path / "decisions.csv").write_text(to_csv(Decisions(decisions)), encoding="utf-8", newline="")
        run(code, tmp_path, monkeypatch)

    decided(relabel(0, 0, 1), drop(2, 1), Decision(1, "", 0, None, "keep"))
    assert pd.read_csv(tmp_path / "labels_decided.csv")[HOSTILE].tolist() == expected
    assert pd.read_csv(tmp_path / "labels.csv")[HOSTILE].tolist() == labels
    for other in (relabel(0, 1, 0), drop(0, 1)):
        with pytest.raises(ValueError, match="row 0 has another label than was decided about"):
            decided(other)
    with pytest.raises(ValueError, match="row 9 is decided about, and there are 3"):
        decided(drop(9, 1))


def test_every_snippet_is_python_whatever_the_names_are() -> None:
    for kind in ("pandas", "NumPy", "datasets"):
        compile(snippet(kind, labels=HOSTILE, column=HOSTILE, names={3: HOSTILE}), kind, "exec")
    with pytest.raises(ValueError, match="kind is 'jax'"):
        snippet("jax", labels="a", column="b")


def test_the_json_is_ascii_and_says_its_version() -> None:
    text = to_json(Decisions((relabel(1, 2, 3, "é\ud800"),)))

    assert text.isascii()
    assert json.loads(text)["version"] == 1
    assert decisions_from_file(text.encode()).entries[0].id == "é\ud800"


def test_a_file_that_pandas_has_written_again_holds_the_same_decisions() -> None:
    decisions = Decisions((relabel(12, 1, 3), drop(3, 1)))
    table = pd.read_csv(io.StringIO(to_csv(decisions)))
    table["row"] = table["row"].astype(float)

    assert set(decisions_from_file(table.to_csv(index=False).encode())) == set(decisions)
