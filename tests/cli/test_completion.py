"""What Tab offers for the values of arguments: the addresses, campaigns and messages that one may see."""

from pathlib import Path

import pytest

from mailrotate.core.rules import roles
from mailrotate.core.rules.roles import Deed
from mailrotate.core.services.campaigns import campaign_views
from mailrotate.core.services.mailboxes import mailbox_requests, mailbox_views, slot_pool
from mailrotate.core.services.team import user_admin
from mailrotate.core.services.views import completing, outbox_actions
from mailrotate.core.services.views.outbox_actions import Which
from mailrotate.core.store import mailboxes as mailboxes_stored
from mailrotate.core.store import names, shares, webhooks, workspaces
from mailrotate.core.store.engine import Store
from mailrotate.core.store.names import Ask, Names
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.states import Role
from tests.support.console import Console
from tests.support.contexts import context_of
from tests.support.program import Program
from tests.support.rows import NOW, Sender, Workspace


def complete(program: Program, line: str) -> list[str]:
    """What the shell is offered for the last word of `line`; nothing may be said beside it."""
    words = line.split(" ")
    program.env |= {
        "_MAILROTATE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
    }
    ran = program.run()
    assert ran.stderr == ""
    return ran.stdout.strip("\n").splitlines()


def program_of(workspace: Workspace, home: Path) -> Console:
    return Console.on(workspace.store, home)


def by_default(workspace: Workspace, user: StoredUser) -> None:
    with workspace.store.writing() as connection:
        workspaces.change(connection, default_user_id=user.id)


def test_tab_completes_addresses_campaigns_and_messages(workspace: Workspace, tmp_path: Path) -> None:
    program = program_of(workspace, tmp_path)
    by_default(workspace, workspace.admin)
    anna = workspace.add_mailbox("anna@example.org")
    workspace.add_mailbox("ben@example.org")
    autumn = workspace.add_campaign("autumn intro", [anna])
    workspace.add_campaign("winter", [anna])
    failed = workspace.add_message(anna, autumn, state="error", to="kim@example.com")
    held = workspace.add_message(anna, autumn, state="held", to="lee@example.com")
    workspace.add_message(anna, to="max@example.com")
    assert complete(program, "mailrotate mailbox show ") == ["anna@example.org", "ben@example.org"]
    assert complete(program, "mailrotate mailbox test anna@example.org b") == ["ben@example.org"]
    assert complete(program, "mailrotate campaign start aut") == ["autumn intro"]
    assert complete(program, "mailrotate user show ") == ["admin@example.org"]
    assert complete(program, "mailrotate --as a") == ["admin@example.org"]
    assert complete(program, "mailrotate outbox retry m") == [f"m_{held}", f"m_{failed}"]
    assert complete(program, "mailrotate log --campaign w") == ["winter"]
    with workspace.store.writing() as connection:
        webhooks.insert_webhook(connection, "https://example.com/", ["mailbox.failed"], NOW)
    assert complete(program, "mailrotate webhook test ") == ["w_1"]
    assert complete(program, "mailrotate webhook add https://example.com/ --event mailbox.r") == [
        "mailbox.recovered", "mailbox.reconnected", "mailbox.removed",
    ]  # fmt: skip
    assert complete(program, "mailrotate why ") == [
        "anna@example.org", "ben@example.org", "autumn intro", "winter", f"m_{held}", f"m_{failed}",
    ]  # fmt: skip


def offered(workspace: Workspace, email: str | None) -> list[list[str]]:
    """For each kind of name what a user is offered, without a shell; recipients are those of c1."""
    typed = {"beginning": "", "campaign": "c1"}

    def find(kind: Names) -> list[str]:
        if workspace.store.path is None:
            return names.in_store(
                workspace.store, lambda ask: completing.offered(ask, [kind], email, **typed)
            )
        return names.in_file(
            workspace.store.path, lambda ask: completing.offered(ask, [kind], email, **typed)
        )

    return [sorted(find(kind)) for kind in Names]


def test_a6_a10_tab_offers_what_the_lists_show_and_nothing_to_a_locked_user(workspace: Workspace) -> None:
    ben, dan = workspace.add_user("ben@example.org"), workspace.add_user("dan@example.org")
    cleo = workspace.add_user("cleo@example.org", Role.MANAGER)
    boxes = [workspace.add_mailbox(f"{user.name}@example.com".lower(), user) for user in (ben, dan, cleo)]
    share(workspace, boxes[2], ben)
    for number, (owner, sender, team, rotates) in enumerate(
        [
            (ben, boxes[0], False, True),
            (dan, boxes[1], False, True),
            (dan, boxes[0], False, False),
            (dan, boxes[0], False, True),
            (cleo, boxes[2], True, True),
        ],
        1,
    ):
        campaign = workspace.add_campaign(f"c{number}", [sender], rotates=rotates, owner=owner, team=team)
        workspace.add_message(sender, campaign, state="error")
        workspace.add_recipient(campaign, f"p{number}@example.com")
    for user in (ben, dan, cleo, workspace.admin):
        context = context_of(workspace, user)
        mailbox_requests.request(context, f"new-{user.id}@example.com", None, NOW)
    for user in (ben, dan, cleo, workspace.admin):
        context = context_of(workspace, user)
        team_slots = slot_pool.listing(context, NOW)
        wanted: dict[Names, list[str]] = {
            Names.MAILBOXES: [box.address for box in mailbox_views.listing(context, NOW)],
            Names.USERS: [seat.email for seat in user_admin.listing(context)],
            Names.CAMPAIGNS: [view.name for view in campaign_views.listing(context, NOW)],
            Names.SLOTS: [f"s_{slot.id}" for one in team_slots.users for slot in one.slots],
            Names.MESSAGES: [f"m_{row.message.id}" for row in outbox_actions.listing(context, Which(), NOW)],
            Names.LATEST_MESSAGES: [
                f"m_{row.message.id}" for row in outbox_actions.listing(context, Which(), NOW)
            ],
            Names.RECIPIENTS: ["p1@example.com"]
            if "c1" in [view.name for view in campaign_views.listing(context, NOW)]
            else [],
            Names.CONTACTS: [f"p{number}@example.com" for number in range(1, 6)]
            if roles.may(user.role, Deed.PEOPLE)
            else [],
            Names.REQUESTS: [f"q_{request.id}" for request in mailbox_requests.listing(context)],
            Names.WEBHOOKS: [],
            Names.ACTORS: [seat.email for seat in user_admin.listing(context_of(workspace))],
        }
        assert offered(workspace, user.email) == [sorted(wanted[kind]) for kind in Names]
        by_default(workspace, user)
        assert offered(workspace, None) == offered(workspace, user.email.upper())
    user_admin.lock(context_of(workspace), ben.email, NOW)
    nothing = [[] for kind in Names if kind is not Names.ACTORS]
    for email in ("ben@example.org", "nobody@example.org"):
        assert offered(workspace, email)[:-1] == nothing
    assert "ben@example.org" not in offered(workspace, ben.email)[-1]


def share(workspace: Workspace, box: Sender, user: StoredUser) -> None:
    with workspace.store.writing() as connection:
        mailboxes_stored.change_connection(connection, box.connection_id, is_shared=True)
        shares.add(connection, box.connection_id, user.id)


def test_a6_a10_tab_goes_by_whoever_acts(workspace: Workspace, tmp_path: Path) -> None:
    ben = workspace.add_user("ben@example.org")
    workspace.add_mailbox("anna@example.org")
    workspace.add_mailbox("ben@example.com", ben)
    by_default(workspace, workspace.admin)
    program = program_of(workspace, tmp_path)
    everything, own = ["anna@example.org", "ben@example.com"], ["ben@example.com"]
    assert complete(program, "mailrotate --as ben@example.org mailbox show ") == own
    for line in ("mailbox --as ben@example.org show ", "mailbox show --as ben@example.org "):
        assert complete(program, f"mailrotate {line}") == own
    # Before anybody acts, everybody may be named who could.
    assert complete(program, "mailrotate --as ") == ["admin@example.org", "ben@example.org"]
    assert complete(program, "mailrotate mailbox show --as ben") == ["ben@example.org"]
    program.env["MAILROTATE_USER"] = "ben@example.org"
    assert complete(program, "mailrotate mailbox show ") == own
    assert complete(program, "mailrotate --as admin@example.org mailbox show ") == everything
    for nobody in ("no address", "nobody@example.org"):
        program.env["MAILROTATE_USER"] = nobody
        assert complete(program, "mailrotate mailbox show ") == []


def test_tab_says_nothing_of_a_database_without_tables(empty_store: Store) -> None:
    def find(ask: Ask) -> list[str]:
        return completing.offered(ask, [Names.MAILBOXES], None)

    path = empty_store.path
    assert (names.in_store(empty_store, find) if path is None else names.in_file(path, find)) == []


def test_tab_makes_no_database_and_says_nothing_of_one_that_cannot_be_read(tmp_path: Path) -> None:
    program = Console(tmp_path)
    database = tmp_path / "workspace.db"
    assert complete(program, "mailrotate mailbox show ") == []
    assert not database.exists()
    database.write_text("This is no database.\n" * 100)
    assert complete(program, "mailrotate recipient list ") == []
    program.env["MAILROTATE_DB"] = "postgresql://localhost:9/nothing"
    assert complete(program, "mailrotate outbox list --mailbox ") == []


def test_behind_a_command_that_does_not_exist_tab_says_nothing(home: Path) -> None:
    program = Console(home)
    # `roles` is meant; the message of a run would end up in the middle of the command line.
    for line in ("mailrotate user role ", "mailrotate nonsense ", "mailrotate nonsense or "):
        assert complete(program, line) == []


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("line", ["mailrotate mailbox sho", "mailrotate mailbox show an"])
def test_tab_reads_a_file_without_the_slow_imports(workspace: Workspace, tmp_path: Path, line: str) -> None:
    workspace.add_mailbox("anna@example.org")
    by_default(workspace, workspace.admin)
    program = program_of(workspace, tmp_path)
    program.env |= {
        "_MAILROTATE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": "2" if line.endswith("sho") else "3",
        "PYTHONPROFILEIMPORTTIME": "1",
    }
    ran = program.process.run()
    assert ran.stdout.splitlines() == ["show" if line.endswith("sho") else "anna@example.org"]
    assert not {"sqlmodel", "sqlalchemy", "alembic"} & set(ran.stderr.split())
