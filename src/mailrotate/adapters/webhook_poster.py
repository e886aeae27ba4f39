"""Post to webhook endpoints: the `WebhookPoster` of ports."""

import http.client
import io
import socket
import ssl
from collections.abc import Mapping
from typing import IO, Any
from urllib.parse import urlsplit

from mailrotate import __version__
from mailrotate.core.rules.webhook_url import is_loopback
from mailrotate.core.values.clock import monotonic_seconds
from mailrotate.core.values.webhook import WebhookAnswer, WebhookTrouble

_SECONDS_IN_ALL = 10.0
_MOST_READ = 1024
_LONGEST_TEXT = 200


class HttpPoster:
    """Posts over a connection of its own each time; no proxy, no redirect, no cookie."""

    def __init__(self, seconds_in_all: float = _SECONDS_IN_ALL) -> None:
        self._seconds = seconds_in_all

    def post(self, url: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
        """Raises WebhookTrouble."""
        parts = urlsplit(url)
        assert parts.hostname is not None
        port = parts.port or (443 if parts.scheme == "https" else 80)
        ends_at = monotonic_seconds() + self._seconds
        try:
            plain = _connect(parts.hostname, port, ends_at, only_here=parts.scheme == "http")
            with plain:
                wire = _secured(plain, parts.hostname, ends_at) if parts.scheme == "https" else plain
                with wire:
                    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
                    return _ask(parts.netloc, _Timed(wire, ends_at), path, headers, body)
        except TimeoutError:
            raise WebhookTrouble(f"no answer within {self._seconds:g} s") from None
        except ssl.SSLCertVerificationError as error:
            said = f"the certificate of {parts.hostname} is not trusted: {error.verify_message}"
            raise WebhookTrouble(said) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise WebhookTrouble(_said(error)) from None


class _Timed:
    """A socket for http.client whose reads end at one instant.

    A timeout alone begins again with each byte, so a server that drips would hold a thread for ever.
    """

    def __init__(self, wire: socket.socket, ends_at: float) -> None:
        self._wire = wire
        self._ends_at = ends_at

    def sendall(self, data: bytes) -> None:
        self._wire.settimeout(_rest(self._ends_at))
        self._wire.sendall(data)

    def makefile(self, _mode: str) -> IO[bytes]:
        return io.BufferedReader(_Reader(self._wire, self._ends_at))

    def close(self) -> None:
        """Do nothing: who made the socket closes it."""


class _Reader(io.RawIOBase):
    def __init__(self, wire: socket.socket, ends_at: float) -> None:
        self._wire = wire
        self._ends_at = ends_at

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        self._wire.settimeout(_rest(self._ends_at))
        return self._wire.recv_into(buffer)


def _rest(ends_at: float) -> float:
    """The seconds that are left. Raises TimeoutError; a timeout of 0 would mean not to wait at all."""
    rest = ends_at - monotonic_seconds()
    if rest <= 0:
        raise TimeoutError
    return rest


def _connect(host: str, port: int, ends_at: float, *, only_here: bool) -> socket.socket:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = list(dict.fromkeys(str(address[0]) for *_, address in found))
    # The hosts file may say that `localhost` is another machine.
    if only_here and not all(map(is_loopback, addresses)):
        raise WebhookTrouble(f"{host} is not this machine; use https")
    problem: OSError | None = None
    for address in addresses:
        try:
            return socket.create_connection((address, port), _rest(ends_at))
        except OSError as error:
            problem = error
    raise problem or OSError(f"{host} has no address")


def _secured(plain: socket.socket, host: str, ends_at: float) -> ssl.SSLSocket:
    plain.settimeout(_rest(ends_at))
    # Created for each connection: the machine's trusted authorities may change while we run.
    return ssl.create_default_context().wrap_socket(plain, server_hostname=host)


def _ask(host: str, wire: _Timed, path: str, headers: Mapping[str, str], body: bytes) -> WebhookAnswer:
    connection = http.client.HTTPConnection(host)
    connection.sock = wire
    agent = {"Content-Type": "application/json", "User-Agent": f"mailrotate/{__version__}"}
    connection.request("POST", path, body, {**agent, "Connection": "close", **headers})
    response = connection.getresponse()
    try:
        text = response.read(_MOST_READ)
    except (OSError, http.client.HTTPException):
        # The status has come, and it alone decides.
        text = b""
    return WebhookAnswer(response.status, _one_line(text))


def _one_line(text: bytes) -> str:
    """Make an answer safe for a terminal."""
    joined = " ".join(text.decode(errors="replace").split())
    return "".join(letter if letter.isprintable() else "?" for letter in joined)[:_LONGEST_TEXT]


def _said(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return _one_line(str(error).encode()) or type(error).__name__
