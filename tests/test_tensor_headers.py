"""Headers of .npy and safetensors files, read without trust."""

import io

import numpy as np
import pytest
import safetensors.torch
import torch

from xent_core.tensor_headers import HeaderLength, InvalidHeader, read_npy_header, read_safetensors_header


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("version", [(1, 0), (2, 0)])
def test_an_npy_header_says_what_follows_it(order: str, version: tuple[int, int]) -> None:
    values = np.asarray([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]], np.float32, order=order)
    file = io.BytesIO()
    np.lib.format.write_array(file, values, version)
    file.seek(0)

    assert read_npy_header(file) == ((3, 2), order == "F", np.dtype("<f4"))
    assert file.read() == values.tobytes("A")


def test_a_header_is_read_again_where_another_thread_confused_the_parser(monkeypatch: pytest.MonkeyPatch) -> None:
    file = io.BytesIO()
    np.save(file, np.zeros((3, 2), np.float32))
    file.seek(0)
    read, failures = (
        np.lib.format.read_array_header_1_0,
        iter([SystemError("AST constructor recursion depth mismatch")]),
    )

    def confused(source: io.BytesIO) -> object:
        source.read(7)
        for failure in failures:
            raise failure
        source.seek(-7, io.SEEK_CUR)
        return read(source)

    monkeypatch.setattr(np.lib.format, "read_array_header_1_0", confused)

    assert read_npy_header(file) == ((3, 2), False, np.dtype("<f4"))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93NUMPY",
        b"\x93NUMPY\x03\x00\x10\x00\x00\x00" + b" " * 16,
        b"\x93NUMPY\x01\x00\x08\x00" + b"(" * 8,
        b"\x93NUMPY\x01\x00\xff\xff{}",
    ],
    ids=["empty", "cut off", "a later version", "no dictionary", "shorter than promised"],
)
def test_a_broken_npy_header_is_one_error_with_a_reason(data: bytes) -> None:
    with pytest.raises(InvalidHeader) as caught:
        read_npy_header(io.BytesIO(data))

    assert 0 < len(str(caught.value)) <= 200


def test_a_safetensors_header_is_the_json_before_the_numbers() -> None:
    data = safetensors.torch.save({"logits": torch.zeros(2, 3)})
    file = io.BytesIO(data)

    header = read_safetensors_header(file, len(data), limit=1000)

    assert header.startswith(b'{"logits":')
    assert file.read() == bytes(4 * 6)


@pytest.mark.parametrize("promised", [0, 1, 101, 93, 2**64 - 1])
def test_a_length_that_cannot_be_is_refused_before_the_header_is_read(promised: int) -> None:
    data = promised.to_bytes(8, "little") + b" " * 92

    with pytest.raises(HeaderLength) as caught:
        read_safetensors_header(io.BytesIO(data), len(data), limit=100)

    assert caught.value.header_bytes == promised


def test_a_safetensors_header_beyond_the_limit_is_refused() -> None:
    data = (50).to_bytes(8, "little") + b" " * 92

    with pytest.raises(HeaderLength):
        read_safetensors_header(io.BytesIO(data), len(data), limit=49)
