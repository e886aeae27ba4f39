"""Whether a draft may be started, and the command that comes before that (E3)."""

from sqlalchemy import Connection

from mailrotate.core.services.effects import resuming
from mailrotate.core.services.effects.assigning import current_senders
from mailrotate.core.store import campaigns, mailboxes
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import Actor
from mailrotate.core.store.people import assignments, recipients
from mailrotate.core.values.errors import Refused
from mailrotate.core.values.hint import AnyHint, Command
from mailrotate.core.values.states import ConnectionState


def way(connection: Connection, actor: Actor, campaign: StoredCampaign) -> AnyHint:
    """The command that starts a draft, or the one that comes before it."""
    refused = refusal(connection, actor, campaign)
    return (refused and refused.hint) or Command("campaign", "start", campaign.name)


def refusal(connection: Connection, actor: Actor, campaign: StoredCampaign) -> Refused | None:
    """Why a draft cannot be started yet."""
    try:
        if recipients.first_of(connection, campaign.id) is None:
            require_people(connection, campaign)
        require_senders(connection, actor, campaign)
    except Refused as refused:
        return refused
    return None


def require_people(connection: Connection, campaign: StoredCampaign) -> int:
    """Return how many recipients wait for a sender; refuse if the campaign has none at all."""
    count = assignments.unassigned_count(connection, campaign.id)
    # After a restore a draft may have recipients who had their first message, and wait for the next.
    if count == 0 and not recipients.awaited_senders(connection, campaign.id):
        raise Refused(
            "campaign.no_recipients",
            f"campaign '{campaign.name}' has no recipients",
            Command("recipient", "import", campaign.name, "FILE"),
        )
    return count


def require_senders(connection: Connection, actor: Actor, campaign: StoredCampaign) -> None:
    """Refuse a campaign without an able sender, a rotation with a disconnected one (E3), and steps that name
    a disconnected mailbox (D9).

    A failed sender of a rotation is accepted if another one can send.
    """
    resuming.require_able_sender(connection, actor, campaign)
    used = [
        (sender.mailbox_id, "is a sender")
        for sender in (current_senders(connection, campaign.id) if campaign.rotation is not None else ())
    ] + [
        (step.sender_mailbox_id, f"sends step {step.position}")
        for step in campaigns.steps_of(connection, campaign.id, campaign.version)
    ]
    for mailbox_id, part in used:
        box = None if mailbox_id is None else mailboxes.by_id(connection, mailbox_id)
        if box is not None and box.state is ConnectionState.DISCONNECTED:
            raise Refused(
                "campaign.sender_disconnected",
                f"{box.address} {part} of campaign '{campaign.name}' and is disconnected",
                Command("mailbox", "connect", box.address),
            )
