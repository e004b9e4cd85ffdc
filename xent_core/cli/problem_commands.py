"""python -m xent_core show and script: a Problem out of a file or a link's token, as tables or as a program."""

from __future__ import annotations

import argparse
from pathlib import Path

from xent_core.cli.column_options import add_columns
from xent_core.cli.terminal import evaluation_text
from xent_core.codec import MAX_FILE_BYTES, MAX_TOKEN, Document, from_token, read_file, to_script
from xent_core.codec.files import KINDS
from xent_core.codec.tensors import MAX_NUMBERS
from xent_core.columns import ColumnChoices
from xent_core.dump import DumpLimits, open_dump
from xent_core.language import _
from xent_core.problem import Problem

NOTHING_SAID = ColumnChoices()


def add_source(parser: argparse.ArgumentParser) -> None:
    """The argument that names a Problem."""
    parser.add_argument(
        "source",
        metavar="FILE|TOKEN",
        help=_("a file, as Export writes it or as analyse reads it, or the p= part of a link"),
    )
    add_columns(parser)


def add_script_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of `script`."""
    add_source(parser)
    parser.add_argument("--framework", choices=("torch", "jax"), default="torch", help=_("torch unless said"))


def show(arguments: argparse.Namespace) -> str:
    """The evaluation of a Problem, as tables."""
    return evaluation_text(_document(arguments))


def script(arguments: argparse.Namespace) -> str:
    """A Problem as a program."""
    return to_script(_document(arguments).problem, framework=arguments.framework)


def _document(arguments: argparse.Namespace) -> Document:
    choices = ColumnChoices(
        classes=arguments.classes,
        target=arguments.target_column,
        no_header=arguments.no_header,
        labels_are=arguments.labels_are,
    )
    return document_of(arguments.source, choices)


def document_of(source: str, choices: ColumnChoices = NOTHING_SAID) -> Document:
    """The Problem in a file, or else in a token. Raises: InvalidFile, InvalidToken, OSError."""
    path = Path(source)
    try:
        is_file = path.is_file()
    except (OSError, ValueError):  # a token is too long for a file name
        is_file = False
    if is_file and _is_of_dumps(path):
        return _of_dump(source, choices)
    if is_file:
        with path.open("rb") as file:
            return read_file(path.name, file.read(MAX_FILE_BYTES + 1), choices)
    if path.suffix and len(source) <= MAX_TOKEN:
        raise FileNotFoundError(_("There is no file {name!r}.").format(name=source))
    return Document(from_token(source))


def _is_of_dumps(path: Path) -> bool:
    """Whether only the reader of dumps knows such a file: .parquet, .jsonl, .pt, a packed text, a list of JSON …"""
    if path.suffix.lower() != ".json":
        return path.suffix.lower() not in (*KINDS, ".npy")
    with path.open("rb") as file:
        return file.read(64).lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"[")


def _of_dump(source: str, choices: ColumnChoices) -> Document:
    with open_dump(
        source,
        classes=choices.classes,
        target_column=choices.target,
        no_header=choices.no_header,
        labels_are=choices.labels_are,
        logits_are="logits",
        limits=DumpLimits(logits=MAX_NUMBERS),
    ) as dump:
        batch = dump.read(0, dump.rows)
    return Document(Problem(batch.logits, batch.target), dump.class_names or (), batch.ids or ())
