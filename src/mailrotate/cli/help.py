"""`mailrotate help`: of commands, and of the exit statuses."""

from typing import Annotated

import typer

from mailrotate.cli.lazy import MARKUP
from mailrotate.cli.output import Speech
from mailrotate.cli.params import Json
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

app = typer.Typer(
    add_completion=False, rich_markup_mode=MARKUP, context_settings={"help_option_names": ["-h", "--help"]}
)

_EXIT_STATUS = (
    (0, "done"),
    (1, "unexpected failure"),
    (2, "wrong usage or bad input"),
    (3, "no such thing"),
    (4, "refused by a rule"),
    (5, "the mail server, the identity provider or the network said no; "
        "of `run --once`: something is due and no mailbox can send"),
    (6, "busy: another runner holds this workspace"),
    (7, "a confirmation is needed and nobody can give it"),
    (8, "done in part; the report lists what was not"),
    (130, "interrupted"),
)  # fmt: skip


@app.command()
def help_(
    words: Annotated[
        list[str] | None, typer.Argument(metavar="COMMAND…|exit-status", help="What to tell about.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what a command does, as its --help, or what the exit statuses mean.

    Examples:

      mailrotate help mailbox connect

      mailrotate help exit-status
    """
    speech = Speech(as_json)
    if words != ["exit-status"]:
        if as_json:
            raise BadInput(
                "help.topic", "only the exit statuses come as JSON", Command("help", "exit-status", "--json")
            )
        from mailrotate.cli.main import root

        typer.main.get_command(root).main([*(words or ()), "--help"], "mailrotate", standalone_mode=False)
    elif as_json:
        speech.document([{"status": status, "meaning": meaning} for status, meaning in _EXIT_STATUS])
    else:
        for status, meaning in _EXIT_STATUS:
            speech.line(f"{status:>3}  {meaning}")
