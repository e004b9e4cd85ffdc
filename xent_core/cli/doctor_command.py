"""python -m xent_core doctor: what is wrong with the logits and labels in a file, and an exit code for it."""

from __future__ import annotations

import argparse
from pathlib import Path

from xent_core.cli.streams import from_standard_input
from xent_core.cli.terminal import findings_text
from xent_core.doctor.diagnose import diagnose_file
from xent_core.language import _


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The argument that names a file of arrays, valid or not."""
    parser.add_argument(
        "file",
        metavar="FILE",
        help=_("a file of logits and labels, as Export writes it or as analyse reads it, or - for standard input"),
    )


def run(arguments: argparse.Namespace) -> tuple[str, int]:
    """What is wrong with the arrays in a file; exit code 1 for an error or a warning."""
    with from_standard_input(arguments.file) as (source,):
        path = Path(str(source))
        found = diagnose_file(path.name, path.read_bytes())
    return findings_text(found), int(any(one.severity != "note" for one in found))
