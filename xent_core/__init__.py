"""The mathematics of softmax cross-entropy: one Problem goes in, one Evaluation comes out.

The loss is computed in `xent_core.cross_entropy.evaluate`.
This package needs PyTorch and NumPy, and knows nothing of pages or pictures.
"""

from xent_core.cell import CellArithmetic, all_cells, cell_arithmetic
from xent_core.compare_settings import (
    Accumulation,
    Comparison,
    GradientPair,
    OptionSweep,
    accumulate,
    compare_settings,
    sweep_option,
)
from xent_core.cross_entropy import Evaluation, GradientCheck, evaluate, gradient_check
from xent_core.doctor import diagnose
from xent_core.findings import Finding
from xent_core.implementations import IMPLEMENTATIONS, compare, row_worked
from xent_core.marks import Mark, reference_losses
from xent_core.precision import PRECISION_PRESETS, in_every_dtype, row_sweep, scale_sweep
from xent_core.presets import PRESETS, Preset
from xent_core.problem import DTYPES, REDUCTIONS, InvalidProblem, Problem
from xent_core.torch_messages import recognise
from xent_core.trace import Step, Trace, trace

__all__ = [
    "DTYPES",
    "IMPLEMENTATIONS",
    "PRECISION_PRESETS",
    "PRESETS",
    "REDUCTIONS",
    "Accumulation",
    "CellArithmetic",
    "Comparison",
    "Evaluation",
    "Finding",
    "GradientCheck",
    "GradientPair",
    "InvalidProblem",
    "Mark",
    "OptionSweep",
    "Preset",
    "Problem",
    "Step",
    "Trace",
    "accumulate",
    "all_cells",
    "cell_arithmetic",
    "compare",
    "compare_settings",
    "diagnose",
    "evaluate",
    "gradient_check",
    "in_every_dtype",
    "recognise",
    "reference_losses",
    "row_sweep",
    "row_worked",
    "scale_sweep",
    "sweep_option",
    "trace",
]
