"""check_loss: one's own cross-entropy against F.cross_entropy, property by property.

In a test: `assert_cross_entropy(my_loss)`.
"""

from xent_core.check_loss.cases import Case, standard_cases
from xent_core.check_loss.measure import Result
from xent_core.check_loss.mistakes import MISTAKES, Mistake
from xent_core.check_loss.property_list import PROPERTIES
from xent_core.check_loss.referee import assert_cross_entropy, check_loss, properties
from xent_core.check_loss.subject import classes_last, from_value_and_gradient
from xent_core.check_loss.verdicts import Report, Verdict

__all__ = [
    "MISTAKES",
    "PROPERTIES",
    "Case",
    "Mistake",
    "Report",
    "Result",
    "Verdict",
    "assert_cross_entropy",
    "check_loss",
    "classes_last",
    "from_value_and_gradient",
    "properties",
    "standard_cases",
]
