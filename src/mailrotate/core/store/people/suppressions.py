"""Addresses and domains that are never written to again. Erased ones remain as a hash (I4)."""

import hashlib
from collections.abc import Generator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, insert, select
from sqlalchemy.exc import IntegrityError

from mailrotate.core.store import tables as t
from mailrotate.core.values.address import domain_of
from mailrotate.core.values.states import SuppressionKind


@dataclass(frozen=True)
class Suppressed:
    id: int
    kind: SuppressionKind
    value: str | None
    reason: str
    source: str
    added_at: datetime


def fingerprint(value: str) -> str:
    """SHA-256 of a normalised address or domain, in hex; it stays when the value is erased."""
    return hashlib.sha256(value.encode()).hexdigest()


_COVERING = (
    select(t.suppression)
    .where(t.suppression.c.hash.in_((bindparam("b_address"), bindparam("b_domain"))))
    .order_by(t.suppression.c.kind)
    .limit(1)
)


def covering(connection: Connection, address: str) -> Suppressed | None:
    """The suppression that forbids writing to a normalised address, its own or its domain's."""
    known = {"b_address": fingerprint(address), "b_domain": fingerprint(domain_of(address))}
    row = connection.execute(_COVERING, known).one_or_none()
    return None if row is None else _read(row._mapping)


def add(
    connection: Connection,
    kind: SuppressionKind,
    value: str,
    *,
    reason: str,
    source: str,
    added_by: int | None,
    now: datetime,
) -> bool:
    """Add a suppression; False if it already exists."""
    if connection.execute(
        select(t.suppression.c.id).where(t.suppression.c.hash == fingerprint(value))
    ).first():
        return False
    try:
        with connection.begin_nested():
            connection.execute(
                insert(t.suppression).values(
                    kind=kind,
                    value=value,
                    hash=fingerprint(value),
                    reason=reason,
                    source=source,
                    added_by=added_by,
                    added_at=now,
                )
            )
    except IntegrityError:
        # Another process added it at the same moment.
        return False
    return True


def remove(connection: Connection, value: str, now: datetime) -> bool:
    """Allow it again, and remember when; False when it was not suppressed."""
    known = fingerprint(value)
    if connection.execute(delete(t.suppression).where(t.suppression.c.hash == known)).rowcount != 1:
        return False
    connection.execute(delete(t.lifted_suppression).where(t.lifted_suppression.c.hash == known))
    connection.execute(insert(t.lifted_suppression).values(hash=known, lifted_at=now))
    return True


def lifted_at(connection: Connection, value: str) -> datetime | None:
    """When the suppression of an address or domain was last removed."""
    query = select(t.lifted_suppression.c.lifted_at).where(t.lifted_suppression.c.hash == fingerprint(value))
    found = connection.execute(query).scalar_one_or_none()
    return found if isinstance(found, datetime) else None


def listing(connection: Connection, after: int | None, limit: int | None) -> Generator[Suppressed]:
    query = select(t.suppression).order_by(t.suppression.c.id)
    if after is not None:
        query = query.where(t.suppression.c.id > after)
    if limit is not None:
        query = query.limit(limit)
    with connection.execute(query.execution_options(yield_per=500)) as rows:
        for row in rows:
            yield _read(row._mapping)


def _read(m: object) -> Suppressed:
    return Suppressed(
        m["id"],  # type: ignore[index]  # a row's mapping
        SuppressionKind(m["kind"]),  # type: ignore[index]
        m["value"],  # type: ignore[index]
        m["reason"],  # type: ignore[index]
        m["source"],  # type: ignore[index]
        m["added_at"],  # type: ignore[index]
    )
