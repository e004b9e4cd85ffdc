"""Calibration in words: the verdict on a dump, its main numbers with their intervals, and why ways to bin differ."""

from __future__ import annotations

import math

from xent_core.dump.calibration import CalibrationError
from xent_core.dump.summary import DumpSummary
from xent_core.language import _


def calibration_error_name(error: CalibrationError) -> str:
    """What a newcomer reads of one way to make bins."""
    names = {
        "equal_width": _("15 bins of equal width, (a, b] as scikit-learn"),
        "equal_width_torchmetrics": _("the same, [a, b) and 1 by itself, as torchmetrics"),
        "equal_width_netcal": _("the same, [a, b) and 1 in the last, as netcal"),
        "average": _("the same, every bin counts alike (ACE of netcal)"),
        "equal_mass": _("15 bins of as many rows each"),
        "top_label": _("bins for each predicted class (top label)"),
        "class_wise": _("every class's probability, mean over the classes (class-wise)"),
        "adaptive": _("every class's probability, bins of as many rows each (adaptive)"),
    }
    return names[error.name]


def value_of(error: CalibrationError) -> str:
    """The value, and how far it is off at most."""
    return f"{error.value:.4g} ± {error.off_by:.4g}" if error.off_by else f"{error.value:.4g}"


def calibration_verdict(summary: DumpSummary) -> str:
    """Whether the model is as often right as it says, as far as chance leaves that open; empty without rows."""
    found = summary.calibration
    confidence, verdict = found.confidence, found.verdict
    if verdict == "unknown":
        return ""
    digits = _digits_apart(confidence.said, confidence.right)
    said, right = (f"{value:.{digits}f}" for value in (confidence.said, confidence.right))
    words = {
        "over-confident": _("Over-confident: it says {said} on average, and is right {right} of the time."),
        "under-confident": _("Under-confident: it says {said} on average, and is right {right} of the time."),
        "uneven": _(
            "Right on average, but not at every confidence: it says {said} and is right {right} of the time, too sure "
            "in some places and not sure enough in others, by more than chance explains."
        ),
        "too-few": _("Too few rows to say: it says {said} on average, and is right {right} of the time."),
        "calibrated": _(
            "Well calibrated, within what chance explains: it says {said} on average, and is right {right} of the time."
        ),
    }
    return words[verdict].format(said=said, right=right)


def _digits_apart(one: float, other: float) -> int:
    """So many decimals that two numbers that differ read differently, from 2 to 4."""
    return next((digits for digits in (2, 3) if f"{one:.{digits}f}" != f"{other:.{digits}f}"), 4)


def main_calibration_numbers(summary: DumpSummary) -> list[tuple[str, str, str]]:
    """The gap, and the error by two ways of making bins: what it is, the value, and the interval of it."""
    found = summary.calibration
    if found.verdict == "unknown":
        return []
    confidence = found.confidence
    shown = [(_("says − is right, on average"), f"{confidence.gap:+.4f}", confidence.low, confidence.high, "+.4f")]
    for name in ("equal_width", "equal_mass"):
        error = found.error(name)
        if error is not None:
            shown.append((calibration_error_name(error), value_of(error), error.low, error.high, ".4f"))
    return [
        (name, value.replace("-", "−"), f"{low:{form}} … {high:{form}}".replace("-", "−"))
        for name, value, low, high, form in shown
    ]


def why_calibration_errors_differ(summary: DumpSummary) -> str:
    """Why the ways differ, in the numbers of this dump; empty without rows."""
    found = summary.calibration
    width, mass = found.error("equal_width"), found.error("equal_mass")
    if width is None or mass is None or math.isnan(width.value):
        return ""
    words = _(
        "Equal widths put {share:.0%} of the rows into one bin, where too high and too low can cancel: {width:.4f}; "
        "bins of as many rows each share them out: {mass:.4f}."
    ).format(share=found.largest_bin, width=width.value, mass=mass.value)
    by_class = found.error("class_wise")
    if by_class is None:
        return words
    return words[:-1] + _(
        "; class by class {small:.0%} of the probabilities are below 1/15, and count as much as the rest: {value:.4f}."
    ).format(small=found.small_probabilities, value=by_class.value)


def brier_parts(summary: DumpSummary) -> list[tuple[str, float]]:
    """The Brier score and what it is the sum of; empty if it is not known."""
    brier = summary.calibration.brier
    if brier is None:
        return []
    return [
        (_("Brier score"), brier.score),
        (_("+ reliability: said against seen"), brier.reliability),
        (_("− resolution: told apart"), brier.resolution),
        (_("+ uncertainty: of the labels themselves"), brier.uncertainty),
        (_("+ spread of the probabilities within the bins"), brier.within_variance),
        (_("− what of that spread was right"), brier.within_covariance),
    ]
