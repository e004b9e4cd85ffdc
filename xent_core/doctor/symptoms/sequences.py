"""Language models: labels that are not the next token, padding that counts, prompts and boundaries that are learnt."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from xent_core.doctor.findings import Finding, finding
from xent_core.doctor.symptoms import chance
from xent_core.doctor.symptoms.call import Call
from xent_core.doctor.symptoms.context import Context
from xent_core.doctor.symptoms.sample import MAX_NUMBERS, MAX_ROWS
from xent_core.doctor.symptoms.wording import number_text
from xent_core.language import _

SHIFTS = ("labels-not-shifted", "labels-shifted-twice")
OFFSETS = (-2, -1, 0, 1, 2)
NEARLY_ALL = 0.99  # of the labels that are the token at an offset
FEWEST = 20


@dataclass(frozen=True, eq=False)
class Sequences:
    """Sequences of labels, (B, T), with what was given for the same places.

    Attributes:
      logits: (B, T, V), a view.
      labels, kept: (B, T).
      tokens: that went in, (B, T), or None.
      is_flat: whether the caller's logits are (B·T, V).
    """

    logits: Tensor
    labels: Tensor
    kept: Tensor
    tokens: Tensor | None
    is_flat: bool

    @classmethod
    def of(cls, call: Call, tokens: Tensor | None) -> Sequences | None:
        """None where the labels are no sequences: probabilities, or other shapes than (B, T), unless tokens say it."""
        if call.soft or call.one_row:
            return None
        if call.target.dim() == 2:
            return cls(call.logits.movedim(1, -1), call.target, call.kept, tokens, False)
        if call.target.dim() == 1 and tokens is not None:
            shape = tokens.shape
            return cls(
                call.logits.view(*shape, -1) if call.logits.is_contiguous() else call.logits.reshape(*shape, -1),
                call.target.view(shape),
                call.kept.view(shape),
                tokens,
                True,
            )
        return None

    def at(self, values: Tensor, offset: int) -> tuple[Tensor, Tensor]:
        """values[b, t + offset] for every place (b, t), and where there is such a place."""
        length = values.shape[1]
        places = torch.arange(length) + offset
        inside = (places >= 0) & (places < length)
        return values[:, places.clamp(0, max(length - 1, 0))], inside.expand_as(values)

    def losses(self) -> dict[int, float]:
        """The mean loss if the label of each place were the token at an offset, over some of the places."""
        assert self.tokens is not None
        found = {}
        places = self.kept.nonzero()
        count = min(len(places), MAX_ROWS, max(MAX_NUMBERS // self.logits.shape[-1], 1))
        some = places[torch.linspace(0, len(places) - 1, count, dtype=torch.float64).long()].unbind(1)
        log_probs = self.logits[some].double().log_softmax(-1)
        for offset in OFFSETS:
            tokens, inside = (one[some] for one in self.at(self.tokens, offset))
            fits = inside & (tokens >= 0) & (tokens < self.logits.shape[-1])
            if bool(fits.any()):
                found[offset] = float(F.nll_loss(log_probs[fits], tokens[fits]))
        return found


def find_in_sequences(call: Call, context: Context) -> Iterator[Finding]:
    """What labels in rows of tokens show, (B, T), or flattened where the tokens say how."""
    sequences = Sequences.of(call, context.tokens)
    if sequences is None:
        return
    yield from next_token(sequences)
    yield from padding_counted(sequences, call.options.ignore_index)
    if context.prompt_mask is not None:
        yield from prompt_not_masked(sequences, context.prompt_mask.view(sequences.labels.shape))
    if context.separator is not None:
        yield from boundary_crossed(sequences, context.separator)


def next_token(sequences: Sequences) -> Iterator[Finding]:
    """Labels that are the token itself, or the one after the next."""
    found = _by_tokens(sequences) if sequences.tokens is not None else _by_predictions(sequences)
    if found is not None:
        yield found


def _by_tokens(sequences: Sequences) -> Finding | None:
    """Where the tokens are known nothing has to be guessed."""
    assert sequences.tokens is not None
    shares = {}
    for offset in OFFSETS:
        tokens, inside = sequences.at(sequences.tokens, offset)
        counted = inside & sequences.kept
        if int(counted.sum()) >= FEWEST:
            shares[offset] = float((tokens == sequences.labels)[counted].double().mean())
    best = max(shares, key=lambda offset: (shares[offset], -abs(offset - 1)), default=1)
    if best == 1 or shares[best] < NEARLY_ALL or shares.get(1, 0.0) >= shares[best]:
        return None
    came = _("The label of place t is token {offset} in {percent:.1f} % of the places, the next one in {next:.1f} %.")
    words = came.format(
        offset=f"t{best:+d}".replace("-", "−") if best else "t",
        percent=100 * shares[best],
        next=100 * shares.get(1, 0.0),
    )
    losses = ", ".join(f"t{offset:+d}: {number_text(loss)}" for offset, loss in sequences.losses().items())
    words += " " + _("The mean loss against each: {losses}.").format(losses=losses.replace("-", "−"))
    return _shifted(sequences, not_shifted=best < 1, words=words, evidence=None, by=best)


def _by_predictions(sequences: Sequences) -> Finding | None:
    """The predictions fit the labels of the next place, or of the one before, far better than their own."""
    counted = sequences.kept
    places = counted.nonzero()
    if len(places) < FEWEST or sequences.labels.shape[1] < 4:
        return None
    predicted = torch.full_like(sequences.labels, -1)
    count = min(len(places), MAX_ROWS, max(MAX_NUMBERS // max(sequences.logits.shape[-1], 1), 1))
    # whole rows from the first on: a neighbour of a place has to be looked at too
    rows = max(count // sequences.labels.shape[1], 1)
    predicted[:rows] = sequences.logits[:rows].argmax(-1)
    seen: dict[int, tuple[int, float]] = {}
    for offset in OFFSETS:
        labels, inside = sequences.at(sequences.labels, offset)
        kept, _inside = sequences.at(sequences.kept, offset)
        use = inside & kept & counted & (predicted >= 0)
        ours, theirs = predicted[use], labels[use]
        size = int(max(ours.max(), theirs.max())) + 1 if len(ours) else 1
        counts = [torch.bincount(one, minlength=size).double() for one in (ours, theirs)]
        seen[offset] = int((ours == theirs).sum()), float(counts[0] @ counts[1]) / max(len(ours), 1)
    best = max((1, -1), key=lambda offset: seen[offset][0])
    matches, expected = seen[best]
    evidence = chance.matches(matches, expected) + math.log10(2) if matches > expected else 0.0
    if evidence > chance.LEVEL or matches < 2 * seen[0][0]:
        return None
    words = _(
        "The predictions are the label of the place {offset} in {matches} places, and their own in {own}."
    ).format(offset="t + 1" if best == 1 else "t − 1", matches=matches, own=seen[0][0])
    return _shifted(sequences, not_shifted=best == 1, words=words + chance.in_words(evidence), evidence=evidence)


def _shifted(sequences: Sequences, *, not_shifted: bool, words: str, evidence: float | None, by: int = 0) -> Finding:
    shape = "" if sequences.tokens is None or not sequences.is_flat else ".view_as(tokens)"
    end = ".flatten()" if sequences.is_flat else ""
    if not_shifted:
        return finding(
            "labels-not-shifted",
            "warning",
            words
            + " "
            + _("A model that sees the token it is to give learns to copy, and its loss falls to 0 for nothing."),
            f"target = F.pad({f'target{shape}' if by == 0 else 'tokens'}[:, 1:], (0, 1), value=ignore_index){end}",
            evidence,
        )
    first = "tokens[:, 1:2]" if sequences.tokens is not None else "torch.full_like(target[:, :1], ignore_index)"
    return finding(
        "labels-shifted-twice",
        "warning",
        words
        + " "
        + _("Models of transformers shift the labels themselves: labels that come shifted are shifted twice."),
        f"target = torch.cat([{first}, target{shape}[:, :-1]], dim=1){end}",
        evidence,
    )


def padding_counted(sequences: Sequences, ignore_index: int) -> Iterator[Finding]:
    """One label stands at one end of rows and nowhere else, several times in a row, and counts."""
    if sequences.is_flat and sequences.tokens is None:
        return
    turned = sequences.labels.flip(1), sequences.kept.flip(1)
    ends = [_only_at_the_end(sequences.labels, sequences.kept), _only_at_the_end(*turned)]
    found = [one for one in ends if one is not None]
    if not found:
        return
    evidence, label, rows = min(found)
    count = int(((sequences.labels == label) & sequences.kept).sum())
    yield from chance.where_rare(
        "padding-counted",
        "warning",
        _(
            "Label {label} stands at one end of {rows} rows and nowhere else: {count} times, {percent:.0f} % of all."
        ).format(label=label, rows=rows, count=count, percent=100 * count / int(sequences.kept.sum()))
        + " "
        + _("It looks like padding, which counts as a class that is easy to learn and makes the loss too low."),
        f"ignore_index = {label}"
        if not bool((sequences.labels == ignore_index).any())
        else f"target = target.masked_fill(target == {label}, ignore_index)",
        evidence,
    )


def _only_at_the_end(labels: Tensor, kept: Tensor) -> tuple[float, int, int] | None:
    """The label that is the last run of rows, and stands nowhere else: log10 of the probability, it, how many rows.

    Were the runs of a row in any other order, its run would be the last in one of as many orders as there are runs;
    a single label at the end may be what ends a text, and tells nothing.
    """
    seen: dict[int, tuple[float, int]] = {}
    elsewhere = set[int]()
    for row, counts in zip(labels, kept, strict=True):
        runs, lengths = torch.unique_consecutive(row[counts], return_counts=True)
        names = runs.tolist()
        elsewhere |= set(names[:-1])
        if len(names) > 1 and int(lengths[-1]) > 1:
            so_far, rows = seen.get(names[-1], (0.0, 0))
            seen[names[-1]] = so_far - math.log10(len(names)), rows + 1
    candidates = [(log10, label, rows) for label, (log10, rows) in seen.items() if label not in elsewhere and rows > 1]
    if not candidates:
        return None
    log10, label, rows = min(candidates)
    return log10 + math.log10(2 * len(seen)), label, rows


def prompt_not_masked(sequences: Sequences, prompt_mask: Tensor) -> Iterator[Finding]:
    """Places of the prompt that count."""
    counted = int((prompt_mask & sequences.kept).sum())
    if counted:
        mask = "prompt_mask.bool().flatten()" if sequences.is_flat else "prompt_mask.bool()"
        yield finding(
            "prompt-not-masked",
            "warning",
            _("{count} places of the prompt count in the loss, {percent:.0f} % of all that do.").format(
                count=counted, percent=100 * counted / int(sequences.kept.sum())
            )
            + " "
            + _("The model then learns to write prompts, and the mean says less about its answers."),
            f"target = target.masked_fill({mask}, ignore_index)",
        )


def boundary_crossed(sequences: Sequences, separator: int) -> Iterator[Finding]:
    """Places where the first token of the next text is to be told from the end of the one before."""
    if sequences.tokens is None:
        return
    crossing = (sequences.tokens == separator) & sequences.kept
    if count := int(crossing.sum()):
        mask = "(tokens == {0}).flatten()" if sequences.is_flat else "tokens == {0}"
        yield finding(
            "boundary-crossed",
            "note",
            _("At {count} places the label follows a separator {separator}: it begins another text.").format(
                count=count, separator=separator
            )
            + " "
            + _("Nothing before it tells what comes; packed rows leave such places out, and attention as well."),
            f"target = target.masked_fill({mask.format(separator)}, ignore_index)",
        )
