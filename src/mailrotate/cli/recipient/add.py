"""`mailrotate recipient add`."""

from typing import Annotated

import typer

from mailrotate.cli.call import Call, call_of
from mailrotate.cli.params import Campaign, read_fields
from mailrotate.cli.recipient.document import AddedFor, row_of
from mailrotate.core.values.hint import Command


def add(
    ctx: typer.Context,
    campaign: Campaign,
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="Address of the recipient.")],
    field: Annotated[
        list[str] | None,
        typer.Option("--field", metavar="NAME=VALUE", help="Value of a field; can be repeated."),
    ] = None,
    for_user: AddedFor = None,
) -> None:
    """Add one recipient.

    Examples:

      mailrotate recipient add autumn-intro kim@example.com --field first_name=Kim --field company=Acme
    """
    from mailrotate.adapters.problem_spool import ProblemSpool
    from mailrotate.core.services.campaigns import enrolment

    call = call_of(ctx)
    with ProblemSpool() as aside:
        fields = read_fields(field or [])
        kept = enrolment.add(
            call.context, campaign, address, fields, aside=aside, now=call.now, for_user=for_user
        )
    _show(call, campaign, kept, f"added {kept} to '{campaign}'")
    call.speech.next(Command("campaign", "preview", campaign, "--to", kept))


def _show(call: Call, campaign: str, address: str, words: str) -> None:
    from mailrotate.core.services.campaigns import recipient_list

    call.speech.result(row_of(recipient_list.show(call.context, campaign, address, call.now)), words)
