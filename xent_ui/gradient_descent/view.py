"""The page Gradient descent: optimizer and steps, the path as a picture that plays, what it shows, its numbers."""

from __future__ import annotations

import math
from functools import partial
from typing import cast

import pandas as pd
import streamlit as st
from torch import Tensor

from xent_core.cross_entropy import evaluate
from xent_core.descent import OPTIMIZERS, Descent, Limit, OptimizerName, limit_of, path_bytes
from xent_core.experiments import equilibrium_gap
from xent_core.problem import Problem
from xent_ui import glossary
from xent_ui.figures.heatmap import LARGEST_DRAWN
from xent_ui.gradient_descent.descent_run import DescentRun, DescentSettings
from xent_ui.gradient_descent.figures import player as player_figure
from xent_ui.gradient_descent.figures.path_values import FrameConstants, Labels, PathValues
from xent_ui.gradient_descent.state import LEARNING_RATE, NUM_STEPS, OPTIMIZER, RUN, STEP
from xent_ui.server.limits import limits
from xent_ui.server.memory import ROOM
from xent_ui.state import session
from xent_ui.state.sheet import Sheet, number_text, number_texts
from xent_ui.table.options import decimals
from xent_ui.text import _, number, short, short_names
from xent_ui.widgets import job_progress, matrices, number_tables
from xent_ui.widgets.matrices import CHART_CONFIG

MAX_STEPS = 10_000
MAX_WHOLE_NAMES = 3  # classes whose whole names have room beside the triangle, so that no row is called like one
LARGE_PATH = 2**20  # bytes, from which on it is asked whether there is room


def settings(sheet: Sheet) -> DescentSettings:
    """Optimizer, learning rate and number of steps."""
    most = max_steps(sheet)
    session.begin(OPTIMIZER)
    session.begin(LEARNING_RATE)
    session.begin(NUM_STEPS, min(NUM_STEPS.default, most))
    session.keep(NUM_STEPS, min(int(session.kept(NUM_STEPS)), most))
    which, rate, count = st.columns([2, 1, 1], vertical_alignment="bottom")
    optimizer = which.segmented_control(
        _("optimizer (torch.optim)"),
        list(OPTIMIZERS),
        required=True,
        key=OPTIMIZER.name,
        persist_state="session",
        help=_("momentum is SGD with momentum=0.9; everything else as torch.optim has it."),
    )
    learning_rate = rate.number_input(
        _("learning rate η"),
        min_value=0.0,
        max_value=1e9,
        step=0.5,
        format="%g",
        key=LEARNING_RATE.name,
        help=glossary.explained("learning rate"),
        persist_state="session",
    )
    steps = count.number_input(
        _("steps"),
        min_value=1,
        max_value=most,
        step=50,
        key=NUM_STEPS.name,
        persist_state="session",
        help=_("At most {most} for a batch of this size. Go on from where they end.").format(most=most),
    )
    return DescentSettings(cast(OptimizerName, str(optimizer)), float(learning_rate), int(steps))


def max_steps(sheet: Sheet) -> int:
    """How many steps a batch of this size may take at once."""
    return min(MAX_STEPS, limits().path_cells // (sheet.num_rows * sheet.num_classes))


def rule(asked: DescentSettings) -> None:
    """What one step does, in words and as a formula."""
    words, formula, terms = {
        "SGD": (
            _("Each step takes the gradient g off the logits z, times the learning rate η:"),
            r"z \leftarrow z - \eta\, g",
            (),
        ),
        "momentum": (
            _(
                "Each step adds the gradient g to a running sum b, in which the older ones fade, and takes that off "
                "the logits z, times the learning rate η:"
            ),
            r"b \leftarrow 0.9\, b + g, \quad z \leftarrow z - \eta\, b",
            ("momentum",),
        ),
        "Adam": (
            _(
                "Each step takes a running average m̂ of the gradient g off the logits z, divided by the root of the "
                "average ŝ of its squares, times the learning rate η:"
            ),
            r"z \leftarrow z - \eta\, \hat m / (\sqrt{\hat s} + 10^{-8})",
            ("Adam",),
        ),
    }[asked.optimizer]
    st.markdown(f"{words} ${formula}$", help=glossary.explained("logit", "gradient", "learning rate", *terms))


def path_of(problem: Problem, asked: DescentSettings) -> Descent | None:
    """The path that was asked for; while it is on its way None, with a bar and a button to stop it."""
    run = session.kept(RUN)
    if run is None or run.settings != asked or run.problem != problem or run.job.was_left:
        if run is not None:
            run.job.stop()
        run = _begin(problem, asked)
        session.keep(RUN, run)
        if run is None:
            return None
        session.keep(STEP, None)
    start_again = partial(session.keep, RUN, None)
    return job_progress.result(run.job, partial(_progress, run), key="descent", on_start=start_again)


def _begin(problem: Problem, asked: DescentSettings) -> DescentRun | None:
    """A new descent; None, and why on the page, if the queue is full or its path would not fit into memory."""
    size = path_bytes(problem, asked.steps)
    if size >= LARGE_PATH and not ROOM.take(size):
        words = _("This server has no memory left for a path of {size} MB. Take fewer steps, or try again in a minute.")
        st.warning(words.format(size=-(-size // 2**20)), icon=":material/memory:")
        return None
    return job_progress.submitted(lambda: DescentRun(problem, asked))


def _progress(run: DescentRun) -> tuple[float, str]:
    words = _("step {done} of {steps}").format(done=run.done, steps=run.settings.steps)
    return run.done / run.settings.steps, words


def summary(path: Descent) -> None:
    """The loss at the start and at the end, where it tends to, and the gradient that is left."""
    limit = limit_of(path.problem)
    start, reached = float(path.loss[0]), float(path.loss[-1])
    with st.container(horizontal=True, gap="medium"):
        with st.container(key="loss", width="content"):
            st.metric(
                _("loss at the start"),
                number(start, decimals()),
                width="content",
                help=glossary.explained("loss", "nats"),
            )
        name = _("after {steps} steps") if path.steps != 1 else _("after {steps} step")
        st.metric(name.format(steps=path.steps), number(reached, decimals()), width="content")
        if limit is not None:
            st.metric(
                _("its limit"),
                number(limit.loss, decimals()),
                width="content",
                help=_("The floor of the loss, reached only where p is the target.")
                + f"\n\n{glossary.explained('floor', 'probability', 'effective target', 'target sum')}",
            )
        st.metric(
            _("gradient norm"),
            number(float(path.grad_norm[-1]), decimals()),
            width="content",
            help=_("After the last step.") + f"\n\n{glossary.explained('gradient norm')}",
        )


def findings(path: Descent, asked: DescentSettings) -> None:
    """What happened on the way, in plain sentences."""
    if path.steps < asked.steps:
        st.info(
            _("Stopped after {done} of {steps} steps. The pictures show these.").format(
                done=path.steps, steps=asked.steps
            ),
            icon=":material/stop_circle:",
        )
    if (broken := path.first_not_finite) is not None:
        st.error(_broken_words(path, broken), icon=":material/error:")
    elif bool(path.rose_unexpectedly.any()):
        st.warning(too_large_words(path), icon=":material/warning:")
    st.info(limit_words(path, limit_of(path.problem)), icon=":material/flag:")


def _broken_words(path: Descent, point: int) -> str:
    if point == 0:
        words = _("The loss or its gradient is not finite from the start, so there is nothing to descend: loss {loss}.")
        return words.format(loss=number(float(path.loss[0])))
    dtype = str(path.logits.dtype).removeprefix("torch.")
    return _(
        "From step {step} on the loss is {loss}: the steps have carried the logits beyond what {dtype} holds. "
        "Try a smaller learning rate."
    ).format(step=point, loss=number(float(path.loss[point])), dtype=dtype)


def too_large_words(path: Descent) -> str:
    """That the loss rose where the gradient predicted a fall."""
    rose = path.rose_unexpectedly
    first = int(rose.int().argmax())
    return _(
        "The learning rate is too large: in {count} of {steps} steps the loss rose although the gradient predicted "
        "a fall. First in step {first}: predicted {predicted}, actual {actual}."
    ).format(
        count=int(rose.sum()),
        steps=path.steps,
        first=first,
        predicted=number(float(path.predicted_change[first]), decimals()),
        actual=number(float(path.actual_change[first]), decimals(), sign=True),
    )


def limit_words(path: Descent, limit: Limit | None) -> str:
    """Where the path tends to, and how far it is."""
    if limit is None:
        return _("No limit is drawn: from here the loss has none that is finite.")
    floor = short(limit.loss)
    if limit.settles:
        words = _("No target is 0, so the path comes to rest: where p is the target, with the loss {floor}.")
        words = words.format(floor=floor)
        problem = path.problem
        if not problem.has_probabilities and problem.weight is None and problem.num_classes > 1:
            gap = equilibrium_gap(problem.num_classes, problem.smoothing, problem.temperature)
            words += " " + _("There the label's logit lies {gap} above each other one.").format(gap=number(gap))
        distance = float((path.probs_at([path.steps])[0].double() - limit.probs).abs().max())
        return (
            words
            + " "
            + _("After {steps} steps no p is further from it than {distance}.").format(
                steps=path.steps, distance=number(distance)
            )
        )
    words = _("Where the target is 0 the logits run off: the loss falls towards {floor}, and never gets there.")
    if limit.loss == 0:
        words = _("Hard labels never come to rest: the loss falls towards {floor}, and the logits run off.")
    words = words.format(floor=floor)
    first, last = _largest_gap(path.logits[0]), _largest_gap(path.logits[-1])
    if not (math.isfinite(first) and math.isfinite(last)):  # no logit has a finite neighbour, or float64 ends before
        return words
    gaps = _("The largest gap between two logits of a row went from {first} to {last}.")
    return words + " " + gaps.format(first=number(first), last=number(last))


def _largest_gap(logits: Tensor) -> float:
    """The largest difference of two finite logits in a row; −inf if there are none."""
    finite = logits.double().where(logits.isfinite(), math.nan)
    gaps = finite.nan_to_num(-math.inf).amax(1) - finite.nan_to_num(math.inf).amin(1)
    return float(gaps.max())


def player(path: Descent, sheet: Sheet) -> None:
    """The whole path in one figure that the browser plays."""
    points = player_figure.frame_points(path.loss.tolist(), sheet.num_rows, sheet.num_classes)
    limit, start = limit_of(path.problem), evaluate(path.problem)
    finite = path.logits.double().where(path.logits.isfinite(), 0.0)
    values = PathValues(
        points,
        path.logits[points],
        path.probs_at(points),
        path.grad_logits[points],
        path.probs_at(player_figure.line_points(points, sheet.num_rows)),
        path.loss.tolist(),
        path.grad_norm.tolist(),
        path.actual_change.tolist(),
        path.predicted_change.tolist(),
    )
    constants = FrameConstants(
        sheet.row_names,
        sheet.class_names if sheet.num_classes <= MAX_WHOLE_NAMES else short_names(sheet.class_names),
        start.gradient_bound,
        min(float(finite.abs().max()), LARGEST_DRAWN),
        matrices.target_cells(start),
        None if limit is None else limit.loss,
        None if limit is None else limit.probs,
        decimals(),
    )
    st.plotly_chart(
        player_figure.player(values, constants, _labels()),
        key="descent_player",
        config=CHART_CONFIG,
        alt=_("Probabilities, gradient, loss and norm of the gradient at every step; their numbers are in the tables"),
    )
    if len(points) <= path.steps:
        st.caption(
            _(
                "Played: {shown} of {all} points, closest where the loss moves most. "
                "The curves and the tables have them all."
            ).format(shown=len(points), all=path.steps + 1)
        )


def _labels() -> Labels:
    return Labels(
        logits=_("logits"),
        probabilities=_("probabilities"),
        gradient=_("gradient"),
        simplex=_("simplex"),
        simplex_note=_(": ◯ where the path leads"),
        loss=_("loss"),
        loss_note=_(", dashed: its limit"),
        change=_("change of the loss"),
        change_note=_(", solid: actual, dotted: predicted by the gradient"),
        actual=_("actual"),
        predicted=_("predicted"),
        grad_norm=_("gradient norm"),
        limit=_("limit"),
        step=_("step"),
        play=_("Play"),
        pause=_("Pause"),
        start=_("Start"),
    )


def continue_from(path: Descent, sheet: Sheet) -> bool:
    """Choose a step and go on from its logits; True when they are on the table."""
    choice, button = st.columns([1, 3], vertical_alignment="bottom")
    with choice:
        step = _chosen_step(path)
    if button.button(
        _("Continue from here"),
        icon=":material/arrow_forward:",
        key="descent_continue",
        disabled=session.is_locked("logits"),
        help=_("Puts the logits of this step on the batch page. Undo brings the former ones back."),
    ):
        session.put(sheet.with_logits(number_texts(path.logits[step])))
        return True
    return False


def _chosen_step(path: Descent) -> int:
    kept = session.kept(STEP)
    session.keep(STEP, path.steps if kept is None else min(int(kept), path.steps))
    return int(st.number_input(_("step"), min_value=0, max_value=path.steps, key=STEP.name, persist_state="session"))


def tables(path: Descent, sheet: Sheet) -> None:
    """The whole path and the matrices of the chosen step as tables and CSV, made when they are opened."""
    opened = st.expander(_("The numbers, as tables and CSV"), key="descent_tables", on_change="rerun")
    if not opened.open:
        return
    kept = session.kept(STEP)
    step = path.steps if kept is None else kept
    with opened:
        names = [_("path"), *(_("{name}, step {step}").format(name=name, step=step) for name in _matrices(path, step))]
        whole, *others = st.tabs(names)
        with whole:
            _path_table(path)
        for tab, (name, values) in zip(others, _matrices(path, step).items(), strict=True):
            with tab:
                number_tables.matrix_table(values, sheet, title=name, file_name=f"{name}_{step}.csv")


def _matrices(path: Descent, step: int) -> dict[str, Tensor]:
    return {
        _("logits"): path.logits[step],
        _("probabilities"): path.probs_at([step])[0],
        _("gradient"): path.grad_logits[step],
    }


def _path_table(path: Descent) -> None:
    header = [_("loss"), _("gradient norm"), _("predicted change"), _("actual change")]
    changes = [
        [*(number_text(value) for value in change.tolist()), ""]
        for change in (path.predicted_change, path.actual_change)
    ]
    columns = [
        [number_text(value, values.dtype) for value in values.tolist()] for values in (path.loss, path.grad_norm)
    ]
    table = pd.DataFrame(dict(zip(header, [*columns, *changes], strict=True)))
    table.insert(0, _("step"), range(path.steps + 1))
    st.dataframe(
        table,
        hide_index=True,
        column_config={name: st.column_config.TextColumn(alignment="right") for name in header},
        alt=_("Loss, gradient norm and change of the loss at every step"),
    )
    steps = [str(step) for step in range(path.steps + 1)]
    st.download_button(
        _("path as CSV"),
        lambda: number_tables.csv_text(steps, header, table[header].to_numpy().tolist(), corner="step"),
        file_name="path.csv",
        mime="text/csv",
        on_click="ignore",
    )
