"""The smallest input that shows a fault: fewest rows, classes and options, simplest numbers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from xent_core.check_loss.cases import Case

MOST_TRIES = 100
SHOWN_NUMBERS = 64
Fails = Callable[[Case], bool]


def smallest(case: Case, fails: Fails) -> Case:
    """A case, no larger than this one, that fails too; at most 100 are tried."""
    tries = 0

    def still_fails(smaller: Case) -> bool:
        nonlocal tries
        tries += 1
        try:
            return tries <= MOST_TRIES and fails(smaller)
        except Exception:  # a case that even F.cross_entropy refuses shows nothing
            return False

    while (smaller := next((one for one in _smaller(case) if still_fails(one)), None)) is not None:
        case = smaller
    return case


def _smaller(case: Case) -> Iterator[Case]:
    """Cases a step smaller, the largest steps first."""
    for name in case.options:
        yield replace(case, options={key: value for key, value in case.options.items() if key != name})
    if case.logits.dim() == 2:
        yield from _fewer_rows(case)
        yield from _fewer_classes(case)
    for digits in (0, 1):
        simple = case.logits.double().round(decimals=digits).to(case.logits.dtype)
        if not torch.equal(simple, case.logits):
            yield replace(case, logits=simple)
    if bool(case.logits.isfinite().all()):
        for flat in range(min(case.logits.numel(), SHOWN_NUMBERS)):
            if case.logits.reshape(-1)[flat] not in (0, 1):
                zeroed = case.logits.clone().reshape(-1)
                zeroed[flat] = 0
                yield replace(case, logits=zeroed.reshape(case.logits.shape))


def _fewer_rows(case: Case) -> Iterator[Case]:
    rows = len(case.logits)
    if rows > 1:
        for kept in (slice(None, rows // 2), slice(rows // 2, None)):
            yield replace(case, logits=case.logits[kept], target=case.target[kept])
    if 2 < rows <= SHOWN_NUMBERS:
        for row in range(rows):
            kept_rows = [other for other in range(rows) if other != row]
            yield replace(case, logits=case.logits[kept_rows], target=case.target[kept_rows])


def _fewer_classes(case: Case) -> Iterator[Case]:
    classes = case.logits.shape[1]
    weight = case.options.get("weight")
    if classes < 2 or case.target.is_floating_point() or case.options.get("ignore_index", -100) >= 0:
        return
    fewer = {classes // 2, classes - 1}
    for count in sorted(fewer):
        if count and int(case.target.max()) < count:
            options: dict[str, Any] = dict(case.options)
            if isinstance(weight, Tensor):
                options["weight"] = weight[:count]
            yield replace(case, logits=case.logits[:, :count], options=options)


def lines_of(case: Case, name: str) -> str:
    """The case as lines to paste, the loss under its name; empty where there are too many numbers."""
    if max(case.logits.numel(), case.target.numel()) > SHOWN_NUMBERS:
        return ""
    options = "".join(f", {key}={_literal(value)}" for key, value in case.options.items())
    return (
        f"logits = {_literal(case.logits)}.requires_grad_()\n"
        f"target = {_literal(case.target)}\n"
        f"{name}(logits, target{options}), torch.nn.functional.cross_entropy(logits, target{options})"
    )


def _literal(value: Any) -> str:
    if not isinstance(value, Tensor):
        return repr(value)
    numbers = repr(value.tolist()).replace("inf", 'float("inf")').replace("nan", 'float("nan")')
    dtype = "" if value.dtype in (torch.int64, torch.float32) else f", dtype={value.dtype}"
    return f"torch.tensor({numbers}{dtype})"
