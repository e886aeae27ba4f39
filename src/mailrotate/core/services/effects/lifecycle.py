"""End recipients and pause campaigns after a reply, a suppression or errors of a message's content."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.transitions import CAMPAIGN, DEADLINE, MESSAGE, RECIPIENT
from mailrotate.core.store import campaigns, deadlines, events, moves
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.people import recipients, suppressions
from mailrotate.core.store.portions import portions
from mailrotate.core.store.sending import outbox, outbox_lists
from mailrotate.core.store.sending.outbox import Candidate
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.reasons import CONTENT_ERRORS
from mailrotate.core.values.states import ReplyClass, SuppressionKind
from mailrotate.core.values.transition import Transition

# F4: so many content errors of one step pause the campaign.
CONTENT_ERRORS_THAT_PAUSE = 3
# The reason of recipients that failed after repeated temporary refusals.
SOFT_BOUNCES = "soft_bounces"


def end_recipients(
    connection: Connection,
    actor: Actor,
    recipient_ids: Sequence[int],
    transition: Transition,
    reason: str,
    now: datetime,
) -> int:
    """End recipients that are still open; cancel their scheduled and error messages, keep held ones.

    Return how many ended.
    """
    senders: list[int | None] = []
    for some in portions(recipient_ids):
        ended = recipients.end_each(connection, transition, reason, some, now)
        action = f"recipient.{transition.event}"
        events.record_each(connection, actor, action, now, list(ended), reason=reason)
        moves.move_many(connection, MESSAGE["cancel"], outbox.of_recipients(some))
        senders += ended.values()
    for sender_id in set(senders):
        end_deadline_if_last(connection, sender_id, now)
    return len(senders)


def end_deadline_if_last(connection: Connection, campaign_sender_id: int | None, now: datetime) -> None:
    """End the deadline of a sender's mailbox when its last open recipient has ended (C12)."""
    if campaign_sender_id is None or not deadlines.is_any(connection):
        return
    running = deadlines.running_where(connection, deadlines.of_sender(campaign_sender_id))
    people = deadlines.hanging(connection, running)
    emptied = [one.id for one in running if not people.get(one.id)]
    deadlines.end(connection, DEADLINE["campaign_ended"], emptied, now)


def suppress(
    connection: Connection,
    actor: Actor,
    kind: SuppressionKind,
    value: str,
    *,
    reason: str,
    source: str,
    now: datetime,
) -> bool:
    """Suppress an address or domain in every campaign (D6, I4); False if it already was."""
    added = suppressions.add(
        connection, kind, value, reason=reason, source=source, added_by=actor.user_id, now=now
    )
    domain = value if kind is SuppressionKind.DOMAIN else None
    address = value if kind is SuppressionKind.ADDRESS else None
    open_ones = recipients.open_of_address(connection, address, domain)
    end_recipients(connection, actor, open_ones, RECIPIENT["unsubscribed"], reason, now)
    if added:
        # The log may name a domain, but not the address of a person who may be erased.
        told = {"kind": kind, "domain": domain, "reason": reason}
        events.record(connection, actor, "suppression.added", now, About(), **told)
    return added


def suppress_many(
    connection: Connection,
    actor: Actor,
    entries: Sequence[tuple[SuppressionKind, str]],
    *,
    reason: str,
    source: str,
    now: datetime,
) -> tuple[int, int]:
    """Suppress many addresses and domains; return how many were not yet, and how many recipients ended."""
    added = suppressions.add_many(
        connection, entries, reason=reason, source=source, added_by=actor.user_id, now=now
    )
    addresses = [value for kind, value in entries if kind is SuppressionKind.ADDRESS]
    domains = [value for kind, value in entries if kind is SuppressionKind.DOMAIN]
    open_ones = recipients.open_covered(connection, addresses, domains)
    ended = end_recipients(connection, actor, open_ones, RECIPIENT["unsubscribed"], reason, now)
    if added:
        events.record(connection, actor, "suppressions.imported", now, About(), imported=added, reason=reason)
    return added, ended


# The names are filled in where the hint is shown.
_WAY_ON = Hint(Command("campaign", "edit", "NAME", "FILE"), ", then", Command("outbox", "retry", "MESSAGE"))


def refuse_content(
    connection: Connection, message: Candidate, said: str, now: datetime, reply_class: ReplyClass
) -> None:
    """Put a message that cannot be rendered into `error`; it counts against its content, not the mailbox."""
    moves.move(
        connection,
        MESSAGE["refuse"],
        message.id,
        error_class=reply_class,
        error_phase=None,
        error_code=None,
        error_enhanced=None,
        error_text=said,
        error_hint=_WAY_ON.to_json(),
        settled_at=now,
    )
    about = About(message.mailbox_id, message.campaign_id, message.recipient_id, message.id)
    events.record(connection, events.RUNNER, "message.error", now, about, error_class=reply_class)
    pause_on_repeated_errors(connection, message, reply_class, now)


def pause_on_repeated_errors(
    connection: Connection, message: Candidate, reply_class: ReplyClass, now: datetime
) -> None:
    """Pause a campaign after three content errors of one step (F4)."""
    if reply_class is not ReplyClass.MESSAGE or message.campaign_id is None or message.step_position is None:
        return
    count = outbox_lists.errors_of_step(connection, message.campaign_id, message.step_position, reply_class)
    if count >= CONTENT_ERRORS_THAT_PAUSE:
        pause_campaign(connection, events.RUNNER, message.campaign_id, CONTENT_ERRORS, 0, now)


def pause_campaign(
    connection: Connection, actor: Actor, campaign_id: int, reason: str, mailbox_id: int, now: datetime
) -> bool:
    """Add a pause reason; False when the campaign cannot be paused (a draft, a finished one)."""
    if not moves.move(connection, CAMPAIGN["pause"], campaign_id):
        return False
    campaigns.add_pause(connection, campaign_id, reason, mailbox_id, now)
    about = About(campaign_id=campaign_id, mailbox_id=mailbox_id or None)
    events.record(connection, actor, "campaign.paused", now, about, reason=reason)
    return True
