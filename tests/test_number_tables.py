"""Matrices as CSV."""

from xent_ui.widgets.number_tables import csv_text


def test_a_table_as_csv_has_its_names_and_its_texts() -> None:
    assert csv_text(["row 0", "a,b"], ["x", "y"], [["1", "2"], ["3", "-inf"]]) == 'row,x,y\nrow 0,1,2\n"a,b",3,-inf\n'


def test_no_name_in_a_csv_is_a_formula_and_numbers_keep_their_sign() -> None:
    assert csv_text(["=1+1"], ["@x"], [["-1"]], corner="id") == "id,'@x\n'=1+1,-1\n"


def test_an_empty_name_stays_empty() -> None:
    assert csv_text([""], ["x"], [["1"]]) == "row,x\n,1\n"
