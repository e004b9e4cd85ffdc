"""What the name of a column says of it: a class, a score, a measure, a name of rows, or one of a numbered family."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from typing import NamedTuple

from xent_core.columns import ROLES

DIGITS = "0123456789"
_KEYS = {"fname", "filename", "imagename", "imgname", "samplename", "name", "idx", "index"}
_PARTS = re.compile(r"[\s_.:/-]+|(?<=[a-z])(?=[A-Z])")
ID = re.compile(r"(.*[_\s.-])?(id|ids)|.*[a-z](Id|ID|Ids)", re.ASCII)
_NUMBER = re.compile(r"\d{1,7}(?!\d)", re.ASCII)
_PARTING = " \t_.:-[](){}<>"
_OF_A_FEW = re.compile(r"(.*[^a-z])?(top|topk|rank)([^a-z].*)?")  # numbers that count no classes
MOST_NUMBERS = 4  # in one name, from its end on
SCORE_STEMS = re.compile(
    r"|c|p|z|class|cls|(.*[^a-z])?(logits?|probs?|proba|probability|scores?|outputs?|out|pred|preds|prediction)"
)
_SCORE_WORD = re.compile(r"logits?|logprobs?|probs?|proba|probability|probabilities|scores?|outputs?|softmax|pred|p")
# of numbered columns that hold the probabilities of the labels: soft_0, target_prob_3, y_soft_1
SOFT_STEMS = re.compile(
    r"(y|true|gt)?soft((label|target)s?)?(prob|probs)?|(target|label|true|gt|ytrue)s?(prob|probs|proba|probability"
    r"|probabilities|dist|distribution)"
)
# of columns or lists that say which class each of the best few scores belongs to
WHICH_CLASS = re.compile(
    r"(top(k|\d+)?)?(class|label|pred)?(index|indices|idx|idxs|ids?)|top(k|\d+)?(class|label|pred)(es|s)?"
)
# of columns of labels that have no name of ROLES
_LABEL_WORDS = re.compile(
    r"groundtruth|truth|true|actual|gold|golds|answer|answers|class|category|species|kind|type|expected|correctanswer"
    r"|(true|actual|gold|correct)(class|label|index|answer|category)|labelname|classname|categoryname|groundtruthlabel"
)
_FEATURE_STEM = re.compile(r"(feature|feat|f|embedding|emb|hidden|h|x)s?")  # of columns that are numbered
NO_CLASS = re.compile(
    r"fold|folds|epoch|epochs|step|steps|iter|iteration|split|seed|batch|rank|loss|time|timestamp|weight|confidence"
    r"|correct|entropy|margin|pred|preds|predicted|prediction|predictions|ypred|yhat|argmax|accuracy|acc|"
    r"(pred|predicted|prediction|true|actual)(class|label|index|id|target)s?|length|len|count|fname|file|path|"
    r"label|labels|target|targets|ytrue|labelids|uncertainty|nll|energy|msp|variance|var|std|stdev|ece|score|brier|logprob"
    r"|perplexity|ppl|difficulty|forgetting|el2n|gradnorm|grad|norm|temperature|lr|duration|runtime|latency|conf|certainty"
    r"|(max|maximum|top|top1|min|mean|sum|predicted|own|self)(logit|softmax|prob|proba|probability|score|conf|confidence)"
    r"|mutualinformation|bald|aum|quality|labelquality|labelscore|issue|islabelissue|crossentropy|xent|ce|mse|mae|reward"
    r"|(is)?correct|wrong|error|count|total|sum|mean|median|max|min|logit|prob|proba|probability|weights"
)


class Numbered(NamedTuple):
    """A name around the number that its family counts: "class " before 3 and " logit" behind."""

    before: str
    digits: str
    behind: str

    @property
    def stem(self) -> str:
        """The name without the number, and without what parts them where the number is not at its end."""
        if not self.behind:
            return self.before
        before, behind = self.before.rstrip(_PARTING), self.behind.strip(_PARTING)
        return f"{before}_{behind}" if before and behind else before or behind


class Family(NamedTuple):
    """Columns that are called alike but for a number, in the order of their numbers."""

    before: str
    behind: str
    names: list[str]

    @property
    def stem(self) -> str:
        """As of each of them."""
        return Numbered(self.before, "", self.behind).stem


def _numbers_in(name: str) -> list[Numbered]:
    """The name around each of its numbers, the last first."""
    found = list(_NUMBER.finditer(name))[-MOST_NUMBERS:]
    return [Numbered(name[: one.start()], one[0], name[one.end() :]) for one in reversed(found)]


def numbered(names: Sequence[str]) -> dict[str, Numbered]:
    """Each name that has a number, around it: around the last that others have in the same place, else the last."""
    around = {name: _numbers_in(name) for name in names}
    together = Counter((one.before, one.behind) for found in around.values() for one in found)
    return {
        name: next((one for one in found if together[one.before, one.behind] > 1), found[0])
        for name, found in around.items()
        if found
    }


def families_of(names: Sequence[str]) -> list[Family]:
    """Columns of one name but for the numbers 0 … C − 1 or 1 … C in it, in the order of their numbers."""
    groups: dict[tuple[str, str], dict[int, str]] = {}
    spelt_twice = set()
    for name, one in numbered(names).items():
        around = one.before, one.behind
        numbers = groups.setdefault(around, {})
        if int(one.digits) in numbers:
            spelt_twice.add(around)
        numbers[int(one.digits)] = name
    families = []
    for around, numbers in groups.items():
        first = min(numbers)
        is_whole = len(numbers) > 1 and first <= 1 and max(numbers) - first + 1 == len(numbers)
        if is_whole and around not in spelt_twice:
            families.append(Family(*around, [numbers[number] for number in sorted(numbers)]))
    return families


def numbered_twice(names: Sequence[str]) -> tuple[str, str] | None:
    """Two names with one number in one place, such as logit_1 beside logit_01, Logit_1, logit_1.0 or "logit_1 ".

    Also logit_1 beside logit_1.1, as pandas calls the second of two columns with one name.
    """
    known = set(names)
    for name in names:
        first, point, again = name.strip().rpartition(".")
        if point and again.isdecimal() and first in known and _NUMBER.search(first):
            return first, name
    seen: dict[tuple[str, int], str] = {}
    bare = {name: re.sub(r"(?<=\d)\.0+(?!\d)", "", name.strip()) for name in names}
    around = numbered(list(dict.fromkeys(bare.values())))
    for name in names:
        if (found := around.get(bare[name])) is not None:
            other = seen.setdefault((plain_name(found.stem), int(found.digits)), name)
            if other != name:
                return other, name
    return None


def numbers_of(names: Sequence[str]) -> list[str] | None:
    """The numbers of columns of one stem as they are written, if each has another; None for other columns."""
    around = numbered(names)
    found = [around[name] for name in names if name in around]
    if len(found) < len(names) or len({(one.before, one.behind) for one in found}) != 1:
        return None
    numbers = [one.digits for one in found]
    return numbers if len(set(map(int, numbers))) == len(numbers) else None


def stem_without_number(name: str) -> str:
    """What is left of a name without its last number, such as 1, 01, 1.0 or 1.1; the name where there is none."""
    bare = name.strip()
    stem = bare.rstrip(DIGITS)
    if stem == bare:
        found = _numbers_in(re.sub(r"(?<=\d)\.0+(?!\d)", "", bare))
        return found[0].stem if found else name
    before = stem[:-1].rstrip(DIGITS)
    return before if stem.endswith(".") and before != stem[:-1] else stem


def missing_number(names: Sequence[str]) -> tuple[Numbered, list[str]] | None:
    """What lacks where columns of one stem are numbered from 0 or 1 on, but for some, and those that are there."""
    groups: dict[tuple[str, str], dict[int, str]] = {}
    for name, one in numbered(names).items():
        groups.setdefault((one.before, one.behind), {})[int(one.digits)] = name
    for (before, behind), numbers in groups.items():
        first = min(numbers)
        if len(numbers) > 1 and first <= 1 and max(numbers) - first + 1 > len(numbers):
            missing = next(number for number in range(first, max(numbers)) if number not in numbers)
            return Numbered(before, str(missing), behind), list(numbers.values())
    return None


def is_score_stem(stem: str) -> bool:
    """Whether this is a word for a score, of columns that are numbered; not of the best few."""
    plain = stem_of(stem)
    return SCORE_STEMS.fullmatch(plain) is not None and _OF_A_FEW.fullmatch(plain) is None


class Affix(NamedTuple):
    """What stands before and behind a label in a column's name, such as prob_ of prob_cat, or _logit of cat_logit."""

    before: str
    behind: str

    def fits(self, name: str) -> bool:
        """Whether the name has both, and something between them."""
        is_long = len(name) > len(self.before) + len(self.behind)
        return is_long and name.startswith(self.before) and name.endswith(self.behind)

    def bare(self, name: str) -> str:
        """What stands between them in a name that has both."""
        return name[len(self.before) : len(name) - len(self.behind)]


def affixes_of(names: Sequence[str], labels: Collection[str]) -> list[Affix]:
    """What stands around a label in the names of columns; nothing first. What stands behind is parted from it."""
    label = max(labels, key=len, default="")
    found = set()
    for name in names if label else ():
        for start in {name.find(label), name.rfind(label)} - {-1}:
            before, behind = name[:start], name[start + len(label) :]
            if not behind or (behind[0] in _PARTING and before[-1:] in ("", *_PARTING)):
                found.add(Affix(before, behind))
    return [Affix("", ""), *sorted(found - {Affix("", "")})]


def score_groups(names: Sequence[str]) -> list[list[str]]:
    """Two columns or more that begin, or that end, with one word for a score: prob_cat and prob_dog, cat_prob …"""
    groups: dict[tuple[str, ...], list[str]] = {}
    for name in names:
        word, rest = _score_word(name)
        if word and not is_no_class(rest):
            groups.setdefault(word, []).append(name)
    return [group for group in groups.values() if len(group) > 1]


def _score_word(name: str) -> tuple[tuple[str, ...], str]:
    """The word for a score with which a name begins, or with which it ends, and what is left; () if there is none."""
    parts = _PARTS.split(name)
    if len(parts) > 1 and _SCORE_WORD.fullmatch(parts[0].lower()):
        return ("first", parts[0]), name[len(parts[0]) + 1 :]
    if len(parts) > 1 and _SCORE_WORD.fullmatch(parts[-1].lower()):
        return ("last", parts[-1]), name[: -len(parts[-1]) - 1]
    return (), name


def is_no_class(name: str) -> bool:
    """Whether this is the name of a measure, a feature, a name of rows, or a setting, and hardly that of a class."""
    plain = plain_name(name)
    last = _PARTS.split(name)[-1].lower()
    stem = stem_of(name.rstrip(DIGITS)) if name[-1:] in tuple(DIGITS) else ""
    return (
        any(NO_CLASS.fullmatch(one) for one in (plain, last, plain_name(stem)) if one)
        or is_id(name)
        or bool(_FEATURE_STEM.fullmatch(stem))
    )


def is_id(name: str) -> bool:
    """Whether this is the name of a column of names of rows."""
    return plain_name(name) in PLAIN["ids"] or bool(ID.fullmatch(name))


def label_candidates(names: Sequence[str]) -> tuple[str, ...]:
    """Of columns of whole numbers or texts those that may hold labels, the likeliest first."""
    likely = [name for name in names if _LABEL_WORDS.fullmatch(plain_name(name))]
    others = [name for name in names if not (name in likely or is_no_class(name) or is_key(name))]
    return (*likely, *others)


def is_key(name: str) -> bool:
    """Whether rows may be told by what is in a column of this name, such as a file or an address."""
    plain = plain_name(name)
    return plain.endswith(("file", "path", "id", "key", "url")) or plain in _KEYS


def plain_name(name: str) -> str:
    """A name without what writers differ in."""
    return re.sub(r"[\s_.-]+", "", name).lower()


def stem_of(name: str) -> str:
    """What stands around the number of a column, without what parts them."""
    return name.rstrip(_PARTING).lower()


PLAIN = {role: {plain_name(name) for name in names} for role, names in ROLES.items()}
