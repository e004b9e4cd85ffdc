"""How the time of a function grows with its text: texts that grow against a regular expression, and a measure of both.

A pattern that backtracks is slow on texts made of its own pieces: what it begins with, again and again without the end,
or what it repeats, with something behind that does not fit. Such texts are derived from its syntax tree.
"""

import gc
import re
import time
from collections.abc import Callable, Iterator

# the syntax tree of a pattern, which Python keeps to itself: a test, and not the program, reads it
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any, NamedTuple

REPEATS = (constants.MAX_REPEAT, constants.MIN_REPEAT, constants.POSSESSIVE_REPEAT)
ASSERTIONS = (constants.ASSERT, constants.ASSERT_NOT)
CHARACTERS = "a0 _-.,:/'\"[(<=\n\té"
UNFIT = "\x00"  # ends a text so that hardly a pattern takes it
# small steps at first, for what doubles with every character
LENGTHS = (16, 20, 24, 28, 32, 40, 48, 64, 128, 256, 512, 1024, 4096, 16384)
MAX_RATIO = 3.0  # of the time when the text is doubled: 2 where it grows as the text does, 4 where as its square
LEAST_SECONDS = 0.004  # below this, a ratio says nothing
SECONDS_AT_ONCE, SECONDS_PER_CHARACTER = 0.02, 5e-6  # ten times what the slowest honest pattern takes
ROUNDS = (2, 4, 8, 16)  # what only a neighbour on the machine has slowed down is looked at again


class Attack(NamedTuple):
    """A text that can be made as long as one likes."""

    head: str
    pump: str
    tail: str

    def text(self, length: int) -> str:
        return self.head + self.pump * max((length - len(self.head) - len(self.tail)) // len(self.pump), 1) + self.tail


def attacks_on(pattern: str, flags: int = 0) -> list[Attack]:
    """Texts made of the pattern's own pieces, each of them once."""
    tree = list(parser.parse(pattern, flags & ~re.DEBUG))
    alphabet = "".join(dict.fromkeys([*_literals(tree), *CHARACTERS]))[:40]
    pumps = [*alphabet, *_words(tree), *_beginnings(tree, alphabet)]
    found = [Attack("", pump, tail) for pump in pumps for tail in ("", UNFIT)]
    bodies: list[str] = []
    for head, body in _repeats(tree, "", alphabet):
        own = [_example(body, alphabet, 0), _example(body, alphabet, 1)]
        own += [character for character in alphabet if any(_accepts(node, character) for node in body)][:6]
        bodies += own
        found += [Attack(head, pump, tail) for pump in own for tail in ("", UNFIT, "\n" + UNFIT)]
    some = list(dict.fromkeys(bodies))[:6]
    found += [Attack("", first + second, UNFIT) for first in some for second in some if first != second]
    return list(dict.fromkeys(attack for attack in found if attack.pump))


def growth(function: Callable[[str], object], attack: Attack) -> str:
    """ "" if the time grows no faster than the text; else how it grows."""
    before = 0.0
    for length in LENGTHS:
        text = attack.text(length)
        allowed = SECONDS_AT_ONCE + SECONDS_PER_CHARACTER * len(text)
        taken = _seconds(function, text)
        if taken > allowed and (taken > 50 * allowed or min(_seconds(function, text) for _ in range(2)) > allowed):
            return f"{1e3 * taken:.0f} ms for {len(text)} characters, before that {1e3 * before:.0f} ms"
        before = taken
    if before < LEAST_SECONDS:
        return ""
    half = whole = float("inf")
    texts = attack.text(LENGTHS[-1] // 2), attack.text(LENGTHS[-1])
    for rounds in ROUNDS:
        for _ in range(rounds):
            half, whole = min(half, _seconds(function, texts[0])), min(whole, _seconds(function, texts[1]))
        if whole <= MAX_RATIO * half:
            return ""
    return f"{whole / half:.1f} times as long for twice the text: {1e3 * whole:.1f} ms for {len(texts[1])} characters"


def _seconds(function: Callable[[str], object], text: str) -> float:
    """Of the processor, in this thread; without the collector, which looks at the objects of everybody."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        start = time.thread_time()
        function(text)
        return time.thread_time() - start
    finally:
        if was_enabled:
            gc.enable()


def _subpatterns(node: tuple[Any, Any]) -> list[list[Any]]:
    operation, argument = node
    if operation in REPEATS:
        return [list(argument[2])]
    if operation is constants.SUBPATTERN:
        return [list(argument[3])]
    if operation is constants.BRANCH:
        return [list(branch) for branch in argument[1]]
    if operation is constants.ATOMIC_GROUP:
        return [list(argument)]
    if operation in ASSERTIONS:
        return [list(argument[1])]
    if operation is constants.GROUPREF_EXISTS:
        return [list(part) for part in argument[1:] if part]
    return []


def _literals(tree: list[Any]) -> Iterator[str]:
    """Every character that the pattern names."""
    for operation, argument in tree:
        if operation in (constants.LITERAL, constants.NOT_LITERAL):
            yield chr(argument)
        elif operation is constants.IN:
            yield from _literals([part for part in argument if part[0] is constants.LITERAL])
            yield from (chr(part[1][0]) for part in argument if part[0] is constants.RANGE)
        for part in _subpatterns((operation, argument)):
            yield from _literals(part)


def _words(tree: list[Any]) -> Iterator[str]:
    """Each run of characters that the pattern names one after the other."""
    word = ""
    for node in [*tree, (None, None)]:
        if node[0] is constants.LITERAL:
            word += chr(node[1])
            continue
        if len(word) > 1:
            yield word
        word = ""
        for part in _subpatterns(node):
            yield from _words(part)


def _beginnings(tree: list[Any], alphabet: str) -> Iterator[str]:
    """What fits the first parts of the pattern, and of each pattern in it: the whole, and the whole without its end."""
    for least in (0, 1):
        for end in range(1, len(tree) + 1):
            yield _example(tree[:end], alphabet, least)
    for node in tree:
        for part in _subpatterns(node):
            yield from _beginnings(part, alphabet)


def _repeats(tree: list[Any], head: str, alphabet: str) -> Iterator[tuple[str, list[Any]]]:
    """Each part that repeats, behind what fits all that comes before it."""
    for index, node in enumerate(tree):
        before = head + _example(tree[:index], alphabet, 0)
        if node[0] in REPEATS and node[1][1] > 1:
            yield before, list(node[1][2])
        for part in _subpatterns(node):
            yield from _repeats(part, before, alphabet)


def _example(tree: list[Any], alphabet: str, least: int) -> str:
    """A short text that the pattern takes, what may be left out at least so often."""
    parts = []
    for operation, argument in tree:
        if operation in REPEATS:
            fewest, most, body = argument
            parts.append(_example(list(body), alphabet, least) * min(max(fewest, least), most))
        elif operation is constants.BRANCH:
            parts.append(_example(list(argument[1][0]), alphabet, least))
        elif operation in (constants.SUBPATTERN, constants.ATOMIC_GROUP):
            parts.append(_example(*_subpatterns((operation, argument)), alphabet, least))
        elif operation not in (*ASSERTIONS, constants.AT, constants.GROUPREF, constants.GROUPREF_EXISTS):
            fitting = (one for one in alphabet if _accepts((operation, argument), one))
            parts.append(next(fitting, "a"))
    return "".join(parts)


def _accepts(node: tuple[Any, Any], character: str) -> bool:
    """Whether a part of a pattern that is one character may be this one, or begin with it."""
    operation, argument = node
    if operation is constants.LITERAL:
        return bool(chr(argument) == character)
    if operation is constants.NOT_LITERAL:
        return bool(chr(argument) != character)
    if operation is constants.ANY:
        return True
    if operation is constants.RANGE:
        return bool(argument[0] <= ord(character) <= argument[1])
    if operation is constants.CATEGORY:
        letter = str(argument).rpartition("_")[2][0].lower()  # CATEGORY_NOT_SPACE is \S
        return bool(re.match(f"\\{letter.upper() if '_NOT_' in str(argument) else letter}", character))
    if operation is constants.IN:
        is_negated = argument[0][0] is constants.NEGATE
        return any(_accepts(part, character) for part in argument[is_negated:]) != is_negated
    return any(bool(part) and _accepts(part[0], character) for part in _subpatterns(node))
