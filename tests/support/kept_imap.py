"""An IMAP server on loopback that holds mail and answers as a real one, but where a test says otherwise.

    server.odd["UID SEARCH"] = lambda asked: "* SEARCH\r\n* SEARCH 1 2\r\nOK done"

An oddity gets what was asked and returns the answer in ScriptedImap's form, an iterator of bytes to send as
they are, or `USUAL` for what a real server says.
"""

import contextlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Self

USUAL = "(usual)"
ARRIVED = "28-Feb-2031 10:00:00 +0000"
_SET = re.compile(r"(\d+)(?::(\d+))?")


@dataclass(frozen=True)
class Asked:
    """A command as it came, the messages that it names by UID, and what a real server answers."""

    tag: str
    command: str
    uids: tuple[int, ...]
    usual: str


Oddity = Callable[[Asked], "str | Iterator[bytes] | None"]


class KeptImap:
    """One INBOX for everybody who logs in; `mails` are its messages by UID."""

    def __init__(self, mails: dict[int, bytes] | None = None, **folders: dict[int, bytes]) -> None:
        self.reset(mails, **folders)
        self._stopping = threading.Event()
        self._listening = socket.create_server(("127.0.0.1", 0))
        # Of each accepted connection: else an answer waits 40 ms for the acknowledgement of the one before.
        self._listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.port: int = self._listening.getsockname()[1]
        self._connections: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._serve, daemon=True)]

    def reset(self, mails: dict[int, bytes] | None = None, **folders: dict[int, bytes]) -> None:
        """Be as a new server, on the same port."""
        self.mails = {} if mails is None else mails
        self.folders = {"INBOX": self.mails, **folders}
        self.uid_validity = 7
        self.capabilities = "IMAP4rev1 UIDPLUS"
        self.greeting = "* OK ready"
        self.listed = '* LIST () "/" INBOX\r\n'
        self.odd: dict[str, Oddity] = {}
        self.commands: list[str] = []
        self.logins = 0
        self._folder = self.mails

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        for connection in (self._listening, *self._connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join(10)

    def add(self, mail: str | bytes) -> int:
        """Deliver a mail to the INBOX."""
        uid = max(self.mails, default=0) + 1
        self.mails[uid] = mail.encode() if isinstance(mail, str) else mail
        return uid

    def renumber(self) -> None:
        """Lose the numbering, as after a restore: the folder gets a new UIDVALIDITY."""
        self.uid_validity += 1

    def asked(self, verb: str) -> list[str]:
        return [command for command in self.commands if command.upper().startswith(verb)]

    def wait(self, seconds: float) -> bool:
        """For oddities that take their time; True when the server is stopping."""
        return self._stopping.wait(seconds)

    def _serve(self) -> None:
        while not self._stopping.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._connections.append(connection)
            thread = threading.Thread(target=self._converse_safely, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _converse_safely(self, connection: socket.socket) -> None:
        with connection, contextlib.suppress(OSError):
            self._converse(connection)

    def _converse(self, connection: socket.socket) -> None:
        if "GREETING" in self.odd:
            answer = self.odd["GREETING"](Asked("*", "", (), self.greeting))
            if not self._send(connection, "*", answer, self.greeting):
                return
        else:
            connection.sendall(f"{self.greeting}\r\n".encode())
        with connection.makefile("r", encoding="latin-1", newline="\r\n") as lines:
            for line in lines:
                tag, _, command = line.strip().partition(" ")
                self.commands.append(command)
                words = command.upper().split()
                verb = " ".join(words[:2]) if words[0] == "UID" else words[0]
                usual = self._usual(verb, command)
                odd = self.odd.get(verb)
                answer = odd(Asked(tag, command, self._named(verb, command), usual)) if odd else usual
                if not self._send(connection, tag, answer, usual):
                    return
                if verb == "LOGOUT":
                    return

    def _send(
        self, connection: socket.socket, tag: str, answer: "str | Iterator[bytes] | None", usual: str
    ) -> bool:
        """False when the conversation is over."""
        if answer is None:
            self._stopping.wait()
            return False
        if not isinstance(answer, str):
            for piece in answer:
                if self._stopping.is_set():
                    return False
                connection.sendall(piece)
            return True
        answer = usual if answer == USUAL else answer
        if not answer:
            return False
        untagged, _, status = answer.rpartition("\r\n")
        before = f"{untagged}\r\n" if untagged else ""
        connection.sendall(f"{before}{tag} {status}\r\n".encode("latin-1"))
        return True

    def _named(self, verb: str, command: str) -> tuple[int, ...]:
        if verb not in ("UID FETCH", "UID SEARCH"):
            return ()
        asked = command.split()[3 if verb == "UID SEARCH" else 2]
        ranges = [(int(one[1]), int(one[2] or one[1])) for one in _SET.finditer(asked)]
        return tuple(uid for uid in sorted(self._folder) if any(low <= uid <= high for low, high in ranges))

    def _usual(self, verb: str, command: str) -> str:
        uids = self._named(verb, command)
        if verb == "CAPABILITY":
            return f"* CAPABILITY {self.capabilities}\r\nOK done"
        if verb == "LOGIN":
            self.logins += 1
        if verb == "LIST":
            return f"{self.listed}OK done"
        if verb == "LOGOUT":
            return "* BYE bye\r\nOK done"
        if verb == "EXAMINE":
            name = command.split(" ", 1)[1].strip('"')
            self._folder = self.folders.get(name, {})
            return self.state() + "OK [READ-ONLY] done"
        if verb == "UID SEARCH":
            return f"* SEARCH {' '.join(map(str, uids))}".rstrip() + "\r\nOK done"
        if verb == "UID FETCH":
            return "".join(self.fetched(uid, "HEADER" in command) for uid in uids) + "OK done"
        if verb == "FETCH":
            return self._by_position(int(command.split()[1]))
        return "OK done" if verb in ("LOGIN", "NOOP", "ID", "CREATE") else "BAD what?"

    def state(self) -> str:
        """The lines in which EXAMINE describes the folder."""
        following = max(self._folder, default=0) + 1
        return (
            f"* {len(self._folder)} EXISTS\r\n* OK [UIDVALIDITY {self.uid_validity}] fine\r\n"
            f"* OK [UIDNEXT {following}] next\r\n"
        )

    def fetched(self, uid: int, with_header: bool = True) -> str:
        """The line in which FETCH gives one message."""
        number = sorted(self._folder).index(uid) + 1
        if not with_header:
            return f"* {number} FETCH (UID {uid})\r\n"
        head = self._folder[uid].partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        head = head[: 64 * 1024]
        text = head.decode("latin-1")
        return (
            f'* {number} FETCH (UID {uid} INTERNALDATE "{ARRIVED}" BODY[HEADER]<0> '
            f"{{{len(head)}}}\r\n{text})\r\n"
        )

    def _by_position(self, number: int) -> str:
        if not 1 <= number <= len(self._folder):
            return "BAD The specified message set is invalid"
        return f"* {number} FETCH (UID {sorted(self._folder)[number - 1]})\r\nOK done"
