"""`mailrotate mailbox set`: everything that a mailbox can be set to."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, cast

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.credentials import (
    ImapServer,
    PasswordFile,
    PasswordStdin,
    ServerSecurity,
    SmtpServer,
    Username,
    login_change,
    needed_password,
    show_step,
)
from mailrotate.cli.mailbox_settings import tell
from mailrotate.cli.output import Speech
from mailrotate.cli.params import Address, Json, Yes
from mailrotate.core.values.duration import parse_duration
from mailrotate.core.values.errors import BadInput

if TYPE_CHECKING:
    from mailrotate.core.services.connections import LoginChange
    from mailrotate.core.services.mailbox_settings import Settings

SenderName = Annotated[str | None, typer.Option(help="The name that recipients see; '' for the user's.")]
Name = Annotated[str | None, typer.Option(help="What you call the mailbox; '' for nothing.")]
DailyLimit = Annotated[str | None, typer.Option(metavar="N|plan", help="Messages a day at most.")]
Gap = Annotated[
    str | None, typer.Option(metavar="DURATION|default", help="The least time between two messages.")
]
Ramp = Annotated[
    str | None,
    typer.Option(
        metavar="START,STEP,CEILING|off", help="A daily limit that grows: START today, STEP more each day."
    ),
]
Zone = Annotated[str | None, typer.Option(metavar="ZONE|workspace", help="In which its day turns.")]
Access = Annotated[
    str | None, typer.Option(metavar="personal|shared", help="Whether others may be named who write from it.")
]
Folders = Annotated[
    list[str] | None,
    typer.Option(
        "--folders",
        metavar="FOLDER|default",
        help="Also read for replies, beside the INBOX; repeat for more.",
    ),
]
Copies = Annotated[
    str | None, typer.Option(metavar="auto|on|off", help="Whether mailrotate files sent copies.")
]


def add_to(app: typer.Typer) -> None:
    """Register the command with its noun."""
    app.command("set")(change)


def change(
    ctx: typer.Context,
    address: Address,
    sender_name: SenderName = None,
    name: Name = None,
    daily_limit: DailyLimit = None,
    gap: Gap = None,
    ramp: Ramp = None,
    timezone: Zone = None,
    access: Access = None,
    folders: Folders = None,
    sent_copy: Copies = None,
    smtp: SmtpServer = None,
    imap: ImapServer = None,
    security: ServerSecurity = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Change a mailbox's settings. New servers or a new password are tested before they replace the old.

    Examples:

      mailrotate mailbox set anna@example.org --daily-limit 120 --gap 90s --ramp 20,10,120

      mailrotate mailbox set anna@example.org --folders Replies --folders Lists/Replies

      mailrotate mailbox set anna@example.org --smtp smtp.example.org:465
    """
    from mailrotate.core.services import mailboxes

    call, speech = call_of(ctx), Speech(as_json)
    settings = _wanted(
        {
            "sender_name": sender_name, "mailbox_name": name, "daily_limit": daily_limit, "gap_seconds": gap,
            "ramp": ramp, "timezone": timezone, "is_shared": access, "sent_copy": sent_copy,
        }
    )  # fmt: skip
    mailboxes.check_settings(call.context, address, settings)
    _ask(call, speech, address, settings, yes=yes)
    password = None
    if password_stdin or password_file:
        password = needed_password(call.app, speech, address, password_stdin, password_file)
    login = login_change(smtp=smtp, imap=imap, security=security, username=username, password=password)
    if not settings and not login and not folders:
        raise BadInput("mailbox.nothing", "nothing to set was named", "mailrotate mailbox set --help")
    _set_at_server(call, speech, address, login, folders or ())
    tell(call, speech, mailboxes.set_settings(call.context, address, settings, call.now))


def _set_at_server(
    call: Call, speech: Speech, address: str, login: "LoginChange", names: Sequence[str]
) -> None:
    """What its server is asked about before it is changed: the login, then the folders."""
    from mailrotate.core.services import connections, folders

    if login:
        connections.change_login(call.context, address, login, lambda step: show_step(speech, step), call.now)
    if names:
        folders.choose(call.context, address, () if names == ["default"] else names, call.now)


def _ask(call: Call, speech: Speech, address: str, settings: "Settings", *, yes: bool) -> None:
    """Before users lose a mailbox that campaigns of theirs send from; ends the command at a no."""
    from mailrotate.core.services import mailboxes

    if settings.get("is_shared") is not False:
        return
    losing = mailboxes.losing(call.context, address)
    told = [f"{user} can no longer read {address} or write from it" for user in losing.users]
    told += [f"campaign {name} sends from it and goes on" for name in losing.campaigns]
    if not losing.campaigns:
        for line in told:
            speech.say(line)
    elif not speech.confirm(told, f"Make {address} personal?", yes=yes, dry_run=False):
        raise typer.Exit


def _wanted(named: Mapping[str, str | None]) -> "Settings":
    return cast("Settings", {key: _READERS[key](text) for key, text in named.items() if text is not None})


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput(
            "limit.invalid", f"'{text}' is no daily limit", "write a number, or plan for the plan's"
        )
    return int(text)


def _ramp(text: str) -> tuple[int, int, int] | None:
    if text == "off":
        return None
    parts = text.split(",")
    if len(parts) != 3 or not all(part.strip().isdecimal() and len(part) < 10 for part in parts):
        raise BadInput("mailbox.ramp", f"'{text}' is no ramp-up", "write it like --ramp 20,10,120, or off")
    start, step, ceiling = (int(part) for part in parts)
    return start, step, ceiling


def _access(text: str) -> bool:
    if text not in ("personal", "shared"):
        raise BadInput(
            "mailbox.access",
            f"access is personal or shared, not '{text}'",
            "add --access personal, or --access shared",
        )
    return text == "shared"


_READERS: Mapping[str, Callable[[str], object]] = {
    "sender_name": lambda text: text or None,
    "mailbox_name": lambda text: text or None,
    "daily_limit": lambda text: None if text == "plan" else _number(text),
    "gap_seconds": lambda text: None if text == "default" else int(parse_duration(text).total_seconds()),
    "ramp": _ramp,
    "timezone": lambda text: None if text == "workspace" else text,
    "is_shared": _access,
    "sent_copy": str,
}
