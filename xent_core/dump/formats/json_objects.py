"""The objects of a JSON text, a line each: also those of one long list, and of texts with an object over many lines."""

from __future__ import annotations

import json
from collections.abc import Iterator

from xent_core.dump.formats.arrays import RawFile
from xent_core.dump.formats.checks import MAX_HEADER_BYTES, MAX_TABLE_HEADER_BYTES, InvalidDump
from xent_core.dump.formats.text_stream import TextStream
from xent_core.language import _
from xent_core.tensor_headers import first_line

_BETWEEN = " \t\r\n,"


class ObjectStream(TextStream):
    """A text of JSON whose blocks are whole objects, one a line, however they are laid out in the file.

    Raises: InvalidDump for what is no object, and for an object without an end.
    """

    def __init__(self, raw: RawFile) -> None:
        super().__init__(raw, quotes=False)
        self._is_laid_out = not self._has_an_object_a_line()
        self._most = MAX_HEADER_BYTES if raw.limits is None else MAX_TABLE_HEADER_BYTES

    def blocks(self, skipped: int = 0) -> Iterator[bytes]:
        """Whole objects, about a block of the file at a time."""
        yield from self._laid_out() if self._is_laid_out else super().blocks(skipped)

    def _has_an_object_a_line(self) -> bool:
        first = next(super().blocks(), b"").split(b"\n", 1)[0].strip()
        if first.startswith(b"["):
            return False
        try:
            json.loads(first)
        except (ValueError, RecursionError):
            return first not in (b"{", b"") and not first.endswith((b"{", b"[", b","))
        return True

    def _laid_out(self) -> Iterator[bytes]:
        text, line, is_list, has_begun = "", 1, False, False
        rest = b""
        for block in super().blocks():
            piece, rest = _whole_characters(rest + block)
            text += piece
            if not has_begun:
                has_begun, text = True, text.lstrip()
                is_list, text = text.startswith("["), text.removeprefix("[")
            found, text = self._objects(text, line)
            line += block.count(b"\n")
            if len(text) > self._most:
                raise self._broken(line, _("an object has more than {limit} characters").format(limit=self._most))
            if found:
                yield "".join(found).encode()
        if text.strip(_BETWEEN) != ("]" if is_list else ""):
            raise self._broken(line, _("the text ends inside an object, or before its ]"))

    def _objects(self, text: str, line: int) -> tuple[list[str], str]:
        """The whole objects at the beginning of a text, each as a line, and what is left."""
        decoder = json.JSONDecoder()
        found: list[str] = []
        place = 0
        while True:
            while place < len(text) and text[place] in _BETWEEN:
                place += 1
            if place == len(text) or text[place] == "]":
                return found, text[place:]
            if text[place] != "{":
                raise self._broken(line, _("{what} is no object").format(what=repr(text[place : place + 20])))
            try:
                one, end = decoder.raw_decode(text, place)
            except json.JSONDecodeError as error:
                if error.pos >= len(text) - 16 or "Unterminated" in error.msg:  # its end may follow
                    return found, text[place:]
                raise self._broken(line + text.count("\n", 0, error.pos), first_line(error)) from error
            except RecursionError as error:
                raise self._broken(line, first_line(error)) from error
            found.append(json.dumps(one) + "\n")
            place = end

    def _broken(self, line: int, reason: str) -> InvalidDump:
        return InvalidDump(
            "table-broken",
            _("{name} cannot be read as JSON (near line {line}: {reason})").format(
                name=self.name, line=line, reason=reason
            ),
            _("a list of objects such as {example}, or one in each line").format(
                example='{"logits": [0.5, 2.0], "label": 1}'
            ),
            _("Look at the line that is named, or write the file again."),
        )


def _whole_characters(text: bytes) -> tuple[str, bytes]:
    """The text up to its last whole character in UTF-8, and the bytes behind."""
    try:
        return text.decode("utf-8"), b""
    except UnicodeDecodeError as error:
        if error.end == len(text) and len(text) - error.start < 4:
            return text[: error.start].decode("utf-8"), text[error.start :]
        return text.decode("utf-8", "replace"), b""
