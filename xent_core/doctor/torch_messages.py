"""recognise: which mistake an error message of PyTorch comes from, and where in a text it stands."""

from __future__ import annotations

import re

# What PyTorch writes, CPU and CUDA, and the codes that fit, best first; the more telling patterns stand first.
# They meet one line of lower case with single spaces. Whatever repeats is bounded, or stands behind \A:
# so the time grows as the text does, and no faster, whoever wrote it.
PATTERNS = tuple(
    (re.compile(pattern), codes)
    for pattern, codes in (
        (r"expected floating point type for target with class probabilities", ("int-one-hot", "logits-shape")),
        (r"expected target dtype to be long or byte", ("target-dtype",)),
        (r"expected scalar type long but found", ("target-dtype",)),
        (r"gather\(\): expected dtype int", ("target-dtype",)),
        (r"nll_loss\w{0,60}+ (?:is )?not implemented for '(?:int|short|char|bool)'", ("target-dtype",)),
        (
            r"nll_loss\w{0,60}?_(?:index|out_frame)[^ ]{0,60}+ not implemented for '(?:int|short|char|bool)'",
            ("target-dtype",),
        ),
        (r"multi-target not supported", ("target-shape", "int-one-hot")),
        (r"for 1d input, 1d target must have size 1", ("target-shape",)),
        (r"only batches of spatial targets supported", ("target-shape", "class-axis")),
        (r"expected target size ", ("class-axis", "target-shape")),
        (r"size mismatch \(got input: \[\d{1,20}\], target: \[1\]", ("target-shape",)),  # of backward()
        (r"size mismatch \(got input", ("class-axis", "target-shape", "logits-shape")),
        (r"output with shape \[\] doesn't match the broadcast shape \[1\]", ("target-shape",)),
        (r"expected input batch_size", ("batch-mismatch", "class-axis", "target-shape")),
        (r"dimension out of range \(expected to be in range of \[-1, 0\], but got 1\)", ("logits-shape",)),
        # never a swapped axis alone: PyTorch checks the shape first, and where that fits, all labels are in range
        (r"target -?\d{1,20} is out of bounds", ("target-out-of-range",)),
        (r"t >= 0 && t < n_classes|cur_target >= 0|nll_loss\w{0,60}?_no_reduce", ("target-out-of-range",)),
        (r"\A(?=.*index out of bounds).*assert", ("target-out-of-range",)),
        (r"device-side assert triggered", ("target-out-of-range",)),
        (r"weight tensor should be defined (?:either )?for all", ("weight-shape",)),
        (r"expected scalar type (?:float|double|half|bfloat16) but found", ("weight-dtype",)),
        (r"ignore_index is not supported for floating point target", ("soft-target-ignore-index",)),
        (r"is not a valid value for reduction", ("reduction",)),
        (r"label_smoothing must be between", ("label-smoothing",)),
        (r"argument 'label_smoothing'", ("label-smoothing",)),
        (r"argument 'ignore_index'", ("ignore-index",)),
        (r"overflow when unpacking long", ("ignore-index",)),
        (r"argument 'input'", ("logits-type",)),
        (r"argument 'target'", ("target-type",)),
        (r"argument 'weight'", ("weight-type",)),
        (r"log_softmax\w{0,60}+\"? not implemented for|'aten::_log_softmax'", ("logits-dtype",)),
        (r"'aten::nll_loss", ("target-dtype",)),
        (r"'aten::view' with arguments from the 'sparse", ("weight-dtype", "target-dtype")),
    )
)
# a message is a few lines; a whole log may be pasted, and is looked through up to here
LONGEST = 100_000


def recognise(message: str) -> tuple[str, ...]:
    """The codes of TITLES that fit an error message of PyTorch, best first; empty if none does.

    Args: message: one line, a whole traceback, or a log; its case and line breaks do not matter.
    Example:
      >>> recognise("IndexError: Target 3 is out of bounds.")
      ('target-out-of-range',)
    """
    text = one_line(message).lower()
    found = [codes for pattern, codes in PATTERNS if pattern.search(text)]
    best, others = [codes[0] for codes in found], [code for codes in found for code in codes[1:]]
    return tuple(dict.fromkeys(best + others))


def say_the_same(message: str, other: str) -> bool:
    """Whether two messages are one of PyTorch's, up to the numbers and names in it.

    Example:
      >>> say_the_same("IndexError: Target 3 is out of bounds.", "Target 10 is out of bounds.")
      True
    """
    first, second = one_line(message).lower(), one_line(other).lower()
    return any(pattern.search(first) and pattern.search(second) for pattern, _codes in PATTERNS)


def one_line(message: str) -> str:
    """The end of a text as one line with single spaces, as the patterns meet it but for its case."""
    return " ".join(message[-LONGEST:].split())
