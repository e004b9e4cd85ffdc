"""What a Dash user would write: an editor of 10×10 logits and two heatmaps. `python dash_app.py PORT`.

The other side of bench_drag.py: same size, same numbers, all from PyTorch on the server.
"""

import sys

import dash
import plotly.graph_objects as go
from dash import Input, Output, dash_table, dcc, html

from benchmarks.drag_problem import CLASSES, START, results

app = dash.Dash(__name__, serve_locally=True)
names = [f"class {c}" for c in range(CLASSES)]
app.layout = html.Div(
    [
        dash_table.DataTable(
            id="logits",
            columns=[{"name": name, "id": name, "type": "numeric"} for name in names],
            data=[dict(zip(names, row, strict=True)) for row in START],
            editable=True,
        ),
        html.Output(id="loss"),
        dcc.Graph(id="probs"),
        dcc.Graph(id="grad"),
    ]
)


@app.callback(Output("loss", "children"), Output("probs", "figure"), Output("grad", "figure"), Input("logits", "data"))
def follow(data):
    loss, probs, grad = results([[row[name] for name in names] for row in data])
    return (
        f"{loss:.6f}",
        go.Figure(go.Heatmap(z=probs, zmin=0, zmax=1, colorscale="Blues")),
        go.Figure(go.Heatmap(z=grad, zmid=0, colorscale="RdBu_r")),
    )


if __name__ == "__main__":
    app.run(host="127.0.0.1", port=int(sys.argv[1]), debug=False)
