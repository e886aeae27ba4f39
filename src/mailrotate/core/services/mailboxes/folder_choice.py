"""Which folders of a mailbox are read for replies (B3, G3).

The INBOX is always among them, and it alone decides whether follow-ups wait (H5): a server's filter may move
replies into another folder, but only the INBOX is promised to be complete.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from difflib import SequenceMatcher

from sqlalchemy import Connection

from mailrotate.core.ports import InboxSession
from mailrotate.core.services.context import Context
from mailrotate.core.store.sending import inboxes
from mailrotate.core.values.errors import NotFound, RemoteError
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import INBOX, FolderCursor, MailAccount, MailTrouble

_MOST_NAMED = 10
_LONGEST_SHOWN = 100


def ends_of(context: Context, account: MailAccount, wanted: Sequence[str]) -> dict[str, FolderCursor]:
    """Return the present end of each folder. Raises NotFound (`folder.none`) for an unknown one,
    RemoteError (`folder.unreadable`)."""
    try:
        session = context.provider(account.provider).open_inbox(account)
        try:
            _refuse_unknown(session, account.address, wanted)
            return {name: session.new_headers(None, name)[0] for name in wanted}
        finally:
            session.close()
    except MailTrouble as trouble:
        raise RemoteError(
            "folder.unreadable",
            f"{account.address}: its folders cannot be read: {trouble}",
            Command("mailbox", "test", account.address),
        ) from None


def begin(connection: Connection, mailbox_id: int, ends: Mapping[str, FolderCursor], now: datetime) -> None:
    """Set the cursor of each folder: at its end when it is first chosen, unchanged when it is chosen again.

    Older mail in a newly chosen folder is not read. In a folder that is chosen again, mail that arrived
    meanwhile may be a reply of an open recipient, which ends the sequence however late it is seen (D6). The
    INBOX also continues at its old cursor when a mailbox is connected again.
    """
    for name, end in ends.items():
        cursor = inboxes.cursor_of(connection, mailbox_id, name) or end
        inboxes.note_read(connection, mailbox_id, name, cursor, now)


def _refuse_unknown(session: InboxSession, address: str, wanted: Sequence[str]) -> None:
    # Control characters in a server's folder names must not reach the terminal.
    known = [name for name in session.folder_names() if name.isprintable()] or [INBOX]
    for name in wanted:
        if name not in known:
            near = sorted(known, key=lambda other: _likeness(name, other), reverse=True)[:_MOST_NAMED]
            meant = ", ".join(f"'{other[:_LONGEST_SHOWN]}'" for other in near)
            raise NotFound(
                "folder.none",
                f"{address} has no folder '{name}' on its server; did you mean {meant}?",
                Command("mailbox", "set", address, "--folders", near[0]),
            )


def _likeness(name: str, other: str) -> float:
    return SequenceMatcher(None, name.casefold(), other.casefold()).ratio()
