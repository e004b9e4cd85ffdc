"""What a Gradio user would write: an editor of 10×10 logits and two heatmaps. `python gradio_app.py PORT`.

The other side of bench_drag.py: same size, same numbers, all from PyTorch on the server.
"""

import os
import sys

os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

import gradio as gr
import plotly.graph_objects as go

from benchmarks.drag_problem import CLASSES, START, results


def follow(data):
    loss, probs, grad = results(data.to_numpy(dtype=float).tolist())
    return (
        f"{loss:.6f}",
        go.Figure(go.Heatmap(z=probs, zmin=0, zmax=1, colorscale="Blues")),
        go.Figure(go.Heatmap(z=grad, zmid=0, colorscale="RdBu_r")),
    )


with gr.Blocks() as app:
    logits = gr.Dataframe(
        START, headers=[f"class {c}" for c in range(CLASSES)], datatype="number", interactive=True, elem_id="logits"
    )
    loss = gr.Textbox(label="loss", elem_id="loss")
    outputs = [loss, gr.Plot(elem_id="probs"), gr.Plot(elem_id="grad")]
    logits.change(follow, logits, outputs, show_progress="hidden")
    app.load(follow, logits, outputs)

if __name__ == "__main__":
    app.launch(server_name="127.0.0.1", server_port=int(sys.argv[1]), quiet=True)
