"""What the program says of its own commands, asked through `--help` alone, as a reader would ask."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

PROGRAM = "mailrotate"
BIN = Path(sys.executable).parent
_OPERATORS = "|<>&;"


@dataclass(frozen=True)
class Command:
    """A command as its help describes it; `options` tells for each whether a value follows.

    `is_group`: it does nothing by itself, one of its `children` must be named. `global_options` are those
    that every command takes; the root alone describes them.
    """

    children: tuple[str, ...]
    is_group: bool
    options: dict[str, bool]
    global_options: dict[str, bool]
    examples: tuple[str, ...]


@cache
def command_at(*path: str) -> Command | None:
    """Ask for the help of `mailrotate PATH…`; None when that fails: there is no such command."""
    asked = subprocess.run(
        [BIN / PROGRAM, *path, "--help"],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        env=os.environ | {"COLUMNS": "200", "NO_COLOR": "1", "TERM": "dumb"},
        timeout=60,
    )
    if asked.returncode:
        return None
    sections = _sections(asked.stdout)
    children = [line.split()[0] for line in sections.get("Commands", []) if re.match(r"  \S", line)]
    options, global_options = (
        {name: takes for line in sections.get(heading, []) for name, takes in _options(line).items()}
        for heading in ("Options", "Global options")
    )
    lines = map(without_prompt, joined(asked.stdout.splitlines()))
    examples = tuple(line for line in lines if line.startswith(f"{PROGRAM} "))
    is_group = bool(children) and "[COMMAND" not in asked.stdout.partition("\n")[0]
    return Command(tuple(children), is_group, options, global_options, examples)


def walk(*path: str) -> Iterator[tuple[tuple[str, ...], Command]]:
    """This command and all below it."""
    if command := command_at(*path):
        yield path, command
        for child in command.children:
            yield from walk(*path, child)


def reading_problem(line: str) -> str | None:
    """What is wrong with a `mailrotate …` line, or None. Arguments and values are not judged."""
    try:
        words = _words(line)
    except ValueError as problem:
        return f"the shell cannot read it ({problem})"
    path: tuple[str, ...] = ()
    command = command_at()
    value_follows = False
    everywhere = command.global_options if command else {}
    for word in words:
        if command is None:
            return f"there is no command `{' '.join((PROGRAM, *path))}`"
        if value_follows:
            value_follows = False
        elif word.startswith("-") and word != "-":
            name, equals, _ = word.partition("=")
            options = command.options | everywhere
            if name not in options:
                return f"`{' '.join((PROGRAM, *path))}` has no option {name}"
            value_follows = options[name] and not equals
        elif command.children:
            path = (*path, word)
            command = command_at(*path) if word in command.children else None
    if command is None:
        return f"there is no command `{' '.join((PROGRAM, *path))}`"
    return f"`{' '.join((PROGRAM, *path))}` needs a command after it" if path and command.is_group else None


def joined(lines: list[str]) -> Iterator[str]:
    """Lines, each with those that a backslash at its end continues."""
    held = ""
    for line in lines:
        held += line.strip() if held else line.rstrip()
        if held.endswith("\\"):
            held = held[:-1].rstrip() + " "
        else:
            yield held
            held = ""


def without_prompt(line: str) -> str:
    """The command in a line that shows it after `$ ` or by its place in the environment."""
    return re.sub(r"^\s*(\$ )?", "", line).removeprefix(".venv/bin/").rstrip()


def _words(line: str) -> list[str]:
    """The words after the program, up to a pipe or a redirection."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split = True
    words = []
    for word in list(lexer)[1:]:
        if set(word) <= set(_OPERATORS):
            break
        words.append(word)
    return words


def _sections(text: str) -> dict[str, list[str]]:
    """The indented lines right below each unindented heading that ends with a colon."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in text.splitlines():
        if heading := re.fullmatch(r"(\w[\w ]*):", line):
            current = found.setdefault(heading[1], [])
        elif line.startswith(" "):
            current.append(line)
        else:
            # A blank line ends the list: the line on global options follows it.
            current = []
    return found


def _options(line: str) -> dict[str, bool]:
    """`  -f, --field TEXT  What it is.` names two options that take a value; other lines name none."""
    column = re.split(r"\s{2,}", line.strip())[0]
    if not column.startswith("-"):
        return {}
    names = re.findall(r"(?<![\w-])--?[A-Za-z][\w-]*", column)
    return dict.fromkeys(names, bool(re.search(r"[\w-] [A-Z<{\[]", column)))
