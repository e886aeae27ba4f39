"""What a header of the sent mail says of a message that may be ours (F3)."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from mailrotate.core.rules.inbound import addressees, read_headers

# The form of our Message-IDs. An older database does not know the tokens that were planned after it.
_OURS = re.compile(r"<([0-9a-f]{32})@[^<>@\s]+>", re.IGNORECASE)


@dataclass(frozen=True)
class SentMail:
    """A sent message with a Message-ID of our form. `cited` are the tokens of our form that it answers."""

    token: str
    message_id: str
    to: Sequence[str]
    cited: Sequence[str]
    written_at: datetime | None


def read_sent(raw: bytes) -> SentMail | None:
    """Read the headers of a sent mail; None if its Message-ID does not have our form. Does not raise."""
    mail = read_headers(raw)
    ours = _OURS.fullmatch(mail.header_id)
    if ours is None:
        return None
    cited = (found[1].lower() for found in map(_OURS.fullmatch, mail.cited_ids) if found is not None)
    return SentMail(ours[1].lower(), mail.header_id, addressees(raw), tuple(cited), mail.written_at)
