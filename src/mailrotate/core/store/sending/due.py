"""Find lanes with work; every pass asks this."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, Select, and_, exists, func, or_, select

from mailrotate.core.store import tables as t
from mailrotate.core.values.mail import INBOX
from mailrotate.core.values.states import (
    CampaignState,
    ConnectionState,
    Departure,
    MessageKind,
    Priority,
    UserState,
)


def lanes_with_work(connection: Connection, now: datetime) -> list[int]:
    """The mailboxes that have something to do: something to send, people to plan for, an inbox to read
    or a sent copy to file.

    Each part is answered by one look into an index, so that the work grows with the mailboxes and active
    campaigns, never with the number of people who wait (H3). What a mailbox may not send now (it rests, is
    on hold or paused) is not looked for, and neither are the people of a paused campaign.
    """
    sync_every = timedelta(seconds=connection.execute(select(t.plan.c.sync_every_seconds)).scalar_one())
    k = t.connection.c
    may_send = and_(
        t.mailbox.c.paused_at.is_(None),
        or_(t.mailbox.c.hold_reason.is_(None), t.mailbox.c.hold_until <= now),
        t.user.c.state == UserState.ACTIVE,
        or_(t.lane.c.next_send_at.is_(None), t.lane.c.next_send_at <= now),
    )
    inbox_due = and_(
        or_(t.folder.c.read_at.is_(None), t.folder.c.read_at <= now - sync_every),
        or_(t.folder.c.next_try_at.is_(None), t.folder.c.next_try_at <= now),
    )
    copy_due = exists().where(t.sent_copy.c.mailbox_id == t.mailbox.c.id, t.sent_copy.c.next_try_at <= now)
    query = (
        select(t.mailbox.c.id)
        .join(t.connection, k.mailbox_id == t.mailbox.c.id)
        .join(t.lane, t.lane.c.mailbox_id == t.mailbox.c.id)
        .join(t.user, t.user.c.id == t.mailbox.c.user_id)
        .outerjoin(t.folder, and_(t.folder.c.mailbox_id == t.mailbox.c.id, t.folder.c.name == INBOX))
        .where(
            k.superseded_at.is_(None),
            k.state == ConnectionState.CONNECTED,
            or_(inbox_due, copy_due, and_(may_send, _mail_due(now))),
        )
        .order_by(t.mailbox.c.id)
    )
    return [int(mailbox_id) for mailbox_id in connection.execute(query).scalars()]


def lanes_away(
    connection: Connection, now: datetime, campaigns: ColumnElement[bool] | None = None
) -> list[int]:
    """The mailboxes that are away while people of running campaigns, or of `campaigns`, are due to be written
    to by them, or while something is scheduled in their lane: a step that names them, or an operator, can put
    it there."""
    k = t.connection.c
    scheduled = exists().where(
        t.message.c.mailbox_id == t.mailbox.c.id,
        t.is_waiting,
        t.message.c.kind != MessageKind.NOTICE,
    )
    query = (
        select(t.mailbox.c.id)
        .join(t.connection, k.mailbox_id == t.mailbox.c.id)
        .where(
            k.superseded_at.is_(None),
            k.state != ConnectionState.CONNECTED,
            t.mailbox.c.removed_at.is_(None),
            or_(_people_due(now, follow_ups=True, campaigns=campaigns), scheduled),
        )
        .order_by(t.mailbox.c.id)
    )
    return [int(mailbox_id) for mailbox_id in connection.execute(query).scalars()]


def lanes_ready(connection: Connection, now: datetime, *, follow_ups: bool = True) -> list[int]:
    """The mailboxes in which mail is due, whether or not they may send it; or in which mail other than
    follow-ups is due."""
    query = (
        select(t.mailbox.c.id)
        .join(t.connection, t.connection.c.mailbox_id == t.mailbox.c.id)
        .where(t.connection.c.superseded_at.is_(None), _mail_due(now, follow_ups))
        .order_by(t.mailbox.c.id)
    )
    return [int(mailbox_id) for mailbox_id in connection.execute(query).scalars()]


def waiting_count(connection: Connection, mailbox_id: int, slot_id: int, until: datetime, most: int) -> int:
    """Count the messages that wait for a mailbox until an instant, planned or not; each kind up to `most`."""
    if most <= 0:
        return 0
    planned, unplanned = _waiting(mailbox_id, slot_id)
    parts = planned.where(t.message.c.ready_at < until), unplanned.where(t.recipient.c.next_at < until)
    return sum(_counted(connection, part, most) for part in parts)


def waiting_before(
    connection: Connection, mailbox_id: int, slot_id: int, ready_at: datetime, recipient_id: int, most: int
) -> int:
    """Count what waits for a mailbox and is due before the message of this recipient that is ready then,
    planned or not; each kind up to `most`."""
    m, r = t.message.c, t.recipient.c
    planned, unplanned = _waiting(mailbox_id, slot_id)
    # What is due at the same instant goes in the order of enrolment.
    parts = (
        planned.where(m.ready_at <= ready_at, or_(m.ready_at < ready_at, m.recipient_id < recipient_id)),
        unplanned.where(r.next_at <= ready_at, or_(r.next_at < ready_at, r.id < recipient_id)),
    )
    return sum(_counted(connection, part, most) for part in parts)


def _waiting(mailbox_id: int, slot_id: int) -> tuple[Select[int], Select[int]]:
    """A mailbox's planned messages, and its recipients without a planned message."""
    r, sender = t.recipient.c, t.campaign_sender.c
    planned = select(t.message.c.id).where(t.message.c.mailbox_id == mailbox_id, t.is_waiting)
    unplanned = (
        select(r.id)
        .join(t.campaign_sender, sender.id == r.campaign_sender_id)
        .join(t.campaign, t.campaign.c.id == sender.campaign_id)
        .where(
            or_(sender.mailbox_id == mailbox_id, sender.slot_id == slot_id),
            t.campaign.c.state == CampaignState.ACTIVE,
            or_(t.awaits_first, t.awaits_follow_up),
        )
    )
    return planned, unplanned


def _counted(connection: Connection, found: Select[int], most: int) -> int:
    limited = found.limit(most).subquery()
    return int(connection.execute(select(func.count()).select_from(limited)).scalar_one())


def notice_lanes(connection: Connection, now: datetime) -> list[int]:
    """The connected mailboxes in which a notice to a user is ready."""
    m = t.message.c
    query = (
        select(m.mailbox_id)
        .join(t.connection, t.connection.c.mailbox_id == m.mailbox_id)
        .where(
            t.connection.c.superseded_at.is_(None),
            t.connection.c.state == ConnectionState.CONNECTED,
            m.priority == Priority.NOTICE,
            t.is_waiting,
            m.ready_at <= now,
        )
        .distinct()
    )
    return [int(mailbox_id) for mailbox_id in connection.execute(query).scalars()]


def _mail_due(now: datetime, follow_ups: bool = True) -> ColumnElement[bool]:
    return or_(_by_hand_ready(now), _campaign_ready(now, follow_ups), _people_due(now, follow_ups))


def _by_hand_ready(now: datetime) -> ColumnElement[bool]:
    return exists().where(
        t.message.c.mailbox_id == t.mailbox.c.id,
        t.message.c.priority == Priority.BY_HAND,
        t.is_waiting,
        t.message.c.ready_at <= now,
    )


def _campaign_ready(now: datetime, follow_ups: bool) -> ColumnElement[bool]:
    """Select by active campaign, because a step or an operator can put a message into any lane."""
    wanted = (Priority.FOLLOW_UP, Priority.FIRST) if follow_ups else (Priority.FIRST,)
    ready = exists().where(
        t.message.c.mailbox_id == t.mailbox.c.id,
        t.message.c.priority.in_(wanted),
        t.message.c.campaign_id == t.campaign.c.id,
        t.is_waiting,
        t.message.c.ready_at <= now,
    )
    active = t.campaign.c.state == CampaignState.ACTIVE
    return exists().where(active, ready.correlate(t.mailbox, t.campaign))


def _people_due(
    now: datetime, follow_ups: bool, campaigns: ColumnElement[bool] | None = None
) -> ColumnElement[bool]:
    r, sender = t.recipient.c, t.campaign_sender.c
    waiting = (
        exists()
        .where(r.campaign_sender_id == sender.id, waits, r.next_at <= now)
        .correlate(t.campaign_sender)
        for waits in ((t.awaits_first, t.awaits_follow_up) if follow_ups else (t.awaits_first,))
    )
    return (
        exists()
        .where(
            or_(sender.mailbox_id == t.mailbox.c.id, sender.slot_id == t.connection.c.slot_id),
            or_(sender.left_reason.is_(None), sender.left_reason != Departure.DISCONNECTED),
            sender.campaign_id == t.campaign.c.id,
            t.campaign.c.state == CampaignState.ACTIVE if campaigns is None else campaigns,
            or_(*waiting),
        )
        .correlate(t.mailbox, t.connection)
    )
