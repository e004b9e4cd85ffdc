"""What a Streamlit user would write in ten minutes: an editor of logits and two heatmaps; ?size=30 for 30×30.

The other side of bench_edit.py: same size, same keys, nothing done for speed.
"""

import numpy as np
import pandas as pd
import plotly.graph_objects as go
import streamlit as st
import torch
import torch.nn.functional as F

st.set_page_config(page_title="Cross-entropy", layout="wide")
st.title("Softmax cross-entropy")
ROWS = CLASSES = int(st.query_params.get("size", 10))

names = [f"class {c}" for c in range(CLASSES)]
start = np.random.default_rng(0).normal(size=(ROWS, CLASSES)).round(2)
frame = pd.DataFrame([[str(value) for value in row] for row in start], columns=names)
frame.insert(0, "row", [f"row {i}" for i in range(ROWS)])

with st.container(key="logits"):
    edited = st.data_editor(
        frame,
        hide_index=True,
        disabled=["row"],
        row_height=36,
        column_config={name: st.column_config.TextColumn(name, required=True, alignment="right") for name in names},
        key="logits_editor",
    )

logits = torch.tensor(edited[names].astype("float32").to_numpy(), requires_grad=True)
target = torch.arange(ROWS) % CLASSES
loss = F.cross_entropy(logits, target)
loss.backward()
probs = F.softmax(logits.detach(), dim=1)

with st.container(key="loss"):
    st.metric("loss", f"{loss.item():.4f}")

left, right = st.columns(2)
with left.container(key="probs"):
    st.plotly_chart(go.Figure(go.Heatmap(z=probs.numpy(), zmin=0, zmax=1, colorscale="Blues")), key="probs_figure")
with right.container(key="grad"):
    st.plotly_chart(
        go.Figure(go.Heatmap(z=logits.grad.numpy(), zmid=0, colorscale="RdBu_r")),
        key="grad_figure",
    )
