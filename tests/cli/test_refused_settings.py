"""Every wrong value of `mailbox set` is refused by name, and nothing is stored (B3, B4, B6, B7, I3)."""

from collections.abc import Iterator

import pytest
from sqlalchemy import select

from mailrotate.core.store import tables as t
from mailrotate.sandbox.server import Sandbox, SandboxInfo
from tests.support.console import Console

# What is refused is written to no database.
pytestmark = pytest.mark.parametrize("store", ["sqlite"], indirect=True)

PASSWORD = "of-the-sandbox"
INJECTED = "Anna\r\nBcc: all@example.com"
# Flag, value, exit status, code; and what of the value is said back, where it is not said as it was typed.
WRONG: tuple[tuple[str, str, int, str, str], ...] = (
    *(("--daily-limit", value, 2, "limit.invalid", value) for value in ("0", "-1", "1.5", "", "9" * 20, "٣")),
    ("--daily-limit", "501", 4, "limit.above_cap", "501"),
    *(("--gap", value, 2, "duration.invalid", value) for value in ("90", "-5s", "", "soon", "999999999w")),
    ("--gap", "8d", 2, "mailbox.gap", "1w1d"),
    *(("--timezone", value, 2, "timezone.unknown", value) for value in ("Mars/Olympus", "", "../etc/passwd")),
    *(("--ramp", value, 2, "mailbox.ramp", value) for value in ("20,10,5", "0,1,10", "1,0,10", "-1,1,10")),
    *(("--ramp", value, 2, "mailbox.ramp", value) for value in ("20", "a,b,c", "", "1,1,1,1", "²,1,5", "on")),
    ("--ramp", "1,1,501", 4, "limit.above_cap", "501"),
    *(("--access", value, 2, "mailbox.access", value) for value in ("everybody", "")),
    ("--access", "shared", 4, "plan.no_sharing", "shared"),
    *(
        (flag, value, 2, "server.invalid", value)
        for flag in ("--smtp", "--imap")
        for value in ("localhost:0", "localhost:70000", "local host:25", "localhost", "", ":25", "::1:25")
    ),
    ("--imap", "localhost:143\r\nX", 2, "server.invalid", r"localhost:143\r\nX"),
    ("--security", "ssl", 2, "usage", "ssl"),
    *(("--username", value, 2, "username.invalid", value) for value in ("", "  ")),
    ("--username", "anna\r\nA1 DELETE", 2, "username.invalid", r"anna\r\nA1 DELETE"),
    *(("--sender-name", value, 2, "mailbox.name", value[:60]) for value in (" ", "x" * 201, "ü" * 999)),
    ("--sender-name", INJECTED, 2, "mailbox.name", r"Anna\r\nBcc: all@example.com"),
    ("--sender-name", "Anna\x1b[31m\0", 2, "mailbox.name", r"Anna\x1b[31m\x00"),
    ("--name", "x\ny", 2, "mailbox.name", r"x\ny"),
    *(("--sent-copy", value, 2, "mailbox.sent_copy", value) for value in ("maybe", "")),
    ("--folders", "", 2, "folder.unnamed", "''"),
    ("--folders", "Nowhere", 3, "folder.none", "Nowhere"),
    ("--password-file", "/nowhere", 2, "password.unreadable", "/nowhere"),
)


@pytest.fixture(scope="module")
def server() -> Iterator[SandboxInfo]:
    with Sandbox(password=PASSWORD) as sandbox:
        yield sandbox.info


@pytest.fixture
def anna(console: Console, server: SandboxInfo) -> str:
    anna = server.senders[0]
    smtp, imap = (f"{end.host}:{end.port}" for end in (server.smtp, server.imap))
    login = ("--smtp", smtp, "--imap", imap, "--security", "none", "--password-stdin")
    console.run("mailbox", "connect", anna, *login, input=PASSWORD)
    return anna


def stored(console: Console) -> list[object]:
    """Every row that a change of settings could touch, or write."""
    tables = (t.mailbox, t.connection, t.folder, t.event)
    with console.store.reading() as connection:
        return [connection.execute(select(table).order_by(*table.primary_key)).all() for table in tables]


def test_b3_b4_b6_b7_i3_a_wrong_value_is_refused_by_name_and_spoils_what_stands_beside_it(
    console: Console, anna: str
) -> None:
    before = stored(console)
    for flag, value, status, code, told in WRONG:
        good = ("--sender-name", "Anna A.") if flag == "--name" else ("--name", "mine")
        done = console.run("mailbox", "set", anna, *good, flag, value, "--json", check_status=None)
        error = done.error()
        assert (done.status, error["code"]) == (status, code), (flag, value)
        said = f"{error['message']} {error['hint']}"
        assert flag in said, said
        assert told in said, said
        assert stored(console) == before, (flag, value)


@pytest.mark.parametrize("typed", ["", "\n", "\r\nsecret"])
def test_b7_an_empty_password_is_refused_before_any_server_is_asked(
    console: Console, anna: str, typed: str
) -> None:
    before = stored(console)
    command = ("mailbox", "set", anna, "--gap", "5m", "--password-stdin", "--json")
    error = console.run(*command, input=typed, check_status=2).error()
    assert (error["code"], "--password-stdin" in error["message"]) == ("password.empty", True)
    assert stored(console) == before


def test_b3_nothing_is_not_a_setting(console: Console, anna: str) -> None:
    assert console.run("mailbox", "set", anna, "--json", check_status=2).error()["code"] == "mailbox.nothing"
