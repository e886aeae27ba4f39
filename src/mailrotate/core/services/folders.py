"""Which folders of a mailbox are read for replies (B3, G3).

The INBOX is always among them, and it alone decides whether follow-ups wait (H5): a server's rule may move
what somebody answers into another folder, but what is there was not promised to be all.
"""

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from difflib import get_close_matches
from shlex import join

from mailrotate.core.ports import InboxSession
from mailrotate.core.services import accounts, seats
from mailrotate.core.services.context import Context, account_of
from mailrotate.core.services.lanes import holding_lane
from mailrotate.core.store import events, inboxes, mailboxes
from mailrotate.core.store.events import About
from mailrotate.core.store.mailboxes import StoredMailbox
from mailrotate.core.values.errors import NotFound, RemoteError
from mailrotate.core.values.mail import INBOX, FolderCursor, MailTrouble

_MOST_NAMED = 20


def choose(context: Context, address: str, names: Iterable[str], now: datetime) -> tuple[str, ...]:
    """Read these folders beside the INBOX, from what comes after now on; those that were read go on.

    Raises NotFound (`folder.none`) for one that the server does not have, RemoteError
    (`folder.unreadable`), Refused (`mailbox.disconnected`), Busy: nothing is changed then.
    """
    # RFC 3501 5.1: INBOX alone is written in any case.
    wanted = tuple(name for name in dict.fromkeys(names) if name.upper() != INBOX)
    accounts.prove_key(context)
    with context.store.reading() as connection:
        box = seats.find_connected(connection, context.actor, address)
    with holding_lane(context, box.id, now):
        ends = _ends_of(context, box, wanted) if wanted else {}
        with context.store.writing() as connection:
            box = seats.find_connected(connection, context.actor, address)
            for name, end in ends.items():
                cursor = inboxes.cursor_of(connection, box.id, name) or end
                inboxes.note_read(connection, box.id, name, cursor, now)
            own = json.dumps(wanted) if wanted else None
            mailboxes.change_connection(connection, box.connection_id, folders=own)
            after = mailboxes.by_id(connection, box.id).folders
            if after != box.folders:
                change = {"key": "folders", "before": list(box.folders), "after": list(after)}
                events.record(connection, context.actor, "mailbox.set", now, About(box.id), **change)
            return after


def reset_commands(former: StoredMailbox) -> dict[str, str]:
    """The folders that a new connection does not read any more, with what sets them again (C4)."""
    if not former.own_folders:
        return {}
    options = [part for name in former.own_folders for part in ("--folders", name)]
    return {"folders": f"mailrotate mailbox set {former.address} {join(options)}"}


def _ends_of(context: Context, box: StoredMailbox, wanted: Sequence[str]) -> dict[str, FolderCursor]:
    """Where each folder ends now: what comes from here on is read, also before the first reading."""
    try:
        session = context.provider(box.provider).open_inbox(account_of(context, box))
        try:
            _refuse_unknown(session, box, wanted)
            return {name: session.new_headers(None, name)[0] for name in wanted}
        finally:
            session.close()
    except MailTrouble as trouble:
        raise RemoteError(
            "folder.unreadable",
            f"{box.address}: its folders cannot be read: {trouble}",
            f"mailrotate mailbox test {box.address}",
        ) from None


def _refuse_unknown(session: InboxSession, box: StoredMailbox, wanted: Sequence[str]) -> None:
    known = session.folder_names()
    for name in wanted:
        if name not in known:
            # A server may have thousands, and any letters in their names.
            some = ", ".join(sorted(filter(str.isprintable, known))[:_MOST_NAMED])
            (*_, likeliest) = ("default", *get_close_matches(name, known, 1))
            raise NotFound(
                "folder.none",
                f"{box.address} has no folder '{name}' on its server; there are {some}",
                f"mailrotate mailbox set {box.address} {join(['--folders', likeliest])}",
            )
