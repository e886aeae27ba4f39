"""Read the event log: its latest lines, and new ones as they are written."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import Connection

from mailrotate.core.services.access import authority
from mailrotate.core.services.access.naming import find_campaign, find_mailbox, find_user
from mailrotate.core.services.context import Context
from mailrotate.core.store import events, users
from mailrotate.core.store.events import Actor, LoggedEvent
from mailrotate.core.values.clock import monotonic_seconds

_AT_A_TIME = 500
# A missing number this close to the newest line may belong to a transaction that is still open.
_OPEN_END = 100
# A number that is still missing after this belongs to a transaction that failed.
_GIVE_UP_AFTER = timedelta(minutes=10)


@dataclass(frozen=True)
class Wanted:
    """Filters with names as people write them; None does not filter.

    `by` is the acting user, `user` the user it is about or whose mailbox, `action` the start of its key.
    """

    mailbox: str | None = None
    campaign: str | None = None
    by: str | None = None
    user: str | None = None
    action: str | None = None
    since: datetime | None = None
    until: datetime | None = None


def _found(connection: Connection, actor: Actor, wanted: Wanted) -> events.Wanted:
    """Look up the filter's names. Raises NotFound (`mailbox.none`, `campaign.none`, `user.none`), Refused."""
    return {
        "mailbox_id": None if wanted.mailbox is None else _mailbox_id(connection, wanted.mailbox),
        "campaign_id": None if wanted.campaign is None else find_campaign(connection, wanted.campaign).id,
        "actor_id": None if wanted.by is None else _user_id(connection, wanted.by),
        "user_id": None if wanted.user is None else _user_id(connection, wanted.user),
        "seen_by": authority.viewer_of(connection, actor),
        "action": wanted.action,
        "since": wanted.since,
        "until": wanted.until,
    }


def _mailbox_id(connection: Connection, name: str) -> int:
    """Find a mailbox's id, also of a removed one, whose history stays (B8)."""
    return find_mailbox(connection, name, with_removed=True).id


def _user_id(connection: Connection, email: str) -> int:
    """Find a user's id, also of a removed user."""
    known = {known: user_id for user_id, known in users.emails(connection).items()}
    return known.get(email.strip().lower()) or find_user(connection, email).id


@contextmanager
def listing(
    context: Context, wanted: Wanted, *, after: int | None, limit: int | None
) -> Iterator[Iterator[LoggedEvent]]:
    """The newest lines, or the first ones after a number, in their order, streamed while the block lasts.

    Raises NotFound (`mailbox.none`, `campaign.none`, `user.none`), Refused (`user.…`).
    """
    # Closed before the connection, also when not all of it was wanted.
    with context.store.reading() as connection:
        found = events.listing(
            connection, after=after, limit=limit, **_found(connection, context.actor, wanted)
        )
        with closing(found), closing(_named(connection, found)) as lines:
            yield lines


def _named(connection: Connection, lines: Iterator[LoggedEvent]) -> Generator[LoggedEvent]:
    """Replace users' ids by their addresses."""
    emails = users.emails(connection)
    for event in lines:
        data = dict(event.data)
        user = _user(data.pop("user", None), emails)
        if data.get("key") in events.USER_KEYS:
            data |= {name: _user(data[name], emails) for name in ("before", "after") if name in data}
        yield replace(event, data=data, user=user)


def _user(value: object, emails: Mapping[int, str]) -> str | None:
    """Return a user's address, or `u_17` if the user is unknown."""
    if isinstance(value, int):
        return emails.get(value, f"u_{value}")
    return None if value is None else str(value)


class Follower:
    """Returns each new matching line once.

    On PostgreSQL a line's number is given when it is written but the line appears when its transaction
    ends: a lower number may appear after a higher one. So numbers that are missing are asked for again.

    Raises NotFound (`mailbox.none`, `campaign.none`, `user.none`), Refused (`user.…`).
    """

    def __init__(self, context: Context, wanted: Wanted | None = None) -> None:
        self._context = context
        with context.store.reading() as connection:
            self._wanted = _found(connection, context.actor, wanted or Wanted())
            self._newest = self.began_at = events.newest_id(connection)
            start = max(0, self._newest - _OPEN_END)
            there = events.ids_after(connection, start)
        self._missing = dict.fromkeys(set(range(start + 1, self._newest)) - there, monotonic_seconds())

    def news(self) -> list[LoggedEvent]:
        """Return the lines since the last call, in the order of their numbers."""
        now = monotonic_seconds()
        with self._context.store.reading() as connection:
            late = events.ids_among(connection, self._missing)
            fresh = events.ids_after(connection, self._newest)
            lines = list(self._lines(connection, sorted(late | fresh)))
        for number in late:
            del self._missing[number]
        if fresh:
            gaps = set(range(self._newest + 1, max(fresh))) - fresh
            self._missing.update(dict.fromkeys(gaps, now))
            self._newest = max(fresh)
        oldest = now - _GIVE_UP_AFTER.total_seconds()
        self._missing = {number: since for number, since in self._missing.items() if since > oldest}
        return lines

    def _lines(self, connection: Connection, numbers: list[int]) -> Iterator[LoggedEvent]:
        for start in range(0, len(numbers), _AT_A_TIME):
            some = numbers[start : start + _AT_A_TIME]
            found = events.listing(connection, ids=some, limit=None, **self._wanted)
            yield from _named(connection, found)


def as_row(event: LoggedEvent) -> dict[str, object]:
    """The line as scripts read it."""
    return {
        "id": event.id,
        "at": event.at,
        "action": event.action,
        "actor": event.actor,
        "os_user": event.os_user,
        "user": event.user,
        "mailbox": event.mailbox,
        "campaign": event.campaign,
        "recipient": None if event.recipient_id is None else f"r_{event.recipient_id}",
        "message": None if event.message_id is None else f"m_{event.message_id}",
        "data": event.data,
    }
