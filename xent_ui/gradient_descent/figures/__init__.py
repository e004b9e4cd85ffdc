"""The picture of a path of gradient descent: one Plotly figure that plays it in the browser."""
