"""The table that `analyse --scores` writes, told by its columns where somebody gives it for one of logits."""

from __future__ import annotations

from collections.abc import Collection

from xent_core.columns import UnclearColumns
from xent_core.language import _

ALWAYS = frozenset(
    ("row", "target", "prediction", "loss", "el2n", "grad_norm", "margin", "prob", "entropy", "suggested", "rank")
)
SOMETIMES = frozenset(
    (
        *("suspicion", "p_wrong", "last_layer_norm", "target_prob", "id", "text", "image"),
        *("aum", "forgetting", "confidence", "variability", "correctness"),
    )
)


def check_no_scores(names: Collection[str], file: str) -> None:
    """Raises: UnclearColumns for a table with just the columns of one of scores."""
    if ALWAYS <= set(names) <= ALWAYS | SOMETIMES:
        raise UnclearColumns(
            _("{file} is a table of scores, as analyse --scores writes it, with no logits in it").format(file=file),
            _("the scores of all classes in every row"),
            _("Give the file of logits from which it was made."),
        )
