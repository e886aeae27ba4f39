"""Preview a campaign's message, or send it as a test (D7)."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.compose import compose, message_id_for, words_of
from mailrotate.core.rules.decision import decide
from mailrotate.core.rules.gates import Gate
from mailrotate.core.rules.text_needs import TextNeeds
from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.services.access import accounts, authority
from mailrotate.core.services.access.naming import find_mailbox
from mailrotate.core.services.context import Context
from mailrotate.core.services.deciding import clock_guard, facts
from mailrotate.core.services.effects.assigning import current_senders, is_connected
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.services.sending.rendering import StepCache, letter_for, letterhead_of
from mailrotate.core.services.sending.turn import LaneTurn
from mailrotate.core.store import campaigns, events
from mailrotate.core.store.campaigns import StoredCampaign, StoredStep
from mailrotate.core.store.events import About, Actor
from mailrotate.core.store.people import recipients
from mailrotate.core.store.people.recipients import StoredRecipient
from mailrotate.core.store.sending import outbox, outbox_lists, sending_mailboxes
from mailrotate.core.store.sending.outbox import Candidate, NewMessage
from mailrotate.core.store.sending.outbox_lists import ListedMessage
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.address import normalise_address
from mailrotate.core.values.errors import BadInput, Busy, NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.letter import Letter, UnfitLetter
from mailrotate.core.values.states import MessageKind, MessageState, Priority

_NOBODY = "someone@example.org"


@dataclass(frozen=True)
class Preview:
    """A message exactly as it would be sent; `invented` names the fields filled with placeholders."""

    campaign: str
    step: int
    from_name: str
    from_address: str
    to_address: str
    subject: str
    text: str
    html: str
    attachments: tuple[tuple[str, int], ...]
    size: int
    invented: tuple[str, ...]
    steps: int
    # Which recipient it is shown for, from 1, and how many there are; 0 of 0 without recipients.
    person: int
    people: int


@dataclass(frozen=True)
class TestSent:
    """The result of a test message, and why it waits if it does."""

    message: ListedMessage
    waits_because: str | None
    # A gate holds it back, not the lane of a runner that is about to send it.
    is_held_back: bool = False


@dataclass(frozen=True)
class _Subject:
    """What to render: the campaign's step, its sender, and the recipient's fields."""

    campaign: StoredCampaign
    step: StoredStep
    box: SendingMailbox
    person: StoredRecipient | None
    fields: Mapping[str, str]
    step_count: int


def preview(
    context: Context,
    name: str,
    address: str | None,
    n: int,
    now: datetime,
    sender: str | None = None,
) -> Preview:
    """Render step `n` for a recipient (by default the first), with the code that sending uses.

    Without recipients each field shows its own name in brackets. Raises NotFound, BadInput, Refused
    (`campaign.no_sender`, `campaign.unfit`).
    """
    with context.store.reading() as connection:
        shown = _subject(connection, context.actor, name, address, n, sender)
        person, people = recipients.place_of(
            connection, shown.campaign.id, None if shown.person is None else shown.person.id
        )
        to_address = _NOBODY if shown.person is None else shown.person.email
        message = _imagined(shown, to_address, now)
        try:
            letter = _letter_of(connection, shown, message)
            words, mail = words_of(letter), compose(letter, now)
        except UnfitLetter as unfit:
            raise _unfit(shown, unfit) from None
    return Preview(
        campaign=shown.campaign.name,
        step=n,
        from_name=letter.from_name or "",
        from_address=letter.from_address,
        to_address=to_address,
        subject=words.subject,
        text=words.text,
        html=words.html,
        attachments=tuple((each.filename, len(each.data)) for each in letter.attachments),
        size=len(mail.raw),
        invented=() if shown.person is not None else tuple(sorted(shown.fields)),
        steps=shown.step_count,
        person=person,
        people=people,
    )


def send_test(
    context: Context,
    name: str,
    to: str,
    like: str | None,
    n: int,
    pace: Pace,
    now: datetime,
    sender: str | None = None,
) -> TestSent:
    """Send step `n` as a test now, through the same lane and outbox as every other message.

    It uses the fields of the recipient `like`, or of the first one. The subject is not marked: a
    test shows what will be received. It counts against the mailbox's limits, and where these or another
    process keep it from leaving now, it waits in the outbox. Raises as `preview`, and
    ClockTrouble, KeyTrouble.
    """
    to_address = normalise_address(to)
    clock_guard.check_clock(context, now)
    accounts.prove_key(context)
    with context.store.writing() as connection:
        authority.find_campaign(connection, context.actor, name)
        shown = _subject(connection, context.actor, name, like, n, sender)
        authority.require_pick(connection, context.actor, shown.box)
        message = _imagined(shown, to_address, now)
        try:
            compose(_letter_of(connection, shown, message), now)
        except UnfitLetter as unfit:
            raise _unfit(shown, unfit) from None
        outbox.plan(connection, MESSAGE["plan"], [_planned(message, shown.step.id)], now)
        (planned,) = outbox_lists.by_tokens(connection, [message.token])
        about = About(shown.box.id, shown.campaign.id, None, planned.id)
        events.record(connection, context.actor, "campaign.tested", now, about, step=n)
    busy = None
    try:
        with holding_lane(context, shown.box.id, now) as lane:
            LaneTurn(context, lane, pace).run(only=planned.id)
    except Busy as trouble:
        busy = trouble.message
    with context.store.reading() as connection:
        sent = outbox_lists.detail(connection, planned.id)
        assert sent is not None
        waits = sent.listed.state is MessageState.SCHEDULED
        if not waits or busy is not None:
            return TestSent(sent.listed, busy if waits else None)
        return _waiting(context, connection, sent.listed, now)


def _waiting(context: Context, connection: Connection, listed: ListedMessage, now: datetime) -> TestSent:
    message = outbox.by_id(connection, listed.id)
    assert message is not None
    situation, _ = facts.situation_of(context, connection, message, now)
    decision = decide(situation, now)
    is_held_back = not decision.open and decision.binding is not Gate.GAP
    return TestSent(listed, message.error_text or decision.summary, is_held_back)


def _subject(
    connection: Connection, actor: Actor, name: str, address: str | None, n: int, sender: str | None
) -> _Subject:
    campaign = authority.find_seen_campaign(connection, actor, name)
    steps = campaigns.steps_of(connection, campaign.id, campaign.version)
    step = next((step for step in steps if step.position == n), None)
    if step is None:
        raise BadInput("campaign.no_step", f"campaign '{campaign.name}' has steps 1 to {len(steps)}, not {n}")
    person = _person(connection, campaign, address)
    fields = _placeholders(steps) if person is None else {**person.fields, "email": person.email}
    box = _sender(connection, campaign, step, person)
    if sender is not None:
        box = _named_sender(connection, campaign, sender)
    return _Subject(campaign, step, box, person, fields, len(steps))


def _person(connection: Connection, campaign: StoredCampaign, address: str | None) -> StoredRecipient | None:
    if address is None:
        return recipients.first_of(connection, campaign.id)
    person = recipients.find(connection, campaign.id, normalise_address(address))
    if person is None:
        raise NotFound(
            "recipient.none",
            f"{address} is not a recipient of campaign '{campaign.name}'",
            Command("recipient", "list", campaign.name),
        )
    return person


def _placeholders(steps: list[StoredStep]) -> dict[str, str]:
    needed = TextNeeds.of((step.subject, step.body) for step in steps).fields
    return {name: f"[{name}]" for name in needed}


def _sender(
    connection: Connection, campaign: StoredCampaign, step: StoredStep, person: StoredRecipient | None
) -> SendingMailbox:
    """Choose the step's own sender (D9), else the recipient's, else the first connected one."""
    if step.sender_mailbox_id is not None:
        return sending_mailboxes.by_id(connection, step.sender_mailbox_id)
    senders = [s for s in current_senders(connection, campaign.id) if s.mailbox_id is not None]
    theirs = [s for s in senders if person is not None and s.id == person.campaign_sender_id]
    for sender in theirs + [s for s in senders if is_connected(s)] + senders:
        assert sender.mailbox_id is not None
        return sending_mailboxes.by_id(connection, sender.mailbox_id)
    raise Refused(
        "campaign.no_sender",
        f"campaign '{campaign.name}' has no mailbox to send from",
        Command("mailbox", "connect", "ADDRESS"),
    )


def _named_sender(connection: Connection, campaign: StoredCampaign, address: str) -> SendingMailbox:
    """One of the campaign's senders, whoever the recipient has. Raises NotFound, Refused."""
    box = find_mailbox(connection, address)
    own = {sender.mailbox_id for sender in current_senders(connection, campaign.id)}
    if box.id not in own:
        raise Refused(
            "campaign.not_a_sender",
            f"{box.address} is not a sender of campaign '{campaign.name}'",
            Command("campaign", "show", campaign.name),
        )
    return sending_mailboxes.by_id(connection, box.id)


def _imagined(shown: _Subject, to_address: str, now: datetime) -> Candidate:
    """Build the message as it would be in the outbox."""
    token = uuid.uuid4().hex
    return Candidate(
        id=0,
        kind=MessageKind.TEST,
        state=MessageState.SCHEDULED,
        priority=Priority.BY_HAND,
        mailbox_id=shown.box.id,
        campaign_id=shown.campaign.id,
        campaign_sender_id=None,
        recipient_id=None if shown.person is None else shown.person.id,
        step_position=shown.step.position,
        to_address=to_address,
        from_address=shown.box.address,
        message_id=message_id_for(token, shown.box.address),
        token=token,
        unsubscribe_token=uuid.uuid4().hex,
        own_fields=json.dumps(dict(shown.fields)),
        due_at=now,
        ready_at=now,
    )


def _planned(message: Candidate, step_id: int) -> NewMessage:
    """Build the row of a test message. It belongs to no recipient, so its result changes none."""
    return NewMessage(
        kind=message.kind,
        priority=message.priority,
        mailbox_id=message.mailbox_id,
        campaign_id=message.campaign_id,
        campaign_sender_id=None,
        recipient_id=None,
        step_id=step_id,
        step_position=message.step_position,
        to_address=message.to_address,
        from_address=message.from_address,
        token=message.token,
        unsubscribe_token=message.unsubscribe_token,
        message_id=message.message_id,
        due_at=message.due_at,
        ready_at=message.ready_at,
        fields=message.own_fields,
    )


def _letter_of(connection: Connection, shown: _Subject, message: Candidate) -> Letter:
    return letter_for(connection, StepCache(), message, letterhead_of(connection, shown.box), shown.campaign)


def _unfit(shown: _Subject, unfit: UnfitLetter) -> Refused:
    return Refused(
        "campaign.unfit",
        f"step {shown.step.position} of campaign '{shown.campaign.name}' cannot be composed: {unfit}",
        Command("campaign", "edit", shown.campaign.name, "FILE"),
    )
