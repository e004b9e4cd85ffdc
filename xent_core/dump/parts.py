"""Which array in a file is the logits, the target and so on, and whether their shapes and dtypes go together."""

from __future__ import annotations

import math
import re
from fnmatch import fnmatchcase
from functools import partial

from xent_core.column_names import PLAIN, WHICH_CLASS, is_key, label_candidates, plain_name
from xent_core.columns import SHOWN, ColumnChoices, Reading, choices_of, is_index
from xent_core.dump.formats import ROLES, Array, InvalidDump, OpenFile, Shards
from xent_core.language import _

MAX_ARRAY_PIXELS = 16_000_000  # of one picture


def reading_of(file: OpenFile, choices: ColumnChoices) -> Reading:
    """What was made of the columns of a table of logits, or which arrays of another file are what.

    Raises: InvalidDump where that is not clear.
    """
    if file.reading is not None:
        return file.reading
    logits = _logits_key(file, choices)
    keys = {"target": None if choices.has_target else _key(file, "target", choices.target)}
    keys["ids"] = _key(file, "ids", choices.ids) or (_names_of_rows(file, logits) if choices.match_rows else None)
    keys |= {role: _shown_key(file, role, getattr(choices, role), logits) for role in ("text", "image")}
    show = [choices.show] if isinstance(choices.show, str) else list(choices.show or ())
    shown = [key for choice in show for key in _matching(file, choice)]
    keys |= {role: _key(file, role, None) for role in ("features", "sample_weight", "class_names")}
    if keys["class_names"] is not None and not may_be_names(file.arrays[keys["class_names"]]):
        keys["class_names"] = None
    if keys["target"] is None and not choices.has_target:
        keys["target"] = _only_labels(file, logits)
    used = {logits, *keys.values(), *shown}
    target = keys["target"]
    return Reading(
        (logits,),
        () if target is None else (target,),
        ids=keys["ids"],
        text=keys["text"],
        image=keys["image"],
        shown=tuple(dict.fromkeys(shown)),
        sample_weight=keys["sample_weight"],
        features=keys["features"],
        unused=tuple(key for key in file.arrays if key not in used),
        may_be_target=label_candidates([key for key in _of_labels(file, logits) if key not in used]),
        count=file.arrays[logits].shape[-1],
        is_assumed=choices.classes is None and _is_named_otherwise(logits),
        which_class=_which_class(file, logits),
        keys=tuple(key for key in _name_rows(file, logits) if choices.has_target and key not in used),
    )


def may_be_names(array: Array) -> bool:
    """Whether this can be the names of the classes: one for each."""
    return len(array.shape) == 1


def _which_class(file: OpenFile, logits: str) -> str | None:
    """The array of whole numbers or texts, one for each score, that by its name says of which class it is."""
    shape = file.arrays[logits].shape
    for key, array in file.arrays.items():
        plain = plain_name(key.rpartition(".")[2])
        is_called_so = WHICH_CLASS.fullmatch(plain) or plain in PLAIN["class_names"] | PLAIN["target"] | {"preds"}
        if key != logits and is_called_so and array.shape == shape and (array.is_integer or array.dtype == "text"):
            return key
    return None


def _is_named_otherwise(key: str) -> bool:
    """Whether somebody called this array by a name, and not by one of logits."""
    return re.fullmatch(r"(arr_)?\d*", key) is None and key.rpartition(".")[2].lower() not in ROLES["logits"]


def part_of(file: OpenFile, reading: Reading, role: str) -> Array | None:
    """The array for this role out of a file of logits that was read so; None if it has none."""
    if file.reading is not None:
        return file.arrays.get(role)
    if role.startswith(SHOWN):
        return file.arrays.get(role.removeprefix(SHOWN))
    names = reading.classes if role == "logits" else reading.target if role == "target" else getattr(reading, role)
    name = names[0] if isinstance(names, tuple) and names else names
    return file.arrays.get(name) if isinstance(name, str) else None


def _matching(file: OpenFile, choice: str) -> list[str]:
    """The arrays that are shown: one by its name, or several by a shell pattern or between commas."""
    found = [key for key in file.arrays if key == choice] or [key for key in file.arrays if fnmatchcase(key, choice)]
    if not found and "," in choice:
        return [key for part in choice.split(",") if part.strip() for key in _matching(file, part.strip())]
    return found or [str(_key(file, "show", choice))]  # which says what there is


def _shown_key(file: OpenFile, role: str, choice: str | None, logits: str) -> str | None:
    """The texts or pictures: what was named, else what has their name and is one for each row of the logits."""
    if choice is not None:
        return _key(file, role, choice)
    rows = math.prod(file.arrays[logits].shape[:-1])
    fits = {
        key
        for key, array in file.arrays.items()
        if len(array) == rows and (array.dtype == "text" if role == "text" else is_of_pictures(array))
    }
    return next((key for key in file.arrays if key in fits and key.lower() in ROLES[role] and key != logits), None)


def _names_of_rows(file: OpenFile, logits: str) -> str | None:
    """The array of paths or keys with one for each row."""
    return next((key for key in _name_rows(file, logits) if is_key(key)), None)


def _name_rows(file: OpenFile, logits: str) -> list[str]:
    """The arrays of texts or keys with one for each row."""
    return [key for key in _of_labels(file, logits) if file.arrays[key].dtype == "text" or is_key(key)]


def is_of_pictures(array: Array) -> bool:
    """Whether this can be an array of pictures: (N, H, W), or (N, H, W, 1 or 3)."""
    shape = array.shape
    return (
        (array.is_floating or array.is_integer)
        and (len(shape) == 3 or (len(shape) == 4 and shape[3] in (1, 3)))
        and 0 < shape[1] * shape[2] <= MAX_ARRAY_PIXELS
    )


def checked_pictures(part: Array, rows: int, *, is_strangers: bool) -> Array:
    """An array of pictures as it is, or one of their paths as rows. Raises: InvalidDump."""
    if part.dtype == "text":
        if is_strangers:
            raise InvalidDump(
                "image-paths",
                _("{name} holds paths of pictures, or packed files of them").format(name=part.name),
                _("their pixels, since no file of this server is read for an upload"),
                _('Put them into the file as an array (N, H, W) or (N, H, W, 3): np.savez("dump.npz", images=…, …).'),
            )
        paths = part.as_rows(0)
        check_companion("image", part, paths, (rows,))
        return paths
    came = _("image has shape {shape} and dtype {dtype}").format(shape=part.shape, dtype=part.dtype)
    if not is_of_pictures(part):
        fix = _("Save them as uint8, one picture for each row of the logits.")
        if len(part.shape) == 4 and part.shape[1] in (1, 3):
            fix = _("Move the colours to the last axis: images.transpose(0, 2, 3, 1).")
        raise InvalidDump(
            "image-shape",
            came,
            _("paths, or pictures (N, H, W) or (N, H, W, 3) of at most {limit} million pixels").format(
                limit=MAX_ARRAY_PIXELS // 10**6
            ),
            fix,
        )
    if len(part) != rows:
        raise InvalidDump(
            "image-shape",
            came,
            _("one picture for each of the {rows} rows").format(rows=rows),
            _("Take all parts from the same run."),
        )
    return part


def _logits_key(file: OpenFile, choices: ColumnChoices) -> str:
    """The array that was chosen, the one with a name of logits, or else the only one that they can be."""
    choice = choices.classes
    which = partial(_which, file, "classes", has_target=choices.has_target or choices.target is not None)
    if choice is not None:
        found = [choice] if isinstance(choice, str) else list(choice)
        matching = [key for key in file.arrays for pattern in found if key == pattern or fnmatchcase(key, pattern)]
        if len(matching) == 1:
            return matching[0]
        raise which(matching)
    wide = [key for key, array in file.arrays.items() if len(array.shape) >= 2]
    named = [key for key in wide if key.lower() in ROLES["logits"]]
    ours = [key for key in named if key.lower() in ("logits", "logit")]
    if len(ours or named) == 1:
        return (ours or named)[0]
    if len(named) > 1:
        raise which(named)
    known = {name for role in ("features", "target") for name in ROLES[role]}
    fractions = [key for key in wide if file.arrays[key].is_floating and key.lower() not in known]
    if len(fractions) == 1:
        return fractions[0]
    if len(file.arrays) == 1:
        return next(iter(file.arrays))
    if not wide and (flat := [key for key in file.arrays if key.lower() in ROLES["logits"]]):
        raise InvalidDump(
            "logits-shape",
            _("{key} in {name} has shape {shape}, as predictions have").format(
                key=flat[0], name=file.name, shape=file.arrays[flat[0]].shape
            ),
            _("the scores of all classes in every row, (N, C)"),
            _("Save what the model gave before its argmax: logits, or probabilities as predict_proba gives them."),
        )
    raise which(fractions)


def _only_labels(file: OpenFile, logits: str) -> str | None:
    """The only array that has a whole number for each row of logits, as np.savez("dump.npz", logits, target) has it."""
    known = {name for role, names in ROLES.items() if role != "target" for name in names}
    rows = file.arrays[logits].shape[:-1]
    found = [
        key
        for key, array in file.arrays.items()
        if array.is_integer and array.shape == rows and key.lower() not in known
    ]
    return found[0] if len(found) == 1 and found[0] != logits else None


def _which(file: OpenFile, option: str, found: list[str], *, has_target: bool = True) -> InvalidDump:
    answers = [{option: key} for key in found[:3]]
    if option == "classes" and not has_target:
        answers = [{**answer, **_target_of(file, answer[option])} for answer in answers]
    said = _("Say which: {choices}.").format(choices=choices_of(answers))
    save = _('Save it under that name: np.savez("dump.npz", logits=logits, target=target).')
    role = "logits" if option == "classes" else "target"
    return InvalidDump(
        f"which-{role}",
        _("{name} holds {keys}").format(name=file.name, keys=_listed(file)),
        _("one array named {names}").format(names=", ".join(ROLES[role])),
        said if found else save,
        answers,
    )


def _target_of(file: OpenFile, logits: str) -> dict[str, str]:
    """The labels that belong to one of several arrays of logits, by what their names share: val_logits, val_labels.

    Nothing where they have a name of their own, by which they are found.
    """
    if any(key.lower() in ROLES["target"] for key in file.arrays):
        return {}
    words = set(re.split(r"[\W_]+", logits.lower()))
    found = {key: words & set(re.split(r"[\W_]+", key.lower())) for key in _of_labels(file, logits)}
    most = max(map(len, found.values()), default=0)
    best = [key for key, shared in found.items() if len(shared) == most]
    return {"target": best[0]} if len(best) == 1 else {}


def _of_labels(file: OpenFile, logits: str) -> list[str]:
    """The arrays that have a whole number, a truth value or a text for each row of logits."""
    rows = file.arrays[logits].shape[:-1]
    return [
        key
        for key, array in file.arrays.items()
        if key != logits and array.shape == rows and (array.is_integer or array.dtype in ("text", "bool"))
    ]


def _key(file: OpenFile, role: str, choice: str | None) -> str | None:
    """The name of the array for this role in a file of several."""
    if choice is not None:
        if choice in file.arrays:
            return choice
        raise InvalidDump(
            f"which-{role}",
            _("{name} holds {keys}").format(name=file.name, keys=_listed(file)),
            _("a file or an array named {name}").format(name=choice[:80]),
            _("Correct what --{role} says.").format(role=role),
        )
    by_name = {key.lower(): key for key in file.arrays}
    found = [by_name[alias] for alias in ROLES.get(role, ()) if alias in by_name]
    if role == "target" and len(found) > 1:
        raise _which(file, "target", found)
    return found[0] if found else None


def pick(file: OpenFile, role: str, choice: str | None = None) -> Array:
    """The array for this role out of a file that was given for it. Raises: InvalidDump."""
    if choice is not None and choice in file.arrays:
        return file.arrays[choice]
    named = by_role(file, role)
    if named is not None:
        return named
    keys = [key for key in file.arrays if len(file.arrays) == 1 or not is_index(key)]
    if len(keys) == 1:
        only = file.arrays[keys[0]]
        if role != "target" and len(only.shape) == 2 and only.shape[1] == 1:
            return only.as_rows(0)
        return only
    raise InvalidDump(
        f"which-{role.replace('_', '-')}",
        _("{name} holds {keys}").format(name=file.name, keys=_listed(file)),
        _("one array named {names}").format(names=", ".join(ROLES[role])) if role in ROLES else _("one array"),
        _("Save it under that name."),
    )


def by_role(file: OpenFile, role: str) -> Array | None:
    """The array under one of the role's names, capitals or not."""
    by_name = {key.lower(): array for key, array in file.arrays.items()}
    return next((by_name[alias] for alias in ROLES.get(role, ()) if alias in by_name), None)


def joined_arrays(parts: list[Array]) -> Array:
    """Arrays one below the other."""
    return parts[0] if len(parts) == 1 else Shards(parts)


def beside(files: list[OpenFile], reading: Reading, role: str) -> Array | None:
    """The array for this role out of the files of the logits, if every one of them has it."""
    found = [part_of(file, reading, role) for file in files]
    known = [array for array in found if array is not None]  # one of zero rows is falsy
    return joined_arrays(known) if len(known) == len(found) else None


def _listed(file: OpenFile) -> str:
    keys = [key or _("one array") for key in file.arrays]
    return ", ".join(keys[:8]) + ("…" if len(keys) > 8 else "")


def check_target_shape(logits: Array, target: Array) -> None:
    """Raises: InvalidDump unless target has an integer for each row of logits."""
    lead = logits.shape[:-1]
    came = _("target has shape {target} for logits of shape {logits}").format(target=target.shape, logits=logits.shape)
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
    if role in ("features", "sample_weight") and not (part.is_floating or part.is_integer):
        raise InvalidDump(
            f"{role.replace('_', '-')}-dtype",
            _("{role} has dtype {dtype}").format(role=role, dtype=part.dtype),
            _("numbers"),
            _("Convert it: array.astype(np.float32)."),
        )
