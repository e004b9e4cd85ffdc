"""Every sentence that a user reads can be translated, and a translation is used."""

import gettext
from collections.abc import Iterator
from pathlib import Path

import pytest
from babel.messages import pofile
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir, extract_from_file
from babel.messages.mofile import write_mo
from streamlit.testing.v1 import AppTest

from xent_core import InvalidProblem, Problem, language
from xent_core.problem import DTYPES
from xent_ui import text

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "pages").rglob("*.py"))
OPTIONS = ("ignore_index", "dtype", "weight", "reduction", "label_smoothing", "target", "F.cross_entropy")
IDENTIFIERS = {*OPTIONS, *(f"**{name}**" for name in DTYPES)}  # PyTorch's, in every language


@pytest.fixture
def german(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A compiled catalogue with two sentences, where the app looks for catalogues."""
    catalogue = Catalog(locale="de")
    catalogue.add("{came}, expected {expected}. {fix}", "{came}; erwartet: {expected}. {fix}")
    catalogue.add("Cross-entropy of a batch", "Softmax-Kreuzentropie eines Stapels")
    folder = tmp_path / "de" / "LC_MESSAGES"
    folder.mkdir(parents=True)
    with (folder / "xent.mo").open("wb") as file:
        write_mo(file, catalogue)
    monkeypatch.setattr(language, "LOCALES", tmp_path)


def test_the_list_of_sentences_is_up_to_date() -> None:
    keywords = {"_": None, "N_": None, "ngettext": (1, 2)}
    found = {message for _line, message, *_rest in extract_from_file("python", ROOT / "app.py", keywords=keywords)}
    for folder in ("pages", "xent_core", "xent_host", "xent_ui"):
        found |= {message for _file, _line, message, *_rest in extract_from_dir(ROOT / folder, keywords=keywords)}
    listed = {message.id for message in pofile.read_po((ROOT / "xent_core/locales/xent.pot").open("rb")) if message.id}

    assert listed == found, "run: make messages"


@pytest.mark.usefixtures("german")
def test_the_core_speaks_the_language_of_a_catalogue() -> None:
    language.use_language("de-AT")
    try:
        with pytest.raises(InvalidProblem, match="; erwartet: "):
            Problem([[1, 2, 3]], [7])
    finally:
        language.use_language("en")


@pytest.mark.parametrize("locale", ["../outside", "/{}/outside", "outside/../../outside", "de\0", "d" * 9])
def test_what_is_no_language_opens_no_file(locale: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for place in ("outside", "d" * 9, "within/outside/../../outside"):
        folder = tmp_path / place / "LC_MESSAGES"
        folder.mkdir(parents=True, exist_ok=True)
        catalogue = Catalog(locale="de")
        catalogue.add("Undo", "a stranger's words")
        with (folder / "xent.mo").open("wb") as file:
            write_mo(file, catalogue)
    within = tmp_path / "within"
    within.mkdir(exist_ok=True)
    monkeypatch.setattr(language, "LOCALES", within)
    language.use_language(locale.format(tmp_path))
    try:
        assert language._("Undo") == "Undo"
    finally:
        language.use_language("en")


@pytest.mark.usefixtures("german")
def test_a_page_speaks_the_language_of_a_catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text, "use_language", lambda _locale: language.use_language("de"))
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run()

    assert at.title[0].value == "Softmax-Kreuzentropie eines Stapels"


def is_translated(word: str) -> bool:
    return "⟦" in word or not any(map(str.isalpha, word))


def is_pytorchs(word: str) -> bool:
    """Whether the word is a name of PyTorch's, with A or B for two sets of options, or one of its error messages."""
    return word.removesuffix(" A").removesuffix(" B") in IDENTIFIERS or word.startswith(("RuntimeError", "IndexError"))


class Marked(gettext.NullTranslations):
    """A language in which every sentence says that it has been translated."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, one: str, many: str, count: int) -> str:
        return f"⟦{one if count == 1 else many}⟧"


@pytest.fixture
def marked(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The marked language, in the app and in the test, which asks the app's widgets for their words."""
    monkeypatch.setattr(text, "use_language", lambda _locale: language.use_catalogue(Marked()))
    language.use_catalogue(Marked())
    yield
    language.use_language("en")


@pytest.mark.usefixtures("marked")
@pytest.mark.parametrize("page", PAGES)
def test_every_word_of_a_page_passes_through_the_catalogue(page: str) -> None:
    at = AppTest.from_file(str(ROOT / "app.py"), default_timeout=60).run().switch_page(page).run()
    kinds = ("button", "selectbox", "number_input", "slider", "select_slider", "metric", "text_area", "text_input")
    kinds += ("expander", "checkbox", "toggle", "radio")
    words = [element.label for kind in kinds for element in getattr(at, kind)]
    prose = (*at.title, *at.markdown, *at.caption, *at.info, *at.warning, *at.error, *at.success)
    words += [element.value for element in prose]

    assert not at.exception
    assert len(words) > 3
    assert [word for word in words if not (is_translated(word) or is_pytorchs(word))] == []
