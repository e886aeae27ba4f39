"""The first line of `status`, in every state of the world: is it sending, and if not why (F5)."""

import os
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import takewhile
from pathlib import Path

import pytest
from sqlalchemy import delete, func, insert, select, update

from mailrotate.core.store import campaigns, mailboxes, workspaces
from mailrotate.core.store import tables as t
from mailrotate.core.store.campaigns import StoredCampaign
from mailrotate.core.store.sending import inboxes, lanes, liveness, send_mark
from mailrotate.core.values.mail import FolderCursor
from tests.support.console import Console
from tests.support.inside import inside
from tests.support.rows import NOW, Sender, Workspace

ADA, ANNA, BEN = "ada@example.org", "anna@example.org", "ben@example.org"
SECOND, MINUTE, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(days=1)
REFUSED = "connect: smtp.example.org: 192.0.2.7 port 465: Connection refused"


class World:
    """A workspace with two mailboxes and a campaign, of which a test makes a state of the world."""

    def __init__(self, program: Console, workspace: Workspace) -> None:
        self.program = program
        self.workspace = workspace
        self.boxes: list[Sender] = []
        self.campaign: StoredCampaign

    def line(self, at: datetime = NOW) -> str:
        """The headline, with what is told in lines of its own below the first."""
        said = self.program.at(at, standing_still=True).run("status").stdout.splitlines()
        return "; ".join(takewhile(lambda line: not line.startswith("runner: "), said))

    def said(self) -> dict[str, object]:
        document = self.program.at(NOW, standing_still=True).run("status", "--json").json()
        found: dict[str, object] = document["headline"]
        assert list(found) == ["code", "text", "sending"]
        assert found["text"] == self.line()
        assert (document["summary"], document["sending"]) == (found["text"], found["sending"])
        return found

    def code(self) -> tuple[object, object]:
        said = self.said()
        return said["code"], said["sending"]

    def is_set_up(self, *, people: int = 2, state: str = "active", rotates: bool = True) -> None:
        self.boxes = [self.workspace.add_mailbox(address) for address in (ANNA, BEN)]
        self.campaign = self.workspace.add_campaign("autumn", self.boxes, state=state, rotates=rotates)
        senders = self.workspace.senders(self.campaign)
        for n in range(people):
            self.workspace.add_recipient(
                self.campaign, f"p{n}@example.com", sender_id=senders[n % len(senders)], next_at=NOW
            )
        for box in self.boxes:
            with self.workspace.store.writing() as connection:
                inboxes.note_read(connection, box.id, "INBOX", FolderCursor(1, 0), NOW)

    def passed(self, before: timedelta = timedelta()) -> None:
        with self.workspace.store.writing() as connection:
            workspaces.change(connection, last_pass_at=NOW - before, last_sending_pass_at=NOW - before)

    def rests(self, until: datetime) -> None:
        with self.workspace.store.writing() as connection:
            for box in self.boxes:
                lanes.rest(connection, box.id, until)

    def change(self, box: Sender, **values: object) -> None:
        """Columns of a mailbox or of its connection."""
        with self.workspace.store.writing() as connection:
            own = {name: value for name, value in values.items() if name in t.mailbox.c and name != "state"}
            rest = {name: value for name, value in values.items() if name not in own}
            if own:
                mailboxes.change(connection, box.id, **own)
            if rest:
                mailboxes.change_connection(connection, box.connection_id, **rest)

    def change_campaign(self, *reasons: str, **values: object) -> None:
        with self.workspace.store.writing() as connection:
            own = t.campaign.c.id == self.campaign.id
            if values:
                connection.execute(update(t.campaign).where(own).values(**values))
            for reason in reasons:
                pause = {"campaign_id": self.campaign.id, "reason": reason, "paused_at": NOW}
                connection.execute(insert(t.campaign_pause).values(**pause))

    def sent(self, count: int) -> None:
        for n in range(count):
            self.workspace.add_sent(self.boxes[n % len(self.boxes)], NOW - MINUTE)

    def goes_down(self, *boxes: Sender, host: str = "smtp.example.org", said: str = REFUSED) -> None:
        for box in boxes:
            self.change(box, trouble_since=NOW - 12 * MINUTE, last_error=said, smtp_host=host)


@pytest.fixture
def world(home: Path) -> Iterator[World]:
    program = Console(home)
    program.run("init", "--email", ADA)
    with inside(program, ADA) as workspace:
        yield World(program, workspace)


@pytest.fixture
def running(world: World) -> Iterator[World]:
    """With a runner that works now."""
    world.is_set_up()
    world.passed()
    runner = liveness.register(world.workspace.store, "loop", NOW, "here")
    yield world
    runner.end(NOW)


# --- it is sending, or has nothing to do


def test_in_a_healthy_loop_the_headline_counts_today_and_counts_down(running: World) -> None:
    running.sent(21)
    running.rests(NOW + 4 * SECOND)
    assert running.line() == "sending: 21 today, next in 5 s"
    assert running.code() == ("sending", True)


def test_a_message_that_is_due_goes_now(running: World) -> None:
    assert running.line() == "sending: 0 today, more with the next pass"


def test_the_headline_counts_the_replies_of_today(running: World) -> None:
    for number, ended_at in enumerate((NOW - MINUTE, NOW - MINUTE, NOW - DAY)):
        person = running.workspace.add_recipient(running.campaign, f"r{number}@example.com", state="replied")
        with running.workspace.store.writing() as connection:
            own = update(t.recipient).where(t.recipient.c.id == person)
            connection.execute(own.values(ended_at=ended_at))
    assert running.line() == "sending: 0 today, 2 replies, more with the next pass"


def test_the_headline_counts_no_notice_to_a_user_as_sent(running: World) -> None:
    running.sent(3)
    notice = update(t.message).where(t.message.c.id == select(func.max(t.message.c.id)).scalar_subquery())
    with running.workspace.store.writing() as connection:
        connection.execute(notice.values(kind="notice"))
    assert running.line() == "sending: 2 today, more with the next pass"
    document = running.program.at(NOW).run("status", "--json").json()
    assert document["sent_today"] == 3, "the limits count it"


def test_between_two_passes_of_cron_the_next_run_sends_more(world: World) -> None:
    world.is_set_up()
    world.passed(MINUTE)
    assert world.line() == "between runs: 0 today, more with the next run; the last was at 08:59"
    assert world.code() == ("sending", True)
    world.rests(NOW + 5 * MINUTE)
    assert world.line() == "between runs: 0 today, more with a run from 09:06; the last was at 08:59"
    world.rests(NOW - SECOND)
    at_now = world.program.at(NOW, standing_still=True)
    assert at_now.run("status").stdout.endswith("next: mailrotate run\n"), "a newcomer has no cron"
    works = "no runner works now, the last pass was at 2026-12-01 08:59:00 UTC\nnext: mailrotate run\n"
    for subject in ("autumn", ANNA):
        assert at_now.run("why", subject).stdout.endswith(f"; {works}")


def test_a_long_gap_is_a_running_series(running: World) -> None:
    running.rests(NOW + 40 * MINUTE)
    assert running.line() == "sending: 0 today, next in 40 min"


def test_outside_the_window_it_waits_for_the_window(running: World) -> None:
    window = '{"blocks": [{"days": "mon-fri", "hours": "14:00-17:00"}]}'
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.campaign_version).values(window=window))
    assert running.line() == "waiting: outside the delivery window; next at 14:00; 0 today"
    assert running.code() == ("waiting", True)


def test_at_the_daily_limit_it_waits_for_tomorrow(running: World) -> None:
    running.sent(2)
    for box in running.boxes:
        running.change(box, daily_limit=1)
    assert running.line() == "waiting: the daily limit is reached; next at 2026-12-02 00:00; 2 today"


def test_a_row_names_the_gate_that_is_closed_and_not_the_one_that_will_open_last(running: World) -> None:
    """The day's limit ends at midnight, and the window opens after it."""
    window = '{"blocks": [{"days": "mon-fri", "hours": "08:00-17:00"}]}'
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.campaign_version).values(window=window))
    running.sent(2)
    for box in running.boxes:
        running.change(box, daily_limit=1)
    assert running.line() == "waiting: the daily limit is reached; next at 2026-12-02 08:00; 2 today"
    said = running.program.at(NOW).run("status").stdout
    whys = [each.split("  ")[-1].strip() for each in said.splitlines() if each.startswith((ANNA, BEN))]
    assert whys == ["1 of 1 sent today", "1 of 1 sent today"]


def test_at_the_provider_s_quota_it_waits_for_room(running: World) -> None:
    running.program.run("limits", "set", "imap.hour=1")
    running.sent(2)
    line = running.line()
    assert line.startswith("waiting: the provider's limit is used up: ")
    assert line.endswith("; next at 10:00; 2 today")


def test_a_follow_up_that_is_due_later_is_no_work_now(running: World) -> None:
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=NOW + 3 * DAY))
    line = "up to date: everything due has been sent; next at 2026-12-04 09:01; 0 today"
    assert running.line() == line, "an instant ahead is rounded up"
    said = running.program.at(NOW).run("status").stdout
    assert [each.split("  ")[-1].strip() for each in said.splitlines() if each.startswith((ANNA, BEN))] == [
        "not due yet",
        "not due yet",
    ], "the instant is in the column before"
    assert running.code() == ("nothing_due", True)


def test_it_is_not_up_to_date_while_a_mailbox_with_recipients_has_failed(running: World) -> None:
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=NOW + 3 * DAY))
    running.change(running.boxes[0], state="failed", last_error="auth: 535 no")
    assert running.line() == (
        "everything else due has been sent; next at 2026-12-04 09:01; 0 today; "
        "anna@example.org: the mailbox has failed: login: 535 no"
    )


def test_with_nothing_due_it_is_up_to_date(world: World) -> None:
    world.is_set_up(people=0)
    assert world.line() == "up to date: everything due has been sent; 0 today"
    assert world.code() == ("nothing_due", False)


def test_stopped_campaigns_leave_nothing_to_do(world: World) -> None:
    world.is_set_up()
    world.sent(1)
    world.program.run("campaign", "stop", "autumn", "--yes")
    assert world.line() == "not sending: every campaign was stopped; 1 today"
    assert world.code() == ("nothing_due", False)


def test_a_campaign_that_was_stopped_is_not_shown_as_completed(world: World) -> None:
    world.is_set_up()
    world.program.run("campaign", "stop", "autumn", "--yes")
    at_now = world.program.at(NOW)
    for command in (("status",), ("campaign", "list"), ("campaign", "show", "autumn")):
        assert "finished: stopped" in at_now.run(*command).stdout
    assert at_now.run("campaign", "show", "autumn", "--json").json()["state"] == "finished"
    assert at_now.run("why", "autumn").stdout.splitlines()[-1] == "autumn: the campaign was stopped"


def test_why_of_a_recipient_that_has_ended_names_nothing_that_would_open(world: World) -> None:
    world.is_set_up()
    window = '{"blocks": [{"days": "mon-fri", "hours": "14:00-17:00"}]}'
    with world.workspace.store.writing() as connection:
        connection.execute(update(t.campaign_version).values(window=window))
    world.program.run("campaign", "stop", "autumn", "--yes")
    said = world.program.at(NOW).run("why", "autumn", "p0@example.com").stdout.splitlines()
    assert [line.split("  ")[0] for line in said[1:-2]] == ["recipient"]
    assert said[-1].endswith("the recipient has finished: the campaign was stopped")
    every = world.program.at(NOW).run("why", "autumn", "p0@example.com", "--all").stdout
    assert "window" in every


def test_without_a_campaign_or_with_a_draft_it_says_what_is_missing(world: World) -> None:
    world.boxes = [world.workspace.add_mailbox(ANNA)]
    assert world.line() == "not sending: there is no campaign"
    world.workspace.add_campaign("spring", world.boxes, state="draft")
    assert world.line() == "not sending: spring is a draft without recipients"
    assert "next: mailrotate recipient import spring FILE\n" in world.program.run("status").stdout
    with world.workspace.store.reading() as connection:
        spring = campaigns.listing(connection)[0]
    world.workspace.add_recipient(spring, "kim@example.com")
    assert world.line() == "not sending: spring is a draft"
    assert "next: mailrotate campaign start spring" in world.program.run("status").stdout


@pytest.fixture
def unread(world: World) -> World:
    """One follow-up is due, and the inbox in which an answer may lie was never read."""
    box = world.workspace.add_mailbox(ANNA)
    steps = ((timedelta(), "Hello", "Hello"), (DAY, None, "Again"))
    world.campaign = world.workspace.add_campaign("autumn", [box], steps=steps)
    (sender_id,) = world.workspace.senders(world.campaign)
    world.workspace.add_recipient(
        world.campaign, "kim@example.com", sender_id=sender_id, state="active", next_step=2, next_at=NOW
    )
    return world


def test_an_inbox_that_was_never_read_is_read_first_by_the_runner_that_works(unread: World) -> None:
    unread.passed()
    runner = liveness.register(unread.workspace.store, "loop", NOW, "here")
    assert unread.line() == "waiting: the inbox has not been read yet; 0 today"
    assert unread.code() == ("waiting", True)
    assert "when its inbox is read" in unread.program.at(NOW, standing_still=True).run("status").stdout
    why = ("why", "autumn", "kim@example.com")
    said = unread.program.at(NOW, standing_still=True).run(*why).stdout
    assert said.endswith("next: mailrotate log --follow\n"), "a second runner would be refused"
    runner.end(NOW)
    said = unread.program.at(NOW, standing_still=True).run(*why).stdout
    assert said.endswith("next: mailrotate run --once\n")


def test_an_inbox_that_was_never_read_waits_for_the_next_pass_of_cron(unread: World) -> None:
    unread.passed(MINUTE)
    assert unread.line() == "waiting: the inbox has not been read yet; 0 today"
    assert "next: mailrotate run\n" in unread.program.at(NOW, standing_still=True).run("status").stdout


def test_an_inbox_that_was_never_read_and_no_runner_asks_for_a_runner(unread: World) -> None:
    assert unread.line() == "not sending: no runner has run yet; run it or install the cron line"
    assert unread.code() == ("no_runner", False)


def test_a_first_message_waits_for_no_inbox_that_was_never_read(unread: World) -> None:
    (sender_id,) = unread.workspace.senders(unread.campaign)
    unread.workspace.add_recipient(unread.campaign, "lee@example.com", sender_id=sender_id, next_at=NOW)
    unread.passed()
    runner = liveness.register(unread.workspace.store, "loop", NOW, "here")
    assert unread.line() == "sending: 0 today, more with the next pass"
    runner.end(NOW)


# --- the machine and the workspace


def test_an_empty_place_has_no_workspace(tmp_path: Path) -> None:
    nothing = Console(tmp_path).run("status", "--json", check_status=3)
    assert nothing.error()["hint"] == "mailrotate mailbox connect ADDRESS"


def test_without_a_mailbox_it_asks_for_one(world: World) -> None:
    assert world.line() == "not sending: no mailbox is connected"
    assert world.code() == ("no_sender", False)


def test_without_the_key_nothing_is_sent(world: World) -> None:
    world.is_set_up()
    world.passed()
    Path(world.program.env["MAILROTATE_KEY_FILE"]).unlink()
    assert world.line().startswith("not sending: ")
    assert "key" in world.line()
    assert world.code() == ("no_key", False)


@pytest.mark.parametrize(("mode", "done"), [(0o666, "read and changed"), (0o622, "changed"), (0o644, "read")])
def test_a_database_that_others_can_reach_is_warned_about_with_the_chmod_to_type(
    running: World, mode: int, done: str
) -> None:
    path = running.workspace.store.path
    assert path is not None
    says = f"{path} can be {done} by every user of this machine"
    path.chmod(mode)
    line = running.line()
    assert line.startswith("sending: 0 today")
    assert line.endswith(says)
    assert running.code() == ("exposed", True)
    shown = running.program.at(NOW, standing_still=True).run("status").stdout
    assert shown.endswith(f"next: chmod o-rwx {path}\n")
    assert says in running.program.run("db", "check").stderr
    document = running.program.run("status", "--json").json()
    assert document["warnings"] == [{"code": "exposed", "reason": says, "command": f"chmod o-rwx {path}"}]
    subprocess.run(["chmod", "o-rwx", path], check=True)
    assert running.code() == ("sending", True)
    assert "every user" not in running.program.run("db", "check").stderr


def test_a_database_that_a_group_shares_is_not_warned_about(running: World) -> None:
    assert running.workspace.store.path is not None
    running.workspace.store.path.chmod(0o660)
    assert running.code() == ("sending", True)


def test_a_mark_of_sending_that_others_can_change_is_warned_about(running: World) -> None:
    home = running.program.home
    with running.workspace.store.reading() as connection:
        known = workspaces.find(connection)
    assert known is not None
    mark = home / f"{known.identity}.mark"
    mark.touch(mode=0o600)
    assert running.code() == ("sending", True)
    mark.chmod(0o666)
    assert f"{mark} can be read and changed by every user" in running.line()


def test_an_open_key_stops_everything_and_a_server_that_is_down_comes_before_a_warning(
    running: World,
) -> None:
    path, key = running.workspace.store.path, Path(running.program.env["MAILROTATE_KEY_FILE"])
    assert path is not None
    path.chmod(0o666)
    running.change(running.boxes[0], trouble_since=NOW, last_error=REFUSED)
    assert running.code() == ("server_down", True)
    key.chmod(0o666)
    running.passed(10 * MINUTE)
    said = running.program.at(NOW, standing_still=True).run("status")
    assert running.code() == ("no_key", False)
    assert f"chmod 600 {key}" in said.stdout
    assert (
        f"{path} can be read and changed by every user of this machine: chmod o-rwx {path}\n" in said.stdout
    )


def test_a_clock_that_is_wrong_is_named(running: World) -> None:
    running.passed(-10 * MINUTE)
    assert running.line().startswith("not sending: this machine's clock is 10m behind")
    assert running.code() == ("clock", False)


def test_after_a_restore_the_sent_mail_is_compared_first(running: World) -> None:
    with running.workspace.store.writing() as connection:
        send_mark.hold(connection, NOW - 90 * MINUTE)
    assert running.line() == "not sending: what was sent since 07:30 is to be compared first"
    assert running.code() == ("restored", False)
    assert "next: mailrotate db adopt" in running.program.at(NOW).run("status").stdout


def test_a_lane_that_died_is_named_while_the_others_send(running: World) -> None:
    dead = update(t.lane).values(broke_by="ValueError")
    with running.workspace.store.writing() as connection:
        connection.execute(dead.where(t.lane.c.mailbox_id == running.boxes[0].id))
    failure = "anna@example.org: its last pass ended in an unexpected failure (ValueError)"
    assert running.line() == f"sending: 0 today, more with the next pass; {failure}"
    assert running.code() == ("lane_down", True)
    with running.workspace.store.writing() as connection:
        connection.execute(dead)
    assert running.line() == f"not sending: {failure} (and 1 more mailbox)"
    assert running.code() == ("lane_down", False)
    shown = running.program.at(NOW, standing_still=True).run("status").stdout
    assert f"next: mailrotate log --mailbox {ANNA}\n" in shown, "beside the loop a second runner is refused"


# --- no runner


def test_without_a_runner_it_says_since_when(world: World) -> None:
    world.is_set_up()
    assert world.line() == "not sending: no runner has run yet; run it or install the cron line"
    world.passed(3 * MINUTE)
    assert world.line() == "not sending: no runner since 08:57; run it or install the cron line"
    assert world.code() == ("no_runner", False)
    assert "next: mailrotate run --once" in world.program.at(NOW).run("status").stdout


def test_a_runner_that_has_died_is_no_runner(world: World) -> None:
    world.is_set_up()
    world.passed(3 * MINUTE)
    world.workspace.add_runner()
    assert world.code() == ("no_runner", False)


def test_a_loop_that_was_ended_or_died_is_missed_at_once(world: World) -> None:
    world.is_set_up()
    world.passed(MINUTE)
    loop = liveness.register(world.workspace.store, "loop", NOW - 5 * MINUTE, "here")
    assert world.code() == ("sending", True)
    loop.end(NOW - MINUTE)
    missed = "not sending: no runner since 08:59; run it or install the cron line"
    assert world.line() == missed
    died = update(t.runner).values(ended_at=None)
    with world.workspace.store.writing() as connection:
        connection.execute(died)
    assert world.line() == missed
    assert "runner: none now" in world.program.at(NOW).run("status").stdout
    for kind, only in (("command", None), ("once", "sync")):
        liveness.register(world.workspace.store, kind, NOW, "here", only=only).end(NOW)
        assert world.line() == missed, "it sends no campaign"
    liveness.register(world.workspace.store, "once", NOW, "here", only="send").end(NOW)
    assert world.code() == ("sending", True), "cron sends now"


def test_a_runner_is_missed_since_the_end_of_its_loop_where_that_is_known(world: World) -> None:
    world.is_set_up()
    world.passed(3 * MINUTE)
    loop = liveness.register(world.workspace.store, "loop", NOW - 9 * MINUTE, "here")
    loop.end(NOW - MINUTE)
    assert world.line().startswith("not sending: no runner since 08:59; ")
    with world.workspace.store.writing() as connection:
        connection.execute(update(t.runner).values(ended_at=None))
    assert world.line().startswith("not sending: no runner since 08:57; "), "it was killed"
    world.program.at(NOW).run("run", "--once", "--only", "deadlines")
    assert world.line().startswith("not sending: no runner since 08:57; "), "found dead later"


def test_after_a_loop_that_ended_by_itself_cron_starts_the_next(world: World) -> None:
    world.is_set_up()
    world.passed(MINUTE)
    ends_at = NOW - MINUTE
    loop = liveness.register(world.workspace.store, "loop", NOW - 5 * MINUTE, "here", ends_at=ends_at)
    loop.end(ends_at - SECOND)
    assert world.code() == ("no_runner", False), "it was ended before its time"
    with world.workspace.store.writing() as connection:
        connection.execute(update(t.runner).values(ended_at=ends_at))
    assert world.line() == "between runs: 0 today, more with the next run; the last was at 08:59"


@pytest.mark.parametrize(
    ("only", "does"),
    [
        ("sync", "read inboxes"),
        ("test", "test connections"),
        ("deadlines", "settle deadlines"),
        ("notify", "send notices"),
    ],
)
def test_a_runner_that_does_other_work_does_not_send(world: World, only: str, does: str) -> None:
    world.is_set_up()
    world.passed(3 * MINUTE)
    runner = liveness.register(world.workspace.store, "loop", NOW, "here", only=only)
    assert world.line() == f"not sending: the only runner does nothing but {does}"
    assert world.code() == ("no_runner", False)
    said = world.program.at(NOW, standing_still=True).run("status").stdout
    assert f"runner: run_{runner.id} (here, pid {os.getpid()}, only {only})" in said
    assert "next: end it, then run without --only: mailrotate run\n" in said
    assert f"loop, only {only}" in world.program.run("runner", "list").stdout
    world.passed(MINUTE)
    assert world.code() == ("sending", True), "cron's passes send beside it"
    runner.end(NOW)


def test_a_command_that_holds_a_lane_is_no_runner(world: World) -> None:
    world.is_set_up()
    world.passed(3 * MINUTE)
    command = liveness.register(world.workspace.store, "command", NOW, "here")
    assert world.code() == ("no_runner", False)
    assert "runner: none now" in world.program.at(NOW).run("status").stdout
    command.end(NOW)


def test_a_pass_limited_to_other_work_is_no_pass_that_sends(world: World) -> None:
    world.is_set_up()
    world.passed(3 * MINUTE)
    world.program.at(NOW).run("run", "--once", "--only", "deadlines")
    assert world.line() == "not sending: no runner since 08:57; run it or install the cron line"
    document = world.program.at(NOW).run("status", "--json").json()
    assert document["last_pass_at"] >= "2026-12-01T09:00:00"
    assert document["last_sending_pass_at"].startswith("2026-12-01T08:57:00")


def test_a_loop_that_could_send_nothing_does_not_say_that_nothing_was_due(world: World) -> None:
    world.is_set_up()
    for box in world.boxes:
        world.change(box, state="failed", last_error="auth: 535 no")
    ran = world.program.at(NOW).run("run", "--for", "1s", "--only", "send")
    assert ran.stderr.splitlines()[-1] == "ended: nothing was sent"


@pytest.fixture
def without_runner(world: World) -> World:
    world.is_set_up()
    world.passed(3 * MINUTE)
    return world


def test_at_the_daily_limit_a_missing_runner_is_told_beside_it(without_runner: World) -> None:
    without_runner.sent(2)
    for box in without_runner.boxes:
        without_runner.change(box, daily_limit=1)
    line = "waiting: the daily limit is reached; next at 2026-12-02 00:00; 2 today; no runner since 08:57"
    assert without_runner.line() == line
    assert without_runner.code() == ("no_runner", False)
    said = without_runner.program.at(NOW, standing_still=True).run("status").stdout
    assert "next: mailrotate run\n" in said, "a pass would send nothing now"


def test_why_tells_a_missing_runner_beside_what_is_waited_for(without_runner: World) -> None:
    without_runner.sent(2)
    for box in without_runner.boxes:
        without_runner.change(box, daily_limit=1)
    at_now = without_runner.program.at(NOW, standing_still=True)
    waits = f"autumn: {ANNA}: 1 of 1 sent today"
    assert at_now.run("why", "autumn").stdout.splitlines()[-2:] == [
        f"{waits}; no runner since 2026-12-01 08:57:00 UTC",
        "next: at the earliest 2026-12-02 00:00:00 UTC, once `mailrotate run` works",
    ]
    without_runner.passed(MINUTE)
    assert f"{waits}\n" in at_now.run("why", "autumn").stdout


def test_outside_the_window_a_missing_runner_is_told_beside_it(without_runner: World) -> None:
    window = '{"blocks": [{"days": "mon-fri", "hours": "14:00-17:00"}]}'
    with without_runner.workspace.store.writing() as connection:
        connection.execute(update(t.campaign_version).values(window=window))
    line = "waiting: outside the delivery window; next at 14:00; 0 today; no runner since 08:57"
    assert without_runner.line() == line


def test_while_nothing_is_due_a_missing_runner_is_told_beside_it(without_runner: World) -> None:
    with without_runner.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=NOW + 3 * DAY))
    assert without_runner.line() == (
        "up to date: everything due has been sent; next at 2026-12-04 09:01; 0 today; no runner since 08:57"
    )
    assert without_runner.code() == ("no_runner", False)


def test_the_hour_of_a_disconnect_is_told_before_a_missing_runner(without_runner: World) -> None:
    world, ben = without_runner, without_runner.boxes[1]
    with world.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=NOW + 3 * DAY))
    world.change(ben, state="failed", last_error="auth: 535 no")
    elsewhere = "everything else due has been sent; next at 2026-12-04 09:01; 0 today"
    assert world.line() == f"{elsewhere}; no runner since 08:57", "it is away, and not up to date"
    world.change(ben, state="disconnected")
    hour = {"campaign_id": world.campaign.id, "mailbox_id": ben.id, "kind": "disconnect"}
    with world.workspace.store.writing() as connection:
        ends_at = NOW + 59 * MINUTE
        connection.execute(insert(t.deadline).values(**hour, started_at=NOW - MINUTE, ends_at=ends_at))
    assert world.line() == f"{elsewhere}; {BEN} is disconnected; its hour in autumn ends at 09:59"
    assert world.code() == ("no_sender", False)


def test_shortly_before_something_is_due_a_missing_runner_is_the_cause(without_runner: World) -> None:
    with without_runner.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=NOW + 5 * MINUTE))
    assert without_runner.line().startswith("not sending: no runner since 08:57; ")


# --- servers


def test_nothing_is_sent_while_one_server_is_down_and_the_other_mailbox_has_reached_its_limit(
    running: World,
) -> None:
    anna, ben = running.boxes
    running.sent(2)
    running.change(ben, daily_limit=1)
    running.goes_down(anna)
    running.change(anna, hold_class="net", hold_reason=REFUSED, hold_until=NOW + 30 * MINUTE)
    assert running.line() == "not sending: smtp.example.org refuses connections since 08:48 (1 mailbox)"
    assert running.code() == ("server_down", False)
    # A gap is part of sending.
    running.change(ben, daily_limit=None, gap_seconds=3600)
    with running.workspace.store.writing() as connection:
        lanes.rest(connection, ben.id, NOW + 20 * MINUTE)
    assert running.line().startswith("sending: 2 today, next in 20 min; smtp.example.org refuses")


def test_a_server_that_refuses_connections_is_named_with_its_mailboxes(running: World) -> None:
    running.goes_down(*running.boxes)
    assert running.line() == ("not sending: smtp.example.org refuses connections since 08:48 (2 mailboxes)")
    assert running.code() == ("server_down", False)


def test_while_others_send_the_failing_server_is_still_named(running: World) -> None:
    running.goes_down(running.boxes[1], host="smtp.example.net", said="connect: smtp.example.net: timed out")
    assert running.line() == (
        "sending: 0 today, more with the next pass; smtp.example.net does not answer since 08:48 (1 mailbox)"
    )
    assert running.code() == ("server_down", True)


def test_a_mailbox_that_has_nothing_due_for_days_does_not_hide_that_nothing_is_sent(running: World) -> None:
    of_ben = t.recipient.c.campaign_sender_id == running.workspace.senders(running.campaign)[1]
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).where(of_ben).values(next_at=NOW + 3 * DAY))
    running.goes_down(running.boxes[0])
    assert running.line() == "not sending: smtp.example.org refuses connections since 08:48 (1 mailbox)"
    assert running.code() == ("server_down", False)


def test_two_servers_that_fail_are_counted(running: World) -> None:
    running.goes_down(running.boxes[0])
    running.goes_down(running.boxes[1], host="smtp.example.net")
    assert running.line() == (
        "not sending: smtp.example.org refuses connections since 08:48 (1 mailbox) and 1 more server"
    )


def test_two_ports_of_a_host_are_two_servers(running: World) -> None:
    anna, ben = running.boxes
    running.goes_down(*running.boxes)
    running.change(ben, smtp_port=587, trouble_since=NOW - 20 * MINUTE)
    assert running.line() == (
        "not sending: smtp.example.org port 465 refuses connections since 08:48 (1 mailbox) and 1 more server"
    )
    running.change(anna, smtp_port=587)
    assert running.line() == "not sending: smtp.example.org refuses connections since 08:40 (2 mailboxes)"


def test_without_any_network_the_machine_is_offline(running: World) -> None:
    said = "resolve: smtp has no address: Temporary failure in name resolution"
    running.goes_down(running.boxes[0], said=said)
    running.goes_down(running.boxes[1], host="smtp.example.net", said=said)
    assert running.line() == (
        "not sending: no mail server can be reached since 08:48; check the network of this machine"
    )
    assert running.code() == ("offline", False)
    assert "next: mailrotate mailbox test --all" in running.program.at(NOW).run("status").stdout


@pytest.mark.parametrize("state", ["failed", "disconnected"])
def test_c2_a_mailbox_that_was_away_before_does_not_hide_that_the_machine_is_offline(
    running: World, state: str
) -> None:
    said = "resolve: smtp has no address: Temporary failure in name resolution"
    running.change(running.workspace.add_mailbox("cleo@example.org"), state=state)
    running.goes_down(running.boxes[0], said=said)
    running.goes_down(running.boxes[1], host="smtp.example.net", said=said)
    assert running.code() == ("offline", False)


def test_c2_follow_ups_that_wait_for_unreachable_inboxes_show_the_machine_as_offline(running: World) -> None:
    """The inboxes are read every few minutes, so they show it before a message or a test does."""
    said = "resolve: imap has no address: Temporary failure in name resolution"
    running.change(running.boxes[1], imap_host="imap.example.net")
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_step=2))
        for box in running.boxes:
            inboxes.note_failure(connection, box.id, "INBOX", said, NOW - 5 * MINUTE, NOW)
    assert running.line() == (
        "not sending: no mail server can be reached since 08:55; check the network of this machine"
    )
    assert running.code() == ("offline", False)


def test_every_mailbox_whose_follow_ups_wait_for_a_server_is_counted(running: World) -> None:
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_step=2))
        for box, minutes in zip(running.boxes, (5, 7), strict=True):
            said = "connect: imap.example.org port 993: Connection refused"
            inboxes.note_failure(connection, box.id, "INBOX", said, NOW - minutes * MINUTE, NOW)
    assert running.line() == "not sending: imap.example.org refuses connections since 08:53 (2 mailboxes)"


def test_an_inbox_that_cannot_be_read_is_named_while_first_messages_leave(running: World) -> None:
    with running.workspace.store.writing() as connection:
        inboxes.note_failure(
            connection, running.boxes[0].id, "INBOX", "connect: timed out", NOW - 5 * MINUTE, NOW
        )
    assert running.line() == (
        "sending: 0 today, more with the next pass; imap.example.org does not answer since 08:55 (1 mailbox)"
    )


def test_while_the_campaign_is_paused_the_failing_server_is_still_named(running: World) -> None:
    running.goes_down(running.boxes[1])
    running.change_campaign("by_hand", state="paused")
    assert running.line() == (
        "not sending: autumn is paused by hand; smtp.example.org refuses connections since 08:48 (1 mailbox)"
    )
    assert running.code() == ("paused", False)


def test_beside_a_failing_server_failed_mailboxes_are_counted(running: World) -> None:
    running.goes_down(running.boxes[0])
    running.change(running.boxes[1], state="failed", last_error="auth: 535 no")
    assert running.line() == (
        "not sending: smtp.example.org refuses connections since 08:48 (1 mailbox); 1 mailbox has failed"
    )


# --- mailboxes


def test_when_every_mailbox_has_failed_the_first_is_named_with_the_way_back(running: World) -> None:
    for box in running.boxes:
        running.change(box, state="failed", last_error="auth: 535 no")
    assert running.line() == (
        "not sending: anna@example.org: the mailbox has failed: login: 535 no (and 1 more mailbox)"
    )
    assert running.code() == ("no_sender", False)
    said = running.program.at(NOW).run("status").stdout
    assert f"next: mailrotate mailbox reconnect {ANNA}" in said


def test_c6_the_way_back_also_resumes_the_campaigns_that_were_paused_without_it(running: World) -> None:
    for box in running.boxes:
        running.change(box, state="failed", last_error="auth: 535 no")
    running.change_campaign("no_sender", state="paused")
    for subject in (("status",), ("why", "autumn"), ("why", ANNA)):
        said = running.program.at(NOW, standing_still=True).run(*subject).stdout
        assert f"next: mailrotate mailbox reconnect {ANNA} --resume\n" in said
        assert f"mailbox reconnect {ANNA}\n" not in said
    running.change_campaign(state="active")
    with running.workspace.store.writing() as connection:
        connection.execute(delete(t.campaign_pause))
    said = running.program.at(NOW, standing_still=True).run("status").stdout
    assert f"next: mailrotate mailbox reconnect {ANNA}\n" in said


def test_a_failed_mailbox_is_named_while_the_other_sends(running: World) -> None:
    running.change(running.boxes[0], state="failed", last_error="auth: 535 no")
    assert running.line() == (
        "sending: 0 today, more with the next pass; anna@example.org: the mailbox has failed: login: 535 no"
    )
    assert running.code() == ("no_sender", True)


def test_a_mailbox_that_was_disconnected_on_purpose_is_no_news(running: World) -> None:
    running.change(running.boxes[1], state="disconnected")
    assert running.line() == "sending: 0 today, more with the next pass"


def test_while_the_hour_of_a_disconnect_runs_its_end_is_told(running: World) -> None:
    running.change(running.boxes[1], state="disconnected")
    hour = {"campaign_id": running.campaign.id, "mailbox_id": running.boxes[1].id, "kind": "disconnect"}
    with running.workspace.store.writing() as connection:
        connection.execute(
            insert(t.deadline).values(**hour, started_at=NOW - MINUTE, ends_at=NOW + 59 * MINUTE)
        )
    told = "ben@example.org is disconnected; its hour in autumn ends at 09:59"
    assert running.line().startswith(f"sending: 0 today, more with the next pass; {told[:-2]}")
    running.change_campaign("mailbox_disconnected", state="paused")
    assert running.line().startswith(f"not sending: {told[:-2]}")
    assert f"next: mailrotate mailbox connect {BEN}" in running.program.at(NOW).run("status").stdout


def test_a_hold_that_waits_for_a_person_stops_it(running: World) -> None:
    for box in running.boxes:
        running.change(box, hold_reason="550 sender refused", hold_class="sender")
    assert running.line() == "not sending: anna@example.org: on hold: 550 sender refused (and 1 more mailbox)"
    assert running.code() == ("held", False)
    assert f"next: mailrotate why {ANNA}" in running.program.at(NOW).run("status").stdout


def test_a_locked_user_s_mailboxes_send_nothing(running: World) -> None:
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.user).values(state="locked"))
    assert running.line() == "not sending: anna@example.org: its user is locked (and 1 more mailbox)"
    said = running.program.at(NOW, standing_still=True).run("status").stdout
    assert f"next: mailrotate why {ANNA}\n" in said, "only some users may unlock a user"
    assert running.code() == ("no_sender", False)


def test_mailboxes_that_are_paused_send_nothing(running: World) -> None:
    for box in running.boxes:
        running.change(box, paused_at=NOW - MINUTE)
    assert running.line() == (
        "not sending: anna@example.org: the mailbox is paused since 08:59 (and 1 more mailbox)"
    )
    assert running.code() == ("paused", False)
    said = running.program.at(NOW, standing_still=True).run("status").stdout
    assert f"next: mailrotate mailbox resume {ANNA}\n" in said
    running.change(running.boxes[1], paused_at=None, hold_reason="550 no", hold_class="sender")
    assert running.line() == "not sending: anna@example.org: the mailbox is paused since 08:59"


def next_and_why(world: World, address: str = ANNA) -> tuple[str, str]:
    """The last two cells of a mailbox's row."""
    said = world.program.at(NOW, standing_still=True).run("status").stdout
    row = next(line for line in said.splitlines() if line.startswith(f"{address}  "))
    _, _, _, next_at, why = (cell.strip() for cell in row.split("  ") if cell.strip())
    return next_at, why


@pytest.mark.parametrize("state", ["failed", "disconnected"])
def test_recipients_of_a_mailbox_that_is_away_wait_for_an_action(running: World, state: str) -> None:
    running.change(running.boxes[0], state=state, last_error="auth: 535 no")
    running.change_campaign("no_sender", state="paused")
    assert next_and_why(running)[0] == "after an action"


def test_messages_that_are_in_error_because_their_mailbox_is_away_wait_for_an_action(world: World) -> None:
    world.is_set_up(people=0)
    world.change(world.boxes[0], state="failed", last_error="auth: 535 no")
    assert next_and_why(world)[0] == "nothing waits"
    message = world.workspace.add_message(world.boxes[0], world.campaign, state="error")
    with world.workspace.store.writing() as connection:
        own = update(t.message).where(t.message.c.id == message)
        connection.execute(own.values(error_class="connection"))
    assert next_and_why(world) == ("after an action", "the mailbox has failed: login: 535 no")


@pytest.mark.parametrize(
    ("change", "state"),
    [
        ({"paused_at": NOW - MINUTE}, "connected, paused"),
        ({"hold_reason": "550 no", "hold_class": "sender"}, "connected, on hold"),
        ({"hold_reason": "550 no", "hold_class": "net", "hold_until": NOW - MINUTE}, "connected"),
    ],
)
def test_the_state_of_a_mailbox_is_the_same_on_every_screen(
    running: World, change: dict[str, object], state: str
) -> None:
    running.change(running.boxes[0], **change)
    at_now = running.program.at(NOW, standing_still=True)
    for screen in (("status",), ("mailbox", "list"), ("campaign", "show", "autumn")):
        lines = at_now.run(*screen).stdout.splitlines()
        row = next(line for line in lines if line.startswith(ANNA))
        assert row.split("  ")[1].strip() == state, screen
    (sender, _) = at_now.run("campaign", "show", "autumn", "--json").json()["senders"]
    assert sender["state"] == "connected"


def test_campaign_show_gives_no_date_while_only_an_action_helps(running: World) -> None:
    for box in running.boxes:
        running.change(box, paused_at=NOW - MINUTE)
    at_now = running.program.at(NOW, standing_still=True)
    waits = f"after an action: {ANNA}: the mailbox is paused since 2026-12-01 08:59:00 UTC"
    assert waits in at_now.run("campaign", "show", "autumn").stdout
    running.passed(-10 * MINUTE)
    said = at_now.run("campaign", "show", "autumn").stdout
    assert "after an action: this machine's clock is 10m behind" in said
    assert at_now.run("campaign", "list", "--json").json()[0]["next_send_at"] is None


def test_recipients_of_a_paused_campaign_wait_for_an_action(running: World) -> None:
    running.change_campaign("by_hand", state="paused")
    assert next_and_why(running) == ("after an action", "its campaign is paused by hand")
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=None, state="finished"))
    assert next_and_why(running)[0] == "nothing waits"


def test_a_disconnect_ends_the_trouble_of_before(running: World) -> None:
    running.change(running.boxes[0], state="disconnected", last_error="auth: 535 no")
    assert next_and_why(running) == ("after an action", "the mailbox is disconnected")
    at_now = running.program.at(NOW, standing_still=True)
    listed = at_now.run("mailbox", "list", "--json").json()
    assert [row["trouble"] for row in listed] == ["disconnected", None]
    assert "535" not in at_now.run("why", ANNA).stdout


def test_why_shows_the_reasons_of_a_pause_once(running: World) -> None:
    running.change_campaign("by_hand", state="paused")
    said = running.program.at(NOW, standing_still=True).run("why", "autumn").stdout
    assert said.count("paused by hand") == 2, "in the table and in the answer"


def test_what_passes_by_itself_is_no_reason_while_only_an_act_helps(running: World) -> None:
    running.change_campaign("by_hand", state="paused")
    running.rests(NOW + 40 * MINUTE)
    assert next_and_why(running) == ("after an action", "its campaign is paused by hand")
    said = running.program.at(NOW, standing_still=True).run("why", ANNA).stdout.splitlines()
    assert said[-2:] == [
        f"{ANNA}: nothing holds the mailbox back, but what it would send waits: "
        "its campaign is paused by hand",
        "next: mailrotate campaign resume autumn",
    ]


def test_nothing_goes_from_a_mailbox_whose_campaigns_are_paused_or_stopped_whatever_the_runner_does(
    without_runner: World,
) -> None:
    world = without_runner
    world.rests(NOW + 40 * MINUTE)
    world.change_campaign("by_hand", state="paused")
    at_now = world.program.at(NOW, standing_still=True)
    assert "runner" not in at_now.run("why", ANNA).stdout
    at_now.run("campaign", "stop", "autumn", "--yes")
    said = at_now.run("why", ANNA).stdout.splitlines()
    assert said[-1] == f"{ANNA}: nothing waits to be sent from it", "and no instant is named"
    assert at_now.run("why", ANNA, "--json").json()["next_at"] is None


def test_a_paused_campaign_with_something_due_is_told_beside_another_with_nothing_due(running: World) -> None:
    winter = running.workspace.add_campaign("winter", running.boxes)
    sender = running.workspace.senders(winter)[0]
    running.workspace.add_recipient(winter, "kim@example.com", sender_id=sender, next_at=NOW + 3 * DAY)
    running.change_campaign("by_hand", state="paused")
    line = "everything else due has been sent; next at 2026-12-04 09:01; 0 today; autumn is paused by hand"
    assert running.line() == line
    shown = running.program.at(NOW, standing_still=True).run("status").stdout
    assert shown.endswith("next: mailrotate campaign resume autumn\n")
    with running.workspace.store.writing() as connection:
        of_autumn = t.recipient.c.campaign_id == running.campaign.id
        connection.execute(update(t.recipient).where(of_autumn).values(next_at=NOW + DAY))
    assert running.line().startswith("up to date: "), "nothing of it would be due"


def test_a_paused_mailbox_with_something_due_is_told_beside_another_with_nothing_due(running: World) -> None:
    anna = running.boxes[0]
    of_ben = t.recipient.c.campaign_sender_id == running.workspace.senders(running.campaign)[1]
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).where(of_ben).values(next_at=NOW + 3 * DAY))
    running.change(anna, paused_at=NOW - MINUTE)
    assert running.line() == (
        "everything else due has been sent; next at 2026-12-04 09:01; 0 today; "
        "anna@example.org: the mailbox is paused since 08:59"
    )
    shown = running.program.at(NOW, standing_still=True).run("status").stdout
    assert shown.endswith(f"next: mailrotate mailbox resume {ANNA}\n")
    running.change(anna, daily_limit=1)
    running.workspace.add_sent(anna, NOW - MINUTE)
    assert running.line().startswith("up to date: "), "the limit of the day holds it back too"


def test_a_paused_mailbox_of_a_paused_campaign_names_its_own_pause(running: World) -> None:
    running.change(running.boxes[0], paused_at=NOW - MINUTE)
    running.change_campaign("by_hand", state="paused")
    assert next_and_why(running) == (
        "after an action",
        "the mailbox is paused since 08:59",
    )


def test_planned_messages_of_a_paused_campaign_wait_for_an_action(world: World) -> None:
    world.is_set_up(people=0)
    world.change_campaign("by_hand", state="paused")
    world.workspace.add_message(world.boxes[0], world.campaign)
    assert next_and_why(world) == ("after an action", "its campaign is paused by hand")
    assert next_and_why(world, BEN)[0] == "nothing waits"
    lines = world.program.at(NOW).run("status", "--json").json()["mailboxes"]
    assert [(line["waits"], line["waits_for_act"]) for line in lines] == [(False, True), (False, False)]


# --- campaigns and messages


def test_a_campaign_that_was_paused_by_hand_is_told_as_such(running: World) -> None:
    running.change_campaign("by_hand", state="paused")
    assert running.line() == "not sending: autumn is paused by hand"
    assert running.code() == ("paused", False)
    assert "next: mailrotate campaign resume autumn" in running.program.at(NOW).run("status").stdout


def test_a_message_of_no_campaign_does_not_hide_that_every_campaign_is_paused(running: World) -> None:
    running.workspace.add_message(running.boxes[0])
    assert running.line() == "sending: 0 today, more with the next pass"
    running.change_campaign("by_hand", state="paused")
    assert running.line() == "not sending: autumn is paused by hand"
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(state="finished"))
    assert running.line() == "sending: 0 today, more with the next pass", "nobody waits for the campaign"


@pytest.mark.parametrize("reason", ["mailbox_failed", "no_sender"])
def test_c6_a_paused_campaign_with_a_sender_that_is_able_again_is_resumed_while_another_has_failed(
    running: World, reason: str
) -> None:
    running.change(running.boxes[1], state="failed", last_error="auth: 535 no")
    running.change_campaign(reason, state="paused")
    assert running.line().startswith("not sending: autumn is paused because ")
    assert "next: mailrotate campaign resume autumn\n" in running.program.at(NOW).run("status").stdout


def test_b8_a_campaign_whose_mailbox_was_removed_is_resumed_once_another_can_send(running: World) -> None:
    running.change_campaign("mailbox_removed", state="paused")
    assert running.line() == "not sending: autumn is paused because a mailbox was removed"
    assert "next: mailrotate campaign resume autumn" in running.program.at(NOW).run("status").stdout


def test_content_errors_come_before_what_else_is_sent(running: World) -> None:
    winter = running.workspace.add_campaign("winter", running.boxes)
    sender = running.workspace.senders(winter)[0]
    running.workspace.add_recipient(winter, "kim@example.com", sender_id=sender, next_at=NOW)
    running.change_campaign("content_errors", state="paused")
    assert running.line() == (
        "sending: 0 today, more with the next pass; autumn is paused after repeated content errors"
    )
    assert running.code() == ("errors", True)
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.campaign).where(t.campaign.c.id == winter.id).values(state="finished"))
    assert running.line() == "not sending: autumn is paused after repeated content errors"
    assert running.code() == ("errors", False)


def test_messages_in_error_or_of_unknown_fate_are_what_is_left(world: World) -> None:
    world.is_set_up(people=0)
    world.workspace.add_message(world.boxes[0], world.campaign, state="held")
    assert world.line() == "not sending: 1 message may or may not have left"
    assert world.code() == ("held", False)
    world.workspace.add_message(world.boxes[0], world.campaign, state="error")
    assert world.line() == "not sending: 1 message in error"
    assert world.code() == ("errors", False)


def test_messages_that_are_late_wait_for_a_release(running: World) -> None:
    with running.workspace.store.writing() as connection:
        connection.execute(update(t.recipient).values(next_at=NOW - 30 * DAY))
        connection.execute(update(t.campaign).values(started_at=NOW - 50 * DAY))
        workspaces.note_absence(connection, NOW - 40 * DAY, NOW - MINUTE)
        for box in running.boxes:
            own = t.connection.c.id == box.connection_id
            connection.execute(update(t.connection).where(own).values(connected_at=NOW - 50 * DAY))
    assert running.line().startswith("not sending: anna@example.org: late since 2026-11-01")
    assert running.code() == ("held", False)


# --- what wants a person: each command once


def test_the_command_that_is_next_is_not_said_twice(running: World) -> None:
    for box in running.boxes:
        running.change(box, state="failed", last_error="auth: 535 no")
    said = running.program.at(NOW, standing_still=True).run("status").stdout.splitlines()
    assert said[-2:] == [
        f"{BEN}: mailrotate mailbox reconnect {BEN}",
        f"next: mailrotate mailbox reconnect {ANNA}",
    ]
    assert sum("mailbox reconnect" in line for line in said) == 2


def test_what_wants_a_person_is_told_although_its_command_is_next(running: World) -> None:
    running.workspace.add_message(running.boxes[0], running.campaign, state="error")
    said = running.program.at(NOW, standing_still=True).run("status").stdout.splitlines()
    assert said[1] == "1 message in error"
    assert said[-1] == "next: mailrotate outbox list --state error"
    assert sum("1 message in error" in line for line in said) == 1, "the headline has said it"
    running.workspace.add_message(running.boxes[0], running.campaign, state="held")
    said = running.program.at(NOW, standing_still=True).run("status").stdout.splitlines()
    assert "1 message of unknown fate: mailrotate outbox list --state held" in said


def test_a_lost_key_is_told_once_with_its_command(running: World) -> None:
    Path(running.program.env["MAILROTATE_KEY_FILE"]).unlink()
    running.passed(10 * MINUTE)
    said = running.program.at(NOW, standing_still=True).run("status").stdout
    assert "before anything is sent" not in said
    assert said.splitlines()[-1].startswith("next: ")
