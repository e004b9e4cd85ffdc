"""Sheets for Hypothesis: any table that one could have typed."""

from hypothesis import strategies as st

from xent_core.problem import DTYPES, REDUCTIONS
from xent_ui.state.sheet import PROBABILITIES, TARGET_KINDS, Sheet

NUMBERS = st.one_of(
    st.sampled_from(["0", "-0", "0.10", "1e308", "-inf", "inf", "nan", "007", ".5", "−3"]),
    st.floats(width=32).map(repr),
)
NAMES = st.text("abcdefgh ÄΩ漢", min_size=1, max_size=8).filter(str.strip)


@st.composite
def sheets(draw) -> Sheet:
    n, c = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    cells = st.tuples(*[st.tuples(*[NUMBERS] * c)] * n)
    kind = draw(st.sampled_from(TARGET_KINDS))
    return Sheet(
        logits=draw(cells),
        class_names=tuple(draw(st.lists(NAMES, min_size=c, max_size=c, unique=True))),
        row_names=tuple(draw(st.lists(NAMES, min_size=n, max_size=n))),
        labels=tuple(draw(st.lists(st.one_of(st.none(), st.integers(0, c - 1)), min_size=n, max_size=n))),
        probabilities=draw(cells),
        target_kind=kind,
        weight=draw(st.one_of(st.none(), st.tuples(*[NUMBERS] * c))),
        ignore_index=-100 if kind == PROBABILITIES else draw(st.sampled_from([-100, -1, 0, 1, 255])),
        reduction=draw(st.sampled_from(REDUCTIONS)),
        label_smoothing=draw(st.sampled_from([0.0, 0.1, 1.0])),
        temperature=draw(st.sampled_from([1.0, 0.5, 1e-3])),
        dtype=draw(st.sampled_from(list(DTYPES))),
    )
