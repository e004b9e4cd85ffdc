"""Pictures in files are read below one folder only, checked before they are decoded, and decoded apart."""

import io
import os
import struct
import zlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from xent_core.dump import InvalidDump, open_dump
from xent_core.dump.examples import Examples, ShownExample
from xent_core.dump.pictures import MAX_FILE_BYTES, NoPicture, PictureFiles, decoded, opened_below

PLAIN = np.zeros((40, 30, 3), np.uint8)
PLAIN[:, :, 0] = 200


def shown(folder: Path, *paths: str) -> list[ShownExample]:
    """The examples of a dump in this folder whose pictures have these paths."""
    (folder / "dump.csv").write_text(
        "prob_0,prob_1,label,path\n" + "".join(f'1,-2,0,"{path}"\n' for path in paths), encoding="utf-8"
    )
    with open_dump(folder / "dump.csv", image="path") as dump:
        return Examples(dump).show(range(len(paths)))


def drawn(png: bytes | None) -> np.ndarray:
    assert png is not None
    return np.asarray(Image.open(io.BytesIO(png)))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With a picture beside it, and one below it."""
    (tmp_path / "dump" / "images").mkdir(parents=True)
    Image.fromarray(PLAIN).save(tmp_path / "dump" / "images" / "plain.png")
    Image.fromarray(PLAIN).save(tmp_path / "outside.png")
    return tmp_path / "dump"


def test_png_and_jpeg_files_below_the_folder_are_drawn_small_whatever_they_are_called(folder: Path) -> None:
    Image.fromarray(np.full((400, 300, 3), (0, 200, 0), np.uint8)).save(folder / "green.bin", "JPEG")

    plain, green = shown(folder, "images/plain.png", "./green.bin")

    np.testing.assert_array_equal(drawn(plain.image), np.repeat(np.repeat(PLAIN, 2, 0), 2, 1))
    assert drawn(green.image).shape == (96, 72, 3)
    assert np.abs(drawn(green.image).astype(int) - [0, 200, 0]).max() < 4


def test_nothing_outside_the_folder_is_read(folder: Path) -> None:
    (folder / "link.png").symlink_to(folder.parent / "outside.png")
    (folder / "away").symlink_to(folder.parent)
    os.mkfifo(folder / "pipe.png")
    reasons = {
        "../outside.png": "does not lie below",
        "images/../../outside.png": "does not lie below",
        str(folder.parent / "outside.png"): "does not lie below",
        str(folder / "images" / "plain.png"): "does not lie below",
        "C:\\\\outside.png": "does not lie below",
        "file:///etc/passwd": "is an address",
        "https://example.org/a.png": "is an address",
        "data:image/png;base64,AAAA": "is an address",
        "link.png": "passes a symbolic link",
        "away/outside.png": "passes a symbolic link",
        "none.png": "No such file",
        "pipe.png": "is no regular file",
        "images": "Is a directory",
        "dump.csv": "neither PNG nor JPEG",
    }

    for example, reason in zip(shown(folder, *reasons), reasons.values(), strict=True):
        assert example.image is None
        assert reason in example.problem


def test_a_file_that_is_too_large_is_not_read(folder: Path) -> None:
    with (folder / "large.png").open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    with pytest.raises(NoPicture, match="has 64 MB, and at most 64 are read"):
        opened_below(str(folder), "large.png")


def png(width: int, height: int, data: bytes) -> bytes:
    """A PNG of grey pixels that says it is so large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


def test_bombs_and_broken_files_are_refused_and_the_next_picture_is_drawn(folder: Path) -> None:
    (folder / "bomb.png").write_bytes(png(9_000, 9_000, zlib.compress(bytes(10**6))))
    (folder / "larger.png").write_bytes(png(60_000, 60_000, zlib.compress(bytes(10**6))))
    (folder / "cut.png").write_bytes((folder / "images" / "plain.png").read_bytes()[:60])
    (folder / "page.png").write_bytes(b"\x89PNG\r\n\x1a\n<script>alert(1)</script>")

    bomb, larger, cut, page, plain = shown(folder, "bomb.png", "larger.png", "cut.png", "page.png", "images/plain.png")

    assert bomb.problem == "Its picture has 9000 × 9000 pixels, and at most 50 million are decoded."
    assert "decompression bomb" in larger.problem
    assert cut.problem.startswith("Its picture cannot be decoded")
    assert page.problem.startswith("Its picture cannot be decoded")
    assert plain.image is not None


def test_a_picture_on_which_its_process_dies_leaves_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xent_core.dump import pictures
    from xent_core.sandbox import ProcessLimits

    monkeypatch.setattr(pictures, "LIMITS", ProcessLimits(memory_bytes=20 * 2**20, cpu_seconds=60))
    Image.fromarray(np.zeros((6000, 6000, 3), np.uint8)).save(folder / "large.png")

    first, large, last = shown(folder, "images/plain.png", "large.png", "images/plain.png")

    assert large.problem == "Its picture takes more memory or time to decode than a picture may."
    assert first.image is not None
    assert last.image == first.image


def test_files_are_decoded_by_another_process(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from xent_core.dump import pictures

    monkeypatch.setattr(pictures, "decoded", lambda file: pytest.fail("decoded here"))

    assert shown(folder, "images/plain.png")[0].image is not None


@pytest.mark.parametrize("mode", ["1", "L", "P", "LA", "RGB", "RGBA", "I;16", "CMYK"])
def test_every_kind_of_picture_is_drawn_on_white(mode: str) -> None:
    buffer = io.BytesIO()
    middle = Image.new("L", (4, 4), 0)
    middle.paste(255, (0, 0, 4, 2))
    picture = middle.convert(mode) if mode != "I;16" else Image.fromarray(np.asarray(middle).astype(np.uint16) * 257)
    if mode in ("LA", "RGBA"):
        picture.putalpha(Image.new("L", (4, 4), 0))  # nothing of it is seen
    picture.save(buffer, "JPEG" if mode == "CMYK" else "PNG")

    found = drawn(decoded(buffer))

    lower = 255 if mode in ("LA", "RGBA") else 0
    assert found.shape[:2] == (96, 96)
    assert np.abs(found[0, 0].astype(int) - 255).max() <= 4
    assert np.abs(found[-1, -1].astype(int) - lower).max() <= 4


def test_a_photo_is_turned_as_its_camera_says() -> None:
    buffer = io.BytesIO()
    turned = Image.new("RGB", (40, 20))
    exif = turned.getexif()
    exif[0x0112] = 6  # its left side is the top
    turned.save(buffer, "JPEG", exif=exif)

    assert drawn(decoded(buffer)).shape == (80, 40, 3)


def test_paths_have_no_folder_in_memory_and_an_empty_one_is_no_picture() -> None:
    logits, target = np.zeros((2, 2), np.float32), np.zeros(2, np.int64)

    with open_dump(logits, target, image=["images/plain.png", ""]) as dump:
        found = Examples(dump).show([0, 1])

    assert [example.image for example in found] == [None, None]
    assert found[0].problem.startswith("Paths of pictures are read below the folder of a dump in a file")
    assert found[1].problem == ""


def test_a_file_of_paths_means_the_folder_in_which_it_lies(folder: Path) -> None:
    (folder / "paths.txt").write_text("images/plain.png\nimages/plain.png\n")

    with open_dump(np.zeros((2, 2)), np.zeros(2, np.int64), image=folder / "paths.txt") as dump:
        assert Examples(dump).show([1])[0].image is not None


def test_on_a_server_an_upload_brings_arrays_and_never_paths(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    (folder / "path").write_text("images/plain.png\n")  # a file of the server, called as the column is
    upload = io.BytesIO(b"prob_0,prob_1,label,path\n1,-2,0,images/plain.png\n")
    upload.name = "dump.csv"

    with pytest.raises(InvalidDump) as caught:
        open_dump(upload, image="path", sandboxed=True)

    assert caught.value.code == "image-paths"
    array = io.BytesIO()
    np.savez(array, logits=np.zeros((2, 2)), target=np.zeros(2, np.int64), images=PLAIN[None].repeat(2, 0))
    array.seek(0)
    with open_dump(array, sandboxed=True) as dump:
        assert drawn(Examples(dump).show([1])[0].image)[0, 0].tolist() == [200, 0, 0]


def test_pictures_that_are_packed_into_a_column_are_decoded_as_files_are(tmp_path: Path) -> None:
    pictures = [np.full((20, 12, 3), shade, np.uint8) for shade in (10, 200)]
    packed = []
    for picture in pictures:
        held = io.BytesIO()
        Image.fromarray(picture).save(held, "PNG")
        packed.append(held.getvalue())
    table = {"prob_0": [1.0] * 5, "prob_1": [2.0] * 5, "label": [0] * 5}
    packed += [b"", b"GIF89a", None]
    pq.write_table(pa.table({**table, "picture": pa.array(packed, pa.binary())}), tmp_path / "dump.parquet")
    with open(tmp_path / "dump.parquet", "rb") as file, open_dump(file, image="picture") as dump:
        found = Examples(dump).show(range(5))

    for one, picture in zip(found, pictures, strict=False):
        assert (drawn(one.image) == picture[0, 0]).all()
    assert [one.image is None for one in found] == [False, False, True, True, True]
    assert [one.problem for one in found[2:]] == ["", "Its picture is neither PNG nor JPEG.", ""]


def test_a_packed_picture_that_is_too_large_is_not_written_anywhere() -> None:
    with PictureFiles(None) as files, pytest.raises(NoPicture, match="has 64 MB, and at most 64 are read"):
        files.png_of_packed(bytes(MAX_FILE_BYTES + 1))
