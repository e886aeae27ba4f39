"""Every command that the program tells people to type exists, with the options that it is told with."""

import ast
import re
import shlex
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

from mailrotate.cli.grammar import GLOBAL_PANEL
from mailrotate.cli.main import root

SOURCE = Path(__file__).resolve().parents[2] / "src" / "mailrotate"
# What the program fills in: a name or address, or a word that it chooses.
_FILLED = "FILLED"
# A command begins the text, or follows a sign that ends a phrase; in prose the program has its name only.
_BEGINS = re.compile(r"(?:^|[:;,`(|] ?)mailrotate (?=[a-z-])")
# It ends where the sentence goes on: a sign followed by a blank, a bracket, or a second command.
_ENDS = re.compile(r"[,;:](?: |$)|\(|\)|`| or | to see | for every |\.$|\||$")


def texts() -> Iterator[tuple[str, str]]:
    """Each text of the source that may hold a command, with where it stands; docstrings are examples."""
    for path in sorted(SOURCE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        docs = {
            id(node.body[0].value)
            for node in ast.walk(tree)
            if isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef)
            and node.body
            and isinstance(node.body[0], ast.Expr)
        }
        inner = {
            id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values
        }
        for node in ast.walk(tree):
            if id(node) in docs | inner:
                continue
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield f"{path.name}:{node.lineno}", node.value
            elif isinstance(node, ast.JoinedStr):
                parts = [p.value if isinstance(p, ast.Constant) else _FILLED for p in node.values]
                yield f"{path.name}:{node.lineno}", "".join(map(str, parts))
    for path in sorted(SOURCE.rglob("*.toml")):
        for text in strings_in(tomllib.loads(path.read_text())):
            yield path.name, text


def strings_in(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from strings_in(each)


def commands_in(text: str) -> Iterator[str]:
    for found in _BEGINS.finditer(text):
        rest = text[found.end() :]
        ending = _ENDS.search(rest)
        yield rest[: ending.start() if ending else None].replace("…", "").strip()


def problem_with(line: str) -> str | None:
    """Why `mailrotate LINE` cannot be typed, or None. What stands for a value is not judged."""
    command: Any = typer.main.get_command(root)
    everywhere = [option for option in command.params if option.rich_help_panel == GLOBAL_PANEL]
    value_follows = False
    for word in shlex.split(line):
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
            found = command.get_command(None, word)
            if found is None:
                if command.params and any(each.param_type_name == "argument" for each in command.params):
                    continue
                return f"there is no command {word}"
            command = found
    return None


def test_every_hint_names_commands_and_options_that_exist() -> None:
    told = [(where, line) for where, text in texts() for line in commands_in(text)]
    problems = [f"{where}: mailrotate {line}: {why}" for where, line in told if (why := problem_with(line))]
    assert problems == []
    assert len(told) > 120, "the commands are not found any more"


def test_a_hint_that_does_not_exist_is_noticed() -> None:
    (mend,) = commands_in("mend it, then: mailrotate chair mend EMAIL")
    assert problem_with(mend) == "there is no command chair"
    assert list(commands_in("it is filed by mailrotate unless the server does")) == []
    assert [problem_with(line) for line in commands_in("mailrotate campaign start X --form ADDRESS")] == [
        "there is no option --form"
    ]
