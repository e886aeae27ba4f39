"""Which code serves which provider; the code is imported on first use."""

from collections.abc import Callable

from mailrotate.core.ports import MailProvider
from mailrotate.core.values.errors import BadInput
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import Timeouts


def _imap_smtp(timeouts: Timeouts) -> MailProvider:
    from mailrotate.providers.imap_smtp import ImapSmtpProvider

    return ImapSmtpProvider(timeouts)


# The name says whose servers these are, and so which limits and habits apply; `imap` is any other.
FACTORIES: dict[str, Callable[[Timeouts], MailProvider]] = {
    "fastmail": _imap_smtp,
    "gmx": _imap_smtp,
    "google": _imap_smtp,
    "icloud": _imap_smtp,
    "imap": _imap_smtp,
    "mailbox.org": _imap_smtp,
    "microsoft": _imap_smtp,
    "posteo": _imap_smtp,
    "web.de": _imap_smtp,
    "yahoo": _imap_smtp,
    "zoho": _imap_smtp,
}
PROVIDERS = tuple(FACTORIES)


def provider_for(name: str, timeouts: Timeouts) -> MailProvider:
    """Return the provider of this name. Raises BadInput (`provider.unknown`)."""
    factory = FACTORIES.get(name)
    if factory is None:
        raise BadInput(
            "provider.unknown",
            f"unknown provider '{name}'; known: {', '.join(PROVIDERS)}",
            Command("mailbox", "connect", "--help"),
        )
    return factory(timeouts)
