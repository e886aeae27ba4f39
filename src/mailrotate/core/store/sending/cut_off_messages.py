"""Messages in error because their mailbox was away."""

from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.sending import due
from mailrotate.core.values.reasons import MAILBOX_FAILED, NO_SENDER, NOT_CONNECTED
from mailrotate.core.values.states import CampaignState, Departure, MessageKind, MessageState

_c = t.message.c
is_cut_off = and_(_c.state == MessageState.ERROR, _c.error_class == NOT_CONNECTED)


def that_wait_for(mailbox_id: int) -> ColumnElement[bool]:
    """A condition: what becomes an error when a mailbox goes away. Notices look for another mailbox."""
    return and_(_c.mailbox_id == mailbox_id, _c.kind != MessageKind.NOTICE)


def that_may_go_on(mailbox_id: int) -> ColumnElement[bool]:
    """A condition: those of a mailbox, except in rotations that it left with its disconnect."""
    sender = t.campaign_sender.c
    away = select(sender.id).where(sender.left_reason == Departure.DISCONNECTED)
    return and_(
        _c.mailbox_id == mailbox_id,
        is_cut_off,
        or_(_c.campaign_sender_id.is_(None), _c.campaign_sender_id.not_in(away)),
    )


def retell(connection: Connection, mailbox_id: int, said: str, hint: str) -> None:
    """Say of those of a mailbox why they wait now, and what to do."""
    query = update(t.message).where(_c.mailbox_id == mailbox_id, is_cut_off)
    connection.execute(query.values(error_text=said, error_hint=hint))


def count(connection: Connection, mailbox_id: int, slot_id: int) -> int:
    """Count those that take a mailbox's room as planned messages do (F1): in its lane, and of its slot's
    recipients in the lanes of steps' own senders (D9)."""
    of_slot = select(t.campaign_sender.c.id).where(t.campaign_sender.c.slot_id == slot_id)
    whose = or_(_c.mailbox_id == mailbox_id, _c.campaign_sender_id.in_(of_slot))
    return int(connection.execute(select(func.count()).where(is_cut_off, whose)).scalar_one())


def lanes_due(connection: Connection, now: datetime) -> list[int]:
    """The mailboxes that are away while something of theirs is due: messages written by hand, or people and
    messages of campaigns that run, or that are paused only because mailboxes are away."""
    p = t.campaign_pause.c
    paused_else = select(p.campaign_id).where(p.reason.not_in((MAILBOX_FAILED, NO_SENDER)))
    halted = and_(
        t.campaign.c.state.in_((CampaignState.ACTIVE, CampaignState.PAUSED)),
        t.campaign.c.id.not_in(paused_else),
    )
    query = select(_c.mailbox_id).where(
        is_cut_off,
        _c.ready_at <= now,
        or_(_c.campaign_id.is_(None), _c.campaign_id.in_(select(t.campaign.c.id).where(halted))),
    )
    planned = connection.execute(query.distinct()).scalars()
    return sorted({*planned, *due.lanes_away(connection, now, halted)})
