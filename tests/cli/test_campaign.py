"""`mailrotate campaign` and `suppression` as a person types them."""

from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import pytest

from mailrotate.sandbox.server import Sandbox
from tests.support.console import Console
from tests.support.program import Program

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "campaign"
ANNA, BEN = "anna@sandbox.example.org", "ben@sandbox.example.org"


@pytest.fixture
def program(tmp_path: Path) -> Program:
    copytree(EXAMPLE, tmp_path / "campaign")
    return Console(tmp_path, {"MAILROTATE_PASSWORD": "try-me"})


@pytest.fixture
def connected(program: Program, home: Path) -> Iterator[Program]:
    """Two mailboxes of a sandbox, connected."""
    with Sandbox(password="try-me") as sandbox:
        smtp, imap = sandbox.info.smtp, sandbox.info.imap
        for address in (ANNA, BEN):
            program.run(
                *("mailbox", "connect", address, "--security", "none", "--gap", "0s"),
                *("--smtp", f"{smtp.host}:{smtp.port}", "--imap", f"{imap.host}:{imap.port}"),
            )
        yield program


def test_d1_check_names_every_mistake_and_needs_no_workspace(program: Program) -> None:
    assert program.run("campaign", "check", "campaign/campaign.toml", "--json").json() == {
        "name": "autumn-intro",
        "steps": 3,
        "fields": ["company"],
        "warnings": [],
    }
    (program.home / "bad.toml").write_text('nmae = "x"\n[[steps]]\ndelay = "3"\nbody = "none.md"\n')
    failed = program.run("campaign", "check", "bad.toml", "--json", check_status=2)
    assert failed.stdout == ""
    assert failed.error()["code"] == "campaign.invalid"
    assert len(failed.error()["problems"]) >= 4
    (program.home / "bad.toml").write_text(
        'name = "x"\nwindow = { days = "mon-fry", hours = "18-9" }\nholidays = "DD"\n'
        '[[steps]]\nsubject = "s"\ntext = "{{ a | shout }}"\n'
    )
    problems = program.run("campaign", "check", "bad.toml", "--json", check_status=2).error()["problems"]
    places = [": ".join(problem.split(": ")[:2]) for problem in problems]
    assert places == [
        *("bad.toml:2: window", "bad.toml:2: window", "bad.toml:3: holidays", "bad.toml:6: steps[1].text"),
    ]
    assert not (program.home / "workspace.db").exists()


def test_e1_e3_from_a_file_to_a_running_rotation_and_its_end(connected: Program) -> None:
    run = connected.run
    made = run("campaign", "create", "campaign/campaign.toml", "--from", ANNA, "--json").json()
    assert (made["rotation"], made["senders"], made["version"]) == (None, [ANNA], 1)
    for file in (connected.home / "campaign").iterdir():
        file.unlink()
    assert run("campaign", "start", "autumn-intro", check_status=4).stderr.splitlines() == [
        "error: campaign 'autumn-intro' has no recipients",
        "hint: mailrotate recipient import autumn-intro FILE",
    ]
    rows = (EXAMPLE / "people.csv").read_text(encoding="utf-8")
    assert run("recipient", "import", "autumn-intro", "-", "--json", input=rows).json()["imported"] == 12
    previewed = run("campaign", "preview", "autumn-intro", "--html", "step.html").stdout
    assert "Subject  A question about Birchwood Tools" in previewed
    assert "<strong>Birchwood Tools</strong>" in (connected.home / "step.html").read_text(encoding="utf-8")
    tested = run("campaign", "test", "autumn-intro", "--to", "me@example.com", "--step", "2", "--json").json()
    assert (tested["state"], tested["subject"]) == ("sent", "Re: A question about Birchwood Tools")

    started = run("campaign", "start", "autumn-intro", "--from", ANNA, "--from", BEN, "--json").json()
    assert started["assigned"] == {ANNA: 6, BEN: 6}
    refused = run("campaign", "start", "autumn-intro", "--from", ANNA, "--json", check_status=4)
    assert refused.error()["code"] == "campaign.not_draft"

    run("run", "--once")
    shown = run("campaign", "show", "autumn-intro", "--json").json()
    assert shown["senders"] == [
        {
            "address": address,
            "state": "connected",
            "assigned": 6,
            "sent": 6,
            "grace_until": None,
            "paused_at": None,
            "hold_reason": None,
        }
        for address in (ANNA, BEN)
    ]
    assert shown["recipients"]["active"] == 12
    assert [(step["n"], step["delay"], step["sent"]) for step in shown["steps"]] == [
        (1, 0, 12),
        (2, 259_200, 0),
        (3, 604_800, 0),
    ]
    assert shown["next_send_at"].endswith("Z")
    (row,) = run("status", "--json").json()["campaigns"]
    assert row["sent"] == 12, "the test message went to no recipient"

    # Nothing is asked, and no consequence told, of what is refused anyway.
    assert run("campaign", "delete", "autumn-intro", check_status=4).stderr.splitlines() == [
        "error: campaign 'autumn-intro' is active: only a draft can be deleted",
        "hint: mailrotate campaign stop autumn-intro",
    ]
    run("campaign", "pause", "autumn-intro")
    resumed = run("campaign", "resume", "--all", "--json").json()
    assert (resumed["resumed"], resumed["refused"]) == (["autumn-intro"], [])
    assert [(one["name"], one["recipients"]) for one in resumed["campaigns"]] == [("autumn-intro", 12)]
    shown = run("campaign", "stop", "autumn-intro", "--dry-run", "--json").json()
    assert (shown["changed"], len(shown["consequences"])) == (False, 2)
    unconfirmed = run("campaign", "stop", "autumn-intro", check_status=7)
    assert "12 recipients who are still open in 'autumn-intro' will get nothing more" in unconfirmed.stderr
    assert run("campaign", "stop", "autumn-intro", "--yes", "--json").json()["ended"] == 12
    assert [row["state"] for row in run("campaign", "list", "--json").json()] == ["finished"]
    ended = run("campaign", "stop", "autumn-intro", check_status=4)
    assert ended.stderr.startswith("error: campaign 'autumn-intro' is finished and cannot be stopped\n")
    copied = run("campaign", "copy", "autumn-intro", "--name", "my copy").stdout
    assert copied.startswith("copied to campaign 'my copy'")
    assert run("campaign", "start", "my copy", check_status=4).stderr.splitlines()[1] == (
        "hint: mailrotate recipient import 'my copy' FILE"
    )


def test_d8_an_import_reports_by_line_and_i4_obeys_suppressions(connected: Program) -> None:
    run = connected.run
    run("campaign", "create", "campaign/campaign.toml")
    assert run("suppression", "add", "Kim@Birchwood.example.com", "--json").json() == {
        "kind": "address",
        "value": "kim@birchwood.example.com",
        "added": True,
        "ended": 0,
    }
    (connected.home / "bad.csv").write_text(
        "E-Mail;Company\nkim@birchwood.example.com;Birchwood\nlee@example.com;\nmo@example.com;Mo\n"
    )
    strict = run("recipient", "import", "autumn-intro", "bad.csv", "--strict", "--json", check_status=2)
    assert strict.json()["imported"] == 0
    assert strict.error()["code"] == "import.strict"
    done = run("recipient", "import", "autumn-intro", "bad.csv", "--json", check_status=8)
    assert done.json() == {
        "imported": 1,
        "duplicate": 0,
        "suppressed": 1,
        "invalid": 1,
        "several_addresses": 0,
        "problems": [
            {"line": 2, "email": "kim@birchwood.example.com", "problem": "is suppressed"},
            {"line": 3, "email": "lee@example.com", "problem": "has no company, which the text needs"},
        ],
    }
    told = run("recipient", "import", "autumn-intro", "bad.csv", check_status=8)
    assert told.stdout == "0 imported into 'autumn-intro'; 1 duplicate, 1 suppressed, 1 invalid\n"
    assert "line 4: mo@example.com: is in the campaign already" in told.stderr

    assert run("recipient", "list", "autumn-intro", "--json").json() == [
        {
            "id": "r_1",
            "email": "mo@example.com",
            "state": "queued",
            "reason": None,
            "sender": None,
            "assigned_reason": None,
            "assigned_because": None,
            "step": 1,
            "sent": 0,
            "next_at": None,
        }
    ]
    run("suppression", "remove", "kim@birchwood.example.com", check_status=7)
    run("suppression", "remove", "kim@birchwood.example.com", "--yes")
    run("recipient", "add", "autumn-intro", "kim@birchwood.example.com", "--field", "company=B")
    shown = run("recipient", "show", "autumn-intro", "kim@birchwood.example.com", "--json").json()
    assert shown["fields"] == {"company": "B"}
    run("recipient", "remove", "autumn-intro", "kim@birchwood.example.com", "--yes")
    gone = run(
        "recipient", "show", "autumn-intro", "kim@birchwood.example.com", "--json", check_status=3
    ).error()
    assert gone["code"] == "recipient.none"
