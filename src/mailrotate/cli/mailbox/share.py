"""`mailrotate mailbox share`: who else reads and writes from a shared mailbox."""

from typing import Annotated

import typer

from mailrotate.cli import completion
from mailrotate.cli.call import call_of
from mailrotate.cli.lazy import noun
from mailrotate.cli.params import Address, DryRun, Yes
from mailrotate.core.values.hint import Command, Hint

User = Annotated[
    str, typer.Argument(metavar="USER", help="The user's address.", autocompletion=completion.users)
]

app = noun("Manage who shares a mailbox.", __name__, "add", "remove", "list")


def add(ctx: typer.Context, address: Address, user: User) -> None:
    """Share a mailbox with --access shared: the user may read it and send from it.

    Examples:

      mailrotate mailbox share add anna@example.org ben@example.org
    """
    from mailrotate.core.services.mailboxes import sharing

    call = call_of(ctx)
    changed = sharing.add(call.context, address, user, call.now)
    words = "is shared with" if changed else "was shared already with"
    call.speech.result({"address": address, "user": user, "changed": changed}, f"{address} {words} {user}")
    call.speech.next(Command("mailbox", "share", "list", address))


def remove(
    ctx: typer.Context,
    address: Address,
    user: User,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> None:
    """End a share, after showing the user's campaigns that send from the mailbox.

    Examples:

      mailrotate mailbox share remove anna@example.org ben@example.org --yes
    """
    from mailrotate.core.services.mailboxes import sharing

    call = call_of(ctx)
    campaigns = sharing.campaigns_sent_by(call.context, address, user)
    told = [f"campaign {name} of {user} sends from {address} and goes on" for name in campaigns]
    done = not told and not dry_run
    if told or dry_run:
        question = f"Share {address} no longer with {user}?"
        done = call.speech.confirm(told, question, yes=yes, dry_run=dry_run, has_document=True)
    changed = done and sharing.remove(call.context, address, user, call.now)
    words = "is no longer shared with" if changed else "was not shared with"
    call.speech.result(
        {"address": address, "user": user, "changed": changed, "campaigns": list(campaigns)},
        *([f"{address} {words} {user}"] if done else []),
    )
    if done:
        call.speech.next(Command("mailbox", "share", "list", address))


def list_(ctx: typer.Context, address: Address) -> None:
    """List the users that a mailbox is shared with.

    Examples:

      mailrotate mailbox share list anna@example.org
    """
    from mailrotate.core.services.mailboxes import sharing

    call = call_of(ctx)
    call.speech.listing(
        ("user",),
        [{"user": email} for email in sharing.listing(call.context, address)],
        lambda row: (row["user"],),
        Hint(f"{address} is not shared:", Command("mailbox", "share", "add", address, "USER")),
    )
