"""A user's seat as JSON and in words, and arguments that name users."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from mailrotate.cli import completion
from mailrotate.cli.output import Speech

if TYPE_CHECKING:
    from mailrotate.core.services.team.user_admin import Seat

Email = Annotated[
    str,
    typer.Argument(metavar="EMAIL", help="The user's address.", autocompletion=completion.users),
]
Name = Annotated[
    str | None, typer.Option(help="Name of the user, also the sender name of mailboxes without one.")
]


def row_of(seat: "Seat") -> dict[str, Any]:
    return {
        "email": seat.email,
        "name": seat.name,
        "role": seat.role,
        "state": seat.state,
        "default": seat.default,
        "connected": seat.connected,
        "total": seat.total,
        "mailboxes": [
            {
                "address": box.address,
                "state": box.state,
                "slot": None if box.slot_id is None else f"s_{box.slot_id}",
            }
            for box in seat.mailboxes
        ],
    }


def print_seat(speech: Speech, seat: "Seat") -> None:
    if speech.as_json:
        speech.document(row_of(seat))
        return
    speech.facts(
        (
            ("user", seat.email),
            ("name", seat.name),
            ("role", seat.role),
            ("state", seat.state),
            ("connected", f"{seat.connected}/{seat.total}"),
            ("default", seat.default),
            *(("mailbox", f"{box.address}, {box.state}") for box in seat.mailboxes),
        )
    )
