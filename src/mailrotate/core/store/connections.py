"""Insert, replace and seal connections, and find what depends on a mailbox."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    or_,
    select,
    update,
)

from mailrotate.core.store import deadlines, moves, seat_addresses
from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import rows_with
from mailrotate.core.store.ready import Record
from mailrotate.core.values.mail import Endpoint
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    CampaignState,
    ConnectionState,
    RecipientState,
    Security,
)
from mailrotate.core.values.transition import Transition


@dataclass(frozen=True)
class HangingCampaign:
    """A campaign that a mailbox sends for, and how many of its recipients wait for the mailbox.

    `contacted` of these have had a message of the campaign. A mailbox that only took recipients over is not a
    sender of the campaign (B8).
    """

    id: int
    name: str
    state: CampaignState
    rotates: bool
    people: int
    is_sender: bool
    contacted: int = 0


@dataclass(frozen=True)
class StoredLogin:
    """A mailbox's servers and sealed secret; the secret is None once disconnected."""

    address: str
    provider: str
    connection_id: int
    generation: int
    smtp: Endpoint
    imap: Endpoint
    username: str
    secret: bytes | None


@dataclass(frozen=True)
class Health:
    """Why a mailbox cannot send, and since when its connection has its state."""

    paused_at: datetime | None
    hold_class: str | None
    hold_reason: str | None
    hold_until: datetime | None
    released_at: datetime | None
    connected_at: datetime
    failed_at: datetime | None
    disconnected_at: datetime | None
    trouble_since: datetime | None
    last_test_at: datetime | None
    last_error: str | None


HEALTH = tuple(
    table.c[each.name]
    for each in fields(Health)
    for table in (t.mailbox, t.connection)
    if each.name in table.c
)


def health(r: Record) -> Health:
    """Read the health from a row with these columns."""
    return Health(*(r[column.key] for column in HEALTH))


def health_of(connection: Connection, mailbox_id: int) -> Health:
    query = (
        select(*HEALTH)
        .join(t.connection, t.connection.c.mailbox_id == t.mailbox.c.id)
        .where(t.mailbox.c.id == mailbox_id, t.connection.c.superseded_at.is_(None))
    )
    return health(connection.execute(query).mappings().one())


def login_of(connection: Connection, mailbox_id: int) -> StoredLogin:
    c = t.connection.c
    query = (
        select(t.mailbox.c.address, t.connection)
        .join(t.connection, c.mailbox_id == t.mailbox.c.id)
        .where(t.mailbox.c.id == mailbox_id, c.superseded_at.is_(None))
    )
    r = connection.execute(query).mappings().one()
    return StoredLogin(
        address=r["address"],
        provider=r["provider"],
        connection_id=r["id"],
        generation=r["generation"],
        smtp=Endpoint(r["smtp_host"], r["smtp_port"], Security(r["smtp_security"])),
        imap=Endpoint(r["imap_host"], r["imap_port"], Security(r["imap_security"])),
        username=r["username"],
        secret=r["secret"],
    )


def servers_of(
    connection: Connection, mailbox_ids: Sequence[int]
) -> dict[int, tuple[tuple[str, int], tuple[str, int]]]:
    """Host and port of each mailbox's SMTP server, and of its IMAP server."""
    c = t.connection.c
    query = select(c.mailbox_id, c.smtp_host, c.smtp_port, c.imap_host, c.imap_port).where(
        c.superseded_at.is_(None)
    )
    found = rows_with(connection, query, c.mailbox_id, mailbox_ids)
    return {row.mailbox_id: ((row.smtp_host, row.smtp_port), (row.imap_host, row.imap_port)) for row in found}


@dataclass(frozen=True)
class SealedSecret:
    connection_id: int
    generation: int
    secret: bytes


def insert_mailbox(connection: Connection, address: str, user_id: int, now: datetime) -> int:
    """Insert a mailbox with its lane."""
    made = connection.execute(insert(t.mailbox).values(address=address, user_id=user_id, created_at=now))
    mailbox_id = int((made.inserted_primary_key or (0,))[0])
    connection.execute(insert(t.lane).values(mailbox_id=mailbox_id, token=0))
    seat_addresses.hold(connection, address, mailbox_id)
    return mailbox_id


def supersede(connection: Connection, mailbox_id: int, now: datetime) -> None:
    """Mark the mailbox's present connection as a former one."""
    c = t.connection.c
    connection.execute(
        update(t.connection)
        .where(c.mailbox_id == mailbox_id, c.superseded_at.is_(None))
        .values(superseded_at=now)
    )


def insert_connection(
    connection: Connection,
    transition: Transition,
    mailbox_id: int,
    slot_id: int,
    now: datetime,
    **values: object,
) -> int:
    made = connection.execute(
        insert(t.connection).values(
            mailbox_id=mailbox_id,
            slot_id=slot_id,
            connected_at=now,
            last_test_at=now,
            **moves.born(transition),
            **values,
        )
    )
    return int((made.inserted_primary_key or (0,))[0])


def server_columns(smtp: Endpoint, imap: Endpoint) -> dict[str, object]:
    """Return the column values for a connection's two servers."""
    return {
        "smtp_host": smtp.host,
        "smtp_port": smtp.port,
        "smtp_security": smtp.security,
        "imap_host": imap.host,
        "imap_port": imap.port,
        "imap_security": imap.security,
    }


def slot_owner(connection: Connection, slot_id: int) -> int | None:
    """The user of this slot; None if the slot is in the pool, removed or unknown."""
    query = select(t.slot.c.user_id).where(t.slot.c.id == slot_id, t.slot.c.removed_at.is_(None))
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else int(found)


def free_slots(connection: Connection, user_id: int) -> list[int]:
    """The user's slots without a connected mailbox; then those that a disconnected one may return to, and
    last those where its grace runs."""
    c = t.connection.c
    current = and_(c.slot_id == t.slot.c.id, c.superseded_at.is_(None))
    taken = exists().where(current, c.state != ConnectionState.DISCONNECTED)
    removed = select(t.mailbox.c.id).where(t.mailbox.c.removed_at.is_not(None))
    awaited = exists().where(current, c.state == ConnectionState.DISCONNECTED, c.mailbox_id.not_in(removed))
    in_grace = deadlines.runs_for(c.mailbox_id, current)
    query = (
        select(t.slot.c.id)
        .where(t.slot.c.user_id == user_id, t.slot.c.removed_at.is_(None), ~taken)
        .order_by(case((in_grace, 2), (awaited, 1), else_=0), t.slot.c.id)
    )
    return [int(slot_id) for slot_id in connection.execute(query).scalars()]


def taken_slots(connection: Connection, user_id: int) -> int:
    """Count the user's slots with a connected or failed mailbox (A3)."""
    query = (
        select(func.count())
        .select_from(t.connection)
        .join(t.slot, t.slot.c.id == t.connection.c.slot_id)
        .where(t.slot.c.user_id == user_id, t.slot.c.removed_at.is_(None), _is_in_slot())
    )
    return int(connection.execute(query).scalar_one())


def address_in_slot(connection: Connection, slot_id: int) -> str | None:
    """The address that is connected or failed in a slot."""
    query = (
        select(t.mailbox.c.address)
        .join(t.connection, t.connection.c.mailbox_id == t.mailbox.c.id)
        .where(t.connection.c.slot_id == slot_id, _is_in_slot())
    )
    found = connection.execute(query).scalar_one_or_none()
    return None if found is None else str(found)


@dataclass(frozen=True)
class FormerMailbox:
    id: int
    address: str


def former_in_slot(connection: Connection, slot_id: int, but: int) -> FormerMailbox | None:
    """The mailbox other than `but` that was last connected in a slot."""
    query = (
        select(t.mailbox.c.id, t.mailbox.c.address)
        .join(t.connection, t.connection.c.mailbox_id == t.mailbox.c.id)
        .where(t.connection.c.slot_id == slot_id, t.mailbox.c.id != but)
        .order_by(t.connection.c.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else FormerMailbox(row.id, row.address)


def _is_in_slot() -> ColumnElement[bool]:
    return and_(t.connection.c.superseded_at.is_(None), t.connection.c.state != ConnectionState.DISCONNECTED)


def sealed_secrets(connection: Connection) -> Iterator[SealedSecret]:
    """All sealed secrets, including those of former connections."""
    c = t.connection.c
    query = select(c.id, c.generation, c.secret).where(c.secret.is_not(None)).order_by(c.id)
    for row in connection.execute(query).all():
        yield SealedSecret(row.id, row.generation, row.secret)


def replace_secret(connection: Connection, connection_id: int, generation: int, secret: bytes) -> bool:
    """Replace a secret by compare-and-set; False if it changed or was deleted meanwhile."""
    c = t.connection.c
    result = connection.execute(
        update(t.connection)
        .where(c.id == connection_id, c.generation == generation, c.secret.is_not(None))
        .values(secret=secret, generation=generation + 1)
    )
    return result.rowcount == 1


def hanging_on(connection: Connection, mailbox_id: int, slot_id: int) -> list[HangingCampaign]:
    """The unfinished campaigns that send from this mailbox or its slot, with their open recipients.

    Drafts are included; they have no waiting recipients. With the mailbox id 0, only the slot counts.
    """
    sender, c = t.campaign_sender.c, t.campaign.c
    waits = and_(
        t.recipient.c.campaign_sender_id == sender.id,
        t.recipient.c.campaign_id == c.id,
        t.recipient.c.state.in_(OPEN_RECIPIENTS),
    )
    is_sender = func.max(case((sender.left_at.is_(None), 1), else_=0)).label("is_sender")
    contacted = func.count(case((t.recipient.c.state == RecipientState.ACTIVE, 1))).label("contacted")
    people = func.count(t.recipient.c.id).label("people")
    query = (
        select(c.id, c.name, c.state, c.rotation, people, contacted, is_sender)
        .join(t.campaign_sender, sender.campaign_id == c.id)
        .outerjoin(t.recipient, waits)
        .where(
            or_(sender.mailbox_id == mailbox_id, sender.slot_id == slot_id),
            or_(sender.left_at.is_(None), t.recipient.c.id.is_not(None)),
            c.state != CampaignState.FINISHED,
        )
        .group_by(c.id, c.name, c.state, c.rotation)
        .order_by(c.id)
    )
    return [
        HangingCampaign(
            row.id,
            row.name,
            CampaignState(row.state),
            row.rotation is not None,
            row.people,
            bool(row.is_sender),
            row.contacted,
        )
        for row in connection.execute(query)
    ]


def next_due_of(connection: Connection, campaign_id: int, mailbox_id: int, slot_id: int) -> datetime | None:
    """When the campaign's first recipient that waits for this mailbox is due; None if none waits."""
    sender, r, m = t.campaign_sender.c, t.recipient.c, t.message.c
    mine = select(sender.id).where(
        sender.campaign_id == campaign_id, or_(sender.mailbox_id == mailbox_id, sender.slot_id == slot_id)
    )
    unplanned = select(func.min(r.next_at)).where(
        r.campaign_sender_id.in_(mine), r.next_at.is_not(None), r.state.in_(OPEN_RECIPIENTS)
    )
    planned = select(func.min(m.ready_at)).where(
        m.mailbox_id == mailbox_id, m.campaign_id == campaign_id, t.is_waiting
    )
    found = (connection.execute(query).scalar_one_or_none() for query in (unplanned, planned))
    return min((instant for instant in found if isinstance(instant, datetime)), default=None)


def paused_by(connection: Connection, mailbox_id: int, shared_reason: str) -> list[tuple[int, str]]:
    """Id and name of the campaigns that a mailbox's trouble paused, or a reason that is no mailbox's."""
    p = t.campaign_pause.c
    query = (
        select(t.campaign.c.id, t.campaign.c.name)
        .join(t.campaign_pause, p.campaign_id == t.campaign.c.id)
        .where(or_(p.mailbox_id == mailbox_id, p.reason == shared_reason))
        .distinct()
        .order_by(t.campaign.c.id)
    )
    return [(row.id, row.name) for row in connection.execute(query)]


def pausing(connection: Connection, slots: Mapping[int, int], shared_reason: str) -> set[int]:
    """Return the mailboxes, of those with these slots, whose trouble pauses a campaign that they send for, or
    that send for one without any sender."""
    p, sender = t.campaign_pause.c, t.campaign_sender.c
    query = (
        select(sender.mailbox_id, sender.slot_id, p.mailbox_id, p.reason)
        .join(t.campaign_pause, p.campaign_id == sender.campaign_id)
        .where(sender.left_at.is_(None))
        .distinct()
    )
    paused = [tuple(row) for row in connection.execute(query)]
    return {
        mailbox_id
        for mailbox_id, slot_id in slots.items()
        for sends_from, through, paused_by, reason in paused
        if (sends_from == mailbox_id or through == slot_id)
        and (paused_by == mailbox_id or reason == shared_reason)
    }


def lift_pauses_of(connection: Connection, campaign_id: int, mailbox_id: int, shared_reason: str) -> bool:
    """Lift a mailbox's pause reasons of one campaign, and one that belongs to no mailbox; True if no reason
    of any kind is left."""
    p = t.campaign_pause.c
    lifted = or_(p.mailbox_id == mailbox_id, p.reason == shared_reason)
    connection.execute(delete(t.campaign_pause).where(p.campaign_id == campaign_id, lifted))
    return connection.execute(select(p.id).where(p.campaign_id == campaign_id).limit(1)).first() is None


def waiting_count(connection: Connection, mailbox_id: int) -> int:
    """Count the planned messages of this mailbox."""
    query = select(func.count()).where(t.message.c.mailbox_id == mailbox_id, t.is_waiting)
    return int(connection.execute(query).scalar_one())
