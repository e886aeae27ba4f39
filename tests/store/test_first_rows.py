"""H3: the first rows of a list take as much work among many rows as among few, and are the right ones."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from mailrotate.core.store import events
from mailrotate.core.store.engine import Store
from mailrotate.core.store.people import contacts, recipients
from tests.support.rows import NOW, Workspace

LISTS: dict[str, Callable[[Connection], Iterator[object]]] = {
    "recipients": lambda c: recipients.listing(c, 1, limit=3),
    "recipients of a state": lambda c: recipients.listing(c, 1, state="queued", limit=3),
    "recipients of a sender": lambda c: recipients.listing(c, 1, sender="anna@example.org", limit=3),
    "recipients of a mailbox that is not a sender": lambda c: recipients.listing(
        c, 1, sender="x@y.z", limit=3
    ),
    "recipients after one": lambda c: recipients.listing(c, 1, after=20, limit=3),
    "contacts": lambda c: contacts.listing(c, limit=3),
    "events": lambda c: events.listing(c, limit=3),
    "many events of an action": lambda c: events.listing(c, action="message.", limit=3),
    "few events of an action": lambda c: events.listing(c, action="campaign.started", limit=3),
    "no events of an action": lambda c: events.listing(c, action="mailbox.", limit=3),
    "events after one": lambda c: events.listing(c, action="message.", after=20, limit=3),
}


@pytest.mark.parametrize("name", LISTS)
def test_h3_the_first_rows_of_a_list_take_as_much_work_among_many_as_among_few(
    sqlite_store: Store, workspace: Workspace, name: str
) -> None:
    campaign = workspace.add_campaign(mailboxes=[workspace.add_mailbox("anna@example.org")])
    (sender,) = workspace.senders(campaign)
    with workspace.store.writing() as connection:
        events.record(connection, events.RUNNER, "campaign.started", NOW, events.About())

    def add(first: int, last: int) -> None:
        for number in range(first, last):
            person = workspace.add_recipient(campaign, f"p{number}@example.com", sender_id=sender)
            with workspace.store.writing() as connection:
                about = events.About(recipient_id=person)
                events.record(connection, events.RUNNER, "message.sent", NOW, about)

    add(0, 30)
    few = steps_of(sqlite_store, LISTS[name])
    add(30, 300)
    assert steps_of(sqlite_store, LISTS[name]) <= few + 10


def steps_of(store: Store, read: Callable[[Connection], Iterator[object]]) -> int:
    """How many instructions SQLite's machine takes for a list."""
    count = 0

    def step() -> None:
        nonlocal count
        count += 1

    with store.reading() as connection:
        raw: Any = connection.connection.driver_connection
        raw.set_progress_handler(step, 1)
        list(read(connection))
        raw.set_progress_handler(None, 1)
    return count


@pytest.mark.parametrize("state", [None, "queued", "bounced"])
@pytest.mark.parametrize("sender", [None, "anna@example.org", "ben@example.org", "x@example.org"])
def test_a_page_of_recipients_is_the_beginning_of_the_whole_list(
    store: Store, workspace: Workspace, state: str | None, sender: str | None
) -> None:
    boxes = [workspace.add_mailbox(address) for address in ("anna@example.org", "ben@example.org")]
    campaign = workspace.add_campaign(mailboxes=boxes)
    other = workspace.add_campaign("other", boxes)
    for number in range(12):
        for each in (campaign, other):
            given = workspace.senders(each)[number % 2] if number % 3 else None
            state_of = "bounced" if number % 4 == 0 else "queued"
            workspace.add_recipient(each, f"p{number}@example.com", sender_id=given, state=state_of)
    with store.reading() as connection:
        whole = list(recipients.listing(connection, campaign.id, state=state, sender=sender))
        for after in (None, *(one.id for one in whole)):
            rest = [one for one in whole if after is None or one.id > after]
            found = recipients.listing(
                connection, campaign.id, state=state, sender=sender, after=after, limit=2
            )
            assert list(found) == rest[:2]
    fits = [n for n in range(12) if state in (None, "bounced" if n % 4 == 0 else "queued")]
    if sender is not None:
        place = ("anna@example.org", "ben@example.org", "x@example.org").index(sender)
        fits = [n for n in fits if n % 3 and n % 2 == place]
    assert [one.email for one in whole] == [f"p{n}@example.com" for n in fits]


def test_c5_the_recipients_of_a_slot_are_those_of_the_mailbox_in_it(
    store: Store, workspace: Workspace
) -> None:
    campaign = workspace.add_campaign(mailboxes=[workspace.add_mailbox("anna@example.org")], rotates=False)
    (sender,) = workspace.senders(campaign)
    person = workspace.add_recipient(campaign, "kim@example.com", sender_id=sender)
    with store.reading() as connection:
        for limit in (None, 2):
            found = recipients.listing(connection, campaign.id, sender="anna@example.org", limit=limit)
            assert [one.id for one in found] == [person]
