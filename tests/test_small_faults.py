"""The faults that scripts.plant plants: what each kind makes of a line, and where it stands."""

import ast
import random

import pytest

from scripts.plant import rounds
from scripts.small_faults import faults_in, pick, planted

LINES = {
    "a < b": {"a <= b", "a > b"},
    "a is not None": {"a is None"},
    "a and b": {"a or b", "a", "b"},
    "not a": {"a"},
    "a * b": {"a / b"},
    "-a": {"a"},
    "a[3:]": {"a[:]", "a[4:]", "a[2:]"},
    "1e-5": {"0.01", "1e-08"},
    "1.0": {"0.5"},
    "True": {"False"},
    "a.abs()": {"a"},
    "a.double()": {"a", "a.float()"},
    "a.sum(1)": {"a.sum(0)", "a.sum(2)"},
    "a.sum(dim=-1)": {"a.sum(dim=0)", "a.sum(dim=-2)", "a.sum(dim=-0)"},
    "f(a, key=b)": {"f(a)"},
    "f(a=b, c=d)": {"f(a=d, c=b)", "f(c=d)", "f(a=b)"},
    "max(a, b)": {"min(a, b)", "a", "b", "max(b, a)"},
    "b if a else c": {"c if a else b", "b if True else c", "b if False else c"},
    "[a for a in b if c]": {"[a for a in b if True]"},
    "'%d' % a": set(),
}


@pytest.mark.parametrize(("line", "others"), LINES.items(), ids=LINES)
def test_a_line_is_changed_in_the_ways_that_its_kind_has(line: str, others: set[str]) -> None:
    before = f'"""Ü."""\nx = {line}\n'

    after = {ast.unparse(ast.parse(planted(before, fault)).body[-1]) for fault in faults_in(before)}

    assert after == {ast.unparse(ast.parse(f"x = {other}")) for other in others}


def test_a_statement_is_left_out_and_a_branch_forced() -> None:
    source = "def f(a: int = 1) -> None:\n    if a:\n        g(a)\n    a += 1\n    raise E\n"

    found = {(fault.line, fault.function, fault.kind, fault.was, fault.now) for fault in faults_in(source)}

    assert found == {
        (1, "f", "off by one", "1", "2"),
        (1, "f", "off by one", "1", "0"),
        (2, "f", "forced branch", "a", "True"),
        (2, "f", "forced branch", "a", "False"),
        (3, "f", "dropped statement", "g(a)", "pass"),
        (4, "f", "dropped statement", "a += 1", "pass"),
        (4, "f", "off by one", "1", "2"),
        (4, "f", "off by one", "1", "0"),
        (5, "f", "dropped statement", "raise E", "pass"),
    }


def test_a_fault_is_not_planted_where_its_line_has_changed() -> None:
    (fault,) = faults_in("x = True")

    with pytest.raises(ValueError, match="does not read 'True' any more"):
        planted("xyz = True", fault)


def test_a_sample_has_every_kind_and_a_seed_gives_it_again() -> None:
    found = faults_in("x = [a.abs(), not b, 0.5, " + "1, " * 50 + "]")

    picked = pick(found, 8, random.Random(1))

    assert {fault.kind for fault in picked} == {fault.kind for fault in found}
    assert picked == pick(found, 8, random.Random(1)) != pick(found, 8, random.Random(2))


def test_a_fault_meets_the_tests_of_its_module_first_and_then_the_quickest() -> None:
    (fault,) = faults_in("class A:\n    def f(self):\n        return True", "pages/sheet.py")
    reaches = ["pages/sheet.py:A.f.<lambda>"]
    known = {
        "test_a.py": {
            "slow": {"seconds": 2.0, "reaches": reaches},
            "too slow": {"seconds": 7.0, "reaches": reaches},
            "elsewhere": {"seconds": 0.1, "reaches": ["pages/sheet.py:A.fold"]},
        },
        "test_sheet.py": {"own": {"seconds": 3.0, "reaches": reaches}, "failing": {"seconds": 0, "reaches": reaches}},
    }
    for tests in known.values():
        for name, test in tests.items():
            test["failed"] = name == "failing"

    assert rounds({"test_a.py": "", "test_sheet.py": ""}, fault, known) == (
        ["own", "slow"],
        ["tests/test_sheet.py", "tests/test_a.py"],
    )
