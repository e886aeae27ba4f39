"""What is suggested when a command or an option does not exist."""

from typing import Any

import pytest
import typer

from mailrotate.cli import synonyms
from mailrotate.cli.main import root
from tests.cli.test_global_options import commands
from tests.support.console import Console

ROOT: Any = typer.main.get_command(root)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("mailbx list", "mailbox"),
        ("mailbox lst", "list or set"),
        # Another word for it.
        ("mailbox add anna@example.org", "connect"),
        ("mailbox ls", "list"),
        ("mailbox delete anna@example.org", "remove"),
        ("mailbox login", "connect"),
        ("settings list", "show"),
        ("limits list", "show"),
        ("campaign new", "create"),
        ("campaign add", "create"),
        ("recipient create", "add"),
        ("user create", "add"),
        ("user delete", "remove"),
        ("user invite", "add"),
        ("outbox ls", "list"),
        ("mailbox signature new", "add"),
        ("send", "run"),
        ("version", "--version"),
        ("team", "user"),
        # The verb of another noun.
        ("campaign import people.csv", "recipient import or suppression import"),
        ("start", "campaign start"),
        ("stop", "campaign stop"),
        ("pause", "mailbox pause or campaign pause"),
        ("backup", "db backup"),
    ],
)
def test_an_unknown_command_is_told_what_was_meant(console: Console, line: str, meant: str) -> None:
    refused = console.run(*line.split(), check_status=2)
    assert refused.stderr.splitlines()[0].endswith(f"; did you mean {meant}?")


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("mailbox list --no-colour", "--no-color"),
        ("mailbox list -json", "--json"),
        ("mailbox list --format json", "--json"),
        ("mailbox list -o json", "--json"),
        ("mailbox remove anna@example.org --force", "--yes"),
        ("mailbox remove anna@example.org -f", "--yes"),
        ("mailbox remove anna@example.org -n", "--dry-run"),
        ("mailbox list --user ada@example.org", "--as"),
        ("mailbox --verbose list", "--debug"),
        ("--database x.db status", "--db"),
    ],
)
def test_an_unknown_option_is_told_what_was_meant(console: Console, line: str, meant: str) -> None:
    refused = console.run(*line.split(), check_status=2)
    assert refused.stderr.splitlines()[0].endswith(f"(Possible options: {meant})")


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)
@pytest.mark.parametrize("line", ["zzz", "mailbox zzz", "mailbox list --zzz", "mailbox list -z"])
def test_where_nothing_is_near_nothing_is_suggested(console: Console, line: str) -> None:
    refused = console.run(*line.split(), check_status=2).stderr
    assert "did you mean" not in refused
    assert "Possible options" not in refused


def test_every_synonym_leads_to_a_command_or_an_option_that_exists() -> None:
    """And none of them is a command itself where it would be used."""
    paths = [" ".join(path) for path in commands()]
    verbs = {path.rpartition(" ")[2] for path in paths}
    nouns = set(ROOT.list_commands(None))
    options = {name for param in ROOT.params for name in param.opts} | options_below(ROOT)
    assert {verb for meant in synonyms.VERBS.values() for verb in meant} <= verbs
    assert {line for meant in synonyms.COMMANDS.values() for line in meant} <= {*paths, "--version"}
    assert not set(synonyms.COMMANDS) & nouns
    assert {name for meant in synonyms.OPTIONS.values() for name in meant} <= options


def options_below(command: Any) -> set[str]:
    names = command.list_commands(None) if hasattr(command, "list_commands") else ()
    children = [command.get_command(None, name) for name in names]
    return {name for param in command.params for name in param.opts}.union(*map(options_below, children))
