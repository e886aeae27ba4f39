"""Lanes in which something waits that no time releases: for a paused campaign, or for the mailbox itself."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, exists, or_, select

from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import rows_with
from mailrotate.core.store.sending.cut_off_messages import is_cut_off
from mailrotate.core.values.states import CampaignState

_RUNNING = (CampaignState.ACTIVE, CampaignState.PAUSED)


def any_cut_off(connection: Connection, mailbox_id: int) -> bool:
    """Whether a message of the mailbox is in error because the mailbox was away."""
    # `wants_attention` lets SQLite use the index of errors.
    query = select(exists().where(t.message.c.mailbox_id == mailbox_id, is_cut_off, t.wants_attention))
    return bool(connection.execute(query).scalar_one())


def campaigns_kept(connection: Connection, mailbox_id: int, slot_id: int) -> list[int]:
    """The started campaigns, by id, with a planned message or an unplanned recipient of this mailbox."""
    c, sender, r, m = t.campaign.c, t.campaign_sender.c, t.recipient.c, t.message.c
    # Two conditions, one for each of their indexes.
    awaits = or_(
        *(
            exists().where(r.campaign_sender_id == sender.id, awaited)
            for awaited in (t.awaits_first, t.awaits_follow_up)
        )
    )
    own = or_(sender.mailbox_id == mailbox_id, sender.slot_id == slot_id)
    # By the campaign, whose index also has the messages that are late.
    planned = exists().where(m.campaign_id == c.id, t.is_scheduled, m.mailbox_id == mailbox_id)
    query = (
        select(c.id)
        .where(
            c.state.in_(_RUNNING),
            or_(c.id.in_(select(sender.campaign_id).where(own, awaits)), planned),
        )
        .order_by(c.id)
    )
    return list(connection.execute(query).scalars())


def campaigns_due(connection: Connection, campaign_ids: Sequence[int], now: datetime) -> set[int]:
    """Those of the campaigns in which something would be due now, whatever keeps them."""
    c, sender, r, m = t.campaign.c, t.campaign_sender.c, t.recipient.c, t.message.c
    # By sender and kind, for the same two indexes.
    people = or_(
        *(
            exists().where(r.campaign_sender_id == sender.id, awaited, r.next_at <= now)
            for awaited in (t.awaits_first, t.awaits_follow_up)
        )
    )
    planned = exists().where(m.campaign_id == c.id, t.is_scheduled, m.ready_at <= now)
    query = select(c.id).where(or_(exists().where(sender.campaign_id == c.id, people), planned))
    return {row.id for row in rows_with(connection, query, c.id, campaign_ids)}
