"""`mailrotate recipient show`."""

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import zoned
from mailrotate.cli.params import Campaign
from mailrotate.cli.recipient.document import Address, row_of
from mailrotate.core.values.hint import Command, Hint
from mailrotate.core.values.reasons import ended


def show(ctx: typer.Context, campaign: Campaign, address: Address) -> None:
    """Show a recipient with their fields.

    Examples:

      mailrotate recipient show autumn-intro kim@example.com
    """
    from mailrotate.core.services.campaigns import recipient_list

    call = call_of(ctx)
    entry = recipient_list.show(call.context, campaign, address, call.now)
    if call.speech.as_json:
        call.speech.document({**row_of(entry), "fields": dict(entry.fields), "timezone": entry.timezone})
        return
    call.speech.facts(
        (
            ("recipient", f"{entry.email} (r_{entry.id})"),
            ("state", ended(entry.state, entry.reason)),
            ("sender", entry.sender),
            ("assigned because", entry.assigned_because),
            ("sent", entry.sent),
            ("next step", entry.step if entry.next_at else None),
            ("next", zoned(entry.next_at, call.zone, ahead=True)),
            *((f"{{{{ {name} }}}}", value) for name, value in entry.fields.items()),
        )
    )
    if entry.is_for_another:
        call.speech.line(
            Hint(
                "to move them to another mailbox:",
                Command("recipient", "assign", campaign, entry.email, "--to-sender", "ADDRESS"),
            )
        )
    call.speech.next(Command("why", campaign, entry.email))
