"""What several pages show: formulas, number tables, matrices, choosers, pinned settings, the progress of a job."""
