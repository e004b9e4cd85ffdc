"""Every value that a page keeps in the session is declared once, and links carry declared values only."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Any

import xent_ui
from xent_ui.state.kept import Kept
from xent_ui.state.link import WIDGETS


def kept_in(value: object) -> Iterator[Kept[Any]]:
    """The entries that a value is, or holds."""
    if isinstance(value, Kept):
        yield value
    elif isinstance(value, dict | tuple | list):
        for one in value.values() if isinstance(value, dict) else value:
            yield from kept_in(one)


def declared() -> list[Kept[Any]]:
    """Every entry that a module of xent_ui declares; one that is imported elsewhere counts once."""
    names = [module.name for module in pkgutil.walk_packages(xent_ui.__path__, "xent_ui.")]
    modules = [importlib.import_module(name) for name in names]
    return list(
        {id(one): one for module in modules for value in vars(module).values() for one in kept_in(value)}.values()
    )


def test_no_two_entries_of_the_session_have_one_name() -> None:
    names = [entry.name for entry in declared()]

    assert sorted(names) == sorted(set(names))


def test_what_a_link_carries_is_declared_with_the_same_default() -> None:
    defaults = {entry.name: entry.default for entry in declared()}

    assert {name: defaults.get(name, "not declared") for name in WIDGETS} == {
        name: widget.default for name, widget in WIDGETS.items()
    }
