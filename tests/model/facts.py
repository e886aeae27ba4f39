"""What the database says at one instant, by the names that people use."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, and_, func, select

from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store

# A recipient: the campaign's name, and the address.
Person = tuple[str, str]
# The recipients that a campaign spreads together: all, or those that one user adds.
Pool = tuple[str, str | None]


@dataclass(frozen=True)
class Box:
    """A mailbox of `user`: `state` of its connection, whether its user is locked, whether it is paused."""

    id: int
    user: str
    state: str
    slot: int
    is_locked: bool
    is_paused: bool

    @property
    def is_able(self) -> bool:
        return self.state == "connected" and not self.is_locked


@dataclass(frozen=True)
class Recipient:
    """One recipient, added by the user `adder`; `sender` is the mailbox that its next message leaves from."""

    id: int
    adder: str | None
    state: str
    reason: str | None
    sender: str | None
    sender_id: int | None
    assigned_by: str | None
    next_step: int

    @property
    def is_open(self) -> bool:
        return self.state in ("queued", "active")


@dataclass(frozen=True)
class Message:
    """A message of a campaign."""

    id: int
    person: Person
    step: int
    state: str
    mailbox: str
    error_class: str | None
    message_id: str


@dataclass(frozen=True)
class Sender:
    """A present or former sender of a campaign; the weights are those of the database."""

    id: int
    position: int
    mailbox: str | None
    left_because: str | None
    assigned_count: int
    weight: int | None
    counted_weight: int | None


@dataclass(frozen=True)
class Campaign:
    """`rotation` is None for a single sender."""

    state: str
    rotation: str | None
    pauses: tuple[str, ...]
    senders: tuple[Sender, ...]


@dataclass(frozen=True)
class Deadline:
    mailbox: str
    campaign: str
    kind: str
    ends_at: datetime


@dataclass(frozen=True)
class Facts:
    """`boxes` without removed mailboxes; `deadlines` are those that run; `settled` the ones that passed."""

    boxes: dict[str, Box]
    campaigns: dict[str, Campaign]
    people: dict[Person, Recipient]
    messages: tuple[Message, ...]
    deadlines: tuple[Deadline, ...]
    settled: frozenset[tuple[str, str]]
    tombstones: int

    def in_state(self, state: str) -> set[Person]:
        return {person for person, one in self.people.items() if one.state == state}

    def able(self, campaign: str, adder: str | None = None) -> dict[int, Sender]:
        """The present senders of a campaign whose mailboxes can take new people, of all or of those that
        this user adds."""
        return {
            one.id: one
            for one in self.campaigns[campaign].senders
            if one.left_because is None
            and (box := self.boxes.get(one.mailbox or "")) is not None
            and box.is_able
            and (adder is None or box.user == adder or self.campaigns[campaign].rotation != "adder")
        }

    def has_deadline(self, mailbox: str | None, campaign: str) -> bool:
        return any((one.mailbox, one.campaign) == (mailbox, campaign) for one in self.deadlines)


_m, _c, _s, _r, _d = (
    each.c for each in (t.mailbox, t.connection, t.campaign_sender, t.recipient, t.deadline)
)
_in_slot = t.connection.alias("in_slot")
# Made once: building a statement takes longer than running it.
_ADDRESSES = select(_m.id, _m.address)
_BOXES = (
    select(
        _m.id,
        _m.address,
        _m.paused_at,
        _m.removed_at,
        _c.state,
        _c.slot_id,
        t.user.c.email,
        (t.user.c.state == "locked").label("is_locked"),
    )
    .join(t.connection, and_(_c.mailbox_id == _m.id, _c.superseded_at.is_(None)))
    .join(t.user, t.user.c.id == _m.user_id)
)
# A slot may also have a disconnected former connection: the newest one, last in order, counts.
_SENDERS = (
    select(t.campaign_sender, _in_slot.c.mailbox_id.label("slot_mailbox_id"))
    .outerjoin(_in_slot, and_(_in_slot.c.slot_id == _s.slot_id, _in_slot.c.superseded_at.is_(None)))
    .order_by(_s.position, _in_slot.c.id)
)
_CAMPAIGNS = select(t.campaign)
_PAUSES = select(t.campaign_pause)
_PEOPLE = (
    select(t.recipient, t.contact.c.address, t.user.c.email)
    .join(t.contact, t.contact.c.id == _r.contact_id)
    .outerjoin(t.user, t.user.c.id == func.coalesce(_r.added_for, _r.added_by))
    .order_by(_r.id)
)
_MESSAGES = select(t.message).where(t.message.c.kind == "campaign").order_by(t.message.c.id)
_DEADLINES = select(t.deadline).order_by(_d.ends_at, _d.id)
_TOMBSTONES = select(t.stopped)


def look(store: Store) -> Facts:
    """Read everything in one transaction."""
    with store.reading() as connection:
        addresses: dict[int | None, str] = {row.id: row.address for row in connection.execute(_ADDRESSES)}
        names = {row.id: row.name for row in connection.execute(_CAMPAIGNS)}
        senders = _senders(connection, addresses)
        campaigns = _campaigns(connection, senders)
        people = _people(connection, names, senders)
        deadlines = [
            (Deadline(addresses[row.mailbox_id], names[row.campaign_id], row.kind, row.ends_at), row)
            for row in connection.execute(_DEADLINES)
        ]
        return Facts(
            _boxes(connection),
            campaigns,
            people,
            _messages(connection, people, addresses),
            tuple(one for one, row in deadlines if row.ended_at is None),
            frozenset((one.mailbox, one.campaign) for one, row in deadlines if row.ended_by == "settled"),
            len(connection.execute(_TOMBSTONES).all()),
        )


def _boxes(connection: Connection) -> dict[str, Box]:
    return {
        row.address: Box(
            row.id, row.email, row.state, row.slot_id, bool(row.is_locked), row.paused_at is not None
        )
        for row in connection.execute(_BOXES)
        if row.removed_at is None
    }


def _senders(connection: Connection, addresses: dict[int | None, str]) -> dict[int, list[Sender]]:
    """The senders of each campaign."""
    found: dict[int, dict[int, Sender]] = {}
    for row in connection.execute(_SENDERS):
        found.setdefault(row.campaign_id, {})[row.id] = Sender(
            row.id,
            row.position,
            addresses.get(row.mailbox_id or row.slot_mailbox_id),
            row.left_reason,
            row.assigned_count,
            row.weight,
            row.counted_weight,
        )
    return {campaign_id: list(senders.values()) for campaign_id, senders in found.items()}


def _campaigns(connection: Connection, senders: dict[int, list[Sender]]) -> dict[str, Campaign]:
    pauses: dict[int, list[str]] = {}
    for row in connection.execute(_PAUSES):
        pauses.setdefault(row.campaign_id, []).append(row.reason)
    return {
        row.name: Campaign(row.state, row.rotation, tuple(pauses.get(row.id, ())), tuple(senders[row.id]))
        for row in connection.execute(_CAMPAIGNS)
    }


def _people(
    connection: Connection, names: dict[int, str], senders: dict[int, list[Sender]]
) -> dict[Person, Recipient]:
    mailboxes = {one.id: one.mailbox for some in senders.values() for one in some}
    return {
        (names[row.campaign_id], row.address): Recipient(
            row.id,
            row.email,
            row.state,
            row.reason,
            mailboxes.get(row.campaign_sender_id),
            row.campaign_sender_id,
            row.assigned_reason,
            row.next_step,
        )
        for row in connection.execute(_PEOPLE)
    }


def _messages(
    connection: Connection, people: dict[Person, Recipient], addresses: dict[int | None, str]
) -> tuple[Message, ...]:
    by_id = {one.id: person for person, one in people.items()}
    return tuple(
        Message(
            row.id,
            by_id[row.recipient_id],
            row.step_position,
            row.state,
            addresses[row.mailbox_id],
            row.error_class,
            row.message_id,
        )
        for row in connection.execute(_MESSAGES)
    )
