"""Text that takes long to read: an error message for the doctor, pasted numbers, weights, names of classes."""

import functools
import itertools

from streamlit.proto.Common_pb2 import StringArray

from harness.attacks.attack import Attack, Outcome, Site, repeat
from harness.visitor import Visitor

REPEATED = ("nll_loss_index", "nll_loss", "assert ", "log_softmax", "index out of bounds", "nll_loss_out_frame ")
MESSAGE_CHARACTERS = (17_000, 100_000)
PASTED_CHARACTERS = 500_000
LONG_CHARACTERS = 1_900_000
SOURCES = {"paste": "Paste logits and target", "message": "Paste an error message"}


async def _examine(visitor: Visitor, source: str) -> None:
    if f"doctor_{source}" not in visitor.widgets and "doctor_logits" not in visitor.widgets:
        await visitor.set("doctor_source", string_array_value=StringArray(data=[SOURCES[source]]))


@functools.cache
def messages() -> list[str]:
    """Texts that a pattern with two greedy parts reads in quadratic time, or worse."""
    return [(word * (size // len(word) + 1))[:size] for size, word in itertools.product(MESSAGE_CHARACTERS, REPEATED)]


async def error_message(site: Site, outcome: Outcome) -> None:
    """Repeated beginnings of PyTorch's messages, for the doctor."""

    async def paste(visitor: Visitor, text: str) -> None:
        await _examine(visitor, "message")
        await visitor.set("doctor_message", string_value=text)

    await repeat(outcome, lambda: site.visitor("doctor"), paste, itertools.cycle(messages()))


@functools.cache
def numbers() -> str:
    """A table of 500 kB."""
    return "\n".join(["1.5, -2, 3e-4, 0.25"] * (PASTED_CHARACTERS // 20))


async def pasted_numbers(site: Site, outcome: Outcome) -> None:
    """500 kB of numbers as logits and as target, for the doctor."""

    async def paste(visitor: Visitor, number: int) -> None:
        await _examine(visitor, "paste")
        for key in ("doctor_logits", "doctor_target"):
            await visitor.set(key, string_value=f"{numbers()}\n{number}, 1, 1, 1")
            await visitor.settle()

    await repeat(outcome, lambda: site.visitor("doctor"), paste, itertools.count())


async def class_weights(site: Site, outcome: Outcome) -> None:
    """1.9 MB of class weights, in the doctor's line of text."""

    async def paste(visitor: Visitor, number: int) -> None:
        await _examine(visitor, "paste")
        await visitor.set("doctor_logits", string_value="1, 2, 3")
        await visitor.set("doctor_target", string_value="[2]")
        await visitor.set("doctor_weight", string_value=f"{number}, " + "1, " * (LONG_CHARACTERS // 3))

    await repeat(outcome, lambda: site.visitor("doctor"), paste, itertools.count())


async def class_names(site: Site, outcome: Outcome) -> None:
    """1.9 MB of class names, in the first page's box."""

    async def rename(visitor: Visitor, names: str) -> None:
        [*_former, key] = [key for key in visitor.widgets if key.startswith("class_names")]
        await visitor.set(key, string_value=names)

    texts = [what * (LONG_CHARACTERS // len(what)) for what in ("cat\n", "x", "<b>\n\n")]
    await repeat(outcome, site.visitor, rename, itertools.cycle(texts))


FAMILY = "text"
ATTACKS = (
    Attack(
        "error-message",
        FAMILY,
        "nll_loss_index × 1200 and the like, 17 and 100 kB, as an error message for the doctor",
        error_message,
        is_legal=True,
        is_refused=False,
        prepare=messages,
    ),
    Attack(
        "pasted-numbers", FAMILY, "500 kB of numbers, for the doctor", pasted_numbers, is_legal=True, prepare=numbers
    ),
    Attack("class-weights", FAMILY, "1.9 MB of class weights, in a line of text", class_weights),
    Attack("class-names", FAMILY, "1.9 MB of names of classes", class_names),
)
