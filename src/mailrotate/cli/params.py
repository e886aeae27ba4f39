"""Options of several commands, and parsers of typed values."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar
from zoneinfo import ZoneInfo

import typer

from mailrotate.cli import completion
from mailrotate.core.rules.text import same_name
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.letter import LETTER_FIELDS

Text = TypeVar("Text")
Value = TypeVar("Value")

Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do it without asking.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would change, and change nothing.")]
ParkLate = Annotated[
    bool,
    typer.Option(
        "--park-late", help="Park messages that are late (setting `lateness`) until outbox release."
    ),
]
Address = Annotated[
    str,
    typer.Argument(metavar="ADDRESS", help="The mailbox's address.", autocompletion=completion.mailboxes),
]
Campaign = Annotated[
    str,
    typer.Argument(
        metavar="CAMPAIGN", help="The campaign's name, or its id.", autocompletion=completion.campaigns
    ),
]
ForUser = Annotated[
    str | None,
    typer.Option("--for", metavar="USER", help="User of the mailbox.", autocompletion=completion.users),
]
Encoding = Annotated[
    str | None,
    typer.Option(
        "--encoding", metavar="NAME", help="Character encoding of the file, such as cp1252; else UTF-8."
    ),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Show so many at most.")]
After = Annotated[str | None, typer.Option(metavar="ID", help="Go on after this one.")]


def read_flag(flag: str, text: Text, read: Callable[[Text], Value]) -> Value:
    """Parse a flag's value. Raises BadInput that names the flag."""
    try:
        return read(text)
    except BadInput as wrong:
        raise BadInput(wrong.code, f"{flag}: {wrong.message}", wrong.hint) from None


def read_id(text: str, prefix: str, kind: str) -> int:
    """Parse an id such as `m_17`. Raises BadInput (`id.invalid`)."""
    number = text.removeprefix(f"{prefix}_")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        raise BadInput("id.invalid", f"'{text}' is not a {kind} id; write it like {prefix}_17")
    return int(number)


def read_fields(written: list[str]) -> dict[str, str]:
    """Parse `NAME=VALUE` pairs. Raises BadInput (`field.form`, `field.reserved`)."""
    fields = {}
    for pair in written:
        name, equals, value = pair.partition("=")
        if not equals or not name.isidentifier():
            raise BadInput("field.form", f"'{pair}' is not a field; write NAME=VALUE, like first_name=Kim")
        name = same_name(name)
        if name in LETTER_FIELDS:
            raise BadInput("field.reserved", f"{{{{ {name} }}}} is filled in for each letter; leave it out")
        fields[name] = value
    return fields


def read_instant(text: str, zone: str) -> datetime:
    """Parse RFC 3339, or `2026-12-01 09:00` in the workspace's zone. Raises BadInput (`instant.invalid`)."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        raise BadInput(
            "instant.invalid",
            f"'{text}' is not a date and time",
            f"write it like 2026-12-01T09:00:00Z, or 2026-12-01 09:00 for the zone {zone}",
        ) from None
    return instant.replace(tzinfo=instant.tzinfo or ZoneInfo(zone)).astimezone(UTC)
