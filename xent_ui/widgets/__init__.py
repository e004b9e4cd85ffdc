"""What several pages show: formulas with numbers, tables of numbers, matrices, the choice of a row, a job at work."""
