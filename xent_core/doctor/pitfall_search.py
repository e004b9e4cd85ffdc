"""find_pitfalls: the mistakes behind what somebody saw, in the words that they use for it."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache

from xent_core.doctor.findings import TITLES
from xent_core.doctor.loss_levels import classes_of_two_softmax, classes_of_uniform
from xent_core.doctor.symptom_index import SYMPTOMS
from xent_core.doctor.torch_messages import recognise
from xent_core.language import _, language

LONGEST = 400  # characters of a question; the rest is not read
_WORD = re.compile(r"[^\W_]+")
_LOSS = re.compile(r"(?<![\w.])\d{1,2}\.\d{1,6}(?![\w.])")
_COUNT_OF_CLASSES = re.compile(r"(?<![\w.])(\d{1,7})[ -]class")
_NUMBERS = {
    "zero": 0,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "ten": 10,
    "twenty": 20,
    "hundred": 100,
    "thousand": 1000,
}
# words of every question, which tell no mistake from another
_COMMON = re.compile(
    "a|after|all|although|always|an|and|any|are|as|at|be|been|but|by|can|do|does|for|from|gets?|getting|go|goes|had|"
    "has|have|how|i|if|in|is|its?|keeps?|model|my|near|no|not|of|on|or|out|pytorch|so|some|stays|still|than|that|the|"
    "then|there|these|this|to|too|torch|train|training|up|was|what|when|where|which|while|why|will|with|wrong|your?|"
    "me|we|cross|entropy|crossentropyloss"
)
_IN_TITLE, _IN_SEEN, _IN_WORDS, _IN_FIRST = 3.5, 3.0, 2.5, 1.5
_NEAR, _SHARE_OF_BEST, _SHARE_OF_QUESTION = 0.7, 0.5, 0.5
_LONGEST_ENDING = 4
MAX_FOUND = 5


def find_pitfalls(question: str) -> tuple[str, ...]:
    """The codes of TITLES that fit what somebody asks or saw, best first, five at most; empty if none does.

    An error message of PyTorch is recognised as such. A loss such as 1.46 is looked up among those that softmax applied
    twice cannot get below. Otherwise words are compared with title, code, symptom, first remedy and more words.

    Args: question: in English or in the reader's language; case, order and endings matter little.
    Example:
      >>> find_pitfalls("loss stuck at 1.46 with ten classes")[0]
      'softmax-applied-twice'
    """
    question = question[:LONGEST]
    if codes := recognise(question):
        return codes
    by_number = ("softmax-applied-twice",) if _is_stuck_between(question) else ()
    found = _by_words(tuple(dict.fromkeys(_stems(_LOSS.sub(" ", question)))))
    return tuple(dict.fromkeys((*by_number, *found)))[:MAX_FOUND]


def losses_in(question: str) -> tuple[str, ...]:
    """The numbers in a question that can be losses, as they were typed: those with a decimal point."""
    return tuple(_LOSS.findall(question[:LONGEST]))


def classes_in(question: str) -> int | None:
    """How many classes a question speaks of, in digits or in a word; None if it does not say.

    Example:
      >>> classes_in("stuck at 1.46 with ten classes"), classes_in("a 3-class problem"), classes_in("loss is high")
      (10, 3, None)
    """
    text = _WORD.sub(lambda word: str(_NUMBERS.get(word[0], word[0])), question[:LONGEST].lower())
    found = _COUNT_OF_CLASSES.search(text)
    return int(found[1]) if found else None


def _is_stuck_between(question: str) -> bool:
    """Whether softmax twice ends at one of the losses; not where ln C of the classes named is that loss."""
    classes = classes_in(question)
    for loss in losses_in(question):
        twice = classes_of_two_softmax(loss)
        if classes is None and twice and not _is_plainly_uniform(loss):
            return True
        if classes is not None and classes in twice:
            return True
    return False


def _is_plainly_uniform(loss: str) -> bool:
    """Whether a loss is ln C of few classes or of a round number of them."""
    usual = {*range(2, 11), 20, 50, 100, 200, 1000, 10_000}
    return not usual.isdisjoint(classes_of_uniform(loss)) and usual.isdisjoint(classes_of_two_softmax(loss))


def _stems(text: str) -> Iterable[str]:
    """The words that tell something, without the endings of English."""
    for word in _WORD.findall(text.lower().replace("_", " ")):
        if not _COMMON.fullmatch(word):
            yield str(_NUMBERS[word]) if word in _NUMBERS else _stem(word)


def _stem(word: str) -> str:
    for ending in ("ing", "ed", "es", "s"):
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            return word.removesuffix(ending)
    return word


@lru_cache(maxsize=16)
def _index(_language: str | None) -> Mapping[str, Mapping[str, float]]:
    """For each code its stems and what a meeting with them counts."""
    index = {}
    for code, symptom in SYMPTOMS.items():
        stems: dict[str, float] = {}
        for text, worth in (
            (symptom.first, _IN_FIRST),
            (_(symptom.first), _IN_FIRST),
            (symptom.words, _IN_WORDS),
            (symptom.seen, _IN_SEEN),
            (_(symptom.seen), _IN_SEEN),
            (f"{code.replace('-', ' ')} {TITLES[code]} {_(TITLES[code])}", _IN_TITLE),
        ):
            for stem in _stems(text):
                stems[stem] = max(worth, stems.get(stem, 0.0))
        index[code] = stems
    return index


def _by_words(asked: tuple[str, ...]) -> list[str]:
    index = _index(language())
    count = Counter(stem for stems in index.values() for stem in stems)
    rarity = {stem: math.log(1 + len(index) / number) for stem, number in count.items()}
    scores, met = dict[str, float](), set[str]()
    for code, stems in index.items():
        for word in asked:
            most = rarity.get(word, math.inf)  # a word that is near tells no more than the word itself
            meetings = _meetings(word, stems)
            worth = max((stems[stem] * min(rarity[stem], most) * share for stem, share in meetings), default=0.0)
            if worth:
                scores[code] = scores.get(code, 0.0) + worth
                met.add(word)
    if len(met) <= _SHARE_OF_QUESTION * len(asked):
        return []
    enough = _SHARE_OF_BEST * max(scores.values(), default=0.0)
    return [code for code in sorted(scores, key=scores.__getitem__, reverse=True) if scores[code] >= enough][:MAX_FOUND]


def _meetings(word: str, stems: Mapping[str, float]) -> Iterable[tuple[str, float]]:
    """The stem that is this word, and those that differ from it by an ending."""
    if word in stems:
        yield word, 1.0
    for stem in stems:
        short, long = sorted((word, stem), key=len)
        if 4 <= len(short) < len(long) <= len(short) + _LONGEST_ENDING and long.startswith(short):
            yield stem, _NEAR if len(short) > 4 else _NEAR / 2
