"""Who must never be written to again, on both databases."""

import pytest

from mailrotate.core.services.campaigns import recipient_list
from mailrotate.core.services.contacts import suppressing
from mailrotate.core.services.context import Context
from mailrotate.core.store import events
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.states import RecipientState, SuppressionKind
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


def test_i4_a_suppressed_address_ends_in_every_campaign(workspace: Workspace, context: Context) -> None:
    anna = workspace.add_mailbox("anna@example.org")
    for name in ("one", "two"):
        campaign = workspace.add_campaign(name, [anna])
        workspace.add_recipient(campaign, "kim@example.com")
        workspace.add_recipient(campaign, "lee@example.com")
    assert suppressing.open_count(context, "KIM@example.com") == 2
    added = suppressing.add(context, " Kim@Example.com ", "asked", NOW)
    assert (added.value, added.is_new, added.ended) == ("kim@example.com", True, 2)
    for name in ("one", "two"):
        assert recipient_list.show(context, name, "kim@example.com").state is RecipientState.UNSUBSCRIBED
        assert recipient_list.show(context, name, "lee@example.com").state is RecipientState.QUEUED
    assert not suppressing.add(context, "kim@example.com", "asked", NOW).is_new


def test_i4_a_suppressed_domain_ends_everybody_there_and_nobody_below_it(
    workspace: Workspace, context: Context
) -> None:
    campaign = workspace.add_campaign("one", [workspace.add_mailbox("anna@example.org")])
    for address in ("kim@firm.example", "lee@sub.firm.example"):
        workspace.add_recipient(campaign, address)
    added = suppressing.add(context, "@Firm.example", "asked", NOW)
    assert (added.kind, added.value, added.ended) == (SuppressionKind.DOMAIN, "firm.example", 1)
    assert recipient_list.show(context, "one", "lee@sub.firm.example").state is RecipientState.QUEUED


def test_what_is_removed_may_be_written_to_again_but_nobody_is_restarted(
    workspace: Workspace, context: Context
) -> None:
    campaign = workspace.add_campaign("one", [workspace.add_mailbox("anna@example.org")])
    workspace.add_recipient(campaign, "kim@example.com")
    suppressing.add(context, "kim@example.com", "asked", NOW)
    assert suppressing.remove(context, "kim@example.com", NOW) == "kim@example.com"
    assert recipient_list.show(context, "one", "kim@example.com").state is RecipientState.UNSUBSCRIBED
    with pytest.raises(NotFound, match="is not suppressed"):
        suppressing.remove(context, "kim@example.com", NOW)


def test_the_log_names_nobody_by_address(workspace: Workspace, context: Context) -> None:
    suppressing.add(context, "kim@example.com", "asked", NOW)
    suppressing.remove(context, "kim@example.com", NOW)
    with context.store.reading() as connection:
        lines = list(events.listing(connection))
    assert [line.action for line in lines[-2:]] == ["suppression.added", "suppression.removed"]
    assert all("kim@" not in str(line.data) for line in lines)


@pytest.mark.parametrize("text", ["", "@", "no domain", "a@b@c", "kim@", "-.example"])
def test_what_is_neither_an_address_nor_a_domain_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        suppressing.read_value(text)


def test_a_list_is_taken_in_line_by_line(context: Context) -> None:
    lines = ["kim@example.com\n", "\n", "# a note\n", "nonsense here\n", "example.net  # all of it\n"]
    outcomes = list(suppressing.add_many(context, lines, "imported", NOW))
    assert [(number, type(outcome).__name__) for number, outcome in outcomes] == [
        (1, "Added"),
        (4, "BadInput"),
        (5, "Added"),
    ]
    with suppressing.listing(context, None, None) as found:
        assert [suppressed.value for suppressed in found] == ["kim@example.com", "example.net"]
