"""Losses that overflow and gradients that vanish in float16 and bfloat16, by the same call in float32."""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import partial

import torch

from xent_core.autograd import loss_and_gradient
from xent_core.doctor.findings import Finding, finding
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.measures import Measures
from xent_core.doctor.symptoms.wording import number_text
from xent_core.language import _
from xent_core.validation import dtype_name

# a tenth of Σ|∂L/∂z|: rounding loses far less; right and confident rows beside wrong ones lose less too
VANISHED_SHARE = 0.1


def lost_in_half_precision(call: Call, measures: Measures) -> Iterator[Finding]:
    """What the same call gives in float32: 16 bits may end at 65504, or lose p − y to rounding."""
    dtype = call.logits.dtype
    fix = "logits = logits.float()" + call.weight_cast("float")
    if dtype == torch.float16 and measures.not_finite:
        infinite = sum(int((call.logits[piece] == math.inf).sum()) for piece in call.pieces())
        if infinite:
            yield finding(
                "half-precision-overflow",
                "warning",
                _(
                    "Logits that are +∞: {count}. float16 ends at 65504, and what is larger overflows to infinity."
                ).format(count=infinite)
                + " "
                + _("Compute the last layer in float32 or bfloat16; the numbers themselves are lost here."),
                "logits = logits.float().clamp(max=65504)" + call.weight_cast("float"),
            )
            return
    total, lost, whole = _exact_against_half(call)
    if call.denominator == 0 or not math.isfinite(total):
        return
    exact = total / call.denominator
    loss = _whole_loss(call)
    if not math.isfinite(loss) or call.denominator > torch.finfo(dtype).max:
        yield finding(
            "half-precision-overflow",
            "warning",
            _("In {dtype} the loss is {loss}, in float32 it is {exact}.").format(
                dtype=dtype_name(call.logits), loss=number_text(loss), exact=number_text(exact)
            )
            + " "
            + _(
                "Somewhere on the way a number exceeds {largest}: the row losses add up to {total} over {rows} rows."
            ).format(largest=number_text(torch.finfo(dtype).max), total=number_text(total), rows=call.num_kept)
            + (" " + _("label_smoothing first adds −log p of every class.") if call.options.smoothing else ""),
            fix,
        )
    if whole > 0 and lost / whole > VANISHED_SHARE:
        yield finding(
            "half-precision-vanishing-gradient",
            "warning",
            _(
                "{percent:.0f} % of the gradient (of Σ|∂L/∂z| = {whole}) is exactly 0 in {dtype}, and not in float32."
            ).format(percent=100 * lost / whole, whole=number_text(whole), dtype=dtype_name(call.logits))
            + " "
            + _("p rounds to 1 beside it, or the entry is smaller than {smallest}.").format(
                smallest=number_text(torch.finfo(dtype).smallest_normal * torch.finfo(dtype).eps)
            ),
            fix,
        )


def _exact_against_half(call: Call) -> tuple[float, float, float]:
    """Σ of the row losses in float32; Σ|∂L/∂z| of the entries that are 0 in the dtype only; Σ|∂L/∂z| of all."""
    total = lost = whole = 0.0
    for piece in call.pieces():
        start = 1 / call.denominator if call.denominator else 1.0
        losses, grads = torch.empty(0), []
        for dtype in (call.logits.dtype, torch.float32):
            losses, grad = loss_and_gradient(
                call.logits[piece], partial(call.row_losses, piece, dtype), dtype=dtype, upstream=start
            )
            grads.append(grad)
        total += float(losses.double().sum())
        size = grads[1].abs()
        whole += float(size.double().sum())
        lost += float(size[grads[0] == 0].double().sum())
    return total, lost, whole


def _whole_loss(call: Call) -> float:
    """The loss as PyTorch gives it in the dtype that came; for "none" the largest row loss."""
    loss = call.options.cross_entropy(call.logits, call.target)
    return float(loss) if loss.dim() == 0 and call.options.reduction != "none" else float(loss.max())
