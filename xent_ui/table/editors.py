"""The editors of logits and target, and the toolbar that changes the whole table: undo, paste, random, size."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pandas as pd
import streamlit as st

from xent_core.parse import MAX_TEXT_CHARACTERS, InvalidText, parse_matrix, parse_number
from xent_ui.figures.heatmap import ROW_HEIGHT
from xent_ui.state import session
from xent_ui.state.kept import Kept
from xent_ui.state.sheet import (
    CLASS_INDEX,
    MAX_CLASSES,
    MAX_ROWS,
    ONE_HOT,
    PROBABILITIES,
    ROW_NAME_COLUMN,
    Cells,
    InvalidSheet,
    Sheet,
)
from xent_ui.table import layout
from xent_ui.table.edit_watch import OnChange
from xent_ui.text import _, short_names

MAX_NAMES_CHARACTERS = 20_000  # the longest names of a full table, seven times over: who has too many is told so
IGNORED_COLUMN = "ignored"
CLASS_COLUMN = "class"
RANDOM_SCALE, RANDOM_SEED = Kept[float]("random_scale", 2.0), Kept[int]("random_seed", 0)
# the boxes of the tools; None while a box is empty, or is not drawn yet
PASTED = Kept[str | None]("paste", None)
ROWS, CLASSES = Kept[int | None]("rows", None), Kept[int | None]("classes", None)
REMOVED_ROW, REMOVED_CLASS = Kept[int | None]("remove_row", None), Kept[int | None]("remove_class", None)
CLASS_NAMES = Kept[str | None]("class_names", None)
# pixels of the columns of numbers, as they were drawn last
DRAWN_WIDTHS = {name: Kept[list[int]](f"{name}_widths", []) for name in ("logits", "target")}


def take_edits() -> None:
    """Apply to the sheet what was typed and ticked, and refuse bad cells by name; called before anything is drawn."""
    _take_number_edits("logits", lambda sheet: sheet.logits, Sheet.with_logits)
    kind = session.visit().sheet.target_kind
    if kind == ONE_HOT:
        _take_ticks()
    elif kind == CLASS_INDEX:
        _take_classes()
    else:
        _take_number_edits("target", lambda sheet: sheet.probabilities, Sheet.with_probabilities)


def logits_editor(on_change: OnChange) -> None:
    """The logits as text cells, each row with its name."""
    base = session.editor_base("logits")
    table = pd.DataFrame(list(base.logits), columns=list(base.class_names))
    table.insert(0, ROW_NAME_COLUMN, list(base.row_names))
    columns: dict[str, Any] = {
        ROW_NAME_COLUMN: st.column_config.TextColumn(_("row"), width=layout.NAME_WIDTH, required=True, pinned=True)
    }
    columns |= _number_columns(base, is_target=False)
    alt = _("Logits, one row per example and one column per class")
    _editor("logits", table, columns, on_change=on_change, alt=alt)


def target_editor(on_change: OnChange) -> None:
    """The target in its present form: check boxes, a class per row, or probabilities."""
    kind = session.visit().sheet.target_kind
    {ONE_HOT: _one_hot_editor, CLASS_INDEX: _class_index_editor, PROBABILITIES: _probability_editor}[kind](on_change)


def _one_hot_editor(on_change: OnChange) -> None:
    base = session.editor_base("target")
    names = [*base.class_names, IGNORED_COLUMN]
    ticks = [
        [c == label for c in range(base.num_classes)] + [label is None]  # the last box ignores the row
        for label in base.labels
    ]
    width = layout.side_by_side(base.num_classes, has_boxes=True).box if _shares_a_row(base) else layout.BOX_WIDTH
    columns = {
        name: st.column_config.CheckboxColumn(short, width=width)
        for name, short in zip(base.class_names, short_names(base.class_names), strict=True)
    }
    columns[IGNORED_COLUMN] = st.column_config.CheckboxColumn(
        _("ignore"),
        width=layout.IGNORE_WIDTH,
        help=_("Leaves the row out: its label becomes ignore_index."),
    )
    table = pd.DataFrame(ticks, columns=names)
    _editor("target", table, columns, on_change=on_change, alt=_("One-hot labels: a tick moves the label"))


def _class_index_editor(on_change: OnChange) -> None:
    base = session.editor_base("target")
    choices = [*base.class_names, IGNORED_COLUMN]
    table = pd.DataFrame({CLASS_COLUMN: [choices[-1 if label is None else label] for label in base.labels]})
    column = st.column_config.SelectboxColumn(_("class"), options=choices, required=True)
    _editor("target", table, {CLASS_COLUMN: column}, on_change=on_change, alt=_("The class of each row"))


def _probability_editor(on_change: OnChange) -> None:
    base = session.editor_base("target")
    table = pd.DataFrame(list(base.probabilities), columns=list(base.class_names))
    columns = _number_columns(base, is_target=True)
    _editor("target", table, columns, on_change=on_change, alt=_("Target probabilities, one row per example"))


def _number_columns(base: Sheet, *, is_target: bool) -> dict[str, Any]:
    widths = _number_widths(base, is_target=is_target)
    session.keep(DRAWN_WIDTHS["target" if is_target else "logits"], widths)
    # text, so that what is typed arrives as typed: a number column loses signs, points and exponents
    return {
        name: st.column_config.TextColumn(short, alignment="right", required=True, width=width)
        for name, short, width in zip(base.class_names, short_names(base.class_names), widths, strict=True)
    }


def _number_widths(base: Sheet, *, is_target: bool) -> list[int]:
    """Pixels of each column of numbers, wide enough for the longest of the present numbers."""
    width = layout.LOGIT_WIDTH
    if _shares_a_row(base):
        widths = layout.side_by_side(base.num_classes, has_boxes=base.has_boxes)
        width = widths.box if is_target else widths.logit
    current = session.visit().sheet
    cells = current.probabilities if is_target else current.logits
    return [max(width, *map(layout.number_width, texts)) for texts in zip(*cells, strict=True)]


def are_columns_too_narrow() -> bool:
    """Whether a number has been typed since the editors were drawn that its column cannot show."""
    shown = ["logits", "target"] if session.visit().sheet.target_kind == PROBABILITIES else ["logits"]
    for name in shown:
        drawn: list[int] = session.kept(DRAWN_WIDTHS[name])
        needed = _number_widths(session.editor_base(name), is_target=name == "target")
        if any(now > before for now, before in zip(needed, drawn, strict=False)):
            return True
    return False


def _shares_a_row(base: Sheet) -> bool:
    return base.num_classes <= layout.MAX_SIDE_BY_SIDE


def _editor(name: str, table: pd.DataFrame, columns: dict[str, Any], *, on_change: OnChange, alt: str) -> None:
    rows = len(table)
    st.data_editor(
        table,
        key=session.editor_key(name),
        column_config=columns,
        hide_index=True,
        num_rows="fixed",
        on_change=on_change,
        row_height=ROW_HEIGHT,
        height=ROW_HEIGHT * (rows + 1) + 2,
        alt=alt,
        disabled=session.is_locked(name),
    )


def _take_number_edits(editor: str, cells: Callable[[Sheet], Cells], change: Callable[[Sheet, Cells], Sheet]) -> None:
    base = session.editor_base(editor)
    names = [ROW_NAME_COLUMN] if editor == "logits" else []
    edits = session.cell_edits(editor, rows=base.num_rows, columns={*base.class_names, *names})
    if edits is None:
        return
    current = session.visit().sheet
    numbers = [list(row) for row in cells(base)]
    row_names = list(base.row_names if editor == "logits" else current.row_names)
    refusals = []
    for row, column, value in edits:
        text = str(value if value is not None else "").strip()
        if column == ROW_NAME_COLUMN:
            row_names[row] = text
        else:
            label = base.class_names.index(column)
            try:
                parse_number(text)
                numbers[row][label] = text
            except InvalidText as error:
                numbers[row][label] = kept = cells(current)[row][label]
                refusals.append(
                    _("{row}, {column}: {error} The cell keeps {kept}.").format(
                        row=base.row_names[row], column=column, error=error, kept=kept
                    )
                )
    changed = change(current, tuple(tuple(row) for row in numbers))
    try:
        changed = changed.with_names(current.class_names, tuple(row_names))
    except InvalidSheet as error:
        refusals.append(str(error))
    session.edit(changed)
    _refuse(editor, refusals)


def _take_ticks() -> None:
    current = session.visit().sheet
    columns = {*current.class_names, IGNORED_COLUMN}
    edits = session.cell_edits("target", rows=current.num_rows, columns=columns)
    if not edits:
        return
    labels = list(current.labels)
    for row, column, value in edits:
        if value is True:
            labels[row] = None if column == IGNORED_COLUMN else current.class_names.index(column)
    session.edit(current.with_labels(tuple(labels)))
    # the box that was ticked before is still ticked in the browser
    session.redraw("target")


def _take_classes() -> None:
    current = session.visit().sheet
    edits = session.cell_edits("target", rows=current.num_rows, columns={CLASS_COLUMN})
    if edits is None:
        return
    labels = list(session.editor_base("target").labels)
    refusals = []
    for row, _column, value in edits:
        if value == IGNORED_COLUMN:
            labels[row] = None
        elif value in current.class_names:
            labels[row] = current.class_names.index(value)
        else:
            labels[row] = current.labels[row]
            refusals.append(_("{row} needs a class. It keeps its label.").format(row=current.row_names[row]))
    session.edit(current.with_labels(tuple(labels)))
    _refuse("target", refusals)


def _refuse(editor: str, refusals: list[str]) -> None:
    if refusals:
        session.visit().refused.clear()
        shown = refusals[:5]
        if len(refusals) > len(shown):
            shown.append(_("… and {count} more.").format(count=len(refusals) - len(shown)))
        for message in shown:
            session.refuse(message)
        session.redraw(editor)


def toolbar() -> None:
    """The buttons above the table: undo, reset, paste, random logits, rows and classes."""
    if session.is_hidden("tools"):
        return
    # not disabled while there is nothing to undo: what is typed into a cell runs only the part that depends on it
    locked = session.is_locked("tools")
    with st.container(horizontal=True, horizontal_alignment="right", key="tools"):
        st.button(_("Undo"), icon=":material/undo:", on_click=_undo, disabled=locked)
        st.button(_("Reset"), icon=":material/restart_alt:", on_click=_reset, disabled=locked)
        with st.popover(_("Paste"), icon=":material/content_paste:", disabled=locked):
            _paste_box()
        with st.popover(_("Random"), icon=":material/casino:", disabled=locked):
            _random_box()
        with st.popover(_("Rows and classes"), icon=":material/table:", disabled=locked):
            _size_box()


def _undo() -> None:
    take_edits()  # what was typed last may not have been asked for yet
    session.undo()


def _reset() -> None:
    take_edits()
    session.reset()


def _paste_box() -> None:
    st.caption(_("From a spreadsheet, a CSV file, or a printout: [[1, 2], [3, 4]] or tensor([[1., 2.]])."))
    box = session.in_revision(PASTED)
    st.text_area(_("Logits"), key=box.name, height=160, max_chars=MAX_TEXT_CHARACTERS, placeholder="1, 2, 3\n1, 2, 3")
    st.button(_("Use these logits"), on_click=_take_paste, args=(box,))


def _take_paste(box: Kept[str | None]) -> None:
    take_edits()
    current = session.visit().sheet
    try:
        pasted = parse_matrix(session.kept(box) or "", max_rows=MAX_ROWS, max_columns=MAX_CLASSES)
        sized = current.resized(len(pasted.cells), len(pasted.cells[0]))
        names = pasted.column_names or sized.class_names, pasted.row_names or sized.row_names
        session.put(sized.with_logits(pasted.cells).with_names(*names))
    except (InvalidText, InvalidSheet) as error:
        session.visit().refused.clear()
        session.refuse(str(error))


def _random_box() -> None:
    st.number_input(
        _("Scale (standard deviation)"),
        0.0,
        1000.0,
        RANDOM_SCALE.default,
        key=RANDOM_SCALE.name,
        persist_state="session",
    )
    st.number_input(_("Seed"), 0, 2**31 - 1, RANDOM_SEED.default, key=RANDOM_SEED.name, persist_state="session")
    st.button(_("Fill with random logits"), on_click=_take_random)


def _take_random() -> None:
    take_edits()
    scale, seed = session.kept(RANDOM_SCALE), session.kept(RANDOM_SEED)
    session.put(session.visit().sheet.with_random_logits(float(scale), int(seed)))


def _size_box() -> None:
    current = session.visit().sheet
    rows, classes = session.in_revision(ROWS), session.in_revision(CLASSES)
    session.begin(rows, current.num_rows)
    session.begin(classes, current.num_classes)
    left, right = st.columns(2)
    left.number_input(_("Rows"), 1, MAX_ROWS, key=rows.name, on_change=_take_size, args=(rows, classes))
    right.number_input(_("Classes"), 1, MAX_CLASSES, key=classes.name, on_change=_take_size, args=(rows, classes))
    row, label = session.in_revision(REMOVED_ROW), session.in_revision(REMOVED_CLASS)
    left.selectbox(_("One row"), range(current.num_rows), format_func=current.row_names.__getitem__, key=row.name)
    right.selectbox(
        _("One class"), range(current.num_classes), format_func=current.class_names.__getitem__, key=label.name
    )
    left.button(_("Remove the row"), on_click=_remove_row, args=(row,), disabled=current.num_rows == 1)
    right.button(_("Remove the class"), on_click=_remove_class, args=(label,), disabled=current.num_classes == 1)
    names = session.in_revision(CLASS_NAMES)
    session.begin(names, "\n".join(current.class_names))
    st.text_area(
        _("Class names, one per line"),
        key=names.name,
        max_chars=MAX_NAMES_CHARACTERS,
        on_change=_take_class_names,
        args=(names,),
    )
    st.caption(_("Row names are typed into the first column of the logits."))


def _take_size(rows: Kept[int | None], classes: Kept[int | None]) -> None:
    take_edits()
    num_rows, num_classes = session.kept(rows), session.kept(classes)
    if num_rows is not None and num_classes is not None:
        _put_smaller(session.visit().sheet.resized(int(num_rows), int(num_classes)))


def _remove_row(box: Kept[int | None]) -> None:
    take_edits()
    current, row = session.visit().sheet, session.kept(box)
    if row is not None and row in range(current.num_rows):
        session.put(current.without_row(row))


def _remove_class(box: Kept[int | None]) -> None:
    take_edits()
    current, label = session.visit().sheet, session.kept(box)
    if label is not None and label in range(current.num_classes):
        _put_smaller(current.without_class(label))


def _put_smaller(sheet: Sheet) -> None:
    before = session.visit().sheet
    session.put(sheet)
    if sheet.target_kind != PROBABILITIES:
        lost = [
            name
            for name, old, new in zip(sheet.row_names, before.labels, sheet.labels, strict=False)
            if new is None and old is not None
        ]
        if lost:
            session.refuse(
                _("The label of {rows} is gone with its class: ignored from now on. Undo brings it back.").format(
                    rows=", ".join(lost[:5])
                )
            )


def _take_class_names(box: Kept[str | None]) -> None:
    take_edits()
    current = session.visit().sheet
    names = tuple(line.strip() for line in (session.kept(box) or "").splitlines() if line.strip())
    try:
        if len(names) != current.num_classes:
            raise InvalidSheet(
                _("{came} names came, expected {count}, one per class.").format(
                    came=len(names), count=current.num_classes
                )
            )
        session.put(current.with_names(names, current.row_names))
    except InvalidSheet as error:
        session.visit().refused.clear()
        session.refuse(str(error))
