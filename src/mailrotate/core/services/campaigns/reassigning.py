"""Move recipients to another mailbox: open ones, and those that failed with a removed mailbox (B8)."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.steps import taken_on
from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.access import authority, naming
from mailrotate.core.services.campaigns import recipient_list
from mailrotate.core.services.campaigns.row_checks import Aside, RowTrouble
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects.door import acting
from mailrotate.core.services.mailboxes import mailbox_removal
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import campaigns, events, moves, removals, senders, workspaces
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import reassignments, recipients
from mailrotate.core.store.people.reassignments import Choice, Going, Left
from mailrotate.core.store.sending import outbox
from mailrotate.core.values import reasons
from mailrotate.core.values.errors import NotFound, Refused
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.states import OPEN_RECIPIENTS, CampaignState

TAKEN_ON = "taken_on"


@dataclass(frozen=True)
class Whom:
    """Selects recipients by address (or `r_` id), by tag, or by sender."""

    addresses: Sequence[str] = ()
    tag: str | None = None
    from_sender: str | None = None


@dataclass(frozen=True)
class Moved:
    """How many recipients moved to `sender`; `became_sender`: the campaign had no sender left.

    `going_on` counts all who continue from `sender` now, so also those who only waited for one.
    """

    campaign: str
    sender: str
    moved: int
    became_sender: bool
    is_paused: bool
    going_on: int


def assign(context: Context, name: str, whom: Whom, to_sender: str, *, aside: Aside, now: datetime) -> Moved:
    """Move recipients to a mailbox, place and thread kept; recipients that cannot move are added to `aside`.

    If a removed mailbox is connected again, recipients that failed at its removal continue too, also from
    itself. One transaction. Raises NotFound (`recipient.nobody`, …), BadInput, Refused
    (`campaign.not_running`, `mailbox.…`), Busy.
    """
    with context.store.reading() as connection:
        former = _former(connection, whom.from_sender)
    # Messages that wait in a living sender's lane are taken out of it: no runner may claim them meanwhile.
    is_living = former is not None and former.removed_at is None
    lane = holding_lane(context, former.id, now) if former is not None and is_living else nullcontext()
    with lane, acting(context, now) as (connection, now):
        workspaces.lock(connection)
        recipients.lock_enrolment(connection)
        campaign = _running(connection, context, name)
        former = _unchanged(former, _former(connection, whom.from_sender))
        taker = _taker(connection, context.actor, campaign, to_sender)
        failed = _failed(connection, campaign, whom, former, aside)
        still_open = _open(connection, campaign, former, taker) if is_living else None
        reported = _report(connection, [one for one in (still_open, failed) if one is not None], aside)
        to_sender_id, became_sender = _sender_row(connection, campaign, taker, now)
        moved = _take_on(connection, campaign, failed, to_sender_id, aside, now)
        if former is not None and still_open is not None:
            moved += _move_open(connection, still_open, former, to_sender_id)
        # A new single sender also has the people who were left without a mailbox.
        going_on = recipients.open_count(connection, campaign.id, to_sender_id) if became_sender else moved
        if not (moved or became_sender or reported or whom.addresses):
            raise _nobody(campaign, whom, former, taker)
        if moved or became_sender:
            change = {"before": None if former is None else former.address, "after": taker.address}
            about = About(mailbox_id=taker.id, campaign_id=campaign.id)
            events.record(
                connection,
                context.actor,
                "recipients.assigned",
                now,
                about,
                key="sender",
                people=moved,
                **change,
            )
    is_paused = campaign.state is CampaignState.PAUSED
    return Moved(campaign.name, taker.address, moved, became_sender, is_paused, going_on)


def _former(connection: Connection, address: str | None) -> StoredMailbox | None:
    return None if address is None else naming.find_mailbox(connection, address, with_removed=True)


def _unchanged(before: StoredMailbox | None, now_is: StoredMailbox | None) -> StoredMailbox | None:
    """Return the mailbox as of this transaction. Its state before decided whether its lane was taken."""
    if before is not None and now_is is not None and before.removed_at != now_is.removed_at:
        raise Refused(
            "mailbox.changed",
            f"{now_is.address} was removed or connected a moment ago; nothing was changed",
            Hint("run it again; to see it as it is now:", Command("mailbox", "show", now_is.address)),
        )
    return now_is


def _running(connection: Connection, context: Context, name: str) -> StoredCampaign:
    campaign = authority.find_campaign(connection, context.actor, name)
    if campaign.state in (CampaignState.DRAFT, CampaignState.FINISHED):
        state = "a draft" if campaign.state is CampaignState.DRAFT else campaign.state
        raise Refused(
            "campaign.not_running",
            f"campaign '{campaign.name}' is {state}; none of its recipients waits for a sender",
            Command("campaign", "show", campaign.name),
        )
    return campaign


def _taker(connection: Connection, actor: Actor, campaign: StoredCampaign, address: str) -> StoredMailbox:
    taker = naming.find_mailbox(connection, address)
    mailbox_removal.require_able(connection, actor, taker)
    mailbox_removal.require_owner_may_use(connection, campaign.name, campaign.owner_id, taker)
    return taker


def _nobody(
    campaign: StoredCampaign, whom: Whom, former: StoredMailbox | None, taker: StoredMailbox
) -> Refused | NotFound:
    """Say why no recipient moves, and where to look for the intended ones."""
    if former is None:
        return NotFound(
            "recipient.nobody",
            f"no recipient of campaign '{campaign.name}' has the tag '{whom.tag}'",
            Command("contact", "list", "--tag", whom.tag or ""),
        )
    if former.id == taker.id:
        return Refused(
            "mailbox.same",
            f"{taker.address} already sends to these recipients, and none of them failed when it was removed",
            Command("recipient", "list", campaign.name, "--sender", taker.address),
        )
    return NotFound(
        "recipient.nobody",
        f"no recipient of campaign '{campaign.name}' waits for {former.address} or failed with it",
        Hint(
            "name the recipients, or the tag of the removal (--tag); to see who failed:",
            Command("recipient", "list", campaign.name, "--state", "failed"),
        ),
    )


def _failed(
    connection: Connection,
    campaign: StoredCampaign,
    whom: Whom,
    former: StoredMailbox | None,
    aside: Aside,
) -> Choice:
    """Select recipients that failed with their mailbox: the named ones, or all of that mailbox."""
    if former is None:
        found = recipient_list.ids_of(connection, campaign, whom.addresses)
        for name in dict.fromkeys(whom.addresses):
            if name not in found:
                aside.add(RowTrouble(0, name, recipient_list.is_none(campaign, name).message))
        return Choice(campaign.id, reasons.MAILBOX_REMOVED, ids=list(found.values()), tag=whom.tag)
    sender_ids = reassignments.senders_before(connection, campaign.id, former)
    return Choice(campaign.id, reasons.MAILBOX_REMOVED, sender_ids=sender_ids)


def _open(
    connection: Connection, campaign: StoredCampaign, former: StoredMailbox | None, taker: StoredMailbox
) -> Choice | None:
    """Select recipients that wait for a connected mailbox; None if it would take them over from itself."""
    if former is None or former.id == taker.id:
        return None
    own = [s.id for s in senders.senders_of(connection, campaign.id) if s.mailbox_id == former.id]
    return Choice(campaign.id, None, sender_ids=own)


def _report(connection: Connection, choices: Sequence[Choice], aside: Aside) -> int:
    """Report each recipient that cannot move, once; return how many."""
    told: set[str] = set()
    for choice in choices:
        for left in reassignments.left_behind(connection, choice):
            if left.email not in told:
                told.add(left.email)
                aside.add(RowTrouble(0, left.email, _why_left(left)))
    return len(told)


def _why_left(left: Left) -> str:
    if left.is_unclear:
        return "a message is on its way, or held until its fate is settled"
    if left.state in OPEN_RECIPIENTS:
        return f"is {left.state} and goes on from its sender; --from-sender moves a sender's open recipients"
    return f"is {left.state}" + (f" ({left.reason})" if left.reason else "")


def _sender_row(
    connection: Connection, campaign: StoredCampaign, taker: StoredMailbox, now: datetime
) -> tuple[int, bool]:
    """Return the sender row for these recipients, and whether the campaign itself gets it as a new sender.

    A single sender with an empty slot is replaced. In all other cases the mailbox sends only to these
    recipients, not to new ones.
    """
    if campaign.rotation is None:
        (own,) = (s for s in senders.senders_of(connection, campaign.id) if s.left_at is None)
        if own.mailbox_id == taker.id:
            return own.id, False
        if own.mailbox_id is None:
            senders.bind_to_slot(connection, [own.id], taker.slot_id)
            return own.id, True
    return removals.taker(connection, campaign.id, taker.id, now), False


def _move_open(connection: Connection, choice: Choice, former: StoredMailbox, to_sender_id: int) -> int:
    removals.unplan(connection, former.id, choice.sender_ids)
    planned = outbox.in_lane_for(former.id, choice.sender_ids)
    moves.move_many(connection, MESSAGE["cancel"], planned)
    return reassignments.move_open(connection, choice, to_sender_id, mailbox_removal.MOVED)


def _take_on(
    connection: Connection,
    campaign: StoredCampaign,
    choice: Choice,
    to_sender_id: int,
    aside: Aside,
    now: datetime,
) -> int:
    sequence = campaigns.sequence_of(connection, campaign.id)
    count = 0
    for some in reassignments.waiting(connection, choice):
        going = []
        for one in some:
            place = taken_on(sequence, one.next_step, one.last_sent, now)
            if place.due_at is None:
                aside.add(RowTrouble(0, one.email, "has had every step"))
                continue
            going.append(Going(one.id, place.step, place.due_at))
        reassignments.take_on(connection, RECIPIENT["taken_on"], going, to_sender_id, TAKEN_ON)
        count += len(going)
    return count
