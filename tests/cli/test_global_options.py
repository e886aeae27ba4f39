"""Options that mean the same for every command, wherever in the command line they stand."""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import typer
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mailrotate.cli.call import Call
from mailrotate.cli.grammar import GLOBAL_LINE, GLOBAL_PANEL
from mailrotate.cli.main import root
from tests.support.console import Console

ROOT: Any = typer.main.get_command(root)
GLOBAL = ("--db", "--as", "--json", "--debug", "--no-color")
ADA = "ada@example.org"
ALL_GIVEN = Call(db="x.db", acting=ADA, as_json=True, debug=True, no_color=True)


def commands(command: Any = None, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """The path of every noun and verb."""
    command = command or ROOT
    for name in command.list_commands(None):
        child = command.get_command(None, name)
        yield (*path, name)
        if hasattr(child, "list_commands"):
            yield from commands(child, (*path, name))


@pytest.fixture(autouse=True)
def _leave_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    """--no-color writes into the environment of this process."""
    monkeypatch.delenv("NO_COLOR", raising=False)


def read(*words: str) -> Call:
    """What a command line says of the global options; `--help` ends it before the command does anything."""
    call = Call()
    ROOT.main([*words, "--help"], "mailrotate", standalone_mode=False, obj=call)
    return call


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_every_command_takes_the_global_options_before_between_and_after(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ("--db", "x.db", "--as", ADA, "--json", "--debug", "--no-color")
    assert read(*options, *path) == ALL_GIVEN
    assert read(*path, *options) == ALL_GIVEN
    assert (
        read(f"--as={ADA}", path[0], "--json", "--db=x.db", *path[1:], "--no-color", "--debug") == ALL_GIVEN
    )
    said = capsys.readouterr()
    assert said.out.startswith(f"Usage: mailrotate {' '.join(path)} ")
    assert said.err == ""


@pytest.mark.parametrize("path", list(commands()), ids=" ".join)
def test_help_of_a_command_names_the_global_options_in_one_line(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    read(*path)
    out = capsys.readouterr().out
    assert out.endswith(f"\n\n  {GLOBAL_LINE}\n")
    options = out.partition("\nOptions:\n")[2].partition("\n\n")[0].splitlines()
    assert [line for line in options if line.split()[0] in GLOBAL] == []
    assert "[[" not in out.partition("\n")[0]


def test_help_of_the_root_explains_each_global_option_once(capsys: pytest.CaptureFixture[str]) -> None:
    read()
    out = capsys.readouterr().out
    explained = out.partition(f"\n{GLOBAL_PANEL}:\n")[2].partition("\n\n")[0].splitlines()
    assert [line.split()[0] for line in explained] == list(GLOBAL)
    assert [out.count(f"  {name} ") for name in GLOBAL] == [1] * len(GLOBAL)


def test_no_command_has_an_option_of_its_own_by_a_global_name() -> None:
    for path in commands():
        found = ROOT
        for name in path:
            found = found.get_command(None, name)
        for param in found.params:
            assert not {*param.opts, *param.secondary_opts} & set(GLOBAL), (path, param.name)
            assert param.name not in asdict(Call()), (path, param.name)


positions = st.lists(st.integers(0, 2), min_size=len(GLOBAL), max_size=len(GLOBAL))


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(positions=positions, order=st.permutations(range(len(GLOBAL))), joined=st.booleans())
def test_any_position_and_order_gives_the_same_result(
    console: Console, positions: list[int], order: list[int], joined: bool
) -> None:
    if not console.said:
        console.run("init", "--email", ADA)
        console.run("user", "add", "ben@example.org")
    database = str(console.store.path)
    valued = [[f"--db={database}"], [f"--as={ADA}"]] if joined else [["--db", database], ["--as", ADA]]
    options = [*valued, ["--json"], ["--debug"], ["--no-color"]]
    line: list[list[str]] = [[], [], []]
    for number in order:
        line[positions[number]] += options[number]
    ran = console.run(*line[0], "user", *line[1], "show", *line[2], "ben@example.org")
    assert ran == console.run("user", "show", "ben@example.org", "--json")
    assert ran.json()["email"] == "ben@example.org"


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_a_value_that_looks_like_a_global_option_belongs_to_its_own(console: Console) -> None:
    console.run("init", "--email", ADA)
    named = console.run("user", "add", "ben@example.org", "--name", "--json")
    assert named.stdout == "added ben@example.org, member, with 2 slots\n"
    assert console.run("user", "show", "ben@example.org", "--json").json()["name"] == "--json"
    # Behind a bare -- everything is an argument.
    missing = console.run("user", "show", "--", "--json", check_status=3)
    assert missing.stderr.startswith("error: there is no user --json")
    assert "{" not in missing.stderr


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_of_two_values_the_last_one_wins(console: Console) -> None:
    console.run("init", "--email", ADA)
    for line in (
        ("--as", "nobody@example.org", "user", "list", "--as", ADA),
        ("user", "--as", "nobody@example.org", "--as", ADA, "list"),
        ("user", "list", "--as", "nobody@example.org", "--as", ADA),
    ):
        assert ADA in console.run(*line, "--json", "--json").stdout
    refused = console.run("--as", ADA, "user", "list", "--as", "nobody@example.org", check_status=3)
    assert "nobody@example.org" in refused.stderr


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        # No such user, found by the service.
        ("user show nobody@example.org", 3, "user.none"),
        # Wrong usage: a value, an option, a missing argument, one too many, a missing command, unknown ones.
        ("outbox list --limit many", 2, "usage"),
        ("mailbox list --bogus", 2, "usage"),
        ("mailbox show", 2, "usage"),
        ("mailbox show a b", 2, "usage"),
        ("mailbox", 2, "usage"),
        ("mailbox bogus word", 2, "usage"),
        ("bogus --word list", 2, "usage"),
        ("--bogus mailbox list", 2, "usage"),
        ("mailbox --bogus list", 2, "usage"),
    ],
)
def test_an_error_is_json_wherever_json_stands(console: Console, line: str, status: int, code: str) -> None:
    console.run("init", "--email", ADA)
    words = line.split()
    for place in range(len(words) + 1):
        if words[:place][-1:] == ["--limit"]:
            continue
        ran = console.run(*words[:place], "--json", *words[place:], check_status=status)
        assert ran.error()["code"] == code, place
        assert ran.stdout == ""
    plain = console.run(*words, check_status=status)
    assert "{" not in plain.stderr


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
def test_debug_after_the_command_shows_where_it_failed(console: Console) -> None:
    console.run("init", "--email", ADA)
    failed = console.run("user", "show", "nobody@example.org", "--debug", "--json", check_status=3)
    assert "Traceback (most recent call last)" in failed.stderr
    assert failed.error()["code"] == "user.none"


@pytest.mark.parametrize("words", [("mailbox", "list"), ("mailbox",), ()], ids=["verb", "noun", "root"])
def test_tab_offers_the_global_options_everywhere(tmp_path: Path, words: tuple[str, ...]) -> None:
    program = Console(tmp_path)
    line = " ".join(("mailrotate", *words, "--"))
    program.env |= {
        "_MAILROTATE_COMPLETE": "complete_bash",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) + 1),
    }
    assert set(GLOBAL) <= set(program.run().stdout.split())
