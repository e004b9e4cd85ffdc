"""The page One example: a row to try out apart from the batch, and what follows from it after a pause."""

from __future__ import annotations

import math

import pandas as pd
import streamlit as st
import torch

from xent_core import Evaluation, evaluate
from xent_core.one_row import if_label_were, loss_along, simplex_field, simplex_grid
from xent_ui import glossary
from xent_ui.figures import heatmap, html, theme
from xent_ui.figures.drawn_matrix import MAX_NUMBERED
from xent_ui.figures.heatmap import Cell
from xent_ui.one_example import figures, label_experiments, live, row_draft
from xent_ui.one_example.row_draft import Draft
from xent_ui.one_example.state import (
    CURVE_CLASS,
    CURVE_CLASS_BOX,
    DRAFT,
    FRESH_CLASSES,
    FRESH_CLASSES_BOX,
    LIVE_ROW,
    SOURCE_CHOICE,
)
from xent_ui.state import session
from xent_ui.state.rest import REST, rest, run_again
from xent_ui.state.sheet import MAX_CLASSES, Sheet, number_text
from xent_ui.table.options import decimals
from xent_ui.text import _, markdown_escaped, number, short, short_names
from xent_ui.widgets import row_chooser
from xent_ui.widgets.matrices import CHART_CONFIG, one_matrix
from xent_ui.widgets.number_tables import text_table
from xent_ui.widgets.row_chooser import FRESH, FROM_BATCH, SOURCE

EXPERIMENTS = "experiments_part"  # the key of the fragment
CURVE_POINTS = 121
FIELD_POINTS = 9
SIDE_BY_SIDE = 3  # classes whose labels have room beside each other
COMPACT_ROWS = 16
SMALL_ROW_HEIGHT = 12  # of a matrix of many classes, in pixels
TABLE_HEIGHT = 480  # of a table of more rows, in pixels


def source_chooser(sheet: Sheet) -> None:
    """A row of the batch, or a fresh one of so many classes."""
    source, which = st.columns([1.3, 1], vertical_alignment="bottom")
    names = {FROM_BATCH: _("row of the batch"), FRESH: _("fresh row")}
    session.begin(SOURCE_CHOICE, session.kept(SOURCE))
    source.segmented_control(
        _("what to try out"),
        list(names),
        format_func=names.__getitem__,
        key=SOURCE_CHOICE.name,
        required=True,
        on_change=lambda: session.keep(SOURCE, session.kept(SOURCE_CHOICE)),
    )
    with which:
        if _is_fresh():
            session.begin(FRESH_CLASSES_BOX, session.kept(FRESH_CLASSES) or sheet.num_classes)
            st.number_input(
                _("classes"),
                1,
                MAX_CLASSES,
                key=FRESH_CLASSES_BOX.name,
                on_change=lambda: session.keep(FRESH_CLASSES, session.kept(FRESH_CLASSES_BOX)),
            )
        else:
            row_chooser.row_chooser(sheet)


def draft(sheet: Sheet) -> Draft:
    """The row that is being tried out; it begins anew when its row of the batch, or an option, has changed."""
    origin, kept = _origin(sheet), session.kept(DRAFT)
    if not isinstance(kept, Draft):
        kept = row_draft.begin(origin)
    elif kept.origin != origin:
        kept = row_draft.begin(origin, after=kept)
    message = session.kept(LIVE_ROW).get("edit")
    taken = row_draft.take(kept, message)
    session.keep(DRAFT, taken)
    return taken


def _is_fresh() -> bool:
    return session.kept(SOURCE) == FRESH


def _origin(sheet: Sheet) -> Sheet:
    if not _is_fresh():
        return sheet.only_row(row_chooser.chosen_row(sheet))
    count = session.kept(FRESH_CLASSES) or sheet.num_classes
    row = sheet.only_row(0).resized(1, count)
    zeros, first = (("0",) * count,), (("1",) + ("0",) * (count - 1),)
    row = row.with_logits(zeros).with_probabilities(first).with_labels((0,))
    return row.with_names(row.class_names, (_("fresh row"),))


def row_words(sheet: Sheet) -> str:
    """What the numbers are of: the row's own loss, and how it enters the batch's."""
    if _is_fresh():
        return _("The loss of this row alone: nothing is averaged.")
    evaluation = evaluate(sheet.to_problem())
    d = float(evaluation.denominator)
    words = _("The loss of this row alone: nothing is averaged.") + " "
    if sheet.reduction != "mean":
        return words + _("In the batch ({reduction}) it counts just so.").format(reduction=sheet.reduction)
    return words + _("In the mean of the batch its loss, and so its gradient, is divided by {d}.").format(d=short(d))


def live_part() -> None:
    """The live component; it runs again for every edit, and nothing else does."""

    def part() -> None:
        current = draft(session.visit().sheet)
        live.live_row(
            live.frame(current, decimals=decimals()),
            on_edit=lambda: None,
            on_rested=_take_rest,
        )

    st.fragment(part)()


def _take_rest() -> None:
    rested = session.kept(LIVE_ROW).get("rested")
    current = session.kept(DRAFT)
    if isinstance(rested, dict) and isinstance(current, Draft):
        label = rested.get("label")
        if type(label) is int and 0 <= label < current.sheet.num_classes:
            session.keep(CURVE_CLASS, label)
    run_again(REST, EXPERIMENTS)


def tools() -> None:
    """Write the row back, take it back, start again."""
    is_fixed = session.is_locked("logits") or session.is_locked("target")
    with st.container(horizontal=True, vertical_alignment="center", key="row_tools"):
        if _is_fresh():
            st.button(
                _("Open as a batch"),
                icon=":material/grid_on:",
                key="use_row",
                on_click=_open_as_batch,
                disabled=is_fixed,
                help=_("The whole batch becomes this one row. Undo brings the former back."),
            )
        else:
            st.button(
                _("Use this row in the batch"),
                icon=":material/grid_on:",
                key="use_row",
                on_click=_use_row,
                disabled=is_fixed,
                help=_(
                    "Logits and label replace those of the row; the options of the batch stay, ε too. "
                    "A soft label makes every target of the batch probabilities."
                ),
            )
        st.button(_("Start again"), icon=":material/restart_alt:", key="restart_row", on_click=_restart)
        if not session.is_hidden("tools"):
            st.button(
                _("Undo in the batch"),
                icon=":material/undo:",
                key="undo_row",
                on_click=session.undo,
                disabled=session.is_locked("tools"),
            )
    for message in session.visit().refused:
        st.warning(markdown_escaped(message), icon=":material/edit_off:")


def _use_row() -> None:
    sheet = session.visit().sheet
    current = draft(sheet)
    changed = sheet.with_row(row_chooser.chosen_row(sheet), current.sheet)
    session.put(changed)
    if changed.has_boxes != sheet.has_boxes:
        session.refuse(_("The label is soft, so the targets of the batch are probabilities now. Undo takes that back."))
    # the batch now holds what is on screen, so there is nothing to begin anew
    session.keep(DRAFT, row_draft.rebased(current, _origin(changed)))


def _open_as_batch() -> None:
    sheet = session.visit().sheet
    row = draft(sheet).sheet
    session.demonstrate(row.resized(1, row.num_classes), _("The row of One example"))
    session.keep(SOURCE, FROM_BATCH)
    session.keep(SOURCE_CHOICE, FROM_BATCH)
    session.keep(row_chooser.ROW, 0)


def _restart() -> None:
    current = draft(session.visit().sheet)
    session.keep(DRAFT, row_draft.begin(current.origin, after=current))


def rested_part() -> None:
    """All that follows from the row, drawn anew once the hand rests."""
    rest(_rested, component=LIVE_ROW)


def experiments_part() -> None:
    """What labels do to the row as it is now: a part of its own, so that its widgets draw nothing else anew."""

    def part() -> None:
        st.markdown(
            f"## {_('What labels do')}",
            help=glossary.explained("smoothing", "mixing", "weight", "temperature", "classes", "floor"),
        )
        with st.container(key="experiments"):
            label_experiments.section(draft(session.visit().sheet).sheet)

    st.fragment(part, key=EXPERIMENTS)()


def _rested() -> None:
    current = draft(session.visit().sheet)
    evaluation = evaluate(current.sheet.to_problem())
    count = current.sheet.num_classes
    has_simplex = count == 3
    columns = st.columns(3 if has_simplex else 2, gap="medium")
    with columns[0], st.container(key="loss_along"):
        _loss_along(current, evaluation)
    with columns[1], st.container(key="what_if"):
        _what_if(current, evaluation)
    if has_simplex:
        with columns[2], st.container(key="simplex"):
            _simplex(current, evaluation)
    if count <= SIDE_BY_SIDE:
        with st.container(key="each_label"):
            _each_label(current, evaluation)
    with st.container(key="live_table", height="content" if count <= COMPACT_ROWS else TABLE_HEIGHT):
        _table(current, evaluation)


def _heading(name: str, formula: str, *terms: str) -> None:
    """The heading of a part, with what its letters and these terms are in its tooltip."""
    st.markdown(f"**{name}** {formula}", help=glossary.explained_letters(formula, *terms))


def _loss_along(current: Draft, evaluation: Evaluation) -> None:
    names = current.sheet.class_names
    label = min(session.kept(CURVE_CLASS), len(names) - 1)
    session.keep(CURVE_CLASS_BOX, label)
    _heading(_("The gradient is the slope"), "∂ℓ/∂z", "row loss", "logit")
    st.selectbox(
        _("along the logit of"),
        range(len(names)),
        format_func=names.__getitem__,
        key=CURVE_CLASS_BOX.name,
        on_change=lambda: session.keep(CURVE_CLASS, session.kept(CURVE_CLASS_BOX)),
    )
    values = torch.linspace(-current.bound, current.bound, CURVE_POINTS, dtype=torch.float64)
    curve = loss_along(evaluation.problem, label, values)
    if not bool(curve.loss.isfinite().any()):
        st.info(_("The loss is finite nowhere along this logit: another logit is NaN or infinite."))
        return
    if current.bound > heatmap.LARGEST_DRAWN:
        st.info(_("These logits are too large for a picture; below are the numbers."))
    else:
        st.plotly_chart(
            figures.loss_curve(curve, names[label], decimals=decimals()),
            key="loss_curve",
            config=CHART_CONFIG,
            alt=_("Loss of the row along the logit of {name}, with its tangent").format(name=names[label]),
        )
    with st.expander(_("Numbers of the curve"), on_change="rerun", key="curve_numbers") as opened:
        if opened.open:
            rows = zip(curve.values.tolist(), curve.loss.tolist(), curve.slope.tolist(), strict=True)
            _text_table([[number(x, decimals()) for x in row] for row in rows], ["z", "ℓ", "∂ℓ/∂z"], alt=_("The curve"))


def _what_if(current: Draft, evaluation: Evaluation) -> None:
    problem, names = evaluation.problem, short_names(current.sheet.class_names)
    by_label = if_label_were(problem)
    losses = [number(value, decimals()) for value in by_label.loss.tolist()]
    _heading(_("If the label were …"), "∂ℓ/∂z", "pull")
    weight = 1.0 if problem.weight is None else float(problem.weight.double().abs().max())
    # the loss first: a long name is cut at its end
    shown = [f"{loss} · {name}" for name, loss in zip(names, losses, strict=True)]
    is_soft = problem.has_probabilities
    label = None if is_soft or not bool(problem.kept()[0]) else int(problem.target[0])
    one_matrix(
        "if_label_were",
        by_label.grad_logits,
        theme.GRADIENT,
        row_names=shown if len(names) <= COMPACT_ROWS else names,
        class_names=names,
        label=_("Gradient of the row's loss for each possible label; the numbers are in the table below it"),
        bound=weight / problem.temperature,
        outlines=[(Cell(k, k), 1.0 if k == label else 0.0) for k in range(len(names))],
        row_height=heatmap.ROW_HEIGHT if len(names) <= MAX_NUMBERED else SMALL_ROW_HEIGHT,
    )
    st.caption(_("Row: the loss it would cost, and the label. Column: the logit: down where the number is above 0."))
    with st.expander(_("Numbers of the matrix"), on_change="rerun", key="what_if_numbers") as opened:
        if opened.open:
            rows = [
                [name, loss, *(number(x, decimals(), sign=True) for x in grad)]
                for name, loss, grad in zip(names, losses, by_label.grad_logits.tolist(), strict=True)
            ]
            header = [_("label"), _("loss"), *(f"∂ℓ/∂z {name}" for name in names)]
            _text_table(rows, header, alt=_("Loss and gradient for each possible label"))


def _each_label(current: Draft, evaluation: Evaluation) -> None:
    names = short_names(current.sheet.class_names)
    by_label = if_label_were(evaluation.problem)
    _heading(_("The same row under each label"), "p − y")
    for k, column in enumerate(st.columns(len(names), gap="medium")):
        with column:
            st.metric(
                _("loss if the label were {name}").format(name=markdown_escaped(names[k])),
                number(float(by_label.loss[k]), decimals()),
            )
            st.html(
                html.signed_bars(
                    by_label.grad_logits[k].tolist(),
                    names,
                    selected=k,
                    decimals=decimals(),
                    label=_("Gradient of the row if the label were {name}").format(name=names[k]),
                )
            )


def _simplex(current: Draft, evaluation: Evaluation) -> None:
    names = short_names(current.sheet.class_names)
    _heading(_("The simplex"), "p₀ + p₁ + p₂ = 1", "simplex")
    problem, probs = evaluation.problem, evaluation.probs[0].double()
    target, mass = evaluation.effective_target[0].double(), float(evaluation.row_mass[0, 0])
    if not bool(probs.isfinite().all()) or not math.isfinite(mass) or mass <= 0 or bool((target < 0).any()):
        st.info(_("There is no point to draw: a probability is no number, or the row has no target."))
        return
    field = simplex_field(problem, simplex_grid(FIELD_POINTS))
    inside = bool((probs > 0).all())
    own = simplex_field(problem, probs.unsqueeze(0)).velocity[0] if inside else None
    st.plotly_chart(
        figures.simplex(field, probs, target / mass, names, velocity=own),
        key="simplex_figure",
        config=CHART_CONFIG,
        alt=_("The probabilities {probs} in the triangle of three classes; arrows show where descent leads").format(
            probs=", ".join(number(value) for value in probs.tolist())
        ),
    )
    st.caption(_("Diamond: the probabilities. Star: the target. Arrows: where a small step of descent leads."))


def _table(current: Draft, evaluation: Evaluation) -> None:
    """The numbers of the component once more, for who cannot use it."""
    sheet, digits = current.sheet, decimals()
    columns = {
        "z": [number(x, digits) for x in evaluation.problem.logits[0].tolist()],
        "p": [number(x, digits) for x in evaluation.probs[0].tolist()],
        "v": [number(x, digits) for x in evaluation.effective_target[0].tolist()],
        "∂ℓ/∂z": [number(x, digits, sign=True) for x in evaluation.grad_logits[0].tolist()],
    }
    loss = number(float(evaluation.row_loss[0]), digits)
    _heading(_("The row as a table"), f"ℓ = {loss}", *glossary.letters_in("z p v ∂ℓ/∂z"))
    text_table(sheet.class_names, columns, label=_("The numbers of the row"))
    typed = ", ".join(number_text(float(x)) for x in evaluation.problem.logits[0].double().tolist()[:8])
    if current.sheet != current.origin:
        st.caption(_("Tried out: [{typed}]. The batch keeps its own row until you use this one.").format(typed=typed))


def _text_table(rows: list[list[str]], header: list[str], *, alt: str) -> None:
    st.dataframe(
        pd.DataFrame(rows, columns=header),
        hide_index=True,
        column_config={name: st.column_config.TextColumn(alignment="right") for name in header},
        alt=alt,
    )
