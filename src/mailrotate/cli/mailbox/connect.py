"""`mailrotate mailbox connect`: log in to both servers, then store."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
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
    find_servers,
    needed_password,
    server_words,
    show_step,
)
from mailrotate.cli.hints import in_words
from mailrotate.cli.output import counted, zoned
from mailrotate.cli.params import Address, ForUser, ParkLate, Yes, read_id
from mailrotate.cli.slot.awaited import awaited_lines
from mailrotate.core.values.hint import AnyHint, Command, Hint
from mailrotate.core.values.own_settings import Given, parse

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.connecting import Connected, NewConnection, Return
    from mailrotate.core.services.mailboxes.reconnecting import Flags
    from mailrotate.core.values.mail import ServerGuess

Provider = Annotated[
    str | None,
    typer.Option(
        metavar="google|microsoft|imap|…",
        help="Provider whose servers are used.",
        autocompletion=completion.values("google|microsoft|imap"),
    ),
]
Gap = Annotated[str | None, typer.Option(metavar="DURATION", help="Minimum time between two messages.")]
Wanted = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Slot of the user to connect it in.", autocompletion=completion.slots),
]
SenderName = Annotated[str | None, typer.Option(help="The name that recipients see.")]
DailyLimit = Annotated[int | None, typer.Option(min=1, help="Messages a day at most.")]
Rejoin = Annotated[
    bool, typer.Option("--rejoin", help="Also return to the rotations that it may still come back to.")
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Also resume the campaigns that its disconnect paused.")
]


def connect(
    ctx: typer.Context,
    address: Address,
    for_user: ForUser = None,
    slot: Wanted = None,
    provider: Provider = None,
    smtp: SmtpServer = None,
    imap: ImapServer = None,
    security: ServerSecurity = None,
    username: Username = None,
    password_stdin: PasswordStdin = False,
    password_file: PasswordFile = None,
    sender_name: SenderName = None,
    daily_limit: DailyLimit = None,
    gap: Gap = None,
    rejoin: Rejoin = False,
    resume: Resume = False,
    park_late: ParkLate = False,
    yes: Yes = False,
) -> None:
    """Connect a mailbox. Both servers are logged in to before anything is stored.

    The password is asked for; or give it with --password-stdin, --password-file or MAILROTATE_PASSWORD.

    Examples:

      mailrotate mailbox connect anna@example.org --provider google

      mailrotate mailbox connect anna@example.org --rejoin --resume
    """
    from mailrotate.core.services.mailboxes import connecting
    from mailrotate.core.values.address import normalise_address

    call, address = call_of(ctx), normalise_address(address)
    given = _given(sender_name=sender_name, daily_limit=daily_limit, gap=gap)
    slot_id = None if slot is None else read_id(slot, "s", "slot")
    starts_key = ask_for_new_key(call, yes=yes)
    _refuse_early(call, address, for_user, slot_id, given, starts_key=starts_key)
    takes = ask_for_slot(call, address, for_user, slot_id, yes=yes)
    _tell_of_return(call, address, for_user, rejoins=rejoin)
    servers = _find_servers(
        call, address, provider=provider, smtp=smtp, imap=imap, security=security, username=username
    )
    password = needed_password(call.app, call.speech, address, password_stdin, password_file)
    wanted = connecting.NewConnection(
        address, servers, password, given, for_user, slot_id, takes, rejoin, resume, park_late
    )
    _log_in(call, wanted, _typed(ctx))
    made = _prepare_workspace(call, address, sender_name, starts_key=starts_key)
    _tell_connected(call, wanted, connecting.connect(call.context, wanted, call.now), made)


def _find_servers(call: Call, address: str, **named: Any) -> "ServerGuess":
    """The servers that flags name, else those from before a disconnect, else those that can be found.

    Comes before the password: nobody types one for servers that cannot be found.
    """
    from mailrotate.core.services.mailboxes import connecting

    known = connecting.former_servers(call.context, address) if call.app.has_workspace else None
    with call.speech.progress(f"looking for the servers of {address}"):
        return find_servers(call.app, address, known=known, **named)


def _prepare_workspace(call: Call, address: str, sender_name: str | None, *, starts_key: bool) -> bool:
    """Make the workspace at the first connect, and its key if there is none; whether the workspace is new."""
    from mailrotate.core.values.address import guessed_name
    from mailrotate.core.values.user_name import read_user_name

    made = not call.app.has_workspace and call.app.make_workspace(
        address,
        sender_name
        or call.speech.ask("Your name, as recipients see it", guessed_name(address), read_user_name),
    )
    store_key = call.app.start_new_key if starts_key else call.app.make_key
    store_key()
    return made


def _given(**settings: str | int | None) -> Given:
    return {key: str(typed) for key, typed in settings.items() if typed is not None}


def _refuse_early(
    call: Call,
    address: str,
    for_user: str | None,
    slot_id: int | None,
    settings: Given,
    *,
    starts_key: bool,
) -> None:
    """Refuse --user and --slot without a workspace; the first connect creates both."""
    from mailrotate.core.services.access import ownership
    from mailrotate.core.services.mailboxes import connecting
    from mailrotate.core.services.mailboxes.mailbox_settings import refuse_unpermitted
    from mailrotate.core.values.user_name import read_user_name

    if call.app.has_workspace or for_user or slot_id:
        connecting.refuse_connect(call.context, address, for_user, slot_id, settings, starts_key=starts_key)
    else:
        refuse_unpermitted(None, parse(settings))
        if "sender_name" in settings:
            read_user_name(str(settings["sender_name"]))
        ownership.refuse_first(address)
    # Nobody types a password that could not be stored.
    call.app.require_key_place()


def ask_for_slot(call: Call, address: str, for_user: str | None, slot_id: int | None, *, yes: bool) -> bool:
    """Before a connect, ask whether to take a slot that is reserved for another mailbox.

    Asks only if there is such a mailbox, and ends the command if the answer is no (A5).
    """
    from mailrotate.core.services.effects import grace_periods

    if not call.app.has_workspace:
        return False
    awaited = grace_periods.awaited_returns(call.context, address, for_user, slot_id, call.now)
    question = f"Connect {address} in its place?"
    told = awaited_lines(awaited, call.zone)
    if awaited and not call.speech.confirm(told, question, yes=yes, dry_run=False):
        raise typer.Exit
    return yes or bool(awaited)


def _tell_of_return(call: Call, address: str, for_user: str | None, *, rejoins: bool) -> None:
    """Before a connect without --rejoin, name the rotations that the mailbox may return to (C8)."""
    from mailrotate.core.services.mailboxes import connecting

    asks = call.app.has_workspace and not rejoins
    known = connecting.returns(call.context, address, for_user, call.now) if asks else ()
    for campaign, until in known:
        call.speech.say(
            f"campaign '{campaign}' waits for {address} until {zoned(until, call.zone)}; "
            "with --rejoin --resume it returns to its recipients there, and the campaign is resumed"
        )


def _typed(ctx: typer.Context) -> dict[str, str | None]:
    """The flags of this command as they were typed, but not where its password is."""
    flags = {param.opts[0]: ctx.params[str(param.name)] for param in ctx.command.params}
    return {
        flag: None if value is True else str(value)
        for flag, value in flags.items()
        if value and flag.startswith("--") and not flag.startswith("--password")
    }


def _log_in(call: Call, wanted: "NewConnection", typed: "Flags") -> None:
    from mailrotate.core.services.mailboxes import reconnecting

    servers = wanted.servers
    call.speech.say(
        f"servers (from {servers.source}): SMTP {server_words(servers.smtp)}, "
        f"IMAP {server_words(servers.imap)}"
    )
    with call.speech.progress("logging in"):
        reconnecting.prove(
            call.app.provider(servers.provider),
            wanted.account,
            lambda step: show_step(call.speech, step),
            typed=typed,
        )


def _tell_connected(
    call: Call, wanted: "NewConnection", connected: "Connected", made_workspace: bool
) -> None:
    document = _document(wanted, connected, made_workspace)
    copies = {
        True: "the provider saves copies of sent mail",
        False: "mailrotate saves copies of sent mail",
        None: "mailrotate saves copies of sent mail, unless it finds that the server does",
    }[connected.files_sent_copy]
    lines: list[AnyHint] = [
        f"connected {connected.address} for {connected.user}, slots {document['slots']}"
        + f", default sender {connected.default or 'none'}",
        copies,
    ]
    if made_workspace:
        lines.insert(0, f"made a workspace in {call.app.store.name}; its admin is {connected.address}")
    if connected.reset:
        lines.append("these settings were reset; to set them as before:")
        lines += [f"  {in_words(command)}" for command in connected.reset.values()]
    lines += [f"campaign {name} sends from its new slot" for name in connected.followed]
    lines += _told_of_return(connected, call.zone)
    call.speech.result(document, *lines)
    for warning in connected.warnings:
        call.speech.warn(warning)
    back = connected.back
    if back.awaiting:
        call.speech.next(Command("campaign", "sender", "add", back.awaiting[0], connected.address))
    else:
        call.speech.next(Command("status") if back.rejoined else Command("campaign", "create", "FILE"))


def _document(wanted: "NewConnection", connected: "Connected", made_workspace: bool) -> dict[str, object]:
    servers = wanted.servers
    return {
        "id": f"b_{connected.mailbox_id}",
        "address": connected.address,
        "user": connected.user,
        "slot": f"s_{connected.slot_id}",
        "slots": f"{connected.slots_taken}/{connected.slots_total}",
        "connected": connected.slots_taken,
        "total": connected.slots_total,
        "provider": servers.provider,
        "servers": {
            "smtp": f"{servers.smtp.host}:{servers.smtp.port}",
            "imap": f"{servers.imap.host}:{servers.imap.port}",
            "source": servers.source,
        },
        "default": connected.is_default,
        "default_address": connected.default,
        "files_sent_copy": connected.files_sent_copy,
        "reset": dict(connected.reset),
        "followed": list(connected.followed),
        **_return_of(connected.back),
        "warnings": list(connected.warnings),
        "workspace_made": made_workspace,
    }


def _return_of(back: "Return") -> dict[str, object]:
    moved = back.taken_over
    return {
        "rejoined": list(back.rejoined),
        "awaiting": list(back.awaiting),
        "resumed": list(back.resumed),
        "paused": paused_rows(back.paused),
        "late": late_rows(back.late),
        "stopped": stopped_rows(back.settled),
        "taken_over": None
        if moved is None
        else {"from": moved.former, "campaigns": list(moved.campaigns), "people": moved.people},
    }


def _told_of_return(connected: "Connected", zone: str) -> list[AnyHint]:
    """How its campaigns go on, and what a person must still do."""
    address, back = connected.address, connected.back
    lines: list[AnyHint] = []
    if back.taken_over is not None:
        moved, named = back.taken_over, ", ".join(back.taken_over.campaigns)
        people = counted(moved.people, "person moves", "people move")
        lines.append(f"{people} to {address} in {named}; replies to {moved.former} may go unseen")
    lines += [f"{address} is back in its place in campaign '{name}'" for name in back.rejoined]
    lines += [
        Hint(f"campaign '{name}' still waits for it:", Command("campaign", "sender", "add", name, address))
        for name in back.awaiting
    ]
    lines += told_of_settled(address, back.settled, zone)
    lines += [f"resumed campaign '{name}'" for name in back.resumed]
    lines += told_of_late(back.late, Command("mailbox", "reconnect", address, "--park-late"))
    lines += told_of_paused(back.paused)
    return lines
