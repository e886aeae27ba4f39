"""Rotations by command line: who gets whom, and what is fixed by the start (E1, E2, E3, B6)."""

import re
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from mailrotate.core.services.sending import health
from mailrotate.core.store import mailboxes
from mailrotate.core.store import tables as t
from mailrotate.core.store.workspaces import StoredUser
from mailrotate.core.values.states import ReplyClass
from mailrotate.sandbox.server import Sandbox
from tests.support.console import Console
from tests.support.rows import NOW, Sender, Workspace, make_workspace

UNA, MAX, ZOE = "una@example.net", "max@example.net", "zoe@example.net"
STEPS = """
[[steps]]
subject = "Hello"
text = "Hello {{ name | default('there') }}"

[[steps]]
delay = "2d"
text = "Again"
"""


@pytest.fixture
def workspace(console: Console) -> Workspace:
    return make_workspace(console.store)


@pytest.fixture
def users(workspace: Workspace) -> dict[str, StoredUser]:
    return {email: workspace.add_user(email) for email in (UNA, MAX, ZOE)}


@pytest.fixture
def run(console: Console, workspace: Workspace) -> Console:
    """The admin's commands."""
    console.env["MAILROTATE_USER"] = workspace.admin.email
    return console


def shared(workspace: Workspace, address: str, user: StoredUser) -> Sender:
    """A mailbox of a user that the admin may pick as sender."""
    box = workspace.add_mailbox(address, user)
    with workspace.store.writing() as connection:
        mailboxes.change_connection(connection, box.connection_id, is_shared=True)
        row = insert(t.mailbox_share).values(connection_id=box.connection_id, user_id=workspace.admin.id)
        connection.execute(row)
    return box


def fail(workspace: Workspace, box: Sender) -> None:
    with workspace.store.writing() as connection:
        health.fail(connection, mailboxes.by_id(connection, box.id), ReplyClass.AUTH, "535 no", NOW)


def recover(workspace: Workspace, box: Sender) -> None:
    with workspace.store.writing() as connection:
        health.recover(connection, mailboxes.by_id(connection, box.id), NOW)


def write_file(console: Console, top: str = "") -> Path:
    path = console.home / "intro.toml"
    path.write_text(f'name = "intro"\n{top}\n{STEPS}')
    return path


def create(console: Console, *args: str, top: str = "") -> dict[str, object]:
    found = console.run("campaign", "create", str(write_file(console, top)), *args, "--json").json()
    assert isinstance(found, dict)
    return found


def fill(console: Console, count: int, first: int = 0, *args: str) -> None:
    rows = "email\n" + "".join(f"p{n}@example.com\n" for n in range(first, first + count))
    console.run("recipient", "import", "intro", "-", *args, input=rows)


def people(console: Console) -> dict[str | None, int]:
    rows = console.run("recipient", "list", "intro", "--json").json()
    return dict(Counter(row["sender"] for row in rows))


def sender_of(console: Console, address: str) -> str | None:
    found = console.run("recipient", "show", "intro", address, "--json").json()["sender"]
    assert found is None or isinstance(found, str)
    return found


def because_of(console: Console, address: str) -> tuple[str, str]:
    row = console.run("recipient", "show", "intro", address, "--json").json()
    return row["assigned_reason"], row["assigned_because"]


FROM_TWO = ("--from", "anna@example.org", "--from", "ben@example.org")


@pytest.fixture
def two(workspace: Workspace) -> tuple[Sender, Sender]:
    return workspace.add_mailbox("anna@example.org"), workspace.add_mailbox("ben@example.org")


def test_e1_story_10_while_a_sender_is_failed_new_people_go_to_the_other(
    run: Console, workspace: Workspace, two: tuple[Sender, Sender]
) -> None:
    create(run, *FROM_TWO)
    fill(run, 10)
    run.run("campaign", "start", "intro")
    fail(workspace, two[0])
    fill(run, 3, 10)
    assert people(run) == {"anna@example.org": 5, "ben@example.org": 8}


def test_e1_story_49_ten_over_two_are_five_and_five_and_a_flapping_third_is_never_more_than_one_apart(
    run: Console, workspace: Workspace, two: tuple[Sender, Sender]
) -> None:
    create(run, *FROM_TWO)
    fill(run, 10)
    started = run.run("campaign", "start", "intro", "--json").json()
    assert started["assigned"] == {"anna@example.org": 5, "ben@example.org": 5}
    cleo = workspace.add_mailbox("cleo@example.org")
    with workspace.store.writing() as connection:
        row = {"campaign_id": 1, "mailbox_id": cleo.id, "position": 2, "joined_at": NOW}
        connection.execute(insert(t.campaign_sender).values(row))
    for number in range(8):
        (fail if number % 2 else recover)(workspace, cleo)
        run.run("recipient", "add", "intro", f"q{number}@example.com")
        _, words = because_of(run, f"q{number}@example.com")
        counts = [int(count) for count in re.findall(r"@example.org (\d+)", words)]
        assert len(counts) == (2 if number % 2 else 3)
        assert max(counts) - min(counts) <= 1
    # It came one behind the others, so that the first one was its own.
    assert sender_of(run, "q0@example.com") == "cleo@example.org"


def test_e1_field_45_many_small_imports_and_single_adds_never_make_senders_more_than_one_apart(
    run: Console, two: tuple[Sender, Sender]
) -> None:
    create(run, *FROM_TWO)
    fill(run, 1)
    run.run("campaign", "start", "intro")
    total = 1
    for count in (1, 3, 3, 1, 5, 1):
        if count == 1:
            run.run("recipient", "add", "intro", f"p{total}@example.com")
        else:
            fill(run, count, total)
        total += count
        counts = people(run)
        assert max(counts.values()) - min(counts.get(one, 0) for one in FROM_TWO[1::2]) <= 1
    assert sum(people(run).values()) == total


def test_e1_field_48_a_thousand_imported_into_a_paused_campaign_are_spread_before_anything_leaves(
    run: Console, two: tuple[Sender, Sender]
) -> None:
    create(run, *FROM_TWO)
    fill(run, 1)
    run.run("campaign", "start", "intro")
    run.run("campaign", "pause", "intro")
    fill(run, 1000, 1)
    assert people(run) == {"anna@example.org": 501, "ben@example.org": 500}


def test_e1_recipient_show_tells_why_a_mailbox_was_chosen(run: Console, two: tuple[Sender, Sender]) -> None:
    create(run, *FROM_TWO)
    fill(run, 3)
    run.run("campaign", "start", "intro")
    run.run("recipient", "add", "intro", "kim@example.com")
    assert because_of(run, "kim@example.com") == (
        "equal",
        "fewest assigned: anna@example.org 2, ben@example.org 1",
    )
    shown = run.run("recipient", "show", "intro", "kim@example.com").stdout
    assert "fewest assigned: anna@example.org 2, ben@example.org 1" in shown


def test_e2_story_52_field_43_by_owner_people_go_to_their_owners_mailboxes_and_wait_without_one(
    run: Console, workspace: Workspace, users: dict[str, StoredUser]
) -> None:
    for address in ("una1@example.org", "una2@example.org"):
        shared(workspace, address, users[UNA])
    box = shared(workspace, "max1@example.org", users[MAX])
    senders = ("una1@example.org", "una2@example.org", "max1@example.org")
    create(run, *(word for one in senders for word in ("--from", one)), "--rotate", "owner")
    fill(run, 4, 0, "--owner", UNA)
    fill(run, 1, 4, "--owner", MAX)
    fill(run, 2, 5, "--owner", ZOE)
    started = run.run("campaign", "start", "intro", "--json").json()
    assert started["assigned"] == {"una1@example.org": 2, "una2@example.org": 2, "max1@example.org": 1}
    assert people(run)[None] == 2
    rows = run.run("recipient", "list", "intro", "--json").json()
    assert {row["state"] for row in rows if row["sender"] is None} == {"queued"}
    assert because_of(run, "p0@example.com") == (
        "owner",
        f"fewest assigned of owner {UNA}: una1@example.org 0, una2@example.org 0",
    )
    waits = run.run("why", "intro", "p5@example.com")
    assert f"its owner {ZOE} has no mailbox among the senders" in waits.stdout
    # A new owner moves nobody who has a mailbox, and the command says so.
    told = run.run("contact", "set", "p0@example.com", "--owner", MAX)
    assert "1 open recipient keeps the previous owner's mailbox" in told.stderr
    assert "recipient assign intro --from-sender una1@example.org --to-sender ADDRESS" in told.stderr
    assert sender_of(run, "p0@example.com") == "una1@example.org"
    # A recipient that waits follows the new owner at once.
    told = run.run("contact", "set", "p5@example.com", "--owner", MAX)
    assert "keeps" not in told.stderr
    assert sender_of(run, "p5@example.com") == "max1@example.org"
    run.run("contact", "set", "p6@example.com", "--owner", "")
    assert "the contact has no owner" in run.run("why", "intro", "p6@example.com").stdout
    # With its owner's only mailbox away a new recipient waits, and is assigned when it is back.
    fail(workspace, box)
    fill(run, 1, 7, "--owner", MAX)
    assert sender_of(run, "p7@example.com") is None
    waits = run.run("why", "intro", "p7@example.com")
    assert f"its owner {MAX} has no connected mailbox" in waits.stdout
    recover(workspace, box)
    assert sender_of(run, "p7@example.com") == "max1@example.org"


def test_e2_story_53_in_a_team_campaign_people_go_to_the_mailboxes_of_the_user_who_adds_them(
    run: Console, workspace: Workspace, users: dict[str, StoredUser]
) -> None:
    for address, user in (("una@example.org", UNA), ("max@example.org", MAX)):
        shared(workspace, address, users[user])
    made = create(run, "--from", "una@example.org", "--from", "max@example.org", "--team")
    assert made["rotation"] == "adder"
    for number, user in ((0, UNA), (4, MAX)):
        fill(run, 2, number, "--as", user, "--owner", ZOE)
    run.run("campaign", "start", "intro")
    for number, user in ((2, UNA), (6, MAX)):
        fill(run, 2, number, "--as", user, "--owner", ZOE)
    rows = run.run("recipient", "list", "intro", "--json").json()
    given = {row["email"]: row["sender"] for row in rows}
    assert given == {f"p{n}@example.com": "una@example.org" if n < 4 else "max@example.org" for n in range(8)}


def test_e2_a_team_campaign_takes_people_of_every_active_user_and_another_one_of_its_owner_only(
    run: Console, workspace: Workspace, users: dict[str, StoredUser]
) -> None:
    workspace.add_mailbox("anna@example.org")
    create(run, "--from", "anna@example.org")
    refused = run.run("--as", UNA, "recipient", "add", "intro", "a@example.com", "--json", check_status=4)
    assert refused.error()["code"] == "user.not_allowed"
    run.run("campaign", "edit", "intro", str(write_file(run, "team = true")))
    run.run("--as", UNA, "recipient", "add", "intro", "a@example.com")
    run.run("user", "lock", UNA, "--yes")
    refused = run.run("--as", UNA, "recipient", "add", "intro", "b@example.com", "--json", check_status=4)
    assert refused.error()["code"] == "user.locked"


def test_e2_field_53_people_added_for_a_user_go_to_that_users_mailboxes_and_the_log_keeps_both(
    run: Console, workspace: Workspace, users: dict[str, StoredUser]
) -> None:
    workspace.add_mailbox("ada@example.org")
    shared(workspace, "max@example.org", users[MAX])
    create(run, "--from", "ada@example.org", "--from", "max@example.org", "--rotate", "adder")
    fill(run, 1)
    run.run("campaign", "start", "intro")
    run.run("recipient", "add", "intro", "kim@example.com", "--for", MAX)
    assert because_of(run, "kim@example.com") == (
        "adder",
        f"fewest assigned of adder {MAX}: max@example.org 0",
    )
    run.run("recipient", "add", "intro", "lee@example.com", "--for", ZOE)
    assert sender_of(run, "lee@example.com") is None
    why = run.run("why", "intro", "lee@example.com").stdout
    assert f"its adder {ZOE} has no mailbox among the senders" in why
    logged = run.run("log", "--action", "recipients.imported", "--json").json()
    assert [(entry["actor"], entry["user"]) for entry in logged[-2:]] == [
        (workspace.admin.email, MAX),
        (workspace.admin.email, ZOE),
    ]
    # Only an admin acts for another user.
    refused = run.run(
        *("--as", UNA, "recipient", "add", "intro", "moe@example.com", "--for", MAX, "--json"), check_status=4
    )
    assert refused.error()["code"] == "user.not_allowed"


def test_e2_field_47_three_to_one_is_three_to_one_within_the_first_four(
    run: Console, two: tuple[Sender, Sender]
) -> None:
    made = create(run, *FROM_TWO, "--weight", "anna@example.org=3")
    assert made["rotation"] == "weighted"
    fill(run, 4)
    started = run.run("campaign", "start", "intro", "--json").json()
    assert started["assigned"] == {"anna@example.org": 3, "ben@example.org": 1}
    run.run("recipient", "add", "intro", "kim@example.com")
    assert because_of(run, "kim@example.com") == (
        "weighted",
        "fewest assigned for the weight: anna@example.org 3 ÷ 3, ben@example.org 1 ÷ 1",
    )
    assert run.run("campaign", "copy", "intro", "--json").json()["rotation"] == "weighted"


def test_e2_without_given_weights_the_daily_limits_weigh_and_a_changed_one_acts_from_then_on(
    run: Console, two: tuple[Sender, Sender]
) -> None:
    for address, limit in (("anna@example.org", "20"), ("ben@example.org", "60")):
        run.run("mailbox", "set", address, "--daily-limit", limit)
    create(run, *FROM_TWO, "--rotate", "weighted")
    fill(run, 8)
    started = run.run("campaign", "start", "intro", "--json").json()
    assert started["assigned"] == {"anna@example.org": 2, "ben@example.org": 6}
    run.run("mailbox", "set", "anna@example.org", "--daily-limit", "60")
    fill(run, 8, 8)
    # With its new weight anna goes on near to ben's count: five and six, and then by turns.
    assert people(run) == {"anna@example.org": 7, "ben@example.org": 9}


def test_e2_a_campaign_file_says_how_senders_rotate(run: Console, two: tuple[Sender, Sender]) -> None:
    top = (
        'from = ["anna@example.org", "ben@example.org"]\nrotate = "weighted"\n'
        'weights = { "ben@example.org" = 2 }'
    )
    assert create(run, top=top)["rotation"] == "weighted"
    fill(run, 6)
    started = run.run("campaign", "start", "intro", "--json").json()
    assert started["assigned"] == {"anna@example.org": 2, "ben@example.org": 4}
    heavier = top.replace("= 2", "= 3")
    edited = run.run("campaign", "edit", "intro", str(write_file(run, heavier)), check_status=4)
    assert "'weights' is fixed since the start" in edited.stderr


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (("--weight", "anna@example.org=0"), "a weight is a whole number from 1 to 1000"),
        (("--weight", "anna@example.org=1001"), "a weight is a whole number from 1 to 1000"),
        (("--weight", "anna@example.org=2.5"), "is not ADDRESS=N"),
        (("--weight", "3"), "is not ADDRESS=N"),
        (("--weight", "cleo@example.org=3"), "cleo@example.org has a weight but is not a sender"),
        (("--weight", "anna@example.org=3", "--rotate", "equal"), "weights belong to the weighted rotation"),
    ],
)
def test_e2_field_47_a_wrong_weight_is_refused(
    run: Console, two: tuple[Sender, Sender], args: tuple[str, ...], says: str
) -> None:
    path = str(write_file(run))
    refused = run.run("campaign", "create", path, *FROM_TWO, *args, check_status=2)
    assert says in refused.stderr
    if "=0" in args[1]:
        assert "mailrotate campaign sender remove intro anna@example.org" in refused.stderr


def test_e3_story_54_how_a_started_campaign_rotates_cannot_be_modified(
    run: Console, two: tuple[Sender, Sender]
) -> None:
    create(run, *FROM_TWO)
    fill(run, 2)
    run.run("campaign", "start", "intro", "--rotate", "equal")
    for state in ("active", "paused", "finished"):
        if state == "paused":
            run.run("campaign", "pause", "intro")
        if state == "finished":
            run.run("campaign", "stop", "intro", "--yes")
        for top in ('rotate = "owner"', 'from = "anna@example.org"', 'rotate = "weighted"', "team = true"):
            run.run("campaign", "edit", "intro", str(write_file(run, top)), check_status=4)
        for args in (
            ("--rotate", "owner"),
            ("--weight", "anna@example.org=2"),
            ("--from", "anna@example.org"),
            ("--team",),
        ):
            run.run("campaign", "start", "intro", *args, check_status=4)
        assert run.run("campaign", "show", "intro", "--json").json()["rotation"] == "equal"


def test_e3_story_54_a_started_campaign_with_a_single_sender_gets_no_rotation(
    run: Console, two: tuple[Sender, Sender]
) -> None:
    create(run, "--from", "anna@example.org")
    fill(run, 2)
    run.run("campaign", "start", "intro")
    for top in ('rotate = "equal"', 'from = ["anna@example.org", "ben@example.org"]'):
        run.run("campaign", "edit", "intro", str(write_file(run, top)), check_status=4)
    run.run("campaign", "start", "intro", *FROM_TWO, check_status=4)
    assert run.run("campaign", "show", "intro", "--json").json()["rotation"] is None


@pytest.mark.parametrize("word", ["add", "remove"])
def test_of_a_campaign_with_a_single_sender_it_is_said_how_a_rotation_is_made(
    run: Console, two: tuple[Sender, Sender], word: str
) -> None:
    create(run, "--from", "anna@example.org")
    fill(run, 2)
    change = ("campaign", "sender", word, "intro", "ben@example.org", "--json")
    in_draft = run.run(*change, check_status=4).error()
    assert in_draft["hint"] == "mailrotate campaign start intro --from ADDRESS --from ADDRESS"
    run.run("campaign", "start", "intro")
    error = run.run(*change, check_status=4).error()
    assert error["message"] == "campaign 'intro' does not rotate: it has a single sender"
    assert error["hint"] == "mailrotate campaign copy intro"


def test_e3_rotation_and_strategy_are_free_in_a_draft_with_recipients(
    run: Console, two: tuple[Sender, Sender]
) -> None:
    create(run, "--from", "anna@example.org")
    fill(run, 6)
    for top, rotation in (
        ('from = ["anna@example.org", "ben@example.org"]', "equal"),
        ('rotate = "owner"', "owner"),
        ('rotate = "capacity"', "capacity"),
        ('from = "ben@example.org"', None),
        ('from = ["anna@example.org", "ben@example.org"]\nweights = { "ben@example.org" = 2 }', "weighted"),
    ):
        edited = run.run("campaign", "edit", "intro", str(write_file(run, top)), "--json").json()
        assert edited["rotation"] == rotation
    started = run.run("campaign", "start", "intro", "--weight", "ben@example.org=5", "--json").json()
    assert started["assigned"] == {"anna@example.org": 1, "ben@example.org": 5}


def test_e3_a_start_with_a_disconnected_sender_is_refused_and_with_a_failed_one_allowed(
    run: Console, workspace: Workspace, two: tuple[Sender, Sender]
) -> None:
    create(run, *FROM_TWO)
    fill(run, 4)
    with workspace.store.writing() as connection:
        row = t.connection.c.id == two[1].connection_id
        connection.execute(update(t.connection).where(row).values(state="disconnected"))
    refused = run.run("campaign", "start", "intro", "--json", check_status=4).error()
    assert refused["code"] == "campaign.sender_disconnected"
    assert refused["hint"] == "mailrotate mailbox connect ben@example.org"
    with workspace.store.writing() as connection:
        connection.execute(update(t.connection).where(row).values(state="connected"))
    fail(workspace, two[1])
    assert run.run("campaign", "start", "intro", "--json").json()["assigned"] == {
        "anna@example.org": 4,
        "ben@example.org": 0,
    }


def test_b6_a_personal_mailbox_is_picked_by_its_own_user_only(
    run: Console, workspace: Workspace, users: dict[str, StoredUser]
) -> None:
    workspace.add_mailbox("anna@example.org")
    workspace.add_mailbox("una@example.org", users[UNA])
    path = str(write_file(run))
    picked = ("--from", "anna@example.org", "--from", "una@example.org")
    refused = run.run("campaign", "create", path, *picked, "--team", "--json", check_status=4).error()
    assert refused["code"] == "mailbox.personal"
    run.run("campaign", "create", path, "--from", "anna@example.org", "--team")
    refused = run.run("campaign", "start", "intro", *picked, "--json", check_status=4).error()
    assert refused["code"] == "mailbox.personal"


def test_e2_by_capacity_a_pass_sends_each_first_message_from_the_mailbox_with_most_room(run: Console) -> None:
    anna, ben = "anna@sandbox.example.org", "ben@sandbox.example.org"
    with Sandbox(password="try-me") as sandbox:
        smtp, imap = sandbox.info.smtp, sandbox.info.imap
        run.env["MAILROTATE_PASSWORD"] = "try-me"
        for address, limit in ((anna, "3"), (ben, "10")):
            run.run(
                *("mailbox", "connect", address, "--security", "none", "--gap", "0s", "--daily-limit", limit),
                *("--smtp", f"{smtp.host}:{smtp.port}", "--imap", f"{imap.host}:{imap.port}"),
            )
        window = 'window = { days = "mon-sun", hours = "00:00-24:00" }'
        made = create(run, "--from", anna, "--from", ben, "--rotate", "capacity", top=window)
        assert made["rotation"] == "capacity"
        fill(run, 10)
        started = run.run("campaign", "start", "intro")
        assert "each recipient gets the sender with most room" in started.stdout
        waits = run.run("why", "intro", "p0@example.com").stdout
        assert "once it is due, it goes to the sender with most room today" in waits
        assert "10 recipients wait for a sender" in run.run("campaign", "show", "intro").stdout
        assert run.run("run", "--once", "--json").json()["sent"] == 10
        assert people(run) == {anna: 2, ben: 8}
        assert because_of(run, "p9@example.com") == ("capacity", f"most room today: {anna} 3, {ben} 10")
        # Anna has room for one more today, and ben for two; the fourth waits.
        fill(run, 4, 10)
        assert run.run("run", "--once", "--json").json()["sent"] == 3
        assert people(run) == {anna: 3, ben: 10, None: 1}
