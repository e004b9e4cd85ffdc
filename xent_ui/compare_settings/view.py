"""The page that compares two settings: A is pinned, B is the table on screen; and a batch against its micro-batches."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import streamlit as st
import torch
from torch import Tensor

from xent_core import DTYPES, REDUCTIONS, Accumulation, Comparison, GradientPair, accumulate, sweep_option
from xent_core import compare_settings as compare_problems
from xent_core.cross_entropy import Evaluation
from xent_core.parse import InvalidText, parse_matrix
from xent_core.settings_comparison import CONTINUOUS_OPTIONS, SUM_OVER_GLOBAL_COUNT, TOKENS, total_loss
from xent_ui.compare_settings import figures as compare_figures
from xent_ui.figures import heatmap
from xent_ui.state import session
from xent_ui.state.sheet import CLASS_INDEX, PROBABILITIES, Sheet, number_text, sheet_of_preset
from xent_ui.table.options import decimals, take_target_kind
from xent_ui.text import N_, _, markdown_escaped, number, short
from xent_ui.widgets import formulas, matrices, number_tables
from xent_ui.widgets.pinned_settings import INDICES, Settings, keep_pinned, pin, pinned, settings_of, with_settings

VIEW, OPTION, PARTS = "compare_view", "compare_option", "compare_parts"
SETTINGS, MICRO_BATCHES = VIEWS = ("settings", "micro-batches")
FORMS = (INDICES, PROBABILITIES)
MAX_BESIDE = 5  # classes, for three matrices in a row
MAX_LISTED = 8  # weights, in words


def _swap() -> None:
    former = pinned()
    sheet = session.visit().sheet
    keep_pinned(settings_of(sheet))
    session.put(with_settings(sheet, former))


# Examples


def _two(a: Settings, b: Settings) -> None:
    session.keep(VIEW, SETTINGS)
    keep_pinned(a)
    session.put(with_settings(session.visit().sheet, b))


def _encodings() -> None:
    sheet = session.visit().sheet
    now = settings_of(sheet)
    weight = now.weight or tuple(str(c + 1) for c in range(sheet.num_classes))
    both = replace(now, weight=weight, reduction="mean", label_smoothing=0.0)
    _two(replace(both, form=INDICES), replace(both, form=PROBABILITIES))


def _smoothing() -> None:
    now = settings_of(session.visit().sheet)
    _two(replace(now, label_smoothing=0.0), replace(now, label_smoothing=0.1))


def _reductions() -> None:
    now = settings_of(session.visit().sheet)
    _two(replace(now, reduction="mean"), replace(now, reduction="sum"))


def _dtypes() -> None:
    now = settings_of(session.visit().sheet)
    _two(replace(now, dtype="float32"), replace(now, dtype="float16"))


def _micro_batches() -> None:
    session.keep(VIEW, MICRO_BATCHES)
    session.keep(PARTS, 2)
    session.put(sheet_of_preset(TOKENS))


EXAMPLES: dict[str, tuple[str, Callable[[], None]]] = {
    "encodings": (N_("Class indices against probabilities, weighted"), _encodings),
    "smoothing": (N_("Smoothing 0 against 0.1"), _smoothing),
    "reductions": (N_("Mean against sum"), _reductions),
    "dtypes": (N_("float32 against float16"), _dtypes),
    "micro-batches": (N_("Micro-batches with ignored tokens"), _micro_batches),
}


def examples() -> None:
    """A button for each example; all but the last keep the numbers that are on the table."""
    with st.container(horizontal=True, gap="small"):
        for name, (title, show) in EXAMPLES.items():
            st.button(_(title), key=f"example_{name}", on_click=show)


def view_chooser() -> str:
    """Two settings, or a batch and its micro-batches."""
    titles = {SETTINGS: _("Two settings"), MICRO_BATCHES: _("Micro-batches")}
    session.begin(VIEW, SETTINGS)
    view = st.segmented_control(
        _("Compare"), VIEWS, format_func=titles.__getitem__, required=True, key=VIEW, persist_state="session",
        label_visibility="collapsed",
    )  # fmt: skip
    return str(view)


# The options of both sides


def both_option_bars() -> None:
    """The options of A and B side by side; B's are those of the table."""
    left, right = st.columns(2, gap="medium")
    with left, st.container(key="options_a"):
        is_pinned = session.visit().pinned is not None
        st.markdown(f"**A** · {_('pinned') if is_pinned else _('defaults, until you pin other options')}")
        _option_bar("A", pinned())
    with right, st.container(key="options_b"):
        st.markdown(f"**B** · {_('what is on the table')}")
        _option_bar("B", settings_of(session.visit().sheet))
    with st.container(horizontal=True, gap="small"):
        st.button(_("Pin B as A"), icon=":material/keep:", on_click=pin)
        st.button(_("Swap A and B"), icon=":material/swap_horiz:", on_click=_swap)
    for message in session.visit().refused:
        st.warning(markdown_escaped(message), icon=":material/edit_off:")


def _option_bar(side: str, settings: Settings) -> None:
    reduction, form, smoothing, more = st.columns([1, 1.25, 1, 0.9], vertical_alignment="bottom")
    with reduction:
        _choice(side, settings, "reduction", "reduction", REDUCTIONS)
    with form:
        _choice(side, settings, "form", _("target"), FORMS)
    with smoothing:
        _number(side, settings, "label_smoothing", _("smoothing ε"), 0.0, 1.0, 0.05)
    with more, st.popover(_("More"), width="stretch"):
        _weights(side, settings)
        _number(side, settings, "temperature", _("temperature T"), 1e-6, 1e6, 0.1)
        _choice(side, settings, "dtype", "dtype", tuple(DTYPES))
        last = -1 if settings.form == PROBABILITIES else 2**53 - 1
        key = _begin(side, "ignore_index", min(settings.ignore_index, last))
        st.number_input(
            "ignore_index", min_value=1 - 2**53, max_value=last, key=key, on_change=_take, args=(side, "ignore_index")
        )
    if words := _rare_words(settings):
        st.caption(markdown_escaped(words))


def _begin(side: str, name: str, value: object) -> str:
    key = f"compare_{side}_{name}"
    session.keep(key, value)
    return key


def _choice(side: str, settings: Settings, name: str, label: str, choices: tuple[str, ...]) -> None:
    key = _begin(side, name, getattr(settings, name))
    st.selectbox(f"{label} {side}", choices, key=key, on_change=_take, args=(side, name))


def _number(side: str, settings: Settings, name: str, label: str, least: float, most: float, step: float) -> None:
    key = _begin(side, name, getattr(settings, name))
    st.number_input(f"{label} {side}", least, most, step=step, format="%g", key=key, on_change=_take, args=(side, name))


def _weights(side: str, settings: Settings) -> None:
    refused = session.kept(f"compare_{side}_refused")
    key = _begin(side, "weight", refused[0] if refused else ", ".join(settings.weight or ()))
    st.text_input(
        _("weight per class, such as 1, 2, 0.5; empty for none"), key=key, on_change=_take_weight, args=(side,)
    )
    if refused:
        st.error(markdown_escaped(refused[1]), icon=":material/edit_off:")


def _take(side: str, name: str) -> None:
    value = session.kept(f"compare_{side}_{name}")
    if value is not None:
        _change(side, name, value)


def _take_weight(side: str) -> None:
    text = str(session.kept(f"compare_{side}_weight")).strip()
    count = session.visit().sheet.num_classes
    session.keep(f"compare_{side}_refused", None)
    try:
        weight = parse_matrix(text, max_rows=1, max_columns=count).cells[0] if text else None
        if weight is not None and len(weight) != count:
            raise InvalidText(
                _("{came} weights came, expected {count}, one per class.").format(came=len(weight), count=count)
            )
    except InvalidText as error:
        session.keep(f"compare_{side}_refused", (text, str(error)))
        return
    _change(side, "weight", weight)


def _change(side: str, name: str, value: object) -> None:
    sheet = session.visit().sheet
    if side == "A":
        keep_pinned(replace(pinned(), **{name: value}))  # type: ignore[arg-type]  # a field by its name
    elif name == "form":
        take_target_kind(sheet, PROBABILITIES if value == PROBABILITIES else CLASS_INDEX)
    else:
        session.edit(replace(sheet, **{name: value}))  # type: ignore[arg-type]  # a field by its name
    session.redraw("options")


def _rare_words(settings: Settings) -> str:
    """The options behind the button that are not at their default."""
    plain = Settings()
    weight = settings.weight or ()
    listed = weight if len(weight) <= MAX_LISTED else (*weight[: MAX_LISTED - 1], "…")
    words = [] if not weight else [f"weight=[{', '.join(listed)}]"]
    words += [
        f"{name}={getattr(settings, name):g}" if name == "temperature" else f"{name}={getattr(settings, name)}"
        for name in ("temperature", "dtype", "ignore_index")
        if getattr(settings, name) != getattr(plain, name)
    ]
    return " · ".join(words)


# What differs


def comparison() -> Comparison:
    """A and B on the numbers that are on the table."""
    sheet = session.visit().sheet
    return compare_problems(with_settings(sheet, pinned()).to_problem(), sheet.to_problem())


def readouts_of(result: Comparison) -> None:
    """Both losses, what divides them, and the lengths of both gradients."""
    left, right = st.columns(2, gap="medium")
    before, after = result.gradients.norms
    with left:
        _metrics("A", result.a, before)
    with right:
        _metrics("B", result.b, after)


def _metrics(side: str, evaluation: Evaluation, norm: float) -> None:
    summed = evaluation.problem.reduction == "none"
    label = _("sum of the row losses, {side}") if summed else _("loss, {side}")
    with st.container(horizontal=True, gap="medium", key=f"loss_{side.lower()}"):
        st.metric(label.format(side=side), number(total_loss(evaluation), decimals()), width="content")
        st.metric(
            _("divides by"),
            formulas.denominator_words(evaluation),
            width="content",
            help=formulas.denominator_help(evaluation),
        )
        st.metric(_("‖gradient‖"), number(norm, decimals()), width="content", help=_("The root of the sum of squares"))


def words(result: Comparison, sheet: Sheet) -> list[str]:
    """What B changes, in sentences of Markdown."""
    if not result.differing:
        return [_("A and B are set alike. Change an option of either, or choose an example.")]
    lines = [_loss_words(*result.losses)]
    divisors = [formulas.denominator_words(one) for one in (result.a, result.b)]
    if divisors[0] != divisors[1]:
        lines.append(_("A divides by {a}, B by {b}.").format(a=divisors[0], b=divisors[1]))
    return lines + gradient_words(result.gradients, sheet)


def gradient_words(pair: GradientPair, sheet: Sheet, *, b: str = "B") -> list[str]:
    """How two gradients differ, and on which class and row the most; b: what the second is called."""
    broken = [
        _("{count} entries of {name}'s gradient are not finite.").format(count=count, name=name)
        for name, values in (("A", pair.a), (b, pair.b))
        if (count := int((~values.isfinite()).sum()))
    ]
    if broken:
        return broken
    coarser = max(pair.a.dtype, pair.b.dtype, key=lambda dtype: torch.finfo(dtype).eps)
    if pair.factor is not None:
        if abs(pair.factor - 1) <= 8 * torch.finfo(coarser).eps:
            dtype = next(name for name, one in DTYPES.items() if one == coarser)
            return [_("The gradients are the same, within the rounding of {dtype}.").format(dtype=dtype)]
        return [
            _(
                "Every entry of {b}'s gradient is {factor} times that of A: the same direction, another length. "
                "With SGD, a learning rate divided by {factor} would undo it."
            ).format(b=b, factor=short(pair.factor))
        ]
    length = _change_words(*pair.norms)
    lines = []
    if length:
        lines.append(
            _("{b}'s gradient is {change} and points {degrees}° away from A's.").format(
                b=b, change=length, degrees=short(pair.degrees, 1)
            )
        )
    lines += _most_changed(pair.class_pulls, sheet.class_names, b)
    return lines + _most_changed(pair.row_pulls, sheet.row_names, b)


def _loss_words(a: float, b: float) -> str:
    places = decimals()
    if number(a, places) == number(b, places):
        return _("The loss is the same: {a}.").format(a=number(a, places))
    return _("The loss is {b} instead of {a}.").format(a=number(a, places), b=number(b, places))


def _change_words(a: float, b: float) -> str:
    """By how much a length changes."""
    if not a or not b:
        return ""
    ratio = b / a
    if ratio >= 2:
        return _("{ratio} times as long").format(ratio=short(ratio, 2))
    percent = short(abs(ratio - 1) * 100, 1)
    return (_("{percent} % shorter") if ratio < 1 else _("{percent} % longer")).format(percent=percent)


def _most_changed(pulls: tuple[Tensor, Tensor], names: tuple[str, ...], b: str) -> list[str]:
    """The names on which the pull falls and rises the most, each with its change."""
    before, after = pulls
    lines = []
    change = after - before
    least, most = int(change.argmin()), int(change.argmax())
    for place, rises in ((least, False), (most, True)):
        old, new = float(before[place]), float(after[place])
        if (new > old) != rises or new == old or abs(new - old) <= 1e-6 * max(old, new):
            continue
        name = markdown_escaped(names[place])
        if not old:
            lines.append(_("{b} pulls on **{name}**, A does not.").format(b=b, name=name))
        elif not new:
            lines.append(_("{b} no longer pulls on **{name}**.").format(b=b, name=name))
        elif new / old >= 2:
            lines.append(
                _("{b} pulls **{ratio} times as hard on {name}**.").format(b=b, ratio=short(new / old, 2), name=name)
            )
        else:
            words = (
                _("{b} pulls **{percent} % more on {name}**.")
                if rises
                else _("{b} pulls **{percent} % less on {name}**.")
            )
            lines.append(words.format(b=b, percent=short(abs(new / old - 1) * 100, 1), name=name))
    return lines


def show_words(lines: list[str]) -> None:
    """Sentences, one below the other."""
    st.info("  \n".join(lines), icon=":material/compare_arrows:")


def heatmaps(
    pair: GradientPair, sheet: Sheet, titles: tuple[str, str, str], bound: float, evaluation: Evaluation
) -> None:
    """Both gradients on one scale, and their difference on its own.

    Args:
      titles: of a, b and b − a.
      bound: the end of the scale of both gradients.
      evaluation: whose labels are outlined.
    """
    outlines = matrices.target_cells(evaluation)
    largest = float(pair.difference.nan_to_num(0.0, 0.0, 0.0).abs().max())
    columns = st.columns(3, gap="small") if sheet.num_classes <= MAX_BESIDE else st.columns(1) * 3
    ends = (bound, bound, largest)
    for column, name, title, values, end in zip(
        columns, ("a", "b", "difference"), titles, (pair.a, pair.b, pair.difference), ends, strict=True
    ):
        with column, st.container(key=f"gradient_{name}"):
            st.markdown(f"**{title}**")
            matrices.gradient_heatmap(
                values, sheet, f"compare_{name}_matrix", bound=end, outlines=outlines,
                alt=_("{name}; the numbers are in the tables below").format(name=title),
            )  # fmt: skip


def gradient_bound(*evaluations: Evaluation) -> float:
    """The end of a scale that holds these gradients whatever the logits are."""
    return max((one.gradient_bound for one in evaluations if math.isfinite(one.gradient_bound)), default=1.0)


def by_row_and_class(pair: GradientPair, sheet: Sheet, losses: tuple[Tensor, Tensor] | None = None) -> None:
    """The pull on every row and on every class, for a, b and the difference."""
    rows, classes = st.columns([3, 2] if losses is not None else [1, 1], gap="medium")
    with rows, st.container(key="by_row"):
        st.markdown(f"**{_('By row')}** {_('pull: Σ |g| over the classes')}")
        columns = {}
        if losses is not None:
            columns = {_("loss A"): losses[0].double(), _("loss B"): losses[1].double()}
        _pull_table(sheet.row_names, pair.row_pulls, columns, "row")
    with classes, st.container(key="by_class"):
        st.markdown(f"**{_('By class')}** {_('pull: Σ |g| over the rows')}")
        _pull_table(sheet.class_names, pair.class_pulls, {}, "class")


def _pull_table(names: tuple[str, ...], pulls: tuple[Tensor, Tensor], first: dict[str, Tensor], kind: str) -> None:
    a, b = pulls
    columns = {**first, _("pull A"): a, _("pull B"): b}
    texts = {title: [number(value, decimals()) for value in values.tolist()] for title, values in columns.items()}
    texts["B − A"] = [number(value, decimals(), sign=True) for value in (b - a).tolist()]
    texts[_("change")] = [_percent(old, new) for old, new in zip(a.tolist(), b.tolist(), strict=True)]
    st.dataframe(
        pd.DataFrame({_("row") if kind == "row" else _("class"): list(names), **texts}),
        hide_index=True,
        row_height=heatmap.ROW_HEIGHT,
        height=heatmap.ROW_HEIGHT * (min(len(names), 12) + 1) + 2,
        column_config={title: st.column_config.TextColumn(alignment="right") for title in texts},
        key=f"pull_by_{kind}",
        alt=_("Pull on each row") if kind == "row" else _("Pull on each class"),
    )


def _percent(old: float, new: float) -> str:
    if old == new:
        return "="
    return f"{number((new / old - 1) * 100, 1, sign=True)} %" if old else "–"


def numbers(pair: GradientPair, sheet: Sheet) -> None:
    """Both gradients and their difference as tables and CSV."""
    opened = st.expander(_("Exact numbers, as tables and CSV"), key="compare_tables", on_change="rerun")
    if opened.open:
        with opened:
            number_tables.number_tabs(
                {
                    "gradient_a": (_("gradient A"), pair.a),
                    "gradient_b": (_("gradient B"), pair.b),
                    "difference": ("B − A", pair.difference),
                },
                sheet,
            )


# From A to B


def sweep(result: Comparison) -> None:
    """Loss and gradient norm while the option that differs goes from A to B."""
    if not result.differing:
        return
    st.markdown(f"#### {_('From A to B')}")
    option = result.differing[0]
    if len(result.differing) > 1:
        if session.kept(OPTION) not in result.differing:
            session.keep(OPTION, option)
        session.begin(OPTION, option)
        option = str(
            st.segmented_control(
                _("The option that moves; the others stay as in A"), result.differing, required=True, key=OPTION,
                persist_state="session", wrap=True,
            )
        )  # fmt: skip
    swept = sweep_option(result.a.problem, result.b.problem, option)
    title = _("share of B's weight") if option == "weight" else option
    values = [value if option in CONTINUOUS_OPTIONS else str(value) for value in swept.values]
    charts = {"loss": (_("loss"), swept.losses), "norm": (_("‖gradient‖"), swept.grad_norms)}
    for column, (name, (label, heights)) in zip(st.columns(2, gap="medium"), charts.items(), strict=True):
        with column:
            st.markdown(f"**{label}**")
            st.plotly_chart(
                compare_figures.option_curve(values, heights, x_title=title),
                key=f"sweep_{name}",
                config=matrices.CHART_CONFIG,
                alt=_("{label}, by {option}, from {first} at A to {last} at B").format(
                    label=label, option=title, first=number(heights[0]), last=number(heights[-1])
                ),
            )
    opened = st.expander(_("The numbers, as a table"), key="sweep_table", on_change="rerun")
    if opened.open:
        table = {title: [value if isinstance(value, str) else short(value) for value in values]}
        table |= {label: [number_text(value) for value in heights] for label, heights in charts.values()}
        opened.dataframe(pd.DataFrame(table), hide_index=True, alt=_("The numbers of both curves"))


# Micro-batches


def parts_slider(sheet: Sheet) -> int:
    """Into how many micro-batches the rows are split."""
    if sheet.num_rows == 1:
        st.info(_("One row cannot be split. Take a batch of more rows, or the example."), icon=":material/info:")
        return 1
    if not 1 <= int(session.kept(PARTS, 2)) <= sheet.num_rows:
        session.keep(PARTS, 2)
    session.begin(PARTS, 2)
    return int(st.slider(_("micro-batches"), 1, sheet.num_rows, key=PARTS, persist_state="session"))


def accumulation(sheet: Sheet, num_parts: int) -> Accumulation:
    """The table in so many micro-batches."""
    return accumulate(sheet.to_problem(), num_parts)


def accumulation_readouts(result: Accumulation) -> None:
    """The loss of the whole batch, by the mean of means, and by sums over one count."""
    whole = float(result.whole.loss)
    routes = [
        (_("A: mean over the whole batch"), whole, ""),
        (_("B: mean of the means"), float(result.mean_of_means), "B"),
        (_("sums / global count"), float(result.summed), "sum"),
    ]
    tolerance = 8 * torch.finfo(result.whole.loss.dtype).eps * max(1.0, abs(whole))
    for column, (label, loss, kind) in zip(st.columns(3), routes, strict=True):
        agrees = abs(loss - whole) <= tolerance or number(loss) == number(whole) == "NaN"
        verdict = "" if not kind else _("✓ the same") if agrees else _("✗ another loss")
        with column:
            st.metric(label, number(loss, decimals()), delta=verdict or None, delta_color="off", delta_arrow="off")


def parts_table(result: Accumulation, sheet: Sheet) -> None:
    """What each micro-batch holds, divides by, and has as its mean."""
    lines = []
    first = 0
    for place, part in enumerate(result.parts):
        count = part.problem.num_rows
        names = sheet.row_names[first : first + count]
        first += count
        lines.append(
            {
                _("micro-batch"): str(place),
                _("rows"): names[0] if count == 1 else f"{names[0]} … {names[-1]}",
                _("kept"): _("{kept} of {all}").format(kept=int(part.problem.kept().sum()), all=count),
                _("divides by"): short(float(part.denominator)),
                _("sum"): number(float(part.row_loss.double().sum()), decimals()),
                _("mean"): number(float(part.loss), decimals()),
            }
        )
    st.dataframe(
        pd.DataFrame(lines),
        hide_index=True,
        row_height=heatmap.ROW_HEIGHT,
        height=heatmap.ROW_HEIGHT * (min(len(lines), 12) + 1) + 2,
        key="parts",
        alt=_("The micro-batches: rows, divisor, sum and mean"),
    )


def accumulation_words(result: Accumulation, sheet: Sheet) -> list[str]:
    """Why the mean of means is another loss, or is the same."""
    divisors = [float(part.denominator) for part in result.parts]
    if not all(divisors):
        first = _("A micro-batch has no kept row: its mean is 0/0, so the mean of means is NaN.")
    elif len(set(divisors)) == 1:
        first = _("All micro-batches divide by {d}, so the mean of means is the mean.").format(d=short(divisors[0]))
    else:
        first = _(
            "The micro-batches divide by {divisors}, and the mean of their means counts them alike: "
            "rows in the one with the smallest divisor pull the hardest."
        ).format(divisors=", ".join(map(short, divisors)))
    return [first, *gradient_words(result.gradients, sheet)]


def right_way() -> None:
    """The loop that gives the gradient of the whole batch."""
    st.markdown(f"**{_('The right way')}** {_('sum each micro-batch, divide by the count of the whole batch')}")
    st.code(SUM_OVER_GLOBAL_COUNT)
    st.caption(_("With class weights, the count is the sum of weight[target] over the kept rows."))
