"""Contacts: the people of the workspace, by address or id. No query finds an erased one."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Connection,
    Row,
    Select,
    Text,
    bindparam,
    column,
    func,
    insert,
    literal,
    select,
    true,
    update,
    values,
)

from mailrotate.core.store import dialects
from mailrotate.core.store import tables as t
from mailrotate.core.store.people import tags
from mailrotate.core.store.portions import portions, rows_with
from mailrotate.core.values.address import domain_of
from mailrotate.core.values.states import RecipientState


@dataclass(frozen=True)
class StoredContact:
    id: int
    email: str
    owner_id: int | None
    owner: str | None
    tags: tuple[str, ...]
    fields: Mapping[str, str]
    created_at: datetime


@dataclass(frozen=True)
class Membership:
    """A contact as the recipient of a campaign."""

    recipient_id: int
    campaign: str
    state: RecipientState
    reason: str | None


def _query() -> Select[tuple[object, ...]]:
    c = t.contact.c
    # No tag holds a line end.
    tagged = (
        select(func.aggregate_strings(t.contact_tag.c.tag, "\n"))
        .where(t.contact_tag.c.contact_id == c.id)
        .scalar_subquery()
    )
    return (
        select(
            c.id,
            c.address,
            c.owner_id,
            t.user.c.email.label("owner"),
            tagged.label("tags"),
            c.fields,
            c.created_at,
        )
        .outerjoin(t.user, t.user.c.id == c.owner_id)
        .where(c.address.is_not(None))
    )


def _read(row: Row[tuple[object, ...]]) -> StoredContact:
    r = row._mapping
    return StoredContact(
        r["id"],
        r["address"],
        r["owner_id"],
        r["owner"],
        tuple(sorted(r["tags"].split("\n"))) if r["tags"] else (),
        json.loads(r["fields"]),
        r["created_at"],
    )


def find(connection: Connection, address: str) -> StoredContact | None:
    """The contact with a normalised address."""
    row = connection.execute(
        _query().where(t.contact.c.domain == domain_of(address), t.contact.c.address == address)
    ).one_or_none()
    return None if row is None else _read(row)


def by_id(connection: Connection, contact_id: int) -> StoredContact | None:
    row = connection.execute(_query().where(t.contact.c.id == contact_id)).one_or_none()
    return None if row is None else _read(row)


def listing(
    connection: Connection,
    *,
    tag: str | None = None,
    owner_id: int | None = None,
    after: int | None = None,
    limit: int | None = None,
) -> Generator[StoredContact]:
    """List contacts in the order of creation, streamed."""
    c = t.contact.c
    query = _query().order_by(c.id)
    if tag is not None:
        query = query.where(c.id.in_(tags.contacts_with(connection, tag)))
    if owner_id is not None:
        query = query.where(c.owner_id == owner_id)
    if after is not None:
        query = query.where(c.id > after)
    if limit is not None:
        query = query.limit(limit)
    with connection.execute(query.execution_options(yield_per=500)) as rows:
        for row in rows:
            yield _read(row)


def known(connection: Connection, addresses: Sequence[str]) -> dict[str, int]:
    """Return the contact ids of those normalised addresses that have a contact."""
    return {
        address: contact_id
        for some in portions(list(dict.fromkeys(addresses)))
        for address, contact_id in _known(connection, some)
    }


def _known(connection: Connection, addresses: Sequence[str]) -> Iterator[tuple[str, int]]:
    c = t.contact.c
    # Joined, because SQLite looks through the whole table for `(domain, address) IN (VALUES …)`.
    pairs = values(column("domain", Text), column("address", Text), name="people")
    people = pairs.data([(domain_of(address), address) for address in addresses]).cte("people")
    query = select(c.address, c.id).join(
        people, (c.domain == people.c.domain) & (c.address == people.c.address)
    )
    yield from ((row.address, row.id) for row in connection.execute(query))


def among(connection: Connection, contact_ids: Sequence[int]) -> set[int]:
    """Which of these ids belong to a contact that was not erased."""
    c = t.contact.c
    query = select(c.id).where(c.address.is_not(None))
    return {int(row.id) for row in rows_with(connection, query, c.id, contact_ids)}


_c = t.contact.c
_ADD = insert(t.contact).from_select(
    ["domain", "address", "owner_id", "created_at", "fields"],
    dialects.but_not_twice(
        select(
            bindparam("b_domain", type_=_c.domain.type),
            bindparam("b_address", type_=_c.address.type),
            bindparam("b_owner", type_=_c.owner_id.type),
            bindparam("b_at", type_=_c.created_at.type),
            literal("{}"),
        ).where(true())
    ),
)


def add(connection: Connection, addresses: Sequence[str], owner_id: int, now: datetime) -> None:
    """Insert contacts for these addresses; an existing one stays as it is.

    In the order of the index, so that two processes adding the same people cannot deadlock.
    """
    rows = sorted((domain_of(address), address) for address in addresses)
    if rows:
        made = {"b_owner": owner_id, "b_at": now}
        connection.execute(
            _ADD, [{"b_domain": domain, "b_address": address, **made} for domain, address in rows]
        )


def change(connection: Connection, contact_id: int, **columns: object) -> None:
    connection.execute(update(t.contact).where(t.contact.c.id == contact_id).values(**columns))


def lock(connection: Connection, contact_id: int) -> None:
    """Lock a contact against concurrent changes of its fields."""
    connection.execute(select(t.contact.c.id).where(t.contact.c.id == contact_id).with_for_update())


def campaigns_of(connection: Connection, contact_id: int) -> list[Membership]:
    r = t.recipient.c
    query = (
        select(r.id, t.campaign.c.name, r.state, r.reason)
        .join(t.campaign, t.campaign.c.id == r.campaign_id)
        .where(r.contact_id == contact_id)
        .order_by(r.id)
    )
    return [
        Membership(row.id, row.name, RecipientState(row.state), row.reason)
        for row in connection.execute(query)
    ]
