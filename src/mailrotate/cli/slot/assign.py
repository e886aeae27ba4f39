"""`mailrotate slot assign|add`: give a user slots, from the pool or bought."""

from typing import TYPE_CHECKING, Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.output import Speech, counted
from mailrotate.cli.slot.document import Count, row_of
from mailrotate.core.values.hint import Command

if TYPE_CHECKING:
    from mailrotate.core.services.mailboxes.slot_pool import UserSlots

User = Annotated[
    str,
    typer.Option(
        "--for", metavar="USER", help="The user who gets the slots.", autocompletion=completion.users
    ),
]


def assign(ctx: typer.Context, user: User, count: Count = 1) -> None:
    """Assign slots of the team's pool to a user, oldest first.

    Examples:

      mailrotate slot assign --for anna@example.org --count 2
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    _tell_given(call.speech, slot_pool.assign(call.context, user, count, call.now))


def add(ctx: typer.Context, user: User, count: Count = 1) -> None:
    """Buy slots and assign them to a user; each renews automatically every month.

    Examples:

      mailrotate slot add --for anna@example.org
    """
    from mailrotate.core.services.mailboxes import slot_pool

    call = call_of(ctx)
    _tell_given(call.speech, slot_pool.add(call.context, user, count, call.now))


def _tell_given(speech: Speech, user: "UserSlots") -> None:
    default = f", default sender {user.default}" if user.default else ""
    speech.result(
        row_of(user),
        f"{user.user} has {counted(user.total, 'slot')} now, "
        f"{user.connected}/{user.total} connected{default}",
    )
    speech.next(Command("mailbox", "connect", "ADDRESS", "--for", user.user))
