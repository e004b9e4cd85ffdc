"""One step of the chain, on the way forward or back: its name, what it uses, its numbers, and the classes shown."""

from __future__ import annotations

from dataclasses import dataclass

from xent_core.row_trace import Step, Trace
from xent_ui.state import session
from xent_ui.state.sheet import Sheet
from xent_ui.text import MINUS, _, short_names
from xent_ui.widgets.row_chooser import CLASS

MAX_SHOWN = 10  # classes; of more, the label and the most probable ones
FUSED = ("max", "shifted", "exp", "sum", "softmax", "log")  # what log_softmax does in one step
LINE_NAMES = {
    "logits": "z",
    "scaled": "a = z/T",
    "max": "m = max a",
    "shifted": f"s = a {MINUS} m",
    "exp": "e = exp s",
    "sum": "Σ = sum of e",
    "softmax": "p = e/Σ",
    "log": "log p",
    "log_softmax": "log p = log_softmax a",
    "weighted": "t = v · log p",
    "row_loss": f"ℓ = {MINUS}sum of t",
    "contribution": "c = ℓ/D",
}


@dataclass(frozen=True)
class Stage:
    """Where the stepper stands: a step of the chain, on the way forward or on the way back.

    Attributes: index: counted from the logits, forward and back again.
    """

    index: int
    step: Step
    backward: bool

    @property
    def used_values(self) -> tuple[str, ...]:
        """Names of the steps whose values this stage takes."""
        return self.step.gradient_values if self.backward else self.step.uses

    @property
    def used_gradients(self) -> tuple[str, ...]:
        """Names of the steps whose gradients this stage takes."""
        return self.step.gradient_uses if self.backward else ()

    @property
    def numbers(self) -> list[float]:
        """What the stage makes, one number per class or a single one."""
        return floats(self.step, gradient=self.backward)


def stage_at(trace: Trace, index: int) -> Stage:
    """The stage of that number: first the steps forward, then the same steps backward."""
    backward = index >= len(trace)
    step = trace.steps[2 * len(trace) - 1 - index if backward else index]
    return Stage(index, step, backward)


def title_of(step: Step) -> str:
    """What a step is called."""
    return {
        "logits": _("logits"),
        "scaled": _("divide by the temperature"),
        "max": _("the largest"),
        "shifted": _("take off the largest"),
        "exp": _("exponential"),
        "sum": _("sum"),
        "softmax": _("softmax"),
        "log": _("logarithm"),
        "log_softmax": _("log_softmax"),
        "weighted": _("times the target"),
        "row_loss": _("loss of the row"),
        "contribution": _("share of the loss"),
    }[step.name]


def quantity_of(step: Step) -> str:
    """What the numbers of a step are."""
    return {
        "logits": _("logits"),
        "scaled": _("scaled logits"),
        "max": _("the largest"),
        "shifted": _("shifted logits"),
        "exp": _("exponentials"),
        "sum": _("their sum"),
        "softmax": _("probabilities"),
        "log": _("log-probabilities"),
        "log_softmax": _("log-probabilities"),
        "weighted": _("target times log p"),
        "row_loss": _("row loss"),
        "contribution": _("share of the loss"),
    }[step.name]


def gradient_title(step: Step) -> str:
    """What a step on the way back is called: "∂L/∂a: gradient by scaled logits"."""
    return _("∂L/∂{letter}: gradient by {name}").format(letter=symbol_of(step), name=quantity_of(step))


def symbol_of(step: Step) -> str:
    """The letter of a step: "a" of "a = z/T"."""
    return LINE_NAMES[step.name].partition(" = ")[0]


def shown_classes(trace: Trace) -> list[int]:
    """The classes that have room: all of a few; of many the label and the most probable ones."""
    probs = trace["softmax"].value.double().nan_to_num(0.0)
    if len(probs) <= MAX_SHOWN:
        return list(range(len(probs)))
    most = probs.argsort(descending=True, stable=True).tolist()
    first = [] if trace.label is None else [trace.label]
    return sorted((first + [k for k in most if k != trace.label])[:MAX_SHOWN])


def chosen_class(trace: Trace) -> int:
    """The class whose numbers are put into the formulas: the one chosen, or the label, or the most probable one."""
    kept = session.kept(CLASS)
    if kept is not None and kept < len(trace.target):
        return kept
    if trace.label is not None:
        return trace.label
    weights = trace.target if trace.kept else trace["softmax"].value
    return int(weights.double().nan_to_num(0.0).argmax())


def floats(step: Step, *, gradient: bool = False) -> list[float]:
    """The numbers of a step, or those of its gradient: one per class or a single one."""
    tensor = step.gradient if gradient else step.value
    return [float(x) for x in tensor.reshape(-1).tolist()]


def headers(trace: Trace, sheet: Sheet) -> list[str]:
    """The names of the shown classes for the head of a table, the label marked."""
    names = short_names(sheet.class_names)
    return [names[c] + (" = y" if c == trace.label else "") for c in shown_classes(trace)]
