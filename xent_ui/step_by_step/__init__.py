"""The page Step by step: the loss of one row as a chain of small steps, forward and backward."""
