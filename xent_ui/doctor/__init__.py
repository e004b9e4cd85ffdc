"""The page Doctor: what is wrong with logits and labels, or behind an error message, and the fix."""
