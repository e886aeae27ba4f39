"""When two addresses are the same, and what is none (D8)."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mailrotate.core.values import address
from mailrotate.core.values.address import domain_of, normalise_address
from mailrotate.core.values.errors import BadInput


def slowly(text: str) -> str | None:
    try:
        return address._normalise_exactly(text.strip())
    except BadInput:
        return None


def quickly(text: str) -> str | None:
    try:
        return normalise_address(text)
    except BadInput:
        return None


@pytest.mark.parametrize(
    ("text", "same_as"),
    [
        ("Ann@Example.ORG", "ann@example.org"),
        ("  ann@example.org\n", "ann@example.org"),
        ("ann+news@example.org", "ann+news@example.org"),
        ("o'hara@example.org", "o'hara@example.org"),
        ("ann@bücher.example", "ann@xn--bcher-kva.example"),
        ("ann@BÜCHER.example", "ann@xn--bcher-kva.example"),
        ("ann@xn--bcher-kva.example", "ann@xn--bcher-kva.example"),
    ],
)
def test_d8_addresses_are_compared_in_one_form(text: str, same_as: str) -> None:
    assert normalise_address(text) == same_as
    assert normalise_address(same_as) == same_as


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ann",
        "@example.org",
        "ann@",
        "ann@example",
        "ann@@example.org",
        "ann@exa mple.org",
        ".ann@example.org",
        "ann.@example.org",
        "a..n@example.org",
        "ann@-example.org",
        "ann@example.org\r\nBcc: bob@example.org",
        "ann@localhost",
        "ann@mail.test",
        "ann@printer.local",
        "a" * 65 + "@example.org",
        "ann@" + "a" * 64 + ".org",
        "Ann <ann@example.org>",
    ],
)
def test_d8_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadInput) as refused:
        normalise_address(text)
    assert refused.value.code == "address.invalid"


def test_d8_a_long_mistake_is_not_repeated_at_length() -> None:
    with pytest.raises(BadInput) as refused:
        normalise_address("x" * 5000)
    assert len(refused.value.message) < 300


local_parts = st.text("abzAZ09._+-'!#ü ", min_size=1, max_size=66)
labels = st.text("abzAZ09-_ü", min_size=1, max_size=12)
domains = st.lists(
    st.one_of(labels, st.sampled_from(["xn--a", "test", "com", "local", "a" * 63, "a" * 64, "onion"])),
    min_size=1,
    max_size=4,
).map(".".join)
addresses = st.builds("{}@{}".format, local_parts, domains)


@settings(max_examples=500, deadline=None)
@given(addresses)
def test_d8_the_quick_way_gives_what_the_exact_way_gives(text: str) -> None:
    assert quickly(text) == slowly(text)


@settings(max_examples=200, deadline=None)
@given(addresses)
def test_d8_the_form_is_its_own_form(text: str) -> None:
    form = quickly(text)
    if form is not None:
        assert normalise_address(form) == form


def test_d8_the_domain_is_what_follows_the_last_at_sign() -> None:
    assert domain_of('"a@b"@Example.org') == "example.org"


@pytest.mark.parametrize("text", ["jürg@example.org", "用户@example.org"])
def test_letters_that_not_every_server_takes_before_the_at_are_refused(text: str) -> None:
    """D8: by line at the import, instead of as errors that pause the campaign at the claim."""
    with pytest.raises(BadInput, match="before the @"):
        normalise_address(text)
