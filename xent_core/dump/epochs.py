r"""Several epochs of one run: how the margin, the probability and the prediction of each row went while it was learnt.

.. math:: \mathrm{AUM}_i = \frac1E\sum_e \Big(z^{(e)}_{iy} - \max_{k\ne y} z^{(e)}_{ik}\Big)\Big/T

(Pleiss et al. 2020.) A forgetting event is a right prediction that is wrong in the next epoch (Toneva et al. 2019).
Confidence and variability are mean and standard deviation of p_iy over the epochs (Swayamdipta et al. 2020).
"""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from xent_core.column_names import is_id
from xent_core.columns import choices_of, few
from xent_core.dump.folders import (
    differ_in_numbers,
    expanded,
    files_of_folder,
    folders_of_folder,
    natural_order,
    number_of_epoch,
)
from xent_core.dump.formats import Array, InvalidDump
from xent_core.dump.label_model import LabelModel
from xent_core.dump.ranking import EPOCH_FIELDS
from xent_core.dump.readers import Dump
from xent_core.dump.scores import Scores, kept_rows, predicted
from xent_core.language import _
from xent_core.values import Value

SHOWN_NAMES = 12
ROWS_THAT_TELL = 16  # fewer labels may be the same by chance
ROWS_COMPARED = 2**16
IDS_COMPARED = 2**10
ANSWERS: tuple[dict[str, str], ...] = ({"epochs": ""}, {"shards": ""})


class Epoch(NamedTuple):
    """One epoch: what `open_dump` opens, and what it is called."""

    logits: Any
    target: Any
    name: str


@dataclass(frozen=True, eq=False)
class Epochs(Value):
    """What several epochs say of every row, in the order of the last of them; float64, (N,), NaN in ignored rows.

    Attributes:
      names: of the epochs, in the order in which they were read.
      aum: the mean of the margin, `margin` of Scores; NaN where an epoch has none.
      forgetting: how often a right prediction was wrong in the next epoch; infinite where no prediction was right.
      confidence, variability: mean and standard deviation (over E, not E − 1) of the probability of the label.
      correctness: in which share of the epochs the prediction was the label; a row with NaN has none.
      suspicion, pretended: the means of those of Scores, the latter NaN where no label was put on; None if they were
        not asked for. docs/ranking.md has what the mean is worth.
    """

    names: tuple[str, ...]
    aum: np.ndarray
    forgetting: np.ndarray
    confidence: np.ndarray
    variability: np.ndarray
    correctness: np.ndarray
    suspicion: np.ndarray | None = None
    pretended: np.ndarray | None = None

    def added_to(self, scores: Scores) -> Scores:
        """The scores of some rows of the last epoch, with what all epochs say of them."""
        places, device = scores.row.cpu().numpy(), scores.row.device
        of_rows = [
            None if column is None else torch.from_numpy(column[places]).to(device)
            for column in (self.suspicion, self.pretended)
        ]
        return replace(scores, epochs=self.of(scores.row), suspicion=of_rows[0], pretended=of_rows[1])

    def of(self, rows: Tensor) -> dict[str, Tensor]:
        """The same of some rows, by name, on their device."""
        places = rows.cpu().numpy()
        return {name: torch.from_numpy(getattr(self, name)[places]).to(rows.device) for name in EPOCH_FIELDS}

    def quantile(self, name: str, share: float) -> float:
        """The least value of a column that this share of its rows do not exceed; NaN without rows."""
        values = getattr(self, name)
        values = values[~np.isnan(values)]
        return float(np.quantile(values, share, method="inverted_cdf")) if len(values) else math.nan

    @property
    def never_learnt(self) -> int:
        """Rows that no epoch predicts right."""
        return int(np.isposinf(self.forgetting).sum())

    @property
    def forgotten(self) -> int:
        """Rows that were right once, and wrong in the next epoch."""
        return int((np.isfinite(self.forgetting) & (self.forgetting > 0)).sum())

    @property
    def never_forgotten(self) -> int:
        """Rows that were learnt, and stayed so."""
        return int((self.forgetting == 0).sum())


def epochs_of(logits: Any, target: Any = None) -> list[Epoch]:
    """The epochs behind the arguments of `open_dump`, files in the order of the numbers in their names.

    Args:
      logits: a list, a pattern or a folder, of which each entry, file or inner folder is an epoch; else a single one.
      target: None if each epoch holds its labels; one file or array for all; or as many as there are epochs.

    Raises: InvalidDump if there are as many labels as fit neither.
    """
    beside: list[str] | None = None
    if isinstance(logits, str | os.PathLike) and os.path.isdir(logits):
        found: list[Any] = folders_of_folder(logits)
        if not found:
            found, beside = files_of_folder(logits)
    else:
        found = expanded(logits)
    labels: list[Any] = (beside or [None]) if target is None else expanded(target)
    names = names_of(found)
    if names is not None:
        found = sorted(found, key=lambda one: natural_order(_path(one)))
        names = names_of(found)
    label_names = names_of(labels) if len(labels) > 1 else None
    if label_names is not None:
        labels.sort(key=lambda one: natural_order(_path(one)))
    if len(labels) not in (1, len(found)):
        raise InvalidDump(
            "epochs-labels",
            _("{epochs} epochs came with {labels} files of labels").format(epochs=len(found), labels=len(labels)),
            _("one for all epochs, or one for each"),
            _("Check the two patterns."),
        )
    labels = labels * len(found) if len(labels) == 1 else labels
    called = names or [_("epoch {number}").format(number=number) for number in range(1, len(found) + 1)]
    return [Epoch(*one) for one in zip(found, labels, called, strict=True)]


def names_of(sources: Sequence[Any]) -> list[str] | None:
    """What files and uploads are called, with their folders where that alone tells them apart; None for others."""
    is_file = [isinstance(one, str | os.PathLike) or (hasattr(one, "read") and hasattr(one, "name")) for one in sources]
    if not all(is_file):  # a tensor has a name too
        return None
    paths = [_path(one).rstrip("/\\") for one in sources]
    short = [os.path.basename(path) for path in paths]
    return short if len(set(short)) == len(short) else paths


def _path(source: Any) -> str:
    return os.fspath(source) if isinstance(source, str | os.PathLike) else str(source.name)


def order_of(epochs: Sequence[Epoch]) -> str:
    """Which epochs are read in which order, as a note on the reading."""
    words = _("{count} epochs in this order: {names}; what is not of all epochs is of the last")
    return words.format(count=len(epochs), names=few([epoch.name for epoch in epochs], SHOWN_NAMES))


def read_epochs(
    epochs: Sequence[Epoch],
    last: Dump,
    opened: Callable[[Epoch], Dump],
    *,
    temperature: float = 1.0,
    label_model: Callable[[Dump], LabelModel] | None = None,
    on_progress: Callable[[int], None] | None = None,
) -> Epochs:
    """Reads every epoch once, block by block; what is kept is a few numbers for each row.

    Args:
      last: the last of them, which is open already.
      opened: opens another; it is closed here.
      temperature: divides the logits.
      label_model: what a first look says of the classes in an epoch, if the suspicion is wanted.
      on_progress: is told after each block how many rows were read, of all epochs; it raises to stop.

    Raises: InvalidDump if an epoch has other rows, classes or labels than the last.
    """
    rows = _Rows(last, epochs[-1].name)
    running = _Running(last.rows)
    for number, epoch in enumerate(epochs):
        dump = last if number == len(epochs) - 1 else opened(epoch)
        try:
            match = rows.matched(dump, epoch.name)
            labels = None if label_model is None else label_model(dump)
            for batch in dump.batches(is_written=False):
                start, stop = int(batch.rows[0]), int(batch.rows[-1]) + 1
                places = match(start, stop, batch.target.numpy())
                kept = kept_rows(batch, last.ignore_index)
                places = places[kept.rows.numpy() - start]
                running.add(places, number + 1, _of(kept.logits, kept.target, temperature, labels, places))
                if on_progress is not None:
                    on_progress(number * last.rows + stop)
        finally:
            if dump is not last:
                dump.close()
    return running.computed(tuple(epoch.name for epoch in epochs))


class _OfRows(NamedTuple):
    """What one epoch says of some rows, (n,): margin, probability of the label, whether it is the prediction."""

    margin: np.ndarray
    prob: np.ndarray
    is_right: np.ndarray
    suspicion: np.ndarray | None
    pretended: np.ndarray | None  # of the rows whose number is a multiple of the stride
    stride: int


def _of(logits: Tensor, target: Tensor, temperature: float, labels: LabelModel | None, places: np.ndarray) -> _OfRows:
    logits = logits if temperature == 1 else logits / temperature
    label = target.unsqueeze(1)
    probs = logits.softmax(1)
    suspicion = pretended = None
    if labels is not None:
        log_probs = logits.log_softmax(1)
        suspicion = labels.suspicion(log_probs, probs, target).double().numpy()
        pretended = labels.pretended(torch.from_numpy(places), log_probs, probs).double().numpy()
    prob = probs.gather(1, label).squeeze(1)
    prediction, margin = predicted(logits, label)
    stride = 0 if labels is None or logits.shape[1] < 2 else labels.stride
    right = (prediction == target).numpy()
    return _OfRows(margin.double().numpy(), prob.double().numpy(), right, suspicion, pretended, stride)


class _Running:
    """What is kept of the epochs so far: sums for each row, and whether it was right in the last."""

    def __init__(self, rows: int) -> None:
        self._margin, self._mean, self._squares = (np.zeros(rows) for _one in range(3))
        self._right, self._forgotten = (np.zeros(rows, np.int32) for _one in range(2))
        self._was_right = np.zeros(rows, bool)
        self._is_kept = np.zeros(rows, bool)
        self._suspicion: np.ndarray | None = None
        self._pretended: np.ndarray | None = None

    def add(self, places: np.ndarray, number: int, of_rows: _OfRows) -> None:
        """Adds some rows of the epoch of this number, counted from 1."""
        prob, is_right = of_rows.prob, of_rows.is_right
        self._margin[places] += of_rows.margin
        off = prob - self._mean[places]
        self._mean[places] += off / number
        self._squares[places] += off * (prob - self._mean[places])  # Welford: no difference of large sums
        self._right[places] += is_right
        self._forgotten[places] += self._was_right[places] & ~is_right
        self._was_right[places] = is_right
        self._is_kept[places] = True
        if of_rows.suspicion is not None and of_rows.pretended is not None:
            if self._suspicion is None or self._pretended is None:
                self._suspicion, self._pretended = np.zeros(len(self._mean)), np.full(len(self._mean), np.nan)
            self._suspicion[places] += of_rows.suspicion
            drawn = places[places % of_rows.stride == 0] if of_rows.stride else places[:0]
            before = self._pretended[drawn]
            self._pretended[drawn] = of_rows.pretended + (0 if number == 1 else before)

    def computed(self, names: tuple[str, ...]) -> Epochs:
        """What follows from the sums."""
        count = len(names)
        forgetting = np.where(self._right > 0, self._forgotten, np.inf)
        columns = {
            "aum": self._margin / count,
            "forgetting": forgetting,
            "confidence": self._mean,
            "variability": np.sqrt(self._squares / count),
            "correctness": self._right / count,
        }
        return Epochs(
            names,
            **{name: np.where(self._is_kept, column, np.nan) for name, column in columns.items()},
            suspicion=None if self._suspicion is None else self._suspicion / count,
            pretended=None if self._pretended is None else self._pretended / count,
        )


class _Rows:
    """The rows of the last epoch, by which those of the others are found: by ids if there are any, else by number."""

    def __init__(self, last: Dump, name: str) -> None:
        self._last, self._name = last, name
        self._target = _target(last, 0, last.rows).astype(np.int32)
        self._ids = last.part("ids")
        self._keys = None if self._ids is None else _keys(self._ids, 0, last.rows)
        self._order: np.ndarray | None = None
        ids = last.reading.ids
        self._is_guess = last.source.ids is None and ids is not None and not is_id(ids)  # a column of paths or keys

    def matched(self, dump: Dump, name: str) -> Callable[[int, int, np.ndarray], np.ndarray]:
        """What finds the rows of this epoch among those of the last, and checks their labels, block by block."""
        self._check_alike(dump, name)
        ids = dump.part("ids")
        if self._is_guess and ids is not None and not self._has_some_of(ids):
            ids = None  # such as paths below a folder of each epoch's own, which say nothing
        met = np.zeros(dump.rows, bool)

        def match(start: int, stop: int, target: np.ndarray) -> np.ndarray:
            places = np.arange(start, stop)
            if ids is not None and self._keys is not None and dump is not self._last:
                places = self._places(ids, start, stop, name)
                self._check_once(ids, places, met, start, name)
            self._check_labels(target, places, start, name)
            return places

        return match

    def _has_some_of(self, ids: Array) -> bool:
        assert self._keys is not None
        return bool(np.isin(_keys(ids, 0, min(len(ids), ROWS_COMPARED)), self._keys).any())

    def _check_alike(self, dump: Dump, name: str) -> None:
        """Raises: InvalidDump for another number of rows or classes, other names, or ids in only one of both."""
        last = self._last
        own, theirs = (
            _("{rows} rows of {classes} classes").format(rows=one.rows, classes=one.classes) for one in (dump, last)
        )
        if own == theirs and dump.class_names != last.class_names:
            own, theirs = (
                _("the classes {names}").format(names=few(one.class_names or [_("without names")]))
                for one in (dump, last)
            )
        elif own == theirs and (dump.part("ids") is None) != (last.part("ids") is None):
            own, theirs = (_("no ids") if one.part("ids") is None else _("ids") for one in (dump, last))
        if own != theirs:
            raise InvalidDump(
                "epochs-differ",
                _("the epoch {name} has {own}").format(name=name, own=own),
                _("{theirs}, as the epoch {last} has").format(theirs=theirs, last=self._name),
                _("Write every epoch by the same code, with the same rows."),
            )

    def _places(self, ids: Array, start: int, stop: int, name: str) -> np.ndarray:
        """Where these rows of another epoch stand in the last, by their ids."""
        assert self._keys is not None
        keys = _keys(ids, start, stop)
        if np.array_equal(keys, self._keys[start:stop]):
            return np.arange(start, stop)
        order = self._order_of_keys()
        place = np.searchsorted(self._keys, keys, sorter=order).clip(max=len(self._keys) - 1)
        places: np.ndarray = order[place]
        missing = np.flatnonzero(self._keys[places] != keys)
        if len(missing):
            row = start + int(missing[0])
            raise InvalidDump(
                "epochs-ids",
                _("row {row} of the epoch {name} has the id {id}").format(row=row, name=name, id=_id(ids, row)),
                _("an id that occurs in the epoch {last}").format(last=self._name),
                _("Write every epoch with the same rows, in any order."),
            )
        return places

    def _order_of_keys(self) -> np.ndarray:
        """The rows of the last epoch by their keys. Raises: InvalidDump if two are the same."""
        assert self._keys is not None
        if self._order is None:
            order = np.argsort(self._keys, kind="stable")
            in_order = self._keys[order]
            twice = np.flatnonzero(in_order[1:] == in_order[:-1])
            if len(twice):
                raise self._twice(self._ids, int(order[twice[0] + 1]), self._name)
            self._order = order
        return self._order

    def _check_once(self, ids: Array, places: np.ndarray, met: np.ndarray, start: int, name: str) -> None:
        """Raises: InvalidDump where an id of an epoch in another order occurs twice in it."""
        first, is_first = np.unique(places, return_index=True)
        if len(first) < len(places) or met[places].any():
            again = met[places]
            again[np.setdiff1d(np.arange(len(places)), is_first)] = True
            raise self._twice(ids, start + int(np.flatnonzero(again)[0]), name)
        met[places] = True

    def _twice(self, ids: Array | None, row: int, name: str) -> InvalidDump:
        assert ids is not None
        return InvalidDump(
            "epochs-ids",
            _("the id {id} of row {row} of the epoch {name} occurs twice").format(row=row, name=name, id=_id(ids, row)),
            _("ids that occur once, since the epochs have their rows in different orders"),
            _("Write every epoch in the same order, or give each row an id of its own."),
        )

    def _check_labels(self, target: np.ndarray, places: np.ndarray, start: int, name: str) -> None:
        """Raises: InvalidDump for the first row whose label differs."""
        differing = np.flatnonzero(self._target[places] != target)
        if len(differing):
            place = int(differing[0])
            by_number = self._ids is None
            raise InvalidDump(
                "epochs-labels",
                _("row {row} of the epoch {name} has the label {label}").format(
                    row=start + place, name=name, label=int(target[place])
                ),
                _("{label}, as in row {row} of the epoch {last}").format(
                    label=int(self._target[places[place]]), row=int(places[place]), last=self._name
                ),
                _("Write every epoch in the same order, not shuffled, or with ids (--ids, in Python ids=…).")
                if by_number
                else _("An id must mean the same example, with the same label, in every epoch."),
            )


def _target(dump: Dump, start: int, stop: int) -> np.ndarray:
    part = dump.part("target")
    assert part is not None  # no dump is opened without labels
    return part.tensor(start, stop).long().numpy()


def _keys(ids: Array, start: int, stop: int) -> np.ndarray:
    """A number of 64 bits for each id; two ids of ten million share one in 1 of 400,000 cases."""
    keys = np.empty(stop - start, np.uint64)
    for first in range(start, stop, ROWS_COMPARED):
        last = min(first + ROWS_COMPARED, stop)
        texts = (str(value).encode("utf-8", "surrogatepass") for value in ids.values(first, last).tolist())
        digests = b"".join(hashlib.blake2b(text, digest_size=8).digest() for text in texts)
        keys[first - start : last - start] = np.frombuffer(digests, np.uint64)
    return keys


def _id(ids: Array, row: int) -> str:
    return repr(str(ids.values(row, row + 1).tolist()[0])[:80])


def ask_about_epochs(logits: Any, dump: Dump) -> None:
    """What several files are, where nobody has said so, and they may be epochs.

    Raises: InvalidDump if their names count epochs, or the first two have the same ids, or the same labels.
    """
    starts = dump.shard_starts
    if len(starts) < 3:
        return
    names = names_of(expanded(logits)) or []
    why = None
    if len(set(map(number_of_epoch, names))) == len(names) > 1 and None not in map(number_of_epoch, names):
        why = _("their names count epochs")
    elif starts[2] - starts[1] == starts[1] - starts[0]:
        if _have_the_same_ids(dump):
            why = _("the first two have the same ids")
        elif _have_the_same_labels(dump):
            why = _("the first two have the same labels, row by row")
    if why is not None:
        raise unclear(_("{count} files came, and {why}").format(count=len(starts) - 1, why=why))


def unclear(came: str, fix: str | None = None) -> InvalidDump:
    """The question whether several files are epochs of one run or shards of one dump."""
    return InvalidDump(
        "epochs-or-shards",
        came,
        _("to be told whether they are epochs of one run, with the same rows, or shards of one dump"),
        fix or _("Say which: {choices} (in Python, epochs=True or epochs=False).").format(choices=choices_of(ANSWERS)),
        ANSWERS,
    )


def _have_the_same_ids(dump: Dump) -> bool:
    """Whether the first shard's ids all occur in the second; ids that only count the rows of each say nothing."""
    ids, (start, stop) = dump.part("ids"), dump.shard_starts[1:3]
    if ids is None:
        return False
    first = [str(value) for value in ids.values(0, min(IDS_COMPARED, start)).tolist()]
    if any(first == [str(number + begin) for number in range(len(first))] for begin in (0, 1)):
        return False
    return bool(np.isin(_keys(ids, 0, len(first)), _keys(ids, start, stop)).all())


def _have_the_same_labels(dump: Dump) -> bool:
    start, stop = dump.shard_starts[1:3]
    count = min(ROWS_COMPARED, stop - start)
    first, second = _target(dump, 0, count), _target(dump, start, start + count)
    return count >= ROWS_THAT_TELL and len(np.unique(first)) > 1 and np.array_equal(first, second)


def are_a_series(files: Sequence[str]) -> bool:
    """Whether several files are called alike but for numbers, as shards and epochs are; logits and labels are not."""
    return len(files) > 1 and differ_in_numbers(files)
