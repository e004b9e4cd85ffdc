"""The mathematics of softmax cross-entropy: one Problem goes in, one Evaluation comes out.

By task, with examples in docs/library.md:

Evaluate a batch
  evaluate(logits, target, **options) gives loss, gradient and probabilities; Problem holds what it was asked.
  gradient_check compares autograd, the closed form and finite differences.
Explain a number
  trace gives every step from logits to loss, forward and backward; compare the ways to write the loss.
Check a loss of one's own
  check_loss runs it beside F.cross_entropy.
Find what is wrong
  diagnose(logits, target, **options) gives findings with fixes; InvalidProblem is what a Problem refuses.
See what training does
  descend goes down the gradient of the logits.
Sum up a validation loop, analyse a dump
  analyse(logits, target, **options) goes through a file of any size; xent_core.dump: Statistics, open_dump.
Write it down
  xent_core.codec: tokens for links, files, scripts, notebooks.

This package needs PyTorch and NumPy, and knows nothing of pages or pictures.
"""

from xent_core.check_loss import check_loss
from xent_core.cross_entropy import Evaluation, evaluate, gradient_check
from xent_core.descent import descend
from xent_core.doctor.diagnose import diagnose
from xent_core.doctor.findings import Finding
from xent_core.dump import analyse
from xent_core.implementations import compare
from xent_core.problem import InvalidProblem, Problem
from xent_core.row_trace import trace

__version__ = "0.1.0"

__all__ = [
    "Evaluation",
    "Finding",
    "InvalidProblem",
    "Problem",
    "analyse",
    "check_loss",
    "compare",
    "descend",
    "diagnose",
    "evaluate",
    "gradient_check",
    "trace",
]
