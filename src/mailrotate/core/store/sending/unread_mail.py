"""Mail that a server does not give, or that could not be handled: asked for again, then given up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select, update

from mailrotate.core.store import tables as t

_LONGEST_REASON = 500
_SHOWN = 20
_u = t.unread_mail.c


@dataclass(frozen=True)
class UnreadMail:
    """One mail that was not read; it is asked for again until it was given up."""

    folder: str
    uid: int
    reason: str
    tries: int
    first_at: datetime
    given_up_at: datetime | None


def note(
    connection: Connection,
    mailbox_id: int,
    folder: str,
    uid_validity: int,
    uid: int,
    reason: str,
    now: datetime,
    *,
    most_tries: int,
    at_least_for: timedelta,
) -> UnreadMail:
    """Count one more try, and give the mail up after the last one."""
    which = (_u.mailbox_id == mailbox_id, _u.folder == folder, _u.uid_validity == uid_validity, _u.uid == uid)
    found = connection.execute(select(_u.tries, _u.first_at, _u.given_up_at).where(*which)).one_or_none()
    tries, first_at = (1, now) if found is None else (found.tries + 1, found.first_at)
    is_last = tries >= most_tries and now - first_at >= at_least_for
    given_up_at = (None if found is None else found.given_up_at) or (now if is_last else None)
    values = {
        "reason": reason[:_LONGEST_REASON], "tries": tries, "last_at": now, "given_up_at": given_up_at,
    }  # fmt: skip
    if found is None:
        place = {"mailbox_id": mailbox_id, "folder": folder, "uid_validity": uid_validity, "uid": uid}
        connection.execute(insert(t.unread_mail).values(**place, first_at=now, **values))
    else:
        connection.execute(update(t.unread_mail).where(*which).values(**values))
    return UnreadMail(folder, uid, reason[:_LONGEST_REASON], tries, first_at, given_up_at)


def forget(
    connection: Connection, mailbox_id: int, folder: str, uid_validity: int, uids: Sequence[int]
) -> None:
    """These were read after all."""
    connection.execute(
        delete(t.unread_mail).where(
            _u.mailbox_id == mailbox_id,
            _u.folder == folder,
            _u.uid_validity == uid_validity,
            _u.uid.in_(uids),
        )
    )


def drop_renumbered(connection: Connection, mailbox_id: int, folder: str, uid_validity: int) -> None:
    """Numbers of another UIDVALIDITY name nothing any more; what was given up stays noted."""
    connection.execute(
        delete(t.unread_mail).where(
            _u.mailbox_id == mailbox_id,
            _u.folder == folder,
            _u.uid_validity != uid_validity,
            _u.given_up_at.is_(None),
        )
    )


def waiting(
    connection: Connection, mailbox_id: int, folder: str, before: datetime | None = None
) -> list[int]:
    """The UIDs that are still asked for; with `before`, those last asked for earlier than that."""
    query = select(_u.uid).where(_u.mailbox_id == mailbox_id, _u.folder == folder, _u.given_up_at.is_(None))
    if before is not None:
        query = query.where(_u.last_at < before)
    return [int(uid) for uid in connection.execute(query.order_by(_u.uid)).scalars()]


def of_mailbox(connection: Connection, mailbox_id: int) -> list[UnreadMail]:
    """The latest ones of a mailbox."""
    query = select(t.unread_mail).where(_u.mailbox_id == mailbox_id)
    rows = connection.execute(query.order_by(_u.last_at.desc(), _u.uid.desc()).limit(_SHOWN))
    return [
        UnreadMail(row.folder, row.uid, row.reason, row.tries, row.first_at, row.given_up_at) for row in rows
    ]


def counts(connection: Connection, since: datetime) -> dict[int, int]:
    """By mailbox, how many were not read and last asked for since then."""
    query = select(_u.mailbox_id, func.count()).where(_u.last_at >= since).group_by(_u.mailbox_id)
    return {int(row[0]): int(row[1]) for row in connection.execute(query)}
