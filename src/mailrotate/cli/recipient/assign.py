"""`mailrotate recipient assign`: move recipients to another mailbox."""

from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.output import Speech, counted
from mailrotate.cli.params import Campaign
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.adapters.problem_spool import ProblemSpool
    from mailrotate.core.services.campaigns.reassigning import Moved, Whom

_DONE_IN_PART = 8
_MOST_TOLD = 20

ToSender = Annotated[
    str,
    typer.Option(
        metavar="ADDRESS",
        help="Connected mailbox that takes them over.",
        autocompletion=completion.mailboxes,
    ),
]
FromSender = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="All open recipients of this mailbox, and those that failed when it was removed.",
    ),
]


Addresses = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="ADDRESS",
        help="Recipients that failed when their mailbox was removed.",
        autocompletion=completion.recipients,
    ),
]


WithTag = Annotated[
    str | None,
    typer.Option(metavar="TAG", help="Recipients with this tag that failed when their mailbox was removed."),
]


def assign(
    ctx: typer.Context,
    campaign: Campaign,
    to_sender: ToSender,
    addresses: Addresses = None,
    tag: WithTag = None,
    from_sender: FromSender = None,
) -> None:
    """Move the recipients of a mailbox, also of a removed one, to another mailbox.

    Each continues at their step, in their thread. Recipients that cannot be moved are reported with the
    reason; stopped recipients stay stopped. To move a single open recipient, change the sender of their
    next message: mailrotate outbox send-from.

    Examples:

      mailrotate recipient assign autumn-intro --from-sender anna@example.org --to-sender ben@example.org

      mailrotate recipient assign autumn-intro --tag left-by-anna --to-sender ben@example.org
    """
    from mailrotate.adapters.problem_spool import ProblemSpool
    from mailrotate.core.services.campaigns import reassigning

    call = call_of(ctx)
    whom = _whom(addresses, tag, from_sender)
    with ProblemSpool() as aside:
        moved = reassigning.assign(call.context, campaign, whom, to_sender, aside=aside, now=call.now)
        head = {
            "campaign": moved.campaign,
            "sender": moved.sender,
            "assigned": moved.moved,
            "going_on": moved.going_on,
            "became_sender": moved.became_sender,
        }
        if call.speech.as_json:
            rows = ({"email": each.email, "problem": each.problem} for each in aside)
            call.speech.report({**head, "not_assigned": aside.count}, "problems", rows)
        else:
            _tell(call.speech, moved, aside)
        if aside.count:
            raise typer.Exit(_DONE_IN_PART)
    verb = "resume" if moved.is_paused else "show"
    call.speech.next(Command("campaign", verb, moved.campaign))


def _whom(addresses: list[str] | None, tag: str | None, from_sender: str | None) -> "Whom":
    from mailrotate.core.services.campaigns.reassigning import Whom
    from mailrotate.core.values.tag import read_tag

    if sum((bool(addresses), tag is not None, from_sender is not None)) != 1:
        raise BadInput(
            "recipient.which",
            "name recipients, or add --tag or --from-sender",
            Command("recipient", "assign", "CAMPAIGN", "--from-sender", "ADDRESS", "--to-sender", "ADDRESS"),
        )
    return Whom(addresses or (), None if tag is None else read_tag(tag), from_sender)


def _tell(speech: Speech, moved: "Moved", aside: "ProblemSpool") -> None:
    people = counted(moved.going_on, "recipient goes", "recipients go")
    speech.line(f"{people} on from {moved.sender} in '{moved.campaign}'")
    if moved.became_sender:
        speech.line(f"{moved.sender} is the campaign's sender now")
    for number, each in enumerate(aside):
        if number == _MOST_TOLD:
            speech.say(f"  … and {aside.count - _MOST_TOLD} more; --json lists them all")
            break
        speech.say(f"  {each.email}: {each.problem}")
