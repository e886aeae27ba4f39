"""Which folders of a mailbox are read for replies (B3, G3).

The INBOX is always among them, and it alone decides whether follow-ups wait (H5): a server's rule may move
what somebody answers into another folder, but what is there was not promised to be all.
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
    """Where each folder ends now. Raises NotFound (`folder.none`) for one that the server does not have,
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
    """Read each folder from its end on the first time it is chosen, and from where it was left ever after.

    What lies in a folder before anybody chose it was never promised to be read. One that is chosen again
    was: what came to it meanwhile may be the answer of somebody who is still being written to, and a reply
    ends the sequence however late it is seen (D6). The INBOX too goes on where it was when a mailbox is
    connected again.
    """
    for name, end in ends.items():
        cursor = inboxes.cursor_of(connection, mailbox_id, name) or end
        inboxes.note_read(connection, mailbox_id, name, cursor, now)


def _refuse_unknown(session: InboxSession, address: str, wanted: Sequence[str]) -> None:
    # What could not be typed is not offered: a server's names are a stranger's words.
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
