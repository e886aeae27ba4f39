"""The inbox of a lane during its turn: read before anything is sent, and again in a long turn."""

from collections import Counter
from datetime import datetime, timedelta

from mailrotate.core.ports import InboxSession
from mailrotate.core.services.access import logins
from mailrotate.core.services.context import Context
from mailrotate.core.services.sending import inbox_reading
from mailrotate.core.services.sending.inbox_reading import InboxTally
from mailrotate.core.services.sending.pace import Pace
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.store.sending.lanes import Lane
from mailrotate.core.store.sending.sending_mailboxes import SendingMailbox
from mailrotate.core.values.mail import FetchBroke, MailTrouble
from mailrotate.core.values.states import ConnectionState

# So many mails that break the connection are passed in one reading.
_MOST_BREAKS = 3


class LaneInbox:
    """One connection to a mailbox's inbox; `tally` counts what was read."""

    def __init__(self, context: Context, lane: Lane, pace: Pace, tally: Counter[str]) -> None:
        self._context = context
        self._lane = lane
        self._pace = pace
        self._tally = tally
        self._session: InboxSession | None = None
        self._read_at: datetime | None = None
        self._sync_every = timedelta()

    def is_due(self) -> bool:
        """Whether it was read in this turn, longer ago than the plan says."""
        return self._read_at is not None and self._pace.clock() - self._read_at >= self._sync_every

    def read(self) -> None:
        """Read what came since, if the mailbox is connected."""
        box, now = self._box(), self._pace.clock()
        if box.state is not ConnectionState.CONNECTED:
            return
        self._read_at, self._sync_every = now, box.settings.sync_every
        if is_left_alone(box, now):
            return
        tally = InboxTally()
        trouble = self._read_over_connections(box, now, tally) or tally.waits_for
        self._tally["replies"] += tally.replies
        self._tally["unsubscribes"] += tally.unsubscribes
        # What was broken off because the host is stopping says nothing about the server.
        if trouble is not None and not self._pace.stopping():
            inbox_reading.note_unreadable(self._context, box, trouble, now)

    def file_copies(self) -> None:
        """File the copies that are due, over the connection that read the inbox."""
        if self._session is None:
            return
        box, now = self._box(), self._pace.clock()
        try:
            inbox_reading.file_copies(self._context, self._session, box, now)
        except MailTrouble as trouble:
            self.close()
            inbox_reading.postpone_copies(self._context, box, trouble, now)

    def close(self) -> None:
        """Close the connection, if one is open."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _read_over_connections(
        self, box: SendingMailbox, now: datetime, tally: InboxTally
    ) -> MailTrouble | None:
        """Read over the open connection, else over a new one; return why the INBOX cannot be read.

        A server closes idle connections. Where a new one breaks while mail is fetched, a single mail may be
        the reason: then each is fetched alone, and the one that breaks the connection again is passed.
        """
        ways = [inbox_reading.MAILS_AT_ONCE] * (1 if self._session is None else 2) + [1] * _MOST_BREAKS
        trouble: MailTrouble | None = None
        for at_once in ways:
            is_new = self._session is None
            try:
                if self._session is None:
                    self._session = self._open(now)
                inbox_reading.read_inbox(self._context, self._session, box, now, tally, at_once)
                return None
            except MailTrouble as broke:
                trouble = broke
                self.close()
                if self._pace.stopping() or (is_new and not isinstance(broke, FetchBroke)):
                    break
        return trouble

    def _open(self, now: datetime) -> InboxSession:
        return logins.log_in(
            self._context, self._lane.mailbox_id, now, lambda provider, account: provider.open_inbox(account)
        )

    def _box(self) -> SendingMailbox:
        with self._context.store.reading() as connection:
            return sending_mailboxes.by_id(connection, self._lane.mailbox_id)


def is_left_alone(box: SendingMailbox, now: datetime) -> bool:
    """Whether to skip the inbox, because reading it failed a moment ago."""
    return box.inbox.next_try_at is not None and now < box.inbox.next_try_at
