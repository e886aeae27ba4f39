"""Recipients: one contact in one campaign."""

import json
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    true,
    update,
)

from mailrotate.core.store import dialects, moves
from mailrotate.core.store import tables as t
from mailrotate.core.store.index_steps import among_first
from mailrotate.core.store.people import contacts
from mailrotate.core.store.portions import rows_with
from mailrotate.core.values.address import (
    canonical_address,
    canonical_domain,
    domain_and_parents,
    domain_of,
)
from mailrotate.core.values.states import OPEN_RECIPIENTS, MessageState, RecipientState, Rotation
from mailrotate.core.values.transition import Transition


@dataclass(frozen=True)
class StoredRecipient:
    id: int
    campaign_id: int
    contact_id: int
    email: str
    state: RecipientState
    reason: str | None
    campaign_sender_id: int | None
    sender: str | None
    assigned_reason: str | None
    assigned_words: str | None
    owner_id: int | None
    adder_id: int | None
    fields: Mapping[str, str]
    timezone: str | None
    next_step: int
    next_at: datetime | None
    sent_count: int


_SENT = (
    select(func.count())
    .where(t.message.c.recipient_id == t.recipient.c.id, t.is_living_step, t.message.c.sent_at.is_not(None))
    .scalar_subquery()
)
_WAITING = (
    select(func.min(t.message.c.ready_at))
    .where(
        t.message.c.recipient_id == t.recipient.c.id,
        t.is_living_step,
        t.message.c.state == MessageState.SCHEDULED,
    )
    .scalar_subquery()
)
_MAILBOX_ID = func.coalesce(t.campaign_sender.c.mailbox_id, t.connection.c.mailbox_id)
_IS_IN_SLOT = and_(
    t.connection.c.slot_id == t.campaign_sender.c.slot_id,
    t.connection.c.superseded_at.is_(None),
    t.connection.c.state != "disconnected",
)
# Made once: SQLAlchemy takes longer to build it than the database takes to answer.
_RECIPIENTS = (
    select(
        t.recipient,
        t.contact.c.address.label("email"),
        t.mailbox.c.address.label("sender"),
        _SENT.label("sent_count"),
        func.coalesce(t.recipient.c.next_at, _WAITING).label("expected_at"),
        t.assignment.c.words.label("assigned_words"),
        t.contact.c.owner_id.label("owner_id"),
    )
    .join(t.contact, t.contact.c.id == t.recipient.c.contact_id)
    .outerjoin(t.campaign_sender, t.campaign_sender.c.id == t.recipient.c.campaign_sender_id)
    .outerjoin(t.connection, _IS_IN_SLOT)
    .outerjoin(t.mailbox, t.mailbox.c.id == _MAILBOX_ID)
    # The words are true as long as the rotation's choice is.
    .outerjoin(
        t.assignment,
        (t.assignment.c.id == t.recipient.c.assignment_id)
        & t.recipient.c.assigned_reason.in_(list(Rotation)),
    )
)
_BY_ID = _RECIPIENTS.where(t.recipient.c.id == bindparam("b_id"))


def _read(m: Mapping[str, object]) -> StoredRecipient:
    return StoredRecipient(
        id=m["id"],  # type: ignore[arg-type]  # columns of known type, untyped in a row's mapping
        campaign_id=m["campaign_id"],  # type: ignore[arg-type]
        contact_id=m["contact_id"],  # type: ignore[arg-type]
        email=str(m["email"] or "(erased)"),
        state=RecipientState(str(m["state"])),
        reason=m["reason"],  # type: ignore[arg-type]
        campaign_sender_id=m["campaign_sender_id"],  # type: ignore[arg-type]
        sender=m["sender"],  # type: ignore[arg-type]
        assigned_reason=m["assigned_reason"],  # type: ignore[arg-type]
        assigned_words=m["assigned_words"],  # type: ignore[arg-type]
        owner_id=m["owner_id"],  # type: ignore[arg-type]
        adder_id=m["added_for"] or m["added_by"],  # type: ignore[arg-type]
        fields=json.loads(str(m["fields"])),
        timezone=m["timezone"],  # type: ignore[arg-type]
        next_step=m["next_step"],  # type: ignore[arg-type]
        next_at=m["expected_at"],  # type: ignore[arg-type]
        sent_count=m["sent_count"],  # type: ignore[arg-type]
    )


def _has_address(address: str) -> ColumnElement[bool]:
    """Match an address in any spelling, together with its domain, the first column of the index."""
    canonical = canonical_address(address)
    return and_(t.contact.c.domain == domain_of(canonical), t.contact.c.canonical == canonical)


def find(connection: Connection, campaign_id: int, address: str) -> StoredRecipient | None:
    """The recipient with a normalised address; of two spellings in the campaign, the one that is written."""
    query = _RECIPIENTS.where(t.recipient.c.campaign_id == campaign_id, _has_address(address))
    query = query.order_by((t.contact.c.address == address).desc(), t.recipient.c.id).limit(1)
    row = connection.execute(query).one_or_none()
    return None if row is None else _read(row._mapping)  # type: ignore[arg-type]


def by_id(connection: Connection, recipient_id: int) -> StoredRecipient | None:
    row = connection.execute(_BY_ID, {"b_id": recipient_id}).one_or_none()
    return None if row is None else _read(row._mapping)  # type: ignore[arg-type]


def by_ids(connection: Connection, recipient_ids: Sequence[int]) -> dict[int, StoredRecipient]:
    rows = rows_with(connection, _RECIPIENTS, t.recipient.c.id, recipient_ids)
    return {int(row.id): _read(row._mapping) for row in rows}  # type: ignore[arg-type]


def of_contacts(connection: Connection, campaign_id: int, contact_ids: Sequence[int]) -> dict[int, int]:
    """Which of these contacts are recipients of the campaign, by contact."""
    r = t.recipient.c
    query = select(r.contact_id, r.id).where(r.campaign_id == campaign_id)
    return {
        int(row.contact_id): int(row.id) for row in rows_with(connection, query, r.contact_id, contact_ids)
    }


def among(connection: Connection, campaign_id: int, recipient_ids: Sequence[int]) -> set[int]:
    """Which of these ids are recipients of the campaign."""
    r = t.recipient.c
    query = select(r.id).where(r.campaign_id == campaign_id)
    return {int(row.id) for row in rows_with(connection, query, r.id, recipient_ids)}


def listing(
    connection: Connection,
    campaign_id: int,
    *,
    state: str | None = None,
    sender: str | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Generator[StoredRecipient]:
    """List recipients in the order of enrolment, streamed."""
    r = t.recipient.c
    among = [r.campaign_id == campaign_id]
    if sender is not None:
        among = [r.campaign_sender_id == number for number in _senders_at(connection, campaign_id, sender)]
        if not among:
            return
    states = [*RecipientState] if state is None else [state]
    is_after = true() if after is None else r.id > after
    if limit is None:
        which = and_(or_(*among), r.state.in_(states), is_after)
    else:
        parts = [(where, r.state == each, is_after) for where in among for each in states]
        which = among_first(r.id, [select(r.id).where(*part).order_by(r.id) for part in parts], limit)
    query = _RECIPIENTS.where(which).order_by(r.id).limit(limit)
    with connection.execute(query.execution_options(yield_per=500)) as rows:
        for row in rows:
            yield _read(row._mapping)  # type: ignore[arg-type]


def _senders_at(connection: Connection, campaign_id: int, address: str) -> list[int]:
    """The senders of a campaign whose recipients this mailbox writes to."""
    query = (
        select(t.campaign_sender.c.id)
        .outerjoin(t.connection, _IS_IN_SLOT)
        .join(t.mailbox, t.mailbox.c.id == _MAILBOX_ID)
        .where(t.campaign_sender.c.campaign_id == campaign_id, t.mailbox.c.address == address)
    )
    return list(connection.execute(query).scalars())


def people(connection: Connection, campaign_id: int) -> Generator[tuple[str, dict[str, str]]]:
    """Stream address and fields of a campaign's recipients, without erased contacts."""
    query = (
        select(t.contact.c.address, t.recipient.c.fields)
        .join(t.contact, t.contact.c.id == t.recipient.c.contact_id)
        .where(t.recipient.c.campaign_id == campaign_id, t.contact.c.address.is_not(None))
        .order_by(t.recipient.c.id)
    )
    with connection.execute(query.execution_options(yield_per=500)) as rows:
        for address, fields in rows:
            yield address, json.loads(fields)


def counts_by_sender(connection: Connection, campaign_id: int) -> dict[int, int]:
    """Count the recipients of each `campaign_sender`, in any state."""
    c = t.recipient.c
    query = (
        select(c.campaign_sender_id, func.count())
        .where(c.campaign_id == campaign_id, c.campaign_sender_id.is_not(None))
        .group_by(c.campaign_sender_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def open_count(connection: Connection, campaign_id: int, campaign_sender_id: int) -> int:
    """How many open recipients of a campaign a sender has."""
    r = t.recipient.c
    query = select(func.count()).where(
        r.campaign_id == campaign_id, r.campaign_sender_id == campaign_sender_id, t.is_open
    )
    return int(connection.execute(query).scalar_one())


def awaited_senders(connection: Connection, campaign_id: int) -> frozenset[int]:
    """The senders of a campaign that have open recipients."""
    c = t.recipient.c
    query = select(c.campaign_sender_id).where(
        c.campaign_id == campaign_id, c.state.in_(OPEN_RECIPIENTS), c.campaign_sender_id.is_not(None)
    )
    return frozenset(connection.execute(query.distinct()).scalars())


def place_of(connection: Connection, campaign_id: int, recipient_id: int | None) -> tuple[int, int]:
    """Which recipient of a campaign this is in the order of enrolment, from 1, and how many there are."""
    r = t.recipient.c
    is_before = r.id <= (0 if recipient_id is None else recipient_id)
    counted = select(func.count().filter(is_before), func.count()).where(r.campaign_id == campaign_id)
    place, total = connection.execute(counted).one()
    return int(place), int(total)


def first_of(connection: Connection, campaign_id: int) -> StoredRecipient | None:
    found = list(listing(connection, campaign_id, limit=1))
    return found[0] if found else None


def lock_enrolment(connection: Connection) -> None:
    """Lock a campaign's enrolment: until the transaction ends, no process can enrol, start, stop or edit.

    So the campaign's state, version and rotation counts stay true.
    """
    dialects.lock_contacts(connection)


def end(
    connection: Connection, transition: Transition, reason: str, recipient_id: int, now: datetime
) -> bool:
    """End one recipient; False if it had already ended."""
    return moves.move(connection, transition, recipient_id, **ending(reason, now))


def end_each(
    connection: Connection, transition: Transition, reason: str, recipient_ids: Sequence[int], now: datetime
) -> dict[int, int | None]:
    """End some hundred recipients in one statement; return the sender of each that had not ended yet."""
    r = t.recipient.c
    columns = (r.id, r.campaign_sender_id)
    moved = moves.move_each(connection, transition, recipient_ids, *columns, **ending(reason, now))
    return {row.id: row.campaign_sender_id for row in moved}


def end_many(
    connection: Connection, transition: Transition, reason: str, where: ColumnElement[bool], now: datetime
) -> int:
    """End a set of recipients in one statement; return how many ended."""
    return moves.move_many(connection, transition, where, **ending(reason, now))


def ending(reason: str, now: datetime) -> dict[str, object]:
    """The columns that an end sets beside the state."""
    return {"reason": reason, "next_at": None, "ended_at": now}


def of_campaign(campaign_id: int) -> ColumnElement[bool]:
    """A condition: the recipients of a campaign."""
    return t.recipient.c.campaign_id == campaign_id


def give_sender(connection: Connection, recipient_id: int, campaign_sender_id: int | None) -> None:
    """Give a recipient the sender that wrote to them, unless they have one."""
    c = t.recipient.c
    query = update(t.recipient).where(c.id == recipient_id, c.campaign_sender_id.is_(None))
    connection.execute(query.values(campaign_sender_id=campaign_sender_id))


def has_ended(connection: Connection, message_id: int) -> bool:
    """Whether the recipient of a message has ended; locks the row, so that the answer stays true."""
    query = (
        select(t.recipient.c.state)
        .join(t.message, t.message.c.recipient_id == t.recipient.c.id)
        .where(t.message.c.id == message_id)
        .with_for_update(of=t.recipient)
    )
    state = connection.execute(query).scalar_one_or_none()
    return state is not None and state not in OPEN_RECIPIENTS


def open_of_address(connection: Connection, address: str | None, domain: str | None) -> list[int]:
    """The open recipients behind an address, or at a whole domain and below it."""
    return open_covered(connection, [address] if address else [], [domain] if domain else [])


def open_covered(connection: Connection, addresses: Sequence[str], domains: Sequence[str]) -> list[int]:
    """The open recipients whom suppressions of these addresses and domains cover."""
    c = t.contact.c
    by_contact = (
        select(t.recipient.c.id)
        .join(t.contact, c.id == t.recipient.c.contact_id)
        .where(t.recipient.c.state.in_(OPEN_RECIPIENTS))
    )
    suppressed = set(map(canonical_domain, domains))
    covered = [
        domain
        for domain in (contacts.domains(connection) if suppressed else ())
        if not suppressed.isdisjoint(domain_and_parents(domain))
    ]
    canonical = sorted(set(map(canonical_address, addresses)))
    ids = {row.id for row in rows_with(connection, by_contact, c.domain, covered)}
    return sorted(ids | {row.id for row in contacts.with_canonical(connection, by_contact, canonical)})


def remove_uncontacted(connection: Connection, recipient_id: int) -> None:
    """Delete a recipient of a draft; nothing was planned for it yet."""
    connection.execute(delete(t.recipient).where(t.recipient.c.id == recipient_id))
