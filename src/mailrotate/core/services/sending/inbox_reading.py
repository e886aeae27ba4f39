"""Read inboxes before anything is sent: replies and unsubscribes end a sequence first (D6, G1, H5)."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.ports import InboxSession
from mailrotate.core.rules.inbound import InboundMail, read_headers
from mailrotate.core.rules.replies import classify
from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.contacts import contact_book
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.sending import health, settling
from mailrotate.core.store import aliases, events, mailboxes, moves
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.sending import inboxes, outbox, outbox_lists, sending_mailboxes
from mailrotate.core.store.sending.outbox_lists import Ours
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.mail import INBOX, MailTrouble
from mailrotate.core.values.states import MessageKind, ReplyClass, SuppressionKind

_COPIES_AT_A_TIME = 100
_COPY_PAUSE = timedelta(minutes=5)
# After this many failures a copy is given up; the message itself was sent long ago.
_COPY_TRIES = 50


@dataclass
class InboxTally:
    replies: int = 0
    unsubscribes: int = 0


def read_inbox(context: Context, session: InboxSession, box: SendingMailbox, now: datetime) -> InboxTally:
    """Read the mail that arrived since the last reading in the INBOX and the other chosen folders (G3).

    Raises MailTrouble if the INBOX cannot be read. For another folder the error is only noted.
    """
    tally = InboxTally()
    for name in box.settings.folders:
        try:
            _read_folder(context, session, box, name, now, tally)
        except MailTrouble as trouble:
            if name == INBOX:
                raise
            with context.store.writing() as connection:
                inboxes.note_failure(connection, box.id, name, str(trouble), now)
    return tally


def _read_folder(
    context: Context,
    session: InboxSession,
    box: SendingMailbox,
    name: str,
    now: datetime,
    tally: InboxTally,
) -> None:
    """Act on the new mail of one folder and move its cursor, in one transaction.

    Raises MailTrouble if the server fails; then nothing is recorded, and the same mail is read again.
    """
    with context.store.reading() as connection:
        since = inboxes.cursor_of(connection, box.id, name)
        known = () if name == INBOX else aliases.of_connection(connection, box.connection_id)
    cursor, found = session.new_headers(since, name)
    mails = [read_headers(headers.raw) for headers in found]
    if name != INBOX:
        # A follow-up cites the previous message just as a reply does, and its copy may be in any folder.
        own = {box.address, *(alias.address for alias in known)}
        mails = [mail for mail in mails if mail.from_address not in own]
    with context.store.writing() as connection:
        # First, because it may wait for an import; at this point no one waits for this transaction.
        contact_book.note_received(connection, box, mails, now)
        for mail in mails:
            _act_on(connection, box, mail, now, tally)
        inboxes.note_read(connection, box.id, name, cursor, now)


def note_unreadable(context: Context, box: SendingMailbox, trouble: MailTrouble, now: datetime) -> None:
    """Let this mailbox's follow-ups wait until its inbox can be read; a refused login fails the mailbox."""
    verdict = classify(trouble.reply, box.provider)
    with context.store.writing() as connection:
        if verdict.reply_class is ReplyClass.AUTH:
            inboxes.note_failure(connection, box.id, INBOX, str(trouble), now)
            health.fail(connection, box, verdict.reply_class, str(trouble), now)
        else:
            health.note_unreadable(connection, box, str(trouble), now)


def _act_on(
    connection: Connection,
    box: SendingMailbox,
    mail: InboundMail,
    now: datetime,
    tally: InboxTally,
) -> None:
    if mail.unsubscribe_token is not None:
        for ours in outbox_lists.by_tokens(connection, [mail.unsubscribe_token]):
            lifecycle.suppress(
                connection,
                RUNNER,
                SuppressionKind.ADDRESS,
                ours.to_address,
                reason="unsubscribed",
                source=f"m_{ours.id}",
                now=now,
            )
            tally.unsubscribes += 1
        return
    if mail.machine is not None:
        return
    for ours in _cited(connection, mail.cited_ids):
        _record_reply(connection, box, ours, now, tally)


def _cited(connection: Connection, cited_ids: Sequence[str]) -> list[Ours]:
    """Find our messages among the cited ones: by token, then proved by the whole Message-ID."""
    tokens = [cited.strip("<>").partition("@")[0] for cited in cited_ids]
    if not tokens:
        return []
    return [ours for ours in outbox_lists.by_tokens(connection, tokens) if ours.message_id in cited_ids]


def _record_reply(
    connection: Connection, box: SendingMailbox, ours: Ours, now: datetime, tally: InboxTally
) -> None:
    if ours.state in MESSAGE["resolve_sent"].origins:
        # An answer proves that it was received: its fate is known after all (F3).
        moves.move(connection, MESSAGE["resolve_sent"], ours.id, sent_at=now)
        message = outbox.by_id(connection, ours.id)
        if message is not None:
            settling.after_sent(connection, message, now)
            sender = sending_mailboxes.by_id(connection, message.mailbox_id)
            contact_book.note_sent(connection, sender, message, now)
    if ours.kind is not MessageKind.CAMPAIGN or ours.recipient_id is None:
        return
    about = About(box.id, ours.campaign_id, ours.recipient_id, ours.id)
    if lifecycle.end_recipients(connection, RUNNER, [ours.recipient_id], RECIPIENT["replied"], "reply", now):
        tally.replies += 1
        events.record(connection, RUNNER, "reply.received", now, about)


def file_copies(context: Context, session: InboxSession, box: SendingMailbox, now: datetime) -> int:
    """File the sent copies that are due unless the server did, and learn whether the server files them.

    Raises MailTrouble; remaining copies are tried again later.
    """
    with context.store.reading() as connection:
        copies = inboxes.pending_copies(connection, box.id, now, _COPIES_AT_A_TIME)
    known = box.files_sent_copy
    for copy in copies:
        there = known is not False and session.has_sent_copy(copy.header_id)
        if not there:
            session.file_sent_copy(copy.raw)
        with context.store.writing() as connection:
            inboxes.drop_copy(connection, copy.message_id)
            if known is None:
                known = there
                mailboxes.change(connection, box.id, files_sent_copy=there)
    return len(copies)


def postpone_copies(context: Context, box: SendingMailbox, trouble: MailTrouble, now: datetime) -> None:
    """Postpone copies that cannot be filed now. The messages stay sent."""
    with context.store.writing() as connection:
        inboxes.postpone_copies(connection, box.id, str(trouble), now + _COPY_PAUSE)
        for copy in inboxes.pending_copies(connection, box.id, now + _COPY_PAUSE, _COPIES_AT_A_TIME):
            if copy.attempts >= _COPY_TRIES:
                inboxes.drop_copy(connection, copy.message_id)
