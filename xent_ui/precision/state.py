"""What the page Precision keeps between runs."""

from xent_ui.state.kept import Kept

YOUR_BATCH = "your-batch"
PROBLEM = Kept[str]("precision_preset", YOUR_BATCH)  # the batch, or a preset that one dtype cannot hold
QUANTITY = Kept[str]("precision_quantity", "error")  # what the matrices show
