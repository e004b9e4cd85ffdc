"""The reader's language: every sentence that a person reads passes through `_`."""

from __future__ import annotations

import gettext
import re
from contextvars import ContextVar
from pathlib import Path

LOCALES = Path(__file__).parent / "locales"
# what browsers call a language: "de", "de-AT", "zh-Hant-TW"; anything else never becomes part of a path
TAG = re.compile(r"[a-z]{2,3}(?:_[a-z0-9]{2,8}){0,3}", re.IGNORECASE | re.ASCII)

_ENGLISH = gettext.NullTranslations()
_catalogue: ContextVar[gettext.NullTranslations] = ContextVar("catalogue")


def use_language(locale: str | None) -> None:
    """Translate into this language from here on, in this context; English for what is none, or has no catalogue."""
    tag = (locale or "en").replace("-", "_")
    if not TAG.fullmatch(tag):
        tag = "en"
    _catalogue.set(gettext.translation("xent", LOCALES, [tag, tag.split("_")[0]], fallback=True))


def use_catalogue(catalogue: gettext.NullTranslations) -> None:
    """Translate by this catalogue from here on, in this context."""
    _catalogue.set(catalogue)


def language() -> str | None:
    """The language of this context, for another process to use; None for English."""
    return _catalogue.get(_ENGLISH).info().get("language")


def _(message: str) -> str:
    """The message in the reader's language."""
    return _catalogue.get(_ENGLISH).gettext(message)


def ngettext(one: str, many: str, count: int) -> str:
    """The message that suits a count, in the reader's language; English has two."""
    return _catalogue.get(_ENGLISH).ngettext(one, many, count)


def N_(message: str) -> str:  # noqa: N802  # gettext's own name, which extractors look for
    """The message as it stands, marked for the catalogue: where it is shown, it passes through `_`."""
    return message
