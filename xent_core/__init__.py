"""The mathematics of softmax cross-entropy: one Problem goes in, one Evaluation comes out.

The loss is computed in `xent_core.cross_entropy.evaluate`.
This package needs PyTorch and NumPy, and knows nothing of pages or pictures.
"""

from xent_core.check_loss import check_loss
from xent_core.cross_entropy import Evaluation, evaluate, gradient_check
from xent_core.descent import descend
from xent_core.doctor.diagnose import diagnose
from xent_core.doctor.findings import Finding
from xent_core.implementations import compare
from xent_core.problem import InvalidProblem, Problem
from xent_core.row_trace import trace

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "Finding",
    "InvalidProblem",
    "Problem",
    "check_loss",
    "compare",
    "descend",
    "diagnose",
    "evaluate",
    "gradient_check",
    "trace",
]
