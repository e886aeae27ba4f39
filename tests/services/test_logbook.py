"""F5: the event log says who did what, before and after; never a secret, and contacts by id only."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

from mailrotate.core.rules.replies import classify
from mailrotate.core.services.context import Context
from mailrotate.core.services.effects import lifecycle
from mailrotate.core.services.mailboxes import plan_changes, slot_pool
from mailrotate.core.services.sending import health
from mailrotate.core.services.team import user_admin
from mailrotate.core.services.views import limit_settings, logbook, workspace_settings
from mailrotate.core.services.views.logbook import Wanted
from mailrotate.core.store import events, mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.engine import Store
from mailrotate.core.store.events import RUNNER, About, LoggedEvent
from mailrotate.core.store.sending import sending_mailboxes
from mailrotate.core.values.errors import NotFound
from mailrotate.core.values.mail import ServerReply
from mailrotate.core.values.states import Phase, Role, SuppressionKind
from mailrotate.sandbox import person
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support.canary import found_in
from tests.support.console import Console
from tests.support.contexts import context_of
from tests.support.rows import NOW, Workspace

PASSWORD = "canary/Xq7+ %9vT&2"
ADMIN, BEN = "admin@example.org", "ben@example.org"
PEOPLE = {
    name: f"{name}@{place}.example.com" for name, place in zip(("kim", "noor", "omar"), "xyz", strict=True)
}
CAMPAIGN = """\
name = "autumn"
window = { days = "mon-sun", hours = "00:00-24:00" }
[[steps]]
subject = "A question"
text = "Hello {{ first_name }}"
[[steps]]
delay = "3d"
text = "Hello again"
"""


@pytest.fixture
def context(workspace: Workspace) -> Context:
    return context_of(workspace)


def lines(
    context: Context, wanted: Wanted | None = None, after: int | None = None, limit: int | None = None
) -> list[LoggedEvent]:
    with logbook.listing(context, wanted or Wanted(), after=after, limit=limit) as found:
        return list(found)


def actions(context: Context, **wanted: object) -> list[str]:
    return [line.action for line in lines(context, Wanted(**wanted))]  # type: ignore[arg-type]  # by name


@pytest.fixture
def team(workspace: Workspace, context: Context) -> Context:
    """Ben was added, got a slot from a manager, who renamed herself; a mailbox of Ben's failed."""
    user_admin.add(context, BEN, "Ben", Role.MEMBER, NOW)
    mia = workspace.add_user("mia@example.org", Role.MANAGER)
    slot_pool.add(context_of(workspace, mia), BEN, 1, NOW + timedelta(hours=1))
    user_admin.change(context_of(workspace, mia), "mia@example.org", "Mia M.", None, NOW + timedelta(hours=1))
    ben = next(user for user in user_admin.listing(context) if user.email == BEN)
    with workspace.store.writing() as connection:
        owner = user_admin.naming.find_user(connection, ben.email)
    box = workspace.add_mailbox("ben@example.com", owner)
    with workspace.store.writing() as connection:
        about = About(mailbox_id=box.id)
        events.record(connection, RUNNER, "mailbox.failed", NOW + timedelta(hours=2), about, reply="535 no")
    return context


def test_f5_every_filter_chooses_and_all_of_them_together(team: Context) -> None:
    everything = actions(team)
    assert everything == ["user.added", "slot.added", "user.named", "mailbox.failed"]
    assert actions(team, by=ADMIN) == ["user.added"]
    assert actions(team, by="mia@example.org") == ["slot.added", "user.named"]
    assert actions(team, user=BEN) == ["user.added", "slot.added", "mailbox.failed"]
    assert actions(team, action="user.") == ["user.added", "user.named"]
    assert actions(team, action="user_") == [], "no sign of a prefix stands for any other"
    assert actions(team, since=NOW + timedelta(hours=1)) == everything[1:]
    assert actions(team, until=NOW + timedelta(hours=1)) == everything[:1]
    assert actions(team, mailbox="ben@example.com") == ["mailbox.failed"]
    together = {"by": "mia@example.org", "user": BEN, "action": "slot", "since": NOW}
    assert actions(team, **together) == ["slot.added"]
    for nobody in (Wanted(by="dan@example.org"), Wanted(user="dan@example.org"), Wanted(mailbox="x@y.org")):
        with pytest.raises(NotFound):
            lines(team, nobody)


def test_f5_pages_go_on_after_a_line_and_the_newest_come_without(team: Context) -> None:
    found = lines(team)
    assert [line.id for line in lines(team, limit=2)] == [line.id for line in found[-2:]]
    assert lines(team, after=found[0].id, limit=2) == found[1:3]
    assert lines(team, after=found[1].id) == found[2:]
    assert lines(team, Wanted(by="mia@example.org"), after=found[1].id) == found[2:3]


def test_f5_a_follower_keeps_to_every_filter(team: Context) -> None:
    wanted = Wanted(by=ADMIN, user=BEN, action="user.l", since=NOW, until=NOW + timedelta(days=2))
    follower, everything = logbook.Follower(team, wanted), logbook.Follower(team)
    user_admin.lock(team, "mia@example.org", NOW)
    user_admin.lock(team, BEN, NOW)
    user_admin.unlock(team, BEN, NOW)
    user_admin.lock(team, BEN, NOW + timedelta(days=3))
    assert [(line.action, line.user) for line in follower.news()] == [("user.locked", BEN)]
    assert [line.action for line in everything.news()] == [
        "user.locked", "user.locked", "user.unlocked", "user.locked",
    ]  # fmt: skip
    assert follower.news() == everything.news() == []


def test_f5_the_log_of_a_removed_mailbox_stays(team: Context) -> None:
    with team.store.writing() as connection:
        box = mailboxes.by_address(connection, "ben@example.com")
        assert box is not None
        mailboxes.change(connection, box.id, removed_at=NOW)
    assert actions(team, mailbox="Ben@example.com") == ["mailbox.failed"]


def test_f5_a_change_tells_before_and_after_with_users_by_address(team: Context) -> None:
    user_admin.change(team, BEN, None, Role.MANAGER, NOW)
    plan_changes.change(team, plan_changes.PlanChange(daily_cap=300), NOW)
    workspace_settings.change(team, ["timezone=Europe/Paris", f"default_user={BEN}", "lateness=3d"], NOW)
    limit_settings.change(team, ["google.day=1500", "google.day=off"], ("google",), NOW)
    told = {
        (line.action, line.data.get("key")): (line.data["before"], line.data["after"])
        for line in lines(team)
        if "after" in line.data
    }
    assert told == {
        ("user.named", None): ("Mia", "Mia M."),
        ("user.role", None): ("member", "manager"),
        ("plan.changed", "daily_cap"): (500, 300),
        ("setting.changed", "timezone"): ("Europe/Berlin", "Europe/Paris"),
        ("setting.changed", "default_user"): (None, BEN),
        ("setting.changed", "lateness"): ("1w", "3d"),
        ("limit.changed", "google.day"): (1500, None),
    }
    role = next(line for line in lines(team) if line.action == "user.role")
    assert (role.user, role.actor) == (BEN, ADMIN)
    assert "user" not in role.data


def test_f5_what_changes_hands_is_about_both_users(team: Context) -> None:
    emails = {user.email: number for number, user in enumerate(user_admin.listing(team), start=1)}
    mia, ben = (emails[email] for email in ("mia@example.org", BEN))
    with team.store.writing() as connection:
        told = {"slot": 4711, "key": "user", "before": ben, "after": None}
        events.record(connection, RUNNER, "slot.unassigned", NOW, About(), **told)
        events.record(
            connection, RUNNER, "slot.assigned", NOW, About(), **{**told, "before": None, "after": mia}
        )
        events.record(connection, RUNNER, "plan.changed", NOW, About(), key="slots", before=ben, after=mia)
    assert actions(team, user=BEN, action="slot.un") == ["slot.unassigned"]
    assert actions(team, user="mia@example.org") == ["user.named", "slot.assigned"]
    assert lines(team, Wanted(action="slot.assigned"))[0].data["after"] == "mia@example.org"
    assert lines(team, Wanted(action="plan."))[0].data["after"] == mia


def test_f5_a_user_who_was_deleted_keeps_a_number(context: Context) -> None:
    with context.store.writing() as connection:
        events.record(connection, RUNNER, "user.removed", NOW, About(), user=4711)
    assert lines(context)[-1].user == "u_4711"


def test_f5_what_others_said_is_logged_without_the_addresses_in_it(
    workspace: Workspace, context: Context
) -> None:
    box = workspace.add_mailbox("anna@example.org")
    text = "5.7.1 <Kim@x.example.com>: sender refused; see https://example.org/?to=kim@x.example.com"
    reply = ServerReply(Phase.MAIL, 550, "5.7.1", text)
    with workspace.store.writing() as connection:
        stored = sending_mailboxes.by_id(connection, box.id)
        health.note_trouble(connection, stored, classify(reply, "imap"), reply, NOW)
        lifecycle.suppress(
            connection, RUNNER, SuppressionKind.ADDRESS, PEOPLE["kim"],
            reason=f"{PEOPLE['kim']} asked by telephone", source="test", now=NOW,
        )  # fmt: skip
    held, suppressed = lines(context)[-2:]
    assert str(held.data["reply"]).startswith("mail: 550 5.7.1 <(address)>: sender refused; see ")
    assert suppressed.data["reason"] == "(address) asked by telephone"
    assert "kim" not in json.dumps([held.data, suppressed.data]).lower()


# --- a whole story, typed


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


def rows_of_events(store: Store) -> list[str]:
    with store.reading() as connection:
        return [
            json.dumps(list(row), default=str, ensure_ascii=False)
            for row in connection.execute(select(t.event))
        ]


def test_f5_i1_after_a_whole_story_the_log_holds_no_contact_and_no_secret(
    console: Console, store: Store, server: SandboxInfo, tmp_path: Path
) -> None:
    (tmp_path / "autumn.toml").write_text(CAMPAIGN)
    (tmp_path / "people.csv").write_text(
        "email,first_name\n" + "".join(f"{address},{name}\n" for name, address in PEOPLE.items())
    )
    anna, ben, _clara = server.senders
    servers = [
        f"--{name}={end.host}:{end.port}" for name, end in (("smtp", server.smtp), ("imap", server.imap))
    ]
    for address in (anna, ben):
        console.run(
            "mailbox", "connect", address, *servers, "--security", "none", "--password-stdin", "--gap", "0s",
            input=PASSWORD,
        )  # fmt: skip
    for typed in (
        f"campaign create {tmp_path}/autumn.toml --from {anna} --from {ben}",
        f"recipient import autumn {tmp_path}/people.csv",
        "recipient add autumn late@w.example.com --field first_name=Late",
        "campaign start autumn",
        "run --once",
    ):
        console.run(*typed.split())
    person.answer(server, PEOPLE["kim"], "Yes, please.")
    person.unsubscribe(server, PEOPLE["noor"])
    with store.writing() as connection:
        # As if the inboxes had been read long ago: they are due again.
        connection.execute(update(t.folder).values(read_at=NOW - timedelta(days=365)))
    for typed in (
        "run --once",
        f"suppression add {PEOPLE['omar']} --yes",
        f"suppression remove {PEOPLE['omar']} --yes",
        "recipient remove autumn late@w.example.com --yes",
        f"mailbox reconnect {ben} --password-stdin",
        "campaign pause autumn",
        f"mailbox disconnect {anna} --yes",
        "campaign stop autumn --yes",
        "user add dan@example.org --role admin",
        "settings set default_user=dan@example.org",
        "secret rekey",
    ):
        console.run(*typed.split(), input=PASSWORD)
    written = rows_of_events(store)
    told = {json.loads(row)[2] for row in written}
    assert {"reply.received", "suppression.removed", "recipient.removed", "mailbox.reconnected"} <= told
    for address in (*PEOPLE.values(), "late@w.example.com"):
        assert [row for row in written if address in row.lower()] == []
    assert [row for row in written if found_in(PASSWORD, row.encode())] == []
    assert [text for text in console.said if found_in(PASSWORD, text.encode())] == []
