"""The page Batch: logits and labels in; loss, probabilities and gradient out."""
