"""What many visitors cost the server and each other."""

from harness.load import measure

__all__ = ["measure"]
