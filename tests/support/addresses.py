"""Connecting without a server: the services store what was proved, and here nothing is proved before."""

from datetime import datetime

from mailrotate.core.services.context import Context
from mailrotate.core.services.mailboxes import connecting
from mailrotate.core.services.mailboxes.connecting import Connected, NewConnection
from mailrotate.core.values.credential import Password
from mailrotate.core.values.mail import Endpoint, ServerGuess
from mailrotate.core.values.secret import Secret
from mailrotate.core.values.states import Security
from tests.support.rows import NOW

SERVERS = ServerGuess(
    "imap",
    Endpoint("smtp.example.org", 465, Security.TLS),
    Endpoint("imap.example.org", 993, Security.TLS),
    "flags",
)


def connect(context: Context, address: str, user_email: str | None = None, now: datetime = NOW) -> Connected:
    """As a connect goes on when both servers have taken the login."""
    return connecting.connect(
        context, NewConnection(address, SERVERS, Password(Secret("secret")), {}, user_email), now
    )
