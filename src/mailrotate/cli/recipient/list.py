"""`mailrotate recipient list`."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.output import instant
from mailrotate.cli.params import After, Campaign, Limit, read_id
from mailrotate.cli.recipient.document import row_of
from mailrotate.core.values.reasons import ended
from mailrotate.core.values.states import OPEN_RECIPIENTS

_STATES = "queued|active|replied|bounced|unsubscribed|stopped|failed|finished"


InState = Annotated[
    str | None,
    typer.Option(metavar=_STATES, help="In this state only.", autocompletion=completion.values(_STATES)),
]


OfSender = Annotated[
    str | None,
    typer.Option(
        metavar="ADDRESS",
        help="Only recipients of this mailbox.",
        autocompletion=completion.mailboxes,
    ),
]


def list_(
    ctx: typer.Context,
    campaign: Campaign,
    state: InState = None,
    sender: OfSender = None,
    limit: Limit = None,
    after: After = None,
) -> None:
    """List a campaign's recipients in the order of enrolment, with their next step.

    Examples:

      mailrotate recipient list autumn-intro --state replied

      mailrotate recipient list autumn-intro --sender anna@example.org --limit 100 --json
    """
    from mailrotate.core.services.campaigns import recipient_list

    call = call_of(ctx)
    wanted = recipient_list.Wanted(
        state=recipient_list.read_state(state),
        sender=sender,
        after=None if after is None else read_id(after, "r", "recipient"),
        limit=limit,
    )
    zone = call.zone
    with recipient_list.listing(call.context, campaign, wanted, call.now) as found:
        call.speech.listing(
            ("id", "email", "state", "sender", "step", "sent", f"due ({zone})"),
            map(row_of, found),
            lambda r: (
                r["id"],
                r["email"],
                ended(r["state"], r["reason"]),
                r["sender"],
                r["step"] if r["state"] in OPEN_RECIPIENTS else None,
                r["sent"],
                instant(r["next_at"], zone, ahead=True),
            ),
            "no such recipients",
            drop=("sent", "step", "sender", "due"),
        )
