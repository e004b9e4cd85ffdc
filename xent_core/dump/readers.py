"""Dump: the logits, the labels and what belongs to them, opened and checked, read in windows of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from xent_core.array_types import DumpLike, StrPath
from xent_core.column_questions import WRITE_ALL_SCORES, doubt
from xent_core.column_rule import ROWS_THAT_TELL
from xent_core.columns import LABELS_ARE, LOGITS_ARE, MARK, SHOWN, LabelsAre, LogitsAre
from xent_core.dump.formats import Array, DumpLimits, InvalidDump, OpenFile, SandboxedFiles, Shards, open_file
from xent_core.dump.formats.checks import asked
from xent_core.dump.sources import DumpSource, Gathered, folder_of_pictures, gather, ignore_index_of
from xent_core.errors import InvalidProblem
from xent_core.language import _
from xent_core.logits_question import ROWS_LOOKED_AT, log_of_probabilities, question_about, taken_as_logarithm
from xent_core.loss_options import LossOptions
from xent_core.own_format import DOCUMENT_OPTIONS
from xent_core.validation import violations
from xent_core.values import Value

LABELS_AT_A_TIME = 2**19
BATCH_ELEMENTS = 2**20  # 4 MB of float32: what is computed in a batch stays in the processor's cache
ACCELERATOR_ELEMENTS = 2**24  # 64 MB of float32: what is computed in a batch outlasts the calls that start it
WINDOWS_LOOKED_AT = 16  # of so many rows, for those whose labels are not ignored


@dataclass(frozen=True, eq=False)
class Batch(Value):
    """Some rows of a dump, in its order.

    Attributes:
      rows: the numbers of the rows in the dump, int64, shape (n,).
      logits: floating, shape (n, C).
      target: class indices, int64, shape (n,); some may be ignore_index. Of probabilities the largest, the first of
        equals.
      features: what the last layer saw, shape (n, H), or None.
      sample_weight: one factor for each row, float64, shape (n,), or None.
      ids, text, image: the names of the examples, their texts, and the paths of their pictures, or None.
      target_probs: the labels where they are probabilities, floating, shape (n, C), or None.
    """

    rows: Tensor
    logits: Tensor
    target: Tensor
    features: Tensor | None = None
    sample_weight: Tensor | None = None
    ids: tuple[str, ...] | None = None
    text: tuple[str, ...] | None = None
    image: tuple[str, ...] | None = None
    target_probs: Tensor | None = None

    def with_tensors(self, of: Callable[[Tensor], Tensor]) -> Batch:
        """The same with every tensor made another by `of`; what is written of the examples stays."""

        def maybe(part: Tensor | None) -> Tensor | None:
            return None if part is None else of(part)

        return replace(
            self,
            rows=of(self.rows),
            logits=of(self.logits),
            target=of(self.target),
            features=maybe(self.features),
            sample_weight=maybe(self.sample_weight),
            target_probs=maybe(self.target_probs),
        )

    def at(self, places: Tensor | slice) -> Batch:
        """Some of the rows; of a slice the tensors are views."""

        def some(part: tuple[str, ...] | None) -> tuple[str, ...] | None:
            if part is None:
                return None
            chosen = range(len(part))[places] if isinstance(places, slice) else places.tolist()
            return tuple(part[place] for place in chosen)

        tensors = self.with_tensors(lambda part: part[places])
        return replace(tensors, ids=some(self.ids), text=some(self.text), image=some(self.image))

    def relabelled(self, target: Tensor) -> Batch:
        """The same rows with these labels; a label that is another one is sure, also where it was a probability."""
        probs = self.target_probs
        if probs is not None:
            changed = (target != self.target).nonzero().squeeze(1)
            probs = probs.clone()
            probs[changed] = 0
            of_classes = changed[(target[changed] >= 0) & (target[changed] < probs.shape[1])]
            probs[of_classes, target[of_classes]] = 1
        return replace(self, target=target, target_probs=probs)


class Dump:
    """An open dump; made by `open_dump`, and a context manager.

    Attributes:
      source: what was asked for.
      rows: N, or B·T.
      classes: C, or V.
      dtype: of the logits, PyTorch's name.
      class_names: one for each class, or None.
      has_features, has_ids: whether each row has them.
      reading: which columns or arrays are what.
      name: of the first file.
      shown: other columns that are shown beside an example, by name.
      folder: below which the paths of pictures lie; None for a dump that is not in a file of this computer.
      shard_starts: the first row of every shard of logits, and N.
      options: of the loss, as keywords, where the files of the logits say any; unchecked but for ignore_index.
      ignore_index: what was asked for, or else what the files say.
    """

    def __init__(
        self, source: DumpSource, files: Sequence[OpenFile], found: Gathered, folder: str | None = None
    ) -> None:
        parts, class_names, reading, self.options = found
        self.ignore_index = ignore_index_of(source, self.options)
        self.reading, self.name, self.folder = reading, files[0].name, folder
        self.shown = {name: parts.pop(f"{SHOWN}{name}") for name in reading.shown}
        self.source, self._files, self._parts = source, files, parts
        logits = parts["logits"]
        self.rows, self.classes, self.dtype = len(logits), logits.shape[1], logits.dtype
        self.class_names = class_names
        self.has_features, self.has_ids = "features" in parts, "ids" in parts
        self.shard_starts = logits.starts if isinstance(logits, Shards) else [0, self.rows]

    def part(self, role: str) -> Array | None:
        """What there is of "ids", "text", "image", … in each row; None if there is none."""
        return self._parts.get(role)

    def default_batch_rows(self, device: str = "cpu") -> int:
        """How many rows make a batch that suits where it is computed."""
        elements = BATCH_ELEMENTS if device == "cpu" else ACCELERATOR_ELEMENTS
        return max(elements // self.classes, 1)

    def read(self, start: int, stop: int, *, is_written: bool = True) -> Batch:
        """Rows start … stop − 1; without their names, texts and paths where what is written of them is not needed."""
        logits = self._parts["logits"].tensor(start, stop)
        if not logits.is_floating_point():
            logits = logits.to(torch.float32)
        if self.source.logits_are == "probabilities":
            logits = log_of_probabilities(logits)
        features = self._parts.get("features")
        weights = self._parts.get("sample_weight")
        probs = self._parts.get("target_probs")

        def texts(role: str) -> tuple[str, ...] | None:
            part = self._parts.get(role) if is_written else None
            if part is None or len(part.shape) > 1:
                return None
            return tuple(str(value) for value in part.values(start, stop))

        return Batch(
            torch.arange(start, stop),
            logits,
            self._parts["target"].tensor(start, stop).long(),
            None if features is None else features.tensor(start, stop),
            None if weights is None else weights.tensor(start, stop).double(),
            texts("ids"),
            texts("text"),
            texts("image"),
            None if probs is None else probs.tensor(start, stop),
        )

    def read_rows(self, rows: Sequence[int]) -> Batch:
        """Single rows in the order asked for; each costs a look into the file."""
        self.check_rows(rows)
        pieces = {row: self.read(row, row + 1) for row in sorted(set(rows))}  # forwards, for what is packed
        return joined([pieces[row] for row in rows]) if rows else self.read(0, 0)

    def check_rows(self, rows: Sequence[int]) -> None:
        """Raises: InvalidDump for one that is not there."""
        for row in rows:
            if not 0 <= row < self.rows:
                raise InvalidDump(
                    "row",
                    _("row {row} was asked for").format(row=row),
                    _("a row in 0…{last}").format(last=self.rows - 1),
                    _("Choose one of the rows of the dump."),
                )

    def batches(
        self, batch_rows: int | None = None, start: int = 0, stop: int | None = None, *, is_written: bool = True
    ) -> Iterator[Batch]:
        """All rows from start to stop − 1, so many at a time, as `read` gives them."""
        step = batch_rows or self.default_batch_rows()
        stop = self.rows if stop is None else stop
        for first in range(start, stop, step):
            yield self.read(first, min(first + step, stop), is_written=is_written)

    def rest(self) -> None:
        """Lets go of what only reading needs, such as a process; the next reading takes it up again."""
        for file in self._files:
            file.rest()

    def close(self) -> None:
        """Closes the files."""
        for file in self._files:
            file.close()

    def __enter__(self) -> Dump:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches one below the other."""

    def stacked(name: str) -> Any:
        parts = [getattr(batch, name) for batch in batches]
        return None if parts[0] is None else torch.cat(parts)

    def texts(name: str) -> tuple[str, ...] | None:
        parts = [getattr(batch, name) for batch in batches]
        return None if parts[0] is None else tuple(text for part in parts for text in part)

    return Batch(
        stacked("rows"),
        stacked("logits"),
        stacked("target"),
        stacked("features"),
        stacked("sample_weight"),
        texts("ids"),
        texts("text"),
        texts("image"),
        stacked("target_probs"),
    )


def open_dump(
    logits: DumpLike,
    target: DumpLike | None = None,
    *,
    features: DumpLike | None = None,
    sample_weight: DumpLike | None = None,
    ids: DumpLike | Sequence[str] | None = None,
    class_names: StrPath | Sequence[str] | None = None,
    ignore_index: int | None = None,
    logits_are: LogitsAre | None = None,
    classes: StrPath | Sequence[str] | None = None,
    target_column: StrPath | None = None,
    text: DumpLike | Sequence[str] | None = None,
    image: DumpLike | Sequence[str] | None = None,
    show: str | Sequence[str] | None = None,
    no_header: bool = False,
    labels_are: LabelsAre | None = None,
    match_rows: bool = False,
    limits: DumpLimits | None = None,
    sandboxed: bool = False,
    in_sandbox: bool = False,
) -> Dump:
    """Opens logits with their labels, and checks everything that can be checked before the logits are read.

    Args:
      logits: shape (N, C), or (B, T, V), which becomes B·T rows: a path, a pattern such as "logits-*.npy",
        an address such as s3://…, an open file or upload, an array, a tensor, or a list of these: shards in order.
      target: class indices, shape (N,) or (B, T), or one-hot rows or probabilities of the shape of the logits; None if
        they lie in the file of the logits, under a name such as "target" or "labels".
      features: what the last, linear layer saw, shape (N, H).
      sample_weight: a factor for each row's loss, shape (N,).
      ids, text, image: the names of the examples, their texts, and their pictures: a file or an array, else a
        column's name, else a shell pattern. Pictures are an array (N, H, W) or (N, H, W, 3), or paths of PNG and JPEG
        files below the folder of the file that names them. A .txt file of texts or paths has a line for each row.
      show: other columns for whoever looks at an example: a name, a shell pattern, several between commas or in a list.
      class_names: the names of the classes, or a file of them.
      classes: the columns of a table that are classes: a column's name or a shell pattern, such as "logit_*", several
        of them in a list or between commas, or a file of names; of another file the array of logits.
      target_column: the column or array of the labels, by its name; or a file of labels.
      no_header: the first line of a text file is a row; its columns are called 0, 1, …
      ignore_index: rows with this target are left out; None: −100, or what a file that Export wrote says.
      logits_are: "logits", "probabilities" (whose logarithm is taken), or None: then probabilities are refused,
        with a message that asks.
      labels_are: "names" or "indices": what whole labels are, where the classes are called by numbers, such as 1 … C;
        None asks where both are possible.
      match_rows: rows will be looked for in other dumps: without ids a column of paths or keys names them.
      limits: a dump beyond them is refused before it is read.
      sandboxed: read open files and uploads in a process with limits on memory and time, as a server for strangers
        must. Then texts for classes, target_column, ids, text and image name columns, and never a file or an address;
        paths of pictures are refused.
      in_sandbox: this process is such a one already: as above, but it reads itself.

    Raises: InvalidDump.
    """
    source = DumpSource(
        logits,
        target,
        features,
        sample_weight,
        ids,
        class_names,
        ignore_index,
        logits_are,
        classes,
        target_column,
        text,
        image,
        show,
        no_header,
        labels_are,
        match_rows,
    )
    _check_answer("logits_are", logits_are, LOGITS_ARE, _("None asks where they look like probabilities."))
    _check_answer("labels_are", labels_are, LABELS_ARE, _("None asks where labels can be both."))
    files: list[OpenFile] = []
    limits = limits or DumpLimits()
    sandbox = SandboxedFiles(limits) if sandboxed else None
    try:
        opener = open_file if sandbox is None else sandbox.open_file
        if in_sandbox:
            opener = partial(open_file, limits=limits)
        is_strangers = sandboxed or in_sandbox
        found = gather(source, files, limits, opener, is_strangers=is_strangers)
        reading = found.reading
        folder = None if is_strangers else folder_of_pictures(source, reading)
        dump = Dump(source, files, found, folder)
        is_sorted = _is_sorted(dump)
        if is_sorted and reading.which_class is not None:
            raise _sorted_scores(dump, reading.which_class)
        try:
            _check_labels(dump, found.parts["target"])
        except InvalidDump as error:
            if error.code == "target-out-of-range" and is_sorted:
                raise _best_few(dump, error) from error
            raise
        if logits_are is None and not set(DOCUMENT_OPTIONS) <= set(dump.options):  # which say that it is one of ours
            _ask_about_probabilities(dump)
        if logits_are == "probabilities":
            reading = dump.reading = replace(reading, notes=(*reading.notes, taken_as_logarithm()))
        if is_sorted:
            notes = (*reading.notes, _("every row falls from its first class to its last, as if it were sorted"))
            dump.reading = replace(reading, notes=notes)
    except BaseException:
        for file in files:
            file.close()
        if sandbox is not None:
            sandbox.close()
        raise
    return dump


def _check_answer(option: str, value: str | None, known: Sequence[str], fix: str) -> None:
    """Raises: InvalidDump for another answer than those that are known, or none."""
    if value is not None and value not in known:
        raise InvalidDump(
            option.replace("_", "-"),
            _("{option} is {value}").format(option=option, value=repr(value)[:80]),
            _("{answers} or None").format(answers=", ".join(map(repr, known))),
            fix,
        )


def _check_labels(dump: Dump, target: Array) -> None:
    """The doctor's words about labels that lie outside 0…C − 1, and a question where there are too few for C."""
    nothing, lowest, highest, ignore_index = torch.empty(()), dump.classes, -1, dump.ignore_index
    options = LossOptions(ignore_index=ignore_index)
    if (probs := dump.part("target_probs")) is not None:
        for error in violations(nothing.expand(1, dump.classes), probs.tensor(0, 1), options):
            raise of_problem(error)
    for start in range(0, dump.rows, LABELS_AT_A_TIME):
        labels = target.tensor(start, min(start + LABELS_AT_A_TIME, dump.rows)).long()
        for error in violations(nothing.expand(len(labels), dump.classes), labels, options):
            raise of_problem(error, first_row=start) from error
        kept = labels[labels != ignore_index]
        if len(kept):
            lowest, highest = min(lowest, int(kept.min())), max(highest, int(kept.max()))
    if dump.rows >= ROWS_THAT_TELL and (unclear := doubt(dump.reading, lowest, highest, dump.name)) is not None:
        with asked():
            raise unclear


def of_problem(error: InvalidProblem, *, first_row: int = 0) -> InvalidDump:
    """What PyTorch would refuse, as a mistake in a dump."""
    came = error.came
    if first_row:
        came = _("counted from row {first}, {came}").format(first=first_row, came=came)
    return InvalidDump(error.code, came, error.expected, error.fix)


def _ask_about_probabilities(dump: Dump) -> None:
    """Raises: InvalidDump for rows that are probabilities, or outputs of sigmoid, by all that can be seen."""
    if dump.reading.classes[0].startswith(MARK):
        return  # as Export writes logits that could be probabilities
    found = _rows_that_count(dump)
    if found is None:
        return
    question = question_about(found.logits.double().numpy(), dump.reading.classes, found.rows.tolist())
    if question is not None:
        raise InvalidDump(*question)


def _rows_that_count(dump: Dump) -> Batch | None:
    """The first rows whose labels are not ignored, as far as a few windows reach; None if all are."""
    ignored, target = dump.ignore_index, dump.part("target")
    assert target is not None
    found: list[Batch] = []
    start, looked_at = _first_kept(target, ignored), 0
    while start < dump.rows and looked_at < WINDOWS_LOOKED_AT and sum(len(one.rows) for one in found) < ROWS_LOOKED_AT:
        batch = dump.read(start, min(start + ROWS_LOOKED_AT, dump.rows), is_written=False)
        found.append(batch.at((batch.target != ignored).nonzero().squeeze(1)))
        start, looked_at = start + ROWS_LOOKED_AT, looked_at + 1
    return joined(found) if found else None


def _first_kept(target: Array, ignore_index: int) -> int:
    """The first row whose label is not ignored, or their number."""
    start, step = 0, ROWS_LOOKED_AT
    while start < len(target):
        kept = (target.tensor(start, min(start + step, len(target))) != ignore_index).nonzero()
        if len(kept):
            return start + int(kept[0])
        start, step = start + step, LABELS_AT_A_TIME
    return len(target)


def _best_few(dump: Dump, error: InvalidDump) -> InvalidDump:
    return InvalidDump(
        "best-few",
        _(
            "every row falls from its first class to its last, as the best {count} of more classes do, and {came}"
        ).format(count=dump.classes, came=error.came),
        _("the scores of all classes in every row"),
        _(WRITE_ALL_SCORES),
    )


def _sorted_scores(dump: Dump, which: str) -> InvalidDump:
    return InvalidDump(
        "best-few",
        _("every row of {name} falls from its first score to its last, and {which} says of which class each is").format(
            name=dump.name, which=which[:80]
        ),
        _("the scores of all classes in every row, in the order of the classes"),
        _(WRITE_ALL_SCORES)
        + " "
        + _(
            "Where each row has all classes, put them in that order: "
            "logits = np.take_along_axis(scores, indices.argsort(1), 1), where indices are the numbers of the classes."
        ),
    )


def _is_sorted(dump: Dump) -> bool:
    """Whether each row falls from class to class: then it is rather the best few, in the order of their scores."""
    rows = dump.read(0, min(ROWS_LOOKED_AT, dump.rows)).logits.double()
    return len(rows) >= ROWS_THAT_TELL and dump.classes > 2 and bool((rows.diff(dim=1) < 0).all())


def sampled_rows(dump: Dump, count: int, read: Callable[[int, int], Batch] | None = None) -> Batch:
    """At most `count` rows, evenly spread in runs over the whole dump: the same rows however it is split."""
    read = read or partial(dump.read, is_written=False)
    runs = 16
    length = count // runs
    if dump.rows <= count:
        return read(0, dump.rows)
    starts = [round(i * (dump.rows - length) / (runs - 1)) for i in range(runs)]
    return joined([read(start, start + length) for start in starts])
