"""Aliases: other addresses of a mailbox, and which of them it sends as (B11).

Limits, connection and envelope sender stay the mailbox's own: its server accepts that address, and bounces
arrive in the inbox that is read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.services.access import ownership, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import (
    aliases,
    events,
    mailboxes,
    requests,
    seat_addresses,
    settings,
    workspaces,
)
from mailrotate.core.store.aliases import StoredAlias
from mailrotate.core.store.events import About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.values.address import canonical_address, normalise_address
from mailrotate.core.values.errors import NotFound, Refused
from mailrotate.core.values.hint import Command
from mailrotate.core.values.own_settings import check_name


@dataclass(frozen=True)
class MailboxAliases:
    """A mailbox's aliases; `sends_as` is None if From names its own address."""

    address: str
    sends_as: str | None
    aliases: Sequence[StoredAlias]
    warnings: Sequence[str] = ()


def listing(context: Context, address: str) -> MailboxAliases:
    """List a mailbox's aliases and the address that it sends as. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        return _of(connection, seats.find_mailbox(connection, context.actor, address))


def add(
    context: Context, address: str, alias: str, sender_name: str | None, now: datetime, *, use: bool = False
) -> MailboxAliases:
    """Add an alias, and send as it if `use`. Raises BadInput, NotFound, Refused.

    An alias is an address on the seat, so it needs the same checks as a mailbox's own (A7-A9).
    """
    alias = normalise_address(alias)
    if sender_name is not None:
        check_name("sender name", "--sender-name", sender_name)
    with context.store.writing() as connection:
        workspaces.lock(connection)
        box = seats.find_connected(connection, context.actor, address)
        user = workspaces.user_by_id(connection, box.user_id)
        assert user is not None  # a mailbox refers to its user
        _refuse_known(connection, box, alias)
        refusal = ownership.held_refusal(connection, context.actor, user, alias)
        if refusal is not None:
            raise refusal
        ownership.refuse_new(connection, context.actor, user, alias)
        seat_addresses.hold(connection, alias, box.id)
        aliases.insert_alias(connection, box.connection_id, alias, sender_name)
        events.record(
            connection, context.actor, "alias.added", now, About(box.id), after=alias, sender_name=sender_name
        )  # fmt: skip
        if use:
            _send_as(connection, context, box, alias, now)
        return _of(connection, box, ownership.warnings(connection, user, alias))


def remove(context: Context, address: str, alias: str, now: datetime) -> MailboxAliases:
    """Remove an alias and its approval. Raises BadInput, NotFound, Refused.

    If the mailbox sent as this alias, it sends as itself again.
    """
    with context.store.writing() as connection:
        workspaces.lock(connection)
        box = seats.find_mailbox(connection, context.actor, address)
        known = _alias(connection, box, alias)
        if settings.of(connection, box.id).sends_as == known.address:
            _send_as(connection, context, box, None, now)
        aliases.delete_alias(connection, known.id)
        requests.end(connection, known.address, now)
        seat_addresses.release(connection, known.address)
        events.record(
            connection, context.actor, "alias.removed", now, About(box.id), before=known.address
        )  # fmt: skip
        return _of(connection, box)


def use(context: Context, address: str, alias: str | None, now: datetime) -> MailboxAliases:
    """Send as an alias from the next message on; with None, or its own address, as the mailbox itself.

    Raises as `remove`.
    """
    with context.store.writing() as connection:
        workspaces.lock(connection)
        box = seats.find_connected(connection, context.actor, address)
        own, wanted = canonical_address(box.address), None
        if alias is not None and canonical_address(normalise_address(alias)) != own:
            wanted = _alias(connection, box, alias).address
        _send_as(connection, context, box, wanted, now)
        return _of(connection, box)


def reset_commands(connection: Connection, former: StoredMailbox) -> dict[str, Command]:
    """Build the commands that add the former connection's aliases again (C4)."""
    sends_as = settings.of(connection, former.id).sends_as
    return {
        f"alias {known.address}": Command(
            *("mailbox", "alias", "add", former.address, known.address),
            *(() if known.sender_name is None else ("--sender-name", known.sender_name)),
            *(("--use",) if known.address == sends_as else ()),
        )
        for known in aliases.of_connection(connection, former.connection_id)
    }


def _of(connection: Connection, box: StoredMailbox, warnings: Sequence[str] = ()) -> MailboxAliases:
    sends_as = settings.of(connection, box.id).sends_as
    return MailboxAliases(
        box.address, sends_as, aliases.of_connection(connection, box.connection_id), warnings
    )


def _refuse_known(connection: Connection, box: StoredMailbox, alias: str) -> None:
    held = seat_addresses.holding(connection, alias)
    if held is None or held.mailbox_id != box.id:
        return
    if held.address == box.address:
        raise Refused(
            "alias.own",
            f"{alias} is the mailbox's own address",
            Command("mailbox", "alias", "list", box.address),
        )
    raise Refused(
        "alias.exists",
        f"{alias} is already an alias of {box.address}"
        + ("" if held.address == alias else f", as {held.address}"),
        Command("mailbox", "alias", "use", box.address, held.address),
    )


def _alias(connection: Connection, box: StoredMailbox, alias: str) -> StoredAlias:
    """Find the mailbox's alias, in any spelling."""
    wanted = canonical_address(normalise_address(alias))
    for known in aliases.of_connection(connection, box.connection_id):
        if canonical_address(known.address) == wanted:
            return known
    raise NotFound(
        "alias.none",
        f"{alias} is not an alias of {box.address}",
        Command("mailbox", "alias", "list", box.address),
    )


def _send_as(
    connection: Connection, context: Context, box: StoredMailbox, alias: str | None, now: datetime
) -> None:
    before = settings.of(connection, box.id).sends_as
    if alias == before:
        return
    mailboxes.change_connection(connection, box.connection_id, sends_as=alias)
    changed = {"key": "sends_as", "before": before, "after": alias}
    events.record(connection, context.actor, "mailbox.set", now, About(box.id), **changed)
