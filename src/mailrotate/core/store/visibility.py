"""What a user who does not see the whole team sees of it (A6)."""

from sqlalchemy import ColumnElement, Connection, Select, func, or_, select

from mailrotate.core.store import tables as t


def mailboxes_of(user_id: int) -> Select[int]:
    """The ids of the mailboxes on their seat, removed ones too, and of those that are shared with them."""
    c, share = t.connection.c, t.mailbox_share.c
    shared = (
        select(c.mailbox_id)
        .join(t.mailbox_share, share.connection_id == c.id)
        .where(share.user_id == user_id, c.superseded_at.is_(None), c.is_shared)
    )
    return select(t.mailbox.c.id).where(or_(t.mailbox.c.user_id == user_id, t.mailbox.c.id.in_(shared)))


def campaigns_of(user_id: int) -> Select[int]:
    """The ids of their campaigns, of the team's, and of those that their seat sends for."""
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
    """Of a message: whether it is of the user's seat or of a campaign that they own."""
    boxes = select(t.mailbox.c.id).where(t.mailbox.c.user_id == user_id)
    owned = select(t.campaign.c.id).where(t.campaign.c.owner_id == user_id)
    # A message of no campaign: a null is neither in nor outside.
    of_campaign = func.coalesce(t.message.c.campaign_id, 0).in_(owned)
    return or_(t.message.c.mailbox_id.in_(boxes), of_campaign)
