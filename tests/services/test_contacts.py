"""Contacts as people see and change them, on both databases."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select

from mailrotate.core.services.contacts import contact_records
from mailrotate.core.services.contacts.contact_records import ContactChange, Wanted
from mailrotate.core.services.context import Context
from mailrotate.core.services.views import logbook
from mailrotate.core.store import dialects
from mailrotate.core.store import tables as t
from mailrotate.core.store.people import contacts as stored
from mailrotate.core.store.people import timeline
from mailrotate.core.store.people.timeline import NewEntry
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.states import Direction, Role, UserState
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace, contact_of
from tests.support.statements import statements

KIM, LEE, PIA = (f"{name}@example.com" for name in ("kim", "lee", "pia"))


@pytest.fixture
def context(workspace: Workspace) -> Context:
    with workspace.store.writing() as connection:
        for address in (KIM, LEE, PIA):
            contact_of(connection, address)
    return context_of(workspace)


def listed(context: Context, **which: Any) -> list[str]:
    with contact_records.listing(context, Wanted(**which)) as found:
        return [contact.email for contact in found]


def logged(workspace: Workspace) -> list[tuple[str, dict[str, Any]]]:
    with workspace.store.reading() as connection:
        rows = connection.execute(select(t.event.c.action, t.event.c.data).order_by(t.event.c.id)).all()
    return [(row.action, json.loads(row.data)) for row in rows]


def test_contacts_are_tagged_and_found_by_tag_owner_and_page(workspace: Workspace, context: Context) -> None:
    ben = workspace.add_user("ben@example.org")
    tagged = contact_records.tag(context, " Good  Customer ", [KIM, LEE, "k_2"], remove=False, now=NOW)
    assert (tagged.tag, tagged.named, tagged.changed) == ("good customer", 2, 2)
    again = contact_records.tag(context, "good customer", [KIM, PIA], remove=False, now=NOW)
    assert (again.named, again.changed) == (2, 1)
    off = contact_records.tag(context, "GOOD CUSTOMER", [LEE, PIA], remove=True, now=NOW)
    assert off.changed == 2
    contact_records.tag(context, "away", [KIM], remove=False, now=NOW)
    contact_records.change(context, LEE, ContactChange("ben@example.org"), 1, NOW)
    assert listed(context) == [KIM, LEE, PIA]
    assert listed(context, tag="Good Customer") == [KIM]
    assert listed(context, owner=ben.email) == [LEE]
    assert listed(context, after=1, limit=1) == [LEE]
    assert contact_records.show(context, "k_1", 1).contact.tags == ("away", "good customer")
    assert logged(workspace)[:3] == [
        ("contacts.tagged", {"tag": "good customer", "contacts": ["k_1", "k_2"]}),
        ("contacts.tagged", {"tag": "good customer", "contacts": ["k_3"]}),
        ("contacts.untagged", {"tag": "good customer", "contacts": ["k_2", "k_3"]}),
    ]


def test_b9_a_timeline_is_shown_page_by_page_also_where_much_happened_at_once(
    workspace: Workspace, context: Context
) -> None:
    box = workspace.add_mailbox("anna@example.org")
    moments = [NOW, NOW, NOW, NOW - timedelta(days=1), NOW + timedelta(days=1)]
    with workspace.store.writing() as connection:
        for contact_id in (1, 2):
            timeline.note(
                connection,
                [
                    NewEntry(contact_id, box.id, at, Direction.INCOMING, f"<{contact_id}-{n}@x>", f"Mail {n}")
                    for n, at in enumerate(moments)
                ],
            )
    everything = contact_records.show(context, KIM, 10).timeline
    assert [entry.subject for entry in everything] == [f"Mail {n}" for n in (4, 2, 1, 0, 3)]
    pages = [contact_records.show(context, KIM, 2).timeline]
    while len(pages[-1]) == 2:
        pages.append(contact_records.show(context, KIM, 2, after=pages[-1][-1].id).timeline)
    assert [entry for page in pages for entry in page] == everything
    of_lee = contact_records.show(context, LEE, 1).timeline[0].id
    with pytest.raises(NotFound) as elsewhere:
        contact_records.show(context, KIM, 1, after=of_lee)
    assert elsewhere.value.code == "timeline.none"


def test_thousands_are_tagged_with_few_statements(workspace: Workspace, context: Context) -> None:
    people = [f"p{n}@example.com" for n in range(1100)]
    with workspace.store.writing() as connection:
        stored.add(connection, people, workspace.admin.id, NOW)
    with statements(workspace.store) as few:
        contact_records.tag(context, "good", [KIM, "k_2"], remove=False, now=NOW)
    with statements(workspace.store) as many:
        tagged = contact_records.tag(context, "good", [*people, KIM, "k_2"], remove=False, now=NOW)
    assert (tagged.named, tagged.changed) == (1102, 1100)
    # Three more for each further portion of 500: who they are, whether they have the tag, the tag itself.
    assert len(many) <= len(few) + 3 * 2
    with statements(workspace.store) as off:
        assert contact_records.tag(context, "good", people, remove=True, now=NOW).changed == 1100
    assert len(off) <= len(many)
    assert listed(context, tag="good") == [KIM, LEE]


def test_one_unknown_person_and_nobody_is_tagged(workspace: Workspace, context: Context) -> None:
    for name in ("eve@example.com", "k_99", "k_" + "9" * 30):
        with pytest.raises((NotFound, BadInput)) as refused:
            contact_records.tag(context, "customer", [KIM, name], remove=False, now=NOW)
        assert refused.value.code in ("contact.none", "address.invalid")
    for tag in (" ", "x" * 61, "a\x1b[2J"):
        with pytest.raises(BadInput) as mistake:
            contact_records.tag(context, tag, [KIM], remove=False, now=NOW)
        assert mistake.value.code == "tag.invalid"
    assert logged(workspace) == []


def test_fields_are_set_over_those_there_are_and_removed_by_nothing(
    workspace: Workspace, context: Context
) -> None:
    contact_records.change(
        context, KIM, ContactChange(fields={"first_name": "Kim", "city": "Zürich"}), 1, NOW
    )
    shown = contact_records.change(
        context, KIM, ContactChange(fields={"city": " ", "company": "A\r\nB\x00"}), 1, NOW
    )
    assert shown.contact.fields == {"first_name": "Kim", "company": "A\nB"}
    contact_records.change(context, KIM, ContactChange(fields={"company": "A\nB"}), 1, NOW)
    with pytest.raises(BadInput) as nothing:
        contact_records.change(context, KIM, ContactChange(), 1, NOW)
    assert nothing.value.code == "contact.nothing"
    assert logged(workspace) == [
        ("contact.set", {"contact": "k_1", "fields": ["city", "first_name"]}),
        ("contact.set", {"contact": "k_1", "fields": ["city", "company"]}),
    ], "whoever is erased leaves no value in the log"


def test_a6_whose_contact_it_is_may_give_it_away_and_managers_anybodys(
    workspace: Workspace, context: Context
) -> None:
    ben, cleo = workspace.add_user("ben@example.org"), workspace.add_user("cleo@example.org")
    dan = workspace.add_user("dan@example.org", Role.MANAGER)

    def give(acting: Any, to: str) -> str | None:
        changed = contact_records.change(context_of(workspace, acting), KIM, ContactChange(to), 1, NOW)
        return changed.contact.owner

    def refused(acting: Any, to: str) -> bool:
        with pytest.raises(Refused) as refusal:
            give(acting, to)
        return refusal.value.code == "user.not_allowed"

    assert refused(ben, cleo.email), "nobody's contact is no gift of a member's"
    assert give(ben, ben.email) == ben.email
    assert refused(cleo, cleo.email)
    assert give(ben, cleo.email) == cleo.email
    assert refused(ben, "")
    assert give(dan, ben.email) == ben.email
    assert give(workspace.admin, "") is None
    ids = [ben.id, cleo.id, ben.id, None]
    assert logged(workspace) == [
        ("contact.set", {"contact": "k_1", "key": "owner", "before": before, "after": after})
        for before, after in zip([None, *ids], ids, strict=False)
    ]
    with logbook.listing(context, logbook.Wanted(), after=None, limit=1) as lines:
        assert [line.data["before"] for line in lines] == [ben.email], "people read addresses"
    theirs = context_of(workspace, cleo)
    assert contact_records.change(theirs, KIM, ContactChange(fields={"city": "Bonn"}), 1, NOW).contact.fields


def test_a10_a_locked_user_sees_nobody(workspace: Workspace, context: Context) -> None:
    from mailrotate.core.store import users

    ben = workspace.add_user("ben@example.org")
    with workspace.store.writing() as connection:
        users.change(connection, ben.id, state=UserState.LOCKED)
    with pytest.raises(Refused) as refused:
        listed(context_of(workspace, ben))
    assert refused.value.code == "user.locked"


def test_h3_people_are_looked_up_by_the_index_of_addresses(workspace: Workspace, context: Context) -> None:
    asked: list[tuple[str, Any]] = []

    def note(_connection: object, _cursor: object, statement: str, parameters: Any, *_: object) -> None:
        asked.append((statement, parameters))

    with workspace.store.reading() as connection:
        event.listen(workspace.store.engine, "before_cursor_execute", note)
        assert stored.known(connection, [KIM, LEE, KIM, "eve@example.com"]) == {KIM: 1, LEE: 2}
        assert stored.find(connection, PIA) is not None
        event.remove(workspace.store.engine, "before_cursor_execute", note)
        # PostgreSQL plans by what the table holds.
        for statement, parameters in asked if dialects.is_sqlite(connection) else ():
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            assert any("uq_contact (domain=? AND canonical=?" in row[3] for row in plan), plan
