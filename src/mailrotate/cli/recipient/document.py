"""A recipient as JSON, and arguments that name recipients."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion

if TYPE_CHECKING:
    from mailrotate.core.services.campaigns.recipient_list import RecipientEntry

Address = Annotated[
    str,
    typer.Argument(
        metavar="ADDRESS",
        help="The recipient's address, or an id like r_17.",
        autocompletion=completion.recipients,
    ),
]
AddedFor = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="USER",
        help="User to add them for; a rotation by adder sends from this user's mailboxes.",
        autocompletion=completion.users,
    ),
]


def row_of(entry: "RecipientEntry") -> dict[str, Any]:
    return {
        "id": f"r_{entry.id}",
        "email": entry.email,
        "state": entry.state,
        "reason": entry.reason,
        "sender": entry.sender,
        "assigned_reason": entry.assigned_reason,
        "assigned_because": entry.assigned_because,
        "step": entry.step,
        "sent": entry.sent,
        "next_at": entry.next_at,
    }
