"""What a member sees of the team (A6)."""

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from mailrotate.core.store import tables as t


def mailboxes_of(user_id: int) -> Select[int]:
    """Ids of the user's mailboxes, including removed ones, and of those shared with the user."""
    c, share = t.connection.c, t.mailbox_share.c
    shared = (
        select(c.mailbox_id)
        .join(t.mailbox_share, share.connection_id == c.id)
        .where(share.user_id == user_id, c.superseded_at.is_(None), c.is_shared)
    )
    return select(t.mailbox.c.id).where(or_(t.mailbox.c.user_id == user_id, t.mailbox.c.id.in_(shared)))


def campaigns_of(user_id: int) -> Select[int]:
    """Ids of the user's campaigns, of team campaigns, and of those that the user's mailboxes send for."""
    campaign, sender = t.campaign.c, t.campaign_sender.c
    own = select(t.mailbox.c.id).where(t.mailbox.c.user_id == user_id)
    slots = select(t.slot.c.id).where(t.slot.c.user_id == user_id)
    sending = select(sender.campaign_id).where(or_(sender.mailbox_id.in_(own), sender.slot_id.in_(slots)))
    steps = (
        select(t.step.c.campaign_id)
        .join(t.step_version, t.step_version.c.step_id == t.step.c.id)
        .where(t.step_version.c.sender_mailbox_id.in_(own))
    )
    return select(campaign.id).where(
        or_(
            campaign.owner_id == user_id,
            campaign.team,
            campaign.id.in_(sending),
            campaign.id.in_(steps),
        )
    )


def mailbox_ids(connection: Connection, user_id: int) -> frozenset[int]:
    return frozenset(connection.execute(mailboxes_of(user_id)).scalars())


def campaign_ids(connection: Connection, user_id: int) -> frozenset[int]:
    return frozenset(connection.execute(campaigns_of(user_id)).scalars())


def is_settled_by(user_id: int) -> ColumnElement[bool]:
    """Whether a message is of the user's mailbox or of a campaign that the user owns."""
    boxes = select(t.mailbox.c.id).where(t.mailbox.c.user_id == user_id)
    owned = select(t.campaign.c.id).where(t.campaign.c.owner_id == user_id)
    # A message without a campaign: NULL is neither in the list nor outside it.
    of_campaign = func.coalesce(t.message.c.campaign_id, 0).in_(owned)
    return or_(t.message.c.mailbox_id.in_(boxes), of_campaign)
