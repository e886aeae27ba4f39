"""Notices to users about their mailboxes: which were given, and what they report."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, and_, case, exists, func, insert, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.values.states import (
    CampaignState,
    ConnectionState,
    MessageKind,
    MessageState,
    RecipientState,
    ReplyClass,
)

_n = t.notice.c
_OF_FAILURES = "failure"
_REFUSED = (ReplyClass.HARD, ReplyClass.SOFT, ReplyClass.MESSAGE)


class FailedMailbox(NamedTuple):
    """A failed mailbox; `connected_at` is when it last connected or recovered."""

    id: int
    failed_at: datetime
    connected_at: datetime
    last_error: str | None


class Given(NamedTuple):
    """One notice of a failure. The addressee is empty if nobody could be told by mail."""

    nth: str
    addressee: str


class FailureEnd(NamedTuple):
    """A deadline of a failure that runs, or that has passed."""

    id: int
    campaign_id: int
    ends_at: datetime


@dataclass(frozen=True)
class Hanging:
    """A campaign and its recipients that wait for a mailbox: all of them, and those with a message of it.

    `stopped` were stopped while they waited for this mailbox.
    """

    campaign_id: int
    campaign: str
    people: int
    contacted: int
    stopped: int


class Unsent(NamedTuple):
    """A notice that has not left."""

    message_id: int
    mailbox_id: int
    to_address: str
    fields: str


class Refused(NamedTuple):
    """A notice of a present failure that its addressee's server refused."""

    mailbox_id: int
    address: str
    failed_at: datetime
    addressee: str
    said: str | None


def insert_notices(
    connection: Connection,
    mailbox_id: int,
    failed_at: datetime,
    nth: str,
    mails: Sequence[tuple[str, int | None]],
    now: datetime,
) -> None:
    """Record one notice, a row for each addressee with its message."""
    rows = [
        {
            "mailbox_id": mailbox_id,
            "failed_at": failed_at,
            "nth": nth,
            "addressee": addressee,
            "message_id": message_id,
            "given_at": now,
        }
        for addressee, message_id in mails
    ]
    connection.execute(insert(t.notice), rows)


def of_failure(connection: Connection, mailbox_id: int, failed_at: datetime) -> list[Given]:
    """The notices that were given of a failure."""
    query = select(_n.nth, _n.addressee).where(_n.mailbox_id == mailbox_id, _n.failed_at == failed_at)
    return [Given(*row) for row in connection.execute(query.order_by(_n.id))]


def was_announced_before(connection: Connection, mailbox_id: int, failed_at: datetime) -> bool:
    """Whether an earlier failure of the mailbox was announced."""
    query = select(_n.id).where(_n.mailbox_id == mailbox_id, _n.failed_at < failed_at).limit(1)
    return connection.execute(query).first() is not None


def failed_mailboxes(connection: Connection) -> list[FailedMailbox]:
    k, m = t.connection.c, t.mailbox.c
    query = (
        select(m.id, k.failed_at, k.connected_at, k.last_error)
        .join(t.connection, k.mailbox_id == m.id)
        .where(
            k.superseded_at.is_(None),
            k.state == ConnectionState.FAILED,
            k.failed_at.is_not(None),
            m.removed_at.is_(None),
        )
        .order_by(k.failed_at, m.id)
    )
    return [FailedMailbox(*row) for row in connection.execute(query)]


def recovered_mailboxes(connection: Connection, recovery: str) -> list[FailedMailbox]:
    """Connected mailboxes whose latest announced failure has no notice of its end yet."""
    k, m = t.connection.c, t.mailbox.c
    latest = (
        select(_n.mailbox_id, func.max(_n.failed_at).label("failed_at")).group_by(_n.mailbox_id).subquery()
    )
    told = exists().where(
        _n.mailbox_id == latest.c.mailbox_id, _n.failed_at == latest.c.failed_at, _n.nth == recovery
    )
    query = (
        select(m.id, latest.c.failed_at, k.connected_at, k.last_error)
        .join(latest, latest.c.mailbox_id == m.id)
        .join(t.connection, k.mailbox_id == m.id)
        .where(
            k.superseded_at.is_(None),
            k.state == ConnectionState.CONNECTED,
            m.removed_at.is_(None),
            ~told,
        )
        .order_by(m.id)
    )
    return [FailedMailbox(*row) for row in connection.execute(query)]


def failure_ends(connection: Connection, mailbox_id: int, failed_at: datetime) -> list[FailureEnd]:
    """The deadlines of a failure, except those that ended before their time."""
    d = t.deadline.c
    query = (
        select(d.id, d.campaign_id, d.ends_at)
        .where(
            d.mailbox_id == mailbox_id,
            d.kind == _OF_FAILURES,
            d.started_at >= failed_at,
            or_(d.ended_at.is_(None), d.ended_at >= d.ends_at),
        )
        .order_by(d.ends_at, d.id)
    )
    return [FailureEnd(*row) for row in connection.execute(query)]


def hanging_on(connection: Connection, mailbox_id: int, slot_id: int) -> list[Hanging]:
    """The unfinished campaigns that this mailbox sends for, with what its failure means for each."""
    r, sender, c = t.recipient.c, t.campaign_sender.c, t.campaign.c
    has_message = exists().where(t.message.c.recipient_id == r.id, t.is_counted)
    contacted = func.sum(case((and_(t.is_open, has_message), 1), else_=0))
    stopped = func.sum(case((r.state == RecipientState.STOPPED, 1), else_=0))
    query = (
        select(c.id, c.name, func.sum(case((t.is_open, 1), else_=0)), contacted, stopped)
        .join(t.campaign_sender, sender.campaign_id == c.id)
        .join(t.recipient, r.campaign_sender_id == sender.id)
        .where(
            or_(sender.mailbox_id == mailbox_id, sender.slot_id == slot_id),
            c.state.in_((CampaignState.ACTIVE, CampaignState.PAUSED)),
        )
        .group_by(c.id, c.name)
        .order_by(c.id)
    )
    return [Hanging(row[0], row[1], *map(int, row[2:])) for row in connection.execute(query)]


def unsent(connection: Connection) -> list[Unsent]:
    """The notices that wait in a lane, or are in error for another reason than a refusal."""
    m = t.message.c
    in_error = and_(t.wants_attention, m.state == MessageState.ERROR, m.error_class.not_in(_REFUSED))
    query = (
        select(m.id, m.mailbox_id, m.to_address, m.fields)
        .where(
            m.kind == MessageKind.NOTICE,
            or_(t.is_waiting, in_error),
        )
        .order_by(m.id)
    )
    return [Unsent(*row) for row in connection.execute(query)]


def is_of_present(connection: Connection, message_id: int, *always: str) -> bool:
    """Whether a mail reports a present failure; notices that are one of `always` do not go out of date."""
    k = t.connection.c
    query = (
        select(_n.id)
        .join(t.connection, and_(k.mailbox_id == _n.mailbox_id, k.superseded_at.is_(None)))
        .where(
            _n.message_id == message_id,
            or_(
                _n.nth.in_(always),
                and_(k.state == ConnectionState.FAILED, k.failed_at == _n.failed_at),
            ),
        )
    )
    return connection.execute(query.limit(1)).first() is not None


def change_message(connection: Connection, before: int, after: int) -> None:
    """Let another message carry the notices of one that could not leave."""
    connection.execute(update(t.notice).where(_n.message_id == before).values(message_id=after))


def message_of_token(connection: Connection, token: str) -> int:
    query = select(t.message.c.id).where(t.message.c.token == token)
    return int(connection.execute(query).scalar_one())


def left_messages(connection: Connection, mailbox_id: int, failed_at: datetime) -> list[str]:
    """The addressees whose mail about a failure has left, or may have."""
    query = (
        select(_n.addressee)
        .join(t.message, t.message.c.id == _n.message_id)
        .where(_n.mailbox_id == mailbox_id, _n.failed_at == failed_at, t.is_counted)
        .distinct()
        .order_by(_n.addressee)
    )
    return [str(addressee) for addressee in connection.execute(query).scalars()]


def refused(connection: Connection) -> list[Refused]:
    """Notices of present failures that a server refused for good, the first for each addressee."""
    k, m = t.connection.c, t.message.c
    query = (
        select(_n.mailbox_id, t.mailbox.c.address, _n.failed_at, _n.addressee, m.error_text)
        .join(t.message, m.id == _n.message_id)
        .join(t.mailbox, t.mailbox.c.id == _n.mailbox_id)
        .join(t.connection, and_(k.mailbox_id == _n.mailbox_id, k.superseded_at.is_(None)))
        .where(
            k.state == ConnectionState.FAILED,
            k.failed_at == _n.failed_at,
            m.state == MessageState.ERROR,
            m.error_class.in_(_REFUSED),
        )
        .order_by(_n.id)
    )
    found = dict[tuple[int, str], Refused]()
    for row in connection.execute(query):
        found.setdefault((row.mailbox_id, row.addressee), Refused(*row))
    return list(found.values())


def untold(connection: Connection) -> list[str]:
    """The failed mailboxes whose latest notice could be sent to nobody."""
    found = []
    for failed in failed_mailboxes(connection):
        given = of_failure(connection, failed.id, failed.failed_at)
        if given and not given[-1].addressee:
            address = select(t.mailbox.c.address).where(t.mailbox.c.id == failed.id)
            found.append(str(connection.execute(address).scalar_one()))
    return found
