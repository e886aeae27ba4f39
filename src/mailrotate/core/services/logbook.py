"""The event log, read: its latest lines, and those that come."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.services.context import Context
from mailrotate.core.services.naming import find_campaign, find_mailbox
from mailrotate.core.store import events
from mailrotate.core.store.events import LoggedEvent
from mailrotate.core.values.clock import monotonic_seconds

_AT_A_TIME = 500
# So far back from the newest line a missing number may be one that is just being written.
_OPEN_END = 100
# A number that is still missing after this was given to a transaction that failed.
_GIVE_UP_AFTER = timedelta(minutes=10)


@dataclass(frozen=True)
class Wanted:
    """Which lines: of one mailbox, of one campaign, since an instant."""

    mailbox: str | None = None
    campaign: str | None = None
    since: datetime | None = None


def real_names(context: Context, mailbox: str | None, campaign: str | None) -> tuple[str | None, str | None]:
    """The names by which the log knows them. Raises NotFound (`mailbox.none`, `campaign.none`)."""
    with context.store.reading() as connection:
        return (
            None if mailbox is None else find_mailbox(connection, mailbox, with_removed=True).address,
            None if campaign is None else find_campaign(connection, campaign).name,
        )


def latest(context: Context, wanted: Wanted, limit: int) -> list[LoggedEvent]:
    """The newest lines, oldest of them first. Raises NotFound (`mailbox.none`, `campaign.none`)."""
    with context.store.reading() as connection:
        mailbox = (
            None if wanted.mailbox is None else find_mailbox(connection, wanted.mailbox, with_removed=True)
        )
        campaign = None if wanted.campaign is None else find_campaign(connection, wanted.campaign)
        return list(
            events.listing(
                connection,
                since=wanted.since,
                mailbox_id=None if mailbox is None else mailbox.id,
                campaign_id=None if campaign is None else campaign.id,
                limit=limit,
            )
        )


class Follower:
    """Gives each line once that is written after it began.

    On PostgreSQL a line's number is given when it is written but the line appears when its transaction
    ends: a lower number may appear after a higher one. So numbers that are missing are asked for again.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        with context.store.reading() as connection:
            self._newest = self.began_at = events.newest_id(connection)
            start = max(0, self._newest - _OPEN_END)
            there = events.ids_after(connection, start)
        self._missing = dict.fromkeys(set(range(start + 1, self._newest)) - there, monotonic_seconds())

    def news(self) -> list[LoggedEvent]:
        """What came since the last call, in the order of their numbers."""
        with self._context.store.reading() as connection:
            late = list(self._late(connection))
            fresh = list(self._fresh(connection))
        now = monotonic_seconds()
        for event in late:
            self._missing.pop(event.id)
        for event in fresh:
            self._missing.update(dict.fromkeys(range(self._newest + 1, event.id), now))
            self._newest = event.id
        oldest = now - _GIVE_UP_AFTER.total_seconds()
        self._missing = {number: since for number, since in self._missing.items() if since > oldest}
        return late + fresh

    def _late(self, connection: Connection) -> Iterator[LoggedEvent]:
        numbers = sorted(self._missing)
        for some in (numbers[start : start + _AT_A_TIME] for start in range(0, len(numbers), _AT_A_TIME)):
            yield from events.listing(connection, ids=some, limit=_AT_A_TIME)

    def _fresh(self, connection: Connection) -> Iterator[LoggedEvent]:
        after = self._newest
        while some := list(events.listing(connection, after=after, limit=_AT_A_TIME)):
            yield from some
            after = some[-1].id


def as_row(event: LoggedEvent) -> dict[str, object]:
    """The line as scripts read it."""
    return {
        "id": event.id,
        "at": event.at,
        "action": event.action,
        "actor": event.actor,
        "os_user": event.os_user,
        "mailbox": event.mailbox,
        "campaign": event.campaign,
        "recipient": None if event.recipient_id is None else f"r_{event.recipient_id}",
        "message": None if event.message_id is None else f"m_{event.message_id}",
        "data": event.data,
    }


def that_fit(lines: Sequence[LoggedEvent], wanted: Wanted) -> Iterator[LoggedEvent]:
    """Those of the wanted mailbox and campaign, which are named as the log names them."""
    for event in lines:
        if wanted.mailbox in (None, event.mailbox) and wanted.campaign in (None, event.campaign):
            yield event
