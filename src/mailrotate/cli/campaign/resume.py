"""`mailrotate campaign resume`: one campaign, those of a mailbox, or all."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import Call, call_of
from mailrotate.cli.consequences import late_rows, told_of_late
from mailrotate.cli.hints import in_words, with_hint
from mailrotate.cli.output import counted, localised
from mailrotate.cli.params import ParkLate
from mailrotate.cli.turns import words_of
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import AnyHint, Command

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.campaign_life import Resumed
    from mailrotate.core.services.campaigns.going_on import GoingOn

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
    park_late: ParkLate = False,
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
        done = campaign_life.resume(call.context, name, call.now, without or (), park_late=park_late)
    else:
        done = campaign_life.resume_many(call.context, mailbox, call.now, without or (), park_late=park_late)
    _tell(call, done)


def _tell(call: Call, done: "Resumed") -> None:
    speech = call.speech
    speech.result(
        {
            "resumed": list(done.names),
            "campaigns": [_row_of(resumed) for resumed in done.campaigns],
            "late": late_rows([one.late for one in done.campaigns if one.late is not None]),
            "refused": [
                {"name": refused, "code": why.code, "message": why.message, "hint": why.hint}
                for refused, why in done.refused.items()
            ],
        },
        *(line for resumed in done.campaigns for line in _told(resumed, call)),
        *(() if done.names or done.refused else ("no campaign is paused",)),
    )
    for why in done.refused.values():
        speech.warn(localised(with_hint(why), call.zone))
    if done.refused:
        raise typer.Exit(_DONE_IN_PART if done.names else _REFUSED)
    speech.next(Command("status"))


def _told(resumed: "GoingOn", call: Call) -> Iterator[AnyHint]:
    """What goes on and from when, what is late, then what is still held and by what."""
    zone = call.zone
    going_on = counted(resumed.people, "person goes on", "people go on")
    if resumed.next_at is not None:
        begins = f", the next message {words_of(resumed.next_at, call)}"
    elif resumed.waits_for is not None:
        begins = f", but nothing leaves yet: {localised(resumed.waits_for, zone)}"
    else:
        begins = ""
    yield f"resumed campaign '{resumed.campaign}': {going_on}{begins}"
    if resumed.late is not None:
        again = Command("campaign", "resume", resumed.campaign, "--park-late")
        yield from told_of_late(
            [resumed.late], Command("campaign", "pause", resumed.campaign), ", then", again
        )
    for sender in resumed.held:
        wait = counted(sender.people, "person still waits", "people still wait")
        what = f"  {wait} for {sender.address}: {localised(sender.reason, zone)}"
        yield what if sender.remedy is None else f"{what}; to end that: {in_words(sender.remedy)}"


def _row_of(resumed: "GoingOn") -> dict[str, object]:
    return {
        "name": resumed.campaign,
        "recipients": resumed.people,
        "next_at": resumed.next_at,
        "waits_for": resumed.waits_for,
        "held": [
            {
                "address": sender.address,
                "recipients": sender.people,
                "reason": sender.reason,
                "command": sender.remedy,
            }
            for sender in resumed.held
        ],
    }
