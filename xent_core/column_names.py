"""What the name of a column says of it: a class, a score, a measure, a name of rows, or one of a numbered family."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence

from xent_core.columns import ROLES

DIGITS = "0123456789"
_KEYS = {"fname", "filename", "imagename", "imgname", "samplename", "name", "idx", "index"}
_PARTS = re.compile(r"[\s_.:/-]+|(?<=[a-z])(?=[A-Z])")
ID = re.compile(r"(.*[_\s.-])?(id|ids)|.*[a-z](Id|ID|Ids)", re.ASCII)
_NUMBERED = re.compile(r"(.*?)(\d{1,7})", re.DOTALL | re.ASCII)
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


def families_of(names: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Columns of one prefix with the numbers 0 … C − 1 or 1 … C, in the order of their numbers."""
    groups: dict[str, dict[int, str]] = {}
    spelt_twice = set()
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            numbers = groups.setdefault(found[1], {})
            if int(found[2]) in numbers:
                spelt_twice.add(found[1])
            numbers[int(found[2])] = name
    families = []
    for stem, numbers in groups.items():
        first = min(numbers)
        if len(numbers) > 1 and first <= 1 and max(numbers) - first + 1 == len(numbers) and stem not in spelt_twice:
            families.append((stem, [numbers[number] for number in sorted(numbers)]))
    return families


def numbered_twice(names: Sequence[str]) -> tuple[str, str] | None:
    """Two names with one number behind one stem, such as logit_1 beside logit_01, Logit_1, logit_1.0 or "logit_1 ".

    Also logit_1 beside logit_1.1, as pandas calls the second of two columns with one name.
    """
    seen: dict[tuple[str, int], str] = {}
    known = set(names)
    for name in names:
        bare = name.strip()
        found = _NUMBERED.fullmatch(re.sub(r"(?<=\d)\.0+$", "", bare))
        repeated = re.fullmatch(r"(.*\d)\.\d+", bare, re.ASCII)
        if repeated and repeated[1] in known:
            return repeated[1], name
        if found is not None:
            other = seen.setdefault((plain_name(found[1]), int(found[2])), name)
            if other != name:
                return other, name
    return None


def numbers_of(names: Sequence[str]) -> list[str] | None:
    """The numbers of columns of one stem as they are written, if each has another; None for other columns."""
    found = [_NUMBERED.fullmatch(name) for name in names]
    if not found or None in found or len({one[1] for one in found if one}) != 1:
        return None
    numbers = [one[2] for one in found if one]
    return numbers if len(set(map(int, numbers))) == len(numbers) else None


def stem_before_number(name: str) -> str:
    """What stands before the number at the end of a name, such as 1, 01, 1.0 or 1.1; the name where there is none."""
    bare = name.strip()
    stem = bare.rstrip(DIGITS)
    if stem == bare:
        return name
    before = stem[:-1].rstrip(DIGITS)
    return before if stem.endswith(".") and before != stem[:-1] else stem


def missing_number(names: Sequence[str]) -> tuple[str, int] | None:
    """The stem and the number that lacks where columns of one stem are numbered from 0 or 1 on, but for some."""
    groups: dict[str, set[int]] = {}
    for name in names:
        if found := _NUMBERED.fullmatch(name):
            groups.setdefault(found[1], set()).add(int(found[2]))
    for stem, numbers in groups.items():
        first = min(numbers)
        if len(numbers) > 1 and first <= 1 and max(numbers) - first + 1 > len(numbers):
            return stem, next(number for number in range(first, max(numbers)) if number not in numbers)
    return None


def prefixes_of(names: Sequence[str], labels: Collection[str]) -> list[str]:
    """What stands before a label in a column's name, such as prob_ of prob_cat; none first."""
    label = max(labels, key=len, default="")
    found = {name.removesuffix(label) for name in names if label and name.endswith(label)}
    return ["", *sorted(found - {""})]


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
    stem = stem_of(found[1]) if (found := _NUMBERED.fullmatch(name)) else ""
    return (
        any(NO_CLASS.fullmatch(one) for one in (plain, last, plain_name(stem)) if one)
        or is_id(name)
        or bool(_FEATURE_STEM.fullmatch(stem))
    )


def is_id(name: str) -> bool:
    """Whether this is the name of a column of names of rows."""
    return plain_name(name) in PLAIN["ids"] or bool(ID.fullmatch(name))


def is_key(name: str) -> bool:
    """Whether rows may be told by what is in a column of this name, such as a file or an address."""
    plain = plain_name(name)
    return plain.endswith(("file", "path", "id", "key", "url")) or plain in _KEYS


def plain_name(name: str) -> str:
    """A name without what writers differ in."""
    return re.sub(r"[\s_.-]+", "", name).lower()


def stem_of(name: str) -> str:
    """What stands before the number of a column, without what parts them."""
    return name.rstrip(" \t_.:-").lower()


PLAIN = {role: {plain_name(name) for name in names} for role, names in ROLES.items()}
