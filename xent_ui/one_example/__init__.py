"""The page One example: a row whose logits and label can be dragged, and what labels do to it."""
