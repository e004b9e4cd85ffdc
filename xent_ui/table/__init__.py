"""The table that a person edits: editors of logits and labels, the options of the loss, and the layout of both."""
