"""`mailrotate suppression import`."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.params import Encoding
from mailrotate.cli.suppression.options import Reason
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.contacts.suppressing import BadLine

_DONE_IN_PART = 8
_MOST_TOLD = 20


def import_(
    ctx: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="FILE|-", help="Text file with an address or domain per line.")
    ],
    reason: Reason = "imported",
    encoding: Encoding = None,
) -> None:
    """Suppress the addresses and domains of a text file, one per line; their open recipients end.

    A domain, also written @example.com or *@example.com, covers every domain below it. A comment begins with
    a # at the start of a line or after a blank.

    Examples:

      mailrotate suppression import do-not-write.txt
    """
    from mailrotate.adapters.problem_spool import ProblemSpool
    from mailrotate.adapters.text_stream import open_text
    from mailrotate.core.services.campaigns.row_checks import RowTrouble
    from mailrotate.core.services.contacts import suppressing

    call = call_of(ctx)
    again = Command("suppression", "import", file, *(("--reason", reason) if reason != "imported" else ()))
    with ExitStack() as stack:
        problems = stack.enter_context(ProblemSpool())
        show = stack.enter_context(call.speech.progress("suppressing"))
        source = sys.stdin.buffer if file == "-" else Path(file)
        text = stack.enter_context(open_text(source, encoding, again))

        def note(bad: "BadLine") -> None:
            problems.add(RowTrouble(bad.line, None, bad.problem))

        def progress(count: int) -> None:
            show(text.read_share, f"{count:,} lines")

        done = suppressing.add_many(call.context, text.lines, reason, note, progress, call.now)
        if call.speech.as_json:
            rows = ({"line": each.line, "problem": each.problem} for each in problems)
            call.speech.report(vars(done), "problems", rows)
        else:
            ended = counted(done.ended, "recipient")
            call.speech.line(f"{done.added} suppressed, {done.known} already were; it ended {ended}")
            for number, each in enumerate(problems):
                if number == _MOST_TOLD:
                    call.speech.say(f"  … and {problems.count - _MOST_TOLD} more; --json lists them all")
                    break
                call.speech.say(f"  line {each.line}: {each.problem}")
        if problems.count:
            raise typer.Exit(_DONE_IN_PART)
