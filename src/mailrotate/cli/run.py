"""`mailrotate run`: send everything that is due, once or continuously."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion, standard_output
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.hints import in_words, with_hint
from mailrotate.cli.logged import stream_line
from mailrotate.cli.output import counted
from mailrotate.cli.status import unfit_words
from mailrotate.core.values.clock import monotonic_seconds
from mailrotate.core.values.errors import BadInput, Busy, MailrotateError
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.reasons import heard

if TYPE_CHECKING:
    from mailrotate.runner import Host, Report

_UNEXPECTED = 1
_NOBODY_CAN_SEND = 5
_WORK = "send|sync|test|deadlines|notify"
# Singular and plural of what is counted, by its key in --json.
_NOUNS = {
    "replies": ("reply", "replies"),
    "bounces": ("bounce", "bounces"),
    "unsubscribes": ("unsubscribe", "unsubscribes"),
    "tested": ("mailbox tested", "mailboxes tested"),
    "tests_failed": ("test failed", "tests failed"),
}
EndAfter = Annotated[
    str | None, typer.Option("--for", metavar="DURATION", help="End after this long, for cron with gaps.")
]
QuietIfBusy = Annotated[
    bool, typer.Option("--quiet-if-busy", help="Exit 0 when another runner holds the workspace.")
]


def run(
    ctx: typer.Context,
    once: Annotated[bool, typer.Option("--once", help="One pass of everything due, for cron.")] = False,
    end_after: EndAfter = None,
    every: Annotated[str, typer.Option(metavar="DURATION", help="How often to look.")] = "30s",
    only: Annotated[
        str | None,
        typer.Option(metavar=_WORK, help="Do nothing else.", autocompletion=completion.values(_WORK)),
    ] = None,
    quiet_if_busy: QuietIfBusy = False,
) -> None:
    """Send what is due, read replies, test connections, tell webhooks: once, or until a signal comes.

    Examples:

      mailrotate run --once

      mailrotate run --every 30s

      mailrotate run --for 4m --quiet-if-busy
    """
    from mailrotate.core.services.running.passes import Work
    from mailrotate.core.values.duration import parse_duration
    from mailrotate.runner import Host

    call = call_of(ctx)
    if once and end_after:
        raise BadInput("run.once_or_for", "--once and --for exclude each other", Command("run", "--once"))
    try:
        work = None if only is None else Work(only)
    except ValueError:
        wanted = "send, sync, test, deadlines or notify"
        raise BadInput("run.only", f"--only must be {wanted}, not '{only}'") from None
    period = parse_duration(every)
    if period < timedelta(seconds=1):
        raise BadInput("run.every", f"--every {every} is too short; the minimum is 1s")
    context = replace(call.context, spell=in_words)
    host = Host(context, call.app.clock, work, lambda trouble: _tell(call, trouble))
    try:
        if once:
            began, began_at = monotonic_seconds(), call.app.clock()
            _finish(call, host.once(call.app.host), monotonic_seconds() - began, began_at)
        else:
            _serve(call, host, period, None if end_after is None else parse_duration(end_after))
    except Busy as busy:
        if busy.code != "runner.busy" or not quiet_if_busy:
            raise


def _tell(call: Call, trouble: Exception) -> None:
    call.trace(trouble)
    if isinstance(trouble, MailrotateError):
        call.speech.warn(with_hint(trouble))
    elif isinstance(trouble, OSError) and (unwritable := standard_output.find_trouble()) is not None:
        call.speech.warn(with_hint(unwritable))
    else:
        call.speech.warn(f"unexpected failure ({type(trouble).__name__}) in a lane; the other lanes continue")


def _finish(call: Call, report: "Report", seconds: float, began_at: datetime) -> None:
    from mailrotate.core.services.views import overview

    speech = call.speech
    counts = {**report.counts(), "seconds": round(seconds, 3)}
    speech.result(counts, f"{_done(report)} in {counts['seconds']:.1f} s")
    for address in report.outlook.unreadable:
        speech.warn(
            Hint(
                f"follow-ups of {address} wait because its inbox cannot be read; see:",
                Command("mailbox", "test", address),
            )
        )
    for warning in _failures(call, began_at) if counts["tests_failed"] or report.outlook.failed_count else ():
        speech.warn(warning)
    for what, command in map(unfit_words, overview.unfit_steps(call.context) if counts["failed"] else ()):
        speech.warn(Hint(f"{what}; to change the text:", command))
    speech.next(Command("status"))
    if any(not isinstance(trouble, MailrotateError) for trouble in report.troubles):
        raise typer.Exit(_UNEXPECTED)
    if report.troubles:
        raise typer.Exit(next(t.exit_status for t in report.troubles if isinstance(t, MailrotateError)))
    if report.outlook.nobody_can_send and not report.tally["sent"]:
        speech.warn(Hint("something is due and no mailbox can send; see:", Command("status")))
        raise typer.Exit(_NOBODY_CAN_SEND)


def _failures(call: Call, began_at: datetime) -> Iterator[Hint]:
    """The mailboxes that failed in this pass, or whose test did, each with the reason."""
    from mailrotate.core.services.mailboxes import mailbox_views

    for box in mailbox_views.listing(call.context, call.now):
        if box.failed_at is not None and box.failed_at >= began_at:
            why = f": {heard(box.last_error)}" if box.last_error else ""
            again = Command("mailbox", "reconnect", box.address)
            yield Hint(f"{box.address} has failed{why}; to sign in again:", again)
        elif box.last_error and box.last_test_at is not None and box.last_test_at >= began_at:
            said = f"the test of {box.address} failed: {heard(box.last_error)}; see:"
            yield Hint(said, Command("mailbox", "test", box.address))


def _counted_words(report: "Report") -> str:
    """Say `2 sent, 1 reply`: counts of things have a plural."""
    counts = {name: count for name, count in report.counts().items() if count}
    words = [counted(n, *_NOUNS[name]) if name in _NOUNS else f"{n} {name}" for name, n in counts.items()]
    return ", ".join(words)


def _done(report: "Report") -> str:
    if words := _counted_words(report):
        return words
    failed = report.outlook.failed_count
    if failed:
        # Its campaigns may be paused, so that nothing of them counts as due.
        return f"nothing was sent ({counted(failed, 'mailbox has', 'mailboxes have')} failed)"
    return "nothing was sent" if report.outlook.nobody_can_send else "nothing was due"


def _serve(call: Call, host: "Host", every: timedelta, end_after: timedelta | None) -> None:
    from mailrotate.core.services.views import logbook

    # Before it says that it runs: what happens from then on is told.
    follower = logbook.Follower(call.context)
    call.speech.say(
        f"running on {call.app.store.name}; Ctrl-C ends it after the message in flight; times in {call.zone}"
    )

    def show_news() -> None:
        for line in follower.news():
            stream_line(call.speech, line, call.zone)

    report = host.serve(call.app.host, every, end_after, show_news)
    call.speech.say(f"ended: {_counted_words(report) or 'nothing was sent'}")
    if report.broken:
        raise typer.Exit(_UNEXPECTED)
