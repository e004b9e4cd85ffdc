"""The page Gradient descent: the path of the logits as they follow their gradient."""
