"""A mailbox's signatures (B3): Markdown templates, checked like a body. What changes reaches every message
that is not yet being sent, because the main one is read at the claim."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection

from mailrotate.core.rules.letter_check import Kind, check_text
from mailrotate.core.services.access import authority, seats
from mailrotate.core.services.context import Context
from mailrotate.core.store import events, signatures, workspaces
from mailrotate.core.store.events import About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.store.signatures import StoredSignature
from mailrotate.core.values.errors import BadInput, NotFound, Refused
from mailrotate.core.values.hint import Command

LONGEST_BODY = 10_000
_LONGEST_NAME = 60


@dataclass(frozen=True)
class MailboxSignatures:
    """The signatures of a mailbox, as they are now."""

    address: str
    signatures: Sequence[StoredSignature]
    warnings: Sequence[str] = ()


def listing(context: Context, address: str) -> MailboxSignatures:
    """List a mailbox's signatures. Raises NotFound, Refused."""
    with context.store.reading() as connection:
        return _of(connection, authority.find_seen_mailbox(connection, context.actor, address))


def show(context: Context, address: str, name: str) -> StoredSignature:
    """Show one signature. Raises NotFound (`signature.none`), Refused."""
    with context.store.reading() as connection:
        return _named(connection, authority.find_seen_mailbox(connection, context.actor, address), name)


def add(
    context: Context, address: str, name: str, body: str, now: datetime, *, main: bool = False
) -> MailboxSignatures:
    """Add a signature, as the main one only if requested. Raises BadInput, NotFound, Refused."""
    warnings = _check(name, body)
    with context.store.writing() as connection:
        box = _connected(connection, context, address)
        if any(known.name == name for known in signatures.of_connection(connection, box.connection_id)):
            raise Refused(
                "signature.exists",
                f"{box.address} already has a signature '{name}'",
                Command("mailbox", "signature", "edit", box.address, name, "--body", "FILE"),
            )
        _insert(connection, context, box, name, body, now, main=main)
        return replace(_of(connection, box), warnings=warnings)


def edit(context: Context, address: str, name: str, body: str, now: datetime) -> MailboxSignatures:
    """Replace a signature's text. Raises BadInput, NotFound, Refused."""
    warnings = _check(name, body)
    with context.store.writing() as connection:
        box = _connected(connection, context, address)
        known = _named(connection, box, name)
        if body != known.body:
            signatures.change(connection, known.id, body=body)
            _record(connection, context, box, f"signature {name}", _told(known.body), _told(body), now)
        return replace(_of(connection, box), warnings=warnings)


def choose_main(context: Context, address: str, name: str | None, now: datetime) -> MailboxSignatures:
    """Choose the main signature, which ends every message; None for none. Raises NotFound, Refused."""
    with context.store.writing() as connection:
        box = _connected(connection, context, address)
        chosen = None if name is None else _named(connection, box, name)
        _make_main(connection, context, box, chosen, now)
        return _of(connection, box)


def remove(context: Context, address: str, name: str, now: datetime) -> MailboxSignatures:
    """Remove a signature; if it was the main one, there is none afterwards. Raises NotFound, Refused."""
    with context.store.writing() as connection:
        box = _connected(connection, context, address)
        known = _named(connection, box, name)
        if known.is_main:
            _make_main(connection, context, box, None, now)
        signatures.delete_signature(connection, known.id)
        _record(connection, context, box, f"signature {name}", _told(known.body), None, now)
        return _of(connection, box)


def restore(context: Context, address: str, name: str, now: datetime) -> MailboxSignatures:
    """Restore a signature of the former connection (C4), as the main one unless there is one.

    Raises NotFound, Refused.
    """
    with context.store.writing() as connection:
        box = _connected(connection, context, address)
        former = signatures.former(connection, box.id)
        found = next((known for known in former if known.name == name), None)
        if found is None:
            raise _none(box, name, [known.name for known in former])
        if any(known.name == name for known in signatures.of_connection(connection, box.connection_id)):
            raise Refused(
                "signature.exists",
                f"{box.address} already has a signature '{name}'",
                Command("mailbox", "signature", "list", box.address),
            )
        present = signatures.of_connection(connection, box.connection_id)
        main = found.is_main and not any(known.is_main for known in present)
        _insert(connection, context, box, name, found.body, now, main=main)
        return _of(connection, box)


def reset_commands(connection: Connection, former: StoredMailbox) -> dict[str, Command]:
    """Build the commands that restore the former connection's signatures (C4)."""
    return {
        f"signature {known.name}": Command("mailbox", "signature", "restore", former.address, known.name)
        for known in signatures.of_connection(connection, former.connection_id)
    }


def _insert(
    connection: Connection,
    context: Context,
    box: StoredMailbox,
    name: str,
    body: str,
    now: datetime,
    *,
    main: bool,
) -> None:
    made = signatures.insert_signature(connection, box.connection_id, name, body)
    _record(connection, context, box, f"signature {name}", None, _told(body), now)
    if main:
        _make_main(connection, context, box, StoredSignature(made, name, body, False), now)


def _make_main(
    connection: Connection,
    context: Context,
    box: StoredMailbox,
    chosen: StoredSignature | None,
    now: datetime,
) -> None:
    known = signatures.of_connection(connection, box.connection_id)
    before = next((each.name for each in known if each.is_main), None)
    after = None if chosen is None else chosen.name
    if before != after:
        signatures.make_main(connection, box.connection_id, None if chosen is None else chosen.id)
        _record(connection, context, box, "main_signature", before, after, now)


def _record(
    connection: Connection,
    context: Context,
    box: StoredMailbox,
    key: str,
    before: str | None,
    after: str | None,
    now: datetime,
) -> None:
    change = {"key": key, "before": before, "after": after}
    events.record(connection, context.actor, "mailbox.signature", now, About(box.id), **change)


def _told(body: str) -> str:
    """Describe a text for the log: its length and a digest."""
    return f"{len(body)} characters, {hashlib.blake2b(body.encode(), digest_size=4).hexdigest()}"


def _connected(connection: Connection, context: Context, address: str) -> StoredMailbox:
    # Serialise, so that two cannot add the same name.
    workspaces.lock(connection)
    return seats.find_connected(connection, context.actor, address)


def _named(connection: Connection, box: StoredMailbox, name: str) -> StoredSignature:
    known = signatures.of_connection(connection, box.connection_id)
    found = next((each for each in known if each.name == name), None)
    if found is None:
        raise _none(box, name, [each.name for each in known])
    return found


def _none(box: StoredMailbox, name: str, known: Sequence[str]) -> NotFound:
    there = f"; there are {', '.join(known)}" if known else ""
    return NotFound(
        "signature.none",
        f"{box.address} has no signature '{name}'{there}",
        Command("mailbox", "signature", "list", box.address),
    )


def _of(connection: Connection, box: StoredMailbox) -> MailboxSignatures:
    return MailboxSignatures(box.address, signatures.of_connection(connection, box.connection_id))


def _check(name: str, body: str) -> list[str]:
    """Refuse a signature that cannot be used; returns what may not look as it is written."""
    if not (0 < len(name) <= _LONGEST_NAME and name.isprintable() and name == name.strip()):
        raise BadInput(
            "signature.name", f"a signature's name is one line of at most {_LONGEST_NAME} characters"
        )
    if not body.strip():
        raise BadInput("signature.empty", f"the signature '{name}' is empty", "write it into a file first")
    if "\0" in body:
        raise BadInput(
            "signature.unreadable", f"signature '{name}' is not valid text: it contains a NUL character"
        )
    if len(body) > LONGEST_BODY:
        raise BadInput(
            "signature.too_long",
            f"the signature '{name}' has {len(body)} characters; the maximum is {LONGEST_BODY}",
        )
    found = check_text(body, Kind.SIGNATURE)
    mistakes = [f"line {problem.line}: {problem.message}" for problem in found if problem.is_mistake]
    if mistakes:
        several = f"the signature '{name}' has {len(mistakes)} mistakes"
        message = several if len(mistakes) > 1 else f"the signature '{name}': {mistakes[0]}"
        raise BadInput("signature.invalid", message, "correct it and run the command again", mistakes)
    return [f"line {problem.line}: {problem.message}" for problem in found]
