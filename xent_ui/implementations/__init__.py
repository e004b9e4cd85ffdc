"""The page Implementations: the ways people write this loss, side by side."""
