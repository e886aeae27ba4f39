"""`mailrotate mailbox set`: everything that a mailbox can be set to."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any, cast

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
from mailrotate.cli.mailbox.document import document_of, value_of
from mailrotate.cli.output import Speech, cell
from mailrotate.cli.params import Address, Yes, read_flag
from mailrotate.core.values.duration import parse_duration
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.mailbox_settings import Settings
    from mailrotate.core.services.mailboxes.mailbox_views import ShownMailbox
    from mailrotate.core.services.mailboxes.reconnecting import LoginChange

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


def set_(
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
) -> None:
    """Change a mailbox's settings, all or none. New servers and passwords are tested before they are kept.

    A setting goes back to what it was at first by '', plan, default, off, workspace, personal or auto.

    Examples:

      mailrotate mailbox set anna@example.org --daily-limit 120 --gap 90s --ramp 20,10,120

      mailrotate mailbox set anna@example.org --folders Replies --folders Lists/Replies

      mailrotate mailbox set anna@example.org --smtp smtp.example.org:465
    """
    call = call_of(ctx)
    named = {
        "sender_name": sender_name, "mailbox_name": name, "daily_limit": daily_limit, "gap_seconds": gap,
        "ramp": ramp, "timezone": timezone, "is_shared": access, "sent_copy": sent_copy, "folders": folders,
    }  # fmt: skip
    settings = _wanted(named)
    login = login_change(smtp=smtp, imap=imap, security=security, username=username)
    if not (settings or login or password_stdin or password_file):
        raise BadInput("mailbox.nothing", "nothing to set was named", Command("mailbox", "set", "--help"))
    _ask(call, address, settings, yes=yes)
    if password_stdin or password_file:
        password = needed_password(call.app, call.speech, address, password_stdin, password_file)
        login = replace(login, credential=password)
    _set(call, address, settings, login)


def _set(call: Call, address: str, settings: "Settings", login: "LoginChange") -> None:
    """All of it or nothing; then say what is another value now."""
    from mailrotate.core.services.mailboxes.mailbox_views import set_settings

    heard = partial(show_step, call.speech)
    _tell(call.speech, set_settings(call.context, address, settings, call.now, login=login, tell=heard))


def _tell(speech: Speech, shown: "ShownMailbox") -> None:
    address = shown.listed.address
    changes: list[dict[str, object]] = [
        {"key": one.key, "before": value_of(one.before), "after": value_of(one.after), "from": one.origin}
        for one in shown.changes
    ]
    lines = [f"changed {address}:", *(f"  {_in_words(each)}" for each in changes)]
    document = {**document_of(shown), "changes": changes}
    speech.result(document, *(lines if changes else [f"{address} is set so already: nothing was changed"]))
    speech.next(Command("mailbox", "show", address))


def _in_words(change: Mapping[str, object]) -> str:
    if change["key"] == "password":
        return "password: replaced"
    origin = str(change["from"])
    return (
        f"{change['key']}: {cell(change['before'])} -> {cell(change['after'])} "
        f"({_ORIGINS.get(origin, f'from the {origin}')})"
    )


_ORIGINS = {"own": "own", "default": "the default"}


def _ask(call: Call, address: str, settings: "Settings", *, yes: bool) -> None:
    """Before users lose a mailbox that campaigns of theirs send from, unless something is refused anyhow.

    Ends the command at a no.
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    mailbox_views.check_settings(call.context, address, settings)
    if settings.get("is_shared") is not False:
        return
    losing = mailbox_views.losing(call.context, address)
    told = [f"{user} can no longer read {address} or write from it" for user in losing.users]
    told += [f"campaign {name} sends from it and goes on" for name in losing.campaigns]
    if not losing.campaigns:
        for line in told:
            call.speech.say(line)
    elif not call.speech.confirm(told, f"Make {address} personal?", yes=yes, dry_run=False):
        raise typer.Exit


def _wanted(named: Mapping[str, Any]) -> "Settings":
    given = {key: said for key, said in named.items() if said not in (None, [])}
    return cast("Settings", {key: read_flag(_READERS[key][0], given[key], _READERS[key][1]) for key in given})


def _folders(names: list[str]) -> tuple[str, ...] | None:
    from mailrotate.core.services.mailboxes.folder_choice import beside_inbox

    return None if names == ["default"] else beside_inbox(names)


def _seconds(text: str) -> int:
    return int(parse_duration(text).total_seconds())


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise BadInput(
            "limit.invalid", f"'{text}' is no daily limit", "write a number from 1 on, or plan for the plan's"
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


# Each setting's flag, and how what is said with it is read.
_READERS: Mapping[str, tuple[str, Callable[[Any], object]]] = {
    "sender_name": ("--sender-name", lambda text: text or None),
    "mailbox_name": ("--name", lambda text: text or None),
    "daily_limit": ("--daily-limit", lambda text: None if text == "plan" else _number(text)),
    "gap_seconds": ("--gap", lambda text: None if text == "default" else _seconds(text)),
    "ramp": ("--ramp", _ramp),
    "timezone": ("--timezone", lambda text: None if text == "workspace" else text),
    "is_shared": ("--access", _access),
    "sent_copy": ("--sent-copy", str),
    "folders": ("--folders", _folders),
}
