"""The folders of an IMAP server: their names, and the one for sent mail (RFC 3501 7.2.2, RFC 6154)."""

import imaplib
import re
from collections.abc import Sequence

from imap_tools.errors import UnexpectedCommandStatusError
from imap_tools.folder import FolderInfo
from imap_tools.imap_utf7 import utf7_decode

from mailrotate.core.values.mail import INBOX

# For servers that do not mark it (RFC 6154): the names that mail programs use, most common first.
_SENT_NAMES = (
    "sent",
    "sent items",
    "sent messages",
    "sent mail",
    "gesendet",
    "gesendete objekte",
    "gesendete elemente",
    "envoyés",
    "éléments envoyés",
    "enviados",
    "elementos enviados",
    "posta inviata",
    "verzonden",
    "verzonden items",
)
_QUOTED = rb'"(?:[^"\\]|\\.)*"'
_LISTED = re.compile(
    rb"\((?P<flags>[^)]*)\) +(?P<delim>NIL|" + _QUOTED + rb") +(?P<name>" + _QUOTED + rb"|[^\" ].*)",
    re.IGNORECASE,
)
_ESCAPED = re.compile(rb"\\(.)")
_PERSONAL_NAMESPACE = re.compile(rb'\(\("((?:[^"\\]|\\.)*)"')


def list_folders(client: imaplib.IMAP4) -> list[FolderInfo]:
    """Return the folders that can be opened.

    Not imap-tools' own list: it leaves backslashes in names doubled.
    """
    answer = client.list()
    if answer[0] != "OK":
        raise UnexpectedCommandStatusError(answer, "OK")
    return [
        folder
        for folder in map(_listed, answer[1])
        if folder and not set(map(str.lower, folder.flags)) & {"\\noselect", "\\nonexistent"}
    ]


def find_sent(folders: Sequence[FolderInfo]) -> FolderInfo | None:
    """Return the folder for sent mail: the marked one, else that nearest to the top with a usual name.

    Mail programs keep folders such as `Archive/Sent`, which a server may list first.
    """
    marked = [folder for folder in folders if "\\sent" in map(str.lower, folder.flags)]
    named = [folder for folder in folders if _path(folder)[-1] in _SENT_NAMES]
    if marked:
        return min(marked, key=lambda folder: len(_path(folder)))
    return min(
        named,
        key=lambda folder: (len(_path(folder)), _SENT_NAMES.index(_path(folder)[-1])),
        default=None,
    )


def name_for_sent(client: imaplib.IMAP4) -> str:
    """Return the name under which a folder for sent mail can be made.

    On some servers all folders are below the INBOX, and none can be created beside it (RFC 2342).
    """
    if "NAMESPACE" not in client.capabilities:
        return "Sent"
    personal = _PERSONAL_NAMESPACE.match((client.namespace()[1] or [b""])[0] or b"")
    return f"{personal.group(1).decode('ascii', 'replace') if personal else ''}Sent"


def _path(folder: FolderInfo) -> list[str]:
    """The parts of a folder's name, without an INBOX that all folders are in."""
    parts = folder.name.casefold().split(folder.delim) if folder.delim else [folder.name.casefold()]
    return parts[1:] if len(parts) > 1 and parts[0] == INBOX.casefold() else parts


def _listed(line: object) -> FolderInfo | None:
    """Parse one LIST answer, whose name may be quoted, an atom or a literal.

    None for a name that cannot be sent back to the server because it violates RFC 3501 5.1.3.
    """
    head, literal = line if isinstance(line, tuple) else (line, None)
    found = _LISTED.match(head) if isinstance(head, bytes) else None
    if found is None:
        return None
    name = _unquoted(found["name"]) if literal is None else literal
    try:
        decoded = utf7_decode(name)
    except ValueError:
        return None
    flags = found["flags"].decode("ascii", "replace").split()
    delimiter = b"" if found["delim"].upper() == b"NIL" else _unquoted(found["delim"])
    return FolderInfo(decoded, delimiter.decode("ascii", "replace"), tuple(flags))


def _unquoted(text: bytes) -> bytes:
    """Unescape a quoted string (RFC 3501 4.3); return an atom unchanged."""
    return _ESCAPED.sub(rb"\1", text[1:-1]) if text.startswith(b'"') else text
