"""Logits and labels of other libraries are taken, and what is refused comes with a fix that runs in that library."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pandas as pd
import pytest
import torch
import torch.nn.functional as F

from xent_core import InvalidProblem, Problem, diagnose, evaluate
from xent_core.advice import in_words_of

Z = [[2.0, 1.0, 0.5], [0.0, 3.0, 1.0]]
Y = [0, 2]
EXPECTED = float(F.cross_entropy(torch.tensor(Z), torch.tensor(Y)))
ROOT = Path(__file__).resolve().parents[1]


class OnlyDlpack:
    """As CuPy: it goes nowhere by itself, but hands on what it holds."""

    def __init__(self, values: Any) -> None:
        self._tensor = torch.tensor(values)

    def __dlpack__(self, **keywords: Any) -> object:
        return self._tensor.__dlpack__(**keywords)

    def __dlpack_device__(self) -> tuple[Any, Any]:
        return self._tensor.__dlpack_device__()


class OnlyArray:
    """As a tensor of TensorFlow."""

    def __init__(self, values: Any, dtype: Any) -> None:
        self._array = np.array(values, dtype)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return self._array


LOGITS: dict[str, Callable[[], Any]] = {
    "numpy": lambda: np.float32(Z),
    "numpy, big-endian": lambda: np.array(Z, ">f4"),
    "numpy, not contiguous": lambda: np.float32(Z).T.copy().T,
    "numpy, read-only": lambda: np.broadcast_to(np.float32(Z), (2, 3)),
    "bfloat16": lambda: np.array(Z, ml_dtypes.bfloat16),
    "jax": lambda: jnp.array(Z),
    "jax, bfloat16": lambda: jnp.array(Z, jnp.bfloat16),
    "DataFrame": lambda: pd.DataFrame(Z, columns=["a", "b", "c"]),
    "DataFrame of several dtypes": lambda: pd.DataFrame(Z).astype({0: "float32", 1: "Int64"}),
    "list": lambda: Z,
    "list of tensors": lambda: [torch.tensor(row, requires_grad=True) for row in Z],
    "tuple of arrays": lambda: tuple(np.float32(row) for row in Z),
    "list of lists of tensors": lambda: [[torch.tensor(x) for x in row] for row in Z],
    "dlpack": lambda: OnlyDlpack(Z),
    "__array__": lambda: OnlyArray(Z, np.float32),
    "numbers of NumPy": lambda: [[np.float32(x) for x in row] for row in Z],
}
LABELS: dict[str, Callable[[], Any]] = {
    **{str(dtype): lambda dtype=dtype: np.array(Y, dtype) for dtype in ("int8", "int16", "int32", "uint8", "uint32")},
    "big-endian": lambda: np.array(Y, ">i4"),
    "jax": lambda: jnp.array(Y),
    "Series": lambda: pd.Series(Y, index=[7, 9]),
    "Series of int32": lambda: pd.Series(Y, dtype="int32"),
    "Series of Int32": lambda: pd.Series(Y, dtype="Int32"),
    "objects": lambda: np.array(Y, object),
    "list": lambda: Y,
    "list of tensors": lambda: [torch.tensor(0), torch.tensor(2)],
    "list of int32": lambda: [np.int32(0), np.int32(2)],
    "dlpack": lambda: OnlyDlpack(Y),
    "__array__": lambda: OnlyArray(Y, np.int32),
}


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("logits", LOGITS)
def test_what_other_libraries_hold_is_taken(logits: str, labels: str) -> None:
    z, y = LOGITS[logits](), LABELS[labels]()
    tolerance = 2e-2 if "bfloat16" in logits else 1e-6

    assert float(evaluate(z, y).loss) == pytest.approx(EXPECTED, rel=tolerance)
    if logits != "list of tensors":  # which F.cross_entropy refuses, and Problem stacks
        assert not [one for one in diagnose(z, y) if one.severity == "error"]


def test_the_dtype_is_that_of_the_array() -> None:
    assert Problem(np.array(Z, ml_dtypes.bfloat16), Y).logits.dtype == torch.bfloat16
    assert Problem([np.float64(row) for row in Z], Y).logits.dtype == torch.float64
    assert Problem([torch.tensor(row, dtype=torch.float16) for row in Z], Y).logits.dtype == torch.float16
    assert Problem(Z, np.array(Y, np.int32)).target.dtype == torch.int64


@pytest.mark.parametrize(
    "target", [torch.tensor(Y, dtype=torch.int32), [torch.tensor(y, dtype=torch.int32) for y in Y]]
)
def test_a_tensor_of_int32_is_refused_as_by_pytorch(target: Any) -> None:
    with pytest.raises(InvalidProblem) as caught:
        Problem(Z, target)

    assert caught.value.code == "target-dtype"


def test_options_are_keywords_of_evaluate_as_of_diagnose() -> None:
    options: dict[str, Any] = {"weight": [1, 2, 3], "label_smoothing": 0.1, "reduction": "sum", "ignore_index": 2}
    expected = F.cross_entropy(torch.tensor(Z), torch.tensor(Y), **{**options, "weight": torch.tensor([1.0, 2, 3])})

    assert float(evaluate(Z, Y, **options).loss) == pytest.approx(float(expected))
    assert evaluate(Z, Y, temperature=2.0) == evaluate(Problem(Z, Y, temperature=2.0))
    with pytest.raises(TypeError, match="logits and target"):
        evaluate(Z)  # type: ignore[call-overload]  # what mypy would tell is told at run time too
    with pytest.raises(TypeError, match="options already"):
        evaluate(Problem(Z, Y), reduction="sum")  # type: ignore[call-overload]  # as above


INT32 = torch.int32
REFUSED: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "torch int32": (torch.tensor(Z), torch.tensor(Y, dtype=INT32), {}),
    "torch labels 2.0": (torch.tensor(Z), torch.tensor([0.0, 2.0]), {}),
    "numpy labels 2.0": (np.float32(Z), np.array([0.0, 2.0]), {}),
    "jax labels 2.0": (jnp.array(Z), jnp.array([0.0, 2.0]), {}),
    "pandas labels 2.0": (pd.DataFrame(Z), pd.Series([0.0, 2.0]), {}),
    "list labels 2.0": (Z, [0.0, 2.0], {}),
    "torch int logits": (torch.tensor([[1, 2, 3]]), torch.tensor([0]), {}),
    "sparse logits": (torch.tensor(Z).to_sparse(), torch.tensor(Y), {}),
    "sparse target": (torch.tensor(Z), torch.tensor(Y).to_sparse(), {}),
    "complex logits": (torch.tensor(Z, dtype=torch.complex64), torch.tensor(Y), {}),
    "bool logits": (np.array([[True, False]]), [0], {}),
    "one-hot": (torch.tensor(Z), torch.tensor([[1, 0, 0], [0, 0, 1]]), {}),
    "numpy one-hot": (np.float32(Z), np.array([[1, 0, 0], [0, 0, 1]]), {}),
    "list one-hot": (Z, [[1, 0, 0], [0, 0, 1]], {}),
    "column": (torch.tensor(Z), torch.tensor(Y)[:, None], {}),
    "numpy column": (np.float32(Z), np.array(Y)[:, None], {}),
    "DataFrame of labels": (np.float32(Z), pd.DataFrame({"y": Y}), {}),
    "list column": (Z, [[0], [2]], {}),
    "class axis last": (torch.zeros(2, 4, 3), torch.zeros(2, 4, dtype=torch.int64), {}),
    "numpy class axis last": (np.zeros((2, 4, 3), np.float32), np.zeros((2, 4), int), {}),
    "classes first": (torch.tensor(Z).T, torch.tensor(Y), {}),
    "numpy classes first": (np.float32(Z).T, np.array(Y), {}),
    "image, flat target": (torch.zeros(2, 3, 4, 5), torch.zeros(40, dtype=torch.int64), {}),
    "numpy image, flat target": (np.zeros((2, 3, 4, 5), np.float32), np.zeros(40, int), {}),
    "volume without a batch": (torch.zeros(3, 4, 5, 6), torch.zeros(4, 5, 6, dtype=torch.int64), {}),
    "numpy volume without a batch": (np.zeros((3, 4, 5, 6), np.float32), np.zeros((4, 5, 6), int), {}),
    "labels from 1": (torch.tensor(Z), torch.tensor([1, 3]), {}),
    "list labels from 1": (Z, [1, 3], {}),
    "swapped": (torch.tensor(Y), torch.tensor(Z), {}),
    "swapped arrays": (np.array(Y), np.float32(Z), {}),
    "swapped lists": (Y, Z, {}),
    "weight of another dtype": (torch.tensor(Z), torch.tensor(Y), {"weight": torch.tensor([1, 2, 3])}),
    "numpy weight of another dtype": (np.float32(Z), np.array(Y), {"weight": np.array([1.0, 2.0, 3.0])}),
    "list of two lengths": ([torch.zeros(2), torch.zeros(3)], [0, 1], {}),
    "nested tensor": (
        torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)], layout=torch.jagged),
        torch.tensor([0, 1]),
        {},
    ),
    "DataFrame with texts": (pd.DataFrame(Z).assign(name="a"), Y, {}),
    "dict": ({"logits": torch.tensor(Z)}, Y, {}),
    "255 to leave out": (torch.tensor(Z), torch.tensor([0, 255]), {}),
    "one row without a batch axis": (torch.tensor(1.0), torch.tensor(0), {}),
}
CODE = re.compile(r"(?:torch\.|np\.|logits|target|weight|ignore_index=)[\w.\[\]()'\", =:;-]*")


def applied(fix: str, values: dict[str, Any]) -> None:
    """Does what the sentence says: its first piece of code becomes the argument that it is about."""
    if "logits, target = target, logits" in fix:
        values["logits"], values["target"] = values["target"], values["logits"]
        return
    for code in re.split(r" and (?=logits|target|np\.)", fix.split(": ", 1)[-1].rstrip(".").split(", or ")[0]):
        found = CODE.search(code)
        assert found is not None, fix
        code = found[0].rstrip(" ,.")
        if code.startswith("ignore_index="):
            values["ignore_index"] = int(code.partition("=")[2])
            continue
        name = re.findall(r"\b(logits|target|weight)\b", code)[0]
        values[name] = eval(code, {"torch": torch, "np": np, **values})  # our own advice: this is the test


@pytest.mark.parametrize("case", REFUSED)
def test_a_fix_does_what_it_says_in_the_library_that_the_value_came_from(case: str) -> None:
    logits, target, options = REFUSED[case]
    values = {"logits": logits, "target": target, **options}
    with pytest.raises(InvalidProblem):
        evaluate(logits, target, **options)
    for _ in range(3):  # a mistake may hide another
        try:
            others = {name: value for name, value in values.items() if name not in ("logits", "target")}
            result = evaluate(values["logits"], values["target"], **others)
        except InvalidProblem as error:
            applied(error.fix, values)
        else:
            assert result.loss.dim() == 0
            return
    raise AssertionError(values)


def test_advice_never_flattens_what_has_its_classes_elsewhere() -> None:
    for shape in ((2, 3, 4, 5), (3, 4, 5, 6), (2, 3, 4)):
        for target in (torch.zeros(7), torch.zeros(40, dtype=torch.int64), torch.zeros(2, 9, dtype=torch.int64)):
            for finding in diagnose(torch.zeros(shape), target):
                assert "reshape(-1" not in finding.explanation + finding.fix.replace("target = target.reshape(-1", "")


def test_a_sentence_without_code_stays() -> None:
    sentence = "Correct the label, or add a class."

    assert in_words_of(np.zeros(1), "target", sentence) == sentence


SCRIPT = """
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pandas as pd
import torch
from xent_core import Evaluation, Finding, Problem, check_loss, diagnose, evaluate, gradient_check
from xent_core.dump import DumpSummary, analyse
from xent_core.codec import from_token, to_token

logits, target = torch.zeros(2, 3), torch.tensor([0, 1])
result: Evaluation = evaluate(logits, target, reduction="sum", label_smoothing=0.1)
other: Evaluation = evaluate(Problem([[1, 2.5, 3], [0, 0, 1]], [2, 0], weight=[1, 2, 0.5]))
evaluate(np.zeros((2, 3), np.float32), np.array([0, 1], np.int32))
evaluate(pd.DataFrame({"a": [1.0], "b": [2.0]}), pd.Series([1]))
evaluate(jnp.zeros((2, 3)), jnp.array([0, 1]))
evaluate([torch.zeros(3), torch.zeros(3)], [0, 1])
loss: torch.Tensor = result.loss
findings: list[Finding] = diagnose(logits, target)
summary: DumpSummary = analyse(Path("logits.npy"), "labels.npy", rank_by="margin", scores=Path("s.csv"))
accuracy: float = summary.accuracy
again: Problem = from_token(to_token(result.problem))
passed: bool = check_loss(torch.nn.functional.cross_entropy).passed
agrees: bool = gradient_check(again).agrees
"""
WRONG = {
    'evaluate(logits, target, reduction="avg")': 'No overload variant of "evaluate"',
    "result.grad_logit": 'has no attribute "grad_logit"',
    "evaluate(logits, target, label_smoothin=0.1)": 'No overload variant of "evaluate"',
    "evaluate(object(), target)": "evaluate",
    'analyse("l.npy", rank_by="loudness")': "rank_by",
    "analyse(1 + 1j)": "analyse",
    "result.loss = loss": "read-only",
}


@pytest.mark.long
def test_a_users_script_is_checked_by_mypy(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    script = tmp_path / "script.py"
    lines = SCRIPT.strip().splitlines()
    script.write_text("\n".join([*lines, *WRONG]) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--no-incremental", "--no-pretty"]
    environment = {"MYPYPATH": str(ROOT), "PATH": ""}

    ran = subprocess.run(
        [*command, "--follow-imports=silent", str(script)],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
    )

    found = {int(line.split(":")[1]): line for line in ran.stdout.splitlines() if "error:" in line}
    assert set(found) == set(range(len(lines) + 1, len(lines) + 1 + len(WRONG))), ran.stdout + ran.stderr
    for line, words in zip(sorted(found), WRONG.values(), strict=True):
        assert words in found[line]


@pytest.mark.long
def test_check_loss_is_the_function_whatever_is_imported_first() -> None:
    for first in ("import xent_core.check_loss", "from xent_core.check_loss import standard_cases", ""):
        code = f"{first}\nfrom xent_core import check_loss\nimport xent_core\n"
        code += "assert callable(check_loss) and xent_core.check_loss is check_loss\n"
        ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=300)
        assert ran.returncode == 0, ran.stderr
