"""What the page Gradient descent keeps between runs: the names, types and defaults."""

from __future__ import annotations

from xent_ui.gradient_descent.descent_run import DescentRun
from xent_ui.state.kept import Kept

OPTIMIZER = Kept[str]("descent_optimizer", "SGD")
LEARNING_RATE = Kept[float]("descent_learning_rate", 1.0)
NUM_STEPS = Kept[int]("descent_steps", 50)
RUN = Kept[DescentRun | None]("descent_run", None)
STEP = Kept[int | None]("descent_step", None)  # that is looked at; None: the last
