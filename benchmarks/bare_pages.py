"""Pages that a Streamlit user would write in ten minutes: each shows so many pictures of a small matrix.

The other side of bench_pages.py. Page `pictures-3` shows three; nothing is computed, nothing is done for speed.
"""

import functools

import numpy as np
import plotly.graph_objects as go
import streamlit as st

MOST = 10


def show(count: int) -> None:
    st.title(f"{count} pictures")
    numbers = np.random.default_rng(0).normal(size=(3, 3))
    for i in range(count):
        st.plotly_chart(go.Figure(go.Heatmap(z=numbers, colorscale="RdBu_r")), key=f"picture_{i}")


st.set_page_config(layout="wide")
st.navigation(
    [st.Page(functools.partial(show, n), title=f"{n} pictures", url_path=f"pictures-{n}") for n in range(MOST + 1)]
).run()
