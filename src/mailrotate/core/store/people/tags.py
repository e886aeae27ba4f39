"""Tags: words that people put on contacts to find them again. An erased contact has none."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, delete, insert, literal, select

from mailrotate.core.store import dialects
from mailrotate.core.store import tables as t
from mailrotate.core.store.portions import portions, rows_with


def add(connection: Connection, contact_ids: Sequence[int], tag: str) -> int:
    """Tag these contacts; returns how many did not have the tag."""
    return sum(
        add_where(connection, select(t.contact.c.id).where(t.contact.c.id.in_(some)), tag)
        for some in portions(contact_ids)
    )


def add_where(connection: Connection, contact_ids: Select[Any], tag: str) -> int:
    """Tag the contacts whose ids a query finds, in one statement; returns how many did not have the tag."""
    people = select(t.contact.c.id, literal(tag)).where(
        t.contact.c.id.in_(contact_ids), t.contact.c.erased_at.is_(None)
    )
    new = insert(t.contact_tag).from_select(["contact_id", "tag"], dialects.but_not_twice(people))
    return connection.execute(new.execution_options(preserve_rowcount=True)).rowcount


def remove(connection: Connection, contact_ids: Sequence[int], tag: str) -> int:
    """Take the tag off these contacts; returns how many had it."""
    c = t.contact_tag.c
    return sum(
        connection.execute(delete(t.contact_tag).where(c.tag == tag, c.contact_id.in_(some))).rowcount
        for some in portions(contact_ids)
    )


def among(connection: Connection, contact_ids: Sequence[int], tag: str) -> set[int]:
    """Those of these contacts that have the tag."""
    c = t.contact_tag.c
    query = select(c.contact_id).where(c.tag == tag)
    return {int(row.contact_id) for row in rows_with(connection, query, c.contact_id, contact_ids)}


def contacts_with(_connection: Connection, tag: str) -> Select[tuple[int]]:
    """A subquery with the ids of contacts that have the tag."""
    return select(t.contact_tag.c.contact_id).where(t.contact_tag.c.tag == tag)
