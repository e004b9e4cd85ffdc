"""IMPLEMENTATIONS: the ten ways by name, with their code, the form of the target they work on, and their pitfalls.

A new way is one function in `routes` and one entry here.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import Tensor

from xent_core.implementations.reasons import (
    LABELS,
    PROBABILITIES,
    Case,
    Reason,
    cancellation,
    lacks_entropy,
    log_of_zero,
    log_of_zero_by_hand,
    overflow,
    skips_zero_target,
    slope_of_log_zero,
    zero_times_log_zero,
    zero_times_minus_inf,
)
from xent_core.implementations.routes import (
    as_labels,
    as_probabilities,
    at_label,
    by_hand,
    closed_form,
    cross_entropy_on_labels,
    cross_entropy_on_probabilities,
    kl_div_loss,
    log_of_softmax_at_label,
    log_softmax_and_nll_loss,
    log_softmax_at_label,
    logsumexp_minus_logit,
    reduced,
    sum_of_y_log_softmax,
)
from xent_core.language import N_


@dataclass(frozen=True)
class Implementation:
    """A route to the loss.

    Attributes:
      name: what it is, in PyTorch's words; in English, to be shown through gettext.
      run: logits / T, target and the options that it knows → loss, or (loss, gradient) if it needs no autograd.
      reads: the form of the target that it works on, "labels" or "probabilities"; "" if it takes either as it is.
      pitfalls: what can go wrong in its numbers; of those that did, the first becomes a Reason.
    """

    name: str
    run: Callable[..., Tensor | tuple[Tensor, Tensor]]
    reads: str
    pitfalls: tuple[Callable[[Case], Reason | None], ...] = ()

    @cached_property
    def options(self) -> frozenset[str]:
        """The options of F.cross_entropy that it knows."""
        return frozenset(inspect.signature(self.run).parameters) - {"logits", "target"}

    @cached_property
    def code(self) -> str:
        """The source of what runs: the route, and below it the helpers that it calls."""
        functions: list[Any] = [self.run]
        for function in functions:  # grows while it is walked
            functions += [
                helper
                for name in function.__code__.co_names
                if (helper := HELPERS.get(name)) and helper not in functions
            ]
        return "\n\n".join(inspect.getsource(function) for function in functions)


HELPERS: dict[str, Callable[..., Tensor]] = {
    function.__name__: function for function in (as_labels, as_probabilities, at_label, reduced)
}

IMPLEMENTATIONS = (
    Implementation(N_("exp, sum, divide, log by hand"), by_hand, LABELS, (overflow, log_of_zero_by_hand)),
    Implementation(N_("−Σ y·log(softmax)"), sum_of_y_log_softmax, PROBABILITIES, (zero_times_log_zero, log_of_zero)),
    Implementation(
        N_("log(softmax) at the label"),
        log_of_softmax_at_label,
        LABELS,
        (log_of_zero, slope_of_log_zero, skips_zero_target),
    ),
    Implementation(N_("log_softmax at the label"), log_softmax_at_label, LABELS, (skips_zero_target,)),
    Implementation(N_("log_softmax + NLLLoss"), log_softmax_and_nll_loss, LABELS, (skips_zero_target,)),
    Implementation(N_("CrossEntropyLoss on class indices"), cross_entropy_on_labels, LABELS, (skips_zero_target,)),
    Implementation(
        N_("CrossEntropyLoss on probabilities"), cross_entropy_on_probabilities, PROBABILITIES, (zero_times_minus_inf,)
    ),
    Implementation(N_("logsumexp − z"), logsumexp_minus_logit, LABELS, (skips_zero_target, cancellation)),
    Implementation(N_("KLDivLoss on log_softmax"), kl_div_loss, PROBABILITIES, (lacks_entropy, zero_times_minus_inf)),
    Implementation(N_("closed form, no autograd"), closed_form, "", (skips_zero_target,)),
)
