"""`mailrotate help`: pages about things that are no command."""

from typing import Annotated

import typer

from mailrotate.cli.lazy import MARKUP
from mailrotate.cli.output import Speech
from mailrotate.cli.params import Json
from mailrotate.core.values.errors import BadInput

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
    topic: Annotated[str, typer.Argument(help="exit-status")] = "exit-status", as_json: Json = False
) -> None:
    """Pages about things that are no command.

    Examples:

      mailrotate help exit-status
    """
    speech = Speech(as_json)
    if topic != "exit-status":
        raise BadInput("help.topic", f"there is no page '{topic}'", "mailrotate help exit-status")
    if as_json:
        speech.document([{"status": status, "meaning": meaning} for status, meaning in _EXIT_STATUS])
    for status, meaning in () if as_json else _EXIT_STATUS:
        speech.line(f"{status:>3}  {meaning}")
