"""Contacts: the people of the workspace, by address or id. No query finds an erased one."""

import json
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import (
    Connection,
    Row,
    Select,
    bindparam,
    func,
    insert,
    literal,
    select,
    true,
    update,
)

from mailrotate.core.store import dialects, listed, visibility
from mailrotate.core.store import tables as t
from mailrotate.core.store.index_steps import each_value
from mailrotate.core.store.people import tags
from mailrotate.core.store.portions import portions, rows_with
from mailrotate.core.values.address import canonical_address, domain_of
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
    """The contact with a normalised address, in whatever spelling; of two, the one that is written."""
    c, canonical = t.contact.c, canonical_address(address)
    query = _query().where(c.domain == domain_of(canonical), c.canonical == canonical)
    row = connection.execute(query.order_by((c.address == address).desc(), c.id).limit(1)).one_or_none()
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
    """Return the contact ids of those normalised addresses that have a contact, in whatever spelling."""
    wanted = {address: canonical_address(address) for address in addresses}
    found: dict[str, int] = {}
    spelled: dict[str, int] = {}
    c = t.contact.c
    query = select(c.canonical, c.id, c.address)
    for row in with_canonical(connection, query, list(set(wanted.values()))):
        found[row.canonical] = min(row.id, found.get(row.canonical, row.id))
        spelled[row.address] = row.id
    return {
        address: spelled.get(address, found[canonical])
        for address, canonical in wanted.items()
        if canonical in found
    }


def have_fields(connection: Connection) -> bool:
    """Whether any contact has fields of its own."""
    query = select(t.contact.c.id).where(t.contact.c.fields != "{}").limit(1)
    return connection.execute(query).first() is not None


def fields_of(connection: Connection, canonical: Sequence[str]) -> dict[str, Mapping[str, str]]:
    """Return the fields of the contacts with these canonical addresses, as far as they have any."""
    c = t.contact.c
    rows = with_canonical(connection, select(c.canonical, c.id, c.fields), canonical)
    return {row.canonical: json.loads(row.fields) for row in rows if row.fields != "{}"}


def with_canonical(
    connection: Connection, query: Select[Any], canonical: Sequence[str]
) -> Iterator[Row[Any]]:
    """Run a query of contacts for those with one of many canonical addresses."""
    c = t.contact.c
    for some in portions(canonical):
        wanted = listed.texts(connection, some).c.value
        same = (c.domain == dialects.domain_of(connection, wanted)) & (c.canonical == wanted)
        yield from connection.execute(query.where(same))


def domains(connection: Connection) -> Iterator[str]:
    """Each domain that contacts have, once."""
    return each_value(connection, t.contact.c.domain)


def among(connection: Connection, contact_ids: Sequence[int]) -> set[int]:
    """Which of these ids belong to a contact that was not erased."""
    c = t.contact.c
    query = select(c.id).where(c.address.is_not(None))
    return {int(row.id) for row in rows_with(connection, query, c.id, contact_ids)}


_c = t.contact.c
_ADD = insert(t.contact).from_select(
    ["domain", "canonical", "address", "owner_id", "created_at", "fields"],
    dialects.but_not_twice(
        select(
            bindparam("b_domain", type_=_c.domain.type),
            bindparam("b_canonical", type_=_c.canonical.type),
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
    forms = {canonical_address(address): address for address in reversed(addresses)}
    rows = sorted((domain_of(canonical), canonical, address) for canonical, address in forms.items())
    if rows:
        made = {"b_owner": owner_id, "b_at": now}
        names = ("b_domain", "b_canonical", "b_address")
        connection.execute(_ADD, [dict(zip(names, row, strict=True), **made) for row in rows])


def change(connection: Connection, contact_id: int, **columns: object) -> None:
    connection.execute(update(t.contact).where(t.contact.c.id == contact_id).values(**columns))


def lock(connection: Connection, contact_id: int) -> None:
    """Lock a contact against concurrent changes of its fields."""
    connection.execute(select(t.contact.c.id).where(t.contact.c.id == contact_id).with_for_update())


def campaigns_of(connection: Connection, contact_id: int, seen_by: int | None = None) -> list[Membership]:
    """The campaigns that a contact is in; with `seen_by` a member, those that they may see."""
    r = t.recipient.c
    query = (
        select(r.id, t.campaign.c.name, r.state, r.reason)
        .join(t.campaign, t.campaign.c.id == r.campaign_id)
        .where(r.contact_id == contact_id)
        .order_by(r.id)
    )
    if seen_by is not None:
        query = query.where(t.campaign.c.id.in_(visibility.campaigns_of(seen_by)))
    return [
        Membership(row.id, row.name, RecipientState(row.state), row.reason)
        for row in connection.execute(query)
    ]
