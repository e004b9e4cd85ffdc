"""Values in, pictures out: Plotly figures and HTML that several pages show, and the one theme with all colours."""
