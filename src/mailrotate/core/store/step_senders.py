"""Mailboxes that steps name as their own senders, without being senders of the campaign (D9)."""

from collections.abc import Collection, Sequence

from sqlalchemy import Connection, and_, func, or_, select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.connections import HangingCampaign
from mailrotate.core.values.reasons import NOT_CONNECTED
from mailrotate.core.values.states import CampaignState, MessageState


def steps_naming(connection: Connection, mailbox_id: int) -> dict[int, int]:
    """Count the steps that have this mailbox as their own sender, by campaign."""
    v = t.step_version.c
    query = (
        select(t.campaign.c.id, func.count())
        .join(t.step, t.step.c.campaign_id == t.campaign.c.id)
        .join(t.step_version, (v.step_id == t.step.c.id) & (v.version == t.campaign.c.version))
        .where(v.sender_mailbox_id == mailbox_id)
        .group_by(t.campaign.c.id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def hanging_on(connection: Connection, mailbox_id: int, but: Collection[int]) -> list[HangingCampaign]:
    """The unfinished campaigns, except some, of which a step names this mailbox, with the recipients whose
    message waits in its lane."""
    c, m, r = t.campaign.c, t.message.c, t.recipient.c
    waits = and_(
        m.campaign_id == c.id,
        m.mailbox_id == mailbox_id,
        t.is_living_step,
        or_(
            m.state == MessageState.SCHEDULED,
            and_(m.state == MessageState.ERROR, m.error_class == NOT_CONNECTED),
        ),
    )
    query = (
        select(c.id, c.name, c.state, func.count(r.id), func.count(r.id).filter(m.step_position > 1))
        .select_from(t.campaign)
        .outerjoin(t.message, waits)
        .outerjoin(t.recipient, and_(r.id == m.recipient_id, t.is_open))
        .where(
            c.id.in_(set(steps_naming(connection, mailbox_id)).difference(but)),
            c.state != CampaignState.FINISHED,
        )
        .group_by(c.id, c.name, c.state)
        .order_by(c.id)
    )
    return [
        HangingCampaign(id_, name, CampaignState(state), False, people, False, follow_ups)
        for id_, name, state, people, follow_ups in connection.execute(query)
    ]


def rename(connection: Connection, campaign_ids: Sequence[int], before: int, after: int) -> None:
    """Replace one mailbox by another as the own sender of steps."""
    v = t.step_version.c
    of_these = select(t.step.c.id).where(t.step.c.campaign_id.in_(campaign_ids))
    connection.execute(
        update(t.step_version)
        .where(v.sender_mailbox_id == before, v.step_id.in_(of_these))
        .values(sender_mailbox_id=after)
    )
