"""What all visitors share: limits, the log, the threads for long work, and the lock that runs one page at a time."""
