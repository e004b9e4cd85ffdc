"""The live component of one row: bars to drag in the browser, and every number from PyTorch on the server.

What the browser sends is the whole state of its controls; `take` checks it, `frame` computes what it shows.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import streamlit as st
import torch

from xent_core import Evaluation, evaluate, reference_losses
from xent_core.one_row import with_share
from xent_core.parse import InvalidText, parse_number
from xent_ui.figures.bars import MADE, NEGATIVE, POSITIVE, USED
from xent_ui.state.sheet import ONE_HOT, PROBABILITIES, Sheet, number_text
from xent_ui.text import _, number

KEY, FRAME_KEY = "live_row", "live_frame"
MIN_BOUND = 10.0  # of the sliders, at least
STEPS_TO_BOUND = 100  # an arrow key moves a logit by so small a part
_FOLDER = Path(__file__).parent
_HTML, _CSS, _SCRIPT = ((_FOLDER / f"live.{kind}").read_text(encoding="utf-8") for kind in ("html", "css", "js"))


@dataclass(frozen=True)
class Draft:
    """A row that is being tried out, apart from the batch.

    Attributes:
      origin: the row as it began: a Sheet of one row, under reduction "sum".
      sheet: the row as it is now.
      generation: rises whenever the program replaces the row; what the browser still sends of the old one is left out.
      sequence: number of the last message that was taken.
      bound: where the sliders of the logits end; it does not shrink, so that no bar jumps.
      refused: classes whose typed logit was refused, and why.
    """

    origin: Sheet
    sheet: Sheet
    generation: int = 0
    sequence: int = 0
    bound: float = MIN_BOUND
    refused: tuple[tuple[int, str], ...] = ()


def begin(origin: Sheet, *, after: Draft | None = None) -> Draft:
    """A Draft of a row as it is in the batch."""
    return Draft(origin, origin, 0 if after is None else after.generation + 1, bound=_bound(origin, MIN_BOUND))


def rebased(draft: Draft, origin: Sheet) -> Draft:
    """The same Draft over what the batch holds now: nothing on screen changes."""
    return replace(draft, origin=origin)


def take(draft: Draft, message: object) -> Draft:
    """The Draft with what the browser sent; the same Draft if that makes no sense, or was meant for another row.

    A logit that is no number keeps its former text and is named in `refused`.
    The message is a stranger's until it is checked: nothing in it raises. Taking it twice is taking it once.
    """
    try:
        return _taken(draft, message)
    except (TypeError, ValueError, KeyError, OverflowError):
        return draft


def frame(draft: Draft, *, decimals: int = 4) -> dict[str, Any]:
    """Everything that the component draws, as it goes through JSON: numbers as texts, places and lengths as floats."""
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
        "state": _state(draft),
        "values": [_place(value, draft.bound) for value in typed],
        "bound": draft.bound,
        "step": draft.bound / STEPS_TO_BOUND,
        "refused": {str(label): message for label, message in draft.refused},
        "logit": texts(logits),
        "prob": texts(probs),
        "target": texts(target),
        "grad": texts(grad, sign=True),
        "loss": number(float(evaluation.row_loss[0]), decimals),
        "after": [_place(value, draft.bound) for value in (logits - grad).tolist()],
        "prob_length": [_length(value) for value in probs.tolist()],
        "target_length": [_length(value) for value in target.tolist()],
        "grad_length": [_length(value) for value in (grad / scale if scale else 0 * grad).tolist()],
        "direction": [_direction(value) for value in grad.tolist()],
        "ignored": not bool(evaluation.problem.kept()[0]),
        "gauge": _gauge(evaluation),
        "colours": {"prob": MADE, "target": USED, "rise": NEGATIVE, "fall": POSITIVE},
        "words": _words(),
    }


def live_row(data: dict[str, Any], *, on_edit: Callable[[], None], on_rested: Callable[[], None]) -> None:
    """Mount the component, beside what `frame` gives, which it reads from the page: see `frame_html`.

    Args:
      on_edit: called when the browser has sent a new state, before anything is drawn.
      on_rested: called when the hand has come to rest.
    """
    # registered at each run: a new process of the tests has a new registry
    component = st.components.v2.component("live_row", html=_HTML, css=_CSS, js=_SCRIPT, isolate_styles=False)
    with st.container(gap=None):
        with st.container(key=FRAME_KEY):
            st.html(frame_html(data))
        component(key=KEY, on_edit_change=on_edit, on_rested_change=on_rested)


def frame_html(data: dict[str, Any]) -> str:
    """The frame as a hidden paragraph of JSON, in which nothing can be taken for markup.

    It is on the page as soon as Streamlit has drawn it; the `data` of a component arrives a frame of the screen later.
    """
    text = json.dumps(data, allow_nan=False, separators=(",", ":"))
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return f"<p hidden>{text}</p>"


def _taken(draft: Draft, message: object) -> Draft:
    if not isinstance(message, dict) or message.get("generation") != draft.generation:
        return draft
    names = draft.sheet.class_names
    texts, shares = _texts(message["logits"], len(names)), _texts(message["probabilities"], len(names))
    logits, refused = list(draft.sheet.logits[0]), []
    for label, text in enumerate(texts):
        try:
            parse_number(text)
            logits[label] = text.strip()
        except InvalidText as error:
            refused.append((label, _("{name}: {error}").format(name=names[label], error=error)))
    soft, label = message["soft"], message["label"]
    if not isinstance(soft, bool):
        raise TypeError
    if label is not None and _whole(label) not in range(len(names)):
        raise ValueError
    smoothing = parse_number(message["smoothing"])
    if not 0 <= smoothing <= 1:
        raise ValueError
    if soft and message["moved"] is not None:
        shares = _with_share(shares, _whole(message["moved"]), parse_number(message["share"]))
    origin = draft.origin
    sheet = replace(
        draft.sheet,
        logits=(tuple(logits),),
        labels=(label,),
        probabilities=(tuple(shares),),
        target_kind=PROBABILITIES if soft else origin.target_kind if origin.has_boxes else ONE_HOT,
        # PyTorch ignores no rows of probabilities
        ignore_index=-100 if soft and origin.ignore_index >= 0 else origin.ignore_index,
        label_smoothing=smoothing,
    )
    sheet.to_problem()
    return replace(
        draft,
        sheet=sheet,
        sequence=_whole(message["sequence"]),
        bound=_bound(sheet, draft.bound),
        refused=tuple(refused),
    )


def _texts(value: object, count: int) -> list[str]:
    if not isinstance(value, list) or len(value) != count or not all(isinstance(text, str) for text in value):
        raise TypeError
    return value


def _whole(value: object) -> int:
    if type(value) is not int or not 0 <= value < 2**53:
        raise TypeError
    return value


def _with_share(shares: Sequence[str], label: int, share: float) -> list[str]:
    if label >= len(shares) or not 0 <= share <= 1:
        raise ValueError
    values = torch.tensor([parse_number(text) for text in shares], dtype=torch.float64)
    return [number_text(value) for value in with_share(values, label, share).tolist()]


def _bound(sheet: Sheet, least: float) -> float:
    """The next of 10, 20, 50, 100, … that holds every finite logit, and not less than `least`."""
    finite = [abs(value) for value in map(parse_number, sheet.logits[0]) if math.isfinite(value)]
    largest = max(finite, default=0.0)
    if largest <= least:
        return least
    power = 10.0 ** math.floor(math.log10(largest))
    fitting = (factor * power for factor in (1, 2, 5, 10) if factor * power >= largest)
    return min(next(fitting, math.inf), sys.float_info.max / 4)  # twice as much must be a number, too


def _state(draft: Draft) -> dict[str, Any]:
    """What the controls hold, in the shape in which the browser sends it back."""
    sheet = draft.sheet
    as_labels, as_shares = sheet.with_target_kind(ONE_HOT), sheet.with_target_kind(PROBABILITIES)
    return {
        "logits": list(sheet.logits[0]),
        "soft": not sheet.has_boxes,
        "label": as_labels.labels[0],
        "probabilities": list(as_shares.probabilities[0]),
        "share_values": [_length(parse_number(text)) for text in as_shares.probabilities[0]],
        "smoothing": number_text(sheet.label_smoothing if sheet.label_smoothing > 0 else 0.0),
    }


def _place(value: float, bound: float) -> float | None:
    """Where on the slider a logit lies, from −bound to bound; infinities at its ends, NaN nowhere."""
    return None if math.isnan(value) else min(max(value, -bound), bound)


def _length(value: float) -> float | None:
    """A number from −1 to 1 for a bar; NaN has none."""
    return None if math.isnan(value) else min(max(value, -1.0), 1.0)


def _direction(grad: float) -> str:
    if math.isnan(grad):
        return ""
    return "rises" if grad < 0 else "falls" if grad > 0 else "rests"


def _gauge(evaluation: Evaluation) -> dict[str, Any]:
    """The loss and its marks on a line, each with its place from 0 to 1."""
    loss = float(evaluation.row_loss[0])
    marks = [mark for mark in reference_losses(evaluation) if mark.name in ("floor", "uniform")]
    end = 2 * max([mark.value for mark in marks], default=1.0) or 1.0
    # it doubles, so that the marks stand still while the loss moves
    while math.isfinite(loss) and end < loss:
        end = min(2 * end, sys.float_info.max)
    names = {"uniform": _("uniform guess"), "floor": _("floor")}
    return {
        "loss": _length(loss / end),
        "marks": [
            {"id": mark.name, "name": names[mark.name], "text": number(mark.value), "place": _length(mark.value / end)}
            for mark in marks
        ],
    }


def _words() -> dict[str, str]:
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
        "target": _("target v"),
        "grad": _("gradient ∂ℓ/∂z"),
        "type": _("type the logit {name}"),
        "share": _("target probability {name}"),
        "direction": _("descent (○ η = 1)"),
        "rises": _("raises z"),
        "falls": _("lowers z"),
        "rests": _("leaves z"),
        "after": _("where a step of descent with η = 1 would bring it"),
        "ignored": _("This row is ignored: choose a label."),
    }
