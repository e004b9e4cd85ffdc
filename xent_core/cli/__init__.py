"""The command line, python -m xent_core COMMAND …: the parser, one module for each command, and text for a terminal."""
