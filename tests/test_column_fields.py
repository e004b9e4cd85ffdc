"""What is refused names fields of the page where it would name options of the command line."""

import pytest

from xent_ui.your_logits.column_fields import in_words_of_the_page


@pytest.mark.parametrize(
    ("sentence", "words"),
    [
        ("Choose others by --classes.", "Choose others by “Classes” under “Columns of a table”."),
        (
            "Give the names: --class-names FILE (in Python, class_names=[…]).",
            "Give the names: “Names of the classes” under “Columns of a table”.",
        ),
        (
            "Say which: --classes, --target.",
            "Say which: “Classes” under “Columns of a table”, “Label” under “Columns of a table”.",
        ),
        (
            "with ids (--ids, in Python ids=…)",
            "with ids (“Names of the rows” under “Columns of a table”, in Python ids=…)",
        ),
        ("lm_eval --output-type logit --force", "lm_eval --output-type logit --force"),
        ("a -- b, --", "a -- b, --"),
    ],
)
def test_an_option_of_the_command_line_becomes_the_field_that_says_the_same(sentence: str, words: str) -> None:
    assert in_words_of_the_page(sentence) == words
