"""`mailrotate help`: of commands, and of the exit statuses."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

_EXIT_STATUS = (
    (0, "done"),
    (1, "unexpected failure"),
    (2, "wrong usage or bad input"),
    (3, "not found"),
    (4, "refused by a rule"),
    (5, "the mail server, the identity provider or the network refused or failed; "
        "with `run --once`: something is due and no mailbox can send"),
    (6, "busy: another runner holds this workspace"),
    (7, "the command needs a confirmation, and it cannot ask without a terminal; confirm with --yes"),
    (8, "done in part; the report lists what was not"),
    (130, "interrupted"),
)  # fmt: skip


def help_(
    ctx: typer.Context,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND|exit-status",
            help="Command to show the help of.",
            autocompletion=completion.commands,
        ),
    ] = None,
) -> None:
    """Show help for a command, or the list of exit statuses.

    Examples:

      mailrotate help mailbox connect

      mailrotate help exit-status
    """
    speech = call_of(ctx).speech
    if words != ["exit-status"]:
        if speech.as_json:
            raise BadInput(
                "help.topic", "only the exit statuses come as JSON", Command("help", "exit-status", "--json")
            )
        from mailrotate.cli.main import root

        typer.main.get_command(root).main(
            [*(words or ()), "--help"], "mailrotate", standalone_mode=False, obj=call_of(ctx)
        )
    elif speech.as_json:
        speech.document([{"status": status, "meaning": meaning} for status, meaning in _EXIT_STATUS])
    else:
        for status, meaning in _EXIT_STATUS:
            speech.line(f"{status:>3}  {meaning}")
