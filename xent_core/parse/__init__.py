"""Numbers and matrices out of text that people type or paste: parsed, never evaluated."""

from xent_core.parse.matrices import TextMatrix, TextTensor
from xent_core.parse.number import NUMBER, InvalidText, parse_number
from xent_core.parse.pasted_text import MAX_TEXT_CHARACTERS, parse_matrix, parse_tensor

__all__ = [
    "MAX_TEXT_CHARACTERS",
    "NUMBER",
    "InvalidText",
    "TextMatrix",
    "TextTensor",
    "parse_matrix",
    "parse_number",
    "parse_tensor",
]
