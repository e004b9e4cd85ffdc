"""Files that are dumps are read as they were written; files that are not get one clear message."""

import argparse
import contextlib
import io
import json
import os
import pickle
import shutil
import signal
import struct
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from xent_core.__main__ import main
from xent_core.cli.main import COMMANDS
from xent_core.dump import InvalidDump, analyse, open_dump
from xent_core.dump.formats import npy_array, open_file, torch_process
from xent_core.dump.formats.checks import check_dtype
from xent_core.dump.formats.spool import Spool
from xent_core.dump.formats.torch_process import tensors_in

ROWS, CLASSES = 40, 4
LOGITS = np.random.default_rng(0).normal(size=(ROWS, CLASSES)).astype(np.float32)
TARGET = np.random.default_rng(1).integers(0, CLASSES, ROWS)


def write(folder: Path, kind: str) -> tuple[str, str | None]:
    """A dump in one of the formats; the labels beside the logits where the format has room for both."""
    path = folder / f"dump.{kind.split('-')[0]}"
    match kind:
        case "npy":
            np.save(path, LOGITS)
            np.save(folder / "target.npy", TARGET)
            return str(path), str(folder / "target.npy")
        case "npy-fortran":
            np.save(path, np.asfortranarray(LOGITS))
            np.save(folder / "target.npy", TARGET.astype(np.uint8))
            return str(path), str(folder / "target.npy")
        case "npy-bigendian":
            np.save(path, LOGITS.astype(">f4"))
            np.save(folder / "target.npy", TARGET.astype(">i4"))
            return str(path), str(folder / "target.npy")
        case "npz":
            np.savez(path, logits=LOGITS, target=TARGET)
        case "npz-compressed":
            np.savez_compressed(path, outputs=LOGITS, labels=TARGET)
        case "safetensors":
            save_file({"logits": torch.tensor(LOGITS), "labels": torch.tensor(TARGET)}, path)
        case "parquet-list":
            table = pa.table({"logits": list(LOGITS), "label": TARGET})
            pq.write_table(table, path, row_group_size=7)
        case "parquet-columns":
            columns = {f"logit_{c}": LOGITS[:, c] for c in range(CLASSES)}
            pq.write_table(pa.table({"target": TARGET, **columns}), path, row_group_size=7)
        case "csv":
            columns = {f"logit_{c}": LOGITS[:, c].astype(float) for c in range(CLASSES)}
            pc.write_csv(pa.table({**columns, "target": TARGET}), path)
        case "csv-bare":
            np.savetxt(path, LOGITS.astype(float), delimiter=",", fmt="%.17g")
            np.savetxt(folder / "target.csv", TARGET, fmt="%d")
            return str(path), str(folder / "target.csv")
    return str(path), None


KINDS = [
    "npy",
    "npy-fortran",
    "npy-bigendian",
    "npz",
    "npz-compressed",
    "safetensors",
    "parquet-list",
    "parquet-columns",
    "csv",
    "csv-bare",
]


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_gives_back_what_was_written(tmp_path: Path, kind: str) -> None:
    with open_dump(*write(tmp_path, kind)) as dump:
        batches = list(dump.batches(9))
        again = dump.read(3, 11)

    assert (dump.rows, dump.classes, dump.class_names) == (ROWS, CLASSES, None)
    np.testing.assert_array_equal(torch.cat([batch.logits for batch in batches]).numpy(), LOGITS)
    np.testing.assert_array_equal(torch.cat([batch.target for batch in batches]).numpy(), TARGET)
    np.testing.assert_array_equal(again.logits.numpy(), LOGITS[3:11])


@pytest.mark.filterwarnings("error:The given NumPy array is not writable")
@pytest.mark.parametrize("kind", KINDS)
def test_what_was_read_is_the_readers_own_and_may_be_written_over(tmp_path: Path, kind: str) -> None:
    with open_dump(*write(tmp_path, kind)) as dump:
        dump.read(3, 11).logits.zero_()
        dump.read(3, 11).target.zero_()
        again = dump.read(3, 11)

    np.testing.assert_array_equal(again.logits.numpy(), LOGITS[3:11])
    np.testing.assert_array_equal(again.target.numpy(), TARGET[3:11])


@pytest.mark.parametrize("kind", KINDS)
def test_every_format_can_be_uploaded(tmp_path: Path, kind: str) -> None:
    uploads = []
    for path in write(tmp_path, kind):
        if path is not None:
            upload = io.BytesIO(Path(path).read_bytes())
            upload.name = Path(path).name
            uploads.append(upload)

    first, second = analyse(*uploads, fit_temperature=False), analyse(*uploads, fit_temperature=False)

    assert first.loss == second.loss == pytest.approx(analyse(LOGITS, TARGET).loss, rel=1e-6)
    assert analyse(*uploads, fit_temperature=False, sandboxed=True).loss == first.loss


@pytest.mark.parametrize("ending", ["npz", "parquet"])
def test_a_sandboxed_process_gives_every_part_and_starts_again_where_it_rested(ending: str) -> None:
    names = [f"row {i}" for i in range(ROWS)]
    upload = io.BytesIO()
    upload.name = f"d.{ending}"
    if ending == "npz":
        np.savez(upload, logits=LOGITS.reshape(5, 8, CLASSES), target=TARGET.reshape(5, 8), ids=names)
    else:
        columns = {"logits": list(LOGITS), "target": TARGET, "ids": names, "another": ["x" * 60_000] * ROWS}
        pq.write_table(pa.table(columns), upload)

    with open_dump(upload, sandboxed=True) as dump:
        batch = dump.read(3, 11)
        dump.rest()
        again = dump.read_rows([39, 0])

    np.testing.assert_array_equal(batch.logits.numpy(), LOGITS[3:11])
    np.testing.assert_array_equal(batch.target.numpy(), TARGET[3:11])
    assert batch.ids == tuple(names[3:11])
    np.testing.assert_array_equal(again.logits.numpy(), LOGITS[[39, 0]])
    assert again.ids == ("row 39", "row 0")


def test_bfloat16_is_read_without_loss(tmp_path: Path) -> None:
    logits = torch.tensor(LOGITS).bfloat16()
    save_file({"logits": logits, "target": torch.tensor(TARGET)}, tmp_path / "d.safetensors")

    with open_dump(tmp_path / "d.safetensors") as dump:
        assert dump.dtype == "bfloat16"
        assert torch.equal(dump.read(0, ROWS).logits, logits)
    with (tmp_path / "d.safetensors").open("rb") as file, open_dump(file, sandboxed=True) as dump:
        assert torch.equal(dump.read(0, ROWS).logits, logits)


def test_shards_are_read_as_one(tmp_path: Path) -> None:
    for i, (a, b) in enumerate([(0, 10), (10, 11), (11, 40)]):
        np.save(tmp_path / f"logits-{i}.npy", LOGITS[a:b])
    np.save(tmp_path / "target.npy", TARGET)

    with open_dump(str(tmp_path / "logits-*.npy"), tmp_path / "target.npy") as dump:
        np.testing.assert_array_equal(dump.read(5, 30).logits.numpy(), LOGITS[5:30])
        assert dump.shard_starts == [0, 10, 11, 40]


def test_tokens_in_memory_are_rows_too() -> None:
    logits, target = np.stack([LOGITS, 2 * LOGITS]), np.stack([TARGET, TARGET])

    with open_dump(logits, target) as dump:
        batch = dump.read(ROWS - 1, ROWS + 1)

    assert (dump.rows, dump.classes) == (2 * ROWS, CLASSES)
    np.testing.assert_array_equal(batch.logits.numpy(), np.stack([LOGITS[-1], 2 * LOGITS[0]]))
    np.testing.assert_array_equal(batch.target.numpy(), [TARGET[-1], TARGET[0]])


def test_tokens_of_a_language_model_are_rows(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", logits=LOGITS.reshape(5, 8, CLASSES), target=TARGET.reshape(5, 8))

    with open_dump(tmp_path / "d.npz") as dump:
        np.testing.assert_array_equal(dump.read(0, ROWS).logits.numpy(), LOGITS)
        np.testing.assert_array_equal(dump.read(0, ROWS).target.numpy(), TARGET)


def test_what_lies_beside_the_logits_is_found(tmp_path: Path) -> None:
    names = np.array(["a", "b", "<b>", "d"])
    np.savez(
        tmp_path / "d.npz",
        logits=LOGITS,
        target=TARGET,
        class_names=names,
        ids=np.arange(ROWS),
        features=LOGITS[:, :2],
        sample_weight=np.ones(ROWS),
    )

    with open_dump(tmp_path / "d.npz") as dump:
        batch = dump.read(2, 4)

    assert dump.class_names == tuple(names)
    assert batch.ids == ("2", "3")
    assert batch.features.shape == (2, 2)
    assert batch.sample_weight.tolist() == [1.0, 1.0]


def test_the_header_of_a_table_names_the_classes(tmp_path: Path) -> None:
    (tmp_path / "d.csv").write_text("label,cat,dog\n0,1.5,2\n1,-1e400,nan\n")

    with open_dump(tmp_path / "d.csv") as dump:
        logits = dump.read(0, 2).logits

    assert dump.class_names == ("cat", "dog")
    assert logits[0].tolist() == [1.5, 2.0]
    assert logits[1, 0] == -np.inf
    assert logits[1, 1].isnan()


def test_logits_are_found_by_their_name_or_as_the_only_matrix_of_fractions(tmp_path: Path) -> None:
    np.savez(tmp_path / "named.npz", LOGITS=LOGITS, Target=TARGET, others=LOGITS[:, :2])
    np.savez(tmp_path / "matrix.npz", last_layer=LOGITS, weights_of_rows=LOGITS[:, 0], target=TARGET)

    for name in ("named.npz", "matrix.npz"):
        with open_dump(tmp_path / name) as dump:
            batch = dump.read(0, ROWS)

        np.testing.assert_array_equal(batch.logits.numpy(), LOGITS)
        np.testing.assert_array_equal(batch.target.numpy(), TARGET)


def test_logits_that_require_a_gradient_are_read() -> None:
    with open_dump(torch.tensor(LOGITS, requires_grad=True), torch.tensor(TARGET)) as dump:
        np.testing.assert_array_equal(dump.read(0, ROWS).logits.numpy(), LOGITS)


def test_remote_addresses_are_read() -> None:
    import fsspec

    for name, array in (("logits", LOGITS), ("target", TARGET)):
        with fsspec.open(f"memory://bucket/{name}.npy", "wb") as file:
            np.save(file, array)

    summary = analyse("memory://bucket/logits.npy", "memory://bucket/target.npy")

    assert summary.loss == pytest.approx(analyse(LOGITS, TARGET).loss)


def test_single_rows_come_in_the_order_asked_for(tmp_path: Path) -> None:
    with open_dump(*write(tmp_path, "parquet-list")) as dump:
        batch = dump.read_rows([30, 2, 2])

    np.testing.assert_array_equal(batch.logits.numpy(), LOGITS[[30, 2, 2]])


def test_a_dtype_as_long_as_its_file_is_named_in_short() -> None:
    with pytest.raises(InvalidDump) as caught:
        check_dtype("logits", np.dtype([(f"field {number}", "f4") for number in range(1000)]))

    assert "('field 0', '<f4')" in str(caught.value)
    assert len(str(caught.value)) < 400


def test_probabilities_are_asked_about(tmp_path: Path) -> None:
    probs = torch.tensor(LOGITS).softmax(1).numpy()

    with pytest.raises(InvalidDump) as caught:
        analyse(probs, TARGET)

    assert caught.value.code == "looks-like-probabilities"
    analyse(np.array([[2.0, -1.5, 0.5]] * ROWS), TARGET % 3)  # sums to 1, and is no probability
    assert analyse(probs, TARGET, logits_are="probabilities").loss == pytest.approx(analyse(LOGITS, TARGET).loss)
    assert analyse(probs, TARGET, logits_are="logits").loss != pytest.approx(analyse(LOGITS, TARGET).loss)


def _npy(header: str, data: bytes = b"") -> bytes:
    text = header.encode().ljust(117) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data


def _npz(members: dict[str, bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return file.getvalue()


def _safetensors(header: object, data: bytes = b"") -> bytes:
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def _saved(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def _parquet_bomb() -> bytes:
    file = io.BytesIO()
    zeros = pa.array(np.zeros(20_000_000, np.float32))
    pq.write_table(pa.table({"a": zeros, "target": pa.array(np.zeros(20_000_000, np.int8))}), file)
    return file.getvalue()


BAD_FILES = {
    "empty.npy": (b"", "file-unknown"),
    "noise.npz": (b"\x00" * 64, "file-unknown"),
    "lying.npy": (
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (800000, 1000)}", b"\0" * 64),
        "header-lies",
    ),
    "absurd.npy": (
        _npy("{'descr': '<f4', 'fortran_order': False, 'shape': (99999999999999999999, 10)}"),
        "header-lies",
    ),
    "negative.npy": (_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (-1, 10)}"), "shape"),
    "deep.npy": (_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1)}", b"\0" * 4), "shape"),
    "pictures.npy": (_saved(np.zeros((2, 2, 2, 3), np.uint8)), "logits-shape"),
    "code.npy": (_npy("__import__('os').system('true')"), "header-broken"),
    "object.npy": (_npy("{'descr': '|O', 'fortran_order': False, 'shape': (2, 2)}", b"\0" * 32), "dtype"),
    "complex.npy": (_saved(np.zeros((2, 2), complex)), "dtype"),
    "cut.npy": (_saved(LOGITS)[:-8], "header-lies"),
    "cut.npz": (_npz({"logits.npy": _saved(LOGITS)})[:-40], "file-truncated"),
    "no_arrays.npz": (_npz({"readme.txt": b"hello"}), "file-empty"),
    "bomb.npz": (_npz({"logits.npy": _saved(np.zeros((20_000, 1000), np.float32))}), "bomb"),
    "many.npz": (_npz({f"{i}.npy": b"" for i in range(1_500)}), "npz-members"),
    "model.pt": (_npz({"archive/data.pkl": b"\x80\x02."}), "file-pickle"),
    "old.pth": (pickle.dumps({"logits": [1, 2]}), "file-pickle"),
    "long.safetensors": (struct.pack("<Q", 2**60) + b"{}", "header-broken"),
    "list.safetensors": (_safetensors([1, 2]), "header-broken"),
    "lying.safetensors": (
        _safetensors({"logits": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 324]}}),
        "header-lies",
    ),
    "short.safetensors": (
        _safetensors({"logits": {"dtype": "F32", "shape": [9, 9], "data_offsets": [0, 8]}}, b"\0" * 8),
        "header-lies",
    ),
    "noise.parquet": (b"PAR1" + b"\x07" * 64, "header-broken"),
    "bomb.parquet": (_parquet_bomb(), "which-columns"),
    "words.csv": (b"target,a,b\n0,1,x\n", "table-broken"),
    "ragged.csv": (b"target,a,b\n0,1,2\n1,2\n", "table-broken"),
    "twice.csv": (b"target,a,a\n0,1,2\n", "csv-header"),
    "latin.csv": ("target,é,b\n0,1,2\n".encode("latin-1"), "csv-header"),
    "gap.csv": (b"target,a,b\n,1,2\n0,1,2\n", "label-missing"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_gets_one_clear_message(tmp_path: Path, name: str) -> None:
    data, code = BAD_FILES[name]
    (tmp_path / name).write_bytes(data)

    with pytest.raises(InvalidDump) as caught:
        analyse(tmp_path / name)

    assert caught.value.code == code
    assert caught.value.came
    assert caught.value.expected
    assert caught.value.fix


def test_a_file_that_was_cut_off_is_told_how_many_bytes_it_has(tmp_path: Path) -> None:
    (tmp_path / "cut.npy").write_bytes(_saved(LOGITS)[:-8])

    with pytest.raises(InvalidDump, match="takes 640 bytes, and has 632"):
        analyse(tmp_path / "cut.npy", TARGET)


@pytest.mark.parametrize(
    "saved",
    [
        {"logits": torch.tensor(LOGITS).bfloat16(), "target": torch.tensor(TARGET)},
        (torch.tensor(LOGITS).bfloat16(), TARGET.tolist()),
        [
            {"logits": torch.tensor(LOGITS[:30]).bfloat16(), "y": torch.tensor(TARGET[:30])},
            {"logits": torch.tensor(LOGITS[30:]).bfloat16(), "y": torch.tensor(TARGET[30:])},
        ],
        {"epoch": 3, "test": [{"y_pred": torch.tensor(LOGITS).bfloat16()}, {"y_true": torch.tensor(TARGET)}]},
        {"logits": torch.tensor(LOGITS).bfloat16(), "y": TARGET.astype(np.int32)},
    ],
    ids=[
        "dictionary",
        "tuple",
        "batches",
        "nested",
        "arrays of NumPy",
    ],
)
def test_tensors_of_torch_save_are_read_on_ones_own_computer(tmp_path: Path, saved: object) -> None:
    torch.save(saved, tmp_path / "d.pt")

    with open_dump(tmp_path / "d.pt") as dump:
        assert torch.equal(dump.read(0, ROWS).logits, torch.tensor(LOGITS).bfloat16())
        assert dump.read(0, ROWS).target.tolist() == TARGET.tolist()


class Harmful:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_whatever_is_no_tensor_is_never_unpickled(tmp_path: Path) -> None:
    torch.save({"logits": torch.tensor(LOGITS), "target": Harmful(tmp_path / "harm")}, tmp_path / "d.pt")
    (tmp_path / "d.pkl").write_bytes(pickle.dumps(Harmful(tmp_path / "harm")))

    for name in ("d.pt", "d.pkl"):
        with pytest.raises(InvalidDump) as caught:
            analyse(tmp_path / name)
        assert caught.value.code == "file-pickle"
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    "saved",
    [
        [(torch.tensor(LOGITS[a:b]), torch.tensor(TARGET[a:b])) for a, b in ((0, 16), (16, 32), (32, 40))],
        [
            {"loss": torch.tensor(0.5), "logits": torch.tensor(LOGITS[a:b]), "y": torch.tensor(TARGET[a:b])}
            for a, b in ((0, 30), (30, 40))
        ],
        {"logits": torch.tensor(LOGITS), "y": torch.tensor(TARGET), "loss": torch.tensor(0.25)},
        [{"id": f"{i}.png", "logits": torch.tensor(LOGITS[i]), "y": int(TARGET[i])} for i in range(ROWS)],
        {"logits": list(torch.tensor(LOGITS)), "y": list(torch.tensor(TARGET))},
        [[torch.tensor(row), label] for row, label in zip(LOGITS, torch.tensor(TARGET), strict=True)],
        [{"logits": torch.tensor(LOGITS[i : i + 1]), "y": TARGET[i]} for i in range(ROWS)],
        {"logits": LOGITS.astype(float).tolist(), "y": TARGET.tolist()},
        [{"logits": row.tolist(), "y": int(label), "loss": 0.5} for row, label in zip(LOGITS, TARGET, strict=True)],
    ],
    ids=[
        "pairs",
        "losses of batches",
        "one loss",
        "rows",
        "lists of rows",
        "rows in pairs",
        "batches of one",
        "numbers",
        "rows of numbers",
    ],
)
def test_rows_and_batches_become_one_tensor_of_logits_and_one_of_labels(saved: object) -> None:
    found = dict(tensors_in(saved))

    assert [key for key, tensor in found.items() if tensor.ndim == 2] == [
        next(k for k in ("logits", "0") if k in found)
    ]
    logits, target = (next(found[key] for key in keys if key in found) for keys in (("logits", "0"), ("y", "1")))
    np.testing.assert_array_equal(logits.numpy().astype(np.float32), LOGITS)
    assert target.tolist() == TARGET.tolist()


REFUSED_PICKLES = {
    "model.bin": lambda path: torch.save({"logits": torch.tensor(LOGITS), "target": torch.tensor(TARGET)}, path),
    "run's.pt": lambda path: torch.save({"logits": LOGITS, "target": TARGET, "run": argparse.Namespace(lr=1)}, path),
    "old.pt": lambda path: torch.save(
        {"logits": LOGITS, "target": TARGET.tolist(), "run": argparse.Namespace(lr=1)},
        path,
        _use_new_zipfile_serialization=False,
    ),
    "other names.pt": lambda path: torch.save(
        {"y_pred": torch.tensor(LOGITS).bfloat16(), "labels": TARGET, "run": argparse.Namespace(lr=1)}, path
    ),
}


@pytest.mark.parametrize("name", REFUSED_PICKLES)
def test_the_program_that_is_printed_for_a_pickle_converts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    REFUSED_PICKLES[name](Path(name))
    if name == "model.bin":  # which a server refuses, and one's own computer reads
        with pytest.raises(InvalidDump) as caught, open(name, "rb") as file:
            analyse(file, sandboxed=True)
        assert caught.value.code == "file-pickle"
        _sentence, *program = caught.value.fix.splitlines()
    else:
        assert main(["analyse", name]) == 2
        _sentence, *program = capsys.readouterr().err.splitlines()

    assert ("weights_only=True" in program[1]) == (name == "model.bin")
    exec("\n".join(program), {})

    with open_dump("dump.npz") as dump:
        np.testing.assert_allclose(dump.read(0, ROWS).logits.numpy(), LOGITS, rtol=0.01 if "names" in name else 0)
        assert dump.read(0, ROWS).target.tolist() == TARGET.tolist()


@pytest.mark.parametrize("name", ["d.pkl", "d.pt", "d.ckpt", "d.npz"])
@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_nobody_is_told_to_load_a_pickle_that_is_no_file_of_torch_save(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str, protocol: int
) -> None:
    (tmp_path / name).write_bytes(pickle.dumps(Harmful(tmp_path / "harm"), protocol))

    for command in ("analyse", "show", "doctor"):
        assert main([command, str(tmp_path / name)]) == 2
        said = capsys.readouterr().err
        assert "load(" not in said
        assert "trust" not in said
    assert not (tmp_path / "harm").exists()


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: path.touch(), "is empty"),
        (lambda path: path.write_bytes(b"hello"), "starts with b'hello'"),
        (lambda path: torch.save(5, path), "without a tensor"),
        (lambda path: torch.save(["a", "b"], path), "without a tensor"),
    ],
)
def test_a_file_without_a_tensor_is_not_accused_of_code(
    tmp_path: Path, write: Callable[[Path], None], said: str
) -> None:
    write(tmp_path / "d.pt")

    with pytest.raises(InvalidDump, match=said) as caught:
        analyse(tmp_path / "d.pt")

    assert "any code" not in str(caught.value)


@pytest.mark.parametrize("array", [list, np.array, lambda texts: [str(text) for text in texts]])
def test_texts_of_torch_save_are_labels_and_names_of_classes(tmp_path: Path, array: Callable[[Any], Any]) -> None:
    names = np.array(["cat", "Ωwl", "a long name 漢", "fox"])
    saved = {"logits": torch.tensor(LOGITS), "labels": array(names[TARGET]), "class_names": array(names)}
    torch.save(saved, tmp_path / "d.pt")

    summary = analyse(tmp_path / "d.pt")

    assert summary.class_names == tuple(names.tolist())
    assert summary.loss == pytest.approx(float(F.cross_entropy(torch.tensor(LOGITS), torch.tensor(TARGET))), rel=1e-6)


def test_nobody_is_asked_for_trust_where_the_process_that_looks_cannot_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch_process.sys, "executable", shutil.which("false"))
    torch.save({"logits": torch.tensor(LOGITS), "target": torch.tensor(TARGET)}, tmp_path / "a.pt")

    with pytest.raises(InvalidDump) as caught:
        analyse(tmp_path / "a.pt")
    assert "weights_only=True" in caught.value.fix


@pytest.mark.parametrize(
    ("logits", "target", "code"),
    [
        (LOGITS, None, "no-target"),
        (LOGITS, TARGET[:-1], "batch-mismatch"),
        (LOGITS, TARGET + 1, "target-out-of-range"),
        (LOGITS, TARGET + 0.5, "target-dtype"),
        (LOGITS, np.eye(CLASSES)[TARGET] * 0.2, "soft-target"),
        (LOGITS, np.ones((ROWS, CLASSES)), "multi-label"),
        (LOGITS, TARGET[:, None, None], "batch-mismatch"),
        (LOGITS.reshape(2, 20, 4), TARGET[:8].reshape(2, 4), "class-axis"),
        (TARGET, LOGITS, "logits-shape"),
        (LOGITS[:0], TARGET[:0], "logits-shape"),
        (LOGITS[:, :0], TARGET, "logits-shape"),
        ([LOGITS, LOGITS[:, :3]], TARGET, "shards-differ"),
        ("/no/such/file.npy", None, "file-unreadable"),
        ("/no/such/*.npy", None, "file-unreadable"),
        ("nowhere://bucket/x.npy", None, "file-unreadable"),
        (object(), TARGET, "shape"),
    ],
)
def test_what_does_not_fit_together_is_refused(logits: object, target: object, code: str) -> None:
    with pytest.raises(InvalidDump) as caught:
        analyse(logits, target)

    assert caught.value.code == code


def test_a_folder_without_a_dump_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidDump) as caught:
        analyse(tmp_path)

    assert caught.value.code == "file-unreadable"


def test_of_several_files_the_one_that_most_others_do_not_go_with_is_named(tmp_path: Path) -> None:
    for name, logits in (("a", LOGITS[:, :3]), ("b", LOGITS), ("c", LOGITS)):
        np.save(tmp_path / f"{name}.npy", logits)
    words = r"a\.npy has shape \(…, 3\) and dtype float32, expected the same as b\.npy has: shape \(…, 4\)"
    with pytest.raises(InvalidDump, match=words):
        analyse([tmp_path / f"{name}.npy" for name in "abc"], np.tile(TARGET, 3))
    for name, table in (("x", "p_0,p_1,y\n.5,.5,0\n"), ("y", "q_0,q_1,y\n.5,.5,0\n"), ("z", "q_0,q_1,y\n.5,.5,1\n")):
        (tmp_path / f"{name}.csv").write_text(table)
    with pytest.raises(
        InvalidDump, match=r"x\.csv has 2 classes: p_0.*expected the same as y\.csv has: 2 classes: q_0"
    ):
        analyse([tmp_path / f"{name}.csv" for name in "xyz"])


def test_labels_out_of_range_get_the_doctors_words() -> None:
    with pytest.raises(InvalidDump, match=r"The labels look like 1…C: use target - 1\."):
        analyse(LOGITS, TARGET + 1)
    with pytest.raises(InvalidDump, match=r"pass ignore_index=255"):
        analyse(LOGITS, np.where(TARGET == 0, 255, TARGET))


@settings(max_examples=300)
@given(st.data())
def test_no_damage_to_a_file_leads_to_anything_but_numbers_or_a_message(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(WHOLE))
    damaged = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    cut = data.draw(st.integers(0, len(damaged)))
    upload = io.BytesIO(bytes(damaged[: cut if data.draw(st.booleans()) else None]))
    upload.name = data.draw(st.sampled_from(["d.npy", "d.csv"]))

    try:
        with open_dump(upload, TARGET) as dump:
            dump.read(0, dump.rows)
    except InvalidDump:
        pass


@pytest.mark.parametrize("is_path", [False, True], ids=["upload", "path"])
@pytest.mark.parametrize(("position", "value"), [(1120, 3), (1133, 36), (1134, 0)])
def test_a_parquet_file_that_would_abort_the_process_is_refused(
    tmp_path: Path, position: int, value: int, is_path: bool
) -> None:
    file = io.BytesIO()
    pq.write_table(pa.table({f"logit_{c}": LOGITS[:, c] for c in range(CLASSES)}), file)
    damaged = bytearray(file.getvalue())
    damaged[position] = value  # in the metadata at the end; found by trying, with this version of pyarrow
    (tmp_path / "damaged.parquet").write_bytes(damaged)

    with pytest.raises(InvalidDump) as caught:
        open_dump(tmp_path / "damaged.parquet" if is_path else io.BytesIO(bytes(damaged)), TARGET)

    assert caught.value.code == "table-broken"


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked up on Linux")
def test_a_parquet_file_is_read_from_any_row_group_by_a_process_that_ends_with_it(tmp_path: Path) -> None:
    others = children()  # a server of other tests, perhaps
    with open_dump(*write(tmp_path, "parquet-columns")) as dump:
        assert len(children() - others) == 1
        backwards = [dump.read(start, start + 5).logits.numpy() for start in (35, 20, 6)]
        dump.rest()
        assert children() == others
        backwards.append(dump.read(0, 5).logits.numpy())
        assert len(children() - others) == 1

    assert [part.tolist() for part in backwards] == [LOGITS[s : s + 5].tolist() for s in (35, 20, 6, 0)]
    assert children() == others


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_before_a_table_are_passed_over_whatever_ends_a_line(tmp_path: Path, end: str) -> None:
    (tmp_path / "a.csv").write_bytes(end.join(["", "  ", "1,2,0", "3,4,1", ""]).encode())

    with open_dump(tmp_path / "a.csv", np.array([0, 1])) as dump:
        assert dump.read(0, 2).logits.tolist() == [[1, 2, 0], [3, 4, 1]]


def test_a_parquet_file_is_copied_only_where_it_has_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, _none = write(tmp_path, "parquet-columns")
    made, make = list[str](), tempfile.NamedTemporaryFile
    monkeypatch.setattr(tempfile, "NamedTemporaryFile", lambda suffix: made.append(suffix) or make(suffix=suffix))
    others = children()

    with open_dump(path):
        assert (made, len(children() - others)) == ([], 1)
    with open_dump(io.BytesIO(Path(path).read_bytes())):
        assert (made, len(children() - others)) == ([".parquet"], 1)


def children() -> set[int]:
    """Processes of this one that still run."""
    found: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that has just ended
            found |= set(map(int, (task / "children").read_text().split()))
    return found


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="processes are looked up on Linux")
def test_a_reader_that_dies_on_its_way_leaves_a_message(tmp_path: Path) -> None:
    path = tmp_path / "large.parquet"
    pq.write_table(pa.table({f"logit_{c}": np.arange(2_000_000.0) for c in range(2)}), path, row_group_size=200_000)
    others = children()
    with open_dump(str(path), np.zeros(2_000_000, np.int64), logits_are="logits") as dump:
        (process,) = children() - others
        os.kill(process, signal.SIGKILL)
        with pytest.raises(InvalidDump) as caught:
            dump.read(0, 2_000_000)

    assert caught.value.code == "table-broken"


def _whole() -> list[bytes]:
    csv = io.BytesIO()
    pc.write_csv(pa.table({f"logit_{c}": LOGITS[:, c] for c in range(CLASSES)}), csv)
    header = {"logits": {"dtype": "F32", "shape": [ROWS, CLASSES], "data_offsets": [0, LOGITS.nbytes]}}
    return [
        _saved(LOGITS),
        _npz({"logits.npy": _saved(LOGITS)}),
        _safetensors(header, LOGITS.tobytes()),
        csv.getvalue(),
    ]


WHOLE = _whole()


def test_a_window_costs_no_more_memory_than_itself(tmp_path: Path) -> None:
    with (tmp_path / "sparse.npy").open("wb") as file:
        file.write(_npy("{'descr': '<f4', 'fortran_order': False, 'shape': (1000000, 1000)}"))
        file.truncate(file.tell() + 4 * 10**9)
    opened = open_file(tmp_path / "sparse.npy")

    last = opened.arrays[""].values(999_990, 1_000_000)

    assert last.shape == (10, 1000)
    opened.close()


def test_the_size_in_the_header_is_compared_with_the_bytes_that_follow() -> None:
    data = _saved(LOGITS)

    with pytest.raises(InvalidDump):
        npy_array("x", io.BytesIO(data + b"\0"), len(data) + 1)


def test_the_rows_of_a_text_are_kept_in_a_file_without_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    spool = Spool(pa.schema([("a", pa.int64())]))

    assert list(tmp_path.iterdir()) == []  # so that nothing stays when the process is killed
    spool.write(pa.record_batch({"a": [1, 2, 3]}))
    spool.finish()
    _first, batches = spool.from_row(0, ["a"])
    assert next(batches).column(0).to_pylist() == [1, 2, 3]
    spool.close()


def test_a_command_that_is_told_to_end_removes_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(_arguments: argparse.Namespace) -> str:
        with tempfile.TemporaryDirectory(dir=tmp_path):
            os.kill(os.getpid(), signal.SIGTERM)
            signal.pause()
        return ""

    monkeypatch.setitem(COMMANDS, "doctor", COMMANDS["doctor"]._replace(run=run))
    before = signal.getsignal(signal.SIGTERM)

    with pytest.raises(SystemExit) as caught:
        main(["doctor", "any"])

    assert (caught.value.code, list(tmp_path.iterdir())) == (128 + signal.SIGTERM, [])
    assert signal.getsignal(signal.SIGTERM) == before


def test_axes_before_the_classes_are_said_and_labels_that_come_again_along_the_first() -> None:
    chance = np.random.default_rng(0)
    logits, target = chance.normal(size=(5, 40, 4)).astype(np.float32), chance.integers(0, 4, (5, 40))
    again = np.tile(target[:1], (5, 1))

    def said(logits: np.ndarray, target: np.ndarray) -> str:
        held = io.BytesIO()
        np.savez(held, logits=logits, target=target)
        held.seek(0)
        with open_dump(held) as dump:
            return dump.reading.sentence()

    assert "5 × 40 rows" in said(logits, target)
    assert "the labels are the same" not in said(logits, target)
    assert "5 × 40 rows; the labels are the same 5 times: were these epochs" in said(logits, again)
    again[4, 39] = (again[4, 39] + 1) % 4
    assert "the labels are the same" not in said(logits, again)
    assert "the labels are the same" not in said(logits[:, :10], again[:, :10]), "few may be the same by chance"
    assert "×" not in said(logits[0], target[0])
