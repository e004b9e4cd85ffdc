"""Headings are an outline: who listens to a page hears one title, and below it sections without a level left out."""

import re

import pytest

from harness.app_test import open_app, run
from tests.program import ROOT

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "pages").glob("*/*.py"))


def skipped(levels: list[int]) -> bool:
    return any(after > before + 1 for before, after in zip([0, *levels], levels, strict=False))


def levels_of(page: str) -> list[int]:
    """The levels of the headings of a page in the order in which they stand there."""
    app = run(open_app().switch_page(page))
    assert not app.exception
    found = []
    for element in app.main:
        if element.type in ("title", "header", "subheader"):
            found.append({"title": 1, "header": 2, "subheader": 3}[element.type])
        elif element.type == "markdown":
            found += [len(marks) for marks in re.findall(r"^(#{1,6}) ", element.value, re.MULTILINE)]
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_has_one_title_and_leaves_no_level_out(page: str) -> None:
    levels = levels_of(page)

    assert levels.count(1) == 1
    assert levels[0] == 1
    assert not skipped(levels)


def test_a_level_that_is_left_out_is_found() -> None:
    assert skipped([1, 4])
    assert skipped([2])
    assert not skipped([1, 2, 3, 2])
