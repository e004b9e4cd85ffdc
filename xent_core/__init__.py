"""The mathematics of softmax cross-entropy: one Problem goes in, one Evaluation comes out.

The loss is computed in `xent_core.cross_entropy.evaluate`.
This package needs PyTorch and NumPy, and knows nothing of pages or pictures.
"""

from xent_core.cell import CellArithmetic, all_cells, cell_arithmetic
from xent_core.check_loss import check_loss
from xent_core.cross_entropy import Evaluation, GradientCheck, evaluate, gradient_check
from xent_core.descent import OPTIMIZERS, Descent, Limit, descend, limit_of
from xent_core.doctor.diagnose import diagnose
from xent_core.doctor.findings import Finding
from xent_core.doctor.torch_messages import recognise
from xent_core.experiments import (
    Flip,
    Sweep,
    equilibrium_gap,
    flip_label,
    hot_gradient,
    mix_labels,
    sweep_label_smoothing,
    sweep_temperature,
    sweep_weight,
)
from xent_core.implementations import IMPLEMENTATIONS, compare, row_worked
from xent_core.marks import Mark, reference_losses
from xent_core.one_row import (
    IfLabelWere,
    LossCurve,
    SimplexField,
    if_label_were,
    loss_along,
    row_problem,
    simplex_field,
    simplex_grid,
)
from xent_core.precision import PRECISION_PRESETS, in_every_dtype, row_sweep, scale_sweep
from xent_core.presets import PRESETS, Preset
from xent_core.problem import DTYPES, REDUCTIONS, InvalidProblem, Problem
from xent_core.row_trace import Step, Trace, trace
from xent_core.settings_comparison import (
    Accumulation,
    Comparison,
    GradientPair,
    OptionSweep,
    accumulate,
    compare_settings,
    sweep_option,
)

__version__ = "0.1.0"

__all__ = [
    "DTYPES",
    "IMPLEMENTATIONS",
    "OPTIMIZERS",
    "PRECISION_PRESETS",
    "PRESETS",
    "REDUCTIONS",
    "Accumulation",
    "CellArithmetic",
    "Comparison",
    "Descent",
    "Evaluation",
    "Finding",
    "Flip",
    "GradientCheck",
    "GradientPair",
    "IfLabelWere",
    "InvalidProblem",
    "Limit",
    "LossCurve",
    "Mark",
    "OptionSweep",
    "Preset",
    "Problem",
    "SimplexField",
    "Step",
    "Sweep",
    "Trace",
    "accumulate",
    "all_cells",
    "cell_arithmetic",
    "check_loss",
    "compare",
    "compare_settings",
    "descend",
    "diagnose",
    "equilibrium_gap",
    "evaluate",
    "flip_label",
    "gradient_check",
    "hot_gradient",
    "if_label_were",
    "in_every_dtype",
    "limit_of",
    "loss_along",
    "mix_labels",
    "recognise",
    "reference_losses",
    "row_problem",
    "row_sweep",
    "row_worked",
    "scale_sweep",
    "simplex_field",
    "simplex_grid",
    "sweep_label_smoothing",
    "sweep_option",
    "sweep_temperature",
    "sweep_weight",
    "trace",
]
