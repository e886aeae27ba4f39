"""The sandbox's mailboxes, in memory, and the IMAP server that opens them: pymap with our own logins."""

import asyncio
import logging
import secrets
import socket
import ssl
from argparse import Namespace
from collections.abc import AsyncIterator, Iterable, MutableSet, Sequence
from contextlib import asynccontextmanager, suppress

from proxyprotocol.sock import SocketInfo
from proxyprotocol.version import ProxyProtocolVersion
from pymap.backend.dict.mailbox import MailboxSet, Message
from pymap.backend.session import BaseSession
from pymap.concurrent import Subsystem
from pymap.config import BackendCapability, IMAPConfig
from pymap.exceptions import AuthorizationFailure, InvalidAuth, NotAllowedError
from pymap.imap import IMAPServer
from pymap.interfaces.login import IdentityInterface, LoginInterface
from pymap.interfaces.token import TokensInterface
from pymap.parsing.message import AppendMessage
from pymap.selected import SelectedMailbox
from pymap.token import AllTokens
from pymap.user import UserMetadata
from pysasl.creds.server import ServerCredentials
from pysasl.hashing import Cleartext
from pysasl.identity import ClearIdentity
from pysasl.prep import noprep

from mailrotate.core.values.clock import system_clock

SENT_FOLDER = "Sent"


class _Config(IMAPConfig):
    """The settings that pymap would otherwise take from a command line, the environment or the host name."""

    def __init__(self) -> None:
        super().__init__(
            Namespace(),
            host=None,
            port=0,
            tls_enabled=False,
            ssl_context=ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER),
            proxy_protocol=ProxyProtocolVersion.get(),
            hash_context=Cleartext(),
            # Comparing two strings needs no pool of threads, and this one would have to be closed.
            cpu_subsystem=Subsystem.for_asyncio(),
        )

    @property
    def backend_capability(self) -> BackendCapability:
        # No IDLE: imap-tools cannot use pymap's. SPECIAL-USE: RFC 6154.
        return BackendCapability(idle=False, object_id=True, multi_append=True, custom=[b"SPECIAL-USE"])

    @property
    def greeting(self) -> bytes:
        return b"mailrotate sandbox"


class _Session(BaseSession[Message]):
    def __init__(self, owner: str, config: IMAPConfig, folders: MailboxSet) -> None:
        super().__init__(owner)
        self._config = config
        self._folders = folders

    @property
    def config(self) -> IMAPConfig:
        return self._config

    @property
    def mailbox_set(self) -> MailboxSet:
        return self._folders

    async def list_mailboxes(
        self, ref_name: str, filter_: str, subscribed: bool = False, selected: SelectedMailbox | None = None
    ) -> tuple[Iterable[tuple[str, str | None, Sequence[bytes]]], SelectedMailbox | None]:
        """As pymap lists them, with the attribute of RFC 6154 that says where sent mail lies."""
        listed, updates = await super().list_mailboxes(ref_name, filter_, subscribed, selected)
        return [
            (name, delimiter, [*attributes, b"Sent"] if name == SENT_FOLDER else attributes)
            for name, delimiter, attributes in listed
        ], updates


class _Mailbox(IdentityInterface):
    """One address with its folders."""

    def __init__(self, address: str, config: IMAPConfig) -> None:
        self._address = address
        self._config = config
        self._folders = MailboxSet()

    @property
    def name(self) -> str:
        return self._address

    @property
    def roles(self) -> frozenset[str]:
        return frozenset()

    @asynccontextmanager
    async def new_session(self) -> AsyncIterator[_Session]:
        yield _Session(self._address, self._config, self._folders)

    async def get(self) -> UserMetadata:
        return UserMetadata(self._config, self._address)

    async def new_token(self, *, expiration: object = None) -> None:
        return None

    async def set(self, metadata: UserMetadata) -> None:
        raise NotAllowedError

    async def delete(self) -> None:
        raise NotAllowedError


class Mailboxes(LoginInterface):
    """Every mailbox of a sandbox, by address in lower case. One password opens them all."""

    def __init__(self, password: str) -> None:
        self.config = _Config()
        self._password = password
        self._by_address: dict[str, _Mailbox] = {}

    async def create(self, address: str) -> _Mailbox:
        """An empty mailbox with a folder for sent mail."""
        mailbox = self._by_address[address.lower()] = _Mailbox(address.lower(), self.config)
        async with mailbox.new_session() as session:
            await session.create_mailbox(SENT_FOLDER)
        return mailbox

    async def deliver(self, address: str, raw: bytes) -> None:
        """Deliver to the INBOX; create the mailbox if there is none."""
        mailbox = self._by_address.get(address.lower()) or await self.create(address)
        async with mailbox.new_session() as session:
            await session.append_messages("INBOX", [AppendMessage(raw, system_clock())])

    def admits(self, address: str, password: str) -> bool:
        return address.lower() in self._by_address and secrets.compare_digest(
            password.encode(), self._password.encode()
        )

    async def authenticate(self, credentials: ServerCredentials) -> _Mailbox:
        """Raises InvalidAuth, or AuthorizationFailure for a mailbox that does not exist yet (RFC 5530)."""
        expected = ClearIdentity(credentials.authcid, self._password, prepare=noprep)
        if not credentials.verify(expected):
            raise InvalidAuth
        mailbox = self._by_address.get(credentials.authcid.lower())
        if mailbox is None:
            raise AuthorizationFailure("No mailbox has this name.")
        return mailbox

    async def authorize(self, authenticated: IdentityInterface, authzid: str) -> IdentityInterface:
        if authzid.lower() != authenticated.name:
            raise AuthorizationFailure
        return authenticated

    @property
    def tokens(self) -> TokensInterface:
        return AllTokens(self.config)


async def serve_imap(
    listening: socket.socket, mailboxes: Mailboxes, connections: MutableSet[asyncio.WriteTransport]
) -> asyncio.Server:
    """Answer on the socket; each connection is added to `connections`."""
    # At DEBUG pymap writes down what clients say, their passwords too.
    logging.getLogger("pymap").setLevel(logging.ERROR)
    answer = IMAPServer(mailboxes, mailboxes.config)

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.add(writer.transport)
        # Cancelled at the end of serving; on Python 3.11 asyncio's own callback for a connection's task
        # cannot bear a cancelled one.
        with suppress(asyncio.CancelledError):
            await answer(reader, writer, SocketInfo.get(writer, None))

    return await asyncio.start_server(converse, sock=listening)
