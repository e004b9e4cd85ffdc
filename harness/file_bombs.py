"""Files that would cost their reader more than they are worth: of each kind of file, each kind of bomb.

A new kind of file is a line in FORMATS, with a bomb of each kind, or the reason why it has none.
They are sent to the two doors for files: the page Your logits, and the pages Export and Doctor.
"""

from __future__ import annotations

import io
import json
import struct
import zipfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

KINDS = (
    "size",
    "count",
    "depth",
    "width",
    "repetition",
    "blank",
    "one value repeated",
    "nested dictionary",
    "declared but absent",
)
DUMP, EXPORT = "Your logits", "Export"  # the doors
MANY = 300_000  # beyond the rows that a public server takes, and the columns


class Bomb(NamedTuple):
    """A file that is refused with one sentence, or read within the limits.

    Attributes:
      kind: one of KINDS.
      doors: where such a file is taken.
    """

    name: str
    kind: str
    doors: tuple[str, ...]
    data: Callable[[], bytes]


def bombs() -> Iterator[Bomb]:
    """All of them; their bytes are made when they are asked for."""
    for ending, (doors, made) in FORMATS.items():
        for kind in KINDS:
            found = made.get(kind, "not tried")
            if not isinstance(found, str):
                yield Bomb(f"{kind.replace(' ', '_')}.{ending}", kind, doors, found)


def npy(header: str, data: bytes = b"") -> bytes:
    """A .npy file with this header, true or not."""
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def saved(array: np.ndarray) -> bytes:
    """As np.save writes it."""
    file = io.BytesIO()
    np.save(file, array, allow_pickle=False)
    return file.getvalue()


def zipped(members: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """A .zip file."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def npz(**arrays: np.ndarray) -> bytes:
    """As np.savez_compressed writes it."""
    return zipped({f"{name}.npy": saved(array) for name, array in arrays.items()})


def safetensors(header: object, data: bytes = b"") -> bytes:
    """A safetensors file with this header, true or not."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def parquet(**columns: object) -> bytes:
    """As pyarrow writes it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = io.BytesIO()
    pq.write_table(pa.table(columns), file, compression="zstd", store_schema=False)  # a dictionary is read as text
    return file.getvalue()


def _labels(count: int) -> np.ndarray:
    return np.zeros(count, np.int8)


# .npy


def _npy_of(shape: str, data: bytes = b"") -> bytes:
    return npy(f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}", data)


NPY = {
    "size": lambda: _npy_of("(2, 4000000)", bytes(32_000_000)),
    "count": lambda: _npy_of(f"({8 * MANY}, 2)", bytes(64 * MANY)),
    "depth": lambda: npy("{'descr': '<f4', 'fortran_order': False, 'shape': " + "(" * 5000 + ")" * 5000 + "}"),
    "width": lambda: _npy_of(f"(1, {MANY})", bytes(4 * MANY)),
    "repetition": lambda: npy("{'descr': '<f4', 'shape': (" + "1, " * 20_000 + ")}"),
    "blank": lambda: _npy_of("(0, 10)"),
    "one value repeated": lambda: npy("{'descr': '|S0', 'fortran_order': False, 'shape': (1000000000, 10)}"),
    "nested dictionary": lambda: npy("{'descr': " + "[('a', " * 200 + "'<f4'" + ")]" * 200 + ", 'shape': (1,)}"),
    "declared but absent": lambda: _npy_of("(800000, 1000)", bytes(64)),
}

# .npz


def _many_members() -> bytes:
    """300 000 names in the directory, of a file that has none of them."""
    entry = b"PK\x01\x02" + bytes(24) + struct.pack("<HHH", 6, 0, 0) + bytes(12) + b"a00000"
    directory = entry * MANY
    end = b"PK\x05\x06" + struct.pack("<HHHHIIH", 0, 0, 0xFFFF, 0xFFFF, len(directory), 4, 0)
    return b"PK\x03\x04" + directory + end


NPZ = {
    "size": lambda: npz(logits=np.zeros((15_000, 1200), np.float32), target=_labels(15_000)),
    "count": _many_members,
    "depth": lambda: npz(logits=np.zeros((1,) * 60, np.float32), target=_labels(1)),
    "width": lambda: npz(logits=np.zeros((4, MANY), np.float32), target=_labels(4)),
    "repetition": lambda: zipped({"logits.npy": bytes(80 * 2**20)}),
    "blank": lambda: npz(logits=np.zeros((0, 10), np.float32), target=_labels(0)),
    "one value repeated": lambda: npz(
        logits=np.zeros((20_000, 2), np.float32), target=_labels(20_000), ids=np.array(["x" * 1000] * 20_000)
    ),
    "nested dictionary": lambda: zipped({"logits.npy": zipped({"logits.npy": zipped({"logits.npy": bytes(2**24)})})}),
    "declared but absent": lambda: zipped({"logits.npy": _npy_of("(99999999, 999)"), "target.npy": saved(_labels(9))}),
}

# .csv

CSV = {
    "size": lambda: b"a,b,label\n" + b"1.123456789,2,0\n" * 1_000_000,
    "count": lambda: b"a,b,label\n" + b"1,2,0\n" * 2_000_000,
    "depth": lambda: b"a,b,label\n" + b'"' * 4_000_000,
    "width": lambda: b",".join(b"c%d" % i for i in range(MANY)) + b",label\n" + (b"1," * MANY + b"0\n") * 12,
    "repetition": lambda: b"1," * 1_900_000 + b"1\n",
    "blank": lambda: b"\n" * 15_000_000,
    "one value repeated": lambda: b"a,a,label\n" + b"," * 12_000_000 + b"\n",
    "nested dictionary": lambda: b"a,b,label\n" + b'"{""a"": ' * 1_000_000 + b"\n",
    "declared but absent": lambda: b",".join(b"c%d" % i for i in range(4_000)) + b",label\n" + b"1\n" * 2_000_000,
}


def _tabbed(made: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: made().replace(b",", b"\t")


# packed texts


def _packed(codec: str, made: Callable[[], bytes]) -> Callable[[], bytes]:
    def packed() -> bytes:
        import pyarrow as pa

        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as stream:
            stream.write(made())
        return bytes(sink.getvalue().to_pybytes())

    return packed


def _long_text() -> bytes:
    return b"a,b,label\n" + b"1,2,0\n" * 40_000_000


PACKED = CSV | {"repetition": _long_text, "declared but absent": lambda: CSV["declared but absent"]()[:-1_000]}


def _cut(made: Callable[[], bytes]) -> Callable[[], bytes]:
    return lambda: made()[:-20]


# .jsonl

_LINE = b'{"logits": [1.5, 2.5], "label": 1}\n'
JSONL = {
    "size": lambda: _LINE * 900_000,
    "count": lambda: b'{"a":0.5,"b":1,"label":1}\n' * 1_200_000,
    "depth": lambda: _LINE * 200 + b'{"logits": ' + b"[" * 8_000_000 + b"\n",
    "width": lambda: b"{" + b",".join(b'"c%d": 1' % i for i in range(MANY)) + b"}\n",
    "repetition": lambda: b'{"logits": [' + b"1," * 10_000_000 + b'1], "label": 1}\n',
    "blank": lambda: b"\n" * 15_000_000,
    "one value repeated": lambda: b'{"logits": [' + b"1" * 15_000_000 + b'], "label": 1}\n',
    "nested dictionary": lambda: _LINE * 200 + b'{"logits": ' * 1_000_000 + b"\n",
    "declared but absent": lambda: b'{"doc_id": 1, "filtered_resps": null}\n' * 400_000,
}

# .parquet


def _one_text() -> bytes:
    import pyarrow as pa

    texts = pa.array(["x" * 60_000]).dictionary_encode().dictionary
    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), texts)
    return parquet(ids=ids, logit_0=np.zeros(20_000), logit_1=np.full(20_000, 2.5), target=_labels(20_000))


def _footer_of_columns() -> bytes:
    import pyarrow as pa

    return parquet(**{f"c{i}": pa.array([0.5]) for i in range(9_000)}, target=_labels(1))


def _parquet_depth() -> bytes:
    import pyarrow as pa

    kind = pa.float32()
    for _level in range(90):
        kind = pa.list_(kind)
    return parquet(logits=pa.array([None] * 10, kind), target=_labels(10))


def _nested_dictionary() -> bytes:
    import pyarrow as pa

    texts = pa.array(["x" * 60_000] * 2_000)
    return parquet(
        logits=pa.StructArray.from_arrays([texts, pa.ListArray.from_arrays(np.arange(2_001), texts)], ["a", "b"]),
        logit_0=np.zeros(2_000),
        target=_labels(2_000),
    )


def _forged(data: bytes) -> bytes:
    """The footer says that it has a hundred million bytes."""
    return data[:-8] + struct.pack("<I", 100_000_000) + data[-4:]


PARQUET = {
    "size": lambda: parquet(
        a=np.zeros(1_000_000, np.float32), b=np.zeros(1_000_000, np.float32), target=_labels(1_000_000)
    ),
    "count": lambda: parquet(a=np.arange(2.0 * MANY), b=np.arange(2.0 * MANY), target=_labels(2 * MANY)),
    "depth": _parquet_depth,
    "width": _footer_of_columns,
    "repetition": lambda: parquet(a=np.zeros(20_000_000, np.int8), target=_labels(20_000_000)),
    "blank": lambda: parquet(a=np.zeros(0), b=np.zeros(0), target=_labels(0)),
    "one value repeated": _one_text,
    "nested dictionary": _nested_dictionary,
    "declared but absent": lambda: _forged(parquet(a=np.zeros(4), b=np.zeros(4), target=_labels(4))),
}

# .arrow


def arrow(compression: str | None = None, **columns: object) -> bytes:
    """As pyarrow writes it."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    table = pa.table(columns)
    with pa.ipc.new_file(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue().to_pybytes())


def _arrow_depth() -> bytes:
    import pyarrow as pa

    kind = pa.float32()
    for _level in range(60):
        kind = pa.list_(kind)
    return arrow(logits=pa.array([None] * 10, kind), target=_labels(10))


def _arrow_batches() -> bytes:
    """Many record batches of no rows."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    schema = pa.schema([("a", pa.float32()), ("b", pa.float32()), ("target", pa.int8())])
    empty = pa.RecordBatch.from_pylist([], schema=schema)
    with pa.ipc.new_stream(sink, schema) as writer:
        for _number in range(100_000):
            writer.write_batch(empty)
    return bytes(sink.getvalue().to_pybytes())


def _arrow_one_text() -> bytes:
    import pyarrow as pa

    ids = pa.DictionaryArray.from_arrays(pa.array(np.zeros(20_000, np.int32)), pa.array(["x" * 60_000]))
    return arrow(ids=ids, logit_0=np.zeros(20_000), logit_1=np.full(20_000, 2.5), target=_labels(20_000))


ARROW = {
    "size": lambda: arrow(
        a=np.zeros(3_000_000, np.float32), b=np.zeros(3_000_000, np.float32), target=_labels(3_000_000)
    ),
    "count": lambda: arrow(a=np.arange(2.0 * MANY), b=np.arange(2.0 * MANY), target=_labels(2 * MANY)),
    "depth": _arrow_depth,
    "width": lambda: arrow(**{f"c{i}": np.zeros(1) for i in range(9_000)}, target=_labels(1)),
    "repetition": lambda: arrow(
        "zstd", a=np.zeros(40_000_000, np.float32), b=np.zeros(40_000_000, np.float32), target=_labels(40_000_000)
    ),
    "blank": _arrow_batches,
    "one value repeated": _arrow_one_text,
    "nested dictionary": lambda: arrow(
        "zstd", a=np.zeros(2_000), ids=["x" * 60_000] * 2_000, b=np.zeros(2_000), target=_labels(2_000)
    ),
    "declared but absent": lambda: b"ARROW1\0\0" + bytes(1_000) + struct.pack("<i", 2**30) + b"ARROW1",
}

# .safetensors


def _tensor(shape: list[int], end: int, kind: str = "F32") -> dict[str, object]:
    return {"dtype": kind, "shape": shape, "data_offsets": [0, end]}


SAFETENSORS = {
    "size": lambda: safetensors({"logits": _tensor([2, 4_000_000], 32_000_000)}, bytes(32_000_000)),
    "count": lambda: safetensors({f"t{i}": _tensor([0], 0) for i in range(40_000)}),
    "depth": lambda: safetensors(b"[" * 900_000),
    "width": lambda: safetensors(
        {"logits": _tensor([1, MANY], 4 * MANY), "target": _tensor([1], 8, "I64")}, bytes(4 * MANY)
    ),
    "repetition": lambda: safetensors({"logits": _tensor([0] * 200_000, 0)}),
    "blank": lambda: safetensors({"logits": _tensor([0, 9], 0), "target": _tensor([0], 0, "I64")}),
    "one value repeated": lambda: safetensors(b'{"a":' + b" " * 15_000_000 + b"1}"),
    "nested dictionary": lambda: safetensors(b'{"a":' * 180_000 + b"1" + b"}" * 180_000),
    "declared but absent": lambda: safetensors({"logits": _tensor([99_999, 9_999], 4 * 99_999 * 9_999)}, bytes(8)),
}

# .json


def _json(values: bytes, shape: bytes = b"[1]") -> bytes:
    head = b'{"format": "cross-entropy-problem", "version": 1, "logits": {"dtype": "float32", "shape": '
    return head + shape + b', "values": ' + values + b'}, "target": {"dtype": "int64", "shape": [1], "values": [0]}}'


JSON = {
    "size": lambda: _json(b"[" + b"1.2345678901," * 1_230_000 + b"1]"),
    "count": lambda: _json(b"[" + b"1e0," * 2_500_000 + b"1]"),
    "depth": lambda: _json(b"[" * 8_000_000),
    "width": lambda: _json(b"[" + b"[]," * 5_000_000 + b"[]]"),
    "repetition": lambda: _json(b"[" + b'"nan",' * 2_600_000 + b"1]"),
    "blank": lambda: b" " * 16_000_000,
    "one value repeated": lambda: _json(b"[" + b"1" * 15_000_000 + b"]"),
    "nested dictionary": lambda: _json(b'{"a":' * 3_000_000),
    "declared but absent": lambda: _json(b"[1]", b"[1000000, 1]"),
}

# .pt

_PICKLE = "a pickle is refused by its first bytes, whatever it holds"
PT = dict.fromkeys(KINDS, _PICKLE) | {
    "size": lambda: b"\x80\x04" + bytes(8_000_000),
    "nested dictionary": lambda: zipped({"archive/data.pkl": b"\x80\x02" + b"}" * 5_000_000}),
}

FORMATS: dict[str, tuple[tuple[str, ...], dict[str, Callable[[], bytes] | str]]] = {
    "npy": ((DUMP, EXPORT), dict(NPY)),
    "npz": ((DUMP, EXPORT), dict(NPZ)),
    "csv": ((DUMP, EXPORT), dict(CSV)),
    "tsv": ((DUMP, EXPORT), {kind: _tabbed(made) for kind, made in CSV.items()}),
    "csv.gz": ((DUMP, EXPORT), {kind: _packed("gzip", made) for kind, made in PACKED.items()}),
    "csv.zst": ((DUMP, EXPORT), {kind: _packed("zstd", made) for kind, made in PACKED.items()}),
    "csv.bz2": ((DUMP, EXPORT), {kind: _cut(_packed("bz2", made)) for kind, made in CSV.items()}),
    "jsonl": ((DUMP, EXPORT), dict(JSONL)),
    "jsonl.gz": ((DUMP, EXPORT), {kind: _packed("gzip", made) for kind, made in JSONL.items()}),
    "arrow": ((DUMP, EXPORT), dict(ARROW)),
    "parquet": ((DUMP, EXPORT), dict(PARQUET)),
    "safetensors": ((DUMP, EXPORT), dict(SAFETENSORS)),
    "json": ((DUMP, EXPORT), dict(JSON)),
    "pt": ((DUMP, EXPORT), PT),
}
