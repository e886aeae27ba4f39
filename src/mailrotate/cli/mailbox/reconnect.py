"""`mailrotate mailbox reconnect`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.consequences import paused_rows, stopped_rows, told_of_paused, told_of_settled
from mailrotate.cli.credentials import (
    ImapServer,
    PasswordFile,
    PasswordStdin,
    ServerSecurity,
    SmtpServer,
    Username,
    ask_for_new_key,
    login_change,
    needed_password,
    show_step,
)
from mailrotate.cli.output import counted, zoned
from mailrotate.cli.params import Address, Yes
from mailrotate.core.values.hint import AnyHint, Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.reconnecting import Renewed


def reconnect(
    ctx: typer.Context,
    address: Address,
    smtp: SmtpServer = None,
    imap: ImapServer = None,
    security: ServerSecurity = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Also resume the campaigns that this mailbox's trouble paused.")
    ] = False,
    yes: Yes = False,
) -> None:
    """Renew a mailbox's credentials in one step; all settings stay, and recipients keep their place.

    Examples:

      mailrotate mailbox reconnect anna@example.org --resume
    """
    from mailrotate.core.services.mailboxes import reconnecting

    call = call_of(ctx)
    # Make all checks that need no server before asking for a password.
    named = login_change(smtp=smtp, imap=imap, security=security, username=username)
    reconnecting.refuse_reconnect(call.context, address, username)
    starts_key = ask_for_new_key(call, yes=yes)
    password = needed_password(call.app, call.speech, address, password_stdin, password_file)
    change = replace(named, credential=password)
    with call.speech.progress("logging in"):
        renewed = reconnecting.reconnect(
            call.patient_context,
            address,
            change,
            lambda step: show_step(call.speech, step),
            resume=resume,
            now=call.now,
            start_key=call.app.start_new_key if starts_key else None,
        )
    _tell_renewed(call, renewed)


def _tell_renewed(call: Call, renewed: "Renewed") -> None:
    waiting = renewed.waiting
    when = "" if waiting.next_at is None else f", the first at {zoned(waiting.next_at, call.zone)}"
    first_messages = waiting.going_on - waiting.follow_ups
    each = (
        f"{counted(waiting.follow_ups, 'follow-up')}, {counted(first_messages, 'first message')}"
        if waiting.going_on
        else "nothing is waiting"
    )
    people = counted(waiting.going_on, "person goes", "people go")
    lines: list[AnyHint] = [f"reconnected {renewed.address}; {people} on ({each}){when}"]
    lines += [f"campaign {name} runs again" for name in renewed.resumed]
    lines += told_of_paused(renewed.paused)
    lines += [
        Hint(
            f"campaign '{name}' still waits for it:",
            Command("campaign", "sender", "add", name, renewed.address),
        )
        for name in waiting.awaiting
    ]
    lines += told_of_settled(renewed.address, renewed.settled, call.zone)
    document = {
        "address": renewed.address,
        "state": "connected",
        "people_going_on": waiting.going_on,
        "follow_ups": waiting.follow_ups,
        "first_messages": first_messages,
        "next_at": waiting.next_at,
        "resumed": list(renewed.resumed),
        "awaiting": list(waiting.awaiting),
        "stopped": stopped_rows(renewed.settled),
        "paused": paused_rows(renewed.paused),
    }
    call.speech.result(document, *lines)
    call.speech.next(Command("status"))
