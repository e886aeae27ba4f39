"""Addresses and domains that are never written to again. Erased ones remain as a hash (I4)."""

import hashlib
from collections.abc import Collection, Generator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from mailrotate.core.store import dialects, listed
from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import portions, rows_with
from mailrotate.core.store.ready import Ready
from mailrotate.core.values.address import (
    canonical_address,
    canonical_domain,
    domain_and_parents,
    domain_of,
)
from mailrotate.core.values.reasons import HARD_BOUNCE
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
    """SHA-256 of a canonical address or domain, in hex; it stays when the value is erased."""
    return hashlib.sha256(value.encode()).hexdigest()


def canonical_of(kind: SuppressionKind, value: str) -> str:
    """The form in which a normalised address or domain is compared."""
    return canonical_domain(value) if kind is SuppressionKind.DOMAIN else canonical_address(value)


@cache
def _covering(count: int) -> Ready:
    """The first suppression that has one of so many hashes."""
    hashes: list[ColumnElement[str]] = [bindparam(f"b_hash_{n}") for n in range(count)]
    is_one = t.suppression.c.hash.in_(hashes)
    return Ready(select(t.suppression).where(is_one).order_by(t.suppression.c.kind).limit(1))


def covering(connection: Connection, address: str) -> Suppressed | None:
    """The suppression that forbids writing to a normalised address: its own, its domain's or one above."""
    hashes = {f"b_hash_{n}": digest for n, digest in enumerate(_hashes_of(address))}
    row = _covering(len(hashes)).first(connection, **hashes)
    return None if row is None else _read(row)


def _hashes_of(address: str) -> list[str]:
    canonical = canonical_address(address)
    # The plain address for hashes that are older than the canonical form, and cannot be made again.
    covers = {canonical, address, *domain_and_parents(domain_of(canonical))}
    return list(map(fingerprint, covers))


def covering_each(connection: Connection, addresses: Collection[str]) -> dict[str, Suppressed]:
    """Like `covering` for many addresses; those that are not suppressed are missing."""
    hashes = {address: _hashes_of(address) for address in addresses}
    wanted = sorted({digest for each in hashes.values() for digest in each})
    by_hash: dict[str, Row[Any]] = {}
    for row in rows_with(connection, select(t.suppression), t.suppression.c.hash, wanted):
        by_hash[row.hash] = row
    found = {}
    for address, each in hashes.items():
        covers = [by_hash[digest] for digest in each if digest in by_hash]
        if covers:
            found[address] = _read(min(covers, key=lambda row: str(row.kind))._mapping)
    return found


def canonical_addresses() -> Select[tuple[str]]:
    """A query for the suppressed addresses, without the erased ones."""
    s = t.suppression.c
    return select(s.canonical).where(s.kind == SuppressionKind.ADDRESS, s.canonical.is_not(None))


def erased_hashes() -> Select[tuple[str]]:
    return select(t.suppression.c.hash).where(t.suppression.c.value.is_(None))


def covered_domains(connection: Connection, domains: Select[tuple[str]]) -> Select[tuple[str]]:
    """A query for those of some domains that are suppressed, or are below one that is."""
    found = domains.subquery("found")
    (domain,) = found.columns
    part = select(domain.label("domain"), domain.label("above")).cte("part", recursive=True)
    above = dialects.parent_domain(connection, part.c.above)
    part = part.union_all(select(part.c.domain, above).where(above.is_not(None)))
    s = t.suppression.c
    suppressed = select(s.canonical).where(s.kind == SuppressionKind.DOMAIN, s.canonical.is_not(None))
    return select(part.c.domain).where(part.c.above.in_(suppressed))


_s = t.suppression.c


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
    """Suppress one address or domain; False if it already was."""
    how = {"reason": reason, "source": source, "added_by": added_by, "now": now}
    return bool(add_many(connection, [(kind, value)], **how))  # type: ignore[arg-type]  # by name


def add_many(
    connection: Connection,
    entries: Sequence[tuple[SuppressionKind, str]],
    *,
    reason: str,
    source: str,
    added_by: int | None,
    now: datetime,
) -> int:
    """Suppress many; return how many were not suppressed yet in any spelling.

    One that an answer made takes over the newer reason and source, and so outlasts that answer being undone.
    """
    forms = {fingerprint(canonical_of(*entry)): entry for entry in reversed(entries)}
    known = {
        row.hash: row.reason
        for row in rows_with(connection, select(_s.hash, _s.reason), _s.hash, list(forms))
    }
    bounced = [digest for digest, before in known.items() if before == HARD_BOUNCE]
    for some in portions(bounced):
        connection.execute(
            update(t.suppression)
            .where(_s.hash.in_(some))
            .values(reason=reason, source=source, added_by=added_by)
        )
    rows = [
        (kind, value, canonical_of(kind, value), digest)
        for digest, (kind, value) in reversed(forms.items())
        if digest not in known
    ]
    if not rows:
        return 0
    names = ("kind", "value", "canonical", "hash")
    new = listed.text_rows(connection, rows, *names)
    columns = {
        **{name: new.c[name] for name in names},
        "reason": literal(reason, _s.reason.type),
        "source": literal(source, _s.source.type),
        "added_by": literal(added_by, _s.added_by.type),
        "added_at": literal(now, _s.added_at.type),
    }
    query = select(*columns.values()).where(true()).order_by(new.c.place)
    # An entry that another process adds at the same moment stays as that process writes it.
    adding = insert(t.suppression).from_select(list(columns), dialects.but_not_twice(query))
    return connection.execute(adding.execution_options(preserve_rowcount=True)).rowcount


def remove(connection: Connection, kind: SuppressionKind, value: str, now: datetime) -> bool:
    """Lift a suppression in any spelling, and remember when; False if there was none."""
    known = fingerprint(canonical_of(kind, value))
    # The plain value for hashes that are older than the canonical form.
    hashes = {known, fingerprint(value)}
    if not connection.execute(delete(t.suppression).where(_s.hash.in_(hashes))).rowcount:
        return False
    lifted = t.lifted_suppression
    connection.execute(delete(lifted).where(lifted.c.hash.in_(hashes)))
    connection.execute(insert(lifted).values(hash=known, lifted_at=now))
    return True


def lifted_at(connection: Connection, address: str) -> datetime | None:
    """When the suppression of an address was last lifted."""
    hashes = {fingerprint(canonical_address(address)), fingerprint(address)}
    lifted = t.lifted_suppression.c
    query = select(func.max(lifted.lifted_at)).where(lifted.hash.in_(hashes))
    found = connection.execute(query).scalar_one()
    return found if isinstance(found, datetime) else None


def withdraw(connection: Connection, address: str, reason: str, source: str) -> bool:
    """Remove an address's suppression if that alone made it."""
    hashes = {fingerprint(canonical_address(address)), fingerprint(address)}
    made_so = (_s.hash.in_(hashes), _s.reason == reason, _s.source == source)
    return connection.execute(delete(t.suppression).where(*made_so)).rowcount > 0


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
