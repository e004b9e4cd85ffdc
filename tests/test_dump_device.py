"""The way through another device, without one: a stand-in that computes on the CPU and refuses to mix, as CUDA does."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from xent_core.dump import DumpSummary, InvalidDump, LossOptions, analyse, open_dump, passes, score
from xent_core.dump.passes import on_device

STAND_IN = "meta"  # a device that every build of PyTorch knows by name
OPTIONS = [
    {},
    {"label_smoothing": 0.1, "temperature": 2.0},
    {"weight": [1.0, 2.0, 0.5, 1.5, 3.0], "ignore_index": 2, "reduction": "sum"},
    {"weight": [1.0, 2.0, 0.5, 1.5, 3.0], "label_smoothing": 0.2},
]


class Elsewhere(Tensor):
    """A tensor that says that it lies on the other device; its numbers lie in `inner`."""

    inner: Tensor

    @staticmethod
    def __new__(cls, inner: Tensor) -> "Elsewhere":
        made: Elsewhere = Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=STAND_IN,
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(op, args, kwargs or {})


def computed(op: Callable[..., Any], args: Any, kwargs: dict[str, Any]) -> Any:
    """The operation on the numbers; its result lies where its tensors do, or where it is told to go."""
    tensors: list[Tensor] = []
    tree_map(lambda value: tensors.append(value) if isinstance(value, Tensor) else None, (args, kwargs))
    there = [tensor for tensor in tensors if isinstance(tensor, Elsewhere)]
    asked = kwargs.get("device")
    asked = None if asked is None else torch.device(asked).type
    name = op.__name__ if hasattr(op, "__name__") else str(op)
    is_transfer = "_to_copy" in name or name.startswith("copy_")
    if there and not is_transfer:
        stray = [tensor for tensor in tensors if not isinstance(tensor, Elsewhere) and tensor.ndim]
        if stray:
            raise RuntimeError(f"{name} mixes devices")
    goes_there = asked == STAND_IN or (asked is None and bool(there))
    if name.startswith("copy_"):
        goes_there = isinstance(args[0], Elsewhere)
    inner_args, inner_kwargs = tree_map(lambda v: v.inner if isinstance(v, Elsewhere) else v, (args, kwargs))
    if asked is not None:
        inner_kwargs["device"] = torch.device("cpu")
    result = op(*inner_args, **inner_kwargs)
    for given, inner in zip(args, inner_args, strict=True):
        if isinstance(given, Elsewhere) and result is inner:
            return given  # in place
    return tree_map(lambda v: Elsewhere(v) if goes_there and isinstance(v, Tensor) else v, result)


class Device(TorchDispatchMode):
    """Makes what is created on the stand-in be of it."""

    def __torch_dispatch__(self, op: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return computed(op, args, kwargs or {})


def draw() -> tuple[np.ndarray, np.ndarray]:
    chance = np.random.default_rng(2)
    return chance.normal(scale=2, size=(300, 5)).astype(np.float32), chance.integers(0, 5, 300)


def on_stand_in(options: dict[str, Any], **parts: Any) -> DumpSummary:
    with Device():
        return analyse(*draw(), device=STAND_IN, batch_rows=64, **options, **parts)


@pytest.mark.parametrize("options", OPTIONS)
def test_the_summary_from_another_device_is_that_of_the_cpu(options: dict[str, Any], tmp_path: Any) -> None:
    chance = np.random.default_rng(4)
    parts = {"sample_weight": chance.uniform(0.5, 2, 300), "features": chance.normal(size=(300, 3))}
    expected = analyse(*draw(), device="cpu", batch_rows=64, scores=tmp_path / "cpu.csv", **options, **parts)

    found = on_stand_in(options, scores=tmp_path / "there.csv", **parts)

    assert found.as_json().splitlines()[:-2] == expected.as_json().splitlines()[:-2]  # all but the seconds
    for name in ("support", "confusion", "mean_gradient", "net_push", "pair_share"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    assert (tmp_path / "there.csv").read_text() == (tmp_path / "cpu.csv").read_text()


def test_everything_that_is_scored_there_stays_there() -> None:
    with Device():
        batch = on_device(open_dump(*draw()).read(0, 50), STAND_IN)
        scores = score(batch, LossOptions())

    assert {type(value) for value in vars(scores).values() if isinstance(value, Tensor)} == {Elsewhere}


def test_the_stand_in_refuses_to_mix_devices() -> None:
    with Device(), pytest.raises(RuntimeError, match="mixes devices"):
        torch.ones(3, device=STAND_IN) + torch.ones(3)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(InvalidDump) as caught:
        analyse(*draw(), device="cuda:99")

    assert caught.value.code == "device"


def test_an_accelerator_is_used_if_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda check_available: torch.device(STAND_IN))
    seen: list[str] = []
    monkeypatch.setattr(passes, "on_device", lambda batch, device: seen.append(device) or on_device(batch, device))

    with Device():
        found = analyse(*draw())

    assert set(seen) == {STAND_IN}
    assert found.loss == analyse(*draw(), device="cpu").loss
