"""python -m xent_core doctor: what is wrong with the logits and labels in a file, and an exit code for it."""

from __future__ import annotations

import argparse
from dataclasses import replace

from xent_core.cli.column_options import choices_in
from xent_core.cli.problem_commands import add_source, document_of, source_in
from xent_core.cli.terminal import findings_text
from xent_core.codec import InvalidFile
from xent_core.doctor.diagnose import diagnose_document
from xent_core.doctor.findings import Finding
from xent_core.language import _


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Those of `show`: they name a file of arrays, valid or not, and say what its columns are."""
    add_source(parser)


def run(arguments: argparse.Namespace) -> tuple[str, int]:
    """What was read, and what is wrong with it; exit code 1 for an error or a warning."""
    with source_in(arguments) as source:
        found, reading = _findings(source, arguments)
    text = findings_text(found)
    if reading:
        text = _("read  {reading}").format(reading=reading) + f"\n\n{text}"
    return text, int(any(one.severity != "note" for one in found))


def _findings(source: str, arguments: argparse.Namespace) -> tuple[list[Finding], str]:
    """Raises: InvalidFile, also the question what the logits are where no finding says what they look like."""
    choices = choices_in(arguments)
    try:
        return diagnose_document(lambda: document_of(source, choices))
    except InvalidFile as error:
        if not any("logits_are" in answer for answer in error.answers):
            raise
        as_logits = replace(choices, logits_are="logits")
        found, reading = diagnose_document(lambda: document_of(source, as_logits))
        if not any(one.code == "softmax-applied-twice" for one in found):
            raise
        return found, reading
