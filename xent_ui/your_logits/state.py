"""What the page Your logits keeps between runs: the names, types and defaults."""

from __future__ import annotations

from typing import Any

from xent_core.columns import LogitsAre
from xent_core.dump import RANKINGS, DumpSummary
from xent_core.dump.decisions import Decisions
from xent_core.dump.selection import RANGES
from xent_ui.state.kept import Kept
from xent_ui.table.loss_options_form import DEFAULTS, loss_option_entries
from xent_ui.your_logits.analysis import DumpAnalysis
from xent_ui.your_logits.desk import Desk

EXAMPLE, UPLOAD, PATH = "example", "upload", "path"
ENDS = ("from", "to")
MAX_PATH_CHARACTERS = 4096  # of Linux
MAX_COLUMN_CHARACTERS = 4096  # the names of many classes between commas

SOURCE = Kept[str]("dump_source", EXAMPLE)
LOGITS_PATH = Kept[str]("dump_logits_path", "")
SEVERAL = Kept[str]("dump_several", "unsaid")  # what several files are: also "epochs" or "shards"
TARGET_PATH = Kept[str]("dump_target_path", "")
# what the visitor has said of each dump whose logits look like probabilities
LOGITS_ARE = Kept[dict[tuple[str, ...], LogitsAre]]("dump_logits_are", {})

# what the visitor has said of the columns of each dump, by a button; and what stands in the fields
COLUMNS = Kept[dict[tuple[str, ...], dict[str, str]]]("dump_columns", {})
COLUMN_FIELDS = {
    name: Kept[str](f"dump_column_{name}", "") for name in ("classes", "target_column", "ids", "image", "text", "show")
}
CLASS_NAMES = Kept[str]("dump_class_names", "")  # between commas
# the files of an upload, which Streamlit forgets while its field is not on the page
HELD_FILES = {role: Kept[tuple[Any, ...]](f"dump_{role}_held", ()) for role in ("logits", "target")}
FILE_BEFORE = Kept[bool]("dump_file_before", False)  # whether this tab had a file open before a reload
NO_HEADER = Kept[bool]("dump_no_header", False)

OPTION_ENTRIES = loss_option_entries("dump_", *DEFAULTS)

ANALYSIS = Kept[DumpAnalysis | None]("dump_run", None)

# the dump in which the visitor wants wrong labels to be looked for, though it is large
LOOK_FOR_WRONG_LABELS = Kept[tuple[str, ...] | None]("dump_look_for_wrong_labels", None)
RANK_BY = Kept[str]("dump_rank_by", RANKINGS[0])
RANK_BY_WITHOUT = Kept[str]("dump_rank_by_without", RANKINGS[1])  # of a dump in which they were not looked for
# the same of several epochs, which have one order more
RANK_BY_EPOCHS = Kept[str]("dump_rank_by_epochs", RANKINGS[0])
RANK_BY_EPOCHS_WITHOUT = Kept[str]("dump_rank_by_epochs_without", "aum")
ROW = Kept[int | None]("dump_row", None)  # that is looked at
SUSPECT_PAGE = Kept[int]("dump_suspect_page", 1)  # of the table, where it shows the examples
# which rows are chosen; None: all
LABEL = Kept[int | None]("dump_label", None)
PREDICTION = Kept[int | None]("dump_prediction", None)
BOUNDS = {(name, end): Kept[float | None](f"dump_{name}_{end}", None) for name in RANGES for end in ENDS}

# what is decided about the suspects, and what was said of files of decisions that were opened
DESK = Kept[Desk | None]("dump_desk", None)
GALLERY = Kept[Any]("gallery", None)  # the messages of the browser
CARDS = Kept[tuple[int, ...]]("gallery_cards", ())  # the rows whose cards it wants
DECISION_FILES_SAID = Kept[tuple[str, ...]]("decision_files_said", ())
DECISION_FILES_OPENED = Kept[int]("decision_files_opened", 0)  # how often: a new field of files each time
EFFECT_OF = Kept[Decisions | None]("dump_effect_of", None)  # whose effect was asked for
SNIPPET_KIND = Kept[str]("decision_snippet", "pandas")

QUANTITY = Kept[str]("dump_quantity", "share")  # that the matrix of pairs shows
# what is selected in the pictures and tables, as Streamlit gives it
SUSPECT_TABLE = Kept[Any]("suspect_table", None)
DATA_MAP = Kept[Any]("data_map", None)
DATA_MAP_BY = Kept[str]("data_map_by", "points")  # what is chosen on it: "points" or "box"
PAIR_TABLE = Kept[Any]("pair_table", None)
PAIR_MATRIX = Kept[Any]("pair_matrix", None)
HISTOGRAM = {name: Kept[Any](f"{name}_histogram", None) for name in ("loss", "grad_norm")}


def rank_by_entry(summary: DumpSummary) -> Kept[str]:
    """Where it is kept what the suspects are ranked by."""
    if summary.epochs is not None:
        return RANK_BY_EPOCHS if summary.looked_for_wrong_labels else RANK_BY_EPOCHS_WITHOUT
    return RANK_BY if summary.looked_for_wrong_labels else RANK_BY_WITHOUT
