"""Examples of a dump are shown as they were written, whatever is in them, and in the order asked for."""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from xent_core.dump import InvalidDump, analyse, open_dump
from xent_core.dump.examples import MAX_HELD, MAX_TEXT, Examples, ShownExample, shown_text

ROWS, CLASSES = 40, 4
LOGITS = np.random.default_rng(0).normal(size=(ROWS, CLASSES)).astype(np.float32)
TARGET = np.random.default_rng(1).integers(0, CLASSES, ROWS)
GRAY = np.random.default_rng(2).integers(0, 256, (ROWS, 7, 5)).astype(np.uint8)
COLOURED = np.random.default_rng(3).integers(0, 256, (ROWS, 7, 5, 3)).astype(np.uint8)
TEXTS = [f"text, of “row” {row}" for row in range(ROWS)]


def pixels(example: ShownExample) -> np.ndarray:
    """What the browser draws."""
    assert example.image is not None
    return np.asarray(Image.open(io.BytesIO(example.image)))


def enlarged(picture: np.ndarray, times: int) -> np.ndarray:
    return np.repeat(np.repeat(picture, times, 0), times, 1)


def shown(rows: list[int], **given: object) -> list[ShownExample]:
    with open_dump(LOGITS, TARGET, **given) as dump:
        return Examples(dump).show(rows)


@pytest.mark.parametrize("pictures", [GRAY, COLOURED], ids=["gray", "coloured"])
def test_an_array_of_bytes_is_drawn_pixel_by_pixel_in_the_order_asked_for(pictures: np.ndarray) -> None:
    found = shown([9, 2, 9], image=pictures)

    assert [example.row for example in found] == [9, 2, 9]
    for example in found:
        np.testing.assert_array_equal(pixels(example), enlarged(pictures[example.row], 13))


def test_fractions_are_black_at_zero_and_white_at_one() -> None:
    picture = np.array([[0.0, 0.25], [0.5, 1.0]])

    [example] = shown([0], image=np.tile(picture, (ROWS, 1, 1)))

    np.testing.assert_array_equal(pixels(example)[::48, ::48], [[0, 64], [128, 255]])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64])
def test_other_numbers_go_from_the_least_of_the_picture_to_its_largest(dtype: type) -> None:
    picture = np.array([[-4, 0], [4, 12]], dtype)

    [example] = shown([0], image=np.tile(picture, (ROWS, 1, 1)))

    np.testing.assert_array_equal(pixels(example)[::48, ::48], [[0, 64], [128, 255]])


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_a_picture_with_a_number_that_is_not_finite_says_so(odd: float) -> None:
    pictures = np.zeros((ROWS, 2, 2))
    pictures[1, 0, 1] = odd

    found = shown([0, 1], image=pictures)

    assert found[0].image is not None
    assert found[1].image is None
    assert found[1].problem == "1 of the 4 numbers of its picture is NaN or infinite."


def test_numbers_near_the_end_of_float64_are_drawn() -> None:
    picture = np.array([[-1.7e308, 0.0], [0.0, 1.7e308]])

    [example] = shown([0], image=np.tile(picture, (ROWS, 1, 1)))

    np.testing.assert_array_equal(pixels(example)[::48, ::48], [[0, 128], [128, 255]])


def test_a_large_picture_is_shrunk_to_96_pixels() -> None:
    large = np.zeros((ROWS, 300, 150, 3), np.uint8)
    large[:, :150] = 255

    found = pixels(shown([3], image=large)[0])

    assert found.shape == (96, 48, 3)
    assert (found[:46] == 255).all()
    assert (found[50:] == 0).all()


@pytest.mark.parametrize(
    ("pictures", "code"),
    [
        (GRAY[:-1], "image-shape"),
        (np.concatenate([GRAY, GRAY]), "image-shape"),
        (np.zeros((ROWS, 3, 8, 8)), "image-shape"),
        (np.zeros((ROWS, 8, 8, 4)), "image-shape"),
        (np.zeros((ROWS, 8)), "image-shape"),
        (np.zeros((ROWS, 0, 8)), "image-shape"),
        (np.array([None] * ROWS, dtype=object), "image-type"),
        (["a.png"] * (ROWS - 1), "image-shape"),
    ],
    ids=["fewer", "more", "channels-first", "four-channels", "flat", "empty", "objects", "fewer-paths"],
)
def test_what_are_no_pictures_of_these_rows_is_refused(pictures: object, code: str) -> None:
    with pytest.raises(InvalidDump) as caught:
        open_dump(LOGITS, TARGET, image=pictures)

    assert caught.value.code == code


def test_arrays_named_images_and_texts_are_found_and_said(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "dump.npz", logits=LOGITS, target=TARGET, images=GRAY, texts=np.array(TEXTS))

    with open_dump(tmp_path / "dump.npz") as dump:
        assert dump.reading.sentence() == "4 classes: logits; label: target; text: texts; image: images"
        [example] = Examples(dump).show([7])

    assert example.text == TEXTS[7]
    np.testing.assert_array_equal(pixels(example), enlarged(GRAY[7], 13))


def test_arrays_of_such_names_that_do_not_fit_are_not_used(tmp_path: Path) -> None:
    np.savez(tmp_path / "dump.npz", logits=LOGITS, target=TARGET, images=GRAY[:-1], text=np.arange(ROWS))

    with open_dump(tmp_path / "dump.npz") as dump:
        assert dump.reading.unused == ("images", "text")
        assert not dump.reading.shows_examples


@pytest.mark.parametrize("kind", ["csv", "parquet", "jsonl"])
def test_columns_of_a_table_are_shown_beside_the_example(tmp_path: Path, kind: str) -> None:
    table = pa.table(
        {f"logit_{c}": LOGITS[:, c] for c in range(CLASSES)}
        | {"label": TARGET, "body": TEXTS, "page": list(range(ROWS)), "key": [f"k{row}" for row in range(ROWS)]}
    )
    path = tmp_path / f"dump.{kind}"
    if kind == "parquet":
        pq.write_table(table, path, row_group_size=7)
    elif kind == "csv":
        path.write_text(table.to_pandas().to_csv(index=False))
    else:
        path.write_text(table.to_pandas().to_json(orient="records", lines=True))

    with open_dump(path, text="body", ids="key", show="page,label") as dump:
        examples = Examples(dump)
        dump.read(0, ROWS)  # a pass over all columns before
        found = examples.show([30, 3, 17])
        rest = dump.read(5, 9)

    assert found == [
        ShownExample(row, f"k{row}", None, TEXTS[row], {"page": str(row), "label": str(TARGET[row])})
        for row in (30, 3, 17)
    ]
    np.testing.assert_array_equal(rest.target, TARGET[5:9])


def test_the_lines_of_a_text_file_are_texts_whatever_is_in_them(tmp_path: Path) -> None:
    lines = ['{"not": json}', "", "a,b;c\t'\"", *TEXTS[3:]]
    (tmp_path / "texts.txt").write_bytes("\r\n".join(lines).encode("utf-8-sig"))

    found = shown([2, 0, 1, ROWS - 1], text=tmp_path / "texts.txt")

    assert [example.text for example in found] == ["a,b;c '\"", '{"not": json}', "", lines[-1]]


@given(st.integers(0, 3000), st.booleans())
def test_a_line_is_found_in_a_file_of_any_length(count: int, ends: bool) -> None:
    from xent_core.dump.formats.lines_file import LinesArray

    lines = [f"{row} " + "x" * (row % 7) for row in range(count)]
    text = "\n".join(lines) + "\n" * (ends and count > 0)
    array = LinesArray("texts", io.BytesIO(text.encode()))

    assert len(array) == count
    rows = [row for row in (0, 1023, 1024, 1025, 2048, count - 1) if 0 <= row < count]
    assert array.at(sorted(rows)).tolist() == [lines[row] for row in sorted(rows)]
    assert array.values(0, count).tolist() == lines


def test_too_few_texts_are_refused(tmp_path: Path) -> None:
    (tmp_path / "texts.txt").write_text("one\ntwo\n")

    with pytest.raises(InvalidDump, match="text has shape \\(2,\\), expected one entry for each of the 40 rows"):
        open_dump(LOGITS, TARGET, text=tmp_path / "texts.txt")


@given(st.text())
def test_a_shown_text_is_one_line_without_control_and_without_turning_characters(text: str) -> None:
    found = shown_text(text)

    assert len(found) <= MAX_TEXT
    assert not [one for one in found if ord(one) < 32 or 0x7F <= ord(one) < 0xA0 or one in "\u202e\u202d\u2067\u2028"]


def test_html_stays_text_and_a_turned_text_shows_that_it_was() -> None:
    assert shown_text("<b>hi</b>\n\n\tyou\u202egnp.exe\0") == "<b>hi</b> you\ufffdgnp.exe\ufffd"
    assert shown_text("x" * 301) == "x" * 299 + "…"


def test_rows_that_are_not_there_are_refused() -> None:
    with open_dump(LOGITS, TARGET, image=GRAY) as dump, pytest.raises(InvalidDump) as caught:
        Examples(dump).show([0, ROWS])

    assert caught.value.code == "row"


def test_rows_keep_their_pictures_in_shards_and_where_labels_are_ignored(tmp_path: Path) -> None:
    halves = [(0, 13), (13, ROWS)]
    target = np.where(np.arange(ROWS) % 3, TARGET, -100)
    for number, (start, stop) in enumerate(halves):
        np.savez(
            tmp_path / f"shard-{number}.npz",
            logits=LOGITS[start:stop],
            target=target[start:stop],
            images=GRAY[start:stop],
        )
    pattern = str(tmp_path / "shard-*.npz")
    suspects = analyse(pattern).suspects.row.tolist()

    with open_dump(pattern) as dump:
        found = Examples(dump).show(suspects)

    assert not any(row % 3 == 0 for row in suspects)
    for row, example in zip(suspects, found, strict=True):
        np.testing.assert_array_equal(pixels(example), enlarged(GRAY[row], 13))


def test_what_is_kept_is_bounded_and_shown_again_as_before() -> None:
    rows = MAX_HELD + 10
    texts = [str(row) for row in range(rows)]
    with open_dump(np.zeros((rows, 2), np.float32), np.zeros(rows, np.int64), text=texts) as dump:
        examples = Examples(dump)

        found = [examples.show([row])[0].text for row in (*range(rows), *range(5))]

    assert found == [*texts, *texts[:5]]
    assert len(examples._written) == MAX_HELD
