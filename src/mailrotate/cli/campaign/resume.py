"""`mailrotate campaign resume`: one campaign, those of a mailbox, or all."""

from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.hints import with_hint
from mailrotate.cli.output import Speech
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.campaign_life import Resumed

_DONE_IN_PART, _REFUSED = 8, 4
MaybeName = Annotated[
    str | None, typer.Argument(metavar="NAME", help="The campaign.", autocompletion=completion.campaigns)
]
Without = Annotated[
    list[str] | None,
    typer.Option(
        metavar="ADDRESS",
        help="Disconnected mailbox that the campaign goes on without; it may still come back. Repeat it.",
        autocompletion=completion.mailboxes,
    ),
]


def resume(
    ctx: typer.Context,
    name: MaybeName = None,
    mailbox: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS", help="Resume every paused campaign that this mailbox sends for."),
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every paused campaign.")] = False,
    without: Without = None,
) -> None:
    """Resume a paused campaign.

    Refused while none of its senders is connected, and while a disconnected sender may still come back.

    Examples:

      mailrotate campaign resume autumn-intro

      mailrotate campaign resume --mailbox anna@example.org

      mailrotate campaign resume --all

      mailrotate campaign resume autumn-intro --without anna@example.org
    """
    from mailrotate.core.services.campaigns import campaign_life

    call = call_of(ctx)
    if sum((name is not None, mailbox is not None, everything)) != 1:
        raise BadInput(
            "campaign.which",
            "name a campaign, or add --mailbox or --all",
            Command("campaign", "resume", "NAME"),
        )
    if name is not None:
        done = campaign_life.resume(call.context, name, call.now, without or ())
    else:
        done = campaign_life.resume_many(call.context, mailbox, call.now, without or ())
    _tell(call.speech, done)


def _tell(speech: Speech, done: "Resumed") -> None:
    speech.result(
        {
            "resumed": list(done.names),
            "refused": [
                {"name": refused, "code": why.code, "message": why.message, "hint": why.hint}
                for refused, why in done.refused.items()
            ],
        },
        *(f"resumed campaign '{resumed}'" for resumed in done.names),
        *(() if done.names or done.refused else ("no campaign is paused",)),
    )
    for why in done.refused.values():
        speech.warn(with_hint(why))
    if done.refused:
        raise typer.Exit(_DONE_IN_PART if done.names else _REFUSED)
    speech.next(Command("status"))
