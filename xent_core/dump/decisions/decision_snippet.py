"""Lines of Python that apply a CSV file of decisions to the labels: with NumPy, pandas, or `datasets`."""

from __future__ import annotations

from collections.abc import Mapping

from xent_core.language import _

_NUMPY = """\
import csv
import numpy as np

held = np.load({labels})
target = (held[{column}] if hasattr(held, "files") else held).copy()
keep = np.ones(len(target), dtype=bool)
with open({decisions}, newline="", encoding="utf-8-sig") as file:
    for one in csv.DictReader(file):
        row = int(one["row"])
        if target[row] != int(one["old"]):
            raise ValueError(f"row {{row}} has another label than was decided about")
        if one["decision"] == "relabel":
            target[row] = int(one["new"])
        keep[row] = one["decision"] != "drop"
target = target[keep]  # the same for what belongs to the rows: logits[keep], images[keep]
np.savez({result}, target=target, keep=keep)
"""

_PANDAS = """\
import pandas as pd

table = pd.read_{reader}({labels})
decisions = pd.read_csv({decisions}, dtype=str, keep_default_na=False)
names = {names}
if pd.api.types.is_numeric_dtype(table[{column}]):
    names = {{}}  # the column holds the numbers of the classes
rows = decisions["row"].astype(int).to_numpy()
column = table.columns.get_loc({column})
for row, old, new, decision in zip(rows, decisions["old"], decisions["new"], decisions["decision"]):
    if table.iat[row, column] != names.get(int(old), int(old)):
        raise ValueError(f"row {{row}} has another label than was decided about")
    if decision == "relabel":
        table.iat[row, column] = names.get(int(new), int(new))
table = table.drop(index=table.index[rows[decisions["decision"] == "drop"]])
table.to_{reader}({result}{index})
"""

_DATASETS = """\
import csv
from datasets import load_dataset

names = {names}
data = load_dataset("{reader}", data_files={labels}, split="train")
with open({decisions}, newline="", encoding="utf-8-sig") as file:
    decisions = {{int(one["row"]): one for one in csv.DictReader(file)}}
if decisions and max(decisions) >= len(data):
    raise ValueError(f"row {{max(decisions)}} is decided about, and there are {{len(data)}}")


def relabelled(example, row):
    if row in decisions:
        one, is_number = decisions[row], isinstance(example[{column}], int)
        if example[{column}] != (int(one["old"]) if is_number else names[int(one["old"])]):
            raise ValueError(f"row {{row}} has another label than was decided about")
        if one["decision"] == "relabel":
            example[{column}] = int(one["new"]) if is_number else names[int(one["new"])]
    return example


data = data.map(relabelled, with_indices=True)
drop = {{row for row, one in decisions.items() if one["decision"] == "drop"}}
data = data.select([row for row in range(len(data)) if row not in drop])
data.to_{reader}({result})
"""

_SUFFIXES = (".csv.gz", ".csv", ".parquet", ".pq", ".npz", ".npy")

SNIPPETS = {"pandas": _PANDAS, "NumPy": _NUMPY, "datasets": _DATASETS}


def snippet(
    kind: str,
    *,
    labels: str,
    column: str,
    decisions: str = "decisions.csv",
    names: Mapping[int, str] | None = None,
) -> str:
    """Lines that apply the decisions, whole rows by their number; each refuses labels that it does not know.

    What comes out is written beside the file of the labels, under its name and "_decided".

    Args:
      kind: of SNIPPETS.
      labels: the file of the labels.
      column: the column, or the array, of the labels.
      decisions: the CSV file.
      names: of the classes that the decisions are about, for a column that holds names; None if they have none.

    Raises: ValueError for another kind. Names and paths become literals of Python.
    """
    if kind not in SNIPPETS:
        raise ValueError(
            _("kind is {kind}, expected one of {kinds}.").format(kind=repr(kind)[:80], kinds=", ".join(SNIPPETS))
        )
    suffix = next((one for one in _SUFFIXES if labels.lower().endswith(one)), "")
    reader = "parquet" if suffix in (".parquet", ".pq") else "csv"
    written = ".npz" if kind == "NumPy" else suffix or ".csv"
    if kind == "datasets":
        written = written.removesuffix(".gz")
    return SNIPPETS[kind].format(
        labels=ascii(labels),
        column=ascii(column),
        decisions=ascii(decisions),
        result=ascii(f"{labels[: len(labels) - len(suffix)]}_decided{written}"),
        names="{" + ", ".join(f"{index}: {name!a}" for index, name in (names or {}).items()) + "}",
        reader=reader,
        index=", index=False" if reader == "csv" else "",
    )
