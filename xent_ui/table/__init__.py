"""The editors of logits and labels, the options beside them, and where they lie."""
