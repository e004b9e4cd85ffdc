"""Parts of the screen that several pages have: formulas, number tables, choosers, forms, the progress of a job."""
