"""The wall that PostgreSQL's roles make (SECURITY.md), with the statements as they are printed there."""

import io
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, select, text, update

from mailrotate.adapters.csv_rows import open_rows
from mailrotate.adapters.problem_spool import ProblemSpool
from mailrotate.core.services.campaigns import enrolment
from mailrotate.core.services.contacts import suppressing
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import door
from mailrotate.core.services.mailboxes import mailbox_views, plan_changes, slot_pool
from mailrotate.core.services.mailboxes.plan_changes import PlanChange
from mailrotate.core.services.team import user_admin
from mailrotate.core.services.views import workspace_settings
from mailrotate.core.store import deadlines, events, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store, open_store
from mailrotate.core.values.errors import StoreTrouble
from mailrotate.core.values.states import Role
from tests.support.console import Console
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace, make_workspace

ROOT = Path(__file__).parents[2]
ROLES = ("mailrotate_admin", "mailrotate_operator", "mailrotate_reader")
BEN = "ben@example.org"
HOUR = timedelta(hours=1)


@pytest.fixture
def stores(postgresql_store: Store) -> Iterator[dict[str, Store]]:
    """The workspace as a login of each role sees it."""
    once, again = re.findall(
        r"```sql\n(.*?)```", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.DOTALL
    )
    with postgresql_store.engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
        # The rights are given again after each upgrade.
        for printed in (once, again, again):
            connection.exec_driver_sql(printed)
    with postgresql_store.writing() as connection:
        for role in ROLES:
            connection.execute(text(f"CREATE ROLE a_{role} LOGIN IN ROLE {role}"))
    owner = postgresql_store.engine.url
    made = {role: open_store(as_login(owner.render_as_string(hide_password=False), role)) for role in ROLES}
    try:
        yield made
    finally:
        for store in made.values():
            store.close()
        with postgresql_store.writing() as connection:
            names = ", ".join([*ROLES, *(f"a_{role}" for role in ROLES)])
            connection.execute(text(f"DROP OWNED BY {names}"))
            connection.execute(text(f"DROP ROLE {names}"))


def as_login(url: str, role: str) -> str:
    return re.sub(r"//[^:@/]*", f"//a_{role}", url.replace("+psycopg", ""), count=1)


@pytest.fixture
def workspace(postgresql_store: Store) -> Workspace:
    return make_workspace(postgresql_store)


def as_role(workspace: Workspace, store: Store) -> Context:
    return replace(context_of(workspace), store=store)


def is_refused(deed: Callable[[], object]) -> bool:
    with pytest.raises(StoreTrouble) as refused:
        deed()
    return refused.value.code == "store.no_right"


def test_a6_the_database_lets_an_operator_change_neither_team_nor_plan(
    workspace: Workspace, stores: dict[str, Store]
) -> None:
    operator = as_role(workspace, stores["mailrotate_operator"])
    assert is_refused(lambda: user_admin.add(operator, BEN, None, Role.ADMIN, NOW))
    assert is_refused(lambda: plan_changes.change(operator, PlanChange(slots_per_user=9), NOW))
    assert is_refused(lambda: slot_pool.add(operator, workspace.admin.email, 1, NOW))
    assert is_refused(lambda: workspace_settings.change(operator, ["lateness=3d"], NOW))
    admin = as_role(workspace, stores["mailrotate_admin"])
    assert user_admin.add(admin, BEN, None, Role.MEMBER, NOW).total == 2
    assert slot_pool.add(admin, BEN, 1, NOW).total == 3


def test_an_operator_works_on_mailboxes_and_whoever_writes_rewrites_no_log(
    workspace: Workspace, stores: dict[str, Store]
) -> None:
    workspace.add_mailbox("anna@example.org")
    operator = as_role(workspace, stores["mailrotate_operator"])
    assert mailbox_views.pause(operator, "anna@example.org", NOW)
    with operator.store.writing() as connection:
        workspaces.lock(connection)
    for store in (stores["mailrotate_operator"], stores["mailrotate_admin"]):
        with store.reading() as connection:
            assert [event.action for event in events.listing(connection)] == ["mailbox.paused"]
        for statement in (update(t.event).values(action="x"), t.event.delete(), t.stopped.delete()):
            assert is_refused(lambda store=store, statement=statement: write(store, statement))  # type: ignore[misc]  # bound now


def write(store: Store, statement: object) -> None:
    with store.writing() as connection:
        connection.execute(statement)  # type: ignore[call-overload]  # any statement


def test_a_reader_writes_nothing_and_reads_no_secret(workspace: Workspace, stores: dict[str, Store]) -> None:
    workspace.add_mailbox("anna@example.org")
    reader = stores["mailrotate_reader"]
    with reader.reading() as connection:
        assert connection.execute(select(t.connection.c.state)).scalars().all() == ["connected"]
        assert connection.execute(select(t.mailbox.c.address)).scalars().all() == ["anna@example.org"]

    def read_secret() -> None:
        with reader.reading() as connection:
            connection.execute(select(t.connection.c.secret)).all()

    assert is_refused(read_secret)
    assert is_refused(lambda: write(reader, insert(t.setting).values(key="x", value="y")))


def test_the_operators_role_is_enough_for_a_pass_and_for_status(
    workspace: Workspace, stores: dict[str, Store], postgresql_store: Store, tmp_path: Path
) -> None:
    url = postgresql_store.engine.url.render_as_string(hide_password=False)
    program = Console(tmp_path, {"MAILROTATE_DB": as_login(url, "mailrotate_operator")})
    workspace.add_mailbox("anna@example.org", state="disconnected")
    assert program.run("run", "--once", "--json").json()["sent"] == 0
    assert "anna@example.org" in program.run("status").stdout
    refused = program.run("--as", workspace.admin.email, "user", "add", BEN, "--json", check_status=1).error()
    assert refused["code"] == "store.no_right"


def test_c11_a_reader_whom_the_database_lets_only_read_is_told_that_a_passed_deadline_is_not_shown(
    workspace: Workspace, stores: dict[str, Store]
) -> None:
    box = workspace.add_mailbox("anna@example.org", state="disconnected")
    campaign = workspace.add_campaign("intro", [box])
    with workspace.store.writing() as connection:
        row = insert(t.deadline).values(
            mailbox_id=box.id, campaign_id=campaign.id, kind="disconnect", started_at=NOW - HOUR, ends_at=NOW
        )
        connection.execute(row)
    said: list[str] = []
    reader = replace(as_role(workspace, stores["mailrotate_reader"]), remark=said.append)
    with door.looking(reader, NOW - HOUR) as connection:
        assert deadlines.is_any(connection)
    assert said == [], "nothing has passed"
    with door.looking(reader, NOW) as connection:
        assert deadlines.is_any(connection), "as it is stored"
    (sentence,) = said
    assert "may only read" in sentence
    operator = replace(as_role(workspace, stores["mailrotate_operator"]), remark=said.append)
    with door.looking(operator, NOW) as connection:
        assert not deadlines.is_any(connection), "as it will be"
    assert said == [sentence]


def test_an_operator_imports_people_and_suppresses_but_takes_no_suppression_away(
    workspace: Workspace, stores: dict[str, Store]
) -> None:
    operator = as_role(workspace, stores["mailrotate_operator"])
    workspace.add_campaign("autumn", [workspace.add_mailbox("anna@example.org")], state="draft")
    people = io.BytesIO(b"email,name\nkim@example.com,Kim\nlee@example.com,Lee\n")
    with ProblemSpool() as aside, open_rows(people) as rows:
        how, progress = enrolment.HowToImport(), lambda _count: None
        importing = enrolment.importing_file(operator, "autumn", rows, how, aside, progress=progress, now=NOW)
        with importing as imported:
            assert imported.imported == 2
    assert suppressing.add(operator, "kim@example.com", "asked", NOW).is_new
    assert is_refused(lambda: suppressing.remove(operator, "kim@example.com", NOW))
    assert suppressing.remove(as_role(workspace, stores["mailrotate_admin"]), "kim@example.com", NOW)
