"""Everything that was tried against the public server, as programs that can be tried again: `make attack`."""
