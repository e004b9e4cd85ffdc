"""What pages share: figures, widgets, the state of a visit, and words."""
