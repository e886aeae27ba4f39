"""What a database that a restore replaced knows of messages that left (F3)."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

_SENT = """
    SELECT mailbox.address, token, message.message_id, to_address, sent_at,
        (SELECT group_concat(earlier.token, ' ') FROM message AS earlier
         WHERE earlier.recipient_id = message.recipient_id AND earlier.id <> message.id)
    FROM message JOIN mailbox ON mailbox.id = message.mailbox_id
    WHERE message.state = 'sent' AND (SELECT identity FROM workspace) = ?
"""


@dataclass(frozen=True)
class Left:
    """A message that left; `thread` are the tokens of its recipient's other messages."""

    mailbox: str
    token: str
    message_id: str
    to: str
    sent_at: datetime
    thread: Sequence[str]


def sent_since(replaced: Path, identity: str, since: datetime) -> list[Left]:
    """The messages that left from then on; none if the file cannot be read, or is another workspace's."""
    try:
        with closing(sqlite3.connect(f"{replaced.resolve().as_uri()}?mode=ro", uri=True)) as connection:
            rows = connection.execute(_SENT, (identity,)).fetchall()
    except sqlite3.Error:
        return []
    found = [
        Left(mailbox, token, message_id, to, _instant(sent_at), (thread or "").split())
        for mailbox, token, message_id, to, sent_at, thread in rows
    ]
    return [left for left in found if left.sent_at >= since]


def _instant(stored: str) -> datetime:
    """As SQLite keeps it: text, in UTC."""
    return datetime.fromisoformat(stored).replace(tzinfo=UTC)
