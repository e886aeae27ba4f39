"""`mailrotate suppression import`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.suppression.options import Reason
from mailrotate.core.values.errors import BadInput

if TYPE_CHECKING:
    from mailrotate.core.services.contacts.suppressing import Added

_DONE_IN_PART = 8


def import_(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="Text file with an address or domain per line.")
    ],
    reason: Reason = "imported",
) -> None:
    """Suppress the addresses and domains of a text file, one per line; their open recipients end.

    Examples:

      mailrotate suppression import do-not-write.txt
    """
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    problems: list[dict[str, Any]] = []
    done: list[Added] = []
    with _text(file) as lines:
        for number, outcome in suppressing.add_many(call.context, lines, reason, call.now):
            if isinstance(outcome, BadInput):
                problems.append({"line": number, "problem": outcome.message})
            else:
                done.append(outcome)
    counts = {
        "added": sum(added.is_new for added in done),
        "known": sum(not added.is_new for added in done),
        "ended": sum(added.ended for added in done),
    }
    call.speech.result(
        {**counts, "problems": problems},
        f"{counts['added']} suppressed, {counts['known']} already were; "
        f"it ended {counted(counts['ended'], 'person', 'people')}",
    )
    if not call.speech.as_json:
        for problem in problems:
            call.speech.say(f"  line {problem['line']}: {problem['problem']}")
    if problems:
        raise typer.Exit(_DONE_IN_PART)


@contextmanager
def _text(file: str) -> Iterator[TextIO]:
    if file == "-":
        yield sys.stdin
        return
    try:
        with Path(file).open(encoding="utf-8-sig") as stream:
            yield stream
    except OSError as trouble:
        raise BadInput("suppression.unreadable", f"cannot read {file}: {trouble.strerror}") from None
    except UnicodeDecodeError:
        raise BadInput("suppression.encoding", f"{file} is not UTF-8") from None
