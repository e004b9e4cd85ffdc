"""Files that are small where they come in and large where they are read."""

import io
import itertools
from collections.abc import Callable
from functools import cache, partial

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from streamlit.proto.Common_pb2 import StringArray

from harness.attacks.attack import Attack, Outcome, Site, repeat
from harness.visitor import Visitor


@cache
def parquet_dictionary() -> bytes:
    """20 000 rows that all name one text of 60 000 characters: 0.2 MB, and 1.2 GB when it is written out."""
    rows = 20_000
    text = pa.DictionaryArray.from_arrays(pa.array(np.zeros(rows, np.int32)), pa.array(["x" * 60_000]))
    columns = {"a": pa.array(np.zeros(rows, np.float32)), "b": pa.array(np.zeros(rows, np.float32)), "text": text}
    return _parquet({**columns, "target": pa.array(np.zeros(rows, np.int64))})


@cache
def parquet_columns() -> bytes:
    """100 000 columns of one row."""
    return _parquet({f"c{number}": pa.array([0.0]) for number in range(100_000)})


def _parquet(columns: dict[str, pa.Array]) -> bytes:
    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, store_schema=False)  # read as plain texts
    return file.getvalue()


@cache
def csv_columns() -> bytes:
    """260 000 columns of 20 rows: 12 MB."""
    head = ",".join(f"c{number}" for number in range(260_000)) + ",target\n"
    return (head + ("1," * 260_000 + "0\n") * 20).encode()


@cache
def csv_line() -> bytes:
    """1.9 million numbers in one line."""
    return b"1," * 1_900_000 + b"0"


@cache
def csv_blank() -> bytes:
    """31 million blank lines."""
    return b"a,b,target\n1,2,0\n" + b"\n" * 31_000_000


@cache
def npz_rows() -> bytes:
    """Logits and labels of no rows at all."""
    file = io.BytesIO()
    np.savez(file, logits=np.zeros((0, 3), np.float32), target=np.zeros(0, np.int64))
    return file.getvalue()


async def _upload(site: Site, outcome: Outcome, name: str, data: Callable[[], bytes]) -> None:
    """To Your logits, and to Export where that kind is opened there."""
    places = {"dump_logits_file": "your-logits"}
    if not name.endswith("parquet"):
        places["import_file"] = "export"

    async def put(visitor: Visitor, _number: int) -> None:
        for key, page in places.items():
            await visitor.go(page)
            if "dump_source" in visitor.widgets:
                await visitor.set("dump_source", string_array_value=StringArray(data=["Upload"]))
            outcome.sent()
            await visitor.upload(key, name, data())
            await visitor.settle()
            outcome.page(visitor)

    await repeat(outcome, site.visitor, put, itertools.count())


FAMILY = "files"
BOMBS: dict[str, tuple[str, str, Callable[[], bytes]]] = {
    "parquet-dictionary": ("bomb.parquet", "one value of 60 000 characters in 20 000 rows", parquet_dictionary),
    "parquet-columns": ("wide.parquet", "100 000 columns", parquet_columns),
    "csv-columns": ("wide.csv", "260 000 columns × 20 rows", csv_columns),
    "csv-line": ("line.csv", "one line of 1.9 million numbers", csv_line),
    "csv-blank": ("blank.csv", "31 million blank lines", csv_blank),
    "npz-no-rows": ("none.npz", "no rows", npz_rows),
}
ATTACKS = tuple(
    Attack(
        name, FAMILY, f"{file}: {what}", partial(_upload, name=file, data=data), seconds=15, is_legal=True, prepare=data
    )
    for name, (file, what, data) in BOMBS.items()
)
