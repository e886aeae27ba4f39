"""Find the servers of an address: by a table of the big providers, the domain's MX, or autoconfig (B1)."""

import re
import tomllib
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any, NoReturn

from mailrotate.core.values.address import domain_of
from mailrotate.core.values.errors import BadInput, NotFound
from mailrotate.core.values.hint import Command
from mailrotate.core.values.mail import Endpoint, ServerGuess
from mailrotate.core.values.states import Security

# Returns a domain's mail exchangers, most preferred first; empty if there are none or the DNS is silent.
MailExchangers = Callable[[str], Sequence[str]]
# Returns the document at an https address, or None.
FetchDocument = Callable[[str], bytes | None]

# The security of well-known ports (RFC 8314 7.3, RFC 6409).
_PORT_SECURITY = {
    465: Security.TLS,
    993: Security.TLS,
    587: Security.STARTTLS,
    143: Security.STARTTLS,
    25: Security.STARTTLS,
}
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9])?")
_SOCKET_TYPES = {"SSL": Security.TLS, "STARTTLS": Security.STARTTLS}
# Authentication methods that need only a password.
_PASSWORD_LOGINS = {"password-cleartext", "password-encrypted", "plain", "secure", ""}


def find_servers(address: str, mail_exchangers: MailExchangers, fetch: FetchDocument) -> ServerGuess:
    """Find both servers of an address. Raises NotFound (`servers.unknown`) if a person must name them."""
    domain = domain_of(address)
    return (
        _from_table(domain)
        or _from_exchangers(mail_exchangers(domain))
        or _from_autoconfig(address, fetch)
        or _give_up(address, domain)
    )


def servers_of(provider: str, address: str) -> ServerGuess | None:
    """Return the servers of a provider in the table; None for `imap`, which stands for any other."""
    domain = domain_of(address)
    entries = [entry for entry in _table() if entry["provider"] == provider]
    if not entries:
        return None
    # A customer's own domain is not in the table: take the provider's first entry for such domains.
    return _guess(max(entries, key=lambda entry: (domain in entry["domains"], bool(entry["mx"]))), "flags")


def parse_endpoint(text: str, security: Security | None = None) -> Endpoint:
    """`HOST:PORT`, an IPv6 address in brackets; without `security` the port says it, else TLS it is.

    Raises BadInput (`server.invalid`).
    """
    host, _, port = text.strip().rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    # An IPv6 address without brackets would take its last group for the port.
    well_formed = ":" in bare if bare != host else _HOST.fullmatch(bare)
    if not well_formed or not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise BadInput(
            "server.invalid",
            f"{text!r} is not HOST:PORT, like mail.example.org:993 or [2001:db8::1]:993",
            Command("mailbox", "connect", "--help"),
        )
    number = int(port)
    return Endpoint(bare, number, security or _PORT_SECURITY.get(number, Security.TLS))


def says_security(port: int) -> bool:
    """Whether a port is known for one security."""
    return port in _PORT_SECURITY


@cache
def _table() -> Sequence[Mapping[str, Any]]:
    text = files("mailrotate.providers").joinpath("servers.toml").read_text(encoding="utf-8")
    entries: list[Mapping[str, Any]] = tomllib.loads(text)["servers"]
    return entries


def _guess(entry: Mapping[str, Any], source: str) -> ServerGuess:
    return ServerGuess(
        entry["provider"], parse_endpoint(entry["smtp"]), parse_endpoint(entry["imap"]), source
    )


def _from_table(domain: str) -> ServerGuess | None:
    return next((_guess(entry, "table") for entry in _table() if domain in entry["domains"]), None)


def _from_exchangers(exchangers: Sequence[str]) -> ServerGuess | None:
    for exchanger in exchangers:
        name = f".{exchanger.rstrip('.').lower()}"
        for entry in _table():
            if any(name.endswith(f".{suffix}") for suffix in entry["mx"]):
                return _guess(entry, "mx")
    return None


def _from_autoconfig(address: str, fetch: FetchDocument) -> ServerGuess | None:
    """Ask the domain's autoconfig over https; over http an attacker on the path could name a server."""
    domain = domain_of(address)
    for url in (
        f"https://autoconfig.{domain}/mail/config-v1.1.xml",
        f"https://{domain}/.well-known/autoconfig/mail/config-v1.1.xml",
    ):
        document = fetch(url)
        guess = None if document is None else _read_autoconfig(document, address)
        if guess is not None:
            return guess
    return None


class _NoDoctype(ElementTree.TreeBuilder):
    """Refuses documents that declare entities: these can expand without bound or read files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise ElementTree.ParseError("a document type is not expected here")


def _read_autoconfig(document: bytes, address: str) -> ServerGuess | None:
    """Return the first servers that offer TLS and a password login, or None."""
    try:
        root = ElementTree.fromstring(document, ElementTree.XMLParser(target=_NoDoctype()))
    except (ElementTree.ParseError, ValueError, LookupError):
        return None
    imap = next(_servers(root, "incomingServer", "imap", address), None)
    smtp = next(_servers(root, "outgoingServer", "smtp", address), None)
    if imap is None or smtp is None:
        return None
    username = imap[1]
    return ServerGuess("imap", smtp[0], imap[0], "autoconfig", None if username == address else username)


def _servers(
    root: ElementTree.Element, tag: str, kind: str, address: str
) -> Iterator[tuple[Endpoint, str | None]]:
    for server in root.iterfind(f"./emailProvider/{tag}[@type='{kind}']"):
        host, port, socket_type = (
            _filled_in(server.findtext(name), address) for name in ("hostname", "port", "socketType")
        )
        security = _SOCKET_TYPES.get(socket_type)
        logins = {login.text or "" for login in server.iterfind("authentication")} or {""}
        if security is None or not logins & _PASSWORD_LOGINS:
            continue
        try:
            endpoint = parse_endpoint(f"{host}:{port}", security)
        except BadInput:
            continue
        username = _filled_in(server.findtext("username"), address)
        # A host name that contains a line end could inject a command.
        if username.isprintable():
            yield endpoint, username or None


def _filled_in(text: str | None, address: str) -> str:
    local, _, domain = address.rpartition("@")
    filled = (text or "").strip()
    for placeholder, value in (
        ("%EMAILADDRESS%", address),
        ("%EMAILLOCALPART%", local),
        ("%EMAILDOMAIN%", domain),
    ):
        filled = filled.replace(placeholder, value)
    return filled


def _give_up(address: str, domain: str) -> NoReturn:
    raise NotFound(
        "servers.unknown",
        f"the mail servers of {domain} are unknown and could not be found",
        Command("mailbox", "connect", address, "--smtp", "HOST:PORT", "--imap", "HOST:PORT"),
    )
