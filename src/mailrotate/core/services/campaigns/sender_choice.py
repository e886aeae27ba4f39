"""Choose the senders of a draft, and check who may choose them (B5, B6, D2, E3)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.role_addresses import is_role_address, shows_its_user
from mailrotate.core.rules.rotation import meant
from mailrotate.core.services.access import authority
from mailrotate.core.services.access.naming import find_mailbox
from mailrotate.core.services.effects.assigning import current_senders
from mailrotate.core.store import campaigns, mailboxes, senders, settings, workspaces
from mailrotate.core.store.campaigns import StoredCampaign, StoredStep
from mailrotate.core.store.events import Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, Refused
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import ConnectionState, Rotation


@dataclass(frozen=True)
class Choice:
    """The senders of a draft, how they rotate, and their weights by address."""

    addresses: Sequence[str] = ()
    rotate: Rotation | None = None
    weights: Mapping[str, int] = field(default_factory=dict)

    @property
    def names_something(self) -> bool:
        return bool(self.addresses or self.rotate is not None or self.weights)


def choose_senders(
    connection: Connection, actor: Actor, campaign: StoredCampaign, choice: Choice, now: datetime
) -> None:
    """Set a draft's senders: one, bound to its slot, or several in rotation (D2, E3).

    Without addresses the present senders stay, and so do their weights unless new ones are given.
    Raises NotFound, BadInput (`campaign.weights`), Refused (`campaign.…`, `mailbox.…`).
    """
    steps = campaigns.steps_of(connection, campaign.id, campaign.version)
    present = current_senders(connection, campaign.id)
    weights = {normalise_address(address): weight for address, weight in choice.weights.items()}
    if choice.addresses:
        addresses = choice.addresses
        kept = frozenset(sender.mailbox_id for sender in present)
        boxes = [sending_mailbox(connection, actor, address, kept) for address in dict.fromkeys(addresses)]
    else:
        boxes = [
            mailboxes.by_id(connection, sender.mailbox_id)
            for sender in present
            if sender.mailbox_id is not None
        ] or [_default_mailbox(connection, actor)]
        weights = weights or {str(sender.address): sender.weight for sender in present if sender.weight}
    named = choice.rotate or (None if choice.addresses or choice.weights else campaign.rotation)
    rotation = meant(named, len(boxes), is_team=campaign.team, has_weights=bool(choice.weights))
    if choice.weights:
        _require_weighted(campaign.name, rotation, weights, [box.address for box in boxes])
    if rotation is not None:
        refuse_step_senders(campaign.name, steps)
    senders.replace_senders(
        connection,
        campaign.id,
        slot_id=boxes[0].slot_id if rotation is None else None,
        mailbox_ids=() if rotation is None else [box.id for box in boxes],
        weights=_weights_of(boxes, weights) if rotation is Rotation.WEIGHTED else {},
        now=now,
    )
    campaigns.change(connection, campaign.id, rotation=rotation)


def _require_weighted(
    name: str, rotation: Rotation | None, weights: Mapping[str, int], addresses: Sequence[str]
) -> None:
    if rotation is not Rotation.WEIGHTED:
        raise BadInput(
            "campaign.weights",
            f"weights belong to the weighted rotation; campaign '{name}' rotates by {rotation}",
            "add --rotate weighted, or leave the weights out",
        )
    stranger = next((address for address in weights if address not in addresses), None)
    if stranger is not None:
        raise BadInput(
            "campaign.weights",
            f"{stranger} has a weight but is not a sender of campaign '{name}'",
            f"its senders are {', '.join(addresses)}",
        )


def _weights_of(boxes: Sequence[StoredMailbox], weights: Mapping[str, int]) -> Mapping[int, int]:
    """The given weights by mailbox, with 1 for a mailbox not named; none if no weight is given."""
    return {box.id: weights.get(box.address, 1) for box in boxes} if weights else {}


def misnamed(connection: Connection, campaign_id: int) -> tuple[tuple[str, str], ...]:
    """The senders whose name is their user's and does not look like their address: (address, name)."""
    found = []
    for sender in current_senders(connection, campaign_id):
        if sender.mailbox_id is None:
            continue
        box = mailboxes.by_id(connection, sender.mailbox_id)
        known = settings.of(connection, sender.mailbox_id)
        is_fit = shows_its_user(box.address, known.sender_name, box.user_email)
        if known.own.sender_name is None and not is_role_address(box.address) and not is_fit:
            found.append((box.address, known.sender_name))
    return tuple(found)


def refuse_step_senders(name: str, steps: Sequence[StoredStep]) -> None:
    """A step's own sender and a rotation exclude each other (D9). Raises Refused (`campaign.step_sender`)."""
    own = next((step for step in steps if step.sender_mailbox_id is not None), None)
    if own is not None:
        raise Refused(
            "campaign.step_sender",
            f"step {own.position} of campaign '{name}' has its own sender, which excludes a rotation",
            "take 'from' out of that step, or name a single sender",
        )


def sending_mailbox(
    connection: Connection, actor: Actor, address: str, kept: frozenset[int | None] = frozenset()
) -> StoredMailbox:
    """Find a mailbox that the acting user may send from, or that was chosen earlier (`kept`).

    Raises NotFound, Refused (`mailbox.personal`, `mailbox.disconnected`).
    """
    box = find_mailbox(connection, address)
    if box.id not in kept:
        authority.require_pick(connection, actor, box)
    if box.state is ConnectionState.DISCONNECTED:
        raise Refused(
            "mailbox.disconnected",
            f"{box.address} is disconnected and cannot send",
            Command("mailbox", "connect", box.address),
        )
    return box


def _default_mailbox(connection: Connection, actor: Actor) -> StoredMailbox:
    user = None if actor.user_id is None else workspaces.user_by_id(connection, actor.user_id)
    if user is None or user.default_mailbox_id is None:
        raise Refused(
            "campaign.no_sender",
            "no sender given, and there is no default mailbox",
            Hint(Command("mailbox", "connect", "ADDRESS"), ", or name one with --from ADDRESS"),
        )
    return sending_mailbox(connection, actor, mailboxes.by_id(connection, user.default_mailbox_id).address)
