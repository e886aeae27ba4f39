"""The append-only log: who did what to which thing, and what came of it. Never a secret, never an address
of a person (people are named by id, so that erasing one leaves the log true)."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Row, func, insert, select

from mailrotate.core.store import tables as t


@dataclass(frozen=True)
class Actor:
    """Who acts: the workspace's user (None: the runner) and the operating system's."""

    user_id: int | None
    os_user: str | None


RUNNER = Actor(None, None)


@dataclass(frozen=True)
class About:
    """Which things an event is about, by id."""

    mailbox_id: int | None = None
    campaign_id: int | None = None
    recipient_id: int | None = None
    message_id: int | None = None


@dataclass(frozen=True)
class LoggedEvent:
    """One line of the log, with names instead of ids where they are not a person's."""

    id: int
    at: datetime
    action: str
    actor: str | None
    os_user: str | None
    mailbox: str | None
    campaign: str | None
    recipient_id: int | None
    message_id: int | None
    data: Mapping[str, object]


_RECORD = insert(t.event)


def record(
    connection: Connection, actor: Actor, action: str, now: datetime, about: About, **data: object
) -> None:
    """Append one event in the caller's transaction; `action` is a stable key for scripts."""
    connection.execute(
        _RECORD,
        {
            "at": now,
            "action": action,
            "actor_id": actor.user_id,
            "os_user": actor.os_user,
            "mailbox_id": about.mailbox_id,
            "campaign_id": about.campaign_id,
            "recipient_id": about.recipient_id,
            "message_id": about.message_id,
            "data": json.dumps(data, sort_keys=True, default=str) if data else "{}",
        },
    )


def listing(
    connection: Connection,
    *,
    since: datetime | None = None,
    mailbox_id: int | None = None,
    campaign_id: int | None = None,
    message_id: int | None = None,
    ids: Sequence[int] | None = None,
    after: int | None = None,
    limit: int = 100,
) -> Iterator[LoggedEvent]:
    """The newest `limit` events that fit, or the first ones after an id; in the order of their ids."""
    query = (
        select(
            t.event,
            t.mailbox.c.address.label("mailbox"),
            t.campaign.c.name.label("campaign"),
            t.user.c.email.label("actor"),
        )
        .outerjoin(t.mailbox, t.mailbox.c.id == t.event.c.mailbox_id)
        .outerjoin(t.campaign, t.campaign.c.id == t.event.c.campaign_id)
        .outerjoin(t.user, t.user.c.id == t.event.c.actor_id)
    )
    if since is not None:
        query = query.where(t.event.c.at >= since)
    if mailbox_id is not None:
        query = query.where(t.event.c.mailbox_id == mailbox_id)
    if campaign_id is not None:
        query = query.where(t.event.c.campaign_id == campaign_id)
    if message_id is not None:
        query = query.where(t.event.c.message_id == message_id)
    if ids is not None:
        query = query.where(t.event.c.id.in_(ids))
    if after is not None:
        query = query.where(t.event.c.id > after).order_by(t.event.c.id).limit(limit)
        rows = list(connection.execute(query))
    else:
        rows = list(connection.execute(query.order_by(t.event.c.id.desc()).limit(limit)))[::-1]
    yield from map(_read, rows)


def _read(row: Row[tuple[object, ...]]) -> LoggedEvent:
    r = row._mapping
    return LoggedEvent(
        r["id"],
        r["at"],
        r["action"],
        r["actor"],
        r["os_user"],
        r["mailbox"],
        r["campaign"],
        r["recipient_id"],
        r["message_id"],
        json.loads(r["data"]),
    )


def newest_id(connection: Connection) -> int:
    return int(connection.execute(select(func.max(t.event.c.id))).scalar_one() or 0)


def ids_after(connection: Connection, after: int) -> set[int]:
    return set(connection.execute(select(t.event.c.id).where(t.event.c.id > after)).scalars())
