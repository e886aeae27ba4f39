"""`mailrotate mailbox`: connect mailboxes, prove them, let them go. Their settings: `mailbox_settings.py`."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.consequences import campaign_rows, told_of_disconnect
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
from mailrotate.cli.lazy import noun
from mailrotate.cli.mailbox import alias, connect, crm, remove, requests, set, settings, share, signature
from mailrotate.cli.output import Speech, counted, zoned
from mailrotate.cli.params import Address, DryRun, Yes
from mailrotate.core.values.errors import BadInput, Busy, MailrotateError, RemoteError
from mailrotate.core.values.hint import AnyHint, Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.effects.consequences import Consequences
    from mailrotate.core.services.mailboxes.reconnecting import Renewed
    from mailrotate.core.services.sending.health import TestResult

app = noun("Connect mailboxes, test them, set them up.")
connect.add_to(app)
settings.add_to(app)
set.add_to(app)
requests.add_to(app)
alias.add_to(app)
crm.add_to(app)
share.add_to(app)
signature.add_to(app)

_DONE_IN_PART = 8


@app.command()
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
) -> None:
    """Renew a mailbox's credentials in one step; every setting and everybody's place stays.

    Examples:

      mailrotate mailbox reconnect anna@example.org --resume
    """
    from mailrotate.core.services.mailboxes import reconnecting

    call = call_of(ctx)
    # The cheap refusals come before anybody types a password.
    named = login_change(smtp=smtp, imap=imap, security=security, username=username)
    reconnecting.refuse_reconnect(call.context, address, username)
    password = needed_password(call.app, call.speech, address, password_stdin, password_file)
    change = replace(named, credential=password)
    with call.speech.progress("logging in"):
        renewed = reconnecting.reconnect(
            call.context,
            address,
            change,
            lambda step: show_step(call.speech, step),
            resume=resume,
            now=call.now,
        )
    _tell_renewed(call, renewed)


def _tell_renewed(call: Call, renewed: "Renewed") -> None:
    waiting = renewed.waiting
    when = "" if waiting.next_at is None else f", the first at {zoned(waiting.next_at, call.zone)}"
    lines: list[AnyHint] = [f"reconnected {renewed.address}; people who go on: {waiting.going_on}{when}"]
    lines += [f"campaign {name} runs again" for name in renewed.resumed]
    lines += [
        Hint(
            f"{paused.name} is paused ({counted(paused.people, 'person waits', 'people wait')}):",
            Command("campaign", "resume", paused.name),
        )
        for paused in waiting.paused
    ]
    document = {
        "address": renewed.address,
        "state": "connected",
        "people_going_on": waiting.going_on,
        "next_at": waiting.next_at,
        "resumed": list(renewed.resumed),
        "paused": [{"campaign": paused.name, "people": paused.people} for paused in waiting.paused],
    }
    call.speech.result(document, *lines)
    call.speech.next(Command("status"))


@app.command()
def disconnect(ctx: typer.Context, address: Address, yes: Yes = False, dry_run: DryRun = False) -> None:
    """Log a mailbox out and delete its password. What follows is shown first.

    Examples:

      mailrotate mailbox disconnect anna@example.org --dry-run

      mailrotate mailbox disconnect anna@example.org --yes
    """
    from mailrotate.core.services.mailboxes import reconnecting

    call = call_of(ctx)
    following = reconnecting.consequences(call.context, address)
    (address,) = following.addresses
    done = call.speech.confirm(
        _consequences(following),
        f"Disconnect {address}?",
        yes=yes,
        dry_run=dry_run,
        has_document=True,
    )
    if done:
        reconnecting.disconnect(call.context, address, call.now)
    call.speech.result(
        {
            "address": address,
            "disconnected": done,
            "campaigns": campaign_rows(following),
            "waiting_messages": following.waiting_messages,
        },
        *([f"disconnected {address}; its password is deleted"] if done else []),
    )
    if done:
        call.speech.next(Command("mailbox", "connect", address))


def _consequences(following: "Consequences") -> list[AnyHint]:
    (address,) = following.addresses
    lines: list[AnyHint] = [f"disconnecting {address}:"]
    lines += told_of_disconnect(following, "this mailbox", "it is connected again")
    lines.append(
        Hint(
            "to change only its password:",
            Command("mailbox", "reconnect", address, "--resume"),
        )
    )
    return lines


@app.command("test")
def prove(
    ctx: typer.Context,
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="ADDRESS", autocompletion=completion.mailboxes)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every mailbox that is not disconnected.")] = False,
) -> None:
    """Log in to a mailbox's servers now, by the path that sending takes.

    Examples:

      mailrotate mailbox test anna@example.org

      mailrotate mailbox test --all
    """
    from mailrotate.core.services.mailboxes import login_tests

    call = call_of(ctx)
    if every == bool(addresses):
        raise BadInput("mailbox.which", "name addresses, or --all", Command("mailbox", "test", "--all"))
    wanted = login_tests.testable(call.context) if every else list(addresses or ())
    if len(wanted) == 1:
        _test_one(call, wanted[0])
        return
    reports: list[dict[str, Any]] = []
    for address in wanted:
        with _troubles(reports, address):
            reports.append(_report(call.speech, login_tests.test(call.context, address, call.now)))
    call.speech.listing(
        ("address", "state", "passed", "error"),
        reports,
        lambda report: (report["address"], report["state"], report["passed"], report["error"]),
        Hint("there is no mailbox to test:", Command("mailbox", "connect", "ADDRESS")),
    )
    if not all(report["passed"] for report in reports):
        raise typer.Exit(_DONE_IN_PART)


@contextmanager
def _troubles(reports: list[dict[str, Any]], address: str) -> Iterator[None]:
    """One mailbox that is busy does not end the test of the others."""
    try:
        yield
    except Busy as busy:
        reports.append(
            {"address": address, "state": None, "passed": False, "error": busy.message, "steps": []}
        )


def _test_one(call: Call, address: str) -> None:
    from mailrotate.core.services.mailboxes import login_tests

    with call.speech.progress("logging in"):
        result = login_tests.test(call.context, address, call.now)
    report = _report(call.speech, result)
    call.speech.result(
        [report], f"{result.address} {'has failed' if result.state == 'failed' else f'is {result.state}'}"
    )
    if not result.passed:
        raise _refused(result)


def _report(speech: Speech, result: "TestResult") -> dict[str, Any]:
    speech.say(f"{result.address}:")
    for step in result.steps:
        show_step(speech, step)
    return {
        "address": result.address,
        "state": result.state,
        "passed": result.passed,
        "error": next((f"{s.service} {s.step}: {s.message}" for s in result.steps if not s.passed), None),
        "steps": [
            {"service": s.service, "step": s.step, "passed": s.passed, "message": s.message}
            for s in result.steps
        ],
    }


def _refused(result: "TestResult") -> MailrotateError:
    failed = next(step for step in result.steps if not step.passed)
    return RemoteError(
        f"connect.{failed.step}",
        f"{result.address}: {failed.service.upper()} {failed.step} failed: {failed.message}",
        Command("why", result.address)
        if result.state == "connected"
        else Command("mailbox", "reconnect", result.address),
    )


# Last, so that `--help` lists it after what is used every day.
remove.add_to(app)
