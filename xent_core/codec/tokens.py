r"""A Problem as a short text for the address bar, exact to the last bit.

A token of version 1 is the character "1" and base64url, without "=", of a zlib stream of at most MAX_BODY bytes of
ASCII text, whose fields are separated by ";"::

    logits; target[; w weight][; i ignore_index][; r reduction][; e label_smoothing][; t temperature]

Options at their default are left out.
Each of the three tensors is the letter of its dtype, for logits the sizes of the axes, and the numbers:

    f3,3:1,2,3,1,2,3,1,2,3     float32 (3, 3), decimals
    f2,2/3:1500,-inf,2e9,nan   the same, but whole numbers count units of 10^-3
    f2,2/1x0ff6140a            1.5, -1, 2, 1: units of 10^-1 in hexadecimal, two's complement, all of one width
    f2,2x3fc00000…             the bits in hexadecimal

A target of class indices and a target of probabilities differ by the letter alone; their shapes follow from the logits.
Whichever form is the shortest once deflated is written, and any is read.
"""

from __future__ import annotations

import base64
import math
import re
import zlib
from collections import Counter
from collections.abc import Sequence
from decimal import Decimal

import torch
from torch import Tensor

from xent_core.arrays import Reduction
from xent_core.codec.refusals import InvalidToken, TokenTooLong
from xent_core.codec.tensors import is_shape, range_of
from xent_core.decimals import shortest_decimals
from xent_core.language import _
from xent_core.problem import InvalidProblem, Problem

VERSION = "1"
MAX_TOKEN = 6_000  # characters: proxies cut addresses at 8 kB
MAX_BODY = 64_000  # bytes after inflation, which is a table of 64 × 64 with all its digits
MAX_TOKEN_NUMBERS = MAX_BODY // 2

_LETTERS = {
    torch.float64: "d",
    torch.float32: "f",
    torch.bfloat16: "b",
    torch.float16: "h",
    torch.int64: "q",
    torch.int32: "i",
    torch.int16: "s",
    torch.int8: "c",
    torch.uint64: "Q",
    torch.uint32: "I",
    torch.uint16: "S",
    torch.uint8: "C",
    torch.bool: "o",
}
_DTYPES = {letter: dtype for dtype, letter in _LETTERS.items()}
_BITS = {2: torch.int16, 4: torch.int32, 8: torch.int64}
_REDUCTIONS: dict[str, Reduction] = {"n": "none", "s": "sum", "m": "mean"}
_MAX_POINT = 20
_MAX_WIDTH = 17  # hexadecimal digits: beyond uint64

_TENSOR = re.compile(
    r"(?P<letter>[a-zA-Z])(?P<shape>[0-9,]*)(?:/(?P<point>[0-9]{1,2}))?(?:x(?P<digits>[0-9a-f]*)|:(?P<values>[^;]*))"
)
_SHAPE = re.compile(r"[0-9]{1,9}(?:,[0-9]{1,9})*")
_WHOLE = re.compile(r"-?[0-9]{1,20}")
_REAL = re.compile(r"-?[0-9]{1,20}(?:\.[0-9]{1,400})?(?:e[+-]?[0-9]{1,4})?|-?inf|nan")
_OPTION = re.compile(r"([wiret])(.*)", re.DOTALL)


def to_token(problem: Problem) -> str:
    """The Problem as URL-safe text of at most MAX_TOKEN characters.

    Raises: TokenTooLong if the Problem holds more than that.
    Example:
      >>> problem = Problem([[1, 2, 3]], [2])
      >>> from_token(to_token(problem)) == problem
      True
    """
    if not is_shape(problem.logits.shape, max_numbers=MAX_TOKEN_NUMBERS):
        raise _too_long(_("logits of shape {shape}").format(shape=tuple(problem.logits.shape)))
    fields = [_tensor_text(problem.logits, problem.logits.shape), _tensor_text(problem.target)]
    if problem.weight is not None:
        fields.append("w" + _tensor_text(problem.weight))
    if problem.ignore_index != -100:
        fields.append(f"i{problem.ignore_index}")
    if problem.reduction != "mean":
        fields.append(f"r{problem.reduction[0]}")
    if repr(problem.label_smoothing) != "0.0":
        fields.append(f"e{problem.label_smoothing!r}")
    if problem.temperature != 1.0:
        fields.append(f"t{problem.temperature!r}")
    body = ";".join(fields)
    token = VERSION + base64.urlsafe_b64encode(_deflated(body)).decode("ascii").rstrip("=")
    if len(body) > MAX_BODY or len(token) > MAX_TOKEN:
        raise _too_long(_("a link of {length} characters").format(length=f"{len(token):,}"))
    return token


def from_token(token: str) -> Problem:
    """The Problem that `to_token` wrote, in this version or an earlier one.

    The length is checked before anything is decoded, and inflation stops at MAX_BODY bytes.
    Raises: InvalidToken for everything else.
    """
    body = _inflated(_packed(token))
    fields = body.split(";")
    if len(fields) < 2:
        raise _damaged(_("the link holds no logits and target"))
    logits = _read_tensor(fields[0], None)
    shape = list(logits.shape)
    row_shape = shape[1:] if len(shape) == 1 else shape[:1] + shape[2:]
    target_is_floating = fields[1][:1] in "dfbh"
    target = _read_tensor(fields[1], shape if target_is_floating else row_shape)
    found: dict[str, str] = {}
    for field in fields[2:]:
        match = _OPTION.fullmatch(field)
        if match is None or match[1] in found:
            raise _damaged(_("an option in the link cannot be read"))
        found[match[1]] = match[2]
    num_classes = shape[0 if len(shape) == 1 else 1] if shape else 0
    try:
        return Problem(
            logits,
            target,
            weight=_read_tensor(found["w"], [num_classes]) if "w" in found else None,
            ignore_index=_whole(found.get("i", "-100")),
            reduction=_reduction(found.get("r", "m")),
            label_smoothing=_real(found.get("e", "0")),
            temperature=_real(found.get("t", "1")),
        )
    except InvalidProblem as error:
        raise InvalidToken(error.came, error.expected, error.fix) from error


def _packed(token: str) -> bytes:
    if not isinstance(token, str) or not token:
        raise _damaged(_("the link holds no text"))
    if len(token) > MAX_TOKEN:
        raise _damaged(_("the link has {length} characters").format(length=f"{len(token):,}"))
    if not re.fullmatch(r"[A-Za-z0-9_-]+", token):
        raise _damaged(_("the link has characters that do not belong there"))
    if token[0] != VERSION:
        raise InvalidToken(
            _("the link is of version {version!r}").format(version=token[0]),
            _("version {version}").format(version=VERSION),
            _("Ask for the link again, or open it where it was made."),
        )
    text = token[1:]
    if len(text) % 4 == 1:
        raise _damaged(_("the link is cut off"))
    packed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    if base64.urlsafe_b64encode(packed).decode("ascii").rstrip("=") != text:
        raise _damaged(_("the link is cut off or damaged at its end"))
    return packed


def _deflated(text: str) -> bytes:
    # digits without a pattern are shorter without the search for repetitions
    packed = []
    for strategy in (zlib.Z_DEFAULT_STRATEGY, zlib.Z_HUFFMAN_ONLY):
        deflater = zlib.compressobj(9, strategy=strategy)
        packed.append(deflater.compress(text.encode("ascii")) + deflater.flush())
    return min(packed, key=len)


def _inflated(packed: bytes) -> str:
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(packed, MAX_BODY + 1)
        text = body.decode("ascii")
    except (zlib.error, UnicodeDecodeError) as error:
        raise _damaged(_("the link is damaged")) from error
    if len(body) > MAX_BODY:
        raise _damaged(_("the link unfolds to more than {limit} bytes").format(limit=f"{MAX_BODY:,}"))
    if not inflater.eof or inflater.unused_data:
        raise _damaged(_("the link is cut off or has more at its end"))
    return text


def _tensor_text(tensor: Tensor, shape: Sequence[int] = ()) -> str:
    """One field: the form that is the shortest once deflated, of those that are exact."""
    head = _LETTERS[tensor.dtype] + ",".join(map(str, shape))
    if tensor.is_floating_point():
        bits = tensor.contiguous().view(_BITS[tensor.element_size()]).reshape(-1).tolist()
        forms = [head + form for form in _decimal_forms(shortest_decimals(tensor))]
        read = (_read_tensor(form, None if shape else tensor.shape) for form in forms)
        exact = [form for form, other in zip(forms, read, strict=True) if _same_bits(tensor, other)]
        forms = [*exact, f"{head}x{_hexadecimal(bits, 2 * tensor.element_size())}"]
    else:
        whole = [int(value) for value in tensor.reshape(-1).tolist()]
        forms = [f"{head}:{','.join(map(str, whole))}", f"{head}/0x{_hexadecimal(whole, _width(whole))}"]
    return min(forms, key=lambda form: len(_deflated(form)))


def _decimal_forms(texts: list[str]) -> list[str]:
    """Numbers as ":1,2,3" and, in units of 10^-1, as "/1:15,20" and "/1x0f14"; of these what makes sense."""
    points = Counter(-int(Decimal(text).as_tuple().exponent) for text in texts if text[-1] not in "fn")
    finest = max(points, default=0)
    usual = [point for point, _count in points.most_common(1)]
    forms = []
    for point in sorted({0, *usual, finest}):
        if 0 <= point <= _MAX_POINT:
            cells = {text: _cell(text, point) for text in set(texts)}
            forms.append((f"/{point}:" if point else ":") + ",".join(cells[text] for text in texts))
            if all(map(_WHOLE.fullmatch, cells.values())):
                units = [int(cells[text]) for text in texts]
                forms.append(f"/{point}x{_hexadecimal(units, _width(units))}")
    return forms


def _cell(text: str, point: int) -> str:
    """One number where whole numbers count units of 10^-point."""
    if text[-1] in "fn":
        return text
    scaled = Decimal(text).scaleb(point)
    whole = f"{scaled:.0f}"
    if scaled == scaled.to_integral_value() and _WHOLE.fullmatch(whole):
        return whole
    short = text.removesuffix(".0")
    return f"{short}e0" if _WHOLE.fullmatch(short) else short


def _width(units: list[int]) -> int:
    """How many hexadecimal digits hold each of them in two's complement."""
    return max((max(unit, ~unit).bit_length() // 4 + 1 for unit in units), default=1)


def _hexadecimal(units: list[int], width: int) -> str:
    return "".join(f"{unit % 16**width:0{width}x}" for unit in units)


def _same_bits(first: Tensor, second: Tensor) -> bool:
    bits = _BITS[first.element_size()]
    return torch.equal(first.contiguous().view(bits), second.contiguous().view(bits))


def _read_tensor(text: str, shape: Sequence[int] | None) -> Tensor:
    """The tensor in one field; the shape is read from the field itself where it is None."""
    match = _TENSOR.fullmatch(text)
    if match is None or match["letter"] not in _DTYPES or bool(match["shape"]) != (shape is None):
        raise _damaged(_("a tensor in the link cannot be read"))
    dtype = _DTYPES[match["letter"]]
    if shape is None:
        if not _SHAPE.fullmatch(match["shape"]):
            raise _damaged(_("a shape in the link cannot be read"))
        shape = [int(size) for size in match["shape"].split(",")]
    if not is_shape(shape, max_numbers=MAX_TOKEN_NUMBERS):
        raise _damaged(_("a tensor in the link is too large"))
    count = math.prod(shape)
    if match["digits"] is not None and match["point"] is None:
        return _from_bits(match["digits"], dtype, count).reshape(list(shape))
    point = int(match["point"] or 0)
    if match["digits"] is not None:
        values = [str(unit) for unit in _units(match["digits"], count)]
    else:
        values = match["values"].split(",") if match["values"] else []
    if len(values) != count:
        raise _damaged(_("the link has {came} numbers for {count}").format(came=len(values), count=count))
    if not dtype.is_floating_point:
        return _integers(values, dtype).reshape(list(shape))
    numbers = [_real(f"{value}e-{point}" if _WHOLE.fullmatch(value) else value) for value in values]
    return torch.tensor(numbers, dtype=torch.float64).to(dtype).reshape(list(shape))


def _units(digits: str, count: int) -> list[int]:
    """Numbers in two's complement, all with as many digits."""
    width = len(digits) // max(count, 1)
    if width * count != len(digits) or width > _MAX_WIDTH:
        raise _damaged(_("the link has digits that do not fit"))
    modulus = 16**width
    numbers = (int(digits[start : start + width], 16) for start in range(0, len(digits), max(width, 1)))
    return [number - modulus if number >= modulus // 2 else number for number in numbers]


def _from_bits(digits: str, dtype: torch.dtype, count: int) -> Tensor:
    if not dtype.is_floating_point or len(digits) != 2 * dtype.itemsize * count:
        raise _damaged(_("the link has digits that do not fit"))
    return torch.tensor(_units(digits, count), dtype=_BITS[dtype.itemsize]).view(dtype)


def _integers(values: list[str], dtype: torch.dtype) -> Tensor:
    least, largest = range_of(dtype)
    numbers = [_whole(value) for value in values]
    if any(not least <= number <= largest for number in numbers):
        raise _damaged(_("the link has a number that its type cannot hold"))
    return torch.tensor(numbers, dtype=dtype)


def _whole(text: str) -> int:
    if not _WHOLE.fullmatch(text):
        raise _damaged(_("a number in the link cannot be read"))
    return int(text)


def _real(text: str) -> float:
    if not _REAL.fullmatch(text):
        raise _damaged(_("a number in the link cannot be read"))
    return float(text)


def _reduction(letter: str) -> Reduction:
    if letter not in _REDUCTIONS:
        raise _damaged(_("an option in the link cannot be read"))
    return _REDUCTIONS[letter]


def _damaged(came: str) -> InvalidToken:
    return InvalidToken(
        came,
        _("a link that was copied whole, of at most {limit} characters").format(limit=f"{MAX_TOKEN:,}"),
        _("Copy the link again, from its first to its last character."),
    )


def _too_long(came: str) -> TokenTooLong:
    return TokenTooLong(
        came,
        _("at most {limit} characters").format(limit=f"{MAX_TOKEN:,}"),
        _("Send a file instead: JSON, NPZ or safetensors."),
    )
