"""What a newcomer meets first: one test for each thing that was wrong, named after it, and some beside it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from copy import copy
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer
from sqlalchemy import func, insert, select, update

from mailrotate.cli.call import Call
from mailrotate.cli.main import root
from mailrotate.core.store import events, mailboxes, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.events import RUNNER, About
from mailrotate.core.store.sending import inboxes, liveness
from mailrotate.core.values.mail import FolderCursor
from mailrotate.core.values.reasons import heard
from mailrotate.sandbox.server import Sandbox
from tests.support.console import Console
from tests.support.inside import inside
from tests.support.program import Program
from tests.support.rows import NOW, Sender, Workspace

ADA, ANNA, BEN, KIM = "ada@example.org", "anna@example.org", "ben@example.org", "kim@example.com"
MINUTE = timedelta(minutes=1)
# Cron makes the next pass, or a person must.
BETWEEN_RUNS = "no runner works now, the last pass was at 2026-12-01 08:59:00 UTC\nnext: mailrotate run\n"
REFUSED = "connect: smtp.example.org: 192.0.2.7 port 465: Connection refused"
README = Path(__file__).parents[2] / "README.md"


@pytest.fixture
def program(home: Path) -> Console:
    program = Console(home)
    program.run("init", "--email", ADA)
    return program


@pytest.fixture
def workspace(program: Console) -> Iterator[Workspace]:
    with inside(program, ADA) as workspace:
        yield workspace


@pytest.fixture
def anna(workspace: Workspace) -> Sender:
    return workspace.add_mailbox(ANNA)


def change(workspace: Workspace, box: Sender, **values: object) -> None:
    """Columns of a mailbox or of its connection."""
    with workspace.store.writing() as connection:
        own = {name: value for name, value in values.items() if name.startswith(("hold_", "paused_"))}
        rest = {name: value for name, value in values.items() if name not in own}
        if own:
            mailboxes.change(connection, box.id, **own)
        if rest:
            mailboxes.change_connection(connection, box.connection_id, **rest)


# --- `mailbox list` TROUBLE


def trouble(program: Console) -> str:
    (row,) = program.at(NOW).run("mailbox", "list", "--json").json()
    shown = program.at(NOW).run("mailbox", "list").stdout.splitlines()[1]
    assert shown.endswith(heard(row["trouble"] or "-"))
    return str(row["trouble"])


def test_mailbox_list_trouble_is_the_current_one(
    program: Console, workspace: Workspace, anna: Sender
) -> None:
    change(workspace, anna, hold_class="limit", hold_reason="auth: 454 too many logins")
    assert trouble(program) == "auth: 454 too many logins"
    change(workspace, anna, state="failed", last_error="auth: 535 the password was changed")
    assert trouble(program) == "auth: 535 the password was changed"
    line = program.at(NOW).run("status").stdout.splitlines()[0]
    assert (
        line == "not sending: anna@example.org: the mailbox has failed: login: 535 the password was changed"
    )


def test_mailbox_list_trouble_names_a_server_until_a_success(
    program: Console, workspace: Workspace, anna: Sender
) -> None:
    over = {"hold_until": NOW - MINUTE, "trouble_since": NOW - 5 * MINUTE}
    change(workspace, anna, hold_class="net", hold_reason=REFUSED, last_error="imap: older", **over)
    assert trouble(program) == REFUSED


def test_mailbox_list_trouble_names_an_inbox_that_cannot_be_read(
    program: Console, workspace: Workspace, anna: Sender
) -> None:
    with workspace.store.writing() as connection:
        inboxes.note_failure(connection, anna.id, "INBOX", "connect: timed out", NOW - MINUTE, NOW)
    assert trouble(program) == "inbox: connect: timed out"


def test_mailbox_list_shows_no_trouble_that_is_over(
    program: Console, workspace: Workspace, anna: Sender
) -> None:
    change(workspace, anna, hold_class="limit", hold_reason="452 slow down", hold_until=NOW - MINUTE)
    assert trouble(program) == "None"


def test_a_mailbox_whose_server_does_not_answer_a_test_stays_connected(home: Path) -> None:
    program = Console(home)
    with Sandbox() as sandbox:
        server, address = sandbox.info, sandbox.info.senders[0]
        ends = (f"--smtp=127.0.0.1:{server.smtp.port}", f"--imap=127.0.0.1:{server.imap.port}")
        connect = ("mailbox", "connect", address, *ends, "--security", "none", "--password-stdin")
        program.run(*connect, input=server.password)
        assert program.run("mailbox", "test", address).stdout == f"{address} is connected\n"
    refused = program.run("mailbox", "test", address, check_status=5)
    assert refused.stdout == f"{address} stays connected\n"


# --- `why CAMPAIGN`


@pytest.fixture
def autumn(workspace: Workspace, anna: Sender) -> list[Sender]:
    """Two senders with a recipient each; a runner has just been here."""
    boxes = [anna, workspace.add_mailbox(BEN)]
    campaign = workspace.add_campaign("autumn", boxes)
    for box, sender in zip(boxes, workspace.senders(campaign), strict=True):
        address = f"p{sender}@example.com"
        workspace.add_recipient(campaign, address, sender_id=sender, next_at=NOW)
        with workspace.store.writing() as connection:
            inboxes.note_read(connection, box.id, "INBOX", FolderCursor(1, 0), NOW)
    with workspace.store.writing() as connection:
        workspaces.change(connection, last_sending_pass_at=NOW - MINUTE)
    return boxes


def test_why_campaign_shows_closed_gates_and_the_verdict_last(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    for box in autumn:
        change(workspace, box, hold_class="sender", hold_reason="550 no")
    lines = program.at(NOW).run("why", "autumn").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:3]] == [[ANNA, "hold"], [BEN, "hold"]]
    assert lines[3:] == [
        "",
        f"autumn: {ANNA}: on hold: 550 no (and 1 more mailbox)",
        f"next: mailrotate mailbox release {ANNA}",
    ]
    every = program.at(NOW).run("why", "autumn", "--all").stdout.splitlines()
    assert len(every) > 20
    assert every[-2:] == lines[-2:]


def test_why_campaign_names_the_mailbox_that_holds_it_back(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    for box in autumn:
        change(workspace, box, paused_at=NOW - MINUTE)
    lines = program.at(NOW).run("why", "autumn").stdout.splitlines()
    assert lines[1].startswith(f"{ANNA}  mailbox pause  ")
    assert lines[-2:] == [
        f"autumn: {ANNA}: the mailbox is paused since 2026-12-01 08:59:00 UTC (and 1 more mailbox)",
        f"next: mailrotate mailbox resume {ANNA}",
    ]
    assert [row["gate"] for row in program.at(NOW).run("why", ANNA, "--json").json()["gates"]].count("rest")


def test_why_campaign_names_an_inbox_that_keeps_some_of_its_follow_ups_back(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    with workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_step=2))
        inboxes.note_failure(connection, autumn[1].id, "INBOX", "timed out", NOW - 5 * MINUTE, NOW)
    stuck = "the inbox cannot be read since 2026-12-01 08:55:00 UTC: timed out"
    lines = program.at(NOW).run("why", "autumn").stdout.splitlines()
    assert [line.split()[:2] for line in lines[1:2]] == [[BEN, "inbox"]]
    assert lines[-2:] == [
        f"autumn: nothing holds it back: the next pass of a runner sends it; {BEN}: {stuck}"
        "; no runner works now, the last pass was at 2026-12-01 08:59:00 UTC",
        f"next: mailrotate mailbox test {BEN}",
    ]


def test_why_campaign_names_a_failed_mailbox_that_its_recipients_wait_for(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    """A failed mailbox plans nothing, and what it planned is in error."""
    change(workspace, autumn[1], state="failed", last_error="auth: 535 no")
    with workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=NOW + timedelta(days=3)))
    said = program.at(NOW).run("why", "autumn").stdout.splitlines()
    assert said[-2].endswith(f"; {BEN}: the mailbox has failed: login: 535 no")
    with workspace.store.writing() as connection:
        of_ben = select(t.campaign_sender.c.id).where(t.campaign_sender.c.mailbox_id == autumn[1].id)
        own = t.recipient.c.campaign_sender_id.in_(of_ben)
        connection.execute(update(t.recipient).where(own).values(next_at=None))
    said = program.at(NOW).run("why", "autumn").stdout.splitlines()
    assert said[-2].endswith(f"; {BEN}: the mailbox has failed: login: 535 no")


def test_a_campaign_of_which_no_message_waits_names_the_failed_mailbox_that_its_recipients_wait_for(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    for box in autumn:
        change(workspace, box, state="failed", last_error="auth: 535 no")
    with workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=None))
        connection.execute(update(t.message).values(state="error", error_class="connection"))
    show = program.at(NOW).run("campaign", "show", "autumn")
    assert "after an action: anna@example.org: the mailbox has failed: login: 535 no" in show.stdout
    assert program.at(NOW).run("campaign", "list").stdout.rstrip().endswith("after an action")
    with workspace.store.writing() as connection:
        connection.execute(update(t.campaign).values(state="paused"))
        connection.execute(insert(t.campaign_pause).values(campaign_id=1, reason="no_sender", paused_at=NOW))
    show = program.at(NOW).run("campaign", "show", "autumn").stdout
    assert "after an action: the campaign is paused because no sender was able to send" in show


def test_why_campaign_names_no_inbox_that_nothing_due_waits_for(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    with workspace.store.writing() as connection:
        inboxes.note_failure(connection, autumn[1].id, "INBOX", "timed out", NOW - 5 * MINUTE, NOW)
        newest = select(func.max(t.recipient.c.id)).scalar_subquery()
        waits = update(t.recipient).where(t.recipient.c.id == newest)
        connection.execute(waits.values(next_step=2, next_at=NOW + timedelta(days=3)))
    said = program.at(NOW).run("why", "autumn").stdout
    assert said == f"autumn: nothing holds it back: the next pass of a runner sends it; {BETWEEN_RUNS}"


def test_why_campaign_names_a_server_that_keeps_one_of_its_mailboxes_back(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    change(workspace, autumn[1], trouble_since=NOW - 5 * MINUTE, last_error=REFUSED)
    assert program.at(NOW).run("why", "autumn").stdout == (
        "autumn: nothing holds it back: the next pass of a runner sends it; "
        f"{BEN}: smtp.example.org refuses connections since 2026-12-01 08:55:00 UTC; {BETWEEN_RUNS}"
    )


def test_why_says_that_a_hold_follows_network_trouble(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    for box in autumn:
        change(workspace, box, hold_class="net", hold_reason=REFUSED, hold_until=NOW + MINUTE)
    said = program.at(NOW).run("why", "autumn").stdout
    assert f"autumn: {ANNA}: on hold after network trouble: {heard(REFUSED)}\n" in said


def test_why_names_the_import_before_the_start_of_a_draft_without_recipients(
    program: Console, workspace: Workspace, anna: Sender
) -> None:
    draft = workspace.add_campaign("spring", [anna], state="draft", rotates=False)
    last = program.at(NOW).run("why", "spring").stdout.splitlines()[-1]
    assert last == "next: mailrotate recipient import spring FILE"
    workspace.add_recipient(draft, KIM)
    last = program.at(NOW).run("why", "spring").stdout.splitlines()[-1]
    assert last == "next: mailrotate campaign start spring"


# --- `campaign start`: the next step


@pytest.fixture
def draft(workspace: Workspace, anna: Sender) -> StoredCampaign:
    found = workspace.add_campaign("spring", [anna], state="draft", rotates=False)
    workspace.add_recipient(found, KIM)
    return found


def started(program: Console) -> list[str]:
    """What it says: the result on a terminal, then the next step."""
    shown = program.at(NOW, standing_still=True).on_terminal(100, "campaign", "start", "spring")
    return shown + program.said[-1].splitlines()


def test_after_a_start_the_first_pass_is_next(program: Console, draft: StoredCampaign) -> None:
    assert started(program)[-1] == "next: mailrotate run --once"


def test_after_a_start_under_a_runner_its_work_is_looked_at(
    program: Console, workspace: Workspace, draft: StoredCampaign
) -> None:
    runner = liveness.register(workspace.store, "loop", NOW, "here")
    assert started(program)[-1] == "next: mailrotate status"
    runner.end(NOW)


def test_after_a_start_outside_the_window_a_runner_is_next_and_no_single_pass(
    program: Console, workspace: Workspace, draft: StoredCampaign
) -> None:
    window = '{"blocks": [{"days": "mon-fri", "hours": "14:00-17:00"}]}'
    with workspace.store.writing() as connection:
        connection.execute(update(t.campaign_version).values(window=window))
    said = started(program)
    assert "first messages go out from 2026-12-01 14:00:00 UTC" in said
    assert said[-1] == "next: mailrotate run"


def test_after_a_start_with_a_paused_mailbox_its_resume_is_next(
    program: Console, workspace: Workspace, anna: Sender, draft: StoredCampaign
) -> None:
    change(workspace, anna, paused_at=NOW - MINUTE)
    said = started(program)
    assert f"nothing leaves yet: {ANNA}: the mailbox is paused since 2026-12-01 08:59:00 UTC" in said
    assert said[-1] == f"next: mailrotate mailbox resume {ANNA}"


def test_why_says_the_verdict_alone_when_no_gate_is_closed(program: Console, autumn: list[Sender]) -> None:
    said = program.at(NOW).run("why", "autumn").stdout
    assert said == f"autumn: nothing holds it back: the next pass of a runner sends it; {BETWEEN_RUNS}"


def test_why_says_what_a_mailbox_sends_next_when_nothing_holds_it_back(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    said = f"{ANNA}: nothing holds it back: the next pass of a runner sends its next message; "
    assert program.at(NOW).run("why", ANNA).stdout == f"{said}{BETWEEN_RUNS}"
    with workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=NOW + timedelta(hours=3)))
    said = f"{ANNA}: nothing holds the mailbox back, but what it would send waits: due at 2026-12-01 12:00:"
    assert said in program.at(NOW).run("why", ANNA).stdout
    program.at(NOW).run("campaign", "pause", "autumn")
    said = f"{ANNA}: nothing holds the mailbox back, but what it would send waits: "
    verdict = program.at(NOW).run("why", ANNA).stdout.splitlines()[-2:]
    assert verdict == [f"{said}its campaign is paused by hand", "next: mailrotate campaign resume autumn"]
    program.at(NOW).run("campaign", "stop", "autumn", "--yes")
    said = f"{ANNA}: nothing holds the mailbox back, and nothing waits to be sent from it\n"
    assert program.at(NOW).run("why", ANNA).stdout == said


def test_why_names_a_missing_runner(program: Console, workspace: Workspace, autumn: list[Sender]) -> None:
    with workspace.store.writing() as connection:
        workspaces.change(connection, last_sending_pass_at=NOW - 3 * MINUTE)
    for subject in ("autumn", ANNA):
        assert program.at(NOW).run("why", subject).stdout.splitlines() == [
            f"{subject}: its gates are open, but no runner since 2026-12-01 08:57:00 UTC; "
            "run it or install the cron line",
            "next: mailrotate run --once",
        ]


def test_why_names_a_server_that_is_down(
    program: Console, workspace: Workspace, autumn: list[Sender]
) -> None:
    down = {"trouble_since": NOW - 5 * MINUTE, "last_error": REFUSED}
    change(workspace, autumn[0], **down)
    said = program.at(NOW).run("why", ANNA).stdout.splitlines()[0]
    since = "refuses connections since 2026-12-01 08:55:00 UTC"
    assert said == f"{ANNA}: its gates are open, but smtp.example.org {since}"
    assert "nothing holds it back" in program.at(NOW).run("why", "autumn").stdout, "the other one sends"
    change(workspace, autumn[1], **down)
    assert "refuses connections" in program.at(NOW).run("why", "autumn").stdout


def test_connect_looks_for_the_servers_before_it_needs_a_password(program: Console) -> None:
    wrong = (("--provider", "acme", "provider.unknown"), ("--smtp", "a b", "server.invalid"))
    for flag, named, code in wrong:
        refused = program.run("mailbox", "connect", ANNA, flag, named, "--json", check_status=2)
        assert refused.error()["code"] == code


def test_why_names_a_missing_key(program: Console, autumn: list[Sender]) -> None:
    Path(program.env["MAILROTATE_KEY_FILE"]).unlink()
    assert "key" in program.at(NOW).run("why", "autumn", "--json").json()["summary"]
    show = program.at(NOW).run("campaign", "show", "autumn").stdout
    assert re.search(r"next +after an action: .*key", show), show
    assert program.at(NOW).run("campaign", "list").stdout.rstrip().endswith("after an action")


# --- `log`


def test_each_instant_in_a_line_of_the_log_is_in_the_zone_of_its_heading(
    program: Console, workspace: Workspace
) -> None:
    with workspace.store.writing() as connection:
        for name in ("latest_at", "ends_at", "until"):
            events.record(
                connection, RUNNER, "clock.accepted", NOW, About(), **{name: "2026-11-29T14:07:57.98Z"}
            )
    said = program.run("log", "--action", "clock.").stdout
    assert said.count(": 2026-11-29 14:07:57\n") == 3


# --- `run` in the foreground


def test_run_in_the_foreground_says_what_log_says(
    program: Console, workspace: Workspace, anna: Sender
) -> None:
    running = program.process.start("run", "--every", "1s")
    assert running.stderr is not None
    assert running.stdout is not None
    try:
        assert "Ctrl-C ends it" in running.stderr.readline()
        with workspace.store.writing() as connection:
            held = {"error_class": "limit", "reply": "452 slow down", "until": NOW.isoformat()}
            events.record(connection, RUNNER, "mailbox.held", NOW, About(anna.id), **held)
        # A word of the runner's own, about a mailbox without a secret, may come before it.
        line = ""
        while "mailbox.held" not in line:
            line = running.stdout.readline().rstrip()
            assert line, "the runner has ended"
    finally:
        os.kill(running.pid, signal.SIGINT)
        running.communicate()
    assert line in program.run("log").stdout.splitlines()
    assert line.endswith(
        "mailbox.held            anna@example.org  error class: limit reached  reply: 452 slow down"
        "  until: 2026-12-01 09:00:00"
    )


def test_a_pass_whose_tests_fail_says_so(home: Path) -> None:
    program = Console(home, {"MAILROTATE_PASSWORD": "try-me"})
    later = datetime.now(UTC) + timedelta(hours=2)
    with Sandbox(password="try-me") as sandbox:
        servers = (sandbox.info.smtp, sandbox.info.imap)
        for address in ("anna@sandbox.example.org", "ben@sandbox.example.org"):
            smtp, imap = (f"{server.host}:{server.port}" for server in servers)
            program.run("mailbox", "connect", address, "--smtp", smtp, "--imap", imap, "--security", "none")
        well = program.at(later).run("run", "--once", "--only", "test")
        assert well.stdout.startswith("2 mailboxes tested in ")
    failed = program.at(later + timedelta(hours=2)).run("run", "--once", "--only", "test")
    assert failed.stdout.startswith("2 mailboxes tested, 2 tests failed in ")
    for address in ("anna@sandbox.example.org", "ben@sandbox.example.org"):
        assert f"warning: the test of {address} failed: 127.0.0.1 port " in failed.stderr


def test_a_pass_in_which_a_mailbox_fails_names_it_and_the_way_back(home: Path) -> None:
    program = Console(home, {"MAILROTATE_PASSWORD": "try-me"})
    with Sandbox(password="try-me") as sandbox:
        servers = (sandbox.info.smtp, sandbox.info.imap)
        smtp, imap = (f"{server.host}:{server.port}" for server in servers)
        sender = "anna@sandbox.example.org"
        program.run("mailbox", "connect", sender, "--smtp", smtp, "--imap", imap, "--security", "none")
    changed = Sandbox(smtp_port=servers[0].port, imap_port=servers[1].port, password="changed")
    later = datetime.now(UTC) + timedelta(hours=2)
    with changed:
        said = program.at(later).run("run", "--once", "--only", "test").stderr.splitlines()
        again = program.at(later + timedelta(minutes=1)).run("run", "--once", "--only", "test").stderr
    assert said[0].startswith(f"warning: {sender} has failed: ")
    assert said[0].endswith(f"; to sign in again: mailrotate mailbox reconnect {sender}")
    assert "has failed" not in again, "this was told by the pass before"


# --- README's cron lines


def test_readme_s_cron_lines_work_as_printed_after_its_own_sandbox_section(program: Console) -> None:
    text = README.read_text().partition("## Leave it to cron")[2]
    (printing,) = re.findall(r"^\$ (echo .*)$", text, re.MULTILINE)
    # The program as cron finds it: by its whole path.
    found = program.home / "bin" / "mailrotate"
    found.parent.mkdir()
    found.write_text(f'#!/bin/sh\nexec {sys.executable} -m mailrotate "$@"\n')
    found.chmod(0o755)
    env = {**program.env, "PATH": f"{found.parent}:{program.env['PATH']}"}
    line = subprocess.run(["sh", "-c", printing], env=env, capture_output=True, text=True, check=True).stdout
    fields, command = line.split(" MAILROTATE_DB", 1)
    assert fields == "* * * * *"
    # Cron gives a job next to nothing.
    cron = {"HOME": str(program.home), "PATH": "/usr/bin:/bin"}
    ran = subprocess.run(["sh", "-c", f"MAILROTATE_DB{command}"], env=cron, capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
    assert program.run("status", "--json").json()["last_pass_at"] is not None


# --- codes shown to people


def test_codes_become_words_where_people_read_them(
    program: Console, workspace: Workspace, anna: Sender
) -> None:
    campaign = workspace.add_campaign("autumn", [anna], state="paused")
    person = workspace.add_recipient(campaign, KIM, state="replied")
    failed = workspace.add_recipient(campaign, "lee@example.com", state="failed")
    with workspace.store.writing() as connection:
        pause = {"campaign_id": campaign.id, "reason": "by_hand", "paused_at": NOW}
        connection.execute(insert(t.campaign_pause).values(**pause))
        own = update(t.recipient)
        connection.execute(own.where(t.recipient.c.id == person).values(reason="reply"))
        connection.execute(
            own.where(t.recipient.c.id == failed).values(
                reason="mailbox_removed", assigned_reason="single_sender"
            )
        )
        events.record(
            connection, RUNNER, "campaign.paused", NOW, About(campaign_id=campaign.id), reason="by_hand"
        )
    message = workspace.add_message(
        anna, campaign, failed, to="lee@example.com", state="error", error_class="message", error_code=552,
        error_text="too big", in_reply_to="<a@example.org>", cited_ids="<a@example.org>",
    )  # fmt: skip
    said = {
        "recipient list": program.run("recipient", "list", "autumn").stdout,
        "recipient show": program.run("recipient", "show", "autumn", "lee@example.com").stdout,
        "contact show": program.run("contact", "show", "lee@example.com").stdout,
        "campaign show": program.run("campaign", "show", "autumn").stdout,
        "campaign list": program.run("campaign", "list").stdout,
        "why": program.run("why", "autumn", "lee@example.com", "--all").stdout,
        "log": program.run("log").stdout,
        "outbox show": program.run("outbox", "show", f"m_{message}").stdout,
        "outbox list": program.run("outbox", "list").stdout,
    }
    assert "replied  " in said["recipient list"]
    assert "failed: the mailbox was removed" in said["recipient list"]
    assert "failed: the mailbox was removed" in said["recipient show"]
    assert "single sender" in said["recipient show"]
    assert "failed: the mailbox was removed" in said["contact show"]
    assert "paused by hand" in said["campaign show"]
    assert "the recipient has failed: the mailbox was removed" in said["why"]
    assert "reason: by hand" in said["log"]
    assert "message refused" in said["outbox show"]
    assert re.search(r"^references +<a@example.org>$", said["outbox show"], re.MULTILINE)
    assert "too big" in said["outbox list"]
    code = re.compile(r"\((?:[a-z]+_)*[a-z]+\)|by_hand|mailbox_removed|single_sender|\['|daily_limit")
    assert [(name, found[0]) for name, text in said.items() if (found := code.search(text))] == []
    # Scripts keep the codes.
    (_, row) = program.run("recipient", "list", "autumn", "--json").json()
    assert (row["state"], row["reason"]) == ("failed", "mailbox_removed")
    assert program.run("campaign", "show", "autumn", "--json").json()["pause_reasons"] == ["by_hand"]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("by_hand", "suppressed  by hand"),
        ("asked us by phone", "asked us by phone"),
        ("hard_bounce", "hard bounce"),
    ],
)
def test_a_suppression_s_reason_is_words(program: Console, reason: str, words: str) -> None:
    program.run("suppression", "add", KIM, "--reason", reason)
    assert words.removeprefix("suppressed  ") in program.run("suppression", "list").stdout
    assert program.run("suppression", "list", "--json").json()[0]["reason"] == reason


# --- `recipient assign`


def test_recipient_assign_says_how_many_people_go_on(
    program: Console, workspace: Workspace, anna: Sender
) -> None:
    workspace.add_mailbox(BEN)
    campaign = workspace.add_campaign("autumn", [anna])
    (sender,) = workspace.senders(campaign)
    for address, state in ((KIM, "active"), ("lee@example.com", "active"), ("mia@example.com", "replied")):
        workspace.add_recipient(campaign, address, sender_id=sender, state=state, next_at=NOW)
    move = ("recipient", "assign", "autumn", "--from-sender", ANNA, "--to-sender", BEN)
    assert program.run(*move).stdout.splitlines()[0] == f"2 recipients go on from {BEN} in 'autumn'"


# --- completion


def completed(program: Program, shell: str, line: str) -> list[str]:
    """What the shell is offered for the last word of a line."""
    words = line.split(" ")
    asked = {
        "bash": {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)},
        "zsh": {"_TYPER_COMPLETE_ARGS": line},
    }
    program = copy(program)
    program.env = {**program.env, "_MAILROTATE_COMPLETE": f"complete_{shell}", **asked[shell]}
    said = program.run(check_status=None).stdout
    return re.findall(r'^"?([^":\n]+)', said.partition("((")[2] if shell == "zsh" else said, re.MULTILINE)


@pytest.fixture
def offers(program: Console, workspace: Workspace, anna: Sender) -> dict[str, list[str]]:
    """Lines with what Tab must offer for their last word."""
    campaign = workspace.add_campaign("autumn", [anna])
    workspace.add_recipient(campaign, KIM)
    workspace.add_recipient(campaign, "lee@example.com")
    workspace.add_recipient(workspace.add_campaign("winter", [anna]), "max@example.com")
    sent = workspace.add_sent(anna, NOW)
    return {
        "outbox list --state ": ["draft", "scheduled", "sending", "sent", "error", "held", "cancelled"],
        "outbox list --state s": ["scheduled", "sending", "sent"],
        "recipient list autumn --state f": ["failed", "finished"],
        "run --only ": ["send", "sync", "test", "deadlines", "notify"],
        "outbox classify-reply 550 --phase r": ["rcpt"],
        "mailbox connect a@example.org --provider g": ["google"],
        "user add x@example.org --role m": ["manager", "member"],
        "help mailb": ["mailbox"],
        "help mailbox con": ["connect"],
        "help exit": ["exit-status"],
        "recipient show autumn ": [KIM, "lee@example.com"],
        "recipient show c_1 k": [KIM],
        "recipient remove winter ": ["max@example.com"],
        "why autumn k": [KIM],
        "campaign preview autumn --to l": ["lee@example.com"],
        "contact show m": ["max@example.com"],
        "outbox show m": [f"m_{sent}"],
        "why m_": [f"m_{sent}"],
        "log --by ": [ADA],
        "slot add --for a": [ADA],
    }


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_completion_offers_values_command_names_ids_and_addresses(
    program: Console, offers: dict[str, list[str]], shell: str
) -> None:
    assert {line: completed(program, shell, f"mailrotate {line}") for line in offers} == offers
    # A shell starts a process.
    line = "campaign preview autumn --to l"
    assert completed(program.process, shell, f"mailrotate {line}") == offers[line]


def test_completion_offers_no_recipients_of_a_campaign_that_the_user_cannot_see(
    program: Console, offers: dict[str, list[str]]
) -> None:
    program.run("user", "add", BEN)
    assert completed(program, "bash", "mailrotate recipient show autumn ") == offers["recipient show autumn "]
    for line in ("recipient show autumn ", "outbox show "):
        assert completed(program, "bash", f"mailrotate --as {BEN} {line}") == []


# --- help


def commands() -> Iterator[tuple[str, typer.Context]]:
    """Every command with its context, nouns too."""

    def walk(command: object, name: str, parent: object) -> Iterator[tuple[str, typer.Context]]:
        context = typer.Context(command, info_name=name, parent=parent, obj=Call())  # type: ignore[arg-type]  # Typer's own classes
        yield name, context
        for verb in getattr(command, "list_commands", lambda _context: ())(context):
            below = command.get_command(context, verb)  # type: ignore[attr-defined]  # a noun
            yield from walk(below, f"{name} {verb}", context)

    yield from walk(typer.main.get_command(root), "mailrotate", None)


CONTEXTS = dict(commands())
HELPS = {name: context.command.get_help(context) for name, context in CONTEXTS.items()}
_TYPE = r"<(?:str|int|list|path|file|bool|float)\b|range>"


@pytest.mark.parametrize("name", HELPS)
def test_help_has_placeholders_with_a_meaning_and_whole_summaries(name: str) -> None:
    told, context = HELPS[name], CONTEXTS[name]
    assert not re.search(_TYPE, told)
    on_terminal = [param.display_type_rich(ctx=context) for param in context.command.get_params(context)]
    assert not re.search(_TYPE, " ".join(filter(None, on_terminal)))
    assert not re.search(r"\w\.\.\.$", told, re.MULTILINE), "a summary that is cut"


def test_help_shows_the_values_that_there_are(program: Console) -> None:
    assert "tls|starttls|none" in HELPS["mailrotate mailbox connect"]
    assert "--limit N" in HELPS["mailrotate outbox list"]
    assert "--name NAME" in HELPS["mailrotate init"]
    assert "--email EMAIL" in HELPS["mailrotate init"]


def test_help_has_one_flag_for_the_user_whom_something_is_for(program: Console) -> None:
    assert "--for USER" in HELPS["mailrotate slot add"]
    assert "--user" not in HELPS["mailrotate slot add"]
    program.run("slot", "add", "--user", ADA)
    program.run("slot", "add", f"--user={ADA}")
    program.run("slot", "add", "--for", ADA)
    assert program.run("slot", "list", "--json").json()["team"]["total"] == 5
    assert "No such option" in program.run("run", "--user", "4m", check_status=2).stderr
