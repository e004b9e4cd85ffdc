"""The shortest decimals that read back as the same numbers."""

from __future__ import annotations

import torch
from torch import Tensor

_BFLOAT16_DIGITS = 4  # no bfloat16 needs more


def shortest_decimals(values: Tensor) -> list[str]:
    """Every number, in row-major order, as Python and JSON write a float: "1.0", "-0.25", "1e-30", "inf", "nan".

    `torch.tensor(float(text), dtype=values.dtype)` is that number again, bit for bit unless it is NaN.

    Example:
      >>> shortest_decimals(torch.tensor([0.1, -2.5, 1e-30]))
      ['0.1', '-2.5', '1e-30']
    """
    flat = values.detach().reshape(-1)
    # NumPy writes the shortest decimal of a type; it has no bfloat16
    texts = _bfloat16_texts(flat) if flat.dtype == torch.bfloat16 else [str(value) for value in flat.numpy()]
    read = torch.tensor([float(text) for text in texts], dtype=torch.float64).to(flat.dtype)
    # a decimal is rounded twice on its way to a narrow type, first to float64; that may miss by one
    missed = (read != flat) & ~flat.isnan()
    for index in missed.nonzero().flatten().tolist():
        texts[index] = repr(flat[index].item())
    return texts


def _bfloat16_texts(flat: Tensor) -> list[str]:
    values = flat.tolist()
    texts = [repr(value) for value in values]
    for digits in range(_BFLOAT16_DIGITS, 0, -1):
        shorter = [repr(float(f"{value:.{digits}g}")) for value in values]
        same = torch.tensor(list(map(float, shorter)), dtype=torch.float64).to(flat.dtype) == flat
        texts = [new if keeps else old for new, old, keeps in zip(shorter, texts, same.tolist(), strict=True)]
    return texts
