"""`mailrotate mailbox default|pause|resume|release`: what needs a mailbox's name and nothing else."""

from collections.abc import Callable
from typing import Annotated

import typer

from mailrotate.cli.call import call_of
from mailrotate.cli.output import counted
from mailrotate.cli.params import Address
from mailrotate.core.values.hint import Command


def default(ctx: typer.Context, address: Address) -> None:
    """Make a mailbox its user's default sender.

    Examples:

      mailrotate mailbox default anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    _do(
        ctx,
        address,
        mailbox_views.make_default,
        ("is the default sender now", "was the default already"),
    )


def pause(ctx: typer.Context, address: Address) -> None:
    """Pause a mailbox without disconnecting it: its messages wait.

    Examples:

      mailrotate mailbox pause anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    _do(ctx, address, mailbox_views.pause, ("is paused; its messages wait", "is already paused"))


def resume(ctx: typer.Context, address: Address) -> None:
    """Resume a paused mailbox.

    Examples:

      mailrotate mailbox resume anna@example.org
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    _do(ctx, address, mailbox_views.resume, ("has been resumed", "was not paused"))


def release(
    ctx: typer.Context,
    address: Address,
    undo_refusals: Annotated[
        bool,
        typer.Option(
            "--undo-refusals", help="Recipients refused since the last accepted one are open again."
        ),
    ] = False,
) -> None:
    """Release a mailbox from a hold after a refusal of the sender or a limit.

    Examples:

      mailrotate mailbox release anna@example.org

      mailrotate mailbox release anna@example.org --undo-refusals
    """
    from mailrotate.core.services.mailboxes import mailbox_views

    if undo_refusals:
        _undo_refusals(ctx, address)
        return
    _do(ctx, address, mailbox_views.release, ("is no longer on hold", "was not on hold"))


def _undo_refusals(ctx: typer.Context, address: str) -> None:
    from mailrotate.core.services.mailboxes import refusal_undoing

    call = call_of(ctx)
    undone = refusal_undoing.release(call.context, address, call.now)
    changed = undone.was_held or undone.refusals > 0
    held = "is no longer on hold" if undone.was_held else "was not on hold"
    people = counted(undone.reopened, "recipient is", "recipients are")
    lifted = counted(undone.unsuppressed, "suppression is", "suppressions are")
    call.speech.result(
        {
            "address": address,
            "changed": changed,
            "refusals": undone.refusals,
            "reopened": undone.reopened,
            "unsuppressed": undone.unsuppressed,
        },
        f"{address} {held}; {people} open again, {lifted} lifted",
    )
    if changed:
        call.speech.next(Command("mailbox", "show", address))


def _do(
    ctx: typer.Context,
    address: str,
    act: Callable[..., object],
    words: tuple[str, str],
) -> None:
    call = call_of(ctx)
    changed = bool(act(call.context, address, call.now))
    call.speech.result({"address": address, "changed": changed}, f"{address} {words[0 if changed else 1]}")
    if changed:
        call.speech.next(Command("mailbox", "show", address))
