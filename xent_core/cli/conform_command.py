"""python -m xent_core conform: whether somebody's loss is a cross-entropy, property by property, and an exit code."""

from __future__ import annotations

import argparse
import json

from xent_core.check_loss.child import SECONDS, conform
from xent_core.check_loss.property_list import PROPERTIES
from xent_core.language import _


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The loss, which properties, and how the findings are printed."""
    parser.add_argument(
        "loss", metavar="MODULE:FUNCTION", help=_("a loss of logits and target, or FILE.py:FUNCTION; it is run")
    )
    parser.add_argument(
        "--properties",
        metavar="NAMES",
        help=_("only these, between commas: {names}").format(names=", ".join(one.name for one in PROPERTIES)),
    )
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=_("the time limit of each property (default %(default)g)")
    )
    parser.add_argument("--json", action="store_true", help=_("print the findings as JSON"))


def run(arguments: argparse.Namespace) -> tuple[str, int]:
    """The findings, the worst first; exit code 1 if something is wrong."""
    names = None if arguments.properties is None else [name.strip() for name in arguments.properties.split(",")]
    known = [one.name for one in PROPERTIES]
    unknown = [name for name in names or [] if name not in known]
    if unknown:
        raise ValueError(
            _("there is no property {name}, expected some of {names}").format(
                name=", ".join(unknown), names=", ".join(known)
            )
        )
    if not arguments.seconds > 0:
        raise ValueError(_("--seconds is {value}, expected a number above 0").format(value=arguments.seconds))
    report = conform(arguments.loss, names, seconds=arguments.seconds)
    text = json.dumps(report.as_json(), indent=2) if arguments.json else str(report)
    return text, 0 if report.passed else 1
