"""Logits on disk: which examples, classes and class pairs carry the gradient of a real model.

The one call most people need is `analyse`.
`open_dump` reads single rows of the same dump again.
"""

from xent_core.dump.analysis import PairDetail, Progress, analyse, pair_detail, scores_of_rows
from xent_core.dump.calibration import BrierScore, Calibration, CalibrationError, Reliability
from xent_core.dump.epochs import Epochs
from xent_core.dump.examples import Examples, ShownExample, shown_text
from xent_core.dump.folders import natural_order
from xent_core.dump.formats import FORMATS, DumpLimits, InvalidDump
from xent_core.dump.histogram import Histogram
from xent_core.dump.ranking import RANKINGS, Suspects
from xent_core.dump.readers import Batch, Dump, open_dump
from xent_core.dump.scores import Scores, score
from xent_core.dump.scores_table import UnwrittenScores
from xent_core.dump.selection import Choice, Selection, select
from xent_core.dump.statistics import ClassGroups, LorenzCurve, Statistics
from xent_core.dump.summary import DumpSummary
from xent_core.dump.wrong_labels import WrongLabels
from xent_core.loss_options import LossOptions

__all__ = [
    "FORMATS",
    "RANKINGS",
    "Batch",
    "BrierScore",
    "Calibration",
    "CalibrationError",
    "Choice",
    "ClassGroups",
    "Dump",
    "DumpLimits",
    "DumpSummary",
    "Epochs",
    "Examples",
    "Histogram",
    "InvalidDump",
    "LorenzCurve",
    "LossOptions",
    "PairDetail",
    "Progress",
    "Reliability",
    "Scores",
    "Selection",
    "ShownExample",
    "Statistics",
    "Suspects",
    "UnwrittenScores",
    "WrongLabels",
    "analyse",
    "natural_order",
    "open_dump",
    "pair_detail",
    "score",
    "scores_of_rows",
    "select",
    "shown_text",
]
