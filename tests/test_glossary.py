"""The glossary, over all pages: whatever letter or word of it a page shows, the page explains in the same words."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from harness.app_test import hidden_data, open_app, run
from tests.program import ROOT
from xent_ui import glossary
from xent_ui.text import markdown_escaped

PAGES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "pages").glob("*/*.py"))
READ = ("body", "label", "text", "help", "placeholder", "options", "header", "value")  # what of an element is read
ALONE = r"(?<![A-Za-z\\{{]){}(?![A-Za-z'])"  # a letter that stands for something


def letter(*letters: str) -> str:
    return "|".join(ALONE.format(one) for one in letters)


# how each term is met on a page; written down apart from the program's own list of letters
MET = {
    "logit": letter("z"),
    "probability": letter("p"),
    "target": letter("y"),
    "effective target": letter("v"),
    "target sum": letter("S"),
    "smoothing": r"ε|\\varepsilon",
    "classes": letter("C"),
    "rows": letter("N"),
    "divisor": letter("D"),
    "temperature": letter("T"),
    "weight": letter("w"),
    "row loss": r"ℓ|\\ell",
    "loss": letter("L"),
    "nats": r"\bnats\b",
    "gradient": r"∂L|∂ℓ|\\partial|" + letter("g"),
    "pull": r"\bpulls?\b",
    "argmax": r"\bargmax\b",
    "accuracy": r"\baccuracy\b",
    "bits": r"\bin bits\b",
    "perplexity": r"^perplexity$",
    "floor": r"\b[Ff]loor\b",
    "uniform guess": r"\buniform guess\b",
    "softmax twice": r"\bsoftmax twice\b",
    "mixing": r"λ|\\lambda",
    "simplex": r"\bsimplex\b",
    "learning rate": r"η|\\eta",
    "momentum": ALONE.format("b") + r" \\leftarrow",
    "Adam": r"\\hat",
    "gradient norm": r"gradient norm",
    "margin": r"\bmargin\b",
    "entropy": r"^entropy$",
    "EL2N": r"\bEL2N\b",
    "AUM": r"\bAUM\b",
    "predicted change": r"Δz",
    "Jacobian": r"Jacobian",
    "fused": r"\b[Uu]?n?[Ff]used\b",
}


def elements(node: Any) -> Iterator[Any]:
    """Everything on a page, in the order in which it stands there."""
    yield node
    for child in getattr(node, "children", {}).values():
        yield from elements(child)


def fields(proto: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """The texts of an element, each with the name of its field."""
    if isinstance(proto, str):
        yield name, proto
    elif hasattr(proto, "ListFields"):
        for field, value in proto.ListFields():
            yield from fields(value, field.name)
    elif isinstance(proto, Iterable) and not isinstance(proto, bytes):
        for value in proto:
            yield from fields(value, name)


def texts_of(data: Any) -> Iterator[str]:
    """The texts in what a component of ours draws."""
    if isinstance(data, str):
        yield data
    elif isinstance(data, dict):
        for key, value in data.items():
            if key not in ("numbers", "colours", "tips", "hover", "state"):
                yield key
                yield from texts_of(value)
    elif isinstance(data, list):
        for value in data:
            yield from texts_of(value)


def shown_and_explained(at: AppTest) -> tuple[str, str]:
    """What a page shows, a text in each line, and what its tooltips say."""
    shown, explained = list[str](), list[str]()
    for root in (at.main, at.sidebar):
        for element in elements(root):
            for name, text in fields(getattr(element, "proto", ())):
                if name in READ and not text.startswith("<p hidden>"):
                    (explained if name == "help" else shown).append(re.sub(r"<[^<>]*>", " ", text))
    for data in hidden_data(at):
        shown += texts_of({name: data.get(name, "") for name in ("words", "note", "gauge", "texts")})
        shown += [matrix.get("note", "") for matrix in data.get("matrices", {}).values()]
        explained += data.get("tips", {}).values()
    return "\n".join(shown), "\n".join(explained).replace("\\", "")


def unexplained(at: AppTest) -> list[str]:
    shown, explained = shown_and_explained(at)
    found = [name for name, pattern in MET.items() if re.search(pattern, shown, re.MULTILINE)]
    return [name for name in found if glossary.TERMS[name].sentence not in explained]


def test_the_list_of_this_test_is_that_of_the_glossary() -> None:
    assert list(MET) == list(glossary.TERMS)


@pytest.mark.parametrize("page", PAGES)
def test_what_a_page_shows_it_explains(page: str) -> None:
    assert unexplained(run(open_app().switch_page(page))) == []


@pytest.mark.parametrize("preset", ["class-weights", "soft-labels"])
@pytest.mark.parametrize("page", [page for page in PAGES if "explore" in page or "step_by_step" in page])
def test_under_weights_and_soft_labels_too(page: str, preset: str) -> None:
    at = open_app(preset=preset)
    at.session_state["more_of_the_loss_is_open"] = at.session_state["check_details_is_open"] = True

    assert unexplained(run(at.switch_page(page))) == []


@pytest.mark.parametrize("optimizer", ["momentum", "Adam"])
def test_every_optimizer_explains_its_letters(optimizer: str) -> None:
    at = open_app()
    at.session_state["descent_optimizer"] = optimizer

    assert unexplained(run(at.switch_page("pages/explore/gradient_descent.py"))) == []


@pytest.mark.parametrize("experiment", ["mix", "flip", "weight", "temperature"])
def test_every_experiment_explains_its_letters(experiment: str) -> None:
    at = open_app()
    at.session_state["experiment"] = experiment

    assert unexplained(run(at.switch_page("pages/explore/one_example.py"))) == []


def test_a_letter_without_an_explanation_is_found() -> None:
    def page() -> None:
        import streamlit as st

        from xent_ui import glossary

        st.markdown("p divided by D", help=glossary.explained("probability"))

    assert unexplained(run(AppTest.from_function(page))) == ["divisor"]


def test_a_term_is_one_sentence_and_says_where_it_is_seen() -> None:
    titles = set(run(open_app()).session_state["visit"].pages.values())

    for term in glossary.TERMS.values():
        assert term.page in titles
        assert term.sentence.endswith(".")
        assert term.sentence.count(". ") == 0


def test_letters_are_found_in_formulas() -> None:
    assert glossary.letters_in("∂L/∂z = (S·p − v)/(D·T)") == [
        "gradient",
        "target sum",
        "probability",
        "effective target",
        "divisor",
        "temperature",
    ]
    assert glossary.letters_in(r"y' = (1 - \varepsilon)\,y + \varepsilon/C") == ["smoothing", "target", "classes"]
    assert glossary.letters_in("softmax(z)") == ["logit"]


def test_a_tooltip_is_plain_text_for_our_own_components() -> None:
    assert glossary.sentence("probability").startswith("p, probability: What the model thinks")
    assert markdown_escaped("p, probability") in glossary.explained("probability")
