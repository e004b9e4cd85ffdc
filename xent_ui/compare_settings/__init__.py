"""The page Compare settings: two sets of options on the same numbers; a batch against its micro-batches."""
