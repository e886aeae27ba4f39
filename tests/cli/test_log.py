"""`mailrotate log` as people read it and scripts page through it."""

import json
import os
import signal
from datetime import UTC, datetime
from pathlib import Path

import pytest

from mailrotate.cli.logged import line_of
from mailrotate.core.store.events import LoggedEvent
from tests.support.console import Console
from tests.support.program import Program

ADA, BEN = "ada@example.org", "ben@example.org"


@pytest.fixture
def program(home: Path) -> Console:
    program = Console(home)
    program.run("init", "--email", ADA)
    program.run("user", "add", BEN, "--role", "admin")
    program.run("--as", BEN, "plan", "set", "--daily-cap", "300")
    return program


def test_f5_the_log_is_filtered_and_reads_as_before_and_after(program: Program) -> None:
    (line,) = program.run("log", "--by", BEN, "--action", "plan.").stdout.splitlines()
    assert line.endswith(f"plan.changed            daily_cap 500 → 300  by {BEN}")
    (added,) = program.run("log", "--user", BEN, "--until", "0s", "--json").json()
    assert (added["action"], added["user"], added["actor"]) == ("user.added", BEN, ADA)
    assert list(added) == [
        "id", "at", "action", "actor", "os_user", "user", "mailbox", "campaign", "recipient", "message",
        "data",
    ]  # fmt: skip
    nothing = program.run("log", "--until", "1h")
    assert (nothing.stdout, nothing.stderr) == ("", "nothing was logged\n")
    assert (
        program.run("log", "--by", "dan@example.org", "--json", check_status=3).error()["code"] == "user.none"
    )


def test_f5_a_script_pages_through_the_log_by_its_last_line(program: Program) -> None:
    seen: list[str] = []
    after = "0"
    while page := program.run("log", "--after", after, "--limit", "2", "--json").json():
        seen += [line["action"] for line in page]
        after = str(page[-1]["id"])
    assert seen == ["workspace.created", "user.added", "plan.changed"]
    assert [line["action"] for line in program.run("log", "--limit", "1", "--json").json()] == seen[-1:]


def test_f5_the_filters_hold_for_what_is_followed(program: Program) -> None:
    following = program.start("log", "--follow", "--action", "plan.", "--by", ADA, "--after", "0", "--json")
    assert following.stdout is not None
    program.run("settings", "set", "lateness=3d")
    program.run("--as", BEN, "plan", "set", "--daily-cap", "200")
    program.run("plan", "set", "--daily-cap", "100")
    told = json.loads(following.stdout.readline())
    assert (told["actor"], told["data"]) == (ADA, {"key": "daily_cap", "before": 200, "after": 100})
    os.kill(following.pid, signal.SIGINT)
    assert following.communicate() == ("", "")
    assert following.returncode == 130


def test_on_a_terminal_a_line_goes_on_below_and_no_word_is_broken(program: Console) -> None:
    action = ("log", "--action", "plan.")
    (piped,) = program.run(*action).stdout.splitlines()
    first, second = program.on_terminal(70, *action)
    # Never between `by` and the name.
    assert [first.rstrip(), second] == [piped.partition("  by ")[0], f"{' ' * 21}by {BEN}"]
    assert program.on_terminal(120, *action) == [piped]


def test_codes_of_an_event_are_told_in_words() -> None:
    def words(action: str, **data: object) -> str:
        at = datetime(2026, 7, 1, 9, tzinfo=UTC)
        line = line_of(LoggedEvent(1, at, action, None, None, None, None, None, None, data), "UTC")
        return line.partition(action)[2].strip()

    failed = {"nth": "0", "mails": 1, "failed_at": "2026-07-01T08:00:00Z"}
    assert words("notice.failure", **failed) == (
        "notice: at once  mails planned: 1  failed since: 2026-07-01 08:00:00"
    )
    assert words("notice.failure", nth="3") == "notice: after 3 days"
    assert words("notice.failure", nth="before 4") == "notice: a day before a deadline"
    assert words("notice.recovery", nth="recovery", mails=0) == "mails planned: 0"
    assert words("campaign.resumed", reasons=["no_sender"]) == (
        "was: paused because no sender was able to send"
    )
    assert words("recipient.replied", reason="reply") == ""
    refused = words(
        "mailbox.failed", error_class="auth", reply="auth: NO [AUTHENTICATIONFAILED] no such user"
    )
    assert refused == "error class: login refused  reply: login: no such user"
    assert words("recipient.fail", reason="mailbox_removed") == "reason: the mailbox was removed"
    assert words("suppression.added", reason="asked_us by phone") == "reason: asked_us by phone"
