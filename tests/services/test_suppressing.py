"""Who must never be written to again, on both databases."""

import pytest

from mailrotate.core.rules.addresses import read_suppressed
from mailrotate.core.services.campaigns import recipient_list
from mailrotate.core.services.contacts import suppressing
from mailrotate.core.services.contacts.suppressing import AddedMany, BadLine
from mailrotate.core.services.context import Context
from mailrotate.core.store import events
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.states import RecipientState, SuppressionKind
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace
from tests.support.statements import statements


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


def test_i4_a_suppressed_domain_ends_everybody_there_and_below_it(
    workspace: Workspace, context: Context
) -> None:
    campaign = workspace.add_campaign("one", [workspace.add_mailbox("anna@example.org")])
    for address in ("kim@firm.example", "lee@sub.firm.example", "pia@myfirm.example"):
        workspace.add_recipient(campaign, address)
    added = suppressing.add(context, "@Firm.example", "asked", NOW)
    assert (added.kind, added.value, added.ended) == (SuppressionKind.DOMAIN, "firm.example", 2)
    assert recipient_list.show(context, "one", "pia@myfirm.example").state is RecipientState.QUEUED


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


@pytest.mark.parametrize(
    "text",
    ["", "@", "no domain", "a@b@c", "kim@", "-.example", "*", "*@*", "kim*@example.com", "%im@example.com",
     "*.kim@example.com", "*@com", "https://example.com", "\u200b", "*@ex*mple.com"],
)  # fmt: skip
def test_what_is_neither_an_address_nor_a_domain_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        read_suppressed(text)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("*@wild.example", "wild.example"),
        ("%@wild.example", "wild.example"),
        ("@wild.example", "wild.example"),
        ("*.wild.example", "wild.example"),
        ("*@*.wild.example", "wild.example"),
        (".wild.example", "wild.example"),
        ("'kim@wild.example", "kim@wild.example"),
        ("\ufeffKim@Wild.example\u00a0", "kim@wild.example"),
        ("*@b\u00fccher.example", "xn--bcher-kva.example"),
    ],
)
def test_each_way_to_write_everybody_at_a_domain_is_read(text: str, read: str) -> None:
    kind, value = read_suppressed(text)
    assert (kind, value) == (SuppressionKind.ADDRESS if "@" in read else SuppressionKind.DOMAIN, read)


def test_a_list_is_taken_in_line_by_line(context: Context) -> None:
    lines = ["kim@example.com\n", "\n", "# a note\n", "nonsense here\n", "example.net  # all of it\n"]
    bad: list[BadLine] = []
    done = suppressing.add_many(context, lines, "imported", bad.append, lambda _count: None, NOW)
    assert (done, [each.line for each in bad]) == (AddedMany(2, 0, 0), [4])
    with suppressing.listing(context, None, None) as found:
        assert [suppressed.value for suppressed in found] == ["kim@example.com", "example.net"]


def test_a_list_ends_the_open_people_of_each_portion_once(
    workspace: Workspace, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(suppressing, "_LINES_AT_ONCE", 2)
    campaign = workspace.add_campaign("one", [workspace.add_mailbox("anna@example.org")])
    for address in ("kim@example.com", "lee@sub.example.net", "pi.a@gmail.com", "moe@example.com"):
        workspace.add_recipient(campaign, address)
    lines = ["kim@example.com", "kim@example.com", "example.net", "pia@gmail.com", "p.i.a@googlemail.com"]
    shown: list[int] = []
    done = suppressing.add_many(context, lines, "imported", lambda _bad: None, shown.append, NOW)
    assert (done, shown) == (AddedMany(3, 2, 3), [2, 4])
    assert recipient_list.show(context, "one", "moe@example.com").state is RecipientState.QUEUED
    with context.store.reading() as connection:
        logged = [line for line in events.listing(connection) if line.action == "suppressions.imported"]
    assert [line.data["imported"] for line in logged] == [1, 2]


def test_h3_a_list_ends_many_with_as_many_statements_as_a_few(workspace: Workspace, context: Context) -> None:
    campaign = workspace.add_campaign("one", [workspace.add_mailbox("anna@example.org")])
    people = [f"p{n}@example.com" for n in range(40)]
    ids = [workspace.add_recipient(campaign, address) for address in people]

    def suppress(lines: list[str]) -> list[str]:
        with statements(workspace.store) as seen:
            done = suppressing.add_many(context, lines, "left kim@b.example", _drop, _drop, NOW)
        assert done == AddedMany(len(lines), 0, len(lines))
        return seen

    assert len(suppress(people[:2])) == len(suppress(people[2:]))
    with context.store.reading() as connection:
        logged = [line for line in events.listing(connection) if line.action == "recipient.unsubscribed"]
    assert [line.recipient_id for line in logged] == ids
    assert {(line.campaign, line.data["reason"]) for line in logged} == {("one", "left (address)")}


def test_both_spellings_of_a_suppressed_address_end(workspace: Workspace, context: Context) -> None:
    """Before addresses were compared in one form, each spelling became a contact."""
    anna = workspace.add_mailbox("anna@example.org")
    for name, address in (("one", "pi.a@gmail.com"), ("two", "p.ia@gmail.com")):
        workspace.add_recipient(workspace.add_campaign(name, [anna]), address)
    assert suppressing.add(context, "pi.a@gmail.com", "asked", NOW).ended == 2


def _drop(_told: object) -> None:
    pass
