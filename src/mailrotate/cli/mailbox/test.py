"""`mailrotate mailbox test`: log in to both servers on the path that sending uses."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.credentials import (
    show_step,
)
from mailrotate.cli.output import Speech
from mailrotate.core.values.errors import BadInput, Busy, MailrotateError, RemoteError
from mailrotate.core.values.hint import Command, Hint

if TYPE_CHECKING:
    from mailrotate.core.services.sending.health import TestResult

_REMOTE_SAID_NO, _DONE_IN_PART = 5, 8


def test(
    ctx: typer.Context,
    addresses: Annotated[
        list[str] | None, typer.Argument(metavar="ADDRESS", autocompletion=completion.mailboxes)
    ] = None,
    every: Annotated[bool, typer.Option("--all", help="Every mailbox that is not disconnected.")] = False,
) -> None:
    """Log in to a mailbox's servers now, on the path that sending uses.

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
        whole=True,
    )
    passed = [report["passed"] for report in reports]
    if not all(passed):
        raise typer.Exit(_DONE_IN_PART if any(passed) else _REMOTE_SAID_NO)


@contextmanager
def _troubles(reports: list[dict[str, Any]], address: str) -> Iterator[None]:
    """Test one mailbox; a busy one does not end the test of the others."""
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
    # A server that does not answer fails no mailbox.
    stands = "is" if result.passed else "stays"
    known = "has failed" if result.state == "failed" else f"{stands} {result.state}"
    call.speech.result([report], f"{result.address} {known}")
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
