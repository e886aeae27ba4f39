"""Every command as a process of its own, and that it says there what it says in the tests' own process.

What a process alone can get wrong is seen here: what it imports, how it starts and ends, what it warns of.
"""

import re
import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import typer

from mailrotate.cli.main import root
from mailrotate.core.values.clock import system_clock
from mailrotate.sandbox.server import Sandbox
from tests.support.console import Console
from tests.support.inside import inside

ADA, BEN, KIM = "ada@example.org", "ben@example.org", "kim@example.com"
ANNA = "anna@sandbox.example.org"
PASSWORD = "of-the-sandbox"
SPRING = """
name = "spring"
[[steps]]
subject = "Hello"
text = "Hello {{ name }}."
"""
# The lines of each story, typed in order, each with its exit status where that is not 0.
STORIES = {
    "mailboxes": f"""
        mailbox list
        mailbox set {ANNA} --gap 90s
        mailbox default {ANNA}
        mailbox pause {ANNA}
        mailbox resume {ANNA}
        mailbox release {ANNA}
        mailbox crm {ANNA} --on
        mailbox test {ANNA} --json
        mailbox reconnect {ANNA} --password-file password
        mailbox show {ANNA} --json
        mailbox requests
        mailbox deny new@example.org
        mailbox withdraw other@example.org
        mailbox disconnect {ANNA} --yes
        mailbox remove {ANNA} --yes
    """,
    "what a mailbox has": f"""
        mailbox alias list {ANNA}
        mailbox alias use {ANNA} a@example.org
        mailbox alias remove {ANNA} a@example.org
        mailbox signature edit {ANNA} short --body short.md
        mailbox signature unmain {ANNA}
        mailbox signature show {ANNA} short
        mailbox signature list {ANNA}
        mailbox share list {ANNA}
        mailbox share remove {ANNA} {BEN}
        mailbox disconnect {ANNA} --yes
        mailbox connect {ANNA} --password-file password
        mailbox signature restore {ANNA} short
        mailbox signature remove {ANNA} short
    """,
    "a team": f"""
        status
        user show {BEN}
        user set {BEN} --role manager
        user lock {BEN} --yes
        user unlock {BEN}
        user roles
        plan show
        slot add --user {BEN}
        slot unassign s_5
        slot list
        slot remove s_2 --yes
        user remove {BEN} --yes
        user list
    """,
    "a campaign and its people": f"""
        campaign check spring.toml
        campaign copy spring --name summer
        campaign edit summer spring.toml
        campaign list
        campaign preview summer --json
        campaign delete summer --yes
        recipient add spring {KIM} --field name=Kim
        recipient show spring {KIM}
        recipient list spring
        recipient remove spring {KIM} --yes
        contact list
        contact show {KIM}
        contact set {KIM} --field name=Kim
        contact tag customer {KIM}
        3 recipient assign autumn --tag customer --to-sender {ANNA}
        campaign test autumn --to me@example.com
        campaign pause autumn
        campaign resume autumn
        campaign sender list autumn
        4 campaign sender add autumn {ANNA}
        4 campaign sender remove autumn {ANNA} --yes
        campaign stop autumn --yes
        campaign show autumn
    """,
    "an outbox": f"""
        outbox show m_1
        why m_1
        outbox retry m_1
        4 outbox resolve m_1 --sent
        outbox release m_1
        outbox send-from m_1 --from {ANNA}
        outbox cancel m_1 --yes
        outbox list
        outbox classify-reply '550 5.1.1 No such user' --phase rcpt
        suppression add {KIM}
        suppression import people.txt
        suppression export
        suppression list
        suppression remove {KIM} --yes
        limits set google.day=1500
        limits show
    """,
    "a host": """
        settings show
        settings set lateness=3d
        runner list
        runner clock
        runner clock --accept
        db upgrade
        db check
        db stats
        mailbox disconnect carla@example.org --yes
        grace list
        4 grace extend carla@example.org --by 1h
        db backup copy.db
        db restore copy.db --yes
        db adopt --accept --yes
        webhook add http://localhost:1/hooks --event mailbox.failed
        webhook list
        5 webhook test w_1
        webhook rotate w_1
        webhook resend w_1
        secret rekey
        webhook remove w_1
        log
        help exit-status
    """,
}
# Commands that other tests start as processes.
ELSEWHERE = {
    "tests/acceptance/test_hosting.py": (
        *("mailbox connect", "campaign create", "recipient import", "campaign start", "run"),
    ),
    "tests/acceptance/test_team.py": (
        *("init", "plan set", "user add", "slot buy", "slot assign", "mailbox request", "mailbox approve"),
        *("mailbox alias add", "mailbox share add", "mailbox signature add", "mailbox signature main"),
    ),
    "tests/acceptance/test_demo.py": ("demo",),
    "tests/cli/test_sandbox.py": ("sandbox", "sandbox read", "sandbox answer", "sandbox unsubscribe"),
}


def typed(story: str) -> Iterator[tuple[int, list[str]]]:
    for line in story.strip().splitlines():
        first, *words = shlex.split(line)
        yield (int(first), words) if first.isdigit() else (0, [first, *words])


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    """A workspace in which each story can happen; only ever copied."""
    home = tmp_path_factory.mktemp("prepared")
    (home / "spring.toml").write_text(SPRING)
    (home / "password").write_text(PASSWORD)
    (home / "short.md").write_text("Anna\n")
    (home / "people.txt").write_text("lee@example.com\n")
    console = Console(home)
    with Sandbox(password=PASSWORD) as sandbox:
        smtp, imap = (f"{end.host}:{end.port}" for end in (sandbox.info.smtp, sandbox.info.imap))
        servers = ("--smtp", smtp, "--imap", imap, "--security", "none", "--password-file", "password")
        console.run("init", "--email", ADA)
        console.run("user", "add", BEN)
        console.run("mailbox", "connect", ANNA, *servers)
        console.run("plan", "set", "--shared", "on")
        console.run("mailbox", "set", ANNA, "--access", "shared")
        console.run("mailbox", "share", "add", ANNA, BEN)
        console.run("mailbox", "alias", "add", ANNA, "a@example.org")
        console.run("mailbox", "signature", "add", ANNA, "short", "--body", "-", "--main", input="A.")
        for address in ("new@example.org", "other@example.org"):
            console.run("mailbox", "request", address)
        console.run("campaign", "create", "spring.toml")
        console.run("campaign", "create", "spring.toml", "--name", "autumn")
        console.run("recipient", "add", "autumn", "lee@example.com", "--field", "name=Lee")
        console.run("campaign", "start", "autumn")
        _add_failed_message(console)
        yield console


def _add_failed_message(console: Console) -> None:
    with inside(console, ADA) as workspace:
        anna = workspace.add_mailbox("carla@example.org")
        workspace.add_message(
            anna, state="error", to=KIM, error_class="message", ready_at=system_clock() + timedelta(days=1)
        )


# Up to twenty processes, one after the other.
@pytest.mark.proof
@pytest.mark.timeout(300)
@pytest.mark.parametrize("story", STORIES)
def test_a_process_says_what_the_same_command_says_without_one(
    story: str, prepared: Console, tmp_path: Path
) -> None:
    console, process = prepared.moved(tmp_path / "console"), prepared.moved(tmp_path / "process").process
    for status, words in typed(STORIES[story]):
        called, started = (each.run(*words, check_status=status) for each in (console, process))
        assert without_time(called.stdout) == without_time(started.stdout), words
        assert without_time(called.stderr) == without_time(started.stderr), words


def without_time(text: str) -> str:
    """What does not depend on when and where a command runs, nor on chance."""
    text = re.sub(r"\d{4}-?\d\d-?\d\d[T ]\d\d:?\d\d:?\d\d(?:\.\d+)?Z?", "INSTANT", text)
    text = re.sub(r"[0-9a-f]{32,}|whsec_\S+", "TOKEN", text)
    return re.sub(r"/(console|process)/", "/HOME/", text)


def commands_below(command: Any, *path: str) -> Iterator[str]:
    """Each command that does something, by its words."""
    children = command.list_commands(None) if hasattr(command, "list_commands") else ()
    if not children or command.invoke_without_command:
        yield " ".join(path)
    for name in children:
        yield from commands_below(command.get_command(None, name), *path, name)


def test_each_command_is_started_as_a_process_by_some_test() -> None:
    known = set(commands_below(typer.main.get_command(root)))
    started = {command for commands in ELSEWHERE.values() for command in commands}
    for story in STORIES.values():
        for _, words in typed(story):
            started |= {" ".join(words[:count]) for count in (1, 2, 3)} & known
    assert known == started
