"""Examples in docstrings give what they say: every `>>>` of the program is run.

An example may use the names of its module, torch and F, and what `from xent_core import *` gives.
"""

import doctest
import importlib
import types

import pytest
import torch
import torch.nn.functional as F

import xent_core
from tests.program import ROOT, sources

PLACES = ("xent_core", "xent_ui", "xent_host", "harness")
NAMES = {"torch": torch, "F": F, **{name: getattr(xent_core, name) for name in xent_core.__all__}}
OPTIONS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS


def modules_with_examples() -> list[str]:
    """Modules in which a docstring may have examples."""
    return [source.module for source in sources(ROOT, PLACES) if ">>> " in source.text]


def examples(module: types.ModuleType) -> list[doctest.DocTest]:
    """The docstrings of the module that hold examples."""
    found = doctest.DocTestFinder(exclude_empty=True).find(module, globs={**NAMES, **vars(module)})
    return [test for test in found if test.examples]


def failures(test: doctest.DocTest) -> str:
    """What the examples of one docstring gave instead of what they say; empty if all is as they say."""
    told: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=told.append)
    return "".join(told)


@pytest.mark.parametrize("module", modules_with_examples())
def test_the_examples_of_a_module_give_what_they_say(module: str) -> None:
    for test in examples(importlib.import_module(module)):
        assert not failures(test)


def test_there_are_examples_to_run() -> None:
    found = [test for module in modules_with_examples() for test in examples(importlib.import_module(module))]

    assert len(found) >= 3, [test.name for test in found]


@pytest.mark.parametrize(("promised", "holds"), [("0.4170", True), ("0.4171", False)])
def test_an_example_that_gives_something_else_is_found(promised: str, holds: bool) -> None:
    module = types.ModuleType("made")
    exec(
        f'def loss():\n    """A loss.\n\n    >>> f"{{loss():.4f}}"\n    {promised!r}\n    """\n    return 0.41703',
        vars(module),
    )
    (test,) = examples(module)

    assert (failures(test) == "") is holds


def test_an_example_that_raises_is_found() -> None:
    module = types.ModuleType("made", '>>> unknown_name\n"never said"\n')
    (test,) = examples(module)

    assert "NameError" in failures(test)
