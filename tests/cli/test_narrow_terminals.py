"""Each listing on terminals of 80 and 100 columns.

A row takes one line, nothing that people copy is cut, and a line below the table names the columns left out.
"""

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert, update

from mailrotate.cli.table import print_on_terminal
from mailrotate.core.store import tables as t
from tests.support.console import Console
from tests.support.inside import inside
from tests.support.rows import NOW, Workspace

ADA = "ada@example.org"
# As long as addresses of companies are.
ANNA, BEN = "anna.lindqvist-berg@outreach.example.org", "benedict.okafor@outreach-two.example.org"
KIM, LEE = "kimberley.harrington@birchwood.example.com", "lee@example.com"
CAMPAIGN = "autumn-intro-for-the-north"
HOOK = "http://127.0.0.1:9000/hooks/mailrotate/of-the-outreach-team"
TROUBLE = "auth: 535 5.7.8 the user name or the password is wrong, says the server at great length"
NOT_SHOWN = "not shown at this width: "

# Each command with what every row must show whole.
LISTINGS = {
    "status": {ANNA, BEN},
    "mailbox list": {ANNA, BEN},
    "mailbox requests": {"q_1"},
    f"mailbox signature list {ANNA}": {"formal"},
    f"mailbox alias list {ANNA}": {"a.lindqvist@example.org"},
    f"mailbox share list {ANNA}": {"mia@example.org"},
    "campaign list": {CAMPAIGN},
    f"campaign show {CAMPAIGN}": {ANNA, BEN},
    f"recipient list {CAMPAIGN}": {KIM, LEE},
    "outbox list": {"m_1", "m_2", "m_3"},
    "outbox list --state error": {"m_2"},
    "contact list": {KIM, LEE},
    f"contact show {KIM}": {CAMPAIGN},
    "suppression list": {"p_1", "blocked.partners-of-ours.example.com"},
    "user list": {ADA, "mia@example.org"},
    "slot list": {"s_1", "s_2", ANNA, BEN},
    "runner list": {"run_1"},
    f"campaign sender list {CAMPAIGN}": {ANNA, BEN},
    "webhook list": {"w_1", HOOK},
    "limits show": {"google.day", "microsoft.minute"},
    "db stats": {"message"},
}


@pytest.fixture(scope="module")
def program(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    home = tmp_path_factory.mktemp("narrow")
    program = Console(home).at(NOW)
    program.run("init", "--email", ADA)
    with inside(program, ADA) as workspace:
        fill(program, workspace)
        yield program


def fill(program: Console, workspace: Workspace) -> None:
    program.run("plan", "set", "--shared", "on")
    program.run("settings", "set", "timezone=America/Argentina/Buenos_Aires")
    mia = workspace.add_user("mia@example.org")
    anna = workspace.add_mailbox(ANNA)
    ben = workspace.add_mailbox(BEN, state="failed", last_error=TROUBLE)
    campaign = workspace.add_campaign(CAMPAIGN, [anna, ben], steps=((timedelta(), "A question " * 9, "Hi"),))
    senders = workspace.senders(campaign)
    people = [
        workspace.add_recipient(campaign, address, sender_id=sender, next_at=NOW)
        for address, sender in zip((KIM, LEE), senders, strict=True)
    ]
    workspace.add_message(anna, campaign, people[0], to=KIM)
    refused = {
        "error_class": "message",
        "error_code": 552,
        "error_enhanced": "5.3.4",
        "error_text": "too big",
    }
    workspace.add_message(anna, campaign, people[1], to=LEE, state="error", **refused)
    workspace.add_sent(ben, NOW, to=KIM)
    workspace.add_runner()
    with workspace.store.writing() as connection:
        connection.execute(
            update(t.recipient)
            .where(t.recipient.c.id == people[1])
            .values(state="failed", reason="mailbox_removed", next_at=None)
        )
        connection.execute(
            insert(t.signature).values(connection_id=anna.connection_id, name="formal", body="Regards " * 20)
        )
        away = {"mailbox_id": ben.id, "campaign_id": campaign.id, "kind": "failure"}
        ends_at = NOW + timedelta(days=9)
        connection.execute(insert(t.deadline).values(**away, started_at=NOW, ends_at=ends_at))
    program.run("mailbox", "set", ANNA, "--access", "shared")
    program.run("mailbox", "share", "add", ANNA, mia.email)
    program.run("mailbox", "alias", "add", ANNA, "a.lindqvist@example.org")
    program.run("--as", mia.email, "mailbox", "request", "mia.of-the-long-name@outreach.example.org")
    program.run("suppression", "add", "blocked.partners-of-ours.example.com", "--reason", "asked us by phone")
    program.run("webhook", "add", HOOK, "--event", "mailbox.failed", "--event", "campaign.paused")
    for tag in ("customer", "trade-fair-of-last-year", "speaks-german"):
        program.run("contact", "tag", tag, KIM)


@pytest.mark.parametrize("columns", [80, 100])
@pytest.mark.parametrize("command", LISTINGS)
def test_a_listing_fits_with_one_line_a_row(program: Console, command: str, columns: int) -> None:
    lines = program.on_terminal(columns, *command.split())
    # Sentences may be longer: the terminal wraps them. A table's lines stand around its rule.
    tables = [line for line in lines if line not in sentences(lines) and str(program.home) not in line]
    assert tables
    assert max(map(len, tables)) <= columns, "\n".join(tables)
    for shown in LISTINGS[command]:
        of_it = [line for line in tables if shown in line.split()]
        assert of_it, f"{shown} is cut or missing:\n" + "\n".join(tables)


def sentences(lines: list[str]) -> set[str]:
    """The lines outside tables: a table begins above a rule and ends at an empty line or its note."""
    inside: set[int] = set()
    for number, line in enumerate(lines):
        if line.startswith("──"):
            below = range(number, len(lines))
            end = next((n for n in below if not lines[n] or lines[n].startswith(NOT_SHOWN)), len(lines))
            inside |= {number - 1, *range(number, end)}
    return {line for number, line in enumerate(lines) if number not in inside}


@pytest.mark.parametrize(
    "command", ["mailbox list", f"recipient list {CAMPAIGN}", "outbox list", "user list"]
)
def test_each_row_takes_exactly_one_line(program: Console, command: str) -> None:
    rows = program.run(*command.split(), "--json").json()
    for columns in (80, 100, 200):
        lines = program.on_terminal(columns, *command.split())
        # The name of a zone may take a head of two lines.
        rule = next(number for number, line in enumerate(lines) if line.startswith("──"))
        assert len([line for line in lines[rule + 1 :] if not line.startswith(NOT_SHOWN)]) == len(rows)


@pytest.mark.parametrize("columns", [80, 100, 240])
@pytest.mark.parametrize("command", ["mailbox list", "outbox list", "campaign list", "webhook list"])
def test_a_line_below_the_table_names_the_columns_that_are_left_out(
    program: Console, command: str, columns: int
) -> None:
    head = program.run(*command.split()).stdout.splitlines()[0].lower()
    every = [re.sub(r" \(.*\)", "", name) for name in re.split(r"\s{2,}", head)]
    lines = program.on_terminal(columns, *command.split())
    shown = " ".join(lines[: next(n for n, line in enumerate(lines) if line.startswith("──"))])
    named = [line.removeprefix(NOT_SHOWN) for line in lines if line.startswith(NOT_SHOWN)]
    left_out = named[0].partition(";")[0].split(", ") if named else []
    assert left_out == [name for name in every if not re.search(rf"\b{name}\b", shown)]
    assert left_out if columns == 80 else columns == 100 or not left_out
    assert all("--json" in line for line in named)


def test_the_servers_words_are_shown_with_the_messages_in_error(program: Console) -> None:
    """They are what `outbox list --state error` is typed for; the README promises them."""
    assert any("too big" in line for line in program.on_terminal(80, "outbox", "list", "--state", "error"))


def test_a_wide_terminal_shows_every_column_and_a_pipe_always_does(program: Console) -> None:
    piped = program.run("outbox", "list").stdout.splitlines()[0].lower().split()
    wide = program.on_terminal(200, "outbox", "list")[0].lower().split()
    assert wide == piped
    narrow = program.on_terminal(80, "outbox", "list")[0].lower().split()
    assert set(narrow) < set(piped)
    assert narrow[:2] == ["id", "state"]


def test_on_a_terminal_that_is_far_too_narrow_an_address_is_still_there_to_copy(program: Console) -> None:
    # The terminal itself wraps it.
    assert f"address   {ANNA}" in program.on_terminal(30, "mailbox", "list")


def test_one_very_long_address_does_not_break_up_a_list(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    long = "maximilian.mustermann@vertrieb.beispielfirma.example.com"
    at = "2026-11-29 17:42:53"
    # Its end tells it from others of the same name.
    rows = [("m_1", "sent", KIM, at), ("m_2", "sent", long, at), ("m_3", "scheduled", LEE, at)]
    monkeypatch.setenv("COLUMNS", "80")
    print_on_terminal(("id", "state", "to", "when (Etc/UTC)"), rows, (), whole=False)
    _, _, first, second, third = capsys.readouterr().out.splitlines()
    assert second.split() == ["m_2", "sent", "maximilian.mustermann…pielfirma.example.com", *at.split()]
    assert KIM in first
    assert LEE in third

    # Where prose goes on in further lines, it shares the room with a cut address.
    refused = "login: 535 5.7.8 Authentication credentials invalid"
    print_on_terminal(("id", "to", "error"), [("m_2", long, refused)], (), whole=True)
    first, second = capsys.readouterr().out.splitlines()[2:]
    assert first.split()[:4] == ["m_2", "maximilian.musterman…elfirma.example.com", "login:", "535"]
    assert second.split() == ["credentials", "invalid"]

    # An address that names its row is what people copy: no id stands before it.
    print_on_terminal(("to", "state", "when"), [(long, "scheduled", at)], (), whole=False)
    assert capsys.readouterr().out.splitlines()[0].split() == ["to", long]


def test_columns_are_left_out_before_what_is_wrong_is_cut_short(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    columns = ("address", "state", "slot", "default", "trouble")
    row = ("anna@sandbox.example.org", "failed", "s_1", "yes", "Authentication failed: " * 5)
    print_on_terminal(columns, [row], ("default", "slot"), whole=False)
    head, _, listed, left_out = capsys.readouterr().out.splitlines()
    assert head.split() == ["address", "state", "slot", "trouble"]
    assert len(listed.partition("Authentication")[2]) > 20
    assert "default" in left_out


def test_a_row_that_cannot_fit_has_its_cells_below_each_other(program: Console) -> None:
    lines = program.on_terminal(80, "grace", "list")
    assert [re.split(r"\s{2,}", line) for line in lines] == [
        ["mailbox", BEN],
        ["campaign", CAMPAIGN],
        ["reason", "failed"],
        ["ends (America/Argentina/Buenos_Aires)", "2026-12-10 06:00:00"],
        ["left", "8d 23h"],
        ["recipients", "0"],
    ]
    assert len(program.on_terminal(120, "grace", "list")) == 5
