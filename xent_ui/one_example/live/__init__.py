"""The live component of one row: bars to drag in the browser, and every number from PyTorch on the server.

What the browser sends is the whole state of its controls; `row_draft.take` checks it, `frame` computes what it shows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st
import torch

from xent_core import Evaluation, evaluate
from xent_core.parse import parse_number
from xent_core.reference_losses import reference_losses
from xent_ui import glossary
from xent_ui.figures.html import hidden_json
from xent_ui.figures.theme import MADE, NEGATIVE, POSITIVE, USED
from xent_ui.one_example.row_draft import Draft
from xent_ui.one_example.state import LIVE_ROW
from xent_ui.state import rest
from xent_ui.state.sheet import ONE_HOT, PROBABILITIES, number_text
from xent_ui.text import _, number, short
from xent_ui.widgets.formulas import row_sum_words

FRAME_KEY = "live_frame"  # of the container whose text the script reads
SUM_TOLERANCE = 1e-6  # of the shares of a soft label
STEPS_TO_BOUND = 100  # an arrow key moves a logit by so small a part
_FOLDER = Path(__file__).parent
_HTML, _CSS, _LIVE = ((_FOLDER / f"live.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))
_SCRIPT = rest.SCRIPT + _LIVE


def frame(draft: Draft, *, decimals: int = 4) -> dict[str, Any]:
    """Everything that the component draws, for JSON: numbers as texts, positions and lengths as floats."""
    evaluation = evaluate(draft.sheet.to_problem())
    logits, grad = evaluation.problem.logits[0].double(), evaluation.grad_logits[0].double()
    probs, target = evaluation.probs[0].double(), evaluation.effective_target[0].double()
    scale = evaluation.gradient_bound

    def texts(values: torch.Tensor, *, sign: bool = False) -> list[str]:
        return [number(value, decimals, sign=sign) for value in values.tolist()]

    typed = [parse_number(text) for text in draft.sheet.logits[0]]
    return {
        "generation": draft.generation,
        "sequence": draft.sequence,
        "names": list(draft.sheet.class_names),
        "state": _controls(draft),
        "values": [_slider_value(value, draft.bound) for value in typed],
        "bound": draft.bound,
        "step": draft.bound / STEPS_TO_BOUND,
        "refused": {str(label): message for label, message in draft.refused},
        "refused_shares": {str(label): message for label, message in draft.refused_shares},
        "note": _note(evaluation),
        "logit": texts(logits),
        "prob": texts(probs),
        "target": texts(target),
        "grad": texts(grad, sign=True),
        "loss": number(float(evaluation.row_loss[0]), decimals),
        "after": [_slider_value(value, draft.bound) for value in (logits - grad).tolist()],
        "prob_length": [_bar_length(value) for value in probs.tolist()],
        "target_length": [_bar_length(value) for value in target.tolist()],
        "grad_length": [_bar_length(value) for value in (grad / scale if scale else 0 * grad).tolist()],
        "direction": [_direction(value) for value in grad.tolist()],
        "gauge": _gauge(evaluation),
        "colours": {"prob": MADE, "target": USED, "rise": NEGATIVE, "fall": POSITIVE},
        "words": _words(is_soft=not draft.sheet.has_boxes) | {"sum": row_sum_words(evaluation)},
        "tips": _tips(),
    }


def live_row(data: dict[str, Any], *, on_edit: Callable[[], None], on_rested: Callable[[], None]) -> None:
    """Mount the component, beside what `frame` gives, which it reads from the page: see `hidden_json`.

    Args:
      on_edit: called when the browser has sent a new state, before anything is drawn.
      on_rested: called when the hand has come to rest.
    """
    # registered at each run: a new process of the tests has a new registry
    component = st.components.v2.component("live_row", html=_HTML, css=_CSS, js=_SCRIPT, isolate_styles=False)
    with st.container(gap=None):
        with st.container(key=FRAME_KEY):
            st.html(hidden_json(data))
        component(key=LIVE_ROW.name, on_edit_change=on_edit, on_rested_change=on_rested)


def _controls(draft: Draft) -> dict[str, Any]:
    """What the controls hold, in the shape in which the browser sends it back."""
    sheet = draft.sheet
    as_labels, as_shares = sheet.with_target_kind(ONE_HOT), sheet.with_target_kind(PROBABILITIES)
    return {
        "logits": list(sheet.logits[0]),
        "soft": not sheet.has_boxes,
        "label": as_labels.labels[0],
        "probabilities": list(as_shares.probabilities[0]),
        "share_values": [_bar_length(parse_number(text)) for text in as_shares.probabilities[0]],
        "smoothing": number_text(sheet.label_smoothing if sheet.label_smoothing > 0 else 0.0),
    }


def _slider_value(value: float, bound: float) -> float | None:
    """Where on the slider a logit lies, from −bound to bound; infinities at its ends, NaN nowhere."""
    return None if math.isnan(value) else min(max(value, -bound), bound)


def _bar_length(value: float) -> float | None:
    """A number from −1 to 1 for a bar; NaN has none."""
    return None if math.isnan(value) else min(max(value, -1.0), 1.0)


def _direction(grad: float) -> str:
    if math.isnan(grad):
        return ""
    return "rises" if grad < 0 else "falls" if grad > 0 else "rests"


def _gauge(evaluation: Evaluation) -> dict[str, Any]:
    """The loss and its marks on a line, each with its position from 0 to 1."""
    loss = float(evaluation.row_loss[0])
    marks = [mark for mark in reference_losses(evaluation) if mark.name in ("floor", "uniform")]
    end = 2 * max([mark.value for mark in marks], default=1.0) or 1.0
    # it doubles, so that the marks stand still while the loss moves
    while math.isfinite(loss) and end < loss:
        end = min(2 * end, sys.float_info.max)
    names = {"uniform": _("uniform guess"), "floor": _("floor")}
    return {
        "loss": _bar_length(loss / end),
        "marks": [
            {
                "id": mark.name,
                "name": names[mark.name],
                "text": number(mark.value),
                "place": _bar_length(mark.value / end),
            }
            for mark in marks
        ],
    }


def _note(evaluation: Evaluation) -> str:
    """What is odd about the target, if anything."""
    problem = evaluation.problem
    if not bool(problem.kept()[0]):
        return _("This row is ignored: choose a label.")
    total = float(problem.target.double().sum()) if problem.has_probabilities else 1.0
    if abs(total - 1) <= SUM_TOLERANCE:
        return ""
    return _(
        "The shares sum to {total}, not to 1. PyTorch takes them so: the loss and S, by which p is multiplied in the "
        "gradient S·p − v, grow with the sum."
    ).format(total=short(total))


def _tips() -> dict[str, str]:
    """What the words of the component mean, for whoever points at them."""
    step = _("○ on a bar: where one step of descent would bring the logit, with a learning rate η of 1: z − 1·∂ℓ/∂z.")
    return {
        "loss": f"{glossary.sentence('row loss')}\n{glossary.sentence('nats')}",
        "smoothing": f"{glossary.sentence('smoothing')}\n{glossary.sentence('classes')}",
        "soft": glossary.sentence("target"),
        "logits": glossary.sentence("logit"),
        "prob": glossary.sentence("probability"),
        "target": f"{glossary.sentence('effective target')}\n{glossary.sentence('weight')}",
        "grad": f"{glossary.sentence('gradient')}\n{glossary.sentence('pull')}",
        "direction": f"{step}\n{glossary.sentence('learning rate')}",
        "floor": glossary.sentence("floor"),
        "uniform": glossary.sentence("uniform guess"),
    }


def _words(*, is_soft: bool) -> dict[str, str]:
    return {
        "title": _("One row, live"),
        "loss": _("loss of the row (nats)"),
        "gauge": _("The loss on a line with its marks"),
        "soft": _("soft label"),
        "smoothing": _("label_smoothing ε"),
        "label": _("label"),
        "class": _("class"),
        "logits": _("logit z: drag, arrow keys"),
        "typed": _("or type"),
        "prob": _("probability p"),
        "target": _("type y, or drag v") if is_soft else _("target v"),
        "grad": _("gradient ∂ℓ/∂z"),
        "type": _("type the logit {name}"),
        "share": _("target probability {name}"),
        "type_share": _("type the target probability {name}"),
        "direction": _("step of descent ○"),
        "rises": _("raises z"),
        "falls": _("lowers z"),
        "rests": _("leaves z"),
        "after": _("○: where one step of descent would bring the logit"),
    }
