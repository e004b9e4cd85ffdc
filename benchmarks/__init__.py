"""Speed and memory as ratios: one file for each benchmark; `python -m benchmarks` runs them and prints one table."""
