"""Rows found again in a table of scores: their labels and names, in one pass, however long the table is."""

from __future__ import annotations

import os
from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from xent_core.dump.scores_table import ROWS_PER_GROUP


@dataclass(frozen=True)
class FoundRows:
    """What a table of scores knows of the rows that were asked for; made by `find_rows`.

    Attributes:
      labels: of each row, a class index; a row that is ignored is not there.
      ids: of each row, if the table has names.
      rows_of_ids: the row of each name that was asked for and stands there once; None if the table has no names.
      repeated: the names that were asked for and stand there more than once.
    """

    labels: dict[int, int]
    ids: dict[int, str]
    rows_of_ids: dict[str, int] | None
    repeated: frozenset[str] = frozenset()


def find_rows(scores: str | os.PathLike[str], rows: Collection[int], ids: Collection[str] = ()) -> FoundRows:
    """Looks for rows, by number and by name, in a finished table of scores in Parquet.

    Memory grows with what is asked for, not with the table.
    """
    import pyarrow.parquet as pq

    labels: dict[int, int] = {}
    names: dict[int, str] = {}
    rows_of_ids: dict[str, int] = {}
    twice: set[str] = set()
    wanted_rows, wanted_ids = np.array(sorted(rows), np.int64), set(ids)
    with pq.ParquetFile(scores) as table:
        has_ids = "id" in table.schema_arrow.names
        columns = ["row", "target", *(["id"] if has_ids else [])]
        for batch in table.iter_batches(batch_size=ROWS_PER_GROUP, use_threads=False, columns=columns):
            row, target = batch["row"].to_numpy(), batch["target"].to_numpy()
            is_wanted = np.isin(row, wanted_rows)
            if has_ids:
                given = batch["id"].to_pylist() if wanted_ids or is_wanted.any() else []
                for place, name in enumerate(given):
                    if name not in wanted_ids:
                        continue
                    if name in rows_of_ids:
                        twice.add(name)
                    else:
                        is_wanted[place] = True
                        rows_of_ids[name] = int(row[place])
                for place in np.flatnonzero(is_wanted).tolist():
                    names[int(row[place])] = str(given[place])
            labels |= dict(zip(row[is_wanted].tolist(), target[is_wanted].tolist(), strict=True))
    once = {name: row for name, row in rows_of_ids.items() if name not in twice}
    return FoundRows(labels, names, once if has_ids else None, frozenset(twice))
