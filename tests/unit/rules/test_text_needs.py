"""D1: what a campaign asks of a recipient at import is what its letters need when they are written."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mailrotate.core.rules.compose import compose
from mailrotate.core.rules.templates import fields_needed, letter_fields
from mailrotate.core.rules.text_needs import TextNeeds
from mailrotate.core.values.letter import LONGEST_SUBJECT, Letter, UnfitLetter

KIM = "kim@example.com"
LETTER = Letter(
    from_name="Anna Example",
    from_address="anna@example.org",
    to_address=KIM,
    subject_template="Hello",
    body_template="Hello",
    fields={},
    signature_markdown=None,
    unsubscribe=None,
    message_id="<1@example.org>",
)


def can_be_written(subject: str, body: str, fields: dict[str, str], sender: str = "Anna Example") -> bool:
    own = letter_fields(KIM, sender, LETTER.from_address)
    letter = replace(LETTER, subject_template=subject, body_template=body, fields={**fields, **own})
    try:
        compose(letter, datetime(2026, 1, 5, tzinfo=UTC))
    except UnfitLetter:
        return False
    return True


def is_accepted(subject: str, body: str, fields: dict[str, str]) -> bool:
    needs = TextNeeds.of([(subject, body)])
    problem = needs.problem(KIM, fields)
    is_plain = max(map(len, fields.values()), default=0) <= needs.longest_plain_value
    if is_plain and all(fields.get(name, "").strip() for name in needs.fields):
        # What the import takes in without asking further.
        assert problem is None
    return problem is None


NAMES = st.sampled_from(["a", "b", "email", "sender_name"])
EXPRESSIONS = st.one_of(
    NAMES,
    NAMES.map('{} | default("x")'.format),
    NAMES.map("{} | default('') | upper".format),
    NAMES.map("{} + 1".format),
    NAMES.map("{} | int + 1".format),
    NAMES.map("{} | truncate(4)".format),
    NAMES.map("{} | trim('x')".format),
    NAMES.map("'y' if {} < 3 else 'z'".format),
    st.tuples(NAMES, NAMES).map("{0[0]} if {0[1]} is defined else 'z'".format),
    st.tuples(NAMES, NAMES).map("{0[0]} ~ {0[1]}".format),
)
PARTS = EXPRESSIONS.map("{{{{ {} }}}}".format) | st.sampled_from(["", " ", "word "])
TEXTS = st.recursive(
    PARTS,
    lambda inner: (
        st.tuples(NAMES, inner, inner).map(
            "{{% if {0[0]} == 'x' %}}{0[1]}{{% else %}}{0[2]}{{% endif %}}".format
        )
        | st.tuples(inner, inner).map("".join)
    ),
    max_leaves=5,
)
VALUES = st.sampled_from(["", " ", "x", "1", "two\nlines", "\x1b", "é" * 300])
ROWS = st.dictionaries(st.sampled_from(["a", "b"]), VALUES)


@given(TEXTS, TEXTS, ROWS)
@example("{{ a }}", "{{ email }}", {"a": "x"})
@example("{{ a }}{{ b }}", "x", {"a": "é" * 300, "b": "é" * 300})
@example("{% if a == 'x' %}{{ a }}{% else %}{{ b }}{% endif %}", "x", {"a": "x"})
def test_row_01_the_import_accepts_exactly_what_can_be_written(
    subject: str, body: str, row: dict[str, str]
) -> None:
    accepted, written = is_accepted(subject, body, row), can_be_written(subject, body, row)
    if "sender_name" in subject + body and not accepted:
        # Who sends is known later, so a condition on it may refuse more.
        return
    assert accepted == written


@pytest.mark.parametrize("name", ["email", "sender_name", "sender_first_name", "sender_email"])
def test_row_01_what_every_letter_has_is_asked_of_nobody(name: str) -> None:
    text = f"{{{{ {name} }}}}"
    assert fields_needed(text) == frozenset()
    assert is_accepted(text, text, {})
    assert can_be_written(text, text, {})


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("Anna Example", "Anna"),
        ("Example, Anna", "Anna"),
        ("Dr. Anna Example", "Anna"),
        ("Anna", "Anna"),
        ("", "anna"),
        ("Prof. Dr.", "Prof."),
    ],
)
def test_the_sender_has_a_first_name(name: str, first: str) -> None:
    assert letter_fields(KIM, name, "anna@example.org")["sender_first_name"] == first


def test_a_row_that_lacks_only_what_its_own_letter_does_not_show_is_accepted() -> None:
    body = "{% if lang == 'de' %}{{ anrede }}{% else %}{{ salutation }}{% endif %}"
    needs = TextNeeds.of([("Hello", body)])
    assert needs.problem(KIM, {"lang": "de", "anrede": "Frau"}) is None
    assert needs.problem(KIM, {"lang": "en", "anrede": "Frau"}) == "has no salutation, which the text needs"


def test_a_row_whose_subject_would_be_too_long_is_refused() -> None:
    needs = TextNeeds.of([("About {{ company }}", "Hello")])
    assert needs.problem(KIM, {"company": "x" * (LONGEST_SUBJECT - 6)}) is None
    problem = needs.problem(KIM, {"company": "x" * LONGEST_SUBJECT})
    assert problem is not None
    assert f"1 to {LONGEST_SUBJECT} characters" in problem
