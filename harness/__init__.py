"""What tests and benchmarks share: visitors, hostile inputs, a browser to drive, sample dumps, ratios."""
