"""List, show and remove a campaign's recipients (D3)."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.transitions import RECIPIENT
from mailrotate.core.services.access.authority import find_campaign, find_seen_campaign
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.effects.door import acting, looking
from mailrotate.core.store import campaign_edits, events
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import About
from mailrotate.core.store.people import contacts, recipients
from mailrotate.core.store.people.recipients import StoredRecipient
from mailrotate.core.values import reasons
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.states import OPEN_RECIPIENTS, RecipientState

REMOVED = "removed"


@dataclass(frozen=True)
class RecipientEntry:
    """One recipient; `step` is the next one, counted from 1.

    `assigned_reason` is the code of why it has its sender, `assigned_because` says it in words.
    """

    id: int
    email: str
    state: RecipientState
    reason: str | None
    sender: str | None
    assigned_reason: str | None
    assigned_because: str | None
    step: int
    sent: int
    next_at: datetime | None
    fields: Mapping[str, str]
    timezone: str | None

    @property
    def is_for_another(self) -> bool:
        """Whether the recipient failed with its mailbox and can move to another (B8)."""
        return self.state is RecipientState.FAILED and self.reason == reasons.MAILBOX_REMOVED


@dataclass(frozen=True)
class Removed:
    """The result of a removal. If `was_contacted`, the recipient stays in the campaign as finished."""

    email: str
    was_contacted: bool


@dataclass(frozen=True)
class Wanted:
    """Filters for the listing."""

    state: RecipientState | None = None
    sender: str | None = None
    after: int | None = None
    limit: int | None = None


@contextmanager
def listing(
    context: Context, name: str, wanted: Wanted, now: datetime | None = None
) -> Iterator[Iterator[RecipientEntry]]:
    """List recipients in the order of enrolment, streamed inside the block. Raises NotFound, BadInput."""
    sender = None if wanted.sender is None else normalise_address(wanted.sender)
    with looking(context, now) as connection:
        campaign = find_seen_campaign(connection, context.actor, name)
        found = recipients.listing(
            connection,
            campaign.id,
            state=wanted.state,
            sender=sender,
            after=wanted.after,
            limit=wanted.limit,
        )
        # A generator closed early must release its cursor before the connection goes back.
        with closing(found):
            yield map(_entry, found)


def show(context: Context, name: str, address: str, now: datetime | None = None) -> RecipientEntry:
    """Show a recipient. Raises NotFound (`campaign.none`, `recipient.none`), BadInput (`address.invalid`)."""
    with looking(context, now) as connection:
        return _entry(find(connection, find_seen_campaign(connection, context.actor, name), address))


def remove(context: Context, name: str, address: str, now: datetime) -> Removed:
    """Remove a recipient. One that already got a message ends instead, so that the history stays.

    Raises NotFound, BadInput, Refused (`recipient.ended`).
    """
    with acting(context, now) as (connection, now):
        campaign = find_campaign(connection, context.actor, name)
        person = find(connection, campaign, address)
        if person.state not in OPEN_RECIPIENTS:
            raise Refused(
                "recipient.ended",
                f"{person.email} has already ended ({person.state}) and gets nothing more",
                Command("recipient", "show", campaign.name, person.email),
            )
        known = campaign_edits.has_messages(connection, person.id)
        if known:
            lifecycle.end_recipients(
                connection, context.actor, [person.id], RECIPIENT["removed"], REMOVED, now
            )
        else:
            recipients.remove_uncontacted(connection, person.id)
            lifecycle.end_deadline_if_last(connection, person.campaign_sender_id, now)
            about = About(campaign_id=campaign.id, recipient_id=person.id)
            events.record(connection, context.actor, "recipient.removed", now, about)
    return Removed(person.email, known)


def find(connection: Connection, campaign: StoredCampaign, address: str) -> StoredRecipient:
    """Find a recipient by address or id (`r_17`). Raises NotFound (`recipient.none`), BadInput."""
    meant = _read_name(address)
    person = (
        recipients.by_id(connection, meant)
        if isinstance(meant, int)
        else recipients.find(connection, campaign.id, meant)
    )
    if person is None or person.campaign_id != campaign.id:
        raise is_none(campaign, address)
    return person


def ids_of(connection: Connection, campaign: StoredCampaign, names: Sequence[str]) -> dict[str, int]:
    """Map each name that is a recipient to its id, with few statements. Raises BadInput."""
    meant = {name: _read_name(name) for name in names}
    ids = [one for one in meant.values() if isinstance(one, int)]
    known = contacts.known(connection, [one for one in meant.values() if isinstance(one, str)])
    enrolled = recipients.of_contacts(connection, campaign.id, list(known.values()))
    found: dict[int | str, int] = {one: one for one in recipients.among(connection, campaign.id, ids)}
    found |= {address: enrolled[contact] for address, contact in known.items() if contact in enrolled}
    return {name: found[one] for name, one in meant.items() if one in found}


def is_none(campaign: StoredCampaign, name: str) -> NotFound:
    return NotFound(
        "recipient.none",
        f"{name} is not a recipient of campaign '{campaign.name}'",
        Command("recipient", "list", campaign.name),
    )


def _read_name(name: str) -> int | str:
    """Read a name as an id or a normalised address."""
    number = name.removeprefix("r_")
    is_id = name.startswith("r_") and number.isascii() and number.isdigit() and len(number) < 19
    return int(number) if is_id else normalise_address(name)


def _entry(person: StoredRecipient) -> RecipientEntry:
    return RecipientEntry(
        id=person.id,
        email=person.email,
        state=person.state,
        reason=person.reason,
        sender=person.sender,
        assigned_reason=person.assigned_reason,
        assigned_because=person.assigned_words
        or (person.assigned_reason and reasons.spoken(person.assigned_reason)),
        step=person.next_step,
        sent=person.sent_count,
        next_at=person.next_at,
        fields=person.fields,
        timezone=person.timezone,
    )


def read_state(text: str | None) -> RecipientState | None:
    """Read a state. Raises BadInput (`recipient.state`) for any other word."""
    try:
        return None if text is None else RecipientState(text)
    except ValueError:
        known = ", ".join(RecipientState)
        raise BadInput("recipient.state", f"'{text}' is not a recipient state; known: {known}") from None
