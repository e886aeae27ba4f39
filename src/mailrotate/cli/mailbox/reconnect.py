"""`mailrotate mailbox reconnect`."""

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.consequences import (
    late_rows,
    paused_rows,
    stopped_rows,
    told_of_late,
    told_of_paused,
    told_of_settled,
)
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
from mailrotate.cli.output import counted
from mailrotate.cli.params import Address, ParkLate, Yes
from mailrotate.cli.turns import words_of
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
    park_late: ParkLate = False,
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
            park_late=park_late,
            now=call.now,
            start_key=call.app.start_new_key if starts_key else None,
        )
    _tell_renewed(call, renewed)


def _tell_renewed(call: Call, renewed: "Renewed") -> None:
    waiting = renewed.waiting
    first_messages = waiting.going_on - waiting.follow_ups
    lines: list[AnyHint] = [f"reconnected {renewed.address}; {_going_on(renewed, call)}"]
    if waiting.going_on and waiting.next_at is None:
        lines.append(Hint("none of them gets a message yet; to see why:", Command("why", renewed.address)))
    lines += [f"resumed campaign '{name}'" for name in renewed.resumed]
    lines += told_of_late(renewed.late, Command("mailbox", "reconnect", renewed.address, "--park-late"))
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
        "late": late_rows(renewed.late),
    }
    call.speech.result(document, *lines)
    call.speech.next(Command("status"))


def _going_on(renewed: "Renewed", call: Call) -> str:
    """How many recipients go on and from when; those of paused campaigns are told below."""
    waiting = renewed.waiting
    if not waiting.going_on:
        if renewed.paused:
            return "its recipients go on when their campaigns are resumed"
        return "its recipients still wait" if waiting.awaiting else "no recipient waits for it"
    people = counted(waiting.going_on, "person goes on", "people go on")
    follow_ups = counted(waiting.follow_ups, "follow-up")
    first_messages = counted(waiting.going_on - waiting.follow_ups, "first message")
    when = "" if waiting.next_at is None else f", the first {words_of(waiting.next_at, call)}"
    return f"{people} ({follow_ups}, {first_messages}){when}"
