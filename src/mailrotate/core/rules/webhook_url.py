"""Which addresses an endpoint may have."""

import ipaddress
from urllib.parse import SplitResult, urlsplit

from mailrotate.core.values.errors import BadInput

_LONGEST = 2000


def read_url(text: str) -> str:
    """Check the address of an endpoint and return it. Raises BadInput (`webhook.url`).

    Only admins set it, and an endpoint inside their own network is a normal one, so private addresses are
    allowed. TLS proves that the server is the one that is named; without it, only this machine is reached.
    """
    try:
        parts = urlsplit(text)
        wrong = _fault(text, parts)
    except ValueError as trouble:
        wrong = str(trouble)
    if wrong is not None:
        raise BadInput("webhook.url", f"'{text}' cannot be a webhook: {wrong}")
    return text


def _fault(text: str, parts: SplitResult) -> str | None:
    if not (text.isascii() and text.isprintable()) or " " in text or len(text) > _LONGEST:
        return "write it in ASCII, without blanks"
    if parts.scheme not in ("https", "http") or not parts.hostname:
        return "write it like https://example.com/hooks"
    if parts.username is not None or parts.password is not None:
        return "it contains a user name or password; events are signed instead"
    if parts.fragment:
        return "a part behind # is never sent to a server"
    if parts.port == 0:
        return "port 0 cannot be reached"
    if parts.scheme == "http" and not is_loopback(parts.hostname):
        return "use https; without TLS only this machine is allowed"
    return None


def is_loopback(host: str) -> bool:
    """Whether a name or address can only be this machine."""
    try:
        return ipaddress.ip_address(host.partition("%")[0]).is_loopback
    except ValueError:
        return host == "localhost"
