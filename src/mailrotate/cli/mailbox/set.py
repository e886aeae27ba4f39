"""`mailrotate mailbox set`: everything that a mailbox can be set to."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from inspect import Parameter, signature
from typing import TYPE_CHECKING, Annotated

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
from mailrotate.cli.output import cell
from mailrotate.cli.params import Address, Yes
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command
from mailrotate.core.values.own_settings import PERSONAL, SETTINGS, Change, Given

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.mailbox_settings import Changed


def _with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """The command with a flag for each setting, after the address."""
    known = signature(command)
    context, address, *others, _ = known.parameters.values()
    flags = [
        Parameter(
            setting.key,
            Parameter.POSITIONAL_OR_KEYWORD,
            default=None,
            annotation=Annotated[
                (list[str] if setting.is_repeated else str) | None,
                typer.Option(setting.flag, metavar=setting.metavar, help=setting.help),
            ],
        )
        for setting in SETTINGS.values()
    ]
    parameters = [context, address, *flags, *others]
    command.__signature__ = known.replace(parameters=parameters)  # type: ignore[attr-defined]  # Typer reads it
    return command


@_with_flags
def set_(
    ctx: typer.Context,
    address: Address,
    smtp: SmtpServer = None,
    imap: ImapServer = None,
    security: ServerSecurity = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    yes: Yes = False,
    **settings: str | list[str] | None,
) -> None:
    """Change a mailbox's settings, all or none. New servers and passwords are tested before they are kept.

    To reset a setting, pass its reset word (plan, default, off, workspace, personal, auto), or '' for a name.

    Examples:

      mailrotate mailbox set anna@example.org --daily-limit 120 --gap 90s --ramp 20,10,120

      mailrotate mailbox set anna@example.org --folders Replies --folders Lists/Replies

      mailrotate mailbox set anna@example.org --smtp smtp.example.org:465
    """
    from mailrotate.core.services.mailboxes import mailbox_settings
    from mailrotate.core.services.mailboxes.reconnecting import LoginChange

    call = call_of(ctx)
    given = {key: typed for key, typed in settings.items() if typed not in (None, [])}
    login: LoginChange | None = None
    if (smtp, imap, security, username) != (None, None, None, None):
        login = login_change(smtp=smtp, imap=imap, security=security, username=username)
    has_password = password_stdin or password_file is not None
    if not (given or login or has_password):
        raise BadInput("mailbox.nothing", "no settings given", Command("mailbox", "set", "--help"))
    if has_password:
        mailbox_settings.check(call.context, address, given)
    if given.get("access") == PERSONAL:
        _ask(call, address, given, yes=yes)
    if has_password:
        password = needed_password(call.app, call.speech, address, password_stdin, password_file)
        login = replace(login or LoginChange(), credential=password)
    heard = partial(show_step, call.speech)
    done = mailbox_settings.change(call.patient_context, address, given, call.now, login=login, tell=heard)
    _tell(call, done)


def _tell(call: Call, done: "Changed") -> None:
    speech = call.speech
    if speech.as_json:
        from mailrotate.core.services.mailboxes import mailbox_views

        shown = mailbox_views.show(call.context, done.address, call.now)
        speech.document({**document_of(shown), "changes": [_document_of(each) for each in done.changes]})
    elif done.changes:
        speech.line(f"changed {done.address}:")
        for each in done.changes:
            speech.line(f"  {_in_words(each)}")
    else:
        speech.line(f"nothing to change: {done.address} already has these settings")
    speech.next(Command("mailbox", "show", done.address))


def _document_of(change: Change) -> dict[str, object]:
    before, after = value_of(change.before), value_of(change.after)
    return {"key": change.key, "before": before, "after": after, "from": change.origin}


def _in_words(change: Change) -> str:
    if change.key == "password":
        return "password: replaced"
    origin = _ORIGINS.get(change.origin, f" (from the {change.origin})")
    name = change.key.replace("_", " ")
    return f"{name}: {cell(change.before)} → {cell(change.after)}{origin}"


_ORIGINS = {"own": "", "default": " (the default)"}


def _ask(call: Call, address: str, given: Given, *, yes: bool) -> None:
    """Ask before users lose a mailbox that their campaigns send from; check for refusals first.

    Ends the command if the answer is no.
    """
    from mailrotate.core.services.mailboxes import mailbox_settings

    mailbox_settings.check(call.context, address, given)
    losing = mailbox_settings.losing(call.context, address)
    told = [f"{user} can no longer read {address} or write from it" for user in losing.users]
    told += [f"campaign {name} sends from it and goes on" for name in losing.campaigns]
    if not losing.campaigns:
        for line in told:
            call.speech.say(line)
    elif not call.speech.confirm(told, f"Make {address} personal?", yes=yes, dry_run=False):
        raise typer.Exit
