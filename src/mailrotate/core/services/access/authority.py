"""Who may act on a campaign, pick a mailbox as sender, or see the team (A6, A10, B6, C6)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sqlalchemy import Connection

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.access import advice, naming, seats
from mailrotate.core.store import plans, visibility, workspaces
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import AnyHint, Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.store.sending.outbox import Candidate


def find_campaign(connection: Connection, actor: Actor, name: str) -> StoredCampaign:
    """Find a campaign that the acting user may change: as its owner, a manager or an admin (C6).

    Raises NotFound (`campaign.none`), Refused (`user.…`).
    """
    campaign = naming.find_campaign(connection, name)
    acting = seats.require_active(connection, actor)
    if roles.may_on_seat(acting.role, acting.id == campaign.owner_id, Deed.CAMPAIGNS):
        return campaign
    owner = workspaces.user_by_id(connection, campaign.owner_id)
    raise Refused(
        "user.not_allowed",
        # As it was typed: an id must not tell the name.
        f"{acting.email} ({acting.role}) cannot act on campaign '{name}'"
        f"{'' if owner is None else f' of {owner.email}'}",
        advice.instead(connection, Deed.CAMPAIGNS, seat_id=campaign.owner_id),
    )


def find_campaign_to_fill(connection: Connection, actor: Actor, name: str) -> StoredCampaign:
    """Find a campaign that the acting user may add people to: any active user in a team campaign (E2)."""
    campaign = naming.find_campaign(connection, name)
    if campaign.team:
        seats.require_active(connection, actor)
        return campaign
    return find_campaign(connection, actor, name)


def find_seen_campaign(connection: Connection, actor: Actor, name: str) -> StoredCampaign:
    """Find a campaign that the acting user may see."""
    campaign = naming.find_campaign(connection, name)
    viewer = viewer_of(connection, actor)
    if viewer is not None and campaign.id not in visibility.campaign_ids(connection, viewer):
        # As it was typed: an id must not tell the name.
        raise _hidden(connection, actor, f"campaign '{name}'", Command("campaign", "show", name))
    return campaign


def find_seen_mailbox(connection: Connection, actor: Actor, name: str) -> StoredMailbox:
    """Find a mailbox, also a removed one, that the acting user may see."""
    box = naming.find_mailbox(connection, name, with_removed=True)
    viewer = viewer_of(connection, actor)
    if viewer is not None and box.id not in visibility.mailbox_ids(connection, viewer):
        raise _hidden(connection, actor, box.address, Command("mailbox", "show", box.address))
    return box


def viewer_of(connection: Connection, actor: Actor) -> int | None:
    """Return the member to whose view lists are limited; None for a user who may see the whole team (A6).

    A member sees their own mailboxes and slots, mailboxes shared with them, their own campaigns, team
    campaigns, and campaigns that their mailboxes send for. Raises Refused (`user.unknown`, `user.locked`).
    """
    acting = seats.require_active(connection, actor)
    return None if roles.may(acting.role, Deed.SEE_TEAM) else acting.id


def require_sight_of(connection: Connection, actor: Actor, message: "Candidate") -> None:
    """Refuse unless the acting user may see the message's mailbox or campaign."""
    viewer = viewer_of(connection, actor)
    if viewer is None or message.mailbox_id in visibility.mailbox_ids(connection, viewer):
        return
    if message.campaign_id not in visibility.campaign_ids(connection, viewer):
        name = f"m_{message.id}"
        raise _hidden(connection, actor, name, Command("outbox", "show", name))


def settler_of(connection: Connection, actor: Actor) -> int | None:
    """Return the member whose messages alone may be retried, cancelled, released or resolved; None for a user
    who may act on all. Raises Refused (`user.…`)."""
    acting = seats.require_active(connection, actor)
    return None if roles.may(acting.role, Deed.CAMPAIGNS) else acting.id


def require_messages(connection: Connection, actor: Actor, ids: Sequence[int]) -> None:
    """Refuse unless the acting user may act on the mailbox or the campaign of each message."""
    from mailrotate.core.store.sending import outbox_lists

    settler = settler_of(connection, actor)
    foreign = None if settler is None else outbox_lists.foreign_to(connection, settler, ids)
    if foreign is not None:
        acting = seats.require_active(connection, actor)
        raise Refused(
            "user.not_allowed",
            f"{acting.email} ({acting.role}) cannot act on m_{foreign}",
            advice.instead(connection, Deed.CAMPAIGNS),
        )


def require_pick(connection: Connection, actor: Actor, box: StoredMailbox) -> None:
    """Refuse unless the acting user may send from the mailbox (B6); no role overrides this.

    Raises Refused (`mailbox.personal`, `mailbox.not_shared`, `user.…`).
    """
    acting = seats.require_active(connection, actor)
    if seats.may_send_from(connection, acting, box):
        return
    if box.is_shared:
        share = Command("mailbox", "share", "add", box.address, acting.email)
        raise Refused(
            "mailbox.not_shared",
            f"{box.address} is {box.user_email}'s and not shared with {acting.email}",
            advice.way(connection, actor, Deed.ANY_SEAT, share, seat_id=box.user_id),
        )
    hint: AnyHint = Hint("choose a mailbox of your own:", Command("mailbox", "list"))
    if plans.find(connection).shared_mailboxes:
        share = Command("mailbox", "set", box.address, "--access", "shared")
        hint = advice.way(connection, actor, Deed.ANY_SEAT, share, seat_id=box.user_id)
    raise Refused(
        "mailbox.personal",
        f"{box.address} is {box.user_email}'s alone; {acting.email} cannot send from it",
        hint,
    )


def _hidden(connection: Connection, actor: Actor, what: str, command: Command) -> Refused:
    acting = seats.require_active(connection, actor)
    return Refused(
        "user.not_allowed",
        f"{acting.email} ({acting.role}) cannot see {what}",
        advice.way(connection, actor, Deed.SEE_TEAM, command),
    )
