"""The page Your logits: which examples, classes and pairs carry the gradient of a real model."""
