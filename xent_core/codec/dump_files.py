"""Reads a Problem from a file that another program wrote, by the reader of dumps."""

from __future__ import annotations

import io
from typing import Any, cast

from xent_core.codec.document import Document
from xent_core.codec.refusals import InvalidFile, RefusedProblem
from xent_core.codec.tensors import MAX_NUMBERS
from xent_core.columns import ColumnChoices
from xent_core.dump.formats import DumpLimits, InvalidDump
from xent_core.dump.formats.arrays import RawFile
from xent_core.dump.formats.text_stream import TextStream
from xent_core.dump.readers import Dump, open_dump
from xent_core.language import _
from xent_core.loss_options import LossKeywords
from xent_core.problem import InvalidProblem, Problem


def read_dump(source: Any, choices: ColumnChoices, *, in_sandbox: bool = False) -> Document:
    """The rows of a dump as a Problem, with what was read as what.

    Args:
      source: a path, or an open file with its name.
      in_sandbox: this process is a sandbox, which may be ended by what it reads.

    Raises: InvalidFile for what `open_dump` refuses, and for more numbers than a Problem in a file has.
    """
    try:
        with open_dump(
            source,
            classes=choices.classes,
            target_column=choices.target,
            no_header=choices.no_header,
            labels_are=choices.labels_are,
            logits_are=choices.logits_are,
            limits=DumpLimits(rows=MAX_NUMBERS, logits=MAX_NUMBERS),
            in_sandbox=in_sandbox,
        ) as dump:
            return _document(dump)
    except InvalidDump as error:
        if error.code == "dump-large":
            raise InvalidFile(
                error.came,
                _("at most {limit} numbers").format(limit=f"{MAX_NUMBERS:,}"),
                _("Take fewer rows; for a large dump use: python -m xent_core analyse."),
            ) from error
        raise InvalidFile(error.came, error.expected, error.fix, error.answers) from error


def read_dump_of_bytes(name: str, data: bytes, choices: ColumnChoices, *, in_sandbox: bool) -> Document:
    """The same of a file that is in memory; its name stands in what is said of it."""
    file = io.BytesIO(data)
    file.name = name
    return read_dump(file, choices, in_sandbox=in_sandbox)


def unpacked(name: str, data: bytes, most: int, *, in_sandbox: bool) -> bytes:
    """The text in a file packed by gzip, bzip2 or Zstandard. Raises: InvalidFile for one of more bytes."""
    limits = DumpLimits(rows=MAX_NUMBERS) if in_sandbox else None
    text = bytearray()
    try:
        for block in TextStream(RawFile(name, io.BytesIO(data), len(data), None, limits)).blocks():
            text += block
            if len(text) > most:
                raise too_many_bytes(len(text), most)
    except InvalidDump as error:
        raise InvalidFile(error.came, error.expected, error.fix) from error
    return bytes(text)


def too_many_bytes(came: int, most: int) -> InvalidFile:
    """The refusal of a large file."""
    return InvalidFile(
        _("a file of {size} bytes").format(size=f"{came:,}"),
        _("at most {limit}").format(limit=f"{most:,}"),
        _("Take fewer rows; for a large dump use: python -m xent_core analyse."),
    )


def _document(dump: Dump) -> Document:
    batch = dump.read(0, dump.rows)
    target = batch.target if batch.target_probs is None else batch.target_probs.to(batch.logits.dtype)
    reading, options = dump.reading.sentence(), cast(LossKeywords, dump.options)
    try:
        problem = Problem(batch.logits, target, **options)
    except InvalidProblem as error:
        raise RefusedProblem(error, {"logits": batch.logits, "target": target}, options, reading) from error
    names = dump.class_names or ()
    try:
        return Document(problem, names, batch.ids or (), reading)
    except InvalidFile:  # names that no table can show
        pass
    said = "; ".join([reading, _("names of rows that cannot be shown are left out")])
    return Document(problem, names, (), said)
