"""The page Implementations: every route on the problem at hand, its code and gradient, and one row worked by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

import streamlit as st
from torch import Tensor

from xent_core import Problem, compare, evaluate
from xent_core.distance import largest_finite
from xent_core.implementations import IMPLEMENTATIONS, REASONS, Entry, Reason, RowWorked, row_worked
from xent_ui.figures import heatmap
from xent_ui.figures.html import Marked
from xent_ui.implementations.state import ROUTE, SCALE, SCALES, WORKED_ROW
from xent_ui.state import session
from xent_ui.state.sheet import Sheet
from xent_ui.table.options import decimals
from xent_ui.text import MINUS, _, latex, markdown_escaped, number, short, size_words
from xent_ui.widgets.matrices import gradient_heatmap
from xent_ui.widgets.number_tables import text_table

MAX_TERMS = 6  # of a sum with numbers in it
YES, NO, NOT_RUN = Marked("✓", "right"), Marked("✗", "wrong"), Marked("–", "wrong")


def scale_slider() -> int:
    """The factor on all logits."""
    session.begin(SCALE)
    scale = st.select_slider(_("all logits ×"), SCALES, key=SCALE.name, persist_state="session")
    return int(scale)


def scaled(problem: Problem, scale: float) -> Problem:
    """The same Problem with all logits times a factor."""
    return replace(problem, logits=problem.logits * scale)


def advice(entries: Sequence[Entry], scale: int) -> None:
    """Which route to take and why, and what the factor on the logits is for."""
    use = _("**Use `F.cross_entropy(logits, target)`**, on the logits as they leave the model.")
    why = _("It takes the logarithm of softmax in one step: exp cannot overflow, and the logarithm never meets a 0.")
    parted = sum(not entry.agrees for entry in entries)
    if scale == 1:
        here = _("Of the {all} routes on the table's own logits, {parted} part from it.")
    else:
        here = _(
            "With the table's logits × {scale}, {parted} of the {all} routes part from it; × 1 is the table itself."
        )
    st.markdown(f"{use} {why} {here.format(scale=scale, parted=parted, all=len(entries))}")


def verdict(entries: Sequence[Entry], table: Problem, scale: int) -> None:
    """The reference loss of the table, that with all logits times the factor, and how many routes agree with it."""
    name = _("F.cross_entropy, sum of the rows") if table.reduction == "none" else "F.cross_entropy"
    with st.container(horizontal=True, gap="medium"):
        st.metric(name, _reference_loss(table), width="content", help=_("Of the table itself, in nats"))
        if scale != 1:
            st.metric(_("logits × {scale}").format(scale=scale), _reference_loss(scaled(table, scale)), width="content")
        agreeing = sum(entry.agrees for entry in entries)
        st.metric(
            _("routes that agree"),
            _("{agreeing} of {all}").format(agreeing=agreeing, all=len(entries)),
            width="content",
            help=_("Loss and gradient both within the rounding of the dtype. NaN counts as equal to NaN."),
        )


def _reference_loss(problem: Problem) -> str:
    return number(float(evaluate(problem).loss.sum()), decimals())


def overview(entries: Sequence[Entry], sheet: Sheet) -> None:
    """A line for every route, whether it agrees, its loss and how far off it is; beside it, where some do not, why."""
    differing = [entry for entry in entries if not entry.agrees]
    lines, why = st.columns([5, 4], gap="medium")  # also where all agree, so that the table keeps its width
    with lines, st.container(key="routes"):
        text_table(
            [name_of(entry) for entry in entries],
            {
                _("agrees"): [mark_of(entry) for entry in entries],
                _("loss"): [loss_words(entry) for entry in entries],
                _("largest difference"): [difference_words(entry) for entry in entries],
            },
            label=_("Every route, and whether it agrees"),
        )
        st.caption(sign_words())
    if differing:
        with why, st.container(key="why_not"):
            st.markdown(f"**{_('Why not')}**")
            for reason, routes in _by_reason(differing, sheet).items():
                st.markdown(f"- {reason}  \n  :small[:gray[{', '.join(routes)}]]")


def mark_of(entry: Entry) -> Marked:
    """Whether a route agrees, does not, or cannot run; one sign each, wherever they stand."""
    return NOT_RUN if entry.loss is None else YES if entry.agrees else NO


def sign_words() -> str:
    """What the signs of a route mean."""
    return _("{yes} agrees with F.cross_entropy · {no} another loss or gradient · {none} cannot run").format(
        yes=YES.text, no=NO.text, none=NOT_RUN.text
    )


def _by_reason(entries: Sequence[Entry], sheet: Sheet) -> dict[str, list[str]]:
    routes: dict[str, list[str]] = {}
    for entry in entries:
        for reason in entry.reasons:
            routes.setdefault(reason_words(reason, sheet), []).append(name_of(entry))
    return routes


def name_of(entry: Entry) -> str:
    """What a route is called."""
    return _(entry.name)


def loss_words(entry: Entry) -> str:
    """The loss of a route, that of all rows for reduction "none"; a dash if it could not run."""
    return "–" if entry.loss is None else number(float(entry.loss.sum()), decimals())


def difference_words(entry: Entry) -> str:
    """How far loss and gradient lie from F.cross_entropy at most; for what is no number, where it came."""
    if entry.loss is None:
        return "–"
    if math.isfinite(entry.max_abs_difference):
        return size_words(entry.max_abs_difference)
    return {
        "NaN": _("NaN in the loss"),
        "inf": _("inf in the loss"),
        "NaN gradient": _("NaN in the gradient"),
    }.get(entry.symptom, _("not finite"))


def reason_words(reason: Reason, sheet: Sheet) -> str:
    """Why a route does not agree, as Markdown, with the names of the row and the class."""
    values = {name: _value_words(name, value, sheet) for name, value in reason.values.items()}
    return _(REASONS[reason.code]).format(**values)


def _value_words(name: str, value: object, sheet: Sheet) -> str:
    if isinstance(value, float):
        return short(value)
    if isinstance(value, int):
        names = {"row": sheet.row_names, "label": sheet.class_names}.get(name)
        return str(value).replace("-", MINUS) if names is None else markdown_escaped(names[value])
    return markdown_escaped(str(value))


def break_map(problem: Problem) -> None:
    """For every route and factor: whether it holds, or how it fails."""
    words = {
        "cannot run": NOT_RUN,
        "NaN": Marked("NaN", "wrong"),
        "inf": Marked("inf", "wrong"),
        "0": Marked("0", "wrong"),
        "NaN gradient": Marked("∇ NaN", "wrong"),
        "off": Marked("≠", "wrong"),
    }
    text_table(
        [_(implementation.name) for implementation in IMPLEMENTATIONS],
        {f"×{scale}": [words.get(symptom, YES) for symptom in _symptoms(problem, scale)] for scale in SCALES},
        label=_("Which routes survive large logits"),
    )
    fails = _("in place of {no} here how it fails: ≠ another number · NaN, inf or 0 is the loss · ∇ NaN: {why}")
    st.caption(f"{sign_words()} · {fails.format(no=NO.text, why=_('the loss holds, and the gradient is NaN'))}")


@lru_cache(maxsize=8 * len(SCALES))
def _symptoms(problem: Problem, scale: float) -> list[str]:
    """How each route fails; remembered, since another page or a factor on this one changes nothing in it."""
    return [entry.symptom for entry in compare(scaled(problem, scale))]


def route_chooser(entries: Sequence[Entry]) -> int:
    """Which route to look at."""
    broken = next((index for index, entry in enumerate(entries) if not entry.agrees), 0)
    session.begin(ROUTE, broken)
    index = st.selectbox(
        _("Route"),
        range(len(IMPLEMENTATIONS)),
        format_func=lambda index: f"{mark_of(entries[index]).text} {name_of(entries[index])}",
        key=ROUTE.name,
        persist_state="session",
    )
    return int(index)


def code(entry: Entry) -> None:
    """The source of what ran."""
    st.code(f"import torch\nimport torch.nn.functional as F\nfrom torch import Tensor\n\n\n{entry.code}")


def gradient(entry: Entry, problem: Problem, sheet: Sheet) -> None:
    """The gradient through the route, and how far it lies from that of F.cross_entropy."""
    if entry.grad_logits is None:
        st.info(_("This route could not run, so there is no gradient."), icon=":material/block:")
        return
    reference = evaluate(problem)
    alt = _("Gradient through this route")
    gradient_heatmap(entry.grad_logits, sheet, "route_gradient", bound=reference.gradient_bound, alt=alt)
    if entry.grad_difference == 0:
        st.markdown(_("The same as through F.cross_entropy, bit for bit."))
        return
    st.markdown(f"**{_('minus the gradient of F.cross_entropy')}**")
    difference = entry.grad_logits.double() - reference.grad_logits.double()
    bound = largest_finite(difference)
    gradient_heatmap(difference, sheet, "route_difference", bound=bound, alt=_("Difference of the gradients"))


def worked_row_chooser(sheet: Sheet) -> int:
    """Which row to work by hand."""
    if session.kept(WORKED_ROW) >= sheet.num_rows:
        session.keep(WORKED_ROW, 0)
    session.begin(WORKED_ROW, 0)
    row = st.selectbox(
        _("Row"),
        range(sheet.num_rows),
        format_func=sheet.row_names.__getitem__,
        key=WORKED_ROW.name,
        persist_state="session",
    )
    return int(row)


def worked_row(problem: Problem, row: int, sheet: Sheet) -> None:
    """exp, sum, softmax and their logarithm of one row, by hand and by PyTorch, class by class."""
    worked = row_worked(problem, row)
    st.latex(sum_latex(worked, decimals()))
    softmax: dict[str, Sequence[str | Marked]] = {
        "z" if problem.temperature == 1 else "z/T": _numbers(worked.logits),
        "exp": _numbers(worked.exp),
        "exp / sum": _numbers(worked.softmax_by_hand),
        "F.softmax": _numbers(worked.softmax),
        _("equal"): _ticks(worked.softmax_agrees),
    }
    logarithm: dict[str, Sequence[str | Marked]] = {
        "log(F.softmax)": _numbers(worked.log_of_softmax),
        "F.log_softmax": _numbers(worked.log_softmax),
        _("equal"): _ticks(worked.log_softmax_agrees),
    }
    labels = (_("Softmax by hand and by PyTorch"), _("Its logarithm by hand and by PyTorch"))
    for column, values, label in zip(st.columns([5, 4], gap="medium"), (softmax, logarithm), labels, strict=True):
        with column:
            text_table(sheet.class_names, values, label=label)
    off = [
        (name, float(difference.max()))
        for name, difference, agrees in (
            ("exp / sum", worked.softmax_difference, worked.softmax_agrees),
            ("log(F.softmax)", worked.log_softmax_difference, worked.log_softmax_agrees),
        )
        if not bool(agrees.all())
    ]
    for name, difference in off:
        st.markdown(
            _("{name} is off by up to {difference}.").format(name=f"`{name}`", difference=size_words(difference))
        )


def sum_latex(worked: RowWorked, digits: int = 4) -> str:
    """The sum of the exponentials with its numbers."""
    exps = heatmap.as_array(worked.exp).tolist()
    terms = [latex(value, digits) for value in exps[:MAX_TERMS]]
    terms += [r"\cdots"] if len(exps) > MAX_TERMS else []
    return rf"\sum_k e^{{z_k}} = {' + '.join(terms)} = {latex(float(worked.exp_sum), digits)}"


def _numbers(values: Tensor) -> list[str]:
    return [number(value, decimals()) for value in heatmap.as_array(values).tolist()]


def _ticks(agrees: Tensor) -> list[Marked]:
    return [YES if one else NO for one in agrees.tolist()]
