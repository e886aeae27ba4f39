"""Shell completion of values: names in the database that the acting user may see.

A completer opens it for reading only, makes none, and offers nothing where it cannot be read: a shell has
no place for an error message.
"""

from typing import TYPE_CHECKING

import typer

from mailrotate.cli.call import call_of
from mailrotate.core.values.errors import MailrotateError

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


def anything(ctx: typer.Context, incomplete: str) -> list[str]:
    """Everything that `why` explains, except recipients."""
    from mailrotate.core.store.names import Names

    return _beginning(ctx, incomplete, Names.MAILBOXES, Names.CAMPAIGNS, Names.MESSAGES)


def _beginning(ctx: typer.Context, incomplete: str, *wanted: "Names") -> list[str]:
    from contextlib import closing

    try:
        with closing(call_of(ctx)) as call:
            found = call.app.names(*wanted)
    except MailrotateError:
        return []
    return [name for name in found if name.startswith(incomplete)]
