"""Read inboxes before anything is sent: replies and unsubscribes end a sequence first (D6, G1, H5)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection

from mailrotate.core.ports import InboxSession
from mailrotate.core.rules.inbound import InboundMail, read_headers
from mailrotate.core.rules.replies import classify
from mailrotate.core.rules.transitions import MESSAGE, RECIPIENT
from mailrotate.core.services.contacts import contact_book
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.effects.door import acting
from mailrotate.core.services.sending import health, settling
from mailrotate.core.store import aliases, events, mailboxes, moves
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.people import suppressions
from mailrotate.core.store.sending import inboxes, outbox, outbox_lists, sending_mailboxes, unread_mail
from mailrotate.core.store.sending.outbox_lists import Ours
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.address import canonical_address
from mailrotate.core.values.errors import MailrotateError
from mailrotate.core.values.mail import (
    INBOX,
    FetchBroke,
    FolderCursor,
    InboxHeaders,
    MailTrouble,
    ServerReply,
)
from mailrotate.core.values.states import MessageKind, Phase, ReplyClass, SuppressionKind

# Fetched by one command, and recorded by one transaction.
MAILS_AT_ONCE = 100
_MAILS_AT_A_TIME = 500
# A mail that the server does not give is given up after so many tries over so long a time.
_MOST_TRIES = 3
_TRIED_FOR = timedelta(minutes=10)
_COPIES_AT_A_TIME = 100
_COPY_PAUSE = timedelta(minutes=5)
# After this many failures a copy is given up; the message itself was sent long ago.
_COPY_TRIES = 50


@dataclass
class InboxTally:
    """What a reading found; `waits_for` is mail of the INBOX that the server does not give yet."""

    replies: int = 0
    unsubscribes: int = 0
    waits_for: MailTrouble | None = None


def read_inbox(
    context: Context,
    session: InboxSession,
    box: SendingMailbox,
    now: datetime,
    tally: InboxTally | None = None,
    at_once: int = MAILS_AT_ONCE,
) -> InboxTally:
    """Read the mail that arrived since the last reading in the INBOX and the other chosen folders (G3).

    Raises MailTrouble if the INBOX cannot be read. For another folder the error is only noted. What was
    read before is recorded in any case, and counted in `tally`.
    """
    tally = tally or InboxTally()
    with context.store.reading() as connection:
        known = aliases.of_connection(connection, box.connection_id)
    own = frozenset(map(canonical_address, (box.address, *(alias.address for alias in known))))
    for name in box.settings.folders:
        try:
            _FolderReading(context, box, name, own, now, tally).read(session, at_once)
        except MailTrouble as trouble:
            if name == INBOX or (isinstance(trouble, FetchBroke) and at_once > 1):
                raise
            with context.store.writing() as connection:
                inboxes.note_failure(connection, box.id, name, str(trouble), now)
    return tally


@dataclass(frozen=True)
class _Mail:
    """One mail, and what of ours it is about: the messages that it answers or unsubscribes from."""

    uid: int
    read: InboundMail
    arrived_at: datetime | None
    cited: Sequence[Ours] = ()
    left: Sequence[Ours] = ()
    is_own: bool = False


@dataclass
class _Portion:
    """Some mails of a folder; by UID, why others were not given or broke; and what ended the reading."""

    mails: list[_Mail] = field(default_factory=list)
    left_out: dict[int, str] = field(default_factory=dict)
    defects: dict[int, str] = field(default_factory=dict)
    trouble: MailTrouble | None = None

    @property
    def uids(self) -> list[int]:
        return [*(mail.uid for mail in self.mails), *self.left_out, *self.defects]

    @property
    def is_empty(self) -> bool:
        return not self.uids and self.trouble is None


class _FolderReading:
    """One reading of one folder, portion by portion: each is acted on and passed in one transaction."""

    def __init__(
        self,
        context: Context,
        box: SendingMailbox,
        folder: str,
        own: frozenset[str],
        now: datetime,
        tally: InboxTally,
    ) -> None:
        self._context, self._box, self._folder, self._own = context, box, folder, own
        self._now, self._tally = now, tally
        self._is_reread = False

    def read(self, session: InboxSession, at_once: int) -> None:
        """Raises MailTrouble if the server fails; what was not read yet is read by the next reading."""
        box, folder, now = self._box, self._folder, self._now
        with self._context.store.reading() as connection:
            since = inboxes.cursor_of(connection, box.id, folder)
            again = unread_mail.waiting(connection, box.id, folder, before=now)
        end, found = session.new_headers(since, folder, again, at_once)
        self._is_reread = since is not None and (
            since.uid_validity != end.uid_validity or since.last_uid > end.last_uid
        )
        at = FolderCursor(end.uid_validity, 0) if self._is_reread else since or end
        while not (portion := self._gather(found, at_once)).is_empty:
            at = self._take(portion, at)
            if portion.trouble is not None:
                raise portion.trouble
        with self._context.store.writing() as connection:
            unread_mail.drop_renumbered(connection, box.id, folder, end.uid_validity)
            waiting = unread_mail.waiting(connection, box.id, folder)
            inboxes.note_read(connection, box.id, folder, at, now)
        if waiting and folder == INBOX:
            said = f"the server does not give {len(waiting)} mail(s); the first has the UID {waiting[0]}"
            self._tally.waits_for = MailTrouble(ServerReply(Phase.PERMISSION, None, None, said))

    def _gather(self, found: Iterator[InboxHeaders], at_once: int) -> _Portion:
        """Read the headers of some mails; what breaks is noted, and what was read before it is kept."""
        portion = _Portion()
        try:
            for headers in islice(found, 1 if at_once == 1 else _MAILS_AT_A_TIME):
                if headers.trouble is not None:
                    portion.left_out[headers.uid] = headers.trouble
                    continue
                try:
                    read = read_headers(headers.raw, self._own)
                except Exception as defect:  # noqa: BLE001  one stranger's mail must not end the reading
                    portion.defects[headers.uid] = type(defect).__name__
                else:
                    portion.mails.append(_Mail(headers.uid, read, headers.arrived_at))
        except MailTrouble as trouble:
            portion.trouble = trouble
            if at_once == 1 and isinstance(trouble, FetchBroke):
                # It was this mail: it is asked for again, and the others are read meanwhile.
                portion.left_out[trouble.uids[0]] = trouble.reply.text
        return portion

    def _take(self, portion: _Portion, at: FolderCursor) -> FolderCursor:
        """Act on some mails and pass them; return how far the folder is read then."""
        cursor = FolderCursor(at.uid_validity, max([at.last_uid, *portion.uids]))
        try:
            self._record(portion, cursor)
        except MailrotateError:
            raise
        except Exception:  # noqa: BLE001  which of the mails it was, each alone shows
            portion.defects |= self._act_on_each(portion.mails)
            portion.mails = []
            self._record(portion, cursor)
        return cursor

    def _act_on_each(self, mails: Sequence[_Mail]) -> dict[int, str]:
        defects = {}
        for mail in mails:
            try:
                with acting(self._context, self._now) as (connection, _):
                    counted = self._act_on(connection, [mail])
                self._count(counted)
            except MailrotateError:
                raise
            except Exception as defect:  # noqa: BLE001  it is noted with its mail, and the others are read
                defects[mail.uid] = type(defect).__name__
        return defects

    def _record(self, portion: _Portion, cursor: FolderCursor) -> None:
        box_id, validity = self._box.id, cursor.uid_validity
        with acting(self._context, self._now) as (connection, _):
            counted = self._act_on(connection, portion.mails)
            if unread_mail.waiting(connection, box_id, self._folder):
                given = [mail.uid for mail in portion.mails]
                unread_mail.forget(connection, box_id, self._folder, validity, given)
            for uid, reason in portion.left_out.items():
                self._note_unread(connection, validity, uid, reason, _MOST_TRIES, _TRIED_FOR)
            for uid, reason in portion.defects.items():
                self._note_unread(connection, validity, uid, reason, 1, timedelta())
            inboxes.note_read(connection, box_id, self._folder, cursor, self._now)
        self._count(counted)

    def _count(self, counted: InboxTally) -> None:
        self._tally.replies += counted.replies
        self._tally.unsubscribes += counted.unsubscribes

    def _note_unread(
        self, connection: Connection, validity: int, uid: int, reason: str, tries: int, tried_for: timedelta
    ) -> None:
        noted = unread_mail.note(
            connection,
            self._box.id,
            self._folder,
            validity,
            uid,
            reason,
            self._now,
            most_tries=tries,
            at_least_for=tried_for,
        )
        if noted.tries == 1 or noted.given_up_at is not None:
            action = "inbox.mail_left_out" if noted.given_up_at is None else "inbox.mail_given_up"
            told = {"folder": self._folder, "uid": uid, "reason": reason, "tries": noted.tries}
            events.record(connection, RUNNER, action, self._now, About(self._box.id), **told)

    def _act_on(self, connection: Connection, mails: Sequence[_Mail]) -> InboxTally:
        tally = InboxTally()
        found = [self._recognised(connection, mail) for mail in mails]
        theirs = [mail for mail in found if not mail.is_own]
        # First, because it may wait for an import; at this point no one waits for this transaction.
        contact_book.note_received(connection, self._box, [mail.read for mail in theirs], self._now)
        for mail in found:
            for ours in mail.left:
                if not self._was_lifted_since(connection, mail, ours):
                    _unsubscribe(connection, ours, self._now)
                    tally.unsubscribes += 1
        for mail in theirs:
            if not mail.left and mail.read.machine is None:
                for ours in mail.cited:
                    tally.replies += _record_reply(connection, self._box, ours, self._now)
        return tally

    def _recognised(self, connection: Connection, mail: _Mail) -> _Mail:
        """Find out what of ours a mail is about; only then is it known which of its signs count."""
        read, left = mail.read, list[Ours]()
        if read.unsubscribe_token is not None:
            left = outbox_lists.by_unsubscribe_token(
                connection, read.unsubscribe_token, of_message_id=read.says_unsubscribe
            )
        # A copy of what we sent cites the message before it just as a reply does, in whatever folder.
        sender = canonical_address(read.from_address or "")
        is_own = sender in self._own or bool(_ours(connection, read.own_tokens))
        local_parts = (cited.strip("<>").partition("@")[0].lower() for cited in read.cited_ids)
        # PostgreSQL refuses a NUL in a text, and a stranger's Message-ID may hold one.
        plain = [part for part in local_parts if part.isascii() and part.isalnum()]
        cited = _ours(connection, [*read.cited_tokens, *plain])
        read = replace(
            read,
            unsubscribe_token=read.unsubscribe_token if left else None,
            machine=None if read.is_doubtful and cited else read.machine,
        )
        return replace(mail, read=read, left=left, cited=cited, is_own=is_own)

    def _was_lifted_since(self, connection: Connection, mail: _Mail, ours: Ours) -> bool:
        """Whether mail that is read once more asks for a suppression that was lifted after it was written."""
        if not self._is_reread:
            return False
        lifted_at = suppressions.lifted_at(connection, ours.to_address)
        instants = [instant for instant in (mail.arrived_at, mail.read.written_at) if instant is not None]
        return lifted_at is not None and max(instants, default=lifted_at) <= lifted_at


def note_unreadable(context: Context, box: SendingMailbox, trouble: MailTrouble, now: datetime) -> None:
    """Let this mailbox's follow-ups wait until its inbox can be read; a refused login fails the mailbox."""
    verdict = classify(trouble.reply, box.provider)
    with acting(context, now) as (connection, now):
        if verdict.reply_class is ReplyClass.AUTH:
            inboxes.note_failure(connection, box.id, INBOX, str(trouble), now)
            health.fail_by_verdict(connection, box, verdict.reply_class, str(trouble), now)
        else:
            health.note_unreadable(connection, box, str(trouble), now)


def _unsubscribe(connection: Connection, ours: Ours, now: datetime) -> None:
    lifecycle.suppress(
        connection,
        RUNNER,
        SuppressionKind.ADDRESS,
        ours.to_address,
        reason="unsubscribed",
        source=f"m_{ours.id}",
        now=now,
    )


def _ours(connection: Connection, tokens: Sequence[str]) -> list[Ours]:
    return outbox_lists.by_tokens(connection, tokens) if tokens else []


def _record_reply(connection: Connection, box: SendingMailbox, ours: Ours, now: datetime) -> int:
    """Record an answer to a message of ours; return how many recipients' sequences it ended."""
    if ours.state in MESSAGE["resolve_sent"].origins:
        # An answer proves that it was received: its fate is known after all (F3).
        moves.move(connection, MESSAGE["resolve_sent"], ours.id, sent_at=now)
        message = outbox.by_id(connection, ours.id)
        if message is not None:
            settling.after_sent(connection, message, now)
            sender = sending_mailboxes.by_id(connection, message.mailbox_id)
            contact_book.note_sent(connection, sender, message, now)
    if ours.kind is not MessageKind.CAMPAIGN or ours.recipient_id is None:
        return 0
    about = About(box.id, ours.campaign_id, ours.recipient_id, ours.id)
    if lifecycle.end_recipients(connection, RUNNER, [ours.recipient_id], RECIPIENT["replied"], "reply", now):
        events.record(connection, RUNNER, "reply.received", now, about)
        return 1
    return 0


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
