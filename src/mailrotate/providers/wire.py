"""The transport that SMTP and IMAP share: connections, TLS, and error texts without secrets."""

import base64
import ipaddress
import socket
import ssl
from collections.abc import Callable, Collection
from urllib.parse import quote

from mailrotate.core.values.credential import Password
from mailrotate.core.values.mail import Endpoint, MailAccount, MailTrouble, ServerReply
from mailrotate.core.values.states import Phase, Security

# Called after each phase with the server's words.
Progress = Callable[[Phase, str], None]

_LONGEST_TEXT = 2000


def unheard(phase: Phase, words: str) -> None:
    """A Progress that ignores everything."""


def trouble(phase: Phase, text: str) -> MailTrouble:
    """Build a MailTrouble for an error of the network or of our own check."""
    return MailTrouble(ServerReply(phase, None, None, printable(text)))


def printable(text: str) -> str:
    """Make a server's words safe for a terminal: one line, no control characters."""
    joined = " ".join(text.split())
    if not joined.isprintable():
        joined = "".join(letter if letter.isprintable() else "?" for letter in joined)
    return joined[:_LONGEST_TEXT]


def password_of(account: MailAccount) -> str:
    """Raises MailTrouble for a credential that is not a password: the user must sign in with one."""
    if isinstance(account.credential, Password):
        return account.credential.text.reveal()
    raise trouble(
        Phase.AUTH, f"login refused: {account.provider} takes a password, not a {account.credential.kind}"
    )


def redactor(account: MailAccount) -> Callable[[str], str]:
    """Build a function that replaces each secret, however it is encoded or echoed, by `[secret]`."""
    forms: set[str] = set()
    for text in filter(None, (secret.reveal() for secret in account.credential.secrets)):
        secret = text.encode()
        login = f"\0{account.username}\0".encode() + secret
        forms |= {text, quote(text, safe=""), secret.hex()}
        for plain in (secret, login):
            # Without padding, so that an echo of a part of the line is found too.
            forms.add(base64.b64encode(plain).decode().rstrip("="))
            forms.add(base64.urlsafe_b64encode(plain).decode().rstrip("="))
    longest_first = sorted(forms, key=len, reverse=True)

    def redact(text: str) -> str:
        for form in longest_first:
            text = text.replace(form, "[secret]")
        return text

    return redact


def connect(endpoint: Endpoint, timeout: float, progress: Progress) -> socket.socket:
    """Open a TCP connection, with TLS if the endpoint uses it from the start.

    Raises MailTrouble in the phases resolve, connect and tls. Without TLS it connects to loopback only,
    whatever the name says: credentials would travel in clear (I2).
    """
    addresses = _resolve(endpoint)
    if endpoint.security is Security.NONE and not all(map(_is_loopback, addresses)):
        raise trouble(
            Phase.TLS,
            f"{endpoint.host} is not this machine: without TLS the password would travel in clear; "
            "use tls or starttls",
        )
    progress(Phase.RESOLVE, f"{endpoint.host} is {', '.join(addresses)}")
    connection = _connect(endpoint, addresses, timeout)
    progress(Phase.CONNECT, f"connected to port {endpoint.port}")
    if endpoint.security is not Security.TLS:
        return connection
    secured = start_tls(connection, endpoint.host)
    progress(Phase.TLS, tls_words(secured))
    return secured


def start_tls(connection: socket.socket, host: str) -> ssl.SSLSocket:
    """Verify the server's certificate and name. Raises MailTrouble and closes the connection (I2)."""
    try:
        # Created for each connection: the machine's trusted authorities may change while we run.
        return ssl.create_default_context().wrap_socket(connection, server_hostname=host)
    except (OSError, ValueError) as error:
        connection.close()
        raise trouble(Phase.TLS, tls_refusal(error, host)) from None


def tls_refusal(error: Exception, host: str) -> str:
    """Say in one sentence, with the host, why its certificate is not trusted."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate of {host} is not trusted: {error.verify_message}"
    return f"no TLS with {host}: {said(error)}"


def tls_words(connection: ssl.SSLSocket) -> str:
    return f"{connection.version()}, certificate verified"


def said(error: BaseException) -> str:
    """Return the text of an operating-system or library error, never empty."""
    if isinstance(error, TimeoutError):
        return "timed out"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _resolve(endpoint: Endpoint) -> list[str]:
    try:
        found = socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise trouble(Phase.RESOLVE, f"{endpoint.host} has no address: {said(error)}") from None
    return list(dict.fromkeys(str(address[0]) for *_, address in found))


def _is_loopback(address: str) -> bool:
    return ipaddress.ip_address(address.partition("%")[0]).is_loopback


def _connect(endpoint: Endpoint, addresses: Collection[str], timeout: float) -> socket.socket:
    problems = []
    for address in addresses:
        try:
            connection = socket.create_connection((address, endpoint.port), timeout)
        except OSError as error:
            problems.append(f"{address} port {endpoint.port}: {said(error)}")
        else:
            # Otherwise the final dot waits for the delayed acknowledgement of the data before it (Nagle).
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return connection
    named = "" if endpoint.host in addresses else f"{endpoint.host}: "
    raise trouble(Phase.CONNECT, named + "; ".join(problems))
