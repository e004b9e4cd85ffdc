"""Which array in a file is the logits, the target and so on, and whether their shapes and dtypes go together."""

from __future__ import annotations

import math

from xent_core.dump.formats import ROLES, Array, InvalidDump, OpenFile, Shards
from xent_core.language import _


def pick_logits(file: OpenFile) -> Array:
    """The array with the name of logits, or else the only one that they can be. Raises: InvalidDump."""
    named = by_role(file, "logits")
    if named is not None:
        return named
    wide = [array for array in file.arrays.values() if len(array.shape) >= 2 and array.is_floating]
    if len(wide) == 1:
        return wide[0]
    if len(file.arrays) == 1:
        return next(iter(file.arrays.values()))
    raise InvalidDump(
        "which-logits",
        _("{name} holds {keys}").format(name=file.name, keys=_listed(file)),
        _("one array named {names}").format(names=", ".join(ROLES["logits"])),
        _('Save it under that name: np.savez("dump.npz", logits=logits, target=target).'),
    )


def pick(file: OpenFile, role: str) -> Array:
    """The array for this role out of a file that was given for it. Raises: InvalidDump."""
    named = by_role(file, role)
    if named is not None:
        return named
    if len(file.arrays) == 1:
        only = next(iter(file.arrays.values()))
        if role != "target" and len(only.shape) == 2 and only.shape[1] == 1:
            return only.as_rows(0)
        return only
    raise InvalidDump(
        f"which-{role.replace('_', '-')}",
        _("{name} holds {keys}").format(name=file.name, keys=_listed(file)),
        _("one array named {names}").format(names=", ".join(ROLES[role])),
        _("Save it under that name."),
    )


def beside(files: list[OpenFile], role: str) -> Array | None:
    """The array for this role out of the files of the logits, if every one of them has it."""
    found = [by_role(file, role) for file in files]
    known = [array for array in found if array is not None]  # one of zero rows is falsy
    return joined_arrays(known) if len(known) == len(found) else None


def by_role(file: OpenFile, role: str) -> Array | None:
    """The array under one of the role's names, capitals or not."""
    by_name = {key.lower(): array for key, array in file.arrays.items()}
    return next((by_name[alias] for alias in ROLES[role] if alias in by_name), None)


def joined_arrays(parts: list[Array]) -> Array:
    """Arrays one below the other."""
    return parts[0] if len(parts) == 1 else Shards(parts)


def _listed(file: OpenFile) -> str:
    keys = [key or _("one array") for key in file.arrays]
    return ", ".join(keys[:8]) + ("…" if len(keys) > 8 else "")


def check_target_shape(logits: Array, target: Array) -> None:
    """Raises: InvalidDump unless target has an integer for each row of logits."""
    lead = logits.shape[:-1]
    came = _("target has shape {target} for logits of shape {logits}").format(target=target.shape, logits=logits.shape)
    if target.shape == logits.shape and target.is_floating:
        raise InvalidDump(
            "soft-target",
            _("target has the shape of logits {shape} and dtype {dtype}: probabilities").format(
                shape=target.shape, dtype=target.dtype
            ),
            _("one class index for each row"),
            _("Take the most probable class: target.argmax(-1)."),
        )
    if len(logits.shape) == 3 and target.shape == (logits.shape[0], logits.shape[2]) != lead:
        raise InvalidDump(
            "class-axis", came, _("the classes on the last axis of logits"), _("Move the axis: logits.movedim(1, -1).")
        )
    is_flat = len(target.shape) == 1 and len(target) == math.prod(lead)
    if target.shape != lead and not is_flat:
        fix = _("Take both from the same run.")
        if target.shape == (*lead, 1):
            fix = _("Drop the axis of one: target.squeeze(-1).")
        raise InvalidDump("batch-mismatch", came, _("labels of shape {shape}").format(shape=lead), fix)
    if not target.is_integer:
        raise InvalidDump(
            "target-dtype",
            _("target has dtype {dtype}").format(dtype=target.dtype),
            _("integer class indices"),
            _("Convert them: target.astype(np.int64)."),
        )


def check_companion(role: str, part: Array, rows: Array, lead: tuple[int, ...]) -> None:
    """Raises: InvalidDump unless features, sample weights or names have an entry for each row."""
    if len(rows) != math.prod(lead) or len(rows.shape) != (2 if role == "features" else 1):
        raise InvalidDump(
            f"{role.replace('_', '-')}-shape",
            _("{role} has shape {shape}").format(role=role, shape=part.shape),
            _("one entry for each of the {rows} rows").format(rows=math.prod(lead)),
            _("Take all parts from the same run."),
        )
    if role != "ids" and not (part.is_floating or part.is_integer):
        raise InvalidDump(
            f"{role.replace('_', '-')}-dtype",
            _("{role} has dtype {dtype}").format(role=role, dtype=part.dtype),
            _("numbers"),
            _("Convert it: array.astype(np.float32)."),
        )
