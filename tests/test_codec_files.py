import gzip
import io
import json
import resource
import struct
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.problems import Call, assert_same_bits, valid_calls
from xent_core import Problem
from xent_core.codec import (
    MAX_FILE_BYTES,
    Document,
    InvalidFile,
    from_json,
    read_file,
    read_file_in_sandbox,
    sandboxed_reading,
    to_csv,
    to_json,
    to_npz,
    to_safetensors,
)
from xent_core.codec.array_files import read_npz
from xent_core.codec.literals import dtype_argument
from xent_core.codec.refusals import RefusedProblem
from xent_core.codec.tensors import is_shape
from xent_core.presets import PRESETS
from xent_core.sandbox.fork_server import allow_seconds
from xent_core.sandbox.process import ProcessLimits, release_memory

BATCH = PRESETS["worked-batch"].problem
WRITERS = {".json": lambda *a, **k: to_json(*a, **k).encode(), ".npz": to_npz, ".safetensors": to_safetensors}
NAMES = st.lists(
    st.sampled_from(
        ["cat", "=1+1", "-x", "@a", "'", "'=", "row", "label", "target:cat", 'a "b", c;d', "κατ", "7", "+"]
    ),
    min_size=3,
    max_size=3,
    unique=True,
)


def refusal(name: str, data: bytes) -> InvalidFile:
    with pytest.raises(InvalidFile) as caught:
        read_file(name, data)
    assert caught.value.came
    assert caught.value.expected
    assert caught.value.fix
    return caught.value


@pytest.mark.parametrize("kind", WRITERS)
@given(call=valid_calls(odd=True, min_size=0))
@settings(max_examples=150)
def test_a_file_gives_the_problem_back(kind: str, call: Call) -> None:
    problem = call.problem()

    document = read_file("batch" + kind, WRITERS[kind](problem))

    assert document == Document(problem)
    assert_same_bits(document.problem.logits, problem.logits)


@given(call=valid_calls(odd=True))
@settings(max_examples=300)
def test_a_table_gives_every_number_back(call: Call) -> None:
    problem = call.problem()
    if problem.logits.dim() != 2:
        return

    again = read_file("batch.csv", to_csv(problem)).problem

    assert_same_bits(again.logits.double(), problem.logits.double())
    if problem.has_probabilities:
        assert_same_bits(again.target.double(), problem.target.double())
    else:
        assert torch.equal(again.kept(), problem.kept())
        assert torch.equal(again.target[again.kept()], problem.target[problem.kept()])


@pytest.mark.parametrize("kind", [*WRITERS, ".csv"])
@given(class_names=NAMES, row_names=NAMES)
@settings(max_examples=30)
def test_names_come_back(kind: str, class_names: list[str], row_names: list[str]) -> None:
    write = {**WRITERS, ".csv": to_csv}[kind]

    document = read_file("batch" + kind, write(BATCH, class_names=class_names, row_names=row_names))

    assert document == Document(BATCH, tuple(class_names), tuple(row_names))


@pytest.mark.parametrize("kind", [*WRITERS, ".csv"])
def test_a_sandboxed_process_reads_the_same(kind: str) -> None:
    data = {**WRITERS, ".csv": to_csv}[kind](BATCH, class_names=["=a", "κ", "c"], row_names=["r", "s", "t"])

    assert read_file_in_sandbox("batch" + kind, data) == read_file("batch" + kind, data)


def test_a_sandboxed_process_gives_the_arrays_that_make_no_problem() -> None:
    refused = []
    for read in (read_file, read_file_in_sandbox):
        with pytest.raises(RefusedProblem) as caught:
            read("a.npz", npz(logits=np.zeros((2, 3), ">f4"), target=np.array([0, 7]), label_smoothing=0.5))
        refused.append(caught.value)

    assert str(refused[0]) == str(refused[1])
    assert refused[0].options == refused[1].options
    for name, values in refused[0].tensors.items():
        np.testing.assert_array_equal(values, refused[1].tensors[name])


def test_no_spreadsheet_computes_a_name() -> None:
    table = to_csv(BATCH, class_names=["=cmd()", "+1", "@x"], row_names=["-1", "=2", "a"]).decode()

    assert table.splitlines()[0] == "row,'=cmd(),'+1,'@x,label"
    assert table.splitlines()[1] == "'-1,1,2,3,2"


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_made_by_hand_is_read(separator: str) -> None:
    table = "\ufeffcat,dog,label\r\n 1.5 ,-2,dog\r\n\r\nnan,-inf,0\r\n".replace(",", separator)

    document = read_file("BATCH.CSV", table.encode())

    assert document == Document(Problem([[1.5, -2], [float("nan"), -float("inf")]], [1, 0]), ("cat", "dog"))


def test_digits_that_float32_cannot_hold_make_float64() -> None:
    narrow = read_file("a.csv", b"a,b,label\n0.1,2,0\n").problem.logits
    wide = read_file("a.csv", b"a,b,label\n0.1234567891,2,0\n").problem.logits

    assert (narrow.dtype, wide.dtype) == (torch.float32, torch.float64)


def test_arrays_saved_by_hand_are_read() -> None:
    packed = io.BytesIO()
    np.savez(
        packed,
        logits=np.asfortranarray([[1.0, 2, 3], [4, 5, 6]]).astype(">f4"),
        target=np.array([0, -1]),
        ignore_index=-1,
        label_smoothing=0.1,
        class_names=["a", "b", "c"],
    )

    document = read_file("a.npz", packed.getvalue())

    assert document.problem == Problem([[1, 2, 3], [4, 5, 6]], [0, -1], ignore_index=-1, label_smoothing=0.1)
    assert document.class_names == ("a", "b", "c")


def test_safetensors_of_others_are_read() -> None:
    data = safetensors.torch.save({"logits": BATCH.logits, "target": BATCH.target}, metadata={"format": "pt"})

    assert read_file("a.safetensors", data) == Document(BATCH)


def json_with(**changes: Any) -> bytes:
    data = json.loads(to_json(BATCH))
    return json.dumps({name: value for name, value in {**data, **changes}.items() if value != "left out"}).encode()


def npz(**arrays: Any) -> bytes:
    packed = io.BytesIO()
    np.savez_compressed(packed, **arrays)
    return packed.getvalue()


def zipped(members: list[tuple[str, bytes]], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", method) as archive:
        for name, data in members:
            archive.writestr(name, data)
    return packed.getvalue()


def npy(values: Any, **header: Any) -> bytes:
    """An .npy file, with a header that may lie."""
    array = np.asarray(values)
    packed = io.BytesIO()
    fields = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape, **header}
    np.lib.format.write_array_header_1_0(packed, fields)
    return packed.getvalue() + array.tobytes()


def tensors(header: object, data: bytes = b"") -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


LOGITS = np.ones((2, 3), np.float32)
TARGET = np.array([0, 1])
TWO_TARGETS = [("logits.npy", npy(LOGITS)), ("target.npy", npy(TARGET)), ("target.npy", npy(TARGET))]
F32 = {"dtype": "F32", "shape": [1, 2], "data_offsets": [0, 8]}
HOSTILE = {
    "empty": ("a.json", b"", "an empty file"),
    "no kind": ("batch", b"x", "of the kind ''"),
    "an unknown kind": ("a.xlsx", b"x", "of the kind '.xlsx'"),
    "one array": ("a.npy", b"x", "one array"),
    "too large": ("a.csv", b"1" * (MAX_FILE_BYTES + 1), "16,777,217 bytes"),
    **{
        f"a pickle in {kind}": ("a" + kind, b"\x80\x04.", "run code")
        for kind in (".pt", ".pth", ".pkl", ".PKL", ".bin")
    },
    # JSON
    "not UTF-8": ("a.json", b"\xff\xfe{", "not UTF-8 (byte 0)"),
    "not JSON": ("a.json", b"{", "line 1, column 2"),
    "nested": ("a.json", b"[" * 100_000, "nested too deep"),
    "many lists": ("a.json", b"[" + b"[]," * 5_000_000 + b"0]", "more numbers"),
    "a list": ("a.json", b"[1]", "without an object"),
    "another format": ("a.json", b'{"format": "sheet"}', "'sheet'"),
    "a later version": ("a.json", json_with(version=2), "version 2"),
    "a version that is true": ("a.json", json_with(version=True), "version True"),
    "an unknown key": ("a.json", json_with(label_smooting=0.1), "'label_smooting'"),
    "a key twice": ("a.json", b'{"format": 1, "format": 2}', "the key 'format' twice"),
    "no labels": ("a.json", json_with(target="left out"), "without target"),
    "NaN as a word": ("a.json", json_with(temperature=float("nan")), "the word NaN"),
    "a number beyond float64": (
        "a.json",
        json_with(temperature=1).replace(b'"temperature": 1', b'"temperature": 1e999'),
        "1e999",
    ),
    "a huge integer": (
        "a.json",
        json_with(ignore_index=1).replace(b'"ignore_index": 1', b'"ignore_index": ' + b"9" * 5000),
        "a number is",
    ),
    "a text for a number": ("a.json", json_with(label_smoothing="0.1"), "label_smoothing is '0.1'"),
    "a bool for a number": ("a.json", json_with(ignore_index=True), "ignore_index is True"),
    "a list for a reduction": ("a.json", json_with(reduction=[]), "reduction is []"),
    "an unknown reduction": ("a.json", json_with(reduction="average"), "'average'"),
    "an unknown dtype": (
        "a.json",
        json_with(target={"dtype": "object", "shape": [3], "values": [1, 1, 1]}),
        "'object'",
    ),
    "a dtype that is a list": (
        "a.json",
        json_with(target={"dtype": ["int64"], "shape": [3], "values": [1, 1, 1]}),
        "['int64']",
    ),
    "a tensor that is a list": ("a.json", json_with(target=[1, 2, 3]), "target is [1, 2, 3]"),
    "a shape that lies": (
        "a.json",
        json_with(target={"dtype": "int64", "shape": [4], "values": [1, 1, 1]}),
        "a list of 3",
    ),
    "a negative axis": ("a.json", json_with(target={"dtype": "int64", "shape": [-1], "values": []}), "shape [-1]"),
    "a huge empty shape": ("a.json", json_with(target={"dtype": "int64", "shape": [0, 10**12], "values": []}), "10000"),
    "an integer too large": (
        "a.json",
        json_with(target={"dtype": "uint8", "shape": [3], "values": [1, 1, 256]}),
        "256",
    ),
    "a fraction as a label": (
        "a.json",
        json_with(target={"dtype": "int64", "shape": [3], "values": [1, 1, 0.5]}),
        "0.5",
    ),
    "labels of int32": ("a.json", json_with(target={"dtype": "int32", "shape": [3], "values": [1, 1, 0]}), "int32"),
    "a label out of range": ("a.json", json_with(target={"dtype": "int64", "shape": [3], "values": [1, 1, 3]}), "is 3"),
    "too few names": ("a.json", json_with(class_names=["a"]), "class_names has 1 names"),
    "a name twice": ("a.json", json_with(class_names=["a", "b", "a"]), "two classes are named 'a'"),
    "a name with a line end": ("a.json", json_with(row_names=["a", "b", "c\nd"]), "'c\\nd'"),
    "a name of other type": ("a.json", json_with(row_names=["a", "b", 3]), "row_names is"),
    # CSV
    "200 000 columns": ("a.csv", b",".join([b"1"] * 200_000), "200,000 columns"),
    "a header alone": ("a.csv", b"a,b,label\n", "a header alone"),
    "spaces alone": ("a.csv", b" \n\n", "without any text"),
    "a table without labels": ("a.csv", b"a,b\n1,2\n", "without labels"),
    "labels and probabilities": ("a.csv", b"a,label,target:a\n1,0,1\n", "both label and target"),
    "probabilities of one class": ("a.csv", b"a,b,target:a\n1,0,1\n", "class 'b'"),
    "no logits": ("a.csv", b"label\n1\n", "without a column of logits"),
    "a NaN label": ("a.csv", b"a,b,label\n1,2,nan\n", "row 0: the label is 'nan'"),
    "a missing label": ("a.csv", b"a,b,label\n1,2,0\n1,2,\n", "row 1: the label is missing"),
    "a fraction as a label in a table": ("a.csv", b"a,b,label\n1,2,1.5\n", "'1.5'"),
    "a label out of the table": ("a.csv", b"a,b,label\n1,2,2\n", "is 2"),
    "a word as a logit": ("a.csv", b"a,b,label\n1,=2+3,0\n", "row 0, column 'b'"),
    "a decimal comma": ("a.csv", b"a;b;label\n1.5;2,5;0\n", "use a point: 2.5"),
    "a number too large": ("a.csv", b"a,b,label\n1,1e400,0\n", "overflows float64"),
    "rows of two lengths": ("a.csv", b"a,b,label\n1,2\n", "row 0 with 2 cells"),
    "a column twice": ("a.csv", b"a,a,label\n1,2,0\n", "two columns named 'a'"),
    "an open quote": ("a.csv", b'a,b,label\n1,"2,0\n', "line 2"),
    "a NUL": ("a.csv", b"a,b,label\n1,\x00,0\n", "column 'b'"),
    "UTF-16": ("a.csv", "a,b,label".encode("utf-16"), "not UTF-8"),
    # NPZ
    "no archive": ("a.npz", b"PK nonsense", "read as NPZ"),
    "an archive cut off": ("a.npz", npz(logits=LOGITS, target=TARGET)[:-30], "read as NPZ"),
    "a pickle inside": ("a.npz", npz(logits=np.array([object()]), target=TARGET), "a pickle"),
    "no labels in an archive": ("a.npz", npz(logits=LOGITS), "without target"),
    "an option that is misspelt": ("a.npz", npz(logits=LOGITS, target=TARGET, label_smooting=0.1), "'label_smooting'"),
    "arrays without labels": ("a.npz", npz(logits=LOGITS, loss=np.ones(2, np.float32)), "holds no labels"),
    "a path": ("a.npz", zipped([("../logits.npy", npy(LOGITS))]), "holds no labels"),
    "no array": ("a.npz", zipped([("logits.py", b"print()")]), "'logits.py'"),
    "a name twice in an archive": ("a.npz", None, "a name twice"),
    "text as logits": ("a.npz", npz(logits=np.array(["a"]), target=TARGET), "dtype"),
    "dates as logits": ("a.npz", npz(logits=np.array(["2020"], "M8[D]"), target=TARGET), "dtype"),
    "NaN labels": ("a.npz", npz(logits=LOGITS, target=np.array([0, np.nan])), "float64"),
    "a header that lies": ("a.npz", zipped([("logits.npy", npy(LOGITS, shape=(2, 4)))]), "holds 24 bytes"),
    "a header of gigabytes": ("a.npz", zipped([("logits.npy", npy(LOGITS, shape=(10**9, 10)))]), "1000000000"),
    "a header that is code": (
        "a.npz",
        zipped([("logits.npy", b"\x93NUMPY\x01\x00\x0e\x00__import__(1)\n")]),
        "logits.npy",
    ),
    "no header": ("a.npz", zipped([("logits.npy", b"")]), "logits.npy"),
    "a bomb": ("a.npz", zipped([("logits.npy", npy(np.zeros((1000, 3000), np.float32)))]), "unpacks to"),
    "a bomb beside an array that is none": (
        "a.npz",
        zipped(
            [
                ("logits.npy", npy(np.random.default_rng(0).random((1000, 300)))),
                ("target.npy", npy(np.zeros(1_000_000, np.int64))),
            ]
        ),
        "unpacks to",
    ),
    "many bytes": ("a.npz", zipped([("logits.npy", npy(np.zeros(70 * 2**20, np.uint8)))]), "unpacks to"),
    "a method without a limit": ("a.npz", zipped([("logits.npy", npy(LOGITS))], zipfile.ZIP_BZIP2), "does not use"),
    "an option that is a list": ("a.npz", npz(logits=LOGITS, target=TARGET, ignore_index=[1]), "ignore_index is [1]"),
    # safetensors
    "three bytes": ("a.safetensors", b"abc", "safetensors"),
    "a header beyond the file": ("a.safetensors", struct.pack("<Q", 2**60) + b"{}", "safetensors"),
    "a header that is no JSON": ("a.safetensors", tensors(b"{nonsense"), "not JSON"),
    "a header that is no UTF-8": ("a.safetensors", tensors(b"\xff\xff"), "safetensors"),
    "a header that is a list": ("a.safetensors", tensors([]), "no object"),
    "no tensors": ("a.safetensors", tensors({}), "without logits"),
    "an unknown tensor": ("a.safetensors", tensors({"x": F32}, bytes(8)), "holds no labels"),
    # of other programs
    "Parquet cut off": ("a.parquet", b"PAR1" + bytes(20), "no readable file of Parquet"),
    "Arrow cut off": ("a.feather", b"ARROW1\0\0" + bytes(20), "no readable file of Arrow"),
    "a line that is no object": ("a.jsonl", b"[1]\n", "is no object"),
    "another label in JSON Lines": ("a.jsonl", b'{"logits": [1, 2], "label": 2}\n', "is 2"),
    "a packed text cut off": ("a.csv.gz", gzip.compress(b"a,b,label\n" + b"1,2,0\n" * 99)[:30], "cannot be unpacked"),
    "a packed array": ("a.npy.gz", gzip.compress(npy(LOGITS)), "packed file of arrays"),
    "a packed text that is large": ("a.csv.gz", gzip.compress(b"a,b,label\n" + b"1,2,0\n" * 3_000_000), "bytes"),
    "many rows": ("a.jsonl", b'{"logits": [1, 2, 3, 4, 5, 6, 7, 8, 9, 10], "label": 1}\n' * 110_000, "110000 rows"),
    "a table without a header": ("a.csv", b"1,2,0\n3,4,1\n", "no header line"),
    "offsets that lie": ("a.safetensors", tensors({"logits": F32}, bytes(4)), "safetensors"),
    "a shape of terabytes": (
        "a.safetensors",
        tensors({"logits": {**F32, "shape": [10**9, 10**3]}}, bytes(8)),
        "1000000000",
    ),
    "an unknown type": ("a.safetensors", tensors({"logits": {**F32, "dtype": "X9"}}, bytes(8)), "safetensors"),
    "a tensor that is a number": ("a.safetensors", tensors({"logits": 7}), "None"),
    "options that are no JSON": (
        "a.safetensors",
        safetensors.torch.save({"logits": BATCH.logits, "target": BATCH.target}, {"problem": "{"}),
        "not JSON",
    ),
    "options that are unknown": (
        "a.safetensors",
        safetensors.torch.save({"logits": BATCH.logits, "target": BATCH.target}, {"problem": '{"x": 1}'}),
        "'x'",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_bad_file_has_one_clear_message(case: str) -> None:
    name, data, came = HOSTILE[case]
    if data is None:
        with pytest.warns(UserWarning, match="Duplicate name"):
            data = zipped(TWO_TARGETS)

    assert came in refusal(name, data).came


def test_a_label_that_is_no_class_is_told_which_there_are() -> None:
    assert "0…2," in refusal("a.csv", b"a,b,c,label\n1,2,3,d\n").expected


def test_a_pickle_is_refused_with_the_lines_that_convert_it() -> None:
    fix = refusal("model.pt", b"x").fix

    assert "torch.load('your_file.pt', weights_only=True)" in fix
    assert "np.savez(" in fix


@pytest.mark.parametrize("kind", [*WRITERS, ".csv"])
@given(seed=st.integers(0, 2**32))
@settings(max_examples=150)
def test_a_damaged_file_is_refused_or_a_problem(kind: str, seed: int) -> None:
    chance = np.random.default_rng(seed)
    data = bytearray({**WRITERS, ".csv": to_csv}[kind](BATCH, class_names="abc", row_names="xyz"))
    for place in chance.integers(0, len(data), chance.integers(1, 4)):
        data[place] = chance.integers(0, 256)
    if seed % 3 == 0:
        del data[chance.integers(0, len(data)) :]

    try:
        document = read_file("a" + kind, bytes(data))
    except InvalidFile as error:
        message = str(error)
    else:
        message = str(document.problem.logits.shape)

    assert message


@pytest.mark.parametrize("problem", [Problem([1.0, 2.0], 0), Problem(torch.zeros(2, 3, 2), torch.zeros(2, 2).long())])
def test_a_table_holds_a_matrix_alone(problem: Problem) -> None:
    with pytest.raises(InvalidFile, match="as a table has rows and columns"):
        to_csv(problem)


def test_json_is_made_for_reading() -> None:
    text = to_json(PRESETS["masked"].problem, class_names=["a", "b", "c", "d"])

    assert '      [2.0, 1.0, "-inf", 0.0],\n' in text
    assert from_json(text).class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("shape", "fits"),
    [
        ((1000, 1000), True),
        ((1001, 1000), False),
        ((0, 1_000_000), True),
        ((0, 1001, 1000), False),  # an axis of 0 does not excuse what is beside it
        ((1,) * 64, True),
        ((1,) * 65, False),
        ((-1, 2), False),
    ],
    ids=str,
)
def test_a_shape_has_at_most_a_million_numbers(shape, fits):
    assert is_shape(shape) == fits


def test_an_archive_of_very_many_files_is_refused_before_they_are_looked_at():
    with pytest.raises(InvalidFile, match="an archive of 1001 files"):
        read_npz(zipped([(f"{number}.npy", b"") for number in range(1001)]))


def test_a_header_that_lies_is_told_by_name_shape_and_dtype():
    with pytest.raises(InvalidFile, match=r"logits says it has shape \(2, 4\) of float32 and holds 24 bytes"):
        read_npz(zipped([("logits.npy", npy(LOGITS, shape=(2, 4)))]))


def test_a_file_that_takes_too_much_is_told_how_much_it_may():
    refused = sandboxed_reading._too_costly(ProcessLimits(memory_bytes=300 * 2**20, cpu_seconds=7))

    assert "at most 300 MB and 7 seconds" in str(refused)


@pytest.mark.parametrize(
    ("hard", "soft"), [(resource.RLIM_INFINITY, 18), (1000, 18), (15, 15)], ids=["no limit", "a far one", "a near one"]
)
def test_seconds_for_an_answer_count_from_now_and_end_with_those_of_the_process(monkeypatch, hard, soft):
    """It has used 2.5 of them as itself and 4.6 in the system, rounded up to 8, and gets 10 more."""
    taken = []
    monkeypatch.setattr(resource, "getrlimit", lambda _what: (1, hard))
    monkeypatch.setattr(resource, "getrusage", lambda _who: SimpleNamespace(ru_utime=2.5, ru_stime=4.6))
    monkeypatch.setattr(resource, "setrlimit", lambda *limits: taken.append(limits))

    allow_seconds(10)

    assert taken == [(resource.RLIMIT_CPU, (soft, hard))]


def test_a_large_file_that_is_hardly_packed_is_none_that_unpacks_to_too_much():
    logits = torch.arange(400_000, dtype=torch.float64).reshape(1000, 400)

    assert read_npz(to_npz(Problem(logits, torch.zeros(1000).long()))).problem.logits.shape == (1000, 400)


@pytest.mark.parametrize(
    ("tensor", "said"),
    [
        (torch.empty(0), []),
        (torch.ones(1), []),
        (torch.empty(0, dtype=torch.float64), ["dtype=torch.float64"]),
        (torch.ones(1, dtype=torch.float64), ["dtype=torch.float64"]),
        (torch.empty(0, dtype=torch.int64), ["dtype=torch.int64"]),
        (torch.ones(1, dtype=torch.int64), []),
    ],
    ids=str,
)
def test_a_program_names_the_dtype_that_its_numbers_do_not_say(tensor, said):
    """What torch.tensor makes of the numbers alone."""
    values = tensor.tolist()

    assert dtype_argument(tensor, "torch") == said
    assert (torch.tensor(values).dtype == tensor.dtype) == (said == [])


def test_memory_is_given_back_also_where_no_table_was_ever_read(monkeypatch):
    monkeypatch.delitem(sys.modules, "pyarrow", raising=False)

    release_memory()

    assert "pyarrow" not in sys.modules


def test_the_program_that_is_printed_for_a_pickle_converts_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    torch.save({"outputs": torch.ones(2, 3, requires_grad=True), "labels": [1, 2], "epoch": 3}, "your_file.pt")
    _sentence, *program = refusal("your_file.pt", Path("your_file.pt").read_bytes()).fix.splitlines()

    exec("\n".join(program), {})

    problem = read_file("dump.npz", Path("dump.npz").read_bytes()).problem
    assert (problem.logits.tolist(), problem.target.tolist()) == ([[1.0] * 3] * 2, [1, 2])
