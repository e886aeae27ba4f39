"""Shell completion of values: names in the database that the acting user may see.

A completer opens it for reading only, makes none, and offers nothing where it cannot be read: a shell has
no place for an error message.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import typer

from mailrotate.cli.call import call_of
from mailrotate.core.values.errors import MailrotateError

# The arguments that a campaign stands in.
_CAMPAIGNS = ("campaign", "name", "subject")

if TYPE_CHECKING:
    from mailrotate.core.store.names import Names


def mailboxes(ctx: typer.Context, incomplete: str) -> list[str]:
    """Addresses of connected and disconnected mailboxes."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.MAILBOXES)


def campaigns(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of campaigns."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.CAMPAIGNS)


def messages(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of messages that wait for a decision."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.MESSAGES)


def slots(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of slots, also of the pool."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.SLOTS)


def users(ctx: typer.Context, incomplete: str) -> list[str]:
    """Addresses of users."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.USERS)


def actors(ctx: typer.Context, incomplete: str) -> list[str]:
    """Addresses of users who may act."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.ACTORS)


def requests(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of requested mailboxes that wait for a decision."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.REQUESTS)


def webhooks(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of webhooks."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.WEBHOOKS)


def any_message(ctx: typer.Context, incomplete: str) -> list[str]:
    """Ids of the latest messages."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.LATEST_MESSAGES)


def contacts(ctx: typer.Context, incomplete: str) -> list[str]:
    """Addresses of contacts."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.CONTACTS)


def recipients(ctx: typer.Context, incomplete: str) -> list[str]:
    """Addresses of the recipients of the campaign that stands before."""
    from mailrotate.core.store.names import Names

    # Behind an option that has no value yet, the parser leaves the arguments as they are.
    given = [ctx.params.get(name) for name in _CAMPAIGNS] + ctx.args[:1]
    campaign = next(filter(None, given), None)
    return [] if campaign is None else _beginning(ctx, incomplete, Names.RECIPIENTS, campaign=str(campaign))


def anything(ctx: typer.Context, incomplete: str) -> list[str]:
    """Everything that `why` explains, except recipients; of messages those that wait for a decision."""
    from mailrotate.core.store.names import Names

    if incomplete.startswith("m_"):
        return _beginning(ctx, incomplete, Names.LATEST_MESSAGES)
    return _beginning(ctx, incomplete, Names.MAILBOXES, Names.CAMPAIGNS, Names.MESSAGES)


def values(offered: str) -> Callable[[str], list[str]]:
    """The values of an option, as its placeholder names them: `send|sync|test`."""
    return lambda incomplete: [value for value in offered.split("|") if value.startswith(incomplete)]


def commands(ctx: typer.Context, incomplete: str) -> list[str]:
    """Names of commands, below the nouns that stand before."""
    root = ctx.find_root()
    at: Any = root.command
    for word in ctx.params.get("words") or ():
        at = at.get_command(root, word) if hasattr(at, "get_command") else None
    names = at.list_commands(root) if hasattr(at, "list_commands") else []
    topics = [*names, "exit-status"] if at is root.command else names
    return [name for name in topics if name.startswith(incomplete)]


def _beginning(ctx: typer.Context, incomplete: str, *wanted: "Names", **typed: str) -> list[str]:
    from contextlib import closing

    try:
        with closing(call_of(ctx)) as call:
            found = call.app.names(*wanted, beginning=incomplete, **typed)
    except MailrotateError:
        return []
    return [name for name in found if name.startswith(incomplete)]
