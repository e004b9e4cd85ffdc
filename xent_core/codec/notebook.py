"""A Problem as a notebook: the program of `to_script` with words between its parts."""

from __future__ import annotations

import json

from xent_core.codec.script import torch_program
from xent_core.language import _
from xent_core.problem import Problem


def to_notebook(problem: Problem) -> str:
    """A Jupyter notebook, nbformat 4.5, whose cells compute, explain and assert the loss and the gradient."""
    program = torch_program(problem)
    cells = [
        _markdown("title", _("# A softmax cross-entropy and its gradient")),
        _code("imports", program.imports),
        _markdown("data-words", _("## The logits, the target and the options")),
        _code("data", program.data),
        _markdown("loss-words", _("## The loss")),
        _code("loss", program.loss),
        _markdown("gradient-words", _("## The gradient")),
        _code("gradient", program.gradient),
        _markdown("check-words", _("## The numbers to expect")),
        _code("check", program.check),
    ]
    notebook = {
        "cells": cells,
        "metadata": {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def _markdown(name: str, text: str) -> dict[str, object]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def _code(name: str, text: str) -> dict[str, object]:
    return {
        "cell_type": "code",
        "execution_count": None,
        "id": name,
        "metadata": {},
        "outputs": [],
        "source": text,
    }
