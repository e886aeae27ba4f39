"""Who must never be written to: lists, domains and spellings, from the command line (D6, I4)."""

from pathlib import Path

import pytest

from mailrotate.core.store.engine import Store
from tests.support.console import Console
from tests.support.program import Completed
from tests.support.rows import Workspace


@pytest.fixture
def program(store: Store, workspace: Workspace, tmp_path: Path) -> Console:
    workspace.add_campaign("autumn", [workspace.add_mailbox("anna@sender.example")], state="draft")
    console = Console.on(store, tmp_path)
    console.env["MAILROTATE_USER"] = workspace.admin.email
    return console


def suppressing(program: Console, content: str, status: int = 0) -> Completed:
    (program.home / "list.txt").write_text(content, encoding="utf-8")
    return program.run("suppression", "import", "list.txt", "--json", check_status=status)


def suppressed(program: Console) -> list[tuple[str, str]]:
    return [(row["kind"], row["value"]) for row in program.run("suppression", "list", "--json").json()]


def problems(program: Console, *addresses: str) -> dict[str, str]:
    """What an import says about each address; nothing about one that it takes."""
    rows = "email,name\n" + "".join(f"{address},Kim\n" for address in addresses)
    done = program.run(
        "recipient", "import", "autumn", "-", "--json", "--dry-run", input=rows, check_status=None
    )
    return {row["email"]: row["problem"] for row in done.json()["problems"]}


def test_i4_row_04_a_hash_within_an_address_is_no_comment(program: Console) -> None:
    suppressing(
        program,
        "john.smith#1@example.org\nann.lee#2@example.net\nkim#tag@example.org\nbob#x@example.net # left\n"
        "# a line of its own\n  # another\nlee@example.org\t#after a tab\nmoe@example.org#none\u00a0# pia\n",
        status=8,
    )
    assert [value for _, value in suppressed(program)] == [
        "john.smith#1@example.org",
        "ann.lee#2@example.net",
        "kim#tag@example.org",
        "bob#x@example.net",
        "lee@example.org",
    ]


def test_i4_row_05_everybody_at_a_domain_is_read_as_the_domain_and_nonsense_refused(program: Console) -> None:
    done = suppressing(
        program,
        "*@wild.example\n%@wild3.example\n*@sub.wild.example\n*.below.example\n@at.example\n"
        "kim*@wild5.example\n*\n*@*\nnobody\nhttps://wild6.example\nwww.site.example\n",
        status=8,
    )
    assert suppressed(program) == [
        ("domain", "wild.example"),
        ("domain", "wild3.example"),
        ("domain", "sub.wild.example"),
        ("domain", "below.example"),
        ("domain", "at.example"),
        ("domain", "site.example"),
    ]
    assert [problem["line"] for problem in done.json()["problems"]] == [6, 7, 8, 9, 10]
    assert problems(program, "kim@wild.example", "lee@wild4.example") == {"kim@wild.example": "is suppressed"}


def test_i4_row_06_a_suppressed_domain_covers_what_is_below_it(program: Console) -> None:
    suppressing(program, "at.example\n")
    refused = problems(
        program, "j@at.example", "k@sub.at.example", "l@a.b.c.at.example", "m@flat.example", "n@example.com"
    )
    assert list(refused) == ["j@at.example", "k@sub.at.example", "l@a.b.c.at.example"]
    said = program.run("suppression", "add", "firm.example").stdout
    assert said.startswith("firm.example (domain, with those below it) is suppressed")
    assert "below" in program.run("suppression", "add", "--help").stdout


def test_i4_row_07_spellings_of_one_gmail_address_are_one_person(program: Console) -> None:
    program.run("suppression", "add", "jane.doe@gmail.com")
    spellings = ("janedoe@gmail.com", "jane.doe+x@gmail.com", "jane.doe@googlemail.com", "JANE.DOE@gmail.com")
    assert len(problems(program, *spellings)) == 4
    assert problems(program, "janedoe@example.com", "jane.doe@gmail.example") == {}
    assert "was suppressed already" in program.run("suppression", "add", "janedoe+y@googlemail.com").stdout
    program.run("suppression", "remove", "j.anedoe@gmail.com", "--yes")
    assert problems(program, "jane.doe@gmail.com") == {}


def test_d8_row_07_a_duplicate_in_another_spelling_is_reported_by_its_line(program: Console) -> None:
    rows = (
        "email,name\njanedoe@gmail.com,A\njane.doe+x@gmail.com,B\njane.doe@googlemail.com,C\n"
        "JANE.DOE@gmail.com,D\n"
    )
    done = program.run("recipient", "import", "autumn", "-", "--json", input=rows, check_status=8).json()
    assert (done["imported"], done["duplicate"]) == (1, 3)
    assert {(row["line"], row["problem"]) for row in done["problems"]} == {
        (line, "an earlier line has the same address") for line in (3, 4, 5)
    }
    command = ("recipient", "add", "autumn", "ja.ne.doe@googlemail.com", "--field", "name=E")
    again = program.run(*command, check_status=4)
    assert "is in the campaign already" in again.stderr
    shown = program.run("recipient", "show", "autumn", "jane.doe@gmail.com", "--json").json()
    assert shown["email"] == "janedoe@gmail.com"


def test_i4_row_20_the_list_cuts_apostrophes_and_an_export_reads_back_as_it_was(program: Console) -> None:
    suppressing(
        program, "'b@example.com\n'+c@example.com\no'neil@example.com\nkim#1@example.com\n'example.net\n"
    )
    program.run("suppression", "add", "#d@example.com")
    exported = program.run("suppression", "export").stdout
    before = suppressed(program)
    assert ("address", "b@example.com") in before
    assert ("address", "#d@example.com") in before
    for _, value in before:
        program.run("suppression", "remove", value, "--yes")
    suppressing(program, exported)
    assert suppressed(program) == before


def test_i4_row_19_a_list_is_taken_in_portions_of_thousands(program: Console) -> None:
    done = suppressing(program, "".join(f"x{i}@bulk{i % 50}.example\n" for i in range(12_000)))
    assert done.json() == {"added": 12_000, "known": 0, "ended": 0, "problems": []}
    # One line of the log for each portion.
    log = program.run("log", "--json").json()
    assert [row["action"] for row in log].count("suppressions.imported") == 3
    again = suppressing(program, "".join(f"x{i}@bulk{i % 50}.example\n" for i in range(12_001)))
    assert (again.json()["added"], again.json()["known"]) == (1, 12_000)


def test_i4_a_list_in_another_encoding_is_refused_with_the_command_that_reads_it(program: Console) -> None:
    content = "kim@example.com # Jürgen\n"
    (program.home / "list.txt").write_bytes(content.encode("cp1252"))
    refused = program.run("suppression", "import", "list.txt", "--reason", "asked", check_status=2)
    assert "hint: mailrotate suppression import list.txt --reason asked --encoding cp1252" in refused.stderr
    assert suppressed(program) == []
    program.run("suppression", "import", "list.txt", "--encoding", "cp1252")
    (program.home / "list.txt").write_bytes("lee@example.com\r\n".encode("utf-16"))
    program.run("suppression", "import", "list.txt")
    assert [value for _, value in suppressed(program)] == ["kim@example.com", "lee@example.com"]
