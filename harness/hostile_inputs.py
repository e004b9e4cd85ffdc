"""Files, links and messages that somebody with bad intentions would send: from a seed, so that they come again."""

import io
import json
import math
import random
import string
import zipfile
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Common_pb2 import DoubleArray, FileUploaderState, SInt64Array, StringArray
from streamlit.proto.WidgetStates_pb2 import WidgetState

from harness.visitor import npy
from xent_core import Problem
from xent_core.codec import to_csv, to_json, to_npz, to_safetensors, to_token

IMPORT, DOCTOR, DUMP = "import_file", "doctor_file", "dump_logits_file"  # the uploaders, by their keys
UPLOADERS = {IMPORT: "export", DOCTOR: "doctor", DUMP: "your-logits"}
MARKUP = ("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![](http://127.0.0.1:9/x)", "=1+1", "$$\\int$$")
NAMES = ("../../etc/passwd", "x" * 300, "a\\..\\b", "nul\x00byte", "\u202egnp.exe", "résumé", " ", *MARKUP)
PARAMETERS = ("preset", "p", "classes", "rows", "form", "page", "lock", "hide", "note", "decimals", "traced_row")
PROBLEM = Problem([[1.0, -2.5, 3.0], [0.1, 1e-3, -7.0]], [2, 0])


class File(NamedTuple):
    """An upload, and where it goes."""

    uploader: str
    name: str
    data: bytes


def files(seed: int, count: int) -> Iterator[File]:
    """Valid files damaged in some place, lies in headers, bombs, pickles, and noise, under all kinds of names."""
    numbers = random.Random(seed)
    valid = _valid_files()
    for _ in range(count):
        uploader = numbers.choice(list(UPLOADERS))
        ending, data = numbers.choice(valid)
        damage: Callable[[random.Random, bytes], bytes] = numbers.choice(DAMAGES)
        stem = numbers.choice(NAMES) if numbers.random() < 0.3 else "logits"
        yield File(uploader, stem + ending, damage(numbers, data))


def _valid_files() -> list[tuple[str, bytes]]:
    """Endings and contents."""
    table = pd.DataFrame({"class 0": [1.0, 2.0], "class 1": [0.5, -1.0], "target": [0, 1]})
    return [
        (".json", to_json(PROBLEM).encode()),
        (".csv", to_csv(PROBLEM)),
        (".npz", to_npz(PROBLEM)),
        (".safetensors", to_safetensors(PROBLEM)),
        (".npy", npy(PROBLEM.logits.numpy())),
        (".parquet", table.to_parquet()),
        (".npz", _bomb()),
        (".npy", _lying_npy()),
        (".json", b"[" * 100_000),
        (".json", b'{"logits": [[1e999, "nan", null]], "target": [9]}'),
        (".csv", b"a," * 100_000),
        (".csv", "\n".join(f"{name},1,2" for name in MARKUP).encode()),
        (".safetensors", (2**62).to_bytes(8, "little") + b"{}"),
        (".pt", b"\x80\x04cposix\nsystem\n(S'true'\ntR."),
        (".exe", b"MZ" + bytes(100)),
        ("", b""),
    ]


def _bomb() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("logits.npy", npy(np.zeros((1000, 2000))))
    return file.getvalue()


def _lying_npy() -> bytes:
    return npy(np.zeros((2, 3))).replace(b"(2, 3), ", b"(9**9,),")


def _as_it_is(_numbers: random.Random, data: bytes) -> bytes:
    return data


def _cut(numbers: random.Random, data: bytes) -> bytes:
    return data[: numbers.randrange(len(data) + 1)]


def _flipped(numbers: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(numbers.randint(1, 20)):
        if changed:
            changed[numbers.randrange(len(changed))] = numbers.randrange(256)
    return bytes(changed)


def _grown(numbers: random.Random, data: bytes) -> bytes:
    place = numbers.randrange(len(data) + 1)
    return data[:place] + numbers.randbytes(numbers.randrange(1000)) + data[place:]


def _other_numbers(numbers: random.Random, data: bytes) -> bytes:
    number = numbers.choice([b"1e400", b"-1", b"99999999999999999999", b"NaN", b"0x10", "١".encode(), b"", b"null"])
    return data.replace(numbers.choice([b"1", b"0", b"2"]), number)


DAMAGES = (_as_it_is, _cut, _flipped, _grown, _other_numbers)


def links(seed: int, count: int) -> Iterator[str]:
    """Queries with damaged tokens, wrong values of every parameter, markup, and too much of everything."""
    numbers = random.Random(seed)
    token = to_token(PROBLEM)
    for _ in range(count):
        form = numbers.randrange(5)
        if form == 0:
            yield f"p={quote(_damaged_text(numbers, token))}"
        elif form == 1:
            yield f"p={token}&classes={quote(chr(10).join(numbers.choices(NAMES, k=3)))}"
        elif form == 2:
            yield "&".join(f"{key}={quote(_value(numbers))}" for key in numbers.sample(PARAMETERS, 6))
        elif form == 3:
            yield "&".join(f"{_value(numbers)[:9]}={numbers.random()}" for _ in range(numbers.randrange(500)))
        else:
            yield "".join(numbers.choices(string.printable, k=numbers.randrange(2000)))


def _damaged_text(numbers: random.Random, text: str) -> str:
    letters = list(text)
    for _ in range(numbers.randint(1, 5)):
        letters[numbers.randrange(len(letters))] = numbers.choice(string.ascii_letters + string.digits + "-_%é")
    return "".join(letters)[: numbers.randint(1, 2 * len(letters))]


def _value(numbers: random.Random) -> str:
    return numbers.choice((*NAMES, "-1", "1e9", "nan", "9" * 400, "\n" * 50, "presets,tools", "é" * 3000, "%00", "[]"))


ODD_ROWS = ("-1", "3", "999999999999999999999", "0", "x", "", "1.5", "NaN")
ODD_COLUMNS = ("class 0", "class 99", "row", "_index", "", "__proto__", *MARKUP)
ODD_CELLS = ("NaN", "inf", "1e999", "x" * 10_000, "", None, True, 7, [1], {"a": 1}, -0.0, float("nan"), 2**80, *MARKUP)


def editor_states(seed: int, count: int) -> Iterator[str]:
    """What no editor in a browser sends: rows out of range, wrong types, other JSON, no JSON."""
    numbers = random.Random(seed)
    yield from ("", "null", "[]", "7", "{", '{"edited_rows": 1}', '{"edited_rows": {"0": 1}}', '{"edited_rows": null}')
    for _ in range(count - 8):
        state: dict[str, Any] = {
            "edited_rows": {
                numbers.choice(ODD_ROWS): {
                    numbers.choice(ODD_COLUMNS): numbers.choice(ODD_CELLS) for _ in range(numbers.randint(0, 3))
                }
                for _ in range(numbers.randint(0, 4))
            },
            "added_rows": numbers.choice(([], [{}], [{"class 0": "1"}], 5)),
            "deleted_rows": numbers.choice(([], [0], [-1], [10**9], ["x"], None)),
        }
        if numbers.random() < 0.2:
            del state[numbers.choice(list(state))]
        yield json.dumps(state)


def _choice(**state: Any) -> dict[str, Any]:
    return {"string_value": json.dumps({"selection": state})}


# what a widget may be sent: every type, and of each what no widget holds
VALUES: tuple[dict[str, Any], ...] = (
    {},
    {"bool_value": True},
    {"trigger_value": True},
    *({"int_value": value} for value in (-1, -(2**63), 2**63 - 1)),
    *({"double_value": value} for value in (-1.0, 0.5, 1e300, -1e300, math.nan, math.inf, -math.inf)),
    *({"double_array_value": DoubleArray(data=data)} for data in ([], [math.inf], [math.nan], [-1.0], [1e300, 2.0])),
    *({"int_array_value": SInt64Array(data=data)} for data in ([], [-1], [2**62])),
    *(
        {"string_array_value": StringArray(data=data)}
        for data in ([], [""], ["nobody offers this"], MARKUP, ["x"] * 999)
    ),
    *({"string_value": text} for text in ("", "nobody offers this", "-1", "NaN", "1e999", "é\u202e" * 3000, *MARKUP)),
    *({"string_value": text} for text in ("null", "[]", "{", '{"selection": 5}', '{"selection": {"points": [[]]}}')),
    _choice(points=[{"x": -1, "y": -1, "point_index": -1, "curve_number": -1}], rows=[-1], columns=[], cells=[]),
    _choice(points=[{"x": 1e9, "y": 1e9, "point_index": 10**9, "curve_number": 10**9}], rows=[10**9]),
    _choice(points=[{"x": "x", "y": None, "point_index": "x"}], rows=["x"], columns=["x"], cells=[["x"]]),
    _choice(points=[{"x": 0.5, "y": math.inf, "point_index": math.nan}], rows=[0.5, None, math.nan]),
    _choice(points=[{}], rows=None),
    {"json_value": "null"},
    {"json_value": "{"},
    {"json_value": '{"restored": 5, "edit": 5, "rested": 5}'},
    {"json_value": '{"restored": "\\n\\n{}", "edit": {"generation": 0}, "rested": {"label": -1}}'},
    {"json_trigger_value": '{"restored": ["x"]}'},
    {"json_trigger_value": '[{"event": "edit", "value": null}]'},
    {"bytes_value": b"\xff"},
    {"file_uploader_state_value": FileUploaderState(uploaded_file_info=[{"name": "x", "file_id": "../../x"}])},
)


def widget_value(numbers: random.Random, identifier: str) -> WidgetState:
    """A value for a widget, mostly of a type that it never has."""
    return WidgetState(id=identifier, **numbers.choice(VALUES))


def messages(seed: int, count: int) -> Iterator[bytes | str]:
    """Frames that are no message, or none that a browser sends."""
    numbers = random.Random(seed)
    rerun = BackMsg()
    rerun.rerun_script.query_string = "preset=worked-batch"
    rerun.rerun_script.page_script_hash = "no such page"
    rerun.rerun_script.fragment_id = "no such fragment"
    whole = rerun.SerializeToString()
    yield from ("a text frame", b"", whole, BackMsg(debug_shutdown_runtime=True).SerializeToString())
    yield BackMsg(debug_disconnect_websocket=True).SerializeToString()
    yield BackMsg(clear_cache=True).SerializeToString()
    yield BackMsg(set_run_on_save=True).SerializeToString()
    yield BackMsg(stop_script=True).SerializeToString()
    yield BackMsg(load_git_info=True).SerializeToString()
    for _ in range(count - 9):
        yield numbers.choice(
            (numbers.randbytes(numbers.randrange(2000)), _flipped(numbers, whole), _cut(numbers, whole), whole * 50)
        )
