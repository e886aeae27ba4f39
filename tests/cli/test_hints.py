"""Every command that the program tells people to type exists, with the options that it is told with."""

import ast
import tomllib
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import typer

from mailrotate.cli.grammar import GLOBAL_PANEL
from mailrotate.cli.hints import in_words
from mailrotate.cli.main import root
from mailrotate.core.values.hint import Ask, Command, Hint, Shell

SOURCE = Path(__file__).resolve().parents[2] / "src" / "mailrotate"
# What the program fills in: a name or address, or a word that it chooses.
_FILLED = "FILLED"


def commands() -> Iterator[tuple[str, tuple[str, ...]]]:
    """The words of each command of the source, with where it stands; each way to go where it has several."""
    for path in sorted(SOURCE.rglob("*.py")):
        for function in ast.parse(path.read_text()).body:
            chosen = words_chosen(function)
            for node in ast.walk(function):
                if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Command":
                    for words in product(*(word for each in node.args for word in spread(each, chosen))):
                        yield f"{path.name}:{node.lineno}", words
    for hint in hints_in(tomllib.loads((SOURCE / "core" / "rules" / "replies.toml").read_text())):
        for part in Hint.of(hint).parts:
            if isinstance(part, Command):
                yield "replies.toml", part.words


def words_chosen(function: ast.AST) -> dict[str, list[str]]:
    """The words that the names of a function stand for."""
    assigned = [node for node in ast.walk(function) if isinstance(node, ast.Assign)]
    return {
        target.id: words_of(node.value, {})
        for node in assigned
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def spread(word: ast.expr, chosen: dict[str, list[str]]) -> list[list[str]]:
    if not isinstance(word, ast.Starred):
        return [words_of(word, chosen)]
    # What is chosen while the program runs is not followed.
    several = word.value.elts if isinstance(word.value, ast.Tuple) else [word.value]
    return [words_of(each, chosen) for each in several]


def words_of(word: ast.expr, chosen: dict[str, list[str]]) -> list[str]:
    if isinstance(word, ast.Constant) and isinstance(word.value, str):
        return [word.value]
    if isinstance(word, ast.IfExp):
        return [*words_of(word.body, chosen), *words_of(word.orelse, chosen)]
    return chosen.get(word.id, [_FILLED]) if isinstance(word, ast.Name) else [_FILLED]


def hints_in(value: object, key: str = "") -> Iterator[list[Any]]:
    if isinstance(value, dict):
        for name, each in value.items():
            yield from hints_in(each, name if key != "hints" else "hint")
    elif isinstance(value, list) and key == "hint":
        yield value
    elif isinstance(value, list):
        for each in value:
            yield from hints_in(each)


@cache
def tree() -> Any:
    return typer.main.get_command(root)


@cache
def command_in(group: Any, word: str) -> Any:
    return group.get_command(None, word)


def problem_with(words: Sequence[str]) -> str | None:
    """Why `mailrotate WORDS` cannot be typed, or None. What stands for a value is not judged."""
    command = tree()
    everywhere = [option for option in command.params if option.rich_help_panel == GLOBAL_PANEL]
    value_follows = False
    for word in words:
        if value_follows:
            value_follows = False
        elif word.startswith("--"):
            options = {
                name: each
                for each in (*command.params, *everywhere)
                for name in each.opts + each.secondary_opts
            }
            if word == "--help":
                continue
            if word not in options:
                return f"there is no option {word}"
            value_follows = not options[word].is_flag
        elif hasattr(command, "list_commands"):
            if word == _FILLED:
                return None
            found = command_in(command, word)
            if found is None:
                if command.params and any(each.param_type_name == "argument" for each in command.params):
                    continue
                return f"there is no command {word}"
            command = found
    return "a value is missing" if value_follows else None


def test_every_command_of_a_hint_exists_with_its_options() -> None:
    told = list(commands())
    problems = [f"{where}: {words}: {why}" for where, words in told if (why := problem_with(words))]
    assert problems == []
    assert len(told) > 200, "the commands are not found any more"


def test_a_command_that_does_not_exist_is_noticed() -> None:
    assert problem_with(("chair", "mend", "EMAIL")) == "there is no command chair"
    assert problem_with(("campaign", "start", "X", "--form", "ADDRESS")) == "there is no option --form"
    assert problem_with(("campaign", "start", "X", "--from")) == "a value is missing"


def test_a_hint_is_put_into_words_as_people_type_and_read_it() -> None:
    pause = Command("campaign", "pause", "autumn intro")
    users = tuple((f"{name}@example.org", "admin") for name in ("ada", "mia", "ben", "cleo"))
    named = "ada@example.org (admin) or mia@example.org (admin) or ben@example.org (admin)"
    assert in_words(pause) == "mailrotate campaign pause 'autumn intro'"
    assert in_words(Ask(users, pause)) == f"ask {named} to run: mailrotate campaign pause 'autumn intro'"
    assert in_words(Ask(users[:1])) == "ask ada@example.org (admin) to run this command"
    assert in_words(Hint("first:", Command("status"), ", then:", Command("run"), "(or not)")) == (
        "first: mailrotate status, then: mailrotate run (or not)"
    )
    assert in_words(Hint(Shell("cat", "my file"), "> copy")) == "cat 'my file' > copy"


def test_a_stored_hint_is_read_back() -> None:
    hint = Hint("then:", Command("outbox", "retry", "MESSAGE"), "(or not)")
    assert Hint.from_json(hint.to_json()) == hint
    assert hint.filled({"MESSAGE": "m_7"}).parts[1] == Command("outbox", "retry", "m_7")
