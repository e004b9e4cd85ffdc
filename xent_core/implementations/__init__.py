"""The ways by which people compute cross-entropy, each beside F.cross_entropy on the same Problem.

IMPLEMENTATIONS is the list of them, and `compare` runs them all.
"""

from xent_core.implementations.comparison import Entry, compare
from xent_core.implementations.reasons import REASONS, Reason
from xent_core.implementations.registry import IMPLEMENTATIONS, Implementation
from xent_core.implementations.row_by_hand import RowWorked, row_worked

__all__ = ["IMPLEMENTATIONS", "REASONS", "Entry", "Implementation", "Reason", "RowWorked", "compare", "row_worked"]
