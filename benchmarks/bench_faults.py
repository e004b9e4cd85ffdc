"""What hostile visitors do to the others."""

from harness.faults import measure

__all__ = ["measure"]
