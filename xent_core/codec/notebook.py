"""A Problem as a notebook: the program of `to_script` with words between its parts."""

from __future__ import annotations

import json
from typing import Any

from xent_core.codec.script import torch_program
from xent_core.cross_entropy import Evaluation, evaluate
from xent_core.decimals import shortest_decimals
from xent_core.language import _
from xent_core.outputs import GENERATOR
from xent_core.problem import Problem


def to_notebook(problem: Problem) -> str:
    """A Jupyter notebook, nbformat 4.5, whose cells explain, compute and assert the loss and the gradient.

    Its code is that of `to_script(problem)`.
    """
    result = evaluate(problem)
    program = torch_program(result)
    cells = [
        _markdown("title", _("# The loss and the gradient of a softmax cross-entropy")),
        _code("imports", program.imports),
        _markdown("about-data", _data_words(problem)),
        _code("data", program.data),
        _markdown("about-loss", _loss_words(result)),
        _code("loss", program.loss),
        _markdown("about-gradient", _gradient_words(result)),
        _code("gradient", program.gradient),
        _markdown(
            "about-check",
            _(
                "## The numbers to expect\n\n"
                "These are the loss and the gradient that PyTorch gave when this notebook was written.\n"
                "The cell is silent if they come out again, up to rounding."
            ),
        ),
        _code("check", program.check),
    ]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}, "generator": GENERATOR}
    notebook = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(notebook, ensure_ascii=False, indent=1) + "\n"


def _data_words(problem: Problem) -> str:
    lines = [
        _("## The logits and the labels"),
        "",
        _("Each of the $N = {rows}$ rows has a logit $z_{{ic}}$ for each of the $C = {classes}$ classes.").format(
            rows=problem.num_rows, classes=problem.num_classes
        ),
    ]
    if problem.logits.dim() > 2:
        lines.append(_("The classes lie on axis 1; every place on the other axes is a row."))
    if problem.has_probabilities:
        lines.append(_("The target $y$ gives each class of a row its probability."))
    else:
        lines.append(_("The target names the class of each row; $y_i$ is 1 at that class and 0 elsewhere."))
    if problem.weight is not None:
        lines.append(_("`weight` holds one factor $w_c$ for each class."))
    return "\n".join(lines)


def _loss_words(result: Evaluation) -> str:
    problem = result.problem
    lines = [_("## The loss"), ""]
    logits = r"z_i" if problem.temperature == 1 else r"z_i / T"
    lines.append(_("The softmax turns logits into probabilities, and the loss of a row is their surprise:"))
    lines += ["", rf"$$p_i = \mathrm{{softmax}}({logits}), \qquad \ell_i = -\sum_c v_{{ic}} \log p_{{ic}}$$", ""]
    lines += [*_target_words(problem), *_denominator_words(result)]
    return "\n".join(lines)


def _target_words(problem: Problem) -> list[str]:
    """What stands in for y in the loss, and why."""
    lines = []
    smoothed = "y"
    if problem.temperature != 1:
        lines.append(_("The temperature $T = {value!r}$ divides the logits.").format(value=problem.temperature))
    if problem.smoothing:
        smoothed = "y'"
        lines.append(
            _("Label smoothing with $ε = {value!r}$ gives every class its share: $y' = (1 - ε)\\,y + ε / C$.").format(
                value=problem.smoothing
            )
        )
    if problem.weight is None:
        lines.append(_("Here $v = {target}$.").format(target=smoothed))
    else:
        lines.append(_("Here $v = w ⊙ {target}$: each class counts by its weight.").format(target=smoothed))
    ignored = problem.num_rows - int(problem.kept().sum())
    if ignored:
        lines.append(
            _("Rows whose label is {label} are ignored: their loss is 0. There are {count} of them.").format(
                label=problem.ignore_index, count=ignored
            )
        )
    return lines


def _denominator_words(result: Evaluation) -> list[str]:
    problem = result.problem
    if problem.reduction == "none":
        return [_('`reduction="none"` keeps one loss for each row, so that the denominator is $D = 1$.')]
    if problem.reduction == "sum":
        return [_('`reduction="sum"` adds the rows up, so that the denominator is $D = 1$: $L = \\sum_i \\ell_i$.')]
    value = shortest_decimals(result.denominator)[0].removesuffix(".0")
    if problem.has_probabilities:
        why = _("With probabilities PyTorch divides by the number of rows, whatever the weights are")
    elif problem.weight is not None:
        why = _("With class labels PyTorch divides by the sum of the weights of the labels that count")
    else:
        why = _("PyTorch divides by the number of rows that count")
    return [_("{why}: $L = \\frac{{1}}{{D}} \\sum_i \\ell_i$ with $D = {value}$.").format(why=why, value=value)]


def _gradient_words(result: Evaluation) -> str:
    problem = result.problem
    scale = "D" if problem.temperature == 1 else r"D\,T"
    is_plain = not problem.has_probabilities and problem.weight is None
    lines = [
        _("## The gradient"),
        "",
        _(
            "The softmax and the logarithm undo each other's curvature: "
            "what is left is the probability minus the target."
        ),
        "",
        rf"$$\frac{{\partial L}}{{\partial z_{{ic}}}} = \frac{{S_i\,p_{{ic}} - v_{{ic}}}}{{{scale}}}, "
        r"\qquad S_i = \sum_c v_{ic}$$",
        "",
    ]
    if is_plain:
        lines.append(_("Here $S_i = 1$ in every row that counts, so that this is $p - v$, scaled."))
    lines.append(
        _("Each row of the gradient sums to 0: what is added to the logit of one class is taken from the others.")
    )
    if problem.reduction == "none":
        lines.append(_("A gradient needs one number to start from, which is the sum of the losses here."))
    return "\n".join(lines)


def _markdown(name: str, text: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": name, "metadata": {}, "source": text}


def _code(name: str, text: str) -> dict[str, Any]:
    cell: dict[str, Any] = {"cell_type": "code", "execution_count": None, "id": name, "metadata": {}, "outputs": []}
    return {**cell, "source": text}
