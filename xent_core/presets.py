"""Presets: Problems worth looking at, each with a name that stays."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path

from xent_core.language import N_
from xent_core.problem import Problem

_DIGITS = json.loads((Path(__file__).parent / "data" / "digits.json").read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Preset:
    """A Problem with a title, in English until it is shown, and names where rows or classes have any."""

    title: str
    problem: Problem
    class_names: tuple[str, ...] = ()
    row_names: tuple[str, ...] = ()


FIRST_PRESET = "worked-batch"  # what a visitor sees who brings no link
PRESETS = {
    "worked-batch": Preset(N_("Three rows, three labels"), Problem([[1, 2, 3]] * 3, [2, 1, 0])),
    "worked-row-0": Preset(N_("One row, label 0"), Problem([[1, 2, 3]], [0])),
    "worked-row-1": Preset(N_("One row, label 1"), Problem([[1, 2, 3]], [1])),
    "worked-row-2": Preset(N_("One row, label 2"), Problem([[1, 2, 3]], [2])),
    "uniform": Preset(N_("Uniform logits: the loss is ln C"), Problem([[0, 0, 0, 0]] * 4, [0, 1, 2, 3])),
    "saturated": Preset(
        N_("Saturated rows, right and wrong"), Problem([[30, 0, -10], [30, 0, -10], [1, 0.5, 0]], [0, 2, 0])
    ),
    "masked": Preset(
        N_("A class masked with −inf"),
        Problem([[2, 1, -math.inf, 0], [0.5, -math.inf, 1.5, 1], [1, 2, 3, 4]], [0, 2, 1]),
    ),
    "ignored-row": Preset(N_("An ignored row"), Problem([[2, 1, 0], [0.5, 2.5, -1], [1, 1, 3]], [0, -100, 1])),
    "class-weights": Preset(
        N_("Class weights: mean divides by Σw"),
        Problem([[2, 1, 0], [0.5, 2.5, -1], [1, 1, 3], [0, 1, 0]], [0, 1, 2, 2], weight=[1, 0.5, 4]),
    ),
    "soft-labels": Preset(
        N_("Soft labels"),
        Problem([[2, 1, 0], [0.5, 2.5, -1], [1, 1, 3]], [[0.8, 0.2, 0], [0.1, 0.6, 0.3], [0.25, 0.25, 0.5]]),
    ),
    "digits": Preset(
        N_("Ten handwritten digits, real logits"),
        Problem(_DIGITS["logits"], _DIGITS["target"]),
        class_names=tuple(_DIGITS["class_names"]),
        row_names=tuple(_DIGITS["row_names"]),
    ),
}
