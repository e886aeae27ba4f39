"""The link between a mailbox and the contact book: its switches, and the mail that it records (B9)."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules import timeline_filter
from mailrotate.core.rules.addresses import read_domain
from mailrotate.core.rules.inbound import InboundMail
from mailrotate.core.rules.timeline_filter import Decision, Link, Whose, as_document, read_link
from mailrotate.core.services.access import authority, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import events, mailboxes, seat_addresses, settings, workspaces
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import contacts, timeline
from mailrotate.core.store.people.timeline import NewEntry
from mailrotate.core.store.portions import portions
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import Direction, MessageKind

# Tests and notices are not correspondence with a person.
_CORRESPONDENCE = (MessageKind.CAMPAIGN, MessageKind.COMPOSE)
# How the log and the commands name a contact.
CONTACT_PREFIX = "k"


@dataclass(frozen=True)
class LinkChange:
    """A change of the link; None keeps a value. Domains are as people write them."""

    is_on: bool | None = None
    incoming: Whose | None = None
    outgoing: Whose | None = None
    never: Sequence[str] = ()
    never_remove: Sequence[str] = ()


# --- the switches


def show(context: Context, address: str) -> tuple[str, Link]:
    """Return the mailbox's address and its link, for a user who may see it. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        box = authority.find_seen_mailbox(connection, context.actor, address)
        return box.address, _link_of(connection, box)


def change(context: Context, address: str, wanted: LinkChange, now: datetime) -> tuple[str, Link]:
    """Switch the link, from the next mail on. Raises BadInput, NotFound, Refused (`mailbox.disconnected`)."""
    added, removed = (tuple(map(read_domain, names)) for names in (wanted.never, wanted.never_remove))
    with context.store.writing() as connection:
        workspaces.lock(connection)
        box = seats.find_connected(connection, context.actor, address)
        before = _link_of(connection, box)
        link = Link(
            before.is_on if wanted.is_on is None else wanted.is_on,
            wanted.incoming or before.incoming,
            wanted.outgoing or before.outgoing,
            tuple(sorted({*before.never, *added} - {*removed})),
        )
        if link != before:
            told = as_document(link)
            mailboxes.change_connection(connection, box.connection_id, contact_book=json.dumps(told))
            about = About(box.id)
            changed = {"before": as_document(before), "after": told}
            events.record(connection, context.actor, "mailbox.contact_book", now, about, **changed)
        return box.address, link


def _link_of(connection: Connection, box: StoredMailbox) -> Link:
    return read_link(settings.of(connection, box.id).contact_book)


def reset_commands(connection: Connection, former: StoredMailbox) -> dict[str, Command]:
    """Build the commands that link the new connection again (C4)."""
    link = _link_of(connection, former)
    if link == timeline_filter.NEVER_LINKED:
        return {}
    options = ["--on" if link.is_on else "--off", "--incoming", link.incoming, "--outgoing", link.outgoing]
    options += [word for domain in link.never for word in ("--never", domain)]
    return {"contact_book": Command("mailbox", "crm", former.address, *options)}


# --- what is recorded


def note_sent(connection: Connection, box: SendingMailbox, message: Candidate, at: datetime) -> None:
    """Put a message that has left on its recipient's timeline, in the transaction that settles it.

    One statement, only for linked mailboxes; more for hand-written mail to unknown people.
    """
    link = read_link(box.settings.contact_book)
    if not link.is_on or message.kind not in _CORRESPONDENCE:
        return
    to = message.to_address
    if timeline_filter.decide(link, Direction.OUTGOING, to, is_known=True) is Decision.PASS:
        return
    # A campaign's recipient is always a contact.
    if link.outgoing is Whose.ALL and message.kind is not MessageKind.CAMPAIGN:
        _contacts_of(connection, box, link, Direction.OUTGOING, [to], at)
    timeline.note_sent(connection, message.id, to, at)


def note_received(
    connection: Connection, box: SendingMailbox, mails: Iterable[InboundMail], now: datetime
) -> None:
    """Put what people have written on their timelines, in the transaction that reads it.

    Machines' mail is on no timeline. Reading the same mail again adds nothing.
    """
    link = read_link(box.settings.contact_book)
    if not link.is_on:
        return
    senders = [(sender, mail) for mail in mails if (sender := _person_of(mail)) is not None]
    for some in portions(senders):
        found = _contacts_of(connection, box, link, Direction.INCOMING, [one for one, _ in some], now)
        timeline.note(
            connection,
            [
                NewEntry(
                    found[sender],
                    box.id,
                    # A future date: a wrong clock, or a sender who wants to be listed first.
                    min(mail.written_at or now, now),
                    Direction.INCOMING,
                    mail.header_id,
                    mail.subject or None,
                )
                for sender, mail in some
                if sender in found
            ],
        )


def _person_of(mail: InboundMail) -> str | None:
    """Return the normalised address of the person who wrote a mail; None for machines and invalid ones."""
    if mail.machine is not None or mail.unsubscribe_token is not None or mail.from_address is None:
        return None
    try:
        return normalise_address(mail.from_address)
    except BadInput:
        return None


def _contacts_of(
    connection: Connection,
    box: StoredMailbox,
    link: Link,
    direction: Direction,
    addresses: Sequence[str],
    now: datetime,
) -> dict[str, int]:
    """The contacts on whose timelines mail with these addresses is put, made where the link wants them."""
    known = contacts.known(connection, addresses)
    ours = seat_addresses.held_among(connection, [one for one in addresses if one not in known])
    decided = {
        address: timeline_filter.decide(
            link, direction, address, is_known=address in known, is_ours=address in ours
        )
        for address in addresses
    }
    new = [address for address, decision in decided.items() if decision is Decision.MAKE_CONTACT]
    if new:
        contacts.add(connection, new, box.user_id, now)
        made = contacts.known(connection, new)
        ids = [f"{CONTACT_PREFIX}_{contact_id}" for contact_id in sorted(made.values())]
        events.record(connection, RUNNER, "contacts.added", now, About(box.id), contacts=ids)
        known |= made
    # A new contact may be erased by another process at the same moment.
    return {
        address: known[address]
        for address, decision in decided.items()
        if decision is not Decision.PASS and address in known
    }
