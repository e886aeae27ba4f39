"""The names that a shell completes, read so fast that Tab does not wait.

A file is read without SQLAlchemy, whose import alone takes noticeable time. What `viewer` sees
is what `sights` says in SQLAlchemy's words; the tests hold the two together.
"""

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mailrotate.core.store.engine import Store

# Runs a statement on either database; `:name` stands for a value.
Ask = Callable[[str, Mapping[str, object]], list[tuple[object, ...]]]

# The acting user, if active: by address, else the workspace's default user. PostgreSQL needs a type.
_ACTING = """
    SELECT id, role FROM "user" WHERE removed_at IS NULL AND state = 'active'
    AND (email = CAST(:email AS TEXT)
         OR CAST(:email AS TEXT) IS NULL AND id = (SELECT default_user_id FROM workspace))
"""
_SEES_ALL = "CAST(:viewer AS INTEGER) IS NULL"
_BEGINS = "substr(address, 1, length(:beginning)) = :beginning"
_SEAT = "SELECT id FROM mailbox WHERE user_id = :viewer"
_MAILBOXES = f"""
    {_SEAT} UNION SELECT c.mailbox_id FROM connection c JOIN mailbox_share s ON s.connection_id = c.id
    WHERE s.user_id = :viewer AND c.superseded_at IS NULL AND c.is_shared
"""
_CAMPAIGNS = f"""
    SELECT id FROM campaign WHERE owner_id = :viewer OR team OR id IN (
        SELECT campaign_id FROM campaign_sender
        WHERE mailbox_id IN ({_SEAT}) OR slot_id IN (SELECT id FROM slot WHERE user_id = :viewer)
        UNION SELECT s.campaign_id FROM step s JOIN step_version v ON v.step_id = s.id
        WHERE v.sender_mailbox_id IN ({_SEAT}))
"""


class Names(StrEnum):
    """The kinds of names on a command line, with the statement that lists them on both databases."""

    MAILBOXES = f"""
        SELECT address FROM mailbox WHERE removed_at IS NULL
        AND ({_SEES_ALL} OR id IN ({_MAILBOXES})) ORDER BY address
    """
    USERS = f"""
        SELECT email FROM "user" WHERE removed_at IS NULL
        AND ({_SEES_ALL} OR id = :viewer) ORDER BY email
    """
    CAMPAIGNS = f"SELECT name FROM campaign WHERE {_SEES_ALL} OR id IN ({_CAMPAIGNS}) ORDER BY name"
    SLOTS = f"""
        SELECT 's_' || id FROM slot WHERE removed_at IS NULL
        AND ({_SEES_ALL} OR user_id = :viewer) ORDER BY id LIMIT 1000
    """
    # Other messages are too many, and no command acts on them.
    MESSAGES = f"""
        SELECT 'm_' || id FROM message WHERE state IN ('error', 'held')
        AND ({_SEES_ALL} OR mailbox_id IN ({_MAILBOXES}) OR campaign_id IN ({_CAMPAIGNS}))
        ORDER BY id DESC LIMIT 100
    """
    LATEST_MESSAGES = f"""
        SELECT 'm_' || id FROM message
        WHERE ({_SEES_ALL} OR mailbox_id IN ({_MAILBOXES}) OR campaign_id IN ({_CAMPAIGNS}))
        ORDER BY id DESC LIMIT 100
    """
    # Of one campaign, by name or id: those whose address begins like what was typed.
    RECIPIENTS = f"""
        SELECT address FROM contact WHERE id IN (
            SELECT contact_id FROM recipient WHERE campaign_id IN (
                SELECT id FROM campaign WHERE (name = :campaign OR 'c_' || id = :campaign)
                AND ({_SEES_ALL} OR id IN ({_CAMPAIGNS}))))
        AND {_BEGINS} ORDER BY address LIMIT 100
    """
    CONTACTS = f"""
        SELECT address FROM contact WHERE {_BEGINS} ORDER BY address LIMIT 100
    """
    REQUESTS = f"""
        SELECT 'q_' || id FROM mailbox_request WHERE state = 'requested' AND ended_at IS NULL
        AND ({_SEES_ALL} OR user_id = :viewer) ORDER BY id LIMIT 1000
    """
    WEBHOOKS = f"SELECT 'w_' || id FROM webhook WHERE {_SEES_ALL} ORDER BY id"
    # Values for --as; there is no acting user yet.
    ACTORS = """SELECT email FROM "user" WHERE removed_at IS NULL AND state = 'active' ORDER BY email"""


def acting(ask: Ask, email: str | None) -> tuple[int, str] | None:
    """Id and role of the acting user; None if there is none or they may not act."""
    for user_id, role in ask(_ACTING, {"email": email}):
        return int(str(user_id)), str(role)
    return None


def listing(ask: Ask, wanted: Names, viewer: int | None, **typed: str) -> list[str]:
    """List all names, or those that the member with this id sees; `typed` is the rest of the command line."""
    known = {"viewer": viewer, **typed}
    named = {key: value for key, value in known.items() if f":{key}" in wanted}
    return [str(name) for (name,) in ask(wanted, named)]


def in_file(path: Path, find: Callable[[Ask], list[str]]) -> list[str]:
    """Read names from a SQLite file; empty if it does not exist or cannot be read."""
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as connection:
            return find(lambda statement, known: connection.execute(statement, known).fetchall())
    except sqlite3.Error:
        return []


def in_store(store: "Store", find: Callable[[Ask], list[str]]) -> list[str]:
    """Read names through a store; empty without tables of our revision. Raises StoreTrouble, Busy."""
    from sqlalchemy import text
    from sqlalchemy.exc import SQLAlchemyError

    try:
        with store.reading() as connection:
            return find(
                lambda statement, known: [tuple(row) for row in connection.execute(text(statement), known)]
            )
    except SQLAlchemyError:
        return []
