"""What all visitors share on a server: its limits, its log, its job pool and its run lock."""
