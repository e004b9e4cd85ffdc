"""Imported once per process: the heavy imports and one run of everything, so that no visitor waits for them.

Streamlit collects garbage after every run of a page, and with PyTorch, Plotly and pandas loaded that takes longer than
the page itself. What is frozen here is never looked at again.
"""

import gc

import pandas as pd
import torch

from xent_core import descend, evaluate, gradient_check
from xent_core.presets import FIRST_PRESET, PRESETS
from xent_ui.figures import heatmap, theme
from xent_ui.server import uploads

uploads.prepare()
# every page runs in a new thread, and starting a second OpenMP thread there costs more than a small matrix gains
torch.set_num_threads(1)
_evaluation = evaluate(PRESETS[FIRST_PRESET].problem)
gradient_check(_evaluation.problem, _evaluation)
descend(_evaluation.problem, learning_rate=1.0, steps=1)  # the first step of torch.optim imports for a second
heatmap.matrix(_evaluation.probs, theme.PROBABILITY, row_names="012", class_names="012").to_json()
pd.DataFrame({"loss": ["0"]})
gc.collect()
gc.freeze()
