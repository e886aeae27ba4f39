"""`mailrotate mailbox request|requests|approve|deny|withdraw`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.output import Speech
from mailrotate.cli.params import After, ForUser, Limit, read_id
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.reasons import spoken

if TYPE_CHECKING:
    from mailrotate.core.store.requests import StoredRequest

RequestId = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="The request, like q_17, or the requested address.",
        autocompletion=completion.requests,
    ),
]
Reason = Annotated[str | None, typer.Option(metavar="TEXT", help="Why; shown with the request.")]


def request(
    ctx: typer.Context,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Address to request.")],
    for_user: ForUser = None,
) -> None:
    """Request a mailbox where the plan requires approval, and show the checks.

    Examples:

      mailrotate mailbox request anna@example.org

      mailrotate mailbox request ben@example.org --for ben@example.com --json
    """
    from mailrotate.core.services.mailboxes import mailbox_requests

    call = call_of(ctx)
    requested = mailbox_requests.request(call.context, address, for_user, call.now)
    _tell(call.speech, requested.request, "requested {address} for {user}, as {id}")
    if not requested.is_needed:
        call.speech.say("the plan requires no approval: it can be connected at once")
        call.speech.next(
            Command("mailbox", "connect", requested.request.address, "--for", requested.request.user)
        )
    else:
        call.speech.next(Command("mailbox", "requests"))


def requests(
    ctx: typer.Context,
    every: Annotated[bool, typer.Option("--all", help="Also those that are decided or withdrawn.")] = False,
    limit: Limit = None,
    after: After = None,
) -> None:
    """List the requests that wait for an admin's decision; a member sees their own.

    Examples:

      mailrotate mailbox requests

      mailrotate mailbox requests --all --limit 100 --after q_1200 --json
    """
    from mailrotate.core.services.mailboxes import mailbox_requests

    after_id = None if after is None else read_id(after, "q", "request")
    found = mailbox_requests.listing(call_of(ctx).context, only_open=not every, after=after_id, limit=limit)
    call_of(ctx).speech.listing(
        ("id", "address", "user", "state", "flagged"),
        map(_row, found),
        lambda row: (
            row["id"],
            row["address"],
            row["user"],
            "ended" if row["ended_at"] else row["state"],
            ", ".join(spoken(check["check"]) for check in row["checks"] if not check["passed"]),
        ),
        Hint("no requests; to make one:", Command("mailbox", "request", "ADDRESS")),
        drop=("user", "state"),
    )


def approve(ctx: typer.Context, request: RequestId, reason: Reason = None) -> None:
    """Approve a requested mailbox, which can then be connected. For admins.

    Examples:

      mailrotate mailbox approve q_17
    """
    from mailrotate.core.services.mailboxes import mailbox_requests

    call = call_of(ctx)
    decided = mailbox_requests.approve(call.context, request, reason, call.now)
    _tell(call.speech, decided, "approved {address} for {user}")
    call.speech.next(Command("mailbox", "connect", decided.address, "--for", decided.user))


def deny(ctx: typer.Context, request: RequestId, reason: Reason = None) -> None:
    """Deny a requested mailbox; it can be requested again. For admins.

    Examples:

      mailrotate mailbox deny q_17 --reason "use your own domain"
    """
    from mailrotate.core.services.mailboxes import mailbox_requests

    call = call_of(ctx)
    _tell(
        call.speech,
        mailbox_requests.deny(call.context, request, reason, call.now),
        "denied {address} for {user}",
    )
    call.speech.next(Command("mailbox", "requests"))


def withdraw(ctx: typer.Context, request: RequestId) -> None:
    """Withdraw a request, or an approval without a connected mailbox. For its user and admins.

    Examples:

      mailrotate mailbox withdraw q_17
    """
    from mailrotate.core.services.mailboxes import mailbox_requests

    call = call_of(ctx)
    _tell(
        call.speech,
        mailbox_requests.withdraw(call.context, request, call.now),
        "withdrew {id}, {address} for {user}",
    )


def _tell(speech: Speech, found: "StoredRequest", line: str) -> None:
    row = _row(found)
    speech.result(row, line.format(**row))
    for check in row["checks"]:
        if not check["passed"]:
            speech.warn(check["message"])


def _row(found: "StoredRequest") -> dict[str, Any]:
    return {
        "id": f"q_{found.id}",
        "address": found.address,
        "user": found.user,
        "state": found.state,
        "checks": list(found.checks),
        "checks_at_request": None if found.checks_at_request is None else list(found.checks_at_request),
        "requested_by": found.requested_by,
        "requested_at": found.requested_at,
        "decided_by": found.decided_by,
        "decided_at": found.decided_at,
        "reason": found.reason,
        "ended_at": found.ended_at,
    }
