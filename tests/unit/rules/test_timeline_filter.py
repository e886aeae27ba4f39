"""Which mail is put on a timeline, and whom it makes a contact (B9)."""

import json
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mailrotate.core.rules.timeline_filter import (
    NEVER_LINKED,
    Decision,
    Link,
    Whose,
    as_document,
    decide,
    read_link,
)
from mailrotate.core.values.states import Direction

KIM = "kim@firm.example.com"
DOMAINS = st.lists(st.sampled_from(["com", "example.com", "firm.example.com", "xn--bcher-kva.example"]))
LINKS = st.builds(
    Link,
    st.booleans(),
    st.sampled_from(Whose),
    st.sampled_from(Whose),
    DOMAINS.map(tuple),
)


@pytest.mark.parametrize(
    ("whose", "is_known", "is_ours", "decision"),
    [
        (Whose.KNOWN, True, False, Decision.LOG),
        (Whose.KNOWN, True, True, Decision.LOG),
        (Whose.KNOWN, False, False, Decision.PASS),
        (Whose.ALL, True, False, Decision.LOG),
        (Whose.ALL, True, True, Decision.LOG),
        (Whose.ALL, False, False, Decision.MAKE_CONTACT),
        (Whose.ALL, False, True, Decision.PASS),
        (Whose.NONE, True, False, Decision.PASS),
        (Whose.NONE, False, False, Decision.PASS),
    ],
)
def test_b9_whose_mail_is_recorded(whose: Whose, is_known: bool, is_ours: bool, decision: Decision) -> None:
    for other, direction in product(Whose, Direction):
        link = Link(True, whose, other) if direction is Direction.INCOMING else Link(True, other, whose)
        assert decide(link, direction, KIM, is_known=is_known, is_ours=is_ours) is decision
        if not is_ours:
            assert decide(link, direction, KIM, is_known=is_known) is decision


@pytest.mark.parametrize(
    ("never", "decision"),
    [
        ("firm.example.com", Decision.PASS),
        ("example.com", Decision.PASS),
        ("com", Decision.PASS),
        ("rm.example.com", Decision.LOG),
        ("a.firm.example.com", Decision.LOG),
        ("firm.example.co", Decision.LOG),
    ],
)
def test_b9_a_domain_that_is_never_recorded_covers_what_is_below_it(never: str, decision: Decision) -> None:
    link = Link(True, Whose.ALL, Whose.ALL, ("other.example", never))
    assert decide(link, Direction.INCOMING, KIM, is_known=True) is decision


@given(LINKS, st.sampled_from(Direction), st.booleans(), st.booleans())
def test_b9_what_holds_for_every_link(
    link: Link, direction: Direction, is_known: bool, is_ours: bool
) -> None:
    decision = decide(link, direction, KIM, is_known=is_known, is_ours=is_ours)
    whose = link.incoming if direction is Direction.INCOMING else link.outgoing
    if not link.is_on or whose is Whose.NONE:
        assert decision is Decision.PASS
    if decision is Decision.MAKE_CONTACT:
        assert not is_known
        assert whose is Whose.ALL
    if decision is Decision.LOG:
        assert is_known
    # Whoever becomes a contact by it is known from then on, and recorded.
    if decision is Decision.MAKE_CONTACT:
        assert decide(link, direction, KIM, is_known=True, is_ours=is_ours) is Decision.LOG


@given(LINKS)
def test_b9_a_link_is_read_as_it_was_stored(link: Link) -> None:
    assert read_link(json.dumps(as_document(link))) == link
    assert set(as_document(link)) == {"on", "incoming", "outgoing", "never"}


def test_b9_a_mailbox_that_was_never_linked_records_nothing() -> None:
    assert read_link(None) == NEVER_LINKED == Link(False, Whose.KNOWN, Whose.KNOWN, ())
    assert str(NEVER_LINKED) == "off"
    assert str(Link(True, never=("a.example", "b.example"))) == (
        "incoming known, outgoing known, never a.example b.example"
    )


def test_b9_a_link_is_told_in_a_line() -> None:
    assert str(NEVER_LINKED) == "off"
    assert str(Link(True)) == "incoming known, outgoing known"
    link = Link(True, Whose.ALL, Whose.NONE, ("example.com", "example.org"))
    assert str(link) == "incoming all, outgoing none, never example.com example.org"
