"""The command line: python -m xent_core."""
