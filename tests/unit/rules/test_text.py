"""What a blank is, what a value is after cleaning, and what a column is called: one function each."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as some

from mailrotate.core.rules.template_language import field_name, is_usable, usable_name
from mailrotate.core.rules.text import clean_value, clean_values, is_blank

texts = some.text(some.characters(exclude_categories=["Cs"]))


@given(texts)
def test_a_cleaned_value_stays_as_it_is_and_is_never_invisible(text: str) -> None:
    clean = clean_value(text)
    assert clean_value(clean) == clean
    assert clean == "" or not is_blank(clean)
    assert unicodedata.is_normalized("NFC", clean)


@given(some.lists(texts))
def test_a_row_is_cleaned_as_its_cells_are(row: list[str]) -> None:
    assert clean_values(row) == [clean_value(cell) for cell in row]


@given(texts)
def test_what_is_blank_is_cleaned_away(text: str) -> None:
    assert not is_blank(text) or clean_value(text) == ""


@given(texts)
def test_every_header_has_no_name_or_one_that_a_text_can_use(header: str) -> None:
    name = usable_name(header)
    assert name == "" or is_usable(name)


@given(texts)
def test_a_name_is_its_own_name_and_the_same_from_either_normal_form(header: str) -> None:
    name = field_name(header)
    assert field_name(name) == name
    assert field_name(unicodedata.normalize("NFD", header)) == name


@pytest.mark.parametrize(
    "hostile",
    [
        "a" + "\u0301\u0323" * 60_000,
        "\u0301" * 130_000,
        "a" + " " * 130_000 + "\u200bb",
        "\u2800" * 130_000,
        "\u202a" * 130_000 + "b",
    ],
    ids=["marks on a letter", "marks alone", "blanks", "Braille blanks", "direction marks"],
)
def test_i3_a_hostile_cell_is_cleaned_and_named_in_bounded_time(hostile: str) -> None:
    began = time.process_time()
    clean_value(hostile)
    usable_name(hostile)
    assert time.process_time() - began < 5
