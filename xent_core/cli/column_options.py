"""The options of the commands that read tables: which columns are classes and which labels."""

from __future__ import annotations

import argparse

from xent_core.columns import LABELS_ARE, LOGITS_ARE, ColumnChoices
from xent_core.language import _


def add_columns(parser: argparse.ArgumentParser) -> None:
    """What is said of the columns of a table."""
    parser.add_argument(
        "--classes",
        metavar="COLUMNS",
        help=_("the columns that are classes: a name, a pattern such as 'logit_*', or several between commas"),
    )
    parser.add_argument(
        "--target", dest="target_column", metavar="COLUMN", help=_("the column of the labels, or a file")
    )
    parser.add_argument(
        "--no-header", action="store_true", help=_("the first line is a row; columns are called 0, 1, …")
    )
    parser.add_argument(
        "--labels-are", choices=LABELS_ARE, help=_("where classes are called by numbers: names, or indices from 0 on")
    )
    parser.add_argument("--logits-are", choices=LOGITS_ARE, help=_("if they look like probabilities"))


def choices_in(arguments: argparse.Namespace) -> ColumnChoices:
    """What the command line says of the columns."""
    return ColumnChoices(
        classes=arguments.classes,
        target=arguments.target_column,
        no_header=arguments.no_header,
        labels_are=arguments.labels_are,
        logits_are=arguments.logits_are,
    )
