"""Where the proofs count: an SMTP server for each mailbox, and a gate before the inbox server."""

import contextlib
import re
import socket
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

_MESSAGE_ID = re.compile(rb"^Message-ID:\s*(<[^>]+>)", re.IGNORECASE | re.MULTILINE)
_ESTABLISHED = 1  # tcpi_state, the first byte of Linux's struct tcp_info
_REPLIES = {
    "connect": "220 mail.example.org ESMTP",
    "ehlo": "250 mail.example.org",
    "mail": "250 2.1.0 sender taken",
    "rcpt": "250 2.1.5 recipient taken",
    "data": "354 go on",
    "dot": "250 2.0.0 taken",
    "rset": "250 2.0.0 forgotten",
    "quit": "221 2.0.0 bye",
}
_PIPELINING = "250-mail.example.org\r\n250 PIPELINING"
PHASES = ("connect", "ehlo", "mail", "rcpt", "data", "dot", "quit")


@dataclass
class Taken:
    """A message whose dot has arrived. The instants are monotonic seconds; unanswered: None."""

    message_id: str
    recipient: str
    dot_at: float
    raw: bytes = field(repr=False)
    answered_at: float | None = None


class _Listener:
    """Accepts on loopback, each connection in a thread, from the start to `stop`; a context manager."""

    def __init__(self) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listening.getsockname()[1]
        self.endpoint = f"127.0.0.1:{self.port}"
        self.guard = threading.Lock()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def stop(self) -> None:
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        with self.guard:
            for one in self._sockets:
                with contextlib.suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            self._entered(client)
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _entered(self, client: socket.socket) -> None:
        with self.guard:
            self._sockets.append(client)

    def _serve(self, client: socket.socket) -> None:
        try:
            with contextlib.suppress(OSError), client:
                self.converse(client)
        finally:
            with self.guard:
                self._sockets.remove(client)

    def converse(self, client: socket.socket) -> None:
        raise NotImplementedError


class MailHost(_Listener):
    """Takes every mail without a login, and remembers whose dot came when.

    `watch(moment)` is called in the connection's thread with "before PHASE" and "after PHASE" around each
    reply, and with "content" while a message comes in.
    """

    def __init__(self) -> None:
        self.taken: list[Taken] = []
        self.data_count = 0
        self.most_open = 0
        self.watch: Callable[[str], None] = lambda moment: None
        self.takes_groups = False
        super().__init__()

    def reset(self) -> None:
        """Forget what was taken; for the next situation."""
        self.taken, self.data_count, self.most_open = [], 0, 0
        self.watch = lambda moment: None
        self.takes_groups = False

    def taken_ids(self) -> list[str]:
        with self.guard:
            return [one.message_id for one in self.taken]

    def _entered(self, client: socket.socket) -> None:
        super()._entered(client)
        with self.guard:
            self.most_open = max(self.most_open, sum(map(_is_open, self._sockets)))

    def converse(self, client: socket.socket) -> None:
        lines = client.makefile("rb")
        self._reply(client, "connect")
        recipient = ""
        while line := lines.readline():
            verb = line.decode("latin-1").split()[0].lower()
            if verb == "rcpt":
                recipient = line.decode("latin-1").partition("<")[2].partition(">")[0]
            if verb == "data":
                with self.guard:
                    self.data_count += 1
            self._reply(client, verb)
            if verb == "quit":
                return
            if verb == "data":
                content = bytearray()
                while (part := lines.readline()) != b".\r\n":
                    if not part:
                        return
                    content += part
                    self.watch("content")
                self._take(client, bytes(content), recipient)

    def _take(self, client: socket.socket, raw: bytes, recipient: str) -> None:
        found = _MESSAGE_ID.search(raw)
        assert found is not None
        taken = Taken(found[1].decode(), recipient, time.monotonic(), raw)
        with self.guard:
            self.taken.append(taken)
        self._reply(client, "dot", taken)

    def _reply(self, client: socket.socket, phase: str, answering: Taken | None = None) -> None:
        self.watch(f"before {phase}")
        if answering is not None:
            answering.answered_at = time.monotonic()
        said = _PIPELINING if phase == "ehlo" and self.takes_groups else _REPLIES[phase]
        client.sendall(f"{said}\r\n".encode())
        self.watch(f"after {phase}")


def _is_open(one: socket.socket) -> bool:
    """Whether neither side has ended it: what a killed client's kernel closed counts as closed at once."""
    try:
        return one.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _ESTABLISHED
    except OSError:
        return False


class Gate(_Listener):
    """Stands before another server, and calls `hold()` before it lets a connection through."""

    def __init__(self, port: int) -> None:
        self.behind = port
        self.hold: Callable[[], None] = lambda: None
        super().__init__()

    def converse(self, client: socket.socket) -> None:
        self.hold()
        with socket.create_connection(("127.0.0.1", self.behind)) as server:
            back = threading.Thread(target=_pump, args=(server, client), daemon=True)
            back.start()
            _pump(client, server)
            back.join(10)


def _pump(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while data := source.recv(65536):
            target.sendall(data)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
