"""The append-only log: who did what to which thing, and the result. It contains no secret and no address of a
contact (contacts are named by id, so that the log stays true when one is erased)."""

import json
import re
from collections.abc import Callable, Collection, Generator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypedDict, Unpack

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, insert, literal, or_, select

from mailrotate.core.store import tables as t
from mailrotate.core.store import visibility, webhooks
from mailrotate.core.store.dialects import json_text
from mailrotate.core.store.index_steps import among_first, each_value
from mailrotate.core.store.portions import AT_A_TIME, rows_with
from mailrotate.core.store.ready import Ready
from mailrotate.core.values.webhook import OFFERED


@dataclass(frozen=True)
class Actor:
    """The acting user (None: the runner) and the operating-system user."""

    user_id: int | None
    os_user: str | None


RUNNER = Actor(None, None)


@dataclass(frozen=True)
class About:
    """The things that an event is about, by id."""

    mailbox_id: int | None = None
    campaign_id: int | None = None
    recipient_id: int | None = None
    message_id: int | None = None


@dataclass(frozen=True)
class LoggedEvent:
    """One line of the log, with names instead of ids except for contacts. In `data` users are still ids; the
    caller fills `user`."""

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
    user: str | None = None


class Wanted(TypedDict, total=False):
    """A filter of events: each value that is not None must match.

    `action` is the start of the key, `actor_id` the acting user, `user_id` the user that the event is about,
    or the user of the mailbox it concerns; `since` is inclusive, `until` exclusive.
    `seen_by` limits events to those that this member may see: their own acts, and events about them or about
    a mailbox or campaign that they see.
    """

    since: datetime | None
    until: datetime | None
    action: str | None
    actor_id: int | None
    user_id: int | None
    seen_by: int | None
    mailbox_id: int | None
    campaign_id: int | None
    message_id: int | None


_RECORD = Ready(insert(t.event))
_OF_MAILBOX = t.mailbox.c.id == t.event.c.mailbox_id
_EVENTS = (
    select(
        t.event,
        t.mailbox.c.address.label("mailbox"),
        t.campaign.c.name.label("campaign"),
        t.user.c.email.label("actor"),
    )
    .outerjoin(t.mailbox, _OF_MAILBOX)
    .outerjoin(t.campaign, t.campaign.c.id == t.event.c.campaign_id)
    .outerjoin(t.user, t.user.c.id == t.event.c.actor_id)
)
# For these keys, `before` and `after` are ids of users.
USER_KEYS = ("user", "default_user", "owner")
# Servers repeat the recipient, and people note who asked: `<kim@example.com>: no such user`.
_WORDS_OF_OTHERS = ("reply", "reason")
_ADDRESS = re.compile(r"[^\s<>()\[\]\"',;:]+@[^\s<>()\[\]\"',;:]+")


def record(
    connection: Connection, actor: Actor, action: str, now: datetime, about: About, **data: object
) -> None:
    """Append one event in the caller's transaction, and queue it for the webhooks that are told of it.

    `action` is a stable key for scripts.

    In `data`, users are ids under `user`; a change has `key`, `before` and `after`.
    """
    row = {
        "at": now,
        "action": action,
        "actor_id": actor.user_id,
        "os_user": actor.os_user,
        "mailbox_id": about.mailbox_id,
        "campaign_id": about.campaign_id,
        "recipient_id": about.recipient_id,
        "message_id": about.message_id,
    }
    text = _text_of(data)
    event_id = _RECORD.insert(connection, **row, data=text)
    if action in OFFERED:
        webhooks.enqueue(connection, row | {"data": json.loads(text)}, event_id)


def record_each(
    connection: Connection,
    actor: Actor,
    action: str,
    now: datetime,
    recipient_ids: Sequence[int],
    **data: object,
) -> None:
    """Append an event for each of some hundred recipients. No webhook is told of these."""
    assert action not in OFFERED
    e, r = t.event.c, t.recipient.c
    columns = {
        "at": literal(now, e.at.type),
        "action": literal(action, e.action.type),
        "actor_id": literal(actor.user_id, e.actor_id.type),
        "os_user": literal(actor.os_user, e.os_user.type),
        "campaign_id": r.campaign_id,
        "recipient_id": r.id,
        "data": literal(_text_of(data), e.data.type),
    }
    rows = select(*columns.values()).where(r.id.in_(recipient_ids)).order_by(r.id)
    connection.execute(insert(t.event).from_select(list(columns), rows))


def _text_of(data: Mapping[str, object]) -> str:
    kept = {
        key: _ADDRESS.sub("(address)", value) if key in _WORDS_OF_OTHERS and isinstance(value, str) else value
        for key, value in data.items()
    }
    return json.dumps(kept, sort_keys=True, default=str) if kept else "{}"


def listing(
    connection: Connection,
    *,
    ids: Sequence[int] | None = None,
    after: int | None = None,
    limit: int | None = 100,
    **wanted: Unpack[Wanted],
) -> Generator[LoggedEvent]:
    """Stream the newest `limit` matching events, or the first ones after an id, in the order of their ids.

    The stream lasts as long as the caller's transaction.
    """
    e = t.event.c
    where = _conditions(connection, wanted)
    if ids is not None:
        where.append(e.id.in_(ids))
    if after is not None:
        where.append(e.id > after)
    beginning = wanted.get("action")
    if beginning is not None and limit is not None:
        by_id = e.id.desc() if after is None else e.id
        parts = [
            select(e.id).outerjoin(t.mailbox, _OF_MAILBOX).where(e.action == action, *where).order_by(by_id)
            for action in each_value(connection, e.action)
            # In any case, as LIKE compares on SQLite.
            if action.lower().startswith(beginning.lower())
        ]
        if not parts:
            return
        where.append(among_first(e.id, parts, limit))
    query = _in_order(_EVENTS.where(*where), after, limit)
    with connection.execute(query.execution_options(yield_per=AT_A_TIME)) as rows:
        yield from map(_read, rows)


def _conditions(connection: Connection, wanted: Wanted) -> list[ColumnElement[bool]]:
    e = t.event.c

    def names_user(user_id: int) -> ColumnElement[bool]:
        user, key, before, after = (
            json_text(connection, e.data, name) for name in ("user", "key", "before", "after")
        )
        changes_hands = and_(key.in_(USER_KEYS), or_(before == str(user_id), after == str(user_id)))
        return or_(user == str(user_id), changes_hands, t.mailbox.c.user_id == user_id)

    def seen_by(user_id: int) -> ColumnElement[bool]:
        return or_(
            e.actor_id == user_id,
            names_user(user_id),
            e.mailbox_id.in_(visibility.mailboxes_of(user_id)),
            e.campaign_id.in_(visibility.campaigns_of(user_id)),
        )

    fits: dict[str, Callable[[Any], ColumnElement[bool]]] = {
        "since": lambda at: e.at >= at,
        "until": lambda at: e.at < at,
        "action": lambda beginning: e.action.startswith(beginning, autoescape=True),
        "actor_id": lambda user_id: e.actor_id == user_id,
        "user_id": names_user,
        "seen_by": seen_by,
        "mailbox_id": lambda mailbox_id: e.mailbox_id == mailbox_id,
        "campaign_id": lambda campaign_id: e.campaign_id == campaign_id,
        "message_id": lambda message_id: e.message_id == message_id,
    }
    return [fits[name](value) for name, value in wanted.items() if value is not None]


def _in_order(query: Select[Any], after: int | None, limit: int | None) -> Select[Any]:
    if after is not None or limit is None:
        return query.order_by(t.event.c.id).limit(limit)
    newest = query.order_by(t.event.c.id.desc()).limit(limit).subquery()
    return select(newest).order_by(newest.c.id)


def _read(row: Row[Any]) -> LoggedEvent:
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


def ids_among(connection: Connection, numbers: Collection[int]) -> set[int]:
    """The numbers that are ids of events."""
    e = t.event.c
    return {row.id for row in rows_with(connection, select(e.id), e.id, sorted(numbers))}
