"""Tags on both databases."""

from sqlalchemy import select, update

from mailrotate.core.store import tables as t
from mailrotate.core.store.people import tags
from tests.support.rows import NOW, Workspace, contact_of


def people(workspace: Workspace, count: int) -> list[int]:
    with workspace.store.writing() as connection:
        return [contact_of(connection, f"p{n}@example.com") for n in range(count)]


def test_a_tag_is_put_on_many_people_once(workspace: Workspace) -> None:
    ids = people(workspace, 3)
    with workspace.store.writing() as connection:
        assert tags.add(connection, ids[:2], "customer") == 2
        assert tags.add(connection, ids, "customer") == 1
        assert tags.add(connection, [], "customer") == 0
        everybody = select(t.contact.c.id).where(t.contact.c.domain == "example.com")
        assert tags.add_where(connection, everybody, "away") == 3
        assert tags.add_where(connection, tags.contacts_with(connection, "away"), "customer") == 0
        assert tags.among(connection, ids, "away") == set(ids)
        assert tags.remove(connection, [*ids, 99], "away") == 3
        assert tags.among(connection, ids, "away") == set()
        found = connection.execute(tags.contacts_with(connection, "customer")).scalars()
        assert sorted(found) == ids


def test_more_people_than_one_statement_takes(workspace: Workspace) -> None:
    ids = people(workspace, 3)
    with workspace.store.writing() as connection:
        assert tags.add(connection, [*range(10_000, 45_000), *ids], "customer") == 3
        assert tags.remove(connection, [*range(10_000, 45_000), *ids], "customer") == 3


def test_an_erased_contact_gets_no_tag(workspace: Workspace) -> None:
    (gone,) = people(workspace, 1)
    with workspace.store.writing() as connection:
        connection.execute(update(t.contact).values(address=None, domain=None, erased_at=NOW))
        assert tags.add(connection, [gone], "customer") == 0
