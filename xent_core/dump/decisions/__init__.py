"""What a person decides about suspects of wrong labels: keep, relabel, drop or unsure.

`Decisions` holds them, `decisions_from_file` and `to_csv`/`to_json` let them travel, `merge` joins two people's and
`merge_all` any number, `effect` says what they change, `snippet` applies them.
"""

from xent_core.dump.decisions.decision import (
    DECISIONS,
    MAX_DECISIONS,
    Decision,
    Decisions,
    InvalidDecisions,
    Match,
    match,
)
from xent_core.dump.decisions.decision_effect import Effect, Whole, counted_again, effect
from xent_core.dump.decisions.decision_files import decisions_from_file, to_csv, to_json
from xent_core.dump.decisions.decision_merge import Conflict, Dispute, Merge, MergeOfAll, merge, merge_all
from xent_core.dump.decisions.decision_snippet import SNIPPETS, snippet
from xent_core.dump.decisions.lookup import FoundRows, find_rows

__all__ = [
    "DECISIONS",
    "MAX_DECISIONS",
    "SNIPPETS",
    "Conflict",
    "Decision",
    "Decisions",
    "Dispute",
    "Effect",
    "FoundRows",
    "InvalidDecisions",
    "Match",
    "Merge",
    "MergeOfAll",
    "Whole",
    "counted_again",
    "decisions_from_file",
    "effect",
    "find_rows",
    "match",
    "merge",
    "merge_all",
    "snippet",
    "to_csv",
    "to_json",
]
