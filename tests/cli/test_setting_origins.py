"""Each setting says where its value is from, can be taken back, and begins anew at a connect (B3, C4)."""

import shlex
from collections.abc import Iterator

import pytest

from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support.console import Console

PASSWORD = "of-the-sandbox"
ANNA, BEN = "anna@sandbox.example.org", "ben@example.org"
ALIAS = "a@example.org"
# Each setting: what sets it, what that shows, and what takes it back.
SETTINGS: dict[str, tuple[str, object, str]] = {
    "sender_name": ('set ANNA --sender-name "Anna O\'A"', "Anna O'A", "set ANNA --sender-name ''"),
    "name": ("set ANNA --name 'my first'", "my first", "set ANNA --name ''"),
    "daily_limit": ("set ANNA --daily-limit 7", 7, "set ANNA --daily-limit plan"),
    "ramp": ("set ANNA --ramp 2,3,9", "2,3,9", "set ANNA --ramp off"),
    "gap": ("set ANNA --gap 90s", 90, "set ANNA --gap default"),
    "timezone": ("set ANNA --timezone Asia/Tokyo", "Asia/Tokyo", "set ANNA --timezone workspace"),
    "access": ("set ANNA --access shared", "shared", "set ANNA --access personal --yes"),
    "shared_with": (f"share add ANNA {BEN}", BEN, f"share remove ANNA {BEN}"),
    "folders": ("set ANNA --folders Sent", "INBOX, Sent", "set ANNA --folders default"),
    "sent_copy": ("set ANNA --sent-copy off", "off", "set ANNA --sent-copy auto"),
    "sends_as": (f"alias add ANNA {ALIAS} --use", ALIAS, f"alias remove ANNA {ALIAS}"),
    "contact_book": (
        "crm ANNA --on --incoming all",
        "incoming all, outgoing known",
        "crm ANNA --off --incoming known",
    ),
    "signature": ("signature add ANNA work --body - --main", "work", "signature remove ANNA work"),
}
DEFAULTS = {
    "sender_name": ("anna", "user"),
    "name": (None, "default"),
    "daily_limit": (500, "plan"),
    "ramp": (None, "default"),
    "gap": (60, "default"),
    "timezone": ("UTC", "workspace"),
    "access": ("personal", "default"),
    "shared_with": (None, "default"),
    "folders": ("INBOX", "default"),
    "sync_every": (300, "plan"),
    "sent_copy": ("auto", "default"),
    "sends_as": (ANNA, "default"),
    "contact_book": ("off", "default"),
    "signature": (None, "default"),
}


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


@pytest.fixture
def anna(console: Console, server: SandboxInfo) -> Console:
    """Who has a mailbox with every setting at its default."""
    smtp, imap = (f"{end.host}:{end.port}" for end in (server.smtp, server.imap))
    login = ("--smtp", smtp, "--imap", imap, "--security", "none", "--password-stdin")
    console.run("mailbox", "connect", ANNA, *login, input=PASSWORD)
    console.run("settings", "set", "timezone=UTC")
    console.run("user", "add", BEN)
    console.run("plan", "set", "--shared", "on")
    return console


def shown(console: Console) -> dict[str, tuple[object, str]]:
    """As scripts see it."""
    found = console.run("mailbox", "show", ANNA, "--json").json()["settings"]
    return {name: (each["value"], each["from"]) for name, each in found.items()}


def told(console: Console) -> dict[str, str]:
    """Where people are told that each setting is from."""
    lines = console.run("mailbox", "show", ANNA).stdout.splitlines()
    return {name: line.split()[-1] for name in DEFAULTS for line in lines if line.startswith(in_table(name))}


def in_table(name: str) -> str:
    """How the row of a setting begins."""
    return name.replace("_", " ") + "  "


def mailbox(console: Console, command: str) -> None:
    console.run("mailbox", *shlex.split(command.replace("ANNA", ANNA)), input="Anna\n")


def test_b3_each_setting_is_own_once_it_is_set_and_can_be_taken_back(anna: Console) -> None:
    assert shown(anna) == DEFAULTS
    assert told(anna) == {name: origin for name, (_, origin) in DEFAULTS.items()}
    for name, (command, value, back) in SETTINGS.items():
        mailbox(anna, command)
        assert shown(anna)[name] == (value, "own")
        # Nobody shares what is personal.
        if name != "access":
            mailbox(anna, back)
            assert shown(anna)[name] == DEFAULTS[name]
    assert shown(anna) == DEFAULTS | {"access": ("shared", "own")}
    mailbox(anna, SETTINGS["access"][2])
    assert shown(anna) == DEFAULTS


def test_c3_c4_a_reconnect_keeps_every_setting_and_a_new_connection_tells_how_to_set_each_again(
    anna: Console,
) -> None:
    for command, *_ in SETTINGS.values():
        mailbox(anna, command)
    own = shown(anna)
    assert {name: each for name, each in own.items() if each[1] != "own"} == {"sync_every": (300, "plan")}
    assert told(anna) == {name: origin for name, (_, origin) in own.items()}
    anna.run("mailbox", "reconnect", ANNA, "--password-stdin", input=PASSWORD)
    assert shown(anna) == own
    anna.run("mailbox", "disconnect", ANNA, "--yes")
    command = ("mailbox", "connect", ANNA, "--password-stdin", "--json")
    reset = anna.run(*command, input=PASSWORD).json()["reset"]
    assert shown(anna) == DEFAULTS
    for again in reset.values():
        anna.run(*shlex.split(again)[1:])
    assert shown(anna) == own


def test_b3_what_the_user_the_plan_and_the_workspace_say_is_followed_until_a_mailbox_says_otherwise(
    anna: Console,
) -> None:
    anna.run("user", "set", ANNA, "--name", "Anna Example")
    anna.run("plan", "set", "--daily-cap", "300")
    followed = shown(anna)
    assert (followed["sender_name"], followed["daily_limit"]) == (("Anna Example", "user"), (300, "plan"))
    mailbox(anna, "set ANNA --daily-limit 300 --sender-name 'Anna Example'")
    own = shown(anna)
    assert (own["sender_name"], own["daily_limit"]) == (("Anna Example", "own"), (300, "own"))
    anna.run("plan", "set", "--daily-cap", "200", "--force")
    assert shown(anna)["daily_limit"] == (200, "plan")
