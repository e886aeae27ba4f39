"""Find out from sent mail what left a workspace after its database was copied (F3)."""

import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.rules.compose import message_id_for
from mailrotate.core.rules.replies import hint_for
from mailrotate.core.rules.sent_mail import SentMail, read_sent
from mailrotate.core.rules.steps import priority_of
from mailrotate.core.rules.transitions import MESSAGE
from mailrotate.core.services.access import logins
from mailrotate.core.services.contacts import contact_book
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import settling
from mailrotate.core.services.sending.lane_holding import holding_lane
from mailrotate.core.store import campaigns, events, mailboxes, moves, senders
from mailrotate.core.store.events import About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.people import due_recipients, recipients
from mailrotate.core.store.people.recipients import StoredRecipient
from mailrotate.core.store.sending import outbox, outbox_lists, send_mark, sending_mailboxes
from mailrotate.core.store.sending.outbox import NewMessage
from mailrotate.core.store.sending.outbox_lists import Ours
from mailrotate.core.store.sending.replaced_outbox import Left
from mailrotate.core.values.clock import rfc3339
from mailrotate.core.values.errors import Busy
from mailrotate.core.values.mail import MailTrouble
from mailrotate.core.values.states import (
    OPEN_RECIPIENTS,
    ConnectionState,
    MessageKind,
    ReplyClass,
)

# A Date header has whole seconds, and the lanes of one copy may be some seconds apart.
_TOLERANCE = timedelta(minutes=10)


@dataclass(frozen=True)
class FoundMail:
    """One sent mail of ours, and the mailbox in whose sent mail it lies."""

    mailbox_id: int
    address: str
    mail: SentMail


@dataclass(frozen=True)
class Stranger:
    """A mail of ours to an address that waits for nothing in this database."""

    mailbox: str
    to: tuple[str, ...]
    written_at: datetime | None


@dataclass
class Comparison:
    """What sent mail told: `settled` messages are `sent` now, `doubtful` ones `held`."""

    settled: list[int] = field(default_factory=list)
    doubtful: list[int] = field(default_factory=list)
    strangers: list[Stranger] = field(default_factory=list)
    unread: list[tuple[str, str]] = field(default_factory=list)


def compare(context: Context, since: datetime, now: datetime, left: Sequence[Left] = ()) -> Comparison:
    """Read the sent mail of every mailbox since then, and settle what it tells, in the order of sending.

    `left` is what is known without it: a copy that we file reaches the sent mail only after a minute.
    """
    done = Comparison()
    with context.store.reading() as connection:
        boxes = mailboxes.listing(connection)
    found: list[FoundMail] = []
    for box in boxes:
        if box.state is ConnectionState.DISCONNECTED:
            done.unread.append((box.address, "it is disconnected"))
            continue
        try:
            with holding_lane(context, box.id, now):
                mails = _sent_mail(context, box.id, since, now)
        except (MailTrouble, Busy) as trouble:
            done.unread.append((box.address, str(trouble)))
            continue
        if mails is None:
            done.unread.append((box.address, "it has no folder for sent mail"))
        found += [FoundMail(box.id, box.address, mail) for mail in mails or ()]
    found += _known(boxes, left)
    for each in sorted(found, key=lambda each: each.mail.written_at or now):
        with context.store.writing() as connection:
            _settle(context, connection, each, since, now, done)
    return done


def _known(boxes: Sequence[StoredMailbox], left: Sequence[Left]) -> list[FoundMail]:
    numbers = {box.address: box.id for box in boxes}
    return [
        FoundMail(
            numbers[one.mailbox],
            one.mailbox,
            SentMail(one.token, one.message_id, [one.to], one.thread, one.sent_at),
        )
        for one in left
        if one.mailbox in numbers
    ]


def _sent_mail(context: Context, mailbox_id: int, since: datetime, now: datetime) -> list[SentMail] | None:
    """The mails of our form; None if there is no folder for sent mail. Raises MailTrouble."""
    session = logins.log_in(context, mailbox_id, now, lambda provider, account: provider.open_inbox(account))
    try:
        headers = session.sent_since(since)
        mails = None if headers is None else [read_sent(each.raw) for each in headers]
    finally:
        session.close()
    return None if mails is None else [mail for mail in mails if mail is not None]


def _settle(
    context: Context,
    connection: Connection,
    found: FoundMail,
    since: datetime,
    now: datetime,
    done: Comparison,
) -> None:
    mail, left_at = found.mail, found.mail.written_at or since
    known = outbox_lists.by_tokens(connection, [mail.token])
    if known:
        if _note_sent(context, connection, known[0].id, left_at, now):
            done.settled.append(known[0].id)
        return
    if left_at < since - _TOLERANCE:
        # It was sent by another workspace: this database knows all of its own that is older.
        return
    people = _people(connection, mail)
    if not people:
        done.strangers.append(Stranger(found.address, tuple(mail.to), mail.written_at))
        send_mark.count(connection)
    elif len(people) == 1:
        message_id = _next_message(connection, people[0], found, mail.token, left_at)
        # Its answers cite the mail that left, whatever was planned for it.
        outbox.identify(connection, message_id, found.mailbox_id, mail.token, mail.message_id)
        if _note_sent(context, connection, message_id, left_at, now):
            done.settled.append(message_id)
    else:
        done.doubtful += [_doubt(context, connection, person, found, left_at, now) for person in people]
        send_mark.count(connection)


def _people(connection: Connection, mail: SentMail) -> list[StoredRecipient]:
    """The open recipients who may have had this mail: by the thread that it cites, else by the address."""
    behind = [
        recipient_id
        for address in mail.to
        for recipient_id in recipients.open_of_address(connection, address, None)
    ]
    cited: Sequence[Ours] = outbox_lists.by_tokens(connection, mail.cited) if mail.cited else ()
    threads = {ours.recipient_id for ours in cited}
    chosen = [recipient_id for recipient_id in behind if recipient_id in threads] or behind
    people = [recipients.by_id(connection, recipient_id) for recipient_id in dict.fromkeys(chosen)]
    return [person for person in people if person is not None and person.state in OPEN_RECIPIENTS]


def _next_message(
    connection: Connection, person: StoredRecipient, found: FoundMail, token: str, left_at: datetime
) -> int:
    """The id of the message that waits for the recipient; it is planned if it is not yet."""
    planned = outbox.unsent_of(connection, person.id)
    if planned is not None:
        return planned.id
    sender_id = person.campaign_sender_id or _sender_of(connection, person, found.mailbox_id)
    recipients.give_sender(connection, person.id, sender_id)
    due_recipients.mark_planned(connection, [person.id])
    new = NewMessage(
        kind=MessageKind.CAMPAIGN,
        priority=priority_of(person.next_step),
        mailbox_id=found.mailbox_id,
        campaign_id=person.campaign_id,
        campaign_sender_id=sender_id,
        recipient_id=person.id,
        step_id=None,
        step_position=person.next_step,
        to_address=person.email,
        from_address=found.address,
        token=token,
        message_id=message_id_for(token, found.address),
        due_at=left_at,
        ready_at=left_at,
    )
    outbox.plan(connection, MESSAGE["plan"], [new], left_at)
    return outbox_lists.by_tokens(connection, [token])[0].id


def _sender_of(connection: Connection, person: StoredRecipient, mailbox_id: int) -> int | None:
    """The campaign's sender with this mailbox, or its first: a draft has assigned none yet."""
    present = [one for one in senders.senders_of(connection, person.campaign_id) if one.left_at is None]
    fitting = [sender for sender in present if sender.mailbox_id == mailbox_id]
    return next((sender.id for sender in fitting + present), None)


def _note_sent(
    context: Context, connection: Connection, message_id: int, left_at: datetime, now: datetime
) -> bool:
    """Settle a message that the sent mail shows; False if it is known to have left."""
    # By way of `held`, as when a person resolves it: what waits may have left, and then it did.
    moves.move(connection, MESSAGE["retry"], message_id)
    moves.move(connection, MESSAGE["doubt"], message_id)
    values = {"sent_at": left_at, "marked_at": left_at, "claimed_at": left_at, "settled_at": now}
    if not moves.move(connection, MESSAGE["resolve_sent"], message_id, **values, **outbox.NO_ERROR):
        return False
    message = outbox.by_id(connection, message_id)
    assert message is not None
    settling.after_sent(connection, message, left_at)
    box = sending_mailboxes.by_id(connection, message.mailbox_id)
    contact_book.note_sent(connection, box, message, left_at)
    about = About(message.mailbox_id, message.campaign_id, message.recipient_id, message.id)
    events.record(connection, context.actor, "message.found_sent", now, about, left_at=rfc3339(left_at))
    send_mark.count(connection)
    return True


def _doubt(
    context: Context,
    connection: Connection,
    person: StoredRecipient,
    found: FoundMail,
    left_at: datetime,
    now: datetime,
) -> int:
    """Hold the next message of one of several recipients who may have had the mail."""
    # The mail is only one recipient's: each gets an identity of their own.
    message_id = _next_message(connection, person, found, uuid.uuid4().hex, left_at)
    at = rfc3339(left_at.replace(microsecond=0))
    campaign = campaigns.by_id(connection, person.campaign_id).name
    moves.move(
        connection,
        MESSAGE["doubt"],
        message_id,
        marked_at=left_at,
        claimed_at=left_at,
        settled_at=now,
        error_class=ReplyClass.UNKNOWN,
        error_text=f"{found.address} wrote to this address at {at}, for {campaign} or for another campaign",
        error_hint=hint_for(ReplyClass.UNKNOWN).to_json(),
    )
    about = About(found.mailbox_id, person.campaign_id, person.id, message_id)
    events.record(connection, context.actor, "message.held", now, about, left_at=at)
    return message_id
